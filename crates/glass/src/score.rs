//! The probability of a text under a model: every token is scored once, with at least half a window of context
//! before it.
//!
//! A text longer than the context is read in windows of the context's length that advance by half of it; in each
//! window only the tokens that no earlier window has scored are counted.

use std::f64::consts::LN_2;
use std::ops::Range;

use crate::backend::Backend;
use crate::generate::Runner;
use crate::next_token::{self, Scored};
use crate::{Error, Result};

/// Rows that are read together; the last ones of them are counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// Rows of the text, no more than the context has.
    pub rows: Range<usize>,
    /// The first row that no earlier window has counted.
    pub counted: usize,
}

/// The windows over `rows` rows.
pub fn windows(rows: usize, context: usize) -> impl Iterator<Item = Window> {
    let stride = (context / 2).max(1);
    let mut done = 0;
    (0..).step_by(stride).map_while(move |start| {
        let end = rows.min(start + context);
        let window = (done < rows).then_some(Window { rows: start..end, counted: done });
        done = end;
        window
    })
}

/// Scores every id except the first, which has no context: calls `each(i, scored)` for `ids[i]`, in order. The
/// runner forgets what it has read.
pub fn score<B: Backend>(
    runner: &mut Runner<'_, B>,
    ids: &[u32],
    each: &mut dyn FnMut(usize, Scored),
) -> Result<()> {
    let Some((_, inputs)) = ids.split_last() else { return Ok(()) };
    for window in windows(inputs.len(), runner.gpt().config.context) {
        read(runner, inputs, &window, &mut |row, logits| {
            each(row + 1, next_token::score(logits, ids[row + 1])?);
            Ok(())
        })?;
    }
    Ok(())
}

/// The scores of a token by two models, and the divergence of their probabilities of all tokens at its position.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Compared {
    /// By the first model, the reference.
    pub first: Scored,
    /// By the second model.
    pub second: Scored,
    /// Whether the most probable token is the same.
    pub same_top: bool,
    /// `Σ p ln(p / q)`, nats: the Kullback–Leibler divergence of the second's probabilities q from the first's p.
    pub divergence: f64,
}

/// Scores every id except the first by two models with the same vocabulary, in the same windows. The first model's
/// logits of half a context are held in memory.
///
/// # Errors
/// If the vocabularies or the contexts differ in size.
pub fn compare<B: Backend>(
    first: &mut Runner<'_, B>,
    second: &mut Runner<'_, B>,
    ids: &[u32],
    each: &mut dyn FnMut(usize, Compared),
) -> Result<()> {
    let [one, other] = [first.gpt(), second.gpt()].map(|gpt| [gpt.config.vocabulary, gpt.config.context]);
    if one != other {
        let why = format!(
            "one has {} tokens and a context of {}, the other {} and {}; only models of the same vocabulary and context can be \
             compared token by token",
            one[0], one[1], other[0], other[1]
        );
        return Err(Error::invalid_argument("models", why));
    }
    let Some((_, inputs)) = ids.split_last() else { return Ok(()) };
    let [vocabulary, context] = one;
    let mut held = Vec::new();
    for window in windows(inputs.len(), context) {
        held.clear();
        read(first, inputs, &window, &mut |_, logits| {
            held.extend_from_slice(logits);
            Ok(())
        })?;
        let mut rows = held.chunks_exact(vocabulary);
        read(second, inputs, &window, &mut |row, logits| {
            let held = rows.next().expect("as many rows");
            let target = ids[row + 1];
            let [first, second] = [next_token::score(held, target)?, next_token::score(logits, target)?];
            let same_top = next_token::most_probable(held) == next_token::most_probable(logits);
            let divergence = next_token::divergence(held, logits)?;
            each(row + 1, Compared { first, second, same_top, divergence });
            Ok(())
        })?;
    }
    Ok(())
}

/// Reads one window: calls `each(row, logits)` for the rows that it counts.
fn read<B: Backend>(
    runner: &mut Runner<'_, B>,
    inputs: &[u32],
    window: &Window,
    each: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
) -> Result<()> {
    let Window { rows, counted } = window;
    runner.truncate(0);
    let mut done: Result<()> = Ok(());
    runner.feed_each(&inputs[rows.clone()], &mut |row, logits| {
        let row = rows.start + row;
        if row >= *counted && done.is_ok() {
            // Row i is the result of reading everything up to id i: the probabilities of id i + 1.
            done = each(row, logits);
        }
    })?;
    done
}

/// The sum over all tokens scored.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Total {
    /// Nats: the negative logarithm of the text's probability.
    pub nats: f64,
    /// Tokens scored.
    pub tokens: u64,
    /// The bytes of their text.
    pub bytes: u64,
}

impl Total {
    /// Counts one token of `bytes` bytes.
    pub fn add(&mut self, logprob: f64, bytes: usize) {
        self.nats -= logprob;
        self.tokens += 1;
        self.bytes += bytes as u64;
    }

    /// Nats per token; `None` if no token was scored.
    pub fn loss(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.nats / self.tokens as f64)
    }

    /// e to the loss: the number of equally probable tokens that would be as hard to predict.
    pub fn perplexity(&self) -> Option<f64> {
        self.loss().map(f64::exp)
    }

    /// Bits per byte of text, which compares models with different vocabularies; `None` if the bytes are unknown.
    pub fn bits_per_byte(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.nats / LN_2 / self.bytes as f64)
    }
}
