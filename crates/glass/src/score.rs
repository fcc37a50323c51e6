//! How probable a model finds a text: every token once, each behind as much context as half a window at least.
//!
//! A text longer than the context is read in windows of the context's length that move on by half of it; of each window
//! only what no window before has scored is counted.

use std::f64::consts::LN_2;
use std::ops::Range;

use crate::backend::Backend;
use crate::generate::Runner;
use crate::next_token::{self, Scored};
use crate::{Error, Result};

/// Rows that are read together, and those of them that are counted: the last ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// Rows of the text, no more than the context has.
    pub rows: Range<usize>,
    /// The first row that no window before has counted.
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

/// Scores every id but the first, which none stands before: `each(i, scored)` of `ids[i]`, in order. The runner forgets
/// what it has read.
pub fn score<B: Backend>(
    runner: &mut Runner<'_, B>,
    ids: &[u32],
    each: &mut dyn FnMut(usize, Scored),
) -> Result<()> {
    let Some((_, inputs)) = ids.split_last() else { return Ok(()) };
    let context = runner.gpt().config.context;
    for Window { rows, counted } in windows(inputs.len(), context) {
        runner.truncate(0);
        let mut failed: Option<Error> = None;
        runner.feed_each(&inputs[rows.clone()], &mut |row, logits| {
            let row = rows.start + row;
            if row < counted || failed.is_some() {
                return;
            }
            // Row i is what the model makes of everything up to id i: the probabilities of id i + 1.
            match next_token::score(logits, ids[row + 1]) {
                Ok(scored) => each(row + 1, scored),
                Err(error) => failed = Some(error),
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(())
}

/// The sum over all tokens scored.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Total {
    /// Nats: the negative logarithm of the text's probability.
    pub nats: f64,
    /// Tokens scored.
    pub tokens: u64,
    /// Bytes of text that they stand for.
    pub bytes: u64,
}

impl Total {
    /// Counts one token of `bytes` bytes.
    pub fn add(&mut self, logprob: f64, bytes: usize) {
        self.nats -= logprob;
        self.tokens += 1;
        self.bytes += bytes as u64;
    }

    /// Nats per token; `None` where no token was scored.
    pub fn loss(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.nats / self.tokens as f64)
    }

    /// Between how many tokens the model wavers, on average: e to the loss.
    pub fn perplexity(&self) -> Option<f64> {
        self.loss().map(f64::exp)
    }

    /// Bits per byte of text, which vocabularies of any size can be compared by; `None` where no bytes are known.
    pub fn bits_per_byte(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.nats / LN_2 / self.bytes as f64)
    }
}
