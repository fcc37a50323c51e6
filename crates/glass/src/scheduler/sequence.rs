//! A request that is running.

use std::sync::Arc;

use super::prefixes::{Before, Key, Prefixes};
use super::request::{Constraint, Event, Request, Ticket};
use super::watch::Watched;
use crate::backend::BLOCK;
use crate::generate::{Continuation, Finish};
use crate::guess::{Chances, Guesser, Rows, Sources, Tree};
use crate::model::Gpt;
use crate::next_token::score;
use crate::probe::Site;
use crate::tokens::Tokenizer;
use crate::{Error, Result};
use std::ops::ControlFlow;

/// A request with a slot, and how far it is.
pub(super) struct Sequence<'a> {
    pub ticket: Ticket,
    pub slot: usize,
    /// The prompt, and what was drawn.
    pub ids: Vec<u32>,
    pub prompt: usize,
    /// Positions whose keys and values are in the cache and final.
    pub read: usize,
    /// The memory's blocks that it uses, in the order of its positions.
    pub blocks: Vec<usize>,
    /// Blocks that it may still take.
    pub reserved: usize,
    /// Its first blocks, which are known to the prefix cache, and what the last of them is to the next.
    pub known: usize,
    before: Before,
    /// Whether others may read what it computes.
    shares: bool,
    /// The first position that it has to compute itself.
    first: usize,
    /// Positions that others had computed.
    pub cached: usize,
    /// Guesses what follows; its tree is read in this pass.
    pub guesser: Guesser<'a>,
    /// The rows of the tree, and the node after which the next token is drawn.
    pub rows: Rows,
    node: usize,
    pub watched: Option<Watched>,
    pub events: Vec<Event>,
    pub ended: Option<Ending>,
    score_prompt: bool,
    logprobs: bool,
    top: usize,
    tokens: usize,
    pub continuation: Continuation<'a>,
    constraint: Option<Box<dyn Constraint + Send>>,
    allowed: Vec<bool>,
    /// Positions that were left after the prompt.
    room: usize,
    /// The row of this pass after which the next token is drawn; none after a wrong guess.
    row: Option<usize>,
    /// Guesses of this pass that were right.
    right: usize,
    /// Whether logits are among what is watched.
    sees_logits: bool,
    /// Whether the logits after the prompt are attributed.
    attributes: bool,
    /// The logits after the prompt, for an attribution or for a request without tokens.
    pub logits: Option<Vec<f32>>,
}

/// How a sequence ended.
pub(super) enum Ending {
    Done(Finish),
    Failed(Error),
}

impl<'a> Sequence<'a> {
    pub fn new(
        ticket: Ticket,
        slot: usize,
        request: Request,
        gpt: &Gpt,
        tokenizer: Option<&'a Tokenizer>,
        sources: Sources<'a>,
        chances: &Chances,
        positions: usize,
        reserved: usize,
    ) -> Result<Sequence<'a>> {
        let Request {
            prompt: ids,
            options,
            sample,
            logprobs,
            top,
            score_prompt,
            salt,
            adapter,
            constraint,
            watch,
        } = request;
        let prompt = ids.len();
        let first = if score_prompt { 0 } else { watch.as_ref().map_or(usize::MAX, |watch| watch.first()) };
        let shares = watch.as_ref().is_none_or(|watch| watch.edits.is_empty());
        let sources = if options.draft { sources } else { Sources::default() };
        let mut guesser = Guesser::new(Sources { lookup: options.lookup, ..sources }, chances)?;
        guesser.see(&ids);
        Ok(Sequence {
            ticket,
            slot,
            prompt,
            read: 0,
            blocks: Vec::new(),
            reserved,
            known: 0,
            before: Before::Start(salt.map(Arc::from), adapter),
            shares,
            first,
            cached: 0,
            guesser,
            rows: Tree::default().rows(),
            node: 0,
            events: Vec::new(),
            ended: None,
            score_prompt,
            logprobs,
            top,
            tokens: options.tokens,
            continuation: Continuation::new(gpt, tokenizer, &options, sample, &ids)?,
            allowed: vec![false; if constraint.is_some() { gpt.config.vocabulary } else { 0 }],
            constraint,
            room: positions - prompt,
            row: Some(0),
            right: 0,
            sees_logits: watch.as_ref().is_some_and(|watch| watch.sites.contains(&Site::Logits)),
            attributes: watch.as_ref().is_some_and(|watch| watch.attribution.is_some()),
            watched: watch.map(|watch| Watched::new(watch, slot, prompt, &gpt.config)),
            logits: None,
            ids,
        })
    }

    /// The positions of the next `rows` rows.
    pub fn positions(&self, rows: usize) -> std::ops::Range<usize> {
        self.read..self.read + rows
    }

    /// Positions of the prompt that are still to be read.
    pub fn unread(&self) -> usize {
        self.prompt.saturating_sub(self.read)
    }

    /// Whether the logits after every position of its prompt are wanted.
    pub fn wants_all_logits(&self) -> bool {
        self.score_prompt || self.sees_logits
    }

    /// Whether its prompt was read.
    pub fn decodes(&self) -> bool {
        self.read >= self.prompt
    }

    /// The key of the block that begins at the next position, if the prompt fills it and more than it: the last id is always
    /// computed, since its vector gives the next token.
    pub fn next_key(&self) -> Option<Key> {
        let next = self.read.is_multiple_of(BLOCK) && self.known * BLOCK == self.read;
        let possible = next && self.read + BLOCK < self.prompt && self.read + BLOCK <= self.first;
        possible.then(|| Key::of(&self.before, &self.ids, self.read)).flatten()
    }

    /// The key of the block that it is computing, if others may read it then.
    pub fn computing(&self) -> Option<Key> {
        let at = self.known * BLOCK;
        (self.shares && at <= self.read)
            .then(|| Key::of(&self.before, &self.ids[..self.prompt], at))
            .flatten()
    }

    /// It uses this block, which others had computed.
    pub fn adopt(&mut self, block: usize, before: Before) {
        self.blocks.push(block);
        self.reserved -= 1;
        self.known += 1;
        self.before = before;
        self.read += BLOCK;
        self.cached += BLOCK;
    }

    /// Makes its complete blocks known.
    pub fn publish(&mut self, prefixes: &mut Prefixes) {
        while self.shares
            && self.read >= (self.known + 1) * BLOCK
            && let Some(key) = Key::of(&self.before, &self.ids, self.known * BLOCK)
        {
            self.before = prefixes.publish(self.blocks[self.known], key);
            self.known += 1;
        }
    }

    /// Begins to guess what follows the last token, in at most `chains` chains; or, with `tries` false, does not.
    pub fn begin_guessing(&mut self, chains: usize, tries: bool) {
        let drawn = self.continuation.ids.len();
        let left = self.continuation.left().min(self.room.saturating_sub(drawn));
        // A probe sees the rows of its own slot: those of branches would be missing, and not be edited.
        let chains = if self.watched.is_some() { 1 } else { chains };
        let most = if tries { left } else { 0 };
        self.guesser.begin(self.continuation.outlook(), most, chains);
    }

    /// The guesses are those that the pass reads.
    pub fn end_guessing(&mut self) {
        self.rows = self.guesser.tree().rows();
        self.continuation.guesses.all += self.guesser.tree().len();
    }

    /// The pass computed the logits after position `read` + `row`, where `read` counts what was read before it.
    /// `vector` is what the logits were computed from.
    pub fn take(&mut self, row: usize, logits: &[f32], vector: &[f32]) {
        if self.ended.is_some() {
            return;
        }
        if !self.decodes() || self.row == Some(row) {
            self.guesser.see_vector(vector);
        }
        let done = match self.decodes() {
            true if self.row == Some(row) => self.draw(logits),
            true => Ok(()),
            false => self.prompt_row(self.read + row, logits),
        };
        if let Err(error) = done {
            self.ended = Some(Ending::Failed(error));
        }
    }

    /// The logits after a position of the prompt.
    fn prompt_row(&mut self, position: usize, logits: &[f32]) -> Result<()> {
        if position == 0 && self.score_prompt {
            self.begun();
            self.events.push(Event::Scored { id: self.ids[0], scored: None, top: Vec::new() });
        }
        if position + 1 < self.prompt && !self.score_prompt {
            return Ok(());
        }
        if position + 1 < self.prompt {
            let id = self.ids[position + 1];
            let top = self.continuation.sampler.top(logits, self.top)?.to_vec();
            self.events.push(Event::Scored { id, scored: Some(score(logits, id)?), top });
            return Ok(());
        }
        if !self.score_prompt {
            self.begun();
        }
        if self.tokens == 0 || self.attributes {
            self.logits = Some(logits.to_vec());
        }
        self.draw(logits)
    }

    fn begun(&mut self) {
        self.events.push(Event::Begun { cached: self.cached });
    }

    fn draw(&mut self, logits: &[f32]) -> Result<()> {
        let allowed = match &mut self.constraint {
            Some(constraint) if self.tokens > 0 => {
                self.allowed.fill(false);
                constraint.allow(&mut self.allowed)?;
                Some(self.allowed.as_slice())
            }
            _ => None,
        };
        let (mut drawn, logprobs) = (None, self.logprobs);
        let guesses = (self.guesser.tree(), self.node);
        let flow = self.continuation.draw(logits, allowed, guesses, self.room, &mut |token| {
            let logprob = logprobs.then(|| token.logprob());
            drawn = Some((token.id, logprob, token.text.to_string(), token.guessed));
            ControlFlow::Continue(())
        })?;
        let mut finish = flow.break_value();
        if let Some((id, logprob, text, guessed)) = drawn {
            let top = match self.top {
                0 => Vec::new(),
                top => self.continuation.sampler.top(logits, top)?.to_vec(),
            };
            self.events.push(Event::Token { id, logprob, text, top, guessed });
            if let Some(constraint) = &mut self.constraint
                && constraint.take(id)?
            {
                finish = finish.or(Some(Finish::Stop));
            }
            self.ids.push(id);
            self.guesser.learn(self.node, id);
            self.guesser.see(&[id]);
            self.row = self.guesser.tree().child(self.node, id).map(|child| {
                self.node = child;
                self.right += 1;
                self.continuation.guesses.right += 1;
                self.rows.of(child)
            });
        }
        self.ended = finish.map(Ending::Done);
        Ok(())
    }

    /// The pass is over: it read this many positions of the prompt, or the last token and the guesses. Returns how many guesses
    /// were right, and the row of the last one.
    pub fn advance(&mut self, rows: usize) -> (usize, usize) {
        let right = std::mem::take(&mut self.right);
        let row = self.rows.of(std::mem::take(&mut self.node));
        if self.decodes() {
            // What was drawn last is read by the next pass.
            self.read = self.ids.len() - 1;
        } else {
            self.read += rows;
        }
        self.row = Some(0);
        (right, row)
    }

    /// An error of this sequence; with edits, they are the likely cause of numbers that are not finite.
    pub fn failed(&self, error: Error) -> Error {
        match (&error, self.shares) {
            (Error::Invalid { what, why }, false) if what == "logits" => Error::invalid_argument(
                "edits",
                format!("they lead to logits that cannot be used ({why}); use smaller numbers"),
            ),
            _ => error,
        }
    }

    /// The text that was held back, and the counts of guesses.
    pub fn finish(self, finish: Finish) -> Event {
        let guesses = self.continuation.guesses;
        let rest = self.continuation.rest();
        let (seen, logits) = (self.watched.map(|watched| Box::new(watched.finish())), self.logits);
        let logits = logits.filter(|_| self.tokens == 0);
        Event::Ended { finish, rest, guesses, seen, logits }
    }
}
