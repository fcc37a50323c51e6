//! A scheduler: many requests, one engine. Requests join and leave between passes; a prompt is read in chunks beside the
//! sequences that are being continued (chunked prefill, Agrawal et al. 2023); sequences that begin alike share their keys and
//! values ([`prefixes`]). None of it changes a bit of an answer: it depends on the request alone.
//!
//! It has no clock, no thread and no socket: whoever owns it calls [`Scheduler::pass`] as long as there is work.

pub mod prefixes;
mod request;
mod sequence;
mod watch;

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

pub use request::{Attribute, Constraint, Event, LensRow, Request, Seen, SeenRow, Watch};

use super::batch::{Batch, Part, Room};
use prefixes::Prefixes;
use sequence::{Ending, Sequence};
use watch::{Watched, Watching};

use crate::backend::{BLOCK, Backend, CacheType};
use crate::inspect::Inspector;
use crate::memory::Cache;
use crate::runtime::Model;
use crate::tokens::Tokenizer;
use crate::weights::Weights;
use crate::{Error, Result};

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

    fn most(self) -> usize {
        self.beside(0)
    }
}

/// The oldest prompt gets at least this share of a chunk.
const OLDEST: usize = 4;

/// Rows in a pass up to which guessed tokens cost little.
const GUESSING_ROWS: usize = 16;

/// Rows that the lens reads at once.
const LENS_ROWS: usize = 64;

/// The sizes of a scheduler.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Sequences that run together; more wait.
    pub slots: usize,
    /// Bytes for keys and values, of running sequences and kept prefixes together.
    pub cache_bytes: u64,
    /// Rows of prompts in a pass.
    pub chunk: Chunk,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { slots: 16, cache_bytes: 1 << 30, chunk: Chunk::Fair }
    }
}

/// A request's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// What a scheduler did, since it was made, and does now.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Requests that wait for a slot or for memory.
    pub waiting: usize,
    /// Requests that run.
    pub running: usize,
    /// Passes.
    pub passes: u64,
    /// Rows of all passes.
    pub rows: u64,
    /// Positions of prompts that were computed.
    pub prompt: u64,
    /// Positions of prompts whose keys and values were computed before.
    pub cached: u64,
    /// Passes that read a part of a prompt.
    pub prompts: u64,
    /// Passes that read a part of a prompt beside sequences that were being continued.
    pub mixed: u64,
    /// Tokens that were drawn.
    pub drawn: u64,
    /// Tokens that were guessed.
    pub guessed: u64,
    /// Guesses that were right.
    pub right: u64,
    /// Passes in which something was watched.
    pub watched: u64,
    /// Blocks of 64 positions: of running sequences, kept for later ones, in all, and dropped so far.
    pub blocks: [u64; 4],
    /// Bytes of a block.
    pub block_bytes: u64,
}

/// Requests that run together on one model.
pub struct Scheduler<'a, B: Backend> {
    model: &'a Model<B>,
    tokenizer: Option<&'a Tokenizer>,
    batch: Batch<'a, B>,
    /// Made when the first request asks for it.
    inspector: Option<Inspector<'a, B>>,
    prefixes: Prefixes,
    chunk: Chunk,
    waiting: VecDeque<(Ticket, Request)>,
    /// In the order of their arrival.
    running: Vec<Sequence<'a>>,
    slots: Vec<usize>,
    next: u64,
    counters: Counters,
}

/// What a pass reads of a sequence.
struct Share {
    /// Its place among the running ones.
    at: usize,
    rows: usize,
    wanted: usize,
}

/// Bytes of keys and values of a block of positions, of all layers.
pub fn block_bytes<B: Backend>(model: &Model<B>) -> u64 {
    4 * Cache::<B>::block_floats(model.config(), model.cache) * model.config().layers as u64
}

impl<'a, B: Backend> Scheduler<'a, B> {
    /// A scheduler for a model; texts are made with `tokenizer`.
    ///
    /// # Errors
    /// If there is too little memory, or not enough of it for one sequence of the whole context.
    pub fn new(model: &'a Model<B>, tokenizer: Option<&'a Tokenizer>, settings: Settings) -> Result<Self> {
        let (context, bytes) = (model.config().context, block_bytes(model));
        let blocks = usize::try_from(settings.cache_bytes / bytes.max(1)).unwrap_or(usize::MAX);
        let (least, most) = (context.div_ceil(BLOCK), context.div_ceil(BLOCK).saturating_mul(1 << 16));
        if blocks < least || settings.slots == 0 {
            let why = format!(
                "{} bytes for {} sequences; one sequence of {context} tokens takes {}",
                settings.cache_bytes,
                settings.slots,
                least as u64 * bytes
            );
            return Err(Error::invalid_argument("the cache's memory", why));
        }
        let blocks = blocks.min(most);
        let room = Room { slots: settings.slots, positions: context, cache: model.cache };
        let rows = settings.chunk.most() + settings.slots + GUESSING_ROWS;
        let weights = Weights::Frozen(model.weights());
        Ok(Scheduler {
            model,
            tokenizer,
            batch: Batch::shared(model.backend(), model.gpt(), weights, room, rows, blocks)?,
            inspector: None,
            prefixes: Prefixes::new(blocks),
            chunk: settings.chunk,
            waiting: VecDeque::new(),
            running: Vec::with_capacity(settings.slots),
            slots: (0..settings.slots).rev().collect(),
            next: 0,
            counters: Counters { block_bytes: bytes, ..Counters::default() },
        })
    }

    /// The type of its keys and values.
    pub fn cache(&self) -> CacheType {
        self.model.cache
    }

    /// Positions that a request's sequence can have: all tokens but the last drawn one take one.
    fn positions(&self, request: &Request) -> usize {
        let drawn = request.options.tokens.saturating_sub(1);
        request.prompt.len().saturating_add(drawn).min(self.batch.positions())
    }

    /// Refuses a request that cannot be run; everything that a client can cause is found here.
    ///
    /// # Errors
    /// It names the field, what was given, and what is possible.
    pub fn check(&self, request: &Request) -> Result<()> {
        let (config, prompt) = (self.model.config(), &request.prompt);
        let refuse = |what: &str, why: String| Err(Error::invalid_argument(what, why));
        if prompt.is_empty() {
            return refuse("prompt", "it is empty; a model needs at least one token to continue from".into());
        }
        if let Some(id) = prompt.iter().find(|&&id| id as usize >= config.vocabulary) {
            let of = config.vocabulary;
            return refuse("prompt", format!("{id} is not in the model's vocabulary of {of} tokens"));
        }
        let positions = self.batch.positions();
        if prompt.len() > positions {
            let len = prompt.len();
            return refuse(
                "prompt",
                format!("its {len} tokens do not fit in the model's context of {positions}"),
            );
        }
        if request.top > config.vocabulary {
            return refuse("top", format!("{} of {} tokens", request.top, config.vocabulary));
        }
        request.options.sampling.check(config.vocabulary)?;
        let need = self.positions(request).div_ceil(BLOCK);
        if need > self.prefixes.all() {
            let (need, has) = (need * BLOCK, self.prefixes.all() * BLOCK);
            return refuse("prompt", format!("it needs {need} positions; the cache's memory has {has}"));
        }
        match &request.watch {
            Some(watch) => watch.check(config, prompt.len(), self.positions(request)),
            None => Ok(()),
        }
    }

    /// Adds a request behind all others.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub fn submit(&mut self, request: Request) -> Result<Ticket> {
        self.check(&request)?;
        self.next += 1;
        let ticket = Ticket(self.next);
        self.waiting.push_back((ticket, request));
        Ok(ticket)
    }

    /// Drops a request, wherever it is; nobody else notices. Its place is free for the next pass.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.waiting.retain(|(other, _)| *other != ticket);
        if let Some(at) = self.running.iter().position(|sequence| sequence.ticket == ticket) {
            self.leave(at);
        }
    }

    /// Forgets the prefixes that no running request uses.
    pub fn forget(&mut self) {
        self.prefixes.clear();
    }

    /// What it did and does.
    pub fn counters(&self) -> Counters {
        let blocks = [self.prefixes.in_use(), self.prefixes.kept(), self.prefixes.all()].map(|n| n as u64);
        let [used, kept, all] = blocks;
        Counters {
            waiting: self.waiting.len(),
            running: self.running.len(),
            blocks: [used, kept, all, self.prefixes.evicted()],
            ..self.counters
        }
    }

    /// Whether nothing waits and nothing runs.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// One pass over what runs; `each` is told what happened, in the order of arrival. False if there was nothing to do.
    pub fn pass(&mut self, each: &mut dyn FnMut(Ticket, Event)) -> bool {
        self.admit(each);
        let shares = self.plan();
        if shares.is_empty() {
            return false;
        }
        if let Err(error) = self.read(&shares) {
            self.fail(&shares, error);
        }
        self.settle(&shares);
        self.look_inside();
        self.deliver(each);
        true
    }

    /// Gives slots and memory to requests that wait, in their order.
    fn admit(&mut self, each: &mut dyn FnMut(Ticket, Event)) {
        while let Some((_, request)) = self.waiting.front() {
            let need = self.positions(request).div_ceil(BLOCK);
            if self.slots.is_empty() || !self.prefixes.reserve(need) {
                return;
            }
            let (ticket, request) = self.waiting.pop_front().expect("it was at the front");
            let slot = self.slots.pop().expect("one is free");
            let (gpt, positions) = (self.model.gpt(), self.batch.positions());
            self.batch.truncate(slot, 0);
            match Sequence::new(ticket, slot, request, gpt, self.tokenizer, positions, need) {
                Ok(sequence) => self.running.push(sequence),
                Err(error) => {
                    self.prefixes.unreserve(need);
                    self.slots.push(slot);
                    each(ticket, Event::Failed(error));
                }
            }
        }
    }

    /// What the next pass reads of whom.
    fn plan(&mut self) -> Vec<Share> {
        let continued = self.running.iter().filter(|sequence| sequence.decodes()).count();
        let guesses = GUESSING_ROWS.saturating_sub(continued).checked_div(continued).unwrap_or(0);
        let mut shares = Vec::with_capacity(self.running.len());
        for (at, sequence) in self.running.iter_mut().enumerate().filter(|(_, s)| s.decodes()) {
            sequence.make_guess(guesses);
            let rows = 1 + sequence.guess.len();
            shares.push(Share { at, rows, wanted: rows });
        }
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
        for share in &shares {
            self.make_room(share.at, share.rows);
        }
        shares.sort_by_key(|share| share.at);
        shares
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
                self.counters.cached += BLOCK as u64;
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

    /// The pass itself, and a draw wherever logits are wanted.
    fn read(&mut self, shares: &[Share]) -> Result<()> {
        let mut ids = Vec::with_capacity(shares.iter().map(|share| share.rows).sum());
        for share in shares {
            let sequence = &self.running[share.at];
            let next = if sequence.decodes() { 1 } else { share.rows };
            ids.extend_from_slice(&sequence.ids[sequence.read..sequence.read + next]);
            ids.extend_from_slice(&sequence.guess);
        }
        let mut rest = ids.as_slice();
        let part = |share: &Share| {
            let (ids, after) = rest.split_at(share.rows);
            rest = after;
            let sequence = &self.running[share.at];
            let seen = sequence
                .watched
                .as_ref()
                .is_some_and(|watched| watched.concerns(sequence.positions(share.rows)));
            Part { slot: sequence.slot, ids, wanted: share.wanted, seen }
        };
        let parts: Vec<Part<'_>> = shares.iter().map(part).collect();
        // A watched sequence's probe sees its own rows, while its other half takes the logits.
        let mut watched: Vec<Option<Watched>> = (shares.iter())
            .map(|share| {
                let sequence = &mut self.running[share.at];
                let positions = sequence.positions(share.rows);
                sequence.watched.take_if(|watched| watched.concerns(positions))
            })
            .collect();
        let seen: Vec<&mut Watched> = watched.iter_mut().flatten().collect();
        self.counters.watched += u64::from(!seen.is_empty());
        let backend = self.model.backend();
        let vocabulary = self.model.config().vocabulary;
        let mut sequences: Vec<Mutex<&mut Sequence<'a>>> = Vec::with_capacity(shares.len());
        let mut places = shares.iter().map(|share| share.at).peekable();
        for (at, sequence) in self.running.iter_mut().enumerate() {
            if places.next_if_eq(&at).is_some() {
                sequences.push(Mutex::new(sequence));
            }
        }
        let mut draw = |rows: &[(usize, usize)], logits: &[f32]| {
            let of = |(part, _): &(usize, usize)| *part;
            let starts: Vec<usize> =
                (0..rows.len()).filter(|&row| row == 0 || of(&rows[row - 1]) != of(&rows[row])).collect();
            backend.on_host(starts.len(), &|task| {
                let end = starts.get(task + 1).copied().unwrap_or(rows.len());
                let sequence = &sequences[of(&rows[starts[task]])];
                let mut sequence = sequence.lock().unwrap_or_else(PoisonError::into_inner);
                let first = shares[of(&rows[starts[task]])].rows - shares[of(&rows[starts[task]])].wanted;
                for row in starts[task]..end {
                    sequence.take(first + rows[row].1, &logits[row * vocabulary..][..vocabulary]);
                }
            });
        };
        let done = match seen.is_empty() {
            true => self.batch.read(&parts, (), &mut draw),
            false => self.batch.read(&parts, Watching(seen), &mut draw),
        };
        drop(sequences);
        for (share, watched) in shares.iter().zip(watched) {
            let sequence = &mut self.running[share.at];
            sequence.watched = sequence.watched.take().or(watched);
        }
        done
    }

    /// The pass could not be made: nobody who had a part in it goes on.
    fn fail(&mut self, shares: &[Share], error: Error) {
        let why = error.to_string();
        for share in shares {
            let sequence = &mut self.running[share.at];
            sequence.ended = Some(Ending::Failed(Error::invalid("the pass", &why)));
        }
    }

    /// What the pass read is final up to the last right guess.
    fn settle(&mut self, shares: &[Share]) {
        self.counters.passes += 1;
        let (mut continued, mut prompts) = (false, false);
        for share in shares {
            let sequence = &mut self.running[share.at];
            let decoded = sequence.decodes();
            self.counters.rows += share.rows as u64;
            match decoded {
                true => continued = true,
                false => {
                    prompts = true;
                    self.counters.prompt += share.rows as u64;
                }
            }
            self.counters.guessed += sequence.guess.len() as u64;
            if matches!(sequence.ended, Some(Ending::Failed(_))) {
                continue;
            }
            self.counters.right += sequence.advance(share.rows) as u64;
            self.batch.truncate(sequence.slot, sequence.read);
            let known = sequence.known;
            sequence.publish(&mut self.prefixes);
            for &block in &sequence.blocks[known..sequence.known] {
                self.batch.place(|table| table.seal(block));
            }
        }
        self.counters.prompts += u64::from(prompts);
        self.counters.mixed += u64::from(continued && prompts);
    }

    /// Lens and attribution of what the pass saw.
    fn look_inside(&mut self) {
        for sequence in &mut self.running {
            let logits = sequence.logits.is_some();
            let Some(watched) = sequence.watched.as_mut().filter(|watched| watched.waits(logits)) else {
                continue;
            };
            if self.inspector.is_none() {
                match Inspector::new(self.model, LENS_ROWS.min(self.model.config().context), 1) {
                    Ok(inspector) => self.inspector = Some(inspector),
                    Err(error) => {
                        sequence.ended = Some(Ending::Failed(error));
                        continue;
                    }
                }
            }
            let inspector = self.inspector.as_mut().expect("it was just made");
            let mut done = watched.read_lens(inspector);
            if let Some(logits) = sequence.logits.as_ref().filter(|_| watched.attributes()) {
                done = done.and_then(|()| watched.attribute(inspector, sequence.prompt - 1, logits));
            }
            if let Err(error) = done {
                sequence.ended = Some(Ending::Failed(error));
            }
        }
    }

    /// Tells what happened; those who are done leave.
    fn deliver(&mut self, each: &mut dyn FnMut(Ticket, Event)) {
        let mut at = 0;
        while at < self.running.len() {
            let sequence = &mut self.running[at];
            let ticket = sequence.ticket;
            for event in sequence.events.drain(..) {
                self.counters.drawn += u64::from(matches!(event, Event::Token { .. }));
                each(ticket, event);
            }
            match sequence.ended.take() {
                None => at += 1,
                Some(ending) => {
                    let sequence = self.leave(at);
                    each(
                        ticket,
                        match ending {
                            Ending::Done(finish) => sequence.finish(finish),
                            Ending::Failed(error) => Event::Failed(error),
                        },
                    );
                }
            }
        }
    }

    /// Takes a sequence out; its slot and its memory are free.
    fn leave(&mut self, at: usize) -> Sequence<'a> {
        let sequence = self.running.remove(at);
        self.batch.truncate(sequence.slot, 0);
        self.prefixes.unreserve(sequence.reserved);
        self.prefixes.release(sequence.blocks.iter().copied());
        self.slots.push(sequence.slot);
        sequence
    }
}
