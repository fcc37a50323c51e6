//! A model that reads one sequence: ids go in, logits come out, keys and values are kept.

use super::batch::forgotten;
use super::{Batch, Room};
use crate::backend::{Backend, CacheType};
use crate::model::Gpt;
use crate::probe::Probe;
use crate::weights::Weights;
use crate::{Error, Result};

/// The only slot.
const SLOT: usize = 0;

/// One sequence in front of a model: a [`Batch`] of one. All memory is taken at the start; feeding a token takes none.
pub struct Runner<'a, B: Backend> {
    batch: Batch<'a, B>,
    next: Vec<f32>,
    /// Ids that the logits come after; 0 before there are any.
    read: usize,
}

impl<'a, B: Backend> Runner<'a, B> {
    /// A sequence that may fill the model's whole context; keys and values are kept as they are.
    pub fn new(backend: &'a B, gpt: &'a Gpt, weights: Weights<'a, B>) -> Result<Self> {
        let positions = gpt.config.context;
        Runner::within(backend, gpt, weights, CacheType::F32, positions)
    }

    /// A sequence of at most so many positions; keys and values are kept as `cache` says.
    pub fn within(
        backend: &'a B,
        gpt: &'a Gpt,
        weights: Weights<'a, B>,
        cache: CacheType,
        positions: usize,
    ) -> Result<Self> {
        let batch = Batch::new(backend, gpt, weights, Room { slots: 1, positions, cache })?;
        Ok(Runner { batch, next: vec![0.0; gpt.config.vocabulary], read: 0 })
    }

    /// The model's plan.
    pub fn gpt(&self) -> &'a Gpt {
        self.batch.gpt()
    }

    /// What it has read.
    pub fn ids(&self) -> &[u32] {
        self.batch.ids(SLOT)
    }

    /// Positions left in the context.
    pub fn room(&self) -> usize {
        self.batch.room(SLOT)
    }

    /// Forgets everything after the first `len` ids.
    pub fn truncate(&mut self, len: usize) {
        self.batch.truncate(SLOT, len);
    }

    /// The logits of the next token, after the last id that was fed.
    ///
    /// # Errors
    /// Nothing was fed yet, or the last id was [truncated](Self::truncate).
    pub fn logits(&self) -> Result<&[f32]> {
        match self.read {
            0 => Err(Error::invalid_argument(
                "prompt",
                "nothing was read yet; a model needs at least one token to go on from",
            )),
            read if read > self.ids().len() => Err(forgotten()),
            _ => Ok(&self.next),
        }
    }

    /// Reads a prompt from its start. What it shares with what was read before is not computed again; the result is the
    /// same, bit for bit.
    ///
    /// # Errors
    /// The model cannot read it.
    pub fn prompt(&mut self, ids: &[u32]) -> Result<()> {
        self.batch.prompt(SLOT, ids)?;
        self.answer(0, self.ids().len())
    }

    /// Reads on: all of `ids` in one pass, after which [`logits`](Self::logits) tells the next token.
    ///
    /// # Errors
    /// The model cannot read them.
    pub fn feed(&mut self, ids: &[u32]) -> Result<()> {
        self.feed_watched(ids, ())
    }

    /// The same with a probe watching.
    ///
    /// # Errors
    /// The model cannot read them, or the probe wants what is not there.
    pub fn feed_watched<P: Probe>(&mut self, ids: &[u32], probe: P) -> Result<()> {
        self.batch.feed(&[(SLOT, ids)], probe)?;
        self.answer(0, self.ids().len())
    }

    /// Reads on and shows the logits after every one of `ids`: `each(i, logits)`, in order.
    ///
    /// # Errors
    /// The model cannot read them.
    pub fn feed_each(&mut self, ids: &[u32], each: &mut dyn FnMut(usize, &[f32])) -> Result<()> {
        self.batch.feed_each(SLOT, ids, &mut self.next, each)?;
        self.read = self.ids().len();
        Ok(())
    }

    /// Reads on, at most 64 ids; [`logits`](Self::logits) then tells what follows the first of them, and
    /// [`logits_after`](Self::logits_after) what follows the others.
    ///
    /// # Errors
    /// The model cannot read them, or there are more.
    pub fn feed_every(&mut self, ids: &[u32]) -> Result<()> {
        self.batch.feed_every(SLOT, ids)?;
        self.logits_after(0)
    }

    /// From now on [`logits`](Self::logits) tells what follows number `row` of the ids that were fed last.
    ///
    /// # Errors
    /// The last pass did not leave the logits after it, or it was truncated.
    pub fn logits_after(&mut self, row: usize) -> Result<()> {
        let read = self.batch.answer(row).unwrap_or(0);
        self.answer(row, read)
    }

    fn answer(&mut self, row: usize, read: usize) -> Result<()> {
        self.batch.logits(row, &mut self.next)?;
        self.read = read;
        Ok(())
    }
}
