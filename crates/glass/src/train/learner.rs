//! One training step: forward, loss, backward, clipping, and the optimiser's update.

pub mod preference;
pub mod objective;
pub mod teacher;
pub mod settings;
pub mod schedule;
pub mod optimiser;
pub mod needs;
pub mod spikes;
pub mod sums;
mod arenas;
mod batch;
mod pairs;
mod pieces;
mod shared;
mod step;

use std::sync::Arc;

use crate::backend::{AdamW, Backend, CacheType, Muon, Place, Span, Tensor};
use crate::config::Config;
use crate::fingerprint::Fingerprint;
use crate::memory::{Cache, Keep, Memory};
use crate::model::{Gpt, Pass};
use crate::plan::{Plan, Spec};
use crate::train::ranks::{Alone, Divided, Ranks};
use crate::weights::adapter::{AdapterPlan, AdapterRef, Adapters};
use crate::weights::{Frozen, Trainable, Weights};
use crate::{Error, Result};
use objective::{Details, Objective};
use optimiser::Optimiser;
use pieces::is_within;
use shared::Shared;
use sums::Reduce;
use teacher::Teacher;

pub use batch::Batch;
pub use glass_kernels::loss::IGNORE;

/// The largest number of rows whose logits are in memory at once.
pub const LOGIT_ROWS: usize = 256;

/// How many floats of an arena are copied at once.
pub(crate) const PART: usize = 1 << 16;

/// The constants of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// What is made smaller.
    pub objective: Objective,
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
    /// The early steps of the run, if it has some.
    pub early: Option<Early>,
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

/// The first steps of a run, in which only some blocks are computed and learned. If the others add nothing to the residual yet
/// ([`Learner::initialise_early`]), the loss is the same (Bu 2025, "Scaling depth capacity via zero/one-layer model expansion",
/// arXiv 2511.04981).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Early {
    /// So many first blocks.
    pub blocks: usize,
    /// The number of these steps.
    pub steps: u64,
}

impl Step {
    /// So many first blocks are computed and learned; `None` for all.
    pub fn blocks(&self) -> Option<usize> {
        self.early.filter(|early| self.step <= early.steps).map(|early| early.blocks)
    }
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Mean nats over the counted tokens; of pairs, their mean loss.
    pub loss: f64,
    /// What else the objective measures.
    pub details: Details,
    /// The number of counted tokens, or of pairs.
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
    /// What is trained: all weights, or an adapter of the base.
    weights: Trainable<B>,
    base: Option<Base<B>>,
    teacher: Option<Teacher<B>>,
    /// Gradients: of a batch, and sums of those of several (see [`sums`]). At the end of a step the first has the whole sum.
    arenas: Vec<B::Buffer>,
    /// Gradients of a batch on their way to their owners, where they are divided.
    passing: Option<B::Buffer>,
    first: B::Buffer,
    second: B::Buffer,
    memory: Memory<B>,
    d: Memory<B>,
    cache: Cache<B>,
    logits: Tensor<B>,
    shared: Shared,
    /// Of the weights at the beginning.
    start: Fingerprint,
}

/// A model that is not trained itself, and what is learned of it.
struct Base<B: Backend> {
    weights: Arc<Frozen<B>>,
    adapter: AdapterPlan,
}

/// The weights of a pass.
fn all<'a, B: Backend>(base: &'a Option<Base<B>>, weights: &'a Trainable<B>) -> Weights<'a, B> {
    match base {
        None => Weights::Trainable(weights),
        Some(base) => {
            let adapter = AdapterRef { plan: &base.adapter, weights };
            Weights::Adapted(&base.weights, Adapters::One(adapter))
        }
    }
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
        Self::of(keep, backend, gpt, Arc::new(plan), None, rows, samples)
    }

    /// A learner of an adapter: the weights of the model stay as they are, in any packing, and only what `adapter` plans is
    /// trained. At first it changes nothing (see [`initialise`](Self::initialise)).
    ///
    /// # Errors
    /// If the adapter changes nothing, or there is too little memory.
    pub fn tuning(
        keep: Keep,
        backend: Arc<B>,
        gpt: Gpt,
        weights: Arc<Frozen<B>>,
        adapter: AdapterPlan,
        rows: usize,
        samples: usize,
    ) -> Result<Self> {
        if adapter.plan.is_empty() {
            return Err(Error::invalid_argument("adapter", "it changes no matrix; choose at least one"));
        }
        let plan = adapter.plan.clone();
        Self::of(keep, backend, gpt, plan, Some(Base { weights, adapter }), rows, samples)
    }

    fn of(
        keep: Keep,
        backend: Arc<B>,
        gpt: Gpt,
        plan: Arc<Plan>,
        base: Option<Base<B>>,
        rows: usize,
        samples: usize,
    ) -> Result<Self> {
        let (b, config, chunk, len) = (&*backend, &gpt.config, rows.min(LOGIT_ROWS), plan.len());
        let shared = Shared::new(Arc::new(Alone), Reduce::Exact, Divided::Moments, &plan, config.layers);
        Ok(Learner {
            weights: Trainable::zeros(b, plan)?,
            base,
            teacher: None,
            arenas: vec![b.arena(len)?],
            passing: None,
            first: b.arena(len)?,
            second: b.arena(len)?,
            memory: Memory::new(b, config, keep, rows, chunk)?,
            d: Memory::new(b, config, Keep::Gradients, rows, chunk)?,
            cache: Cache::for_batch(b, config, CacheType::F32, samples, config.context.min(rows), rows)?,
            logits: Tensor::new(b, chunk, config.vocabulary)?,
            gpt,
            backend,
            shared,
            start: Fingerprint::default(),
        })
    }

    /// Shares the work with other ranks, which must have learners of the same configuration: each learns from some batches of
    /// every step, and has the moments of some of the weights, and whatever else is divided of these. Moments that it had are kept
    /// only where it owns them. Weights are given to it afterwards.
    pub fn among(mut self, ranks: Arc<dyn Ranks>, reduce: Reduce, divided: Divided) -> Self {
        self.shared = Shared::new(ranks, reduce, divided, self.plan(), self.gpt.config.layers);
        self
    }

    /// Refuses ranks that would exchange something else.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn agree(&self) -> Result<()> {
        let Shared { ranks, reduce, divided, .. } = &self.shared;
        let all = ranks.gather(&[*reduce as u8, *divided as u8])?;
        let Some(rank) = all.iter().position(|told| *told != all[0]) else { return Ok(()) };
        let why = "it was started with another `reduce` or `divide` than rank 0; start all ranks with the same options";
        Err(Error::invalid(format!("rank {rank}"), why))
    }

    /// The ranks that share the work.
    pub fn ranks(&self) -> &Arc<dyn Ranks> {
        &self.shared.ranks
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

    /// Its layers and the weights that it trains.
    pub fn model(&self) -> (&Gpt, &Trainable<B>) {
        (&self.gpt, &self.weights)
    }

    /// All current weights, to run the model.
    pub fn running(&self) -> Weights<'_, B> {
        all(&self.base, &self.weights)
    }

    /// The adapter that it trains, and the weights that this changes, if it does not train all weights.
    pub fn adapter(&self) -> Option<(&AdapterPlan, &Frozen<B>)> {
        self.base.as_ref().map(|base| (&base.adapter, &*base.weights))
    }

    fn update(&mut self, step: &Step, norm: f64) {
        let clip = step.clip as f64;
        // As in PyTorch's clip_grad_norm_: the small number keeps the quotient finite.
        let scale = if clip > 0.0 { (clip / (norm + 1e-6)).min(1.0) } else { 1.0 };
        let by_muon = |spec: &Spec| step.optimiser == Optimiser::Muon && spec.is_hidden_matrix;
        let layers = self.gpt.config.layers;
        let is_learned = |spec: &Spec| is_within(spec, step.blocks(), layers);
        let own = &self.shared.pieces.own;
        // Whose turn it is does not depend on who owns a matrix.
        let is_due = |i: usize| (i as u64 + step.step).is_multiple_of(step.muon_every.max(1));
        let matrices = self.weights.plan.specs.iter().filter(|spec| by_muon(spec)).enumerate();
        let places: Vec<Place> = matrices
            .filter(|(_, spec)| is_learned(spec) && own.iter().any(|own| own.span == spec.span))
            .map(|(i, spec)| Place {
                start: spec.span.start,
                rows: spec.rows,
                cols: spec.cols,
                is_due: is_due(i),
            })
            .collect();
        let grads = &self.arenas[0];
        if !places.is_empty() {
            let muon = Muon { rate: step.matrix_rate, momentum: step.momentum, decay: step.decay };
            let (weights, momentum, squares) = (&mut self.weights.values, &mut self.first, &mut self.second);
            self.backend.muon(weights, grads, momentum, squares, &places, &muon);
        }
        for spec in own.iter().filter(|spec| !by_muon(spec) && is_learned(spec)) {
            let (weights, span) = (&mut self.weights.values, spec.span.clone());
            let decay = if spec.decay { step.decay } else { 0.0 };
            // Moments that begin later are corrected as if the run began with them.
            let late = step.early.filter(|early| !is_within(spec, Some(early.blocks), layers));
            let number = step.step - late.map_or(0, |early| early.steps);
            let step = AdamW {
                rate: step.rate,
                beta1: step.beta1,
                beta2: step.beta2,
                epsilon: step.epsilon,
                decay,
                step: number,
                scale: scale as f32,
            };
            self.backend.adamw(weights, grads, &mut self.first, &mut self.second, span, &step);
        }
    }

    /// A pass over these spans from which nothing is learned, and what it needs.
    fn looking<'a>(&'a mut self, spans: &'a [Span]) -> Looking<'a, B> {
        let weights = all(&self.base, &self.weights);
        let backend = &*self.backend;
        let lengths: Vec<usize> = spans.iter().map(|span| span.rows.len()).collect();
        self.cache.lay_out(&lengths);
        let pass = Pass { backend, weights, spans, output_rows: None, dropout: None, probe: () };
        (pass, &self.gpt, &mut self.memory, &mut self.cache, &mut self.logits)
    }

    /// The sum of nats and the number of counted tokens; nothing is learned. Where ranks divide weights,
    /// [`evaluate_among`](Self::evaluate_among).
    pub fn evaluate(&mut self, batch: &Batch) -> (f64, usize) {
        let spans = batch.spans();
        let (mut pass, gpt, memory, cache, logits) = self.looking(&spans);
        gpt.forward(&mut pass, &batch.inputs, memory, cache);
        let sum = gpt.loss(&mut pass, memory, &batch.targets, logits, &mut |_, _| {}, None);
        (sum, batch.counted())
    }
}

/// A pass, and what it needs.
type Looking<'a, B> = (Pass<'a, B, ()>, &'a Gpt, &'a mut Memory<B>, &'a mut Cache<B>, &'a mut Tensor<B>);
