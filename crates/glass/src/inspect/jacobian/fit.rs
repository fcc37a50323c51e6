//! Fitting: the mean, over texts, of
//!
//! ```text
//! J_l = 1/|V| Σ_{t in V} Σ_{t' in V, t' ≥ t} ∂ output_t' / ∂ input_l,t
//! ```
//!
//! V are the positions of a text without the first few, which attention uses as a place to rest, and without the last,
//! which predicts nothing that is known. Only the targets of a source are summed; sources and texts are averaged. The estimator, its
//! defaults and its sums are those of the published one.
//!
//! A text has one forward pass. Then all gradients go back at once: the identity at every position of V. As there are as many
//! gradients as numbers in a vector, the backward pass of each layer is a product of matrices, which may be taken in
//! the order that is the least work ([`backward_pair`](crate::model::linear::backward_pair)). Positions before V get no gradient, as nothing
//! flows from V to them.

use super::super::Inspector;
use super::super::gradient::trainable;
use super::{About, JacobianLens, Matrix, check, fingerprint};
use crate::backend::{Backend, CacheType, Span, Tensor, Write};
use crate::memory::{Cache, Keep, Memory};
use crate::model::{Back, Pass};
use crate::runtime::Model;
use crate::weights::{Trainable, Weights};
use crate::{Error, Result};

/// How many of the first positions of a text are left out, unless another number is given.
pub const SKIPPED: usize = 16;

/// How many tokens of a text are read, unless another number is given.
pub const TOKENS: usize = 64;

/// A lens that is being fitted.
pub struct Fit<'a, B: Backend> {
    model: &'a Model<B>,
    weights: Trainable<B>,
    /// Tokens of a text at most, and positions left out.
    tokens: usize,
    skipped: usize,
    memory: Memory<B>,
    cache: Cache<B>,
    d: Memory<B>,
    /// Sums over texts, of blocks 1, 2, ….
    sums: Vec<Vec<f64>>,
    about: About,
}

impl<'a, B: Backend> Fit<'a, B> {
    /// From the first `tokens` tokens of every text, without the first `skipped` positions. It takes some 24 bytes for every number of
    /// a `width × width` matrix and each position that is left, and the weights as floats.
    ///
    /// # Errors
    /// If no position is left, the model cannot read so many tokens or has too few blocks, or there is too little memory.
    pub fn new(model: &'a Model<B>, tokens: usize, skipped: usize) -> Result<Self> {
        check(model)?;
        let (backend, config) = (model.backend(), model.config());
        if tokens > config.context {
            let why = format!("{tokens} do not fit into the model's context of {}", config.context);
            return Err(Error::invalid_argument("tokens", why));
        }
        if tokens < skipped + 2 {
            let why = format!(
                "of {tokens} none is left without the first {skipped} and the last; give at least {}",
                skipped + 2
            );
            return Err(Error::invalid_argument("tokens", why));
        }
        let inspector = Inspector::new(model, 1, 1)?;
        let (rows, width) = (tokens - 1, config.width);
        let about = About { texts: 0, positions: 0, skipped, model: fingerprint(&inspector)? };
        Ok(Fit {
            model,
            weights: trainable(&inspector)?,
            tokens,
            skipped,
            memory: Memory::new(backend, config, Keep::All, rows, 1)?,
            cache: Cache::for_pass(backend, config, CacheType::F32, 1, rows)?,
            d: Memory::new(backend, config, Keep::Gradients, (rows - skipped) * width, 1)?,
            sums: vec![vec![0.0; width * width]; config.layers - 1],
            about,
        })
    }

    /// Reads a text. `false` if it is too short: it is not counted then.
    ///
    /// # Errors
    /// If an id is not in the vocabulary.
    pub fn read(&mut self, ids: &[u32]) -> Result<bool> {
        let (backend, config) = (self.model.backend(), self.model.config());
        if let Some(id) = ids.iter().find(|&&id| id as usize >= config.vocabulary) {
            let why = format!("{id} is not in the model's vocabulary of {} tokens", config.vocabulary);
            return Err(Error::invalid_argument("ids", why));
        }
        let ids = &ids[..ids.len().min(self.tokens)];
        if ids.len() < self.skipped + 2 {
            return Ok(false);
        }
        // Nothing that comes before the last position depends on it.
        let ids = &ids[..ids.len() - 1];
        let (rows, width) = (ids.len(), config.width);
        let spans = [Span { rows: 0..rows, slot: 0, past: 0 }];
        let (weights, gpt) = (Weights::Trainable(&self.weights), self.model.gpt());
        let mut pass = Pass { backend, weights, spans: &spans, output_rows: None, dropout: None, probe: () };
        gpt.forward(&mut pass, ids, &mut self.memory, &mut self.cache);

        let kept = rows - self.skipped;
        self.d.use_rows(kept * width);
        backend.clear(&mut self.d.residual.data, 0..kept * width * width);
        for row in 0..kept * width {
            backend.write(&mut self.d.residual.data, row * width + row % width, &[1.0]);
        }
        let mut back = Back {
            backend,
            weights,
            grads: None,
            gradient: Write::Set,
            spans: &spans,
            dropout: None,
            each: width,
        };
        let sums = &mut self.sums;
        let mut each = |layer: usize, _: Option<&mut B::Buffer>, gradients: &Tensor<B>, _: &Tensor<B>| {
            let gradients = backend.view(&gradients.data, 0..gradients.len());
            add_mean(&mut sums[layer - 1], &gradients);
        };
        gpt.backward_to(&mut back, 1, &mut self.memory, &mut self.cache, &mut self.d, &mut each);
        self.about.texts += 1;
        self.about.positions += kept as u64;
        Ok(true)
    }

    /// Texts read so far.
    pub fn texts(&self) -> u64 {
        self.about.texts
    }

    /// The lens of the texts read so far.
    ///
    /// # Errors
    /// If there was none.
    pub fn lens(&self) -> Result<JacobianLens> {
        if self.about.texts == 0 {
            let why = format!(
                "no text has the {} tokens that are needed at least, {} of which are left out",
                self.skipped + 2,
                self.skipped + 1
            );
            return Err(Error::invalid_argument("texts", why));
        }
        let width = self.model.config().width;
        let mean = |sum: &Vec<f64>| Matrix {
            rows: width,
            cols: width,
            values: sum.iter().map(|sum| (sum / self.about.texts as f64) as f32).collect(),
        };
        Ok(JacobianLens { about: self.about.clone(), matrices: self.sums.iter().map(mean).collect() })
    }
}

/// Adds the mean of matrices that follow each other.
fn add_mean(sum: &mut [f64], matrices: &[f32]) {
    /// Numbers whose sums stay in the cache.
    const PART: usize = 4096;
    let (len, count) = (sum.len(), matrices.len() / sum.len());
    let mut part = [0.0f32; PART];
    for (at, sum) in (0..len).step_by(PART).zip(sum.chunks_mut(PART)) {
        let part = &mut part[..sum.len()];
        part.fill(0.0);
        for matrix in matrices.chunks_exact(len) {
            part.iter_mut().zip(&matrix[at..]).for_each(|(sum, x)| *sum += x);
        }
        sum.iter_mut().zip(&*part).for_each(|(sum, x)| *sum += f64::from(x / count as f32));
    }
}
