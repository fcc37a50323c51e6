//! What a learner's arenas begin with, and their copies: for checkpoints, for tests, and where ranks divide them.

use super::pieces::is_within;
use super::{Arena, Early, Learner, PART};
use crate::backend::Backend;
use crate::fingerprint::Fingerprint;
use crate::plan::{Spec, Start};
use crate::weights::Read;
use crate::weights::initialise::initialise;
use crate::{Error, Result};

impl<B: Backend> Learner<B> {
    /// Initialises the weights from a seed, as GPT-2 does.
    pub fn initialise(&mut self, seed: u64) {
        self.initialise_early(seed, None);
    }

    /// The same, but blocks from number `early` on begin as if they were not there: what they add to the residual is 0. So a run can
    /// begin without them.
    pub fn initialise_early(&mut self, seed: u64, early: Option<Early>) {
        let (plan, layers) = (self.weights.plan.clone(), self.gpt.config.layers);
        let blocks = early.map(|early| early.blocks);
        self.start = Fingerprint::default();
        for (index, spec) in plan.specs.iter().enumerate() {
            let mut values = vec![0.0; spec.span.len()];
            if spec.start != Start::Residual || is_within(spec, blocks, layers) {
                initialise(spec, index, &self.gpt.config, seed, &mut values);
            }
            self.begin_with(spec, &values);
        }
    }

    /// Loads given weights.
    pub fn load(&mut self, read: &Read<'_>) -> Result<()> {
        let plan = self.weights.plan.clone();
        self.start = Fingerprint::default();
        for spec in &plan.specs {
            let mut values = vec![0.0; spec.span.len()];
            read(spec, &mut values)?;
            self.begin_with(spec, &values);
        }
        Ok(())
    }

    /// Gives a parameter its first values; where ranks divide weights, only of what this rank owns.
    fn begin_with(&mut self, spec: &Spec, values: &[f32]) {
        self.backend.write(&mut self.weights.values, spec.span.start, values);
        if self.shared.divides_weights() {
            values.iter().for_each(|value| self.start.add(value.to_bits()));
            for span in self.shared.pieces.of_others_in(&spec.span, self.shared.ranks.rank()) {
                self.backend.release(&mut self.weights.values, span);
            }
        }
    }

    /// Where ranks divide weights, a fingerprint of all those that it was [initialised](Self::initialise) with or [loaded](Self::load).
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn start(&self) -> String {
        self.start.to_string()
    }

    /// Refuses what reads all weights at once where ranks divide them.
    pub(crate) fn has_all_weights(&self) -> Result<()> {
        if self.divides_weights() {
            let why = "weights are divided, but a loss of preferences reads all of them at once; divide gradients only";
            return Err(Error::invalid_argument("divide", why));
        }
        Ok(())
    }

    /// Whether ranks divide the weights.
    pub fn divides_weights(&self) -> bool {
        self.shared.divides_weights()
    }

    /// Copies the current values of one parameter; where ranks divide weights, only what this rank owns, or was
    /// [called](Self::call_all).
    pub fn read(&self, spec: &Spec, into: &mut [f32]) {
        self.backend.read(&self.weights.values, spec.span.start, into);
    }

    /// Copies one parameter's gradient after the last step; where ranks share the work, only its owner has it.
    pub fn read_gradient(&self, spec: &Spec, into: &mut [f32]) {
        self.backend.read(&self.arenas[0], spec.span.start, into);
    }

    /// Copies a part of an arena, from float `at` on; of moments that other ranks own, zeros.
    pub fn read_arena(&self, which: Arena, at: usize, into: &mut [f32]) {
        self.backend.read(self.buffer(which), at, into);
    }

    fn buffer(&self, which: Arena) -> &B::Buffer {
        match which {
            Arena::Weights => &self.weights.values,
            Arena::First => &self.first,
            Arena::Second => &self.second,
        }
    }

    /// Passes an arena to `see` in consecutive parts, so that it is never in memory twice. All ranks must call it for what is
    /// [divided](Self::is_divided), and only rank 0 sees it.
    pub fn arena_parts(&self, which: Arena, see: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()> {
        if self.is_divided(which) {
            return self.shared.collect(&*self.backend, self.buffer(which), see);
        }
        let len = self.weights.plan.len();
        let mut part = vec![0.0; PART.min(len)];
        for at in (0..len).step_by(PART) {
            let part = &mut part[..PART.min(len - at)];
            self.read_arena(which, at, part);
            see(part)?;
        }
        Ok(())
    }

    /// Restores an arena from the consecutive parts that `fill` gives. All ranks must call it, and only rank 0 is asked.
    pub fn set_arena_parts(
        &mut self,
        which: Arena,
        fill: &mut dyn FnMut(&mut [f32]) -> Result<()>,
    ) -> Result<()> {
        let buffer = match which {
            Arena::Weights => &mut self.weights.values,
            Arena::First => &mut self.first,
            Arena::Second => &mut self.second,
        };
        let all = which == Arena::Weights && !self.shared.divides_weights();
        self.shared.spread(&*self.backend, buffer, all, fill)
    }

    /// Whether every rank has only its own pieces of an arena.
    pub fn is_divided(&self, which: Arena) -> bool {
        match which {
            Arena::Weights => self.shared.divides_weights(),
            Arena::First | Arena::Second => !self.shared.is_alone(),
        }
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
        let buffer = match which {
            Arena::Weights => &mut self.weights.values,
            Arena::First => &mut self.first,
            Arena::Second => &mut self.second,
        };
        self.backend.write(buffer, 0, values);
    }
}
