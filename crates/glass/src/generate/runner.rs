//! A runner: reads one sequence and gives logits; keys and values are kept.

use std::sync::Arc;

use super::batch::forgotten;
use super::{Batch, Room};
use crate::backend::{Backend, CacheType};
use crate::guess::{Chances, Costs, Draft, Drafter, Rows, Tree};
use crate::model::Gpt;
use crate::probe::Probe;
use crate::weights::Weights;
use crate::{Error, Result};

/// The only slot.
const SLOT: usize = 0;

/// One sequence of a model: a [`Batch`] of one. All memory is allocated at the start; feeding a token allocates
/// none.
pub struct Runner<'a, B: Backend> {
    batch: Batch<'a, B>,
    next: Vec<f32>,
    /// The vector that these logits come from.
    vector: Vec<f32>,
    /// The number of ids that the logits follow; 0 before there are any.
    read: usize,
    /// What was learned to guess the model's text, if anything was.
    pub draft: Option<&'a Draft>,
    /// What else guesses it.
    pub drafter: Option<Arc<dyn Drafter<'a> + 'a>>,
    /// What passes cost.
    pub costs: Costs,
    /// How often guesses were right.
    pub(super) chances: Chances,
}

impl<'a, B: Backend> Runner<'a, B> {
    /// A sequence that may fill the model's whole context; keys and values are stored as f32.
    pub fn new(backend: &'a B, gpt: &'a Gpt, weights: Weights<'a, B>) -> Result<Self> {
        let positions = gpt.config.context;
        Runner::within(backend, gpt, weights, CacheType::F32, positions)
    }

    /// A sequence of at most `positions` positions; keys and values are stored as `cache`.
    pub fn within(
        backend: &'a B,
        gpt: &'a Gpt,
        weights: Weights<'a, B>,
        cache: CacheType,
        positions: usize,
    ) -> Result<Self> {
        let batch = Batch::new(backend, gpt, weights, Room { slots: 1, positions, cache })?;
        Ok(Runner {
            batch,
            next: vec![0.0; gpt.config.vocabulary],
            vector: vec![0.0; gpt.config.width],
            read: 0,
            draft: None,
            drafter: None,
            costs: Costs::new(None),
            chances: Chances::default(),
        })
    }

    /// The model's plan.
    pub fn gpt(&self) -> &'a Gpt {
        self.batch.gpt()
    }

    /// The ids that were read.
    pub fn ids(&self) -> &[u32] {
        self.batch.ids(SLOT)
    }

    /// The positions left in the context.
    pub fn room(&self) -> usize {
        self.batch.room(SLOT)
    }

    /// Drops everything after the first `len` ids, or all ([`Batch::truncate`]).
    pub fn truncate(&mut self, len: usize) {
        self.batch.truncate(SLOT, len);
    }

    /// The logits of the next token, after the last id that was fed.
    ///
    /// # Errors
    /// If nothing was fed yet, or the last id was [truncated](Self::truncate).
    pub fn logits(&self) -> Result<&[f32]> {
        match self.read {
            0 => Err(Error::invalid_argument(
                "prompt",
                "nothing was read yet; a model needs at least one token to continue from",
            )),
            read if read > self.ids().len() => Err(forgotten()),
            _ => Ok(&self.next),
        }
    }

    /// The vector that [`logits`](Self::logits) come from, unless they were left by [`feed_each`](Self::feed_each).
    pub(super) fn vector(&self) -> &[f32] {
        &self.vector
    }

    /// Reads a prompt from its start. The prefix it shares with what was read before is not computed again; the
    /// result is the same, bit for bit.
    ///
    /// # Errors
    /// If the model cannot read it.
    pub fn prompt(&mut self, ids: &[u32]) -> Result<()> {
        self.batch.prompt(SLOT, ids)?;
        self.answer(0, self.ids().len())
    }

    /// Reads all of `ids`; afterwards [`logits`](Self::logits) gives the logits of the next token.
    ///
    /// # Errors
    /// If the model cannot read them.
    pub fn feed(&mut self, ids: &[u32]) -> Result<()> {
        self.feed_watched(ids, ())
    }

    /// The same with a probe.
    ///
    /// # Errors
    /// If the model cannot read them, or the probe wants something that does not exist.
    pub fn feed_watched<P: Probe>(&mut self, ids: &[u32], probe: P) -> Result<()> {
        self.batch.feed(&[(SLOT, ids)], probe)?;
        self.answer(0, self.ids().len())
    }

    /// Reads `ids` and passes the logits after every one of them to `each(i, logits)`, in order.
    ///
    /// # Errors
    /// If the model cannot read them.
    pub fn feed_each(&mut self, ids: &[u32], each: &mut dyn FnMut(usize, &[f32])) -> Result<()> {
        self.batch.feed_each(SLOT, ids, &mut self.next, each)?;
        self.read = self.ids().len();
        Ok(())
    }

    /// Reads at most 64 ids; afterwards [`logits`](Self::logits) gives the logits after the first of them, and
    /// [`logits_after`](Self::logits_after) those after the others.
    ///
    /// # Errors
    /// If the model cannot read them, or there are more.
    pub fn feed_every(&mut self, ids: &[u32]) -> Result<()> {
        self.batch.feed_every(SLOT, ids)?;
        self.logits_after(0)
    }

    /// Reads an id and guesses after it, at most 64 rows; afterwards [`logits`](Self::logits) gives the logits after the id, and
    /// [`logits_after`](Self::logits_after) those after each row.
    ///
    /// # Errors
    /// If the model cannot read them, or there are more.
    pub fn feed_tree(&mut self, id: u32, tree: &Tree, rows: &Rows) -> Result<()> {
        self.batch.feed_tree(SLOT, id, tree, rows)?;
        self.logits_after(0)
    }

    /// Of the tree that was just read, whose node 0 is the last of the first `read` ids, the guesses up to `row` were right.
    pub fn keep(&mut self, read: usize, tree: &Tree, rows: &Rows, row: usize) {
        self.batch.keep(SLOT, read, tree, rows, row);
    }

    /// From now on [`logits`](Self::logits) gives the logits after number `row` of the ids that were fed last.
    ///
    /// # Errors
    /// If the last pass did not leave the logits after it, or it was truncated.
    pub fn logits_after(&mut self, row: usize) -> Result<()> {
        let read = self.batch.answer(row).unwrap_or(0);
        self.answer(row, read)
    }

    fn answer(&mut self, row: usize, read: usize) -> Result<()> {
        self.batch.logits(row, &mut self.next)?;
        self.batch.vector(row, &mut self.vector);
        self.read = read;
        Ok(())
    }
}
