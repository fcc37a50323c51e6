//! A batch: several sequences are read together. One pass extends each of them, and weights are read once for all.

mod check;
mod parts;

pub use parts::{EachLogits, Part};

use std::sync::Arc;

use crate::backend::{Backend, BlockTable, CacheType, Span, Tensor};
use crate::memory::{BRANCHES, Cache, Keep, Memory, PASS_ROWS};
use crate::model::{Gpt, Pass};
use crate::probe::{Ahead, Probe};
use crate::weights::Weights;
use crate::weights::adapter::{Adapter, Adapters};
use crate::{Error, Result};

/// Most rows whose logits are in memory at once while every row is scored.
const LOGIT_ROWS: usize = 64;

/// The sizes that memory is allocated for.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The number of sequences.
    pub slots: usize,
    /// The positions of each; at most the model's context is used.
    pub positions: usize,
    /// The type of keys and values.
    pub cache: CacheType,
}

/// A slot, and the ids that it reads.
type Ids<'p> = (usize, &'p [u32]);

/// Several sequences, each in its own slot; any of them may be extended, alone or with others. The result for a
/// sequence is the same, bit for bit, whatever the other slots hold. All memory is allocated at the start; reading
/// allocates none.
pub struct Batch<'a, B: Backend> {
    backend: &'a B,
    gpt: &'a Gpt,
    weights: Weights<'a, B>,
    /// The adapters of slots and of their branches, if any has one.
    adapters: Vec<Option<Arc<Adapter<B>>>>,
    memory: Memory<B>,
    cache: Cache<B>,
    logits: Tensor<B>,
    /// The ids that were read, by slot.
    ids: Vec<Vec<u32>>,
    /// Positions of each slot that were written since it was last empty.
    written: Vec<usize>,
    spans: Vec<Span>,
    /// The rows of each span that the pass ends with.
    outputs: Vec<Span>,
    /// The ids of all spans of the pass.
    rows: Vec<u32>,
    /// For each row of logits of the last pass: the slot, and the number of its ids that the logits follow.
    answers: Vec<(usize, usize)>,
    /// Slots for branches that the pass uses so far.
    branches: usize,
    /// For every slot whose guesses the pass reads: the slot of the first branch of their tree.
    first_branch: Vec<usize>,
}

impl<'a, B: Backend> Batch<'a, B> {
    /// A batch with the sizes of `room`.
    pub fn new(backend: &'a B, gpt: &'a Gpt, weights: Weights<'a, B>, room: Room) -> Result<Self> {
        let config = &gpt.config;
        let positions = room.positions.min(config.context);
        let rows = positions.min(PASS_ROWS).max(room.slots);
        let cache = Cache::new(backend, config, room.cache, room.slots, positions, rows)?;
        Batch::over(backend, gpt, weights, cache, rows)
    }

    /// A batch whose sequences share a memory of `blocks` blocks of 64 positions, which are given to slots by
    /// [`place`](Self::place); a pass reads at most `rows` ids, and at least one of each slot.
    ///
    /// # Errors
    /// If the model cannot be run, or there is too little memory.
    pub fn shared(
        backend: &'a B,
        gpt: &'a Gpt,
        weights: Weights<'a, B>,
        room: Room,
        rows: usize,
        blocks: usize,
    ) -> Result<Self> {
        let positions = room.positions.min(gpt.config.context);
        let cache = Cache::shared(backend, &gpt.config, room.cache, room.slots, positions, blocks)?;
        Batch::over(backend, gpt, weights, cache, rows.max(room.slots))
    }

    fn over(
        backend: &'a B,
        gpt: &'a Gpt,
        weights: Weights<'a, B>,
        cache: Cache<B>,
        rows: usize,
    ) -> Result<Self> {
        let (config, slots, positions) = (&gpt.config, cache.slots(), cache.positions());
        let wanted = slots.max(LOGIT_ROWS.min(rows));
        Ok(Batch {
            backend,
            gpt,
            weights,
            adapters: Vec::new(),
            memory: Memory::new(backend, config, Keep::One, rows, wanted)?,
            cache,
            logits: Tensor::new(backend, wanted, config.vocabulary)?,
            ids: (0..slots).map(|_| Vec::with_capacity(positions)).collect(),
            written: vec![0; slots],
            spans: Vec::with_capacity(slots),
            outputs: Vec::with_capacity(slots),
            rows: Vec::with_capacity(rows),
            answers: Vec::with_capacity(wanted),
            branches: 0,
            first_branch: vec![slots; slots],
        })
    }

    /// The model's plan.
    pub fn gpt(&self) -> &'a Gpt {
        self.gpt
    }

    /// The number of sequences there is memory for.
    pub fn slots(&self) -> usize {
        self.ids.len()
    }

    /// The ids that a slot has read; empty if there is no such slot.
    pub fn ids(&self, slot: usize) -> &[u32] {
        self.ids.get(slot).map_or(&[], Vec::as_slice)
    }

    /// The positions left in a slot's context; 0 if there is no such slot.
    pub fn room(&self, slot: usize) -> usize {
        self.ids.get(slot).map_or(0, |ids| self.positions() - ids.len())
    }

    /// The largest number of positions of a sequence.
    pub fn positions(&self) -> usize {
        self.cache.positions()
    }

    /// The largest number of rows in one pass.
    pub fn rows(&self) -> usize {
        self.memory.residual.capacity()
    }

    /// Changes which blocks of a [shared](Self::shared) memory the slots have.
    pub fn place(&mut self, change: impl Fn(&mut BlockTable)) {
        self.cache.map(change);
    }

    /// Changes the weights for what a slot reads from now on. What it read before was read without; it must be dropped first.
    ///
    /// # Errors
    /// If the model has an adapter of its own.
    pub fn adapt(&mut self, slot: usize, adapter: Option<Arc<Adapter<B>>>) -> Result<()> {
        if adapter.is_some() && !matches!(self.weights, Weights::Frozen(_)) {
            let why = "the model is changed by an adapter already, or its weights are not packed";
            return Err(Error::invalid_argument("adapter", why));
        }
        if adapter.is_some() && self.adapters.is_empty() {
            self.adapters.resize_with(self.ids.len() + BRANCHES, || None);
        }
        if let Some(own) = self.adapters.get_mut(slot) {
            *own = adapter;
        }
        if self.adapters.iter().all(Option::is_none) {
            self.adapters.clear();
        }
        Ok(())
    }

    /// Takes `ids` as read next by a slot: its blocks hold their keys and values already.
    pub fn assume(&mut self, slot: usize, ids: &[u32]) {
        self.ids[slot].extend_from_slice(ids);
    }

    /// Drops everything in a slot after its first `len` ids; a slot that does not exist has read nothing. If that is more than a
    /// pass may add, layers with windows may have forgotten what the next id sees: then all is dropped.
    pub fn truncate(&mut self, slot: usize, len: usize) {
        if len >= self.ids(slot).len() {
            return;
        }
        let kept = if self.cache.keeps(&self.gpt.config, len, self.written[slot]) { len } else { 0 };
        self.ids[slot].truncate(kept);
        if kept == 0 {
            self.written[slot] = 0;
        }
    }

    /// Reads a prompt in a slot from its start. The prefix it shares with what was read before is not computed
    /// again; the result is the same, bit for bit.
    ///
    /// # Errors
    /// As for [`feed`](Self::feed).
    pub fn prompt(&mut self, slot: usize, ids: &[u32]) -> Result<()> {
        let shared = ids.iter().zip(self.ids(slot)).take_while(|(a, b)| a == b).count();
        // The last id is always computed: its vector gives the next token.
        self.truncate(slot, shared.min(ids.len().saturating_sub(1)));
        let read = self.ids(slot).len();
        self.feed(&[(slot, &ids[read..])], ())
    }

    /// Extends some slots: `(slot, ids)` each, no slot twice; in one pass if there are at most [`rows`](Self::rows) ids in total.
    /// Afterwards [`logits`](Self::logits) gives the logits of each one's next token, in the given order.
    ///
    /// # Errors
    /// If the model cannot read one of them, or the probe wants something that does not exist. Nothing is read
    /// then.
    pub fn feed<P: Probe>(&mut self, parts: &[(usize, &[u32])], mut probe: P) -> Result<()> {
        if parts.is_empty() {
            self.answers.clear();
            return Ok(());
        }
        let last = self.read_ahead(parts, &mut probe)?;
        let parts = last.as_deref().unwrap_or(parts);
        self.admit(parts.iter().copied())?;
        self.announce(&mut probe)?;
        // A probe sees all rows of the last block too.
        let only = if P::ACTIVE { Outputs::All } else { Outputs::Last };
        self.forward(probe, only, |gpt, pass, memory, logits| gpt.next(pass, memory, logits));
        self.answers.extend(self.spans.iter().map(|span| (span.slot, span.past + span.rows.len())));
        Ok(())
    }

    /// Of parts with more ids than a pass has rows, reads as many as leave few enough, and returns what is left.
    fn read_ahead<'p, P: Probe>(&mut self, parts: &[Ids<'p>], probe: &mut P) -> Result<Option<Vec<Ids<'p>>>> {
        if parts.iter().map(|(_, ids)| ids.len()).sum::<usize>() <= self.rows() {
            return Ok(None);
        }
        self.check(parts.iter().copied())?;
        // There is a row for every slot.
        let share = self.rows() / parts.len();
        let mut left = Vec::with_capacity(parts.len());
        for &(slot, mut ids) in parts {
            while ids.len() > share {
                let (now, later) = ids.split_at(self.rows().min(ids.len() - share));
                self.admit([(slot, now)])?;
                self.announce(probe)?;
                let only = if P::ACTIVE { Outputs::All } else { Outputs::Last };
                self.forward(&mut *probe, only, |_, _, _, _| ());
                ids = later;
            }
            left.push((slot, ids));
        }
        Ok(Some(left))
    }

    /// Announces a pass over the admitted parts to the probe.
    fn announce<P: Probe>(&self, probe: &mut P) -> Result<()> {
        let (config, spans) = (&self.gpt.config, self.spans.as_slice());
        match P::ACTIVE {
            true => probe.begin(&Ahead { config, spans, first: 0, whole: false, only_last: false }),
            false => Ok(()),
        }
    }

    /// Extends one slot by at most 64 ids; afterwards [`logits`](Self::logits) gives the logits after each of them.
    ///
    /// # Errors
    /// As for [`feed`](Self::feed), and if there are more ids.
    pub fn feed_every(&mut self, slot: usize, ids: &[u32]) -> Result<()> {
        if ids.len() > LOGIT_ROWS {
            let why = format!("{} ids; the logits after at most {LOGIT_ROWS} are kept", ids.len());
            return Err(Error::invalid_argument("ids", why));
        }
        self.admit([(slot, ids)])?;
        let past = self.ids[slot].len();
        self.forward((), Outputs::All, |gpt, pass, memory, logits| {
            gpt.logits(pass, 0..ids.len(), memory, logits)
        });
        self.answers.extend((1..=ids.len()).map(|read| (slot, past + read)));
        Ok(())
    }

    /// Extends one slot and passes the logits after every one of `ids` to `each(i, logits)`, in order. Afterwards
    /// `next` holds the logits after the last one.
    ///
    /// # Errors
    /// As for [`feed`](Self::feed).
    pub fn feed_each(
        &mut self,
        slot: usize,
        ids: &[u32],
        next: &mut [f32],
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<()> {
        self.check_logits(next.len())?;
        self.check([(slot, ids)])?;
        let (backend, most) = (self.backend, self.rows());
        for (number, ids) in ids.chunks(most).enumerate() {
            self.admit([(slot, ids)])?;
            self.forward((), Outputs::All, |gpt, pass, memory, logits| {
                for start in (0..ids.len()).step_by(LOGIT_ROWS) {
                    let rows = start..ids.len().min(start + LOGIT_ROWS);
                    gpt.logits(pass, rows.clone(), memory, logits);
                    for (at, row) in rows.enumerate() {
                        backend.read(&logits.data, at * next.len(), next);
                        each(number * most + row, next);
                    }
                }
            });
        }
        Ok(())
    }

    /// The logits in row `row` of the last pass, `[vocabulary]`.
    ///
    /// # Errors
    /// If the last pass left no such row, or the ids before it were truncated.
    pub fn logits(&self, row: usize, into: &mut [f32]) -> Result<()> {
        self.check_logits(into.len())?;
        let Some(&(slot, read)) = self.answers.get(row) else {
            let why = match self.answers.len() {
                0 => "there are no logits yet; read a prompt first".to_string(),
                rows => format!("row {row} is not among the {rows} of the last pass, counted from 0"),
            };
            return Err(Error::invalid_argument("logits", why));
        };
        if read > self.ids(slot).len() {
            return Err(forgotten());
        }
        self.backend.read(&self.logits.data, row * self.logits.cols, into);
        Ok(())
    }

    /// The vector that a row of logits was computed from, `[width]`.
    pub(super) fn vector(&self, row: usize, into: &mut [f32]) {
        self.backend.read(&self.memory.wanted.data, row * into.len(), into);
    }

    /// The number of ids in its slot that a row of logits follows.
    pub(super) fn answer(&self, row: usize) -> Option<usize> {
        self.answers.get(row).map(|(_, read)| *read)
    }

    fn check_logits(&self, len: usize) -> Result<()> {
        match self.gpt.config.vocabulary {
            vocabulary if len == vocabulary => Ok(()),
            vocabulary => {
                let why = format!("room for {len} of the {vocabulary} tokens was given");
                Err(Error::invalid_argument("logits", why))
            }
        }
    }

    /// Checks `parts` and sets `spans` and `rows`, if the model can read all of them in one pass.
    fn admit<'p>(&mut self, parts: impl IntoIterator<Item = (usize, &'p [u32])> + Clone) -> Result<()> {
        self.check(parts.clone())?;
        let all: usize = parts.clone().into_iter().map(|(_, ids)| ids.len()).sum();
        // Parts that do not fit are refused: the memory for a pass is fixed.
        if all > self.rows() {
            let why = format!("{all} ids; a pass has room for {}, so read some of them first", self.rows());
            return Err(Error::invalid_argument("parts", why));
        }
        self.spans.clear();
        self.rows.clear();
        self.branches = 0;
        for (slot, ids) in parts {
            let start = self.rows.len();
            self.rows.extend_from_slice(ids);
            self.spans.push(Span { rows: start..self.rows.len(), slot, past: self.ids[slot].len() });
        }
        Ok(())
    }

    /// One pass over the admitted parts; after the last block only with the rows that are needed; then `end`.
    fn forward<P: Probe>(
        &mut self,
        probe: P,
        outputs: Outputs<'_>,
        end: impl FnOnce(&Gpt, &mut Pass<'_, B, P>, &mut Memory<B>, &mut Tensor<B>),
    ) {
        let (backend, spans) = (self.backend, self.spans.as_slice());
        let weights = match (self.weights, self.adapters.is_empty()) {
            (Weights::Frozen(own), false) => Weights::Adapted(own, Adapters::BySlot(&self.adapters)),
            (own, _) => own,
        };
        self.answers.clear();
        self.outputs.clear();
        let mut row = 0;
        for (number, span) in spans.iter().enumerate() {
            let kept = match outputs {
                Outputs::All => span.rows.len(),
                Outputs::Last => 1,
                Outputs::Each(wanted) => wanted(number, span.rows.len()).max(1),
            };
            let past = span.past + span.rows.len() - kept;
            self.outputs.push(Span { rows: row..row + kept, slot: span.slot, past });
            row += kept;
        }
        let output_rows = Some(self.outputs.as_slice()).filter(|_| row < self.rows.len());
        let mut pass = Pass { backend, weights, spans, output_rows, dropout: None, probe };
        self.gpt.forward(&mut pass, &self.rows, &mut self.memory, &mut self.cache);
        end(self.gpt, &mut pass, &mut self.memory, &mut self.logits);
        for span in &self.spans {
            // What branches read may never become final.
            if let Some(ids) = self.ids.get_mut(span.slot) {
                ids.extend_from_slice(&self.rows[span.rows.clone()]);
                self.written[span.slot] = self.written[span.slot].max(ids.len());
            }
        }
    }
}

/// The rows of each span that are computed after the keys and values of the last block.
enum Outputs<'a> {
    /// All of them.
    All,
    /// The last.
    Last,
    /// As many of the last as this says for each span and its rows, and at least one.
    Each(&'a dyn Fn(usize, usize) -> usize),
}

/// An error: the ids that logits follow were truncated.
pub(super) fn forgotten() -> Error {
    let why = "the ids before them were truncated; feed the last id again";
    Error::invalid_argument("logits", why)
}

/// The last row of each span, renumbered.
pub(crate) fn ends(spans: &[Span]) -> impl Iterator<Item = Span> {
    let end = |(row, span): (usize, &Span)| Span {
        rows: row..row + 1,
        slot: span.slot,
        past: span.past + span.rows.len() - 1,
    };
    spans.iter().enumerate().map(end)
}
