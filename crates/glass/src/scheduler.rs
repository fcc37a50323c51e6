//! A scheduler: many requests, one engine. Requests join and leave between passes; a prompt is read in chunks beside the
//! sequences that are being continued (chunked prefill, Agrawal et al. 2023); sequences that begin alike share their keys and
//! values ([`prefixes`]). None of it changes a bit of an answer: it depends on the request alone.
//!
//! It has no clock, no thread and no socket: whoever owns it calls [`Scheduler::pass`] as long as there is work.

mod counters;
mod pass;
mod plan;
pub mod prefixes;
mod request;
mod sequence;
mod watch;

use std::collections::VecDeque;
use std::sync::Arc;

pub use counters::Counters;
pub use plan::Chunk;
pub use request::{Attribute, Constraint, Event, LensRow, Request, Seen, SeenRow, Ticket, Watch};

use crate::generate::{Batch, Room};
use plan::{GUESSES, Planner, Share};
use prefixes::Prefixes;
use sequence::{Ending, Sequence};

use crate::backend::{BLOCK, Backend};
use crate::guess::{Chances, Costs, Draft, Sources};
use crate::inspect::Inspector;
use crate::memory::Cache;
use crate::runtime::Model;
use crate::tokens::Tokenizer;
use crate::weights::adapter::Adapter;
use crate::{Error, Result};

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
    adapters: Vec<Arc<Adapter<B>>>,
    next: u64,
    counters: Counters,
    costs: Costs,
    sources: Sources<'a>,
    /// How often guesses were right.
    chances: Chances,
}

/// Bytes of keys and values of a block of positions, of all layers.
pub fn block_bytes<B: Backend>(model: &Model<B>) -> u64 {
    4 * Cache::<B>::block_floats(model.config(), model.cache) * model.config().layers_with_keys() as u64
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
                "{} MiB for {} sequences; one sequence of {context} tokens takes {}",
                settings.cache_bytes >> 20,
                settings.slots,
                (least as u64 * bytes).div_ceil(1 << 20)
            );
            return Err(Error::invalid_argument("the cache's memory", why));
        }
        let blocks = blocks.min(most);
        let room = Room { slots: settings.slots, positions: context, cache: model.cache };
        let rows = settings.chunk.most() + settings.slots + GUESSES;
        let weights = model.adapted();
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
            adapters: Vec::new(),
            next: 0,
            counters: Counters { block_bytes: bytes, ..Counters::default() },
            costs: Costs::new(model.clock),
            chances: Chances::default(),
            sources: Sources { lookup: 0, draft: model.draft(), drafter: model.drafter()? },
        })
    }

    /// Requests may name these adapters by their numbers, from 0 on.
    ///
    /// # Errors
    /// If the model is changed by an adapter of its own.
    pub fn adapters(&mut self, adapters: Vec<Arc<Adapter<B>>>) -> Result<()> {
        if !adapters.is_empty() && self.model.adapter().is_some() {
            let why = "the model is an adapter itself; serve the model that it changes";
            return Err(Error::invalid_argument("adapters", why));
        }
        self.adapters = adapters;
        Ok(())
    }

    /// Guesses tokens from this instead of the table of the model's own draft.
    pub fn guess_from(&mut self, draft: Option<&'a Draft>) {
        self.sources.draft = draft;
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
        let count = self.adapters.len();
        if let Some(adapter) = request.adapter.filter(|adapter| *adapter >= count) {
            return refuse("adapter", format!("{adapter} of {count} adapters, counted from 0"));
        }
        let adapted = request.adapter.is_some() || self.model.adapter().is_some();
        if adapted && request.watch.as_ref().is_some_and(|watch| watch.attribution.is_some()) {
            let why = "parts of a logit are told of the model itself, not of one that an adapter changes; merge it with \
                       glass convert and serve the result";
            return refuse("attribution", why.into());
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
        // Guessing takes time too.
        self.costs.begin();
        let mut planner = Planner {
            running: &mut self.running,
            prefixes: &mut self.prefixes,
            batch: &mut self.batch,
            chunk: self.chunk,
            costs: &self.costs,
            cached: &mut self.counters.cached,
        };
        let shares = planner.plan();
        self.costs.searched();
        if shares.is_empty() {
            return false;
        }
        let (backend, watched) = (self.model.backend(), &mut self.counters.watched);
        if let Err(error) = pass::read(backend, &mut self.batch, &mut self.running, &shares, watched) {
            self.fail(&shares, error);
        }
        let branches = |share: &Share| self.running[share.at].rows.chains.len() - 1;
        let branches = shares.iter().map(branches).sum();
        self.costs.end(shares.iter().map(|share| share.rows).sum(), branches);
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
            let adapter = request.adapter.map(|number| self.adapters[number].clone());
            if let Err(error) = self.batch.adapt(slot, adapter) {
                self.prefixes.unreserve(need);
                self.slots.push(slot);
                each(ticket, Event::Failed(error));
                continue;
            }
            let (sources, chances, tokenizer) = (self.sources.clone(), &self.chances, self.tokenizer);
            match Sequence::new(ticket, slot, request, gpt, tokenizer, sources, chances, positions, need) {
                Ok(sequence) => self.running.push(sequence),
                Err(error) => {
                    self.prefixes.unreserve(need);
                    self.slots.push(slot);
                    each(ticket, Event::Failed(error));
                }
            }
        }
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
        let (mut prompts, right) = (false, self.counters.right);
        for share in shares {
            let sequence = &mut self.running[share.at];
            self.counters.rows += share.rows as u64;
            if !sequence.decodes() {
                prompts = true;
                self.counters.prompt += share.rows as u64;
            }
            let decodes = sequence.decodes();
            let (tree, read) = (sequence.guesser.tree(), sequence.read);
            let guessed = if decodes { tree.len() } else { 0 };
            self.counters.guessed += guessed as u64;
            if matches!(sequence.ended, Some(Ending::Failed(_))) {
                continue;
            }
            let (right, row) = sequence.advance(share.rows);
            self.counters.right += right as u64;
            if guessed > 0 {
                let tree = sequence.guesser.tree();
                self.batch.keep(sequence.slot, read + 1, tree, &sequence.rows, row);
            }
            let known = sequence.known;
            sequence.publish(&mut self.prefixes);
            for &block in &sequence.blocks[known..sequence.known] {
                self.batch.place(|table| table.seal(block));
            }
        }
        self.counters.prompts += u64::from(prompts);
        if shares.len() == 1 && !prompts {
            self.costs.brought(1 + (self.counters.right - right) as usize);
        }
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
                            Ending::Failed(error) => Event::Failed(sequence.failed(error)),
                        },
                    );
                }
            }
        }
    }

    /// Takes a sequence out; its slot and its memory are free.
    fn leave(&mut self, at: usize) -> Sequence<'a> {
        let sequence = self.running.remove(at);
        if sequence.continuation.guesses.all > 0 {
            self.chances.clone_from(sequence.guesser.chances());
        }
        self.batch.truncate(sequence.slot, 0);
        self.prefixes.unreserve(sequence.reserved);
        self.prefixes.release(sequence.blocks.iter().copied());
        self.slots.push(sequence.slot);
        sequence
    }
}
