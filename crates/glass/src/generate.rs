//! Generating: token after token.

pub mod batch;
pub mod lookup;
pub mod runner;
pub mod stop;

use std::ops::ControlFlow;

pub(crate) use batch::ends;
pub use batch::{Batch, Room};
use lookup::Lookup;
pub use runner::Runner;
use stop::StopText;

use crate::backend::Backend;
use crate::model::Gpt;
use crate::next_token::{Sampler, Sampling};
use crate::tokens::{TextStream, Tokenizer};
use crate::{Error, Result};

/// What to generate, and when to end.
#[derive(Clone, Debug, Default)]
pub struct GenerateOptions {
    /// At most so many tokens.
    pub tokens: usize,
    /// How the next token is drawn.
    pub sampling: Sampling,
    /// Texts that end it; they are not part of the result.
    pub stop: Vec<String>,
    /// Tokens that end it (end of text, end of turn); they are not part of the result.
    pub ends: Vec<u32>,
    /// Bytes at the prompt's end that do not form a character yet: the first token may complete it.
    pub before: Vec<u8>,
    /// At most so many tokens are [guessed](lookup) ahead at a time: the same result, in fewer passes where the text
    /// repeats itself. 0 is off, 63 the most.
    pub lookup: usize,
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// As many tokens as were asked for.
    Length,
    /// The context is full.
    Context,
    /// A stop text appeared.
    Stop,
    /// The model ended it with an end token.
    End,
    /// The listener had enough.
    Left,
}

/// What was generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The tokens, without the one that ended it.
    pub ids: Vec<u32>,
    /// Their text, without the stop text; empty where there is no tokenizer.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens that were guessed ahead, and how many of them were right: so many passes fewer.
    pub guesses: Guesses,
}

/// How guessing ahead went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guesses {
    /// Tokens that were guessed.
    pub all: usize,
    /// Of them, those that were drawn.
    pub right: usize,
}

/// One token as it comes.
pub struct Token<'a> {
    /// Its id.
    pub id: u32,
    /// Its log-probability, before any bias, penalty or temperature.
    pub logprob: f64,
    /// The text that is certain now: characters that are whole and cannot be part of a stop text.
    pub text: &'a str,
    /// The logits it was drawn from.
    pub logits: &'a [f32],
}

/// Goes on from what `runner` has read: draws a token, reads it, and again. `sample` numbers the continuations of one
/// prompt, so that each draws its own tokens from the same seed. `each` hears every token and may end it.
///
/// # Errors
/// The runner has read nothing, the options are wrong, or the model's numbers are broken.
pub fn generate<B: Backend>(
    runner: &mut Runner<'_, B>,
    tokenizer: Option<&Tokenizer>,
    options: &GenerateOptions,
    sample: u64,
    each: &mut dyn FnMut(&Token<'_>) -> ControlFlow<()>,
) -> Result<Generated> {
    let room = runner.room();
    let positions = runner.ids().len() + room;
    let mut going = Going::new(runner.gpt(), tokenizer, options, sample, runner.ids())?;
    let mut lookup = Lookup::new(options.lookup.min(MOST_AHEAD));
    // What was read: all that is certain, then a guess, of which `right` tokens turned out right so far.
    let mut all = Vec::with_capacity(positions + 1);
    all.extend_from_slice(runner.ids());
    let (mut guessed, mut right) = (0, 0);
    let finish = loop {
        if let ControlFlow::Break(finish) = going.draw(runner.logits()?, room, each)? {
            break finish;
        }
        let drawn = *going.ids.last().expect("one was drawn");
        let read = all.len();
        all.push(drawn);
        if right < guessed && runner.ids()[read] == drawn {
            right += 1;
            going.guesses.right += 1;
            runner.logits_after(right)?;
            continue;
        }
        runner.truncate(read);
        lookup.learn(guessed, right);
        let guess = lookup.guess(&all, positions - all.len());
        (guessed, right) = (guess.len(), 0);
        going.guesses.all += guessed;
        match guess {
            [] => runner.feed(&[drawn])?,
            _ => {
                let mut ahead = [drawn; MOST_AHEAD + 1];
                ahead[1..=guessed].copy_from_slice(guess);
                runner.feed_every(&ahead[..=guessed])?;
            }
        }
    };
    runner.truncate(all.len());
    going.finish(finish)
}

/// Goes on from `prompts` in the first slots of `batch`, all together, one pass for a token of each: slot `i` draws as
/// sample `first + i` would alone, and gets the same tokens. Slots that have ended are left out. What a prompt shares with what
/// its slot has read is not computed again.
///
/// # Errors
/// A prompt that the model cannot read, or more of them than slots.
pub fn generate_together<B: Backend>(
    batch: &mut Batch<'_, B>,
    tokenizer: Option<&Tokenizer>,
    options: &GenerateOptions,
    first: u64,
    prompts: &[&[u32]],
    each: &mut dyn FnMut(usize, &Token<'_>) -> ControlFlow<()>,
) -> Result<Vec<Generated>> {
    if prompts.len() > batch.slots() {
        let why = format!("{} of them for {} slots; go on with some at a time", prompts.len(), batch.slots());
        return Err(Error::invalid_argument("prompts", why));
    }
    let gpt = batch.gpt();
    let mut next = vec![0.0; gpt.config.vocabulary];
    let mut going = Vec::with_capacity(prompts.len());
    let mut ended = Vec::with_capacity(prompts.len());
    for (slot, prompt) in prompts.iter().enumerate() {
        batch.prompt(slot, prompt)?;
        batch.logits(0, &mut next)?;
        let mut one = Going::new(gpt, tokenizer, options, first + slot as u64, prompt)?;
        let room = batch.room(slot);
        let flow = one.draw(&next, room, &mut |token| each(slot, token))?;
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
            ended[slot] = one.draw(&next, *room, &mut |token| each(slot, token))?.break_value();
        }
    }
    let ended = ended.into_iter().map(|finish| finish.expect("all have ended"));
    going.into_iter().zip(ended).map(|((one, _), finish)| one.finish(finish)).collect()
}

/// Tokens that are guessed ahead at most: with the one before them, as many as have logits at once.
const MOST_AHEAD: usize = 63;

/// A text that goes on.
struct Going<'a> {
    options: &'a GenerateOptions,
    sampler: Sampler,
    ids: Vec<u32>,
    text: Text<'a>,
    guesses: Guesses,
}

impl<'a> Going<'a> {
    fn new(
        gpt: &Gpt,
        tokenizer: Option<&'a Tokenizer>,
        options: &'a GenerateOptions,
        sample: u64,
        read: &[u32],
    ) -> Result<Self> {
        let mut sampler = Sampler::new(&options.sampling, gpt.config.vocabulary, sample)?;
        sampler.see(read);
        let ids = Vec::with_capacity(options.tokens.min(gpt.config.context + 1));
        let text = Text::new(tokenizer, options, ids.capacity());
        Ok(Going { options, sampler, ids, text, guesses: Guesses::default() })
    }

    /// Draws the next token, and says why it is the last, if it is. `room`: positions that were left before the first.
    fn draw(
        &mut self,
        logits: &[f32],
        room: usize,
        each: &mut dyn FnMut(&Token<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<Finish>> {
        if self.options.tokens == 0 {
            return Ok(ControlFlow::Break(Finish::Length));
        }
        let drawn = self.sampler.next(logits)?;
        if self.options.ends.contains(&drawn.id) {
            return Ok(ControlFlow::Break(Finish::End));
        }
        self.ids.push(drawn.id);
        let stopped = self.text.push(drawn.id);
        let token = Token { id: drawn.id, logprob: drawn.logprob, text: self.text.fresh(), logits };
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

    fn finish(self, finish: Finish) -> Result<Generated> {
        Ok(Generated { text: self.text.finish(), ids: self.ids, finish, guesses: self.guesses })
    }
}

/// Bytes of text that room is made for with every token: far more than tokens have on average.
const BYTES: usize = 16;

/// Ids become text as far as it is certain.
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

    /// Whether a stop text is complete.
    fn push(&mut self, id: u32) -> bool {
        self.shown = self.stop.certain().len();
        let Some(bytes) = self.tokenizer.and_then(|t| t.token(id)) else { return false };
        self.stop.push(self.stream.push(bytes))
    }

    /// What the last push made certain.
    fn fresh(&self) -> &str {
        &self.stop.certain()[self.shown..]
    }

    fn finish(mut self) -> String {
        self.stop.push(self.stream.finish());
        self.stop.finish()
    }
}
