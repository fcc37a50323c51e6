//! One training step: forward, loss, backward, clipping, and the optimiser's update.

pub mod settings;
pub mod schedule;
pub mod optimiser;
pub mod needs;
pub mod spikes;
mod batch;

use std::sync::Arc;

use crate::backend::{AdamW, Backend, CacheType, Muon, Place, Tensor, Write};
use crate::config::Config;
use crate::memory::{Cache, Keep, Memory};
use crate::model::{Back, DropoutState, Gpt, Pass};
use crate::plan::{Plan, Spec};
use crate::weights::initialise::initialise;
use crate::weights::{Read, Trainable, Weights};
use crate::{Error, Result};
use optimiser::Optimiser;

pub use batch::Batch;
pub use glass_kernels::loss::IGNORE;

/// The largest number of rows whose logits are in memory at once.
pub const LOGIT_ROWS: usize = 256;

/// How many floats of an arena are copied at once.
pub(crate) const PART: usize = 1 << 16;

/// The constants of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The optimiser for the matrices of the blocks.
    pub optimiser: Optimiser,
    /// Learning rate.
    pub rate: f32,
    /// Learning rate of the matrices that Muon updates.
    pub matrix_rate: f32,
    /// Muon's decay of the momentum.
    pub momentum: f32,
    /// Muon updates a matrix in every so manyth step, in turn.
    pub muon_every: u64,
    /// AdamW's decay of the first moment.
    pub beta1: f32,
    /// AdamW's decay of the second moment.
    pub beta2: f32,
    /// AdamW's epsilon.
    pub epsilon: f32,
    /// Weight decay, on matrices only.
    pub decay: f32,
    /// Largest global norm of the gradients; 0 for no limit.
    pub clip: f32,
    /// The share dropped after the embedding, in the pattern and on both branches.
    pub dropout: f32,
    /// The run's seed.
    pub seed: u64,
    /// Number of the step, from 1.
    pub step: u64,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Mean nats over the counted tokens.
    pub loss: f64,
    /// The number of counted tokens.
    pub counted: usize,
    /// Global norm of the gradients before clipping.
    pub norm: f64,
}

impl Outcome {
    /// Whether the step was taken: if loss or norm is not finite, weights and moments are left unchanged.
    pub fn finite(&self) -> bool {
        self.loss.is_finite() && self.norm.is_finite()
    }
}

/// One of the arenas that a checkpoint holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arena {
    /// The weights.
    Weights,
    /// AdamW's first moment, or Muon's momentum.
    First,
    /// AdamW's second moment, or the mean squares of rows that Muon updates.
    Second,
}

/// A GPT in training: its weights, their gradients and moments, and memory for a forward and a backward pass.
pub struct Learner<B: Backend> {
    backend: Arc<B>,
    gpt: Gpt,
    weights: Trainable<B>,
    grads: B::Buffer,
    first: B::Buffer,
    second: B::Buffer,
    memory: Memory<B>,
    d: Memory<B>,
    cache: Cache<B>,
    logits: Tensor<B>,
}

impl<B: Backend> Learner<B> {
    /// A learner for batches of at most `rows` rows in at most `samples` samples, which keeps every layer's
    /// activations.
    pub fn new(backend: Arc<B>, config: &Config, rows: usize, samples: usize) -> Result<Self> {
        Self::keeping(Keep::All, backend, config, rows, samples)
    }

    /// The same, with a choice of what is kept for the backward pass: [`Keep::Inputs`] takes less memory and more
    /// time, and gives the same bits.
    pub fn keeping(
        keep: Keep,
        backend: Arc<B>,
        config: &Config,
        rows: usize,
        samples: usize,
    ) -> Result<Self> {
        let (gpt, plan) = Gpt::plan(config);
        let (b, chunk, len) = (&*backend, rows.min(LOGIT_ROWS), plan.len());
        Ok(Learner {
            weights: Trainable::zeros(b, Arc::new(plan))?,
            grads: b.zeros(len)?,
            first: b.zeros(len)?,
            second: b.zeros(len)?,
            memory: Memory::new(b, config, keep, rows, chunk)?,
            d: Memory::new(b, config, Keep::Gradients, rows, chunk)?,
            cache: Cache::for_pass(b, config, CacheType::F32, samples, config.context.min(rows))?,
            logits: Tensor::new(b, chunk, config.vocabulary)?,
            gpt,
            backend,
        })
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.gpt.config
    }

    /// Its parameters.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.weights.plan
    }

    /// Its back end.
    pub fn backend(&self) -> &Arc<B> {
        &self.backend
    }

    /// Its layers and current weights, to run the model.
    pub fn model(&self) -> (&Gpt, &Trainable<B>) {
        (&self.gpt, &self.weights)
    }

    /// Initialises the weights from a seed, as GPT-2 does.
    pub fn initialise(&mut self, seed: u64) {
        let plan = self.weights.plan.clone();
        for (index, spec) in plan.specs.iter().enumerate() {
            let mut values = vec![0.0; spec.span.len()];
            initialise(spec, index, &self.gpt.config, seed, &mut values);
            self.backend.write(&mut self.weights.values, spec.span.start, &values);
        }
    }

    /// Loads given weights.
    pub fn load(&mut self, read: &Read<'_>) -> Result<()> {
        let plan = self.weights.plan.clone();
        for spec in &plan.specs {
            let mut values = vec![0.0; spec.span.len()];
            read(spec, &mut values)?;
            self.backend.write(&mut self.weights.values, spec.span.start, &values);
        }
        Ok(())
    }

    /// Copies the current values of one parameter.
    pub fn read(&self, spec: &Spec, into: &mut [f32]) {
        self.backend.read(&self.weights.values, spec.span.start, into);
    }

    /// Copies one parameter's gradient after the last step.
    pub fn read_gradient(&self, spec: &Spec, into: &mut [f32]) {
        self.backend.read(&self.grads, spec.span.start, into);
    }

    /// Copies a part of an arena, from float `at` on, for a checkpoint.
    pub fn read_arena(&self, which: Arena, at: usize, into: &mut [f32]) {
        let buffer = match which {
            Arena::Weights => &self.weights.values,
            Arena::First => &self.first,
            Arena::Second => &self.second,
        };
        self.backend.read(buffer, at, into);
    }

    /// Restores a part of an arena from a checkpoint.
    pub fn write_arena(&mut self, which: Arena, at: usize, from: &[f32]) {
        let buffer = match which {
            Arena::Weights => &mut self.weights.values,
            Arena::First => &mut self.first,
            Arena::Second => &mut self.second,
        };
        self.backend.write(buffer, at, from);
    }

    /// Passes an arena to `see` in consecutive parts, so that it is never in memory twice.
    pub fn arena_parts(&self, which: Arena, see: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()> {
        let len = self.weights.plan.len();
        let mut part = vec![0.0; PART.min(len)];
        for at in (0..len).step_by(PART) {
            let part = &mut part[..PART.min(len - at)];
            self.read_arena(which, at, part);
            see(part)?;
        }
        Ok(())
    }

    /// A copy of a whole arena.
    pub fn arena(&self, which: Arena) -> Vec<f32> {
        let mut values = vec![0.0; self.weights.plan.len()];
        self.read_arena(which, 0, &mut values);
        values
    }

    /// Restores a whole arena from its copy.
    pub fn set_arena(&mut self, which: Arena, values: &[f32]) {
        assert_eq!(values.len(), self.weights.plan.len());
        self.write_arena(which, 0, values);
    }

    /// One step over all `parts`: their gradients are summed (accumulation), and the mean is over all counted
    /// tokens of the step.
    pub fn step(&mut self, parts: &[Batch], step: &Step) -> Result<Outcome> {
        let counted: usize = parts.iter().map(Batch::counted).sum();
        if counted == 0 {
            return Err(Error::invalid("batch", "no token is counted; at least one target must be counted"));
        }
        // The gradients of hidden matrices from the previous step are overwritten by the first part.
        for spec in self.weights.plan.specs.iter().filter(|spec| !spec.is_hidden_matrix) {
            self.backend.clear(&mut self.grads, spec.span.clone());
        }
        let mut gradient = Write::Set;
        let mut sum = 0.0;
        let mut first_sample = 0;
        for part in parts {
            let dropout = DropoutState { rate: step.dropout, seed: step.seed, step: step.step, first_sample };
            sum += self.gradients(part, dropout, gradient, 1.0 / counted as f32);
            gradient = Write::Add;
            first_sample += part.lengths.len() as u32;
        }
        let norm = self.backend.square_sum(&self.grads).sqrt();
        let outcome = Outcome { loss: sum / counted as f64, counted, norm };
        if outcome.finite() {
            self.update(step, norm);
        }
        Ok(outcome)
    }

    /// Forward and backward pass over one part; gradients are added to the arena. Returns the summed loss in nats.
    fn gradients(&mut self, part: &Batch, dropout: DropoutState, gradient: Write, scale: f32) -> f64 {
        let spans = part.spans();
        let (backend, gpt) = (&*self.backend, &self.gpt);
        let (memory, d, logits) = (&mut self.memory, &mut self.d, &mut self.logits);
        let dropout = Some(dropout);
        let weights = Weights::Trainable(&self.weights);
        let mut pass = Pass { backend, weights, spans: &spans, output_rows: None, dropout, probe: () };
        let mut back = Back {
            backend,
            weights: &self.weights,
            grads: Some(&mut self.grads),
            gradient,
            spans: &spans,
            dropout,
            each: 1,
        };
        gpt.forward(&mut pass, &part.inputs, memory, &mut self.cache);
        let sum = gpt.loss(&mut pass, memory, &part.targets, logits, Some((&mut back, d, scale)));
        gpt.backward(&mut back, &part.inputs, memory, &mut self.cache, d, &mut |_, _, _| {});
        sum
    }

    fn update(&mut self, step: &Step, norm: f64) {
        let clip = step.clip as f64;
        // As in PyTorch's clip_grad_norm_: the small number keeps the quotient finite.
        let scale = if clip > 0.0 { (clip / (norm + 1e-6)).min(1.0) } else { 1.0 };
        let by_muon = |spec: &Spec| step.optimiser == Optimiser::Muon && spec.is_hidden_matrix;
        let specs = &self.weights.plan.specs;
        let is_due = |i: usize| (i as u64 + step.step).is_multiple_of(step.muon_every.max(1));
        let place = |(i, spec): (usize, &Spec)| {
            let &Spec { rows, cols, .. } = spec;
            Place { start: spec.span.start, rows, cols, is_due: is_due(i) }
        };
        let places: Vec<Place> = (specs.iter().filter(|spec| by_muon(spec)).enumerate().map(place)).collect();
        if !places.is_empty() {
            let muon = Muon { rate: step.matrix_rate, momentum: step.momentum, decay: step.decay };
            let (weights, momentum, squares) = (&mut self.weights.values, &mut self.first, &mut self.second);
            self.backend.muon(weights, &self.grads, momentum, squares, &places, &muon);
        }
        for spec in specs.iter().filter(|spec| !by_muon(spec)) {
            let (weights, grads, span) = (&mut self.weights.values, &self.grads, spec.span.clone());
            let decay = if spec.decay { step.decay } else { 0.0 };
            let step = AdamW {
                rate: step.rate,
                beta1: step.beta1,
                beta2: step.beta2,
                epsilon: step.epsilon,
                decay,
                step: step.step,
                scale: scale as f32,
            };
            self.backend.adamw(weights, grads, &mut self.first, &mut self.second, span, &step);
        }
    }

    /// The sum of nats and the number of counted tokens; nothing is learned.
    pub fn evaluate(&mut self, batch: &Batch) -> (f64, usize) {
        let spans = batch.spans();
        let weights = Weights::Trainable(&self.weights);
        let mut pass = Pass {
            backend: &*self.backend,
            weights,
            spans: &spans,
            output_rows: None,
            dropout: None,
            probe: (),
        };
        self.gpt.forward(&mut pass, &batch.inputs, &mut self.memory, &mut self.cache);
        let sum = self.gpt.loss(&mut pass, &mut self.memory, &batch.targets, &mut self.logits, None);
        (sum, batch.counted())
    }
}
