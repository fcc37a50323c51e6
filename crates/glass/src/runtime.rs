//! A loaded model: its plan, and its weights packed for a back end. Nothing else is needed to run it.

mod smaller;

use std::sync::Arc;

use crate::backend::{Backend, CacheType, Packing};
use crate::generate::{Batch, Room, Runner};
use crate::guess::head::{Loaded, Speculator};
use crate::guess::{Clock, Costs, Draft, Drafter};
use crate::model::Gpt;
use crate::weights::adapter::{Adapter, Adapters};
use crate::weights::initialise::initialise;
use crate::weights::{Frozen, Weights};
use crate::{Config, Error, Result};
use smaller::Smaller;

/// A loaded model.
pub struct Model<B: Backend> {
    /// The type in which its runners store keys and values.
    pub cache: CacheType,
    /// What measures passes, so that as many tokens are guessed as save time on this machine.
    pub clock: Option<Clock>,
    /// A smaller model with the same vocabulary that guesses its text.
    smaller: Option<Arc<Model<B>>>,
    /// What was learned to guess its text, if it was read (see [`open_draft`](crate::text_model::TextModel::open_draft)), and its head.
    draft: Option<Arc<Draft>>,
    head: Option<Arc<Loaded<B>>>,
    gpt: Gpt,
    weights: Arc<Frozen<B>>,
    /// What is added to them.
    adapter: Option<Arc<Adapter<B>>>,
    backend: B,
}

impl<B: Backend> Model<B> {
    /// A model from weights that belong to a plan.
    pub fn new(backend: B, gpt: Gpt, weights: Frozen<B>, cache: CacheType) -> Self {
        let weights = Arc::new(weights);
        Model {
            cache,
            smaller: None,
            clock: None,
            draft: None,
            head: None,
            gpt,
            weights,
            adapter: None,
            backend,
        }
    }

    /// The same weights, shared, on a back end that can use them: the same processor with another number of threads.
    pub fn on(&self, backend: B) -> Self {
        Model {
            cache: self.cache,
            smaller: self.smaller.clone(),
            clock: self.clock,
            draft: self.draft.clone(),
            head: self.head.clone(),
            gpt: self.gpt.clone(),
            weights: self.weights.clone(),
            adapter: self.adapter.clone(),
            backend,
        }
    }

    /// A model of this configuration with random weights, as at the start of training: for measurements and checks
    /// that do not depend on training.
    ///
    /// # Errors
    /// If the model cannot be run, or there is too little memory.
    pub fn random(backend: B, config: &Config, packing: Packing, seed: u64) -> Result<Self> {
        let (gpt, plan) = Gpt::plan(config);
        let weights = Frozen::load(&backend, &plan, packing, &|spec, into| {
            let index = plan.specs.iter().position(|other| other.name == spec.name);
            initialise(spec, index.expect("a parameter of the plan"), config, seed, into);
            Ok(())
        })?;
        Ok(Model::new(backend, gpt, weights, cache_for(packing)))
    }

    /// Its shape.
    pub fn config(&self) -> &Config {
        &self.gpt.config
    }

    /// A runner for one sequence.
    pub fn runner(&self) -> Result<Runner<'_, B>> {
        self.runner_within(self.config().context)
    }

    /// A runner for one sequence of at most this many positions, which takes less memory.
    pub fn runner_within(&self, positions: usize) -> Result<Runner<'_, B>> {
        let weights = self.adapted();
        let mut runner = Runner::within(&self.backend, &self.gpt, weights, self.cache, positions)?;
        (runner.draft, runner.costs) = (self.draft(), Costs::new(self.clock));
        runner.drafter = self.drafter()?;
        Ok(runner)
    }

    /// Guesses its text from this from now on.
    ///
    /// # Errors
    /// If there is too little memory.
    pub fn guess_from(&mut self, draft: Option<Draft>) -> Result<()> {
        let head = draft.as_ref().and_then(Draft::head).cloned();
        let load = |head| Loaded::new(&self.backend, &self.gpt, &self.weights, head).map(Arc::new);
        self.head = head.map(load).transpose()?;
        (self.draft, self.smaller) = (draft.map(Arc::new), None);
        Ok(())
    }

    /// Guesses its text with a smaller model from now on.
    ///
    /// # Errors
    /// If that has another vocabulary.
    pub fn guess_with(&mut self, smaller: Model<B>) -> Result<()> {
        let [own, other] = [self.config(), smaller.config()].map(|config| config.vocabulary);
        if own != other {
            let why = format!("it has {other} tokens, and the model has {own}; a draft needs the same ones");
            return Err(Error::invalid_argument("the draft", why));
        }
        (self.draft, self.head, self.smaller) = (None, None, Some(Arc::new(smaller)));
        Ok(())
    }

    /// What was learned to guess its text, if anything was.
    pub fn draft(&self) -> Option<&Draft> {
        self.draft.as_deref()
    }

    /// Guesses as a smaller model would, with this one.
    pub(crate) fn as_smaller(&self) -> Arc<dyn Drafter<'_> + '_> {
        Arc::new(Smaller { backend: &self.backend, model: self })
    }

    /// What guesses its text with a state for each sequence: a smaller model, or a head.
    ///
    /// # Errors
    /// If there is too little memory.
    pub(crate) fn drafter(&self) -> Result<Option<Arc<dyn Drafter<'_> + '_>>> {
        if let Some(smaller) = &self.smaller {
            return Ok(Some(Arc::new(Smaller { backend: &self.backend, model: smaller })));
        }
        let Some(head) = &self.head else { return Ok(None) };
        Ok(Some(Arc::new(Speculator::new(&self.backend, &self.gpt, &self.weights, head)?)))
    }

    /// A batch of this many sequences of at most this many positions each.
    pub fn batch(&self, slots: usize, positions: usize) -> Result<Batch<'_, B>> {
        let room = Room { slots, positions, cache: self.cache };
        Batch::new(&self.backend, &self.gpt, self.adapted(), room)
    }

    /// Bytes of weights read per token: all except tables, of which it reads one row.
    pub fn read_bytes(&self) -> usize {
        let bytes = |index: usize| self.backend.bytes(self.weights.get(index)).len();
        let rows = self.gpt.tables().map(|table| bytes(table.index())).sum::<usize>();
        (0..self.weights.len()).map(bytes).sum::<usize>() - rows
    }

    /// Runs with the change that an adapter makes from now on.
    pub fn adapt(&mut self, adapter: Option<Arc<Adapter<B>>>) {
        self.adapter = adapter;
    }

    /// The adapter that changes it, if one does.
    pub fn adapter(&self) -> Option<&Adapter<B>> {
        self.adapter.as_deref()
    }

    /// Its weights with their change, as passes take them.
    pub(crate) fn adapted(&self) -> Weights<'_, B> {
        match &self.adapter {
            None => Weights::Frozen(&self.weights),
            Some(adapter) => Weights::Adapted(&self.weights, Adapters::One(adapter.lend())),
        }
    }

    /// Its layers.
    pub(crate) fn gpt(&self) -> &Gpt {
        &self.gpt
    }

    /// Its weights.
    pub(crate) fn weights(&self) -> &Frozen<B> {
        &self.weights
    }

    /// The back end.
    pub fn backend(&self) -> &B {
        &self.backend
    }
}

/// The default type of keys and values: f32 if the weights are f32, otherwise 16 bits.
pub fn cache_for(packing: Packing) -> CacheType {
    if packing == Packing::F32 { CacheType::F32 } else { CacheType::Bf16 }
}
