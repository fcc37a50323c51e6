//! Requests in the service: every combination of what may happen beside one gives the same tokens and log-probabilities.

use super::drawn::Drawn;
use crate::backend::Backend;
use crate::generate::{GenerateOptions, Guesses, Runner, generate};
use crate::guess::{self, Draft};
use crate::next_token::Sampling;
use crate::probe::{Part, Site};
use crate::runtime::Model;
use crate::scheduler::{Chunk, Counters, Event, Request, Scheduler, Settings, Ticket, Watch, block_bytes};
use crate::{Error, Result};
use glass_kernels::random::mix;
use std::ops::ControlFlow;

/// Tokens of the prompt, if the context is that long: more than two blocks of keys and values.
const PROMPT: usize = 150;

/// Tokens that are drawn.
const DRAWN: usize = 12;

/// Rows of a prompt in a pass.
const CHUNK: usize = 16;

/// Requests that run together.
const TOGETHER: usize = 16;

/// What happens beside a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beside {
    /// Its prefix was computed for another request.
    pub warm: bool,
    /// Fifteen others run.
    pub among: bool,
    /// Its prompt is read in chunks.
    pub chunks: bool,
    /// Tokens are guessed ahead.
    pub guessed: bool,
    /// It is looked into.
    pub watched: bool,
}

impl Beside {
    /// All combinations.
    pub fn all() -> impl Iterator<Item = Beside> {
        (0..32).map(|bits: u32| {
            let [warm, among, chunks, guessed, watched] = [0, 1, 2, 3, 4].map(|bit| bits >> bit & 1 == 1);
            Beside { warm, among, chunks, guessed, watched }
        })
    }
}

/// The requests that are compared: a greedy one, and one that draws.
pub struct Served {
    prompt: Vec<u32>,
    vocabulary: usize,
    tokens: usize,
}

impl Served {
    /// Requests for a model with this vocabulary and context.
    pub fn new(vocabulary: usize, context: usize) -> Served {
        let tokens = DRAWN.min(context / 2).max(1);
        let len = PROMPT.min(context.saturating_sub(tokens)).max(1);
        Served { prompt: ids(vocabulary, len, 0), vocabulary, tokens }
    }

    /// Prompt and answers as texts.
    pub(super) fn texts(&self, answers: &[Drawn; 2]) -> Vec<guess::Drawn> {
        let ids = |answer: &Drawn| answer.iter().map(|(id, _)| *id).collect::<Vec<u32>>();
        let text = |answer| guess::Drawn::new([&self.prompt[..], &ids(answer)].concat(), self.prompt.len());
        answers.iter().map(text).collect()
    }

    fn options(&self, greedy: bool, guessed: bool) -> GenerateOptions {
        let lookup = if guessed { 8 } else { 0 };
        let temperature = if greedy { 0.0 } else { 0.7 };
        let sampling = Sampling { temperature, seed: 11, ..Sampling::default() };
        GenerateOptions {
            tokens: self.tokens,
            sampling,
            lookup,
            draft: guessed,
            ..GenerateOptions::default()
        }
    }

    /// What each request gives by itself, without a scheduler.
    ///
    /// # Errors
    /// If the model cannot be run.
    pub(super) fn alone<B: Backend>(&self, runner: &mut Runner<'_, B>) -> Result<[Drawn; 2]> {
        let mut one = |greedy: bool| {
            let mut drawn = Drawn::new();
            runner.truncate(0);
            runner.prompt(&self.prompt)?;
            generate(runner, None, &self.options(greedy, false), 3, &mut |token| {
                drawn.push((token.id, token.logprob().to_bits()));
                ControlFlow::Continue(())
            })?;
            Ok(drawn)
        };
        Ok([one(true)?, one(false)?])
    }

    /// What each gives in the service. An error if what should happen beside it did not.
    ///
    /// # Errors
    /// If the model cannot be run, or the scheduler did not do what is compared.
    pub(super) fn run<B: Backend>(
        &self,
        model: &Model<B>,
        beside: Beside,
        draft: &Draft,
    ) -> Result<([Drawn; 2], Guesses)> {
        let (greedy, first) = self.one(model, beside, true, draft)?;
        let (drawn, second) = self.one(model, beside, false, draft)?;
        let guesses = Guesses { all: first.all + second.all, right: first.right + second.right };
        // The draft knows what is drawn; among many, guesses may give way.
        if beside.guessed && !beside.among && self.tokens == DRAWN {
            expected("guessing ahead", guesses.right > 0, true)?;
        }
        Ok(([greedy, drawn], guesses))
    }

    fn one<B: Backend>(
        &self,
        model: &Model<B>,
        beside: Beside,
        greedy: bool,
        draft: &Draft,
    ) -> Result<(Drawn, Guesses)> {
        let context = model.config().context;
        let blocks = (2 * TOGETHER * context.div_ceil(64)) as u64;
        let chunk = Chunk::Rows(if beside.chunks { CHUNK } else { 4 * context });
        let settings = Settings { slots: TOGETHER, cache_bytes: blocks * block_bytes(model), chunk };
        let mut scheduler = Scheduler::new(model, None, settings)?;
        scheduler.guess_from(Some(draft));
        if beside.warm {
            // The same ids, and then others.
            let mut first = self.prompt.clone();
            let last = first.len() - 1;
            first[last] = (first[last] + 1) % self.vocabulary as u32;
            scheduler.submit(Request {
                prompt: first,
                options: self.options(true, false),
                ..Request::default()
            })?;
            while scheduler.pass(&mut |_, _| {}) {}
        }
        let others = if beside.among { TOGETHER as u64 - 1 } else { 0 };
        for number in 0..others {
            let prompt =
                ids(self.vocabulary, 1 + self.prompt.len() * (number as usize + 1) / TOGETHER, 1 + number);
            let options = GenerateOptions { tokens: 2 * self.tokens, ..self.options(number % 2 == 0, false) };
            scheduler.submit(Request { prompt, options, sample: number, ..Request::default() })?;
        }
        // The others have begun.
        for _ in 0..others.min(2) {
            scheduler.pass(&mut |_, _| {});
        }
        let before = scheduler.counters();
        let last = self.prompt.len() - 1;
        let watch = Watch {
            sites: vec![Site::Block(0, Part::Residual), Site::Block(0, Part::Pattern), Site::Residual],
            positions: last..usize::MAX,
            ..Watch::default()
        };
        let request = Request {
            prompt: self.prompt.clone(),
            options: self.options(greedy, beside.guessed),
            sample: 3,
            logprobs: true,
            watch: beside.watched.then_some(watch),
            ..Request::default()
        };
        let ticket = scheduler.submit(request)?;
        let (drawn, seen) = finish(&mut scheduler, ticket)?;
        let after = scheduler.counters();
        let cached = after.cached - before.cached;
        let long = self.prompt.len() > 64;
        expected("a prefix from the cache", cached > 0, beside.warm && long)?;
        expected("a look inside", seen > 0, beside.watched)?;
        // What is watched is read in a pass of its own.
        let chunks = after.prompts - before.prompts > 1 + u64::from(beside.watched);
        if !beside.chunks || self.prompt.len() - cached as usize > CHUNK {
            expected("a prompt in chunks", chunks, beside.chunks)?;
        }
        expected("guessing unasked", after.guessed > before.guessed && !beside.guessed, false)?;
        let count = |of: fn(&Counters) -> u64| (of(&after) - of(&before)) as usize;
        Ok((drawn, Guesses { all: count(|c| c.guessed), right: count(|c| c.right) }))
    }
}

/// An error if something happened that should not, or did not that should.
fn expected(what: &str, happened: bool, should: bool) -> Result<()> {
    let said = if should { "did not happen" } else { "happened" };
    match happened == should {
        true => Ok(()),
        false => Err(Error::invalid("the scheduler", format!("{what} {said}"))),
    }
}

/// Runs until a request is done: its tokens, and how many numbers were seen inside.
fn finish<B: Backend>(scheduler: &mut Scheduler<'_, B>, ticket: Ticket) -> Result<(Drawn, usize)> {
    let (mut drawn, mut seen, mut done) = (Drawn::new(), 0, None);
    while done.is_none() {
        let went_on = scheduler.pass(&mut |of, event| match event {
            _ if of != ticket => {}
            Event::Token { id, logprob, .. } => drawn.push((id, logprob.map_or(0, f64::to_bits))),
            Event::Ended { seen: inside, .. } => {
                seen = inside.map_or(0, |seen| seen.rows.iter().map(|row| row.values.len()).sum());
                done = Some(Ok(()));
            }
            Event::Failed(error) => done = Some(Err(error)),
            _ => {}
        });
        if !went_on && done.is_none() {
            done = Some(Err(Error::invalid("the scheduler", "it stopped before the request was done")));
        }
    }
    done.unwrap_or(Ok(())).map(|()| (drawn, seen))
}

/// Pseudo-random ids whose end repeats their beginning.
fn ids(vocabulary: usize, len: usize, number: u64) -> Vec<u32> {
    let id = |place: usize| (mix(number << 32 | 1 << 24 | place as u64) % vocabulary as u64) as u32;
    let mut ids: Vec<u32> = (0..len).map(id).collect();
    ids.copy_within(0..len / 4, len - len / 4);
    ids
}
