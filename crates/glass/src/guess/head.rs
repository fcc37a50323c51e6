//! A head on the last vector: it says what that vector becomes after the next token, and so on, without reading the model again
//! (after Wertheimer et al. 2024 and EAGLE, Li et al. 2024).
//!
//! s₀ is the vector that the unembedding reads. With the embedding e of the token that was drawn from it,
//! `u = [norm(s); norm(e)]`, `s' = W_skip u + W_down gelu(W_up u)`, and the unembedding's rows for the most frequent tokens turn s'
//! into their logits. Guesses after that token go on from s'.

mod speculator;
mod stored;

pub use speculator::{Loaded, Speculator, rows};

use super::table::STEPS;
use crate::Result;
use crate::backend::{Activation, Backend, Norm, Tensor};
use crate::plan::{Param, Plan, Start};
use crate::weights::Weights;

/// The parameters.
#[derive(Clone, Copy, Debug)]
pub struct Layers {
    /// `[hidden, 2 × width]`.
    pub up: Param,
    /// `[width, 2 × width]`.
    pub skip: Param,
    /// `[width, hidden]`.
    pub down: Param,
}

/// What was learned.
#[derive(Clone, PartialEq, Debug)]
pub struct Head {
    /// Its parameters, in the order of the plan.
    pub values: Vec<f32>,
    /// The numbers of a vector.
    pub width: usize,
    /// Numbers between up and down.
    pub hidden: usize,
    /// The tokens that it can guess, in ascending order.
    pub tokens: Vec<u32>,
    /// The temperature of the distribution that it learned.
    pub temperature: f32,
    /// How often a token of each step of probability came, in text that was not learned.
    pub chances: [f32; STEPS],
}

/// Nothing is divided by zero.
const NORM: f32 = 1e-6;

impl Layers {
    /// Plans them.
    pub fn plan(width: usize, hidden: usize) -> (Layers, Plan) {
        let mut plan = Plan::default();
        let layers = plan.within("head", |p| Layers {
            up: p.matrix("up.weight", hidden, 2 * width, Start::Normal),
            skip: p.matrix("skip.weight", width, 2 * width, Start::Normal),
            down: p.matrix("down.weight", width, hidden, Start::Zero),
        });
        (layers, plan)
    }

    /// The vectors after a token, in `step.next`, from the pairs of vector and embedding in `step.pairs`.
    pub fn forward<B: Backend>(&self, backend: &B, weights: Weights<'_, B>, step: &mut Step<B>) {
        let pairs = step.pairs.rows;
        step.stats.use_rows(pairs);
        step.normed.use_rows(pairs);
        for tensor in [&mut step.up, &mut step.active, &mut step.down, &mut step.next] {
            tensor.use_rows(pairs / 2);
        }
        backend.norm(&mut step.normed, &mut step.stats, &step.pairs, 1, None, None, norm());
        let width = step.pairs.cols;
        step.normed.reshape(2 * width);
        backend.linear(&mut step.up, &step.normed, weights.get(self.up), None, None);
        backend.activate(&mut step.active, &step.up, ACTIVATION);
        backend.linear(&mut step.next, &step.normed, weights.get(self.skip), None, None);
        backend.linear(&mut step.down, &step.active, weights.get(self.down), None, None);
        backend.add(&mut step.next, &step.down);
        step.normed.reshape(width);
    }
}

/// The function between up and down.
pub(crate) const ACTIVATION: Activation = Activation::GeluTanh;

/// How vectors and embeddings are normalised.
pub(crate) fn norm() -> Norm {
    Norm::rms(NORM)
}

/// The numbers of a step from vectors to those after a token.
pub struct Step<B: Backend> {
    /// Vectors and embeddings by turns, `[2 × rows, width]`.
    pub pairs: Tensor<B>,
    /// Of their norms.
    pub stats: Tensor<B>,
    /// Normalised, `[2 × rows, width]`.
    pub normed: Tensor<B>,
    /// `[rows, hidden]`.
    pub up: Tensor<B>,
    /// `[rows, hidden]`.
    pub active: Tensor<B>,
    /// `[rows, width]`.
    pub down: Tensor<B>,
    /// The vectors after the token, `[rows, width]`.
    pub next: Tensor<B>,
}

impl<B: Backend> Step<B> {
    /// Memory for so many rows.
    ///
    /// # Errors
    /// If there is too little.
    pub fn new(backend: &B, rows: usize, width: usize, hidden: usize) -> Result<Step<B>> {
        let tensor = |rows, cols| Tensor::new(backend, rows, cols);
        Ok(Step {
            pairs: tensor(2 * rows, width)?,
            stats: tensor(2 * rows, 2)?,
            normed: tensor(2 * rows, width)?,
            up: tensor(rows, hidden)?,
            active: tensor(rows, hidden)?,
            down: tensor(rows, width)?,
            next: tensor(rows, width)?,
        })
    }
}
