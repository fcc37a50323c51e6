//! A model loaded: its plan, and its weights packed for a machine. All that running needs.

use std::sync::Arc;

use crate::backend::{Backend, CacheType, Packing};
use crate::generate::{Batch, Room, Runner};
use crate::model::Gpt;
use crate::weights::initialise::initialise;
use crate::weights::{Frozen, Weights};
use crate::{Config, Result};

/// A model on a machine.
pub struct Loaded<B: Backend> {
    /// How its runners keep keys and values.
    pub cache: CacheType,
    gpt: Gpt,
    weights: Arc<Frozen<B>>,
    backend: B,
}

impl<B: Backend> Loaded<B> {
    /// Weights that belong to a plan.
    pub fn new(backend: B, gpt: Gpt, weights: Frozen<B>, cache: CacheType) -> Self {
        Loaded { cache, gpt, weights: Arc::new(weights), backend }
    }

    /// The same weights on a machine that can use them where they are: the same processor with another number of threads.
    pub fn on(&self, backend: B) -> Self {
        let (cache, gpt, weights) = (self.cache, self.gpt.clone(), self.weights.clone());
        Loaded { cache, gpt, weights, backend }
    }

    /// A model of this shape as training would begin with it: to measure and to prove what does not depend on what was
    /// learned.
    ///
    /// # Errors
    /// It cannot be run, or there is too little memory.
    pub fn random(backend: B, config: &Config, packing: Packing, seed: u64) -> Result<Self> {
        let (gpt, plan) = Gpt::plan(config);
        gpt.can_run()?;
        let weights = Frozen::load(&backend, &plan, packing, &|spec, into| {
            let index = plan.specs.iter().position(|other| other.name == spec.name);
            initialise(spec, index.expect("a parameter of the plan"), config, seed, into);
            Ok(())
        })?;
        Ok(Loaded::new(backend, gpt, weights, cache_for(packing)))
    }

    /// Its shape.
    pub fn config(&self) -> &Config {
        &self.gpt.config
    }

    /// A sequence in front of it.
    pub fn runner(&self) -> Result<Runner<'_, B>> {
        self.runner_within(self.config().context)
    }

    /// A sequence of at most so many positions: less memory, and sooner ready.
    pub fn runner_within(&self, positions: usize) -> Result<Runner<'_, B>> {
        Runner::within(&self.backend, &self.gpt, Weights::Frozen(&self.weights), self.cache, positions)
    }

    /// So many sequences in front of it, of at most so many positions each.
    pub fn batch(&self, slots: usize, positions: usize) -> Result<Batch<'_, B>> {
        let room = Room { slots, positions, cache: self.cache };
        Batch::new(&self.backend, &self.gpt, Weights::Frozen(&self.weights), room)
    }

    /// Bytes of weights that a token reads: all but those of which it reads a row.
    pub fn read_bytes(&self) -> usize {
        let bytes = |index: usize| self.backend.bytes(self.weights.get(index)).len();
        let rows = self.gpt.tables().map(|table| bytes(table.index())).sum::<usize>();
        (0..self.weights.len()).map(bytes).sum::<usize>() - rows
    }

    /// Its layers.
    pub(crate) fn gpt(&self) -> &Gpt {
        &self.gpt
    }

    /// Its numbers.
    pub(crate) fn weights(&self) -> &Frozen<B> {
        &self.weights
    }

    /// The machine.
    pub fn backend(&self) -> &B {
        &self.backend
    }
}

/// Keys and values as they are beside weights as they are, else in 16 bits.
pub fn cache_for(packing: Packing) -> CacheType {
    if packing == Packing::F32 { CacheType::F32 } else { CacheType::Bf16 }
}
