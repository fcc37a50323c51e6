//! Generates text, token by token.

pub mod batch;
pub mod runner;
pub mod stop;

use std::ops::ControlFlow;

pub(crate) use batch::ends;
pub use batch::{Batch, Part, Room};
pub use runner::Runner;
use stop::StopText;

use crate::backend::Backend;
use crate::guess::{Guesser, MOST_AHEAD, Outlook, Rows, Sources, Tree, grow_together};
use crate::memory::BRANCHES;
use crate::model::Gpt;
use crate::next_token::{Sampler, Sampling, logprob};
use crate::tokens::{TextStream, Tokenizer};
use crate::{Error, Result};

/// What to generate, and when to stop.
#[derive(Clone, Debug, Default)]
pub struct GenerateOptions {
    /// The largest number of tokens.
    pub tokens: usize,
    /// How the next token is drawn.
    pub sampling: Sampling,
    /// Texts that end the generation; they are not part of the result.
    pub stop: Vec<String>,
    /// Tokens that end the generation (end of text, end of turn); they are not part of the result.
    pub ends: Vec<u32>,
    /// Bytes at the end of the prompt that are not a complete character yet: the first token may complete it.
    pub before: Vec<u8>,
    /// The largest number of tokens in a row that are [guessed](crate::guess) from the text itself: the same result, in fewer
    /// passes if it repeats itself. 0 for none.
    pub lookup: usize,
    /// Whether the model's [draft](crate::guess::Draft), if it has one, guesses too: the same result, in fewer passes.
    pub draft: bool,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The requested number of tokens was reached.
    Length,
    /// The context is full.
    Context,
    /// A stop text appeared.
    Stop,
    /// The model produced an end token.
    End,
    /// The callback stopped it.
    Left,
}

/// The result of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The tokens, without the one that ended it.
    pub ids: Vec<u32>,
    /// Their text, without the stop text; empty without a tokenizer.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens that were guessed ahead, and how many were right; each right one saves a pass.
    pub guesses: Guesses,
}

/// Statistics of guessing ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guesses {
    /// Tokens that were guessed.
    pub all: usize,
    /// How many of them were right.
    pub right: usize,
}

/// One generated token.
pub struct Token<'a> {
    /// Its id.
    pub id: u32,
    /// The text that is now final: complete characters that cannot be part of a stop text.
    pub text: &'a str,
    /// The logits it was drawn from.
    pub logits: &'a [f32],
    /// Whether it was guessed, so that it took no pass of its own.
    pub guessed: bool,
}

impl Token<'_> {
    /// Its log-probability, before any bias, penalty or temperature: a pass over all logits.
    pub fn logprob(&self) -> f64 {
        logprob(self.logits, self.id)
    }
}

/// Continues from what `runner` has read: draws a token, reads it, and repeats. `sample` numbers the continuations
/// of one prompt, so that each draws different tokens from the same seed. `each` is called for every token and may
/// end the generation.
///
/// # Errors
/// If the runner has read nothing, the options are invalid, or the logits are not finite.
pub fn generate<B: Backend>(
    runner: &mut Runner<'_, B>,
    tokenizer: Option<&Tokenizer>,
    options: &GenerateOptions,
    sample: u64,
    each: &mut dyn FnMut(&Token<'_>) -> ControlFlow<()>,
) -> Result<Generated> {
    let room = runner.room();
    let mut going = Continuation::new(runner.gpt(), tokenizer, options, sample, runner.ids())?;
    let draft = runner.draft.filter(|_| options.draft);
    let drafter = runner.drafter.clone().filter(|_| options.draft);
    let mut guesser = Guesser::new(Sources { lookup: options.lookup, draft, drafter }, &runner.chances)?;
    guesser.see(runner.ids());
    // The guesses of the last pass, the node that was right last, and how many ids there are up to node 0.
    let (mut tree, mut rows) = (Tree::default(), Tree::default().rows());
    let (mut node, mut read) = (0, 0);
    let finish = loop {
        if let ControlFlow::Break(finish) = going.draw(runner.logits()?, None, (&tree, node), room, each)? {
            break finish;
        }
        let drawn = *going.ids.last().expect("one was drawn");
        guesser.learn(node, drawn);
        guesser.see(&[drawn]);
        if let Some(child) = tree.child(node, drawn) {
            node = child;
            going.guesses.right += 1;
            runner.logits_after(rows.of(node))?;
            continue;
        }
        settle(runner, read, &tree, &rows, node);
        if guesser.is_active() && going.ids.len() > 1 {
            runner.costs.brought(1 + tree.depth(node));
        }
        node = 0;
        // Guessing takes time too.
        runner.costs.begin();
        if guesser.is_active() {
            guesser.see_vector(runner.vector());
            let most = going.left().min(runner.room().saturating_sub(1));
            let most = if runner.costs.tries() { most } else { 0 };
            guesser.begin(going.outlook(), most, BRANCHES + 1);
            grow_together(&mut [&mut guesser], 1, MOST_AHEAD, &runner.costs);
            runner.costs.searched();
            tree.clone_from(guesser.tree());
            rows = tree.rows();
            going.guesses.all += tree.len();
        }
        match tree.is_empty() {
            true => runner.feed(&[drawn])?,
            false => runner.feed_tree(drawn, &tree, &rows)?,
        }
        runner.costs.end(1 + tree.len(), tree.chains() - 1);
        read = runner.ids().len() - rows.chains[0].rows.len() + 1;
    };
    settle(runner, read, &tree, &rows, node);
    runner.chances.clone_from(guesser.chances());
    going.finish(finish)
}

/// What was read is final up to the last right guess.
fn settle<B: Backend>(runner: &mut Runner<'_, B>, read: usize, tree: &Tree, rows: &Rows, node: usize) {
    if !tree.is_empty() {
        runner.keep(read, tree, rows, rows.of(node));
    }
}

/// Continues from `prompts` in the first slots of `batch`, all together, in one pass for one token of each: slot
/// `i` draws as sample `first + i` would alone, and gets the same tokens. Slots that have ended are left out. The
/// prefix that a prompt shares with the ids its slot has read is not computed again.
///
/// # Errors
/// If the model cannot read a prompt, or there are more prompts than slots.
pub fn generate_together<B: Backend>(
    batch: &mut Batch<'_, B>,
    tokenizer: Option<&Tokenizer>,
    options: &GenerateOptions,
    first: u64,
    prompts: &[&[u32]],
    each: &mut dyn FnMut(usize, &Token<'_>) -> ControlFlow<()>,
) -> Result<Vec<Generated>> {
    if prompts.len() > batch.slots() {
        let why = format!("{} prompts for {} slots; continue some at a time", prompts.len(), batch.slots());
        return Err(Error::invalid_argument("prompts", why));
    }
    let gpt = batch.gpt();
    let mut next = vec![0.0; gpt.config.vocabulary];
    let mut going = Vec::with_capacity(prompts.len());
    let mut ended = Vec::with_capacity(prompts.len());
    for (slot, prompt) in prompts.iter().enumerate() {
        batch.prompt(slot, prompt)?;
        batch.logits(0, &mut next)?;
        let mut one = Continuation::new(gpt, tokenizer, options, first + slot as u64, prompt)?;
        let room = batch.room(slot);
        let flow = one.draw(&next, None, NO_GUESSES, room, &mut |token| each(slot, token))?;
        going.push((one, room));
        ended.push(flow.break_value());
    }
    loop {
        let drawn: Vec<(usize, [u32; 1])> = (going.iter().enumerate())
            .filter(|(slot, _)| ended[*slot].is_none())
            .map(|(slot, (one, _))| (slot, [*one.ids.last().expect("one was drawn")]))
            .collect();
        if drawn.is_empty() {
            break;
        }
        let parts: Vec<(usize, &[u32])> = drawn.iter().map(|(slot, id)| (*slot, id.as_slice())).collect();
        batch.feed(&parts, ())?;
        for (row, &(slot, _)) in drawn.iter().enumerate() {
            batch.logits(row, &mut next)?;
            let (one, room) = &mut going[slot];
            ended[slot] =
                one.draw(&next, None, NO_GUESSES, *room, &mut |token| each(slot, token))?.break_value();
        }
    }
    let ended = ended.into_iter().map(|finish| finish.expect("all have ended"));
    going.into_iter().zip(ended).map(|((one, _), finish)| one.finish(finish)).collect()
}

/// Where nothing is guessed.
const NO_GUESSES: (&Tree, usize) = (&Tree::EMPTY, 0);

/// A text that is being generated.
pub(crate) struct Continuation<'a> {
    options: GenerateOptions,
    pub(crate) sampler: Sampler,
    pub(crate) ids: Vec<u32>,
    text: Text<'a>,
    pub(crate) guesses: Guesses,
    vocabulary: usize,
}

impl<'a> Continuation<'a> {
    pub(crate) fn new(
        gpt: &Gpt,
        tokenizer: Option<&'a Tokenizer>,
        options: &GenerateOptions,
        sample: u64,
        read: &[u32],
    ) -> Result<Self> {
        let mut sampler = Sampler::new(&options.sampling, gpt.config.vocabulary, sample)?;
        sampler.see(read);
        let ids = Vec::with_capacity(options.tokens.min(gpt.config.context + 1));
        let text = Text::new(tokenizer, options, ids.capacity());
        let (options, vocabulary) = (options.clone(), gpt.config.vocabulary);
        Ok(Continuation { options, sampler, ids, text, guesses: Guesses::default(), vocabulary })
    }

    /// Draws the next token; returns the reason if it is the last one. `room` is the number of positions that were
    /// left before the first token; with `allowed`, only these tokens can be drawn. Those that follow the node of `guesses` were
    /// guessed.
    pub(crate) fn draw(
        &mut self,
        logits: &[f32],
        allowed: Option<&[bool]>,
        (tree, node): (&Tree, usize),
        room: usize,
        each: &mut dyn FnMut(&Token<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<Finish>> {
        if self.options.tokens == 0 {
            return Ok(ControlFlow::Break(Finish::Length));
        }
        let id = self.sampler.draw(logits, allowed)?;
        if self.options.ends.contains(&id) {
            return Ok(ControlFlow::Break(Finish::End));
        }
        self.ids.push(id);
        let stopped = self.text.push(id);
        let guessed = tree.child(node, id).is_some();
        let token = Token { id, text: self.text.fresh(), logits, guessed };
        let left = each(&token).is_break();
        let finish = if stopped {
            Finish::Stop
        } else if left {
            Finish::Left
        } else if self.ids.len() == self.options.tokens {
            Finish::Length
        } else if self.ids.len() > room {
            Finish::Context
        } else {
            return Ok(ControlFlow::Continue(()));
        };
        Ok(ControlFlow::Break(finish))
    }

    /// How the next tokens will be drawn.
    pub(crate) fn outlook(&self) -> Outlook {
        let (sampling, sample, position) = self.sampler.next_draw();
        Outlook::new(sampling, sample, position, self.vocabulary)
    }

    /// How many tokens may be drawn after the next one.
    pub(crate) fn left(&self) -> usize {
        self.options.tokens.saturating_sub(self.ids.len() + 1)
    }

    pub(crate) fn finish(self, finish: Finish) -> Result<Generated> {
        Ok(Generated { text: self.text.finish(), ids: self.ids, finish, guesses: self.guesses })
    }

    /// The text that was not passed on yet; nothing more follows.
    pub(crate) fn rest(self) -> String {
        let shown = self.text.stop.certain().len();
        let mut rest = self.text.finish();
        rest.drain(..shown);
        rest
    }
}

/// Bytes of text to reserve for every token: far more than tokens have on average.
const BYTES: usize = 16;

/// Turns ids into text, as far as it is final.
struct Text<'a> {
    tokenizer: Option<&'a Tokenizer>,
    stream: TextStream,
    stop: StopText,
    shown: usize,
}

impl<'a> Text<'a> {
    fn new(tokenizer: Option<&'a Tokenizer>, options: &GenerateOptions, tokens: usize) -> Self {
        let mut stream = TextStream::default();
        let mut stop = StopText::new(&options.stop, BYTES * tokens);
        stop.push(stream.push(&options.before));
        Text { tokenizer, stream, stop, shown: 0 }
    }

    /// Adds a token; returns whether a stop text is complete.
    fn push(&mut self, id: u32) -> bool {
        self.shown = self.stop.certain().len();
        let Some(bytes) = self.tokenizer.and_then(|t| t.token(id)) else { return false };
        self.stop.push(self.stream.push(bytes))
    }

    /// The text that became final with the last push.
    fn fresh(&self) -> &str {
        &self.stop.certain()[self.shown..]
    }

    fn finish(mut self) -> String {
        self.stop.push(self.stream.finish());
        self.stop.finish()
    }
}
