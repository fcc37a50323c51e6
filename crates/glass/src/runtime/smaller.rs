//! A smaller model with the same vocabulary guesses what a larger one says (Leviathan et al. 2023).

use std::sync::Arc;

use super::Model;
use crate::Result;
use crate::backend::Backend;
use crate::generate::Runner;
use crate::guess::{Candidate, Drafter, Drafting, MOST, Tree, likeliest};

/// Guesses with a model, on the back end of the larger one.
pub(super) struct Smaller<'a, B: Backend> {
    pub backend: &'a B,
    pub model: &'a Model<B>,
}

impl<'a, B: Backend> Drafter<'a> for Smaller<'a, B> {
    fn begin(self: Arc<Self>) -> Result<Box<dyn Drafting + 'a>> {
        let Smaller { backend, model } = *self;
        let (weights, context) = (model.adapted(), model.config().context);
        let runner = Runner::within(backend, model.gpt(), weights, model.cache, context)?;
        Ok(Box::new(Sequence { runner, text: Vec::new() }))
    }
}

/// The same text, read by the smaller model.
struct Sequence<'a, B: Backend> {
    runner: Runner<'a, B>,
    /// What it read last.
    text: Vec<u32>,
}

impl<B: Backend> Drafting for Sequence<'_, B> {
    fn see(&mut self, _: &[f32]) {}

    fn find(&mut self, ids: &[u32], tree: &Tree, node: usize, found: &mut [Candidate; MOST]) -> usize {
        self.text.clear();
        self.text.extend_from_slice(ids);
        tree.path(node, &mut self.text);
        // What does not fit in its context, it does not guess.
        match self.runner.prompt(&self.text).and_then(|()| self.runner.logits()) {
            Ok(logits) => likeliest(logits, self.temperature(), found),
            Err(_) => 0,
        }
    }

    fn temperature(&self) -> f32 {
        1.0
    }
}
