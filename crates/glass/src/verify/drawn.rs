//! Samples that continue a text: each alone, several together, and with tokens guessed ahead.

use std::ops::ControlFlow;

use super::{From, TOGETHER, Text};
use crate::Result;
use crate::backend::Backend;
use crate::generate::{Batch, GenerateOptions, Guesses, Runner, Token, generate, generate_together};
use crate::guess::{self, Costs, Draft, Table};
use crate::next_token::Sampling;

/// Tokens that each sample draws.
const TOKENS: usize = 16;

/// The largest number of tokens guessed in a pass.
const AHEAD: usize = 7;

/// Entries of the draft that tokens are guessed from.
const ENTRIES: usize = 8_000;

/// The tokens of a sample, and the bits of their log-probabilities, which depend on every logit.
pub(super) type Drawn = Vec<(u32, u64)>;

/// What a sample is drawn from.
#[derive(Clone, Copy)]
enum Among {
    /// The whole vocabulary: samples diverge.
    All,
    /// Two tokens, each drawn about as often: whatever the model, a sample repeats what it said, so some guesses are right and
    /// others wrong.
    Two,
}

const EACH: [Among; 2] = [Among::All, Among::Two];

impl Among {
    fn sampling(self, vocabulary: usize) -> Sampling {
        let mut two = vec![vocabulary as u32 / 3, vocabulary as u32 * 2 / 3];
        two.dedup();
        match self {
            Among::All => Sampling::default(),
            // The temperature makes the two alike; the bias leaves no chance to others.
            Among::Two => Sampling {
                temperature: 10.0,
                hot: true,
                logit_bias: two.into_iter().map(|id| (id, 1000.0)).collect(),
                ..Sampling::default()
            },
        }
    }

    fn options(self, vocabulary: usize, from: Option<From>) -> GenerateOptions {
        GenerateOptions {
            tokens: TOKENS,
            sampling: self.sampling(vocabulary),
            lookup: if matches!(from, Some(From::Text | From::Both)) { 8 } else { 0 },
            draft: from.is_some_and(|from| from != From::Text),
            ..GenerateOptions::default()
        }
    }
}

fn drawn(token: &Token<'_>) -> (u32, u64) {
    (token.id, token.logprob().to_bits())
}

/// Every sample on its own.
pub(super) fn alone<B: Backend>(
    runner: &mut Runner<'_, B>,
    text: &Text,
    from: Option<From>,
) -> Result<(Vec<Drawn>, Guesses)> {
    let vocabulary = runner.gpt().config.vocabulary;
    let (mut all, mut guesses) = (Vec::with_capacity(2 * TOGETHER), Guesses::default());
    // As many guesses as there are, also where they take more time than they save.
    runner.costs = Costs::fixed(AHEAD);
    for among in EACH {
        for sample in 0..TOGETHER as u64 {
            runner.prompt(text.prompt())?;
            let mut one = Drawn::with_capacity(TOKENS);
            let mut each = |token: &Token<'_>| {
                one.push(drawn(token));
                ControlFlow::Continue(())
            };
            let done = generate(runner, None, &among.options(vocabulary, from), sample, &mut each)?;
            guesses.all += done.guesses.all;
            guesses.right += done.guesses.right;
            all.push(one);
        }
    }
    Ok((all, guesses))
}

/// The samples of each kind together.
pub(super) fn together<B: Backend>(mut batch: Batch<'_, B>, text: &Text) -> Result<Vec<Drawn>> {
    let vocabulary = batch.gpt().config.vocabulary;
    let mut all = Vec::with_capacity(2 * TOGETHER);
    for among in EACH {
        let mut some = vec![Drawn::new(); TOGETHER];
        let mut each = |slot: usize, token: &Token<'_>| {
            some[slot].push(drawn(token));
            ControlFlow::Continue(())
        };
        let prompts = [text.prompt(); TOGETHER];
        generate_together(&mut batch, None, &among.options(vocabulary, None), 0, &prompts, &mut each)?;
        all.extend(some);
    }
    Ok(all)
}

/// Whether the context has room for the prompt and all tokens, so that there is something to guess.
pub(super) fn is_guessed(text: &Text, context: usize) -> bool {
    text.prompt + TOKENS <= context
}

/// A draft of what the model draws here, so that some of its guesses are right.
pub(super) fn draft(text: &Text, alone: &[Drawn], answers: Vec<guess::Drawn>, vocabulary: usize) -> Draft {
    let from = text.prompt;
    let ids = |drawn: &Drawn| drawn.iter().map(|(id, _)| *id).collect::<Vec<u32>>();
    let mut texts: Vec<guess::Drawn> =
        alone.iter().map(|drawn| guess::Drawn::new([text.prompt(), &ids(drawn)].concat(), from)).collect();
    texts.extend(answers);
    // Some are held out, to see how often guesses are right: twice, so that each is learned too.
    texts.extend(texts.clone());
    Draft::of(Some(Table::learn(&texts, ENTRIES, vocabulary, 1.0)), None)
}
