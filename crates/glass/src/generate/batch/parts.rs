//! Passes of which the caller says, for every sequence, which rows are read and which logits are wanted; and trees of guesses.

use super::{Batch, Outputs};
use crate::backend::{Backend, Span};
use crate::guess::{Rows, Tree};
use crate::memory::BRANCHES;
use crate::probe::Probe;
use crate::{Error, Result};

/// Takes logits of a pass, some rows at a time: `(part, i)` of every row, `[rows, vocabulary]`, and the vectors that they were
/// computed from, `[rows, width]`.
pub type EachLogits<'a> = dyn FnMut(&[(usize, usize)], &[f32], &[f32]) + 'a;

/// What a pass adds to one sequence.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The sequence's slot.
    pub slot: usize,
    /// The ids to read; at least one.
    pub ids: &'a [u32],
    /// Guesses after the last of them: the tree, and its rows.
    pub guesses: Option<(&'a Tree, &'a Rows)>,
    /// The logits after this many of the last rows are wanted; after all of them if there are guesses.
    pub wanted: usize,
    /// Whether a probe sees all of its rows. Otherwise it may miss those of the last block whose logits are not wanted.
    pub seen: bool,
}

impl Part<'_> {
    /// Rows that the pass reads.
    fn rows(&self) -> usize {
        self.ids.len() + self.guesses.map_or(0, |(tree, _)| tree.len())
    }
}

impl<B: Backend> Batch<'_, B> {
    /// Extends some slots in one pass, no slot twice, at most [`rows`](Self::rows) rows in total. The wanted logits are
    /// passed to `each(rows, logits, vectors)`, some rows at a time, so that they are never all in memory: `(part, i)` of every
    /// row, in the order of the parts and `i` counted from a part's first wanted row, and what [`EachLogits`] says.
    ///
    /// Afterwards a slot with guesses has read the first chain of its tree; [`keep`](Self::keep) says what was right.
    ///
    /// # Errors
    /// As for [`feed`](Self::feed).
    pub fn read<P: Probe>(
        &mut self,
        parts: &[Part<'_>],
        mut probe: P,
        each: &mut EachLogits<'_>,
    ) -> Result<()> {
        let of_spans = self.admit_parts(parts)?;
        self.announce(&mut probe)?;
        let (backend, most) = (self.backend, self.logits.capacity());
        let wanted = |part: usize| match parts[part].guesses {
            Some(_) => parts[part].rows(),
            None => parts[part].wanted.min(parts[part].ids.len()),
        };
        let kept = |span: usize, rows: usize| {
            let part = of_spans[span];
            let all = parts[part].seen || parts[part].guesses.is_some();
            if all { rows } else { wanted(part) }
        };
        self.forward(probe, Outputs::Each(&kept), |gpt, pass, memory, logits| {
            // Of every part: where its rows end among those that are left.
            let mut ends = vec![0; parts.len()];
            for (span, part) in pass.spans.iter().zip(&of_spans) {
                ends[*part] = span.rows.end;
            }
            let of = |part: usize| {
                let first = ends[part] - wanted(part);
                (first..ends[part]).enumerate().map(move |(i, row)| ((part, i), row))
            };
            let (names, rows): (Vec<(usize, usize)>, Vec<usize>) = (0..parts.len()).flat_map(of).unzip();
            for (names, rows) in names.chunks(most).zip(rows.chunks(most)) {
                gpt.logits(pass, rows.iter().copied(), memory, logits);
                let vectors = backend.view(&memory.wanted.data, 0..memory.wanted.len());
                each(names, &backend.view(&logits.data, 0..logits.len()), &vectors);
            }
        });
        Ok(())
    }

    /// Reads an id and guesses after it, at most 64 rows; afterwards [`logits`](Self::logits) gives the logits after each row of
    /// the tree, and [`keep`](Self::keep) says what was right.
    ///
    /// # Errors
    /// As for [`feed`](Self::feed), and if there are more rows.
    pub fn feed_tree(&mut self, slot: usize, id: u32, tree: &Tree, rows: &Rows) -> Result<()> {
        let part = Part { slot, ids: &[id], guesses: Some((tree, rows)), wanted: 0, seen: true };
        if part.rows() > self.logits.capacity() {
            let why =
                format!("{} rows; the logits after at most {} are kept", part.rows(), self.logits.capacity());
            return Err(Error::invalid_argument("guesses", why));
        }
        self.admit_parts(&[part])?;
        let past = self.ids[slot].len();
        self.forward((), Outputs::All, |gpt, pass, memory, logits| {
            gpt.logits(pass, 0..rows.nodes.len(), memory, logits)
        });
        self.answers.extend(rows.nodes.iter().map(|&node| (slot, past + 1 + tree.depth(node))));
        Ok(())
    }

    /// Of the tree that was just read in a slot, whose node 0 is the last of its first `read` ids, the guesses up to `row` were
    /// right: they are what the slot has read.
    pub fn keep(&mut self, slot: usize, read: usize, tree: &Tree, rows: &Rows, row: usize) {
        let chain = rows.chain_of(row);
        let depth = tree.depth(rows.nodes[row]);
        if chain > 0 {
            let branch = self.first_branch[slot] + chain - 1;
            let first = rows.leaves_first(chain);
            self.cache.keep_branch(self.backend, branch, slot, read - 1 + first..read + depth);
            self.ids[slot].truncate(read - 1 + first);
            let path = rows.path(row).into_iter().filter(|&node| tree.depth(node) >= first);
            self.ids[slot].extend(path.map(|node| tree.id(node)));
        }
        self.truncate(slot, read + depth);
    }

    /// Checks parts and sets `spans` and `rows`, if the model can read all of them in one pass. Returns the part of each span.
    fn admit_parts(&mut self, parts: &[Part<'_>]) -> Result<Vec<usize>> {
        let all: usize = parts.iter().map(Part::rows).sum();
        let branches = |part: &Part<'_>| part.guesses.map_or(0, |(_, rows)| rows.chains.len() - 1);
        let guesses = parts.iter().any(|part| part.guesses.is_some());
        if guesses && all > self.rows() || parts.iter().map(branches).sum::<usize>() > BRANCHES {
            let why = format!("{all} rows; a pass has room for {}, and for {BRANCHES} branches", self.rows());
            return Err(Error::invalid_argument("parts", why));
        }
        let deepest = |part: &Part<'_>| part.guesses.map_or(0, |(_, rows)| rows.chains[0].rows.len() - 1);
        for part in parts {
            let (room, needed) = (self.room(part.slot), part.ids.len() + deepest(part));
            let guessed =
                part.guesses.into_iter().flat_map(|(tree, _)| (1..=tree.len()).map(|node| tree.id(node)));
            if needed > room && part.ids.len() <= room
                || guessed.into_iter().any(|id| id as usize >= self.gpt.config.vocabulary)
            {
                return Err(Error::invalid_argument(
                    "guesses",
                    "they do not fit in the context or the vocabulary",
                ));
            }
        }
        self.admit(parts.iter().map(|part| (part.slot, part.ids)))?;
        self.spans.clear();
        self.rows.clear();
        let mut of_spans = Vec::with_capacity(parts.len());
        for (number, part) in parts.iter().enumerate() {
            let (slot, past, start) = (part.slot, self.ids[part.slot].len(), self.rows.len());
            self.rows.extend_from_slice(part.ids);
            let Some((tree, rows)) = part.guesses else {
                self.spans.push(Span { rows: start..self.rows.len(), slot, past });
                of_spans.push(number);
                continue;
            };
            self.rows.extend(rows.nodes[1..].iter().map(|&node| tree.id(node)));
            // Row 0 of the tree is the last of the ids.
            let (before, slots) = (part.ids.len() - 1, self.ids.len());
            let first = slots + self.branches;
            self.first_branch[slot] = first;
            for (number_of_chain, chain) in rows.chains.iter().enumerate() {
                let at = start + before + chain.rows.start..start + before + chain.rows.end;
                let span = match number_of_chain {
                    0 => Span { rows: start..at.end, slot, past },
                    _ => {
                        let of = if chain.from == 0 { slot } else { first + chain.from - 1 };
                        let (branch, begin) = (first + number_of_chain - 1, past + before + chain.depth);
                        let len = at.len();
                        self.cache.map(|table| table.branch(branch, of, begin, len));
                        if !self.adapters.is_empty() {
                            self.adapters[branch] = self.adapters[slot].clone();
                        }
                        Span { rows: at, slot: branch, past: begin }
                    }
                };
                self.spans.push(span);
                of_spans.push(number);
            }
            self.branches += rows.chains.len() - 1;
        }
        Ok(of_spans)
    }
}
