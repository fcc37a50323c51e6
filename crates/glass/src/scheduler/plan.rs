//! What the next pass reads of whom.

use std::collections::HashSet;

use super::prefixes::Prefixes;
use super::sequence::Sequence;
use super::watch::Watched;
use crate::backend::{BLOCK, Backend};
use crate::generate::Batch;
use crate::guess::{Costs, Guesser, grow_together};
use crate::memory::BRANCHES;

/// How many rows of prompts a pass reads.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Chunk {
    /// Beside sequences that are being continued, about as many as double the time of a pass; else many.
    #[default]
    Fair,
    /// This many at most.
    Rows(usize),
}

impl Chunk {
    /// Beside `continued` sequences that wait for their next token.
    ///
    /// A row of a prompt takes about half the time of a row by itself, so two for each sequence double the time; with few
    /// sequences the time is that of reading the weights, and sixteen rows take as long again.
    fn beside(self, continued: usize) -> usize {
        match self {
            Chunk::Fair if continued == 0 => 256,
            Chunk::Fair => (2 * continued).clamp(16, 128),
            Chunk::Rows(rows) => rows.max(1),
        }
    }

    /// At most this many.
    pub(super) fn most(self) -> usize {
        self.beside(0)
    }
}

/// The oldest prompt gets at least this share of a chunk.
const OLDEST: usize = 4;

/// Guesses in a pass, of all sequences together.
pub(super) const GUESSES: usize = 64;

/// What a pass reads of a sequence.
pub(super) struct Share {
    /// Its place among the running ones.
    pub at: usize,
    pub rows: usize,
    pub wanted: usize,
}

impl Share {
    /// The rows that are no guesses.
    pub fn ids(&self, sequence: &Sequence<'_>) -> usize {
        if sequence.decodes() { 1 } else { self.rows }
    }
}

/// What a plan is made from.
pub(super) struct Planner<'p, 'a, B: Backend> {
    pub running: &'p mut [Sequence<'a>],
    pub prefixes: &'p mut Prefixes,
    pub batch: &'p mut Batch<'a, B>,
    pub chunk: Chunk,
    pub costs: &'p Costs,
    /// Positions of prompts whose keys and values were computed before.
    pub cached: &'p mut u64,
}

impl<B: Backend> Planner<'_, '_, B> {
    /// What the next pass reads of whom.
    pub fn plan(&mut self) -> Vec<Share> {
        let continued = self.running.iter().filter(|sequence| sequence.decodes()).count();
        let mut shares = Vec::with_capacity(self.running.len());
        let mut left = self.chunk.beside(continued);
        let mut reading = self.readers();
        // The shortest first, so that few wait for long; but the oldest always goes on.
        if let Some(&oldest) = reading.first() {
            let rows = self.rows(oldest, left.div_ceil(OLDEST));
            let mut kept = rows;
            reading.sort_by_key(|&at| self.running[at].unread());
            for at in reading {
                if at == oldest {
                    kept = 0;
                }
                let rows = self.rows(at, left - kept.min(left));
                if rows > 0 {
                    left -= rows;
                    let sequence = &self.running[at];
                    let ends = sequence.read + rows == sequence.prompt;
                    let wanted = if sequence.wants_all_logits() { rows } else { usize::from(ends) };
                    shares.push(Share { at, rows, wanted });
                }
            }
        }
        let prompts = shares.iter().map(|share| share.rows).sum();
        self.guess(continued, prompts);
        for (at, sequence) in self.running.iter().enumerate().filter(|(_, sequence)| sequence.decodes()) {
            let rows = 1 + sequence.guesser.tree().len();
            shares.push(Share { at, rows, wanted: rows });
        }
        for share in &shares {
            let sequence = &self.running[share.at];
            let positions = if sequence.decodes() { sequence.rows.chains[0].rows.len() } else { share.rows };
            self.make_room(share.at, positions);
        }
        shares.sort_by_key(|share| share.at);
        shares
    }

    /// Guesses how the sequences that are being continued go on: as many tokens as make the pass, which reads `prompts` rows of
    /// prompts too, worth more. With many sequences, guesses give way to them.
    fn guess(&mut self, continued: usize, prompts: usize) {
        let chains = 1 + BRANCHES.checked_div(continued).unwrap_or(0);
        let tries = continued != 1 || prompts > 0 || self.costs.tries();
        let decoding = self.running.iter_mut().filter(|sequence| sequence.decodes());
        let mut guessers: Vec<&mut Guesser<'_>> = decoding
            .map(|sequence| {
                sequence.begin_guessing(chains, tries);
                &mut sequence.guesser
            })
            .collect();
        if guessers.iter().any(|guesser| guesser.is_active()) {
            grow_together(&mut guessers, continued + prompts, GUESSES, self.costs);
        }
        self.running.iter_mut().filter(|sequence| sequence.decodes()).for_each(Sequence::end_guessing);
    }

    /// The sequences whose prompts are being read, after they took what others have computed; without those that wait for a
    /// block that another one is computing.
    fn readers(&mut self) -> Vec<usize> {
        let mut computed = HashSet::new();
        let mut reading = Vec::new();
        for at in 0..self.running.len() {
            let sequence = &mut self.running[at];
            if sequence.decodes() {
                continue;
            }
            while let Some(key) = sequence.next_key()
                && let Some((block, before)) = self.prefixes.share(&key)
            {
                let (slot, place) = (sequence.slot, sequence.blocks.len());
                self.batch.place(|table| table.share(slot, place, block));
                self.batch.assume(slot, &sequence.ids[sequence.read..sequence.read + BLOCK]);
                sequence.adopt(block, before);
                *self.cached += BLOCK as u64;
            }
            let waits = sequence.next_key().is_some_and(|key| computed.contains(&key));
            if !waits {
                computed.extend(sequence.computing());
                reading.push(at);
            }
        }
        reading
    }

    /// How many rows of its prompt a sequence reads if there is room for `most`.
    fn rows(&self, at: usize, most: usize) -> usize {
        let sequence = &self.running[at];
        let rows = sequence.unread().min(most);
        // What is watched begins with a pass of its own.
        let cut = sequence.watched.as_ref().map_or(0, Watched::cut);
        if sequence.read < cut { rows.min(cut - sequence.read) } else { rows }
    }

    /// Takes the blocks that a sequence needs for these rows.
    fn make_room(&mut self, at: usize, rows: usize) {
        let sequence = &mut self.running[at];
        while sequence.blocks.len() * BLOCK < sequence.read + rows {
            let (slot, place, block) = (sequence.slot, sequence.blocks.len(), self.prefixes.take());
            self.batch.place(|table| table.give(slot, place, block));
            sequence.blocks.push(block);
            sequence.reserved -= 1;
        }
    }
}
