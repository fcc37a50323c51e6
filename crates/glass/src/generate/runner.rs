//! A model at work on one sequence: ids go in, logits come out, keys and values are remembered.

use std::slice;

use crate::backend::{Backend, Span, Tensor};
use crate::memory::{Cache, Keep, Memory};
use crate::model::{Gpt, Pass};
use crate::probe::Probe;
use crate::weights::Weights;
use crate::{Error, Result};

/// Most rows whose logits stand at once while every row is scored.
const LOGIT_ROWS: usize = 64;

/// One sequence in front of a model. All memory is taken at the start; feeding a token takes none.
pub struct Runner<'a, B: Backend> {
    backend: &'a B,
    gpt: &'a Gpt,
    weights: Weights<'a, B>,
    memory: Memory<B>,
    cache: Cache<B>,
    logits: Tensor<B>,
    next: Vec<f32>,
    ids: Vec<u32>,
}

impl<'a, B: Backend> Runner<'a, B> {
    /// A sequence that may fill the model's whole context.
    pub fn new(backend: &'a B, gpt: &'a Gpt, weights: Weights<'a, B>) -> Result<Self> {
        gpt.can_run()?;
        let config = &gpt.config;
        let rows = LOGIT_ROWS.min(config.context);
        Ok(Runner {
            backend,
            gpt,
            weights,
            memory: Memory::new(backend, config, Keep::One, config.context, rows)?,
            cache: Cache::new(backend, config, Keep::All, 1, config.context)?,
            logits: Tensor::new(backend, rows, config.vocabulary)?,
            next: vec![0.0; config.vocabulary],
            ids: Vec::with_capacity(config.context),
        })
    }

    /// The model's plan.
    pub fn gpt(&self) -> &Gpt {
        self.gpt
    }

    /// What it has read.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Positions left in the context.
    pub fn room(&self) -> usize {
        self.gpt.config.context - self.ids.len()
    }

    /// Forgets everything after the first `len` ids.
    pub fn truncate(&mut self, len: usize) {
        self.ids.truncate(len);
    }

    /// The logits of the next token, after the last id that was fed.
    pub fn logits(&self) -> &[f32] {
        &self.next
    }

    /// Reads a prompt from its start. What it shares with what was read before is not computed again; the result is the
    /// same, bit for bit.
    pub fn prompt(&mut self, ids: &[u32]) -> Result<()> {
        let shared = ids.iter().zip(&self.ids).take_while(|(a, b)| a == b).count();
        // The last id is always computed: its vector holds the next token.
        self.truncate(shared.min(ids.len().saturating_sub(1)));
        self.feed(&ids[self.ids.len()..])
    }

    /// Reads on: all of `ids` in one pass, after which [`logits`](Self::logits) tells the next token.
    pub fn feed(&mut self, ids: &[u32]) -> Result<()> {
        self.feed_watched(ids, ())
    }

    /// The same with a probe watching.
    pub fn feed_watched<P: Probe>(&mut self, ids: &[u32], probe: P) -> Result<()> {
        let span = self.admit(ids)?;
        let mut pass = self.pass(&span, probe);
        self.gpt.forward(&mut pass, ids, &mut self.memory, &mut self.cache);
        self.gpt.next(&mut pass, &mut self.memory, &mut self.logits);
        self.backend.read(&self.logits.data, 0, &mut self.next);
        self.ids.extend_from_slice(ids);
        Ok(())
    }

    /// Reads on and shows the logits after every one of `ids`: `each(i, logits)`, in order.
    pub fn feed_each(&mut self, ids: &[u32], each: &mut dyn FnMut(usize, &[f32])) -> Result<()> {
        let span = self.admit(ids)?;
        let mut pass = self.pass(&span, ());
        self.gpt.forward(&mut pass, ids, &mut self.memory, &mut self.cache);
        for start in (0..ids.len()).step_by(LOGIT_ROWS) {
            let rows = start..ids.len().min(start + LOGIT_ROWS);
            self.gpt.logits(&mut pass, rows.clone(), &mut self.memory, &mut self.logits);
            for (at, row) in rows.enumerate() {
                self.backend.read(&self.logits.data, at * self.next.len(), &mut self.next);
                each(row, &self.next);
            }
        }
        self.ids.extend_from_slice(ids);
        Ok(())
    }

    fn pass<'s, P: Probe>(&self, span: &'s Span, probe: P) -> Pass<'s, B, P>
    where
        'a: 's,
    {
        Pass {
            backend: self.backend,
            weights: self.weights,
            spans: slice::from_ref(span),
            chance: None,
            probe,
        }
    }

    /// Where `ids` go, if the model can read them.
    fn admit(&self, ids: &[u32]) -> Result<Span> {
        let (vocabulary, context) = (self.gpt.config.vocabulary, self.gpt.config.context);
        if ids.is_empty() {
            return Err(Error::asked(
                "prompt",
                "it is empty; a model needs at least one token to go on from",
            ));
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
            return Err(Error::asked(
                "ids",
                format!("{id} is not in the model's vocabulary of {vocabulary} tokens"),
            ));
        }
        if ids.len() > self.room() {
            let all = self.ids.len() + ids.len();
            return Err(Error::asked(
                "context",
                format!("{all} tokens do not fit in the model's context of {context}; give a shorter text"),
            ));
        }
        Ok(Span { rows: 0..ids.len(), slot: 0, past: self.ids.len() })
    }
}
