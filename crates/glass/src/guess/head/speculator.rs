//! A head on a back end, beside the model that it belongs to.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Head, Layers, Step};
use crate::Result;
use crate::backend::{Backend, Layout, Packing, Tensor, Weight, Write};
use crate::guess::drafter::{Drafter, Drafting, likeliest};
use crate::guess::table::{MOST, step};
use crate::guess::{Candidate, Tree};
use crate::model::Gpt;
use crate::weights::{Frozen, Weights};

/// A head's weights in 8 bits, and the model's unembedding of the tokens that it can guess.
pub struct Loaded<B: Backend> {
    head: Arc<Head>,
    layers: Layers,
    weights: Frozen<B>,
    unembedding: B::Packed,
    bias: Option<B::Packed>,
}

impl<B: Backend> Loaded<B> {
    /// Prepares it for a model.
    ///
    /// # Errors
    /// If there is too little memory.
    pub fn new(backend: &B, gpt: &Gpt, model: &Frozen<B>, head: Arc<Head>) -> Result<Self> {
        let (layers, plan) = Layers::plan(head.width, head.hidden);
        let weights = Frozen::load(backend, &plan, Packing::Q8, &|spec, into| {
            into.copy_from_slice(&head.values[spec.span.clone()]);
            Ok(())
        })?;
        let (matrix, bias) = rows(backend, gpt, model, &head.tokens)?;
        let read = |rows: std::ops::Range<usize>, into: &mut [f32]| {
            into.copy_from_slice(&matrix[rows.start * head.width..rows.end * head.width]);
            Ok(())
        };
        let layout = Layout::Panels(Packing::Q8);
        let unembedding = backend.pack(&read, head.tokens.len(), head.width, layout)?;
        let bias = bias.map(|bias| {
            let read = |_: std::ops::Range<usize>, into: &mut [f32]| {
                into.copy_from_slice(&bias);
                Ok(())
            };
            backend.pack(&read, 1, bias.len(), Layout::Rows)
        });
        let bias = bias.transpose()?;
        Ok(Loaded { head, layers, weights, unembedding, bias })
    }
}

/// Some tokens' rows of a model's unembedding, `[tokens, width]`, and their biases, if there are any.
///
/// # Errors
/// If there is too little memory.
pub fn rows<B: Backend>(
    backend: &B,
    gpt: &Gpt,
    model: &Frozen<B>,
    tokens: &[u32],
) -> Result<(Vec<f32>, Option<Vec<f32>>)> {
    let width = gpt.config.width;
    let (weight, bias) = gpt.unembedding().params();
    let (mut matrix, mut some) = (vec![0.0; tokens.len() * width], Tensor::new(backend, 64, width)?);
    for (tokens, into) in tokens.chunks(64).zip(matrix.chunks_mut(64 * width)) {
        some.use_rows(tokens.len());
        backend.embed(&mut some, Write::Set, tokens, Weight::Packed(model.get(weight.index())));
        backend.read(&some.data, 0, into);
    }
    let bias = bias.map(|bias| {
        let bytes = backend.bytes(model.get(bias.index()));
        let at = |token: &u32| f32::from_le_bytes(bytes.as_chunks().0[*token as usize]);
        tokens.iter().map(at).collect()
    });
    Ok((matrix, bias))
}

/// Guesses with a head.
pub struct Speculator<'a, B: Backend> {
    backend: &'a B,
    gpt: &'a Gpt,
    model: &'a Frozen<B>,
    head: &'a Loaded<B>,
    scratch: Mutex<Scratch<B>>,
}

/// Memory for one row.
struct Scratch<B: Backend> {
    step: Step<B>,
    embedding: Tensor<B>,
    logits: Tensor<B>,
    numbers: Vec<f32>,
}

impl<'a, B: Backend> Speculator<'a, B> {
    /// Memory for it.
    ///
    /// # Errors
    /// If there is too little.
    pub fn new(backend: &'a B, gpt: &'a Gpt, model: &'a Frozen<B>, head: &'a Loaded<B>) -> Result<Self> {
        let Head { width, hidden, .. } = *head.head;
        let tokens = head.head.tokens.len();
        let scratch = Scratch {
            step: Step::new(backend, 1, width, hidden)?,
            embedding: Tensor::new(backend, 1, width)?,
            logits: Tensor::new(backend, 1, tokens)?,
            numbers: vec![0.0; tokens],
        };
        Ok(Speculator { backend, gpt, model, head, scratch: Mutex::new(scratch) })
    }

    /// The vector after `token`, which was drawn from `vector`, is written to `next`; and what may follow then.
    fn guess(&self, vector: &[f32], token: u32, next: &mut [f32], found: &mut [Candidate; MOST]) -> usize {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let Scratch { step: one, embedding, logits, numbers } = &mut *scratch;
        let (backend, loaded) = (self.backend, self.head);
        let table = Weight::Packed(self.model.get(self.gpt.embedding_table().index()));
        backend.embed(embedding, Write::Set, &[token], table);
        backend.read(&embedding.data, 0, next);
        backend.write(&mut one.pairs.data, 0, vector);
        backend.write(&mut one.pairs.data, vector.len(), next);
        loaded.layers.forward(backend, Weights::Frozen(&loaded.weights), one);
        backend.read(&one.next.data, 0, next);
        let bias = loaded.bias.as_ref().map(Weight::Packed);
        backend.linear(logits, &one.next, Weight::Packed(&loaded.unembedding), bias, None);
        backend.scale(logits, self.gpt.unembedding().factor());
        backend.read(&logits.data, 0, numbers);
        let count = likeliest(numbers, loaded.head.temperature, found);
        for candidate in &mut found[..count] {
            candidate.id = loaded.head.tokens[candidate.id as usize];
            candidate.probability = loaded.head.chances[step(candidate.probability)];
        }
        count
    }
}

impl<'a, B: Backend> Drafter<'a> for Speculator<'a, B> {
    fn begin(self: Arc<Self>) -> Result<Box<dyn Drafting + 'a>> {
        let (vector, states) = (vec![0.0; self.head.head.width], Vec::new());
        Ok(Box::new(Sequence { speculator: self, vector, seen: false, states }))
    }
}

/// The vectors of a sequence.
struct Sequence<'a, B: Backend> {
    speculator: Arc<Speculator<'a, B>>,
    /// What the last token was drawn from.
    vector: Vec<f32>,
    seen: bool,
    /// After each node.
    states: Vec<f32>,
}

impl<B: Backend> Drafting for Sequence<'_, B> {
    fn see(&mut self, vector: &[f32]) {
        self.vector.copy_from_slice(vector);
        self.seen = true;
    }

    fn find(&mut self, ids: &[u32], tree: &Tree, node: usize, found: &mut [Candidate; MOST]) -> usize {
        if !self.seen {
            return 0;
        }
        let width = self.vector.len();
        let end = (node + 1) * width;
        self.states.resize(self.states.len().max(end), 0.0);
        let (before, state) = self.states.split_at_mut(node * width);
        let state = &mut state[..width];
        match (node, ids.last()) {
            (0, Some(&last)) => self.speculator.guess(&self.vector, last, state, found),
            (0, None) => 0,
            _ => {
                let from = &before[tree.parent(node) * width..][..width];
                self.speculator.guess(from, tree.id(node), state, found)
            }
        }
    }

    fn temperature(&self) -> f32 {
        self.speculator.head.head.temperature
    }
}
