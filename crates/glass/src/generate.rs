//! Generating: the next token, and again.

pub mod runner;
pub mod stop;

use std::ops::ControlFlow;

pub use runner::Runner;
use stop::StopText;

use crate::Result;
use crate::backend::Backend;
use crate::next_token::{Sampler, Sampling};
use crate::tokens::{TextStream, Tokenizer};

/// What to generate, and when to end.
#[derive(Clone, Debug, Default)]
pub struct Wish {
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
}

/// One token as it comes.
pub struct Token<'a> {
    /// Its id.
    pub id: u32,
    /// Its log-probability, before any bias, penalty or temperature.
    pub logprob: f32,
    /// The text that is certain now: characters that are whole and cannot be part of a stop text.
    pub text: &'a str,
    /// The logits it was drawn from.
    pub logits: &'a [f32],
}

/// Goes on from what `runner` has read: draws a token, reads it, and again. `sample` numbers the continuations of one
/// prompt, so that each draws its own tokens from the same seed. `each` hears every token and may end it.
pub fn generate<B: Backend>(
    runner: &mut Runner<'_, B>,
    tokenizer: Option<&Tokenizer>,
    wish: &Wish,
    sample: u64,
    each: &mut dyn FnMut(&Token<'_>) -> ControlFlow<()>,
) -> Result<Generated> {
    let mut sampler = Sampler::new(&wish.sampling, runner.gpt().config.vocabulary, sample)?;
    sampler.see(runner.ids());
    let mut ids = Vec::with_capacity(wish.tokens.min(runner.room() + 1));
    let mut text = Text::new(tokenizer, wish, ids.capacity());
    let finish = loop {
        if wish.tokens == 0 {
            break Finish::Length;
        }
        let drawn = sampler.next(runner.logits())?;
        if wish.ends.contains(&drawn.id) {
            break Finish::End;
        }
        ids.push(drawn.id);
        let stopped = text.push(drawn.id);
        let token =
            Token { id: drawn.id, logprob: drawn.logprob, text: text.fresh(), logits: runner.logits() };
        let left = each(&token).is_break();
        if stopped {
            break Finish::Stop;
        }
        if left {
            break Finish::Left;
        }
        if ids.len() == wish.tokens {
            break Finish::Length;
        }
        if runner.room() == 0 {
            break Finish::Context;
        }
        runner.feed(&[drawn.id])?;
    };
    let text = text.finish();
    Ok(Generated { ids, text, finish })
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
    fn new(tokenizer: Option<&'a Tokenizer>, wish: &Wish, tokens: usize) -> Self {
        let mut stream = TextStream::default();
        let mut stop = StopText::new(&wish.stop, BYTES * tokens);
        stop.push(stream.push(&wish.before));
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
