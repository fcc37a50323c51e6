//! What a head is told: the distributions that the model draws from, over the tokens that the head can guess.

use std::sync::Mutex;

use crate::Result;
use crate::backend::{Backend, Dense, Tensor, Weight};
use crate::guess::head::rows;
use crate::runtime::Model;

/// The model's unembedding of some tokens.
pub struct Teacher<'m, B: Backend> {
    model: &'m Model<B>,
    matrix: B::Buffer,
    bias: Option<B::Buffer>,
    tokens: usize,
}

impl<'m, B: Backend> Teacher<'m, B> {
    /// Of these tokens.
    ///
    /// # Errors
    /// If there is too little memory.
    pub fn new(model: &'m Model<B>, tokens: &[u32]) -> Result<Self> {
        let backend = model.backend();
        let (matrix, bias) = rows(backend, model.gpt(), model.weights(), tokens)?;
        let buffer = |values: Vec<f32>| -> Result<B::Buffer> {
            let mut buffer = backend.zeros(values.len())?;
            backend.write(&mut buffer, 0, &values);
            Ok(buffer)
        };
        let bias = bias.map(buffer).transpose()?;
        Ok(Teacher { model, matrix: buffer(matrix)?, bias, tokens: tokens.len() })
    }

    /// The matrix, `[tokens, width]`.
    pub fn matrix(&self) -> Dense<'_, B> {
        dense(&self.matrix, self.tokens, self.model.config().width)
    }

    /// The logits of vectors, before any limit.
    pub fn logits(&self, logits: &mut Tensor<B>, x: &Tensor<B>) {
        let backend = self.model.backend();
        let bias = self.bias.as_ref().map(|bias| Weight::Dense(dense(bias, 1, self.tokens)));
        backend.linear(logits, x, Weight::Dense(self.matrix()), bias, None);
        backend.scale(logits, self.model.gpt().unembedding().factor());
    }

    /// The model's probabilities after vectors, at a temperature; zeros where a row is not `known`.
    pub fn probabilities(
        &self,
        y: &mut Tensor<B>,
        x: &Tensor<B>,
        temperature: f32,
        known: &(dyn Fn(usize) -> bool + Sync),
    ) {
        let backend = self.model.backend();
        self.logits(y, x);
        if let Some(limit) = self.model.gpt().unembedding().limit() {
            backend.cap(y, limit);
        }
        let mut values = vec![0.0; y.len()];
        backend.read(&y.data, 0, &mut values);
        let rows: Vec<Mutex<&mut [f32]>> = values.chunks_mut(y.cols).map(Mutex::new).collect();
        backend.on_host(rows.len(), &|row| {
            let mut logits = rows[row].lock().expect("each is taken once");
            if known(row) { softmax(&mut logits, temperature) } else { logits.fill(0.0) }
        });
        drop(rows);
        backend.write(&mut y.data, 0, &values);
    }
}

/// All of a buffer as a matrix.
fn dense<B: Backend>(arena: &B::Buffer, rows: usize, cols: usize) -> Dense<'_, B> {
    Dense { arena, span: 0..rows * cols, rows, cols }
}

/// Logits become probabilities at a temperature.
fn softmax(logits: &mut [f32], temperature: f32) {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for x in logits.iter_mut() {
        *x = ((*x - max) / temperature).exp();
        sum += *x;
    }
    logits.iter_mut().for_each(|x| *x /= sum);
}
