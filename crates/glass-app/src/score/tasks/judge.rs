//! Evaluates a task with a model.

use std::iter;

use glass::backend::Cpu;
use glass::generate::Runner;
use glass::next_token;
use glass::tokens::{Special, Tokenizer};
use glass::{Error, Result};

use super::read::Task;
use crate::fail::Fail;
use crate::model_arg::NamedModel;

/// The result of a task. Log-probabilities are sums over a continuation's tokens.
pub enum Verdict {
    /// A multiple-choice task.
    Choice {
        /// The log-probability of every choice.
        logprobs: Vec<f64>,
        /// The index of the right choice.
        gold: usize,
        /// Whether it is the most probable one; of equal ones the first is chosen.
        right: bool,
        /// The same by log-probability per character of the choice; `None` if the choices are contexts, since the
        /// scored text is then the same.
        right_by_length: Option<bool>,
    },
    /// A last-word task.
    LastWord {
        /// The log-probability of the word.
        logprob: f64,
        /// Whether each of its tokens was the most probable one.
        right: bool,
    },
}

/// Evaluates tasks with a model.
pub struct Judge<'a> {
    model: &'a NamedModel,
    tokenizer: &'a Tokenizer,
    runner: Runner<'a, Cpu>,
    /// The number of texts that were longer than the model's context and lost their beginning.
    pub cut: usize,
}

impl<'a> Judge<'a> {
    pub fn new(model: &'a NamedModel) -> std::result::Result<Judge<'a>, Fail> {
        Ok(Judge { model, tokenizer: model.tokenizer()?, runner: model.runner()?, cut: 0 })
    }

    pub fn judge(&mut self, task: &Task) -> Result<Verdict> {
        match task {
            Task::Choices { query, choices, gold } => {
                let logprobs = self.each(choices.iter().map(|choice| (query, choice)))?;
                let length = |choice: &String| choice.chars().count() as f64;
                let by_length = iter::zip(&logprobs, choices).map(|(sum, choice)| sum / length(choice));
                let right_by_length = Some(first_most(by_length) == Some(*gold));
                let right = first_most(logprobs.iter().copied()) == Some(*gold);
                Ok(Verdict::Choice { logprobs, gold: *gold, right, right_by_length })
            }
            Task::Contexts { context_options, continuation, gold } => {
                let logprobs = self.each(context_options.iter().map(|context| (context, continuation)))?;
                let right = first_most(logprobs.iter().copied()) == Some(*gold);
                Ok(Verdict::Choice { logprobs, gold: *gold, right, right_by_length: None })
            }
            Task::LastWord { context, continuation } => {
                let (logprob, right) = self.continuation(context, continuation)?;
                Ok(Verdict::LastWord { logprob, right })
            }
        }
    }

    fn each<'t>(&mut self, pairs: impl Iterator<Item = (&'t String, &'t String)>) -> Result<Vec<f64>> {
        pairs.map(|(context, continuation)| Ok(self.continuation(context, continuation)?.0)).collect()
    }

    /// The continuation's log-probability after its context, and whether each of its tokens was the most probable
    /// one. The prefix that the context shares with the previous one is not computed again.
    fn continuation(&mut self, context: &str, continuation: &str) -> Result<(f64, bool)> {
        let (ids, first) = self.encode(context, continuation)?;
        // The last id is never read, only looked up.
        let inputs = &ids[..ids.len() - 1];
        let cut = inputs.len().saturating_sub(self.model.config().context);
        self.cut += usize::from(cut > 0);
        if cut >= first {
            let (tokens, context) = (ids.len() - first, self.model.config().context);
            let why =
                format!("its {tokens} tokens leave no room in the model's context of {context}; shorten it");
            return Err(Error::invalid("continuation", why));
        }
        let (mut sum, mut greedy) = (0.0, true);
        let mut add = |logits: &[f32], id: u32| {
            let scored = next_token::score(logits, id)?;
            sum += scored.logprob;
            greedy &= scored.rank == 1;
            Ok::<_, Error>(())
        };
        self.runner.prompt(&ids[cut..first])?;
        add(self.runner.logits()?, ids[first])?;
        if first < inputs.len() {
            let mut done = Ok(());
            self.runner.feed_each(&inputs[first..], &mut |row, logits| {
                if done.is_ok() {
                    done = add(logits, ids[first + row + 1]);
                }
            })?;
            done?;
        }
        Ok((sum, greedy))
    }

    /// The ids of both, and where those of the continuation begin, as in the harness. The two are joined by one
    /// space and otherwise unchanged; white space at the end of the context is moved to the continuation, since a
    /// token begins with the white space before a word. Special tokens spelled in the texts are read as such. A
    /// text begins with its start token if the tokenizer adds one, unless it begins with that token's own text; an
    /// empty context is the start token.
    fn encode(&self, context: &str, continuation: &str) -> Result<(Vec<u32>, usize)> {
        let text = format!("{context} {continuation}");
        let start = self.model.start();
        let before = context.trim_end_matches(is_space);
        let (mut ids, rest) = if before.is_empty() {
            let rest = self.tokenizer.encode(&text, Special::Allowed);
            match (start, rest.first()) {
                (Some(start), Some(first)) if start == *first && context.is_empty() => {
                    (vec![start], rest[1..].to_vec())
                }
                _ => (start.into_iter().collect(), rest),
            }
        } else {
            let ids = self.whole(before);
            let rest = self.whole(&text).into_iter().skip(ids.len()).collect();
            (ids, rest)
        };
        let first = ids.len();
        if first == 0 {
            let why = "it is empty, and the model has no start token";
            return Err(Error::invalid("context", why));
        }
        if rest.is_empty() {
            return Err(Error::invalid("continuation", "it has no token of its own; give a longer one"));
        }
        ids.extend(rest);
        Ok((ids, first))
    }

    /// A text's ids, with the tokens that the tokenizer adds, unless the text already begins with the start token.
    fn whole(&self, text: &str) -> Vec<u32> {
        let start = self.model.start().and_then(|id| self.tokenizer.token(id)).unwrap_or_default();
        match !start.is_empty() && text.as_bytes().starts_with(start) {
            true => self.tokenizer.encode(text, Special::Allowed),
            false => self.tokenizer.encode_whole(text.as_bytes(), Special::Allowed),
        }
    }
}

/// White space as defined by Python.
fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

/// The index of the largest value; of equal ones the first.
fn first_most(values: impl Iterator<Item = f64>) -> Option<usize> {
    let better = |best: Option<(usize, f64)>, (at, value): (usize, f64)| match best {
        Some((_, most)) if most >= value => best,
        _ => Some((at, value)),
    };
    values.enumerate().fold(None, better).map(|(at, _)| at)
}
