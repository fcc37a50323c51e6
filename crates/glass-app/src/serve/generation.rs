//! What a request asks of the engine: its prompts, how they are continued, how many times.

use glass::generate::{Finish, GenerateOptions};
use glass::scheduler::{Constraint, Request, Watch};

use super::card::Card;
use super::error::{Answered, Refusal};
use super::sampled::Sampled;

/// The largest number of answers to one prompt.
pub const MOST_ANSWERS: usize = 128;

/// The largest number of runners-up.
pub const MOST_TOP: usize = 20;

/// How prompts are continued.
pub struct Generation {
    /// Sampling, length, stop texts and end tokens.
    pub options: GenerateOptions,
    /// Answers to each prompt.
    pub n: usize,
    /// Whether log-probabilities are told.
    pub logprobs: bool,
    /// Runners-up told with every token.
    pub top: usize,
    /// Whether prompts are scored too.
    pub score_prompt: bool,
    /// Prefixes are shared within this salt.
    pub salt: Option<String>,
    /// What to see and to change inside.
    pub watch: Option<Watch>,
    /// The number of the adapter that answers.
    pub adapter: Option<usize>,
}

impl Generation {
    /// As asked for, with the text-ending tokens of the model. `tokens`: `None` for what is left of the context.
    pub fn new(card: &Card, sampled: &Sampled, tokens: Option<usize>, lookup: usize) -> Answered<Generation> {
        let options = GenerateOptions {
            tokens: tokens.unwrap_or(card.config.context),
            sampling: sampled.sampling(card)?,
            stop: sampled.stops()?,
            ends: card.ends.clone(),
            before: Vec::new(),
            lookup,
            draft: true,
        };
        Ok(Generation {
            options,
            n: 1,
            logprobs: false,
            top: 0,
            score_prompt: false,
            salt: None,
            watch: None,
            adapter: None,
        })
    }

    /// The engine's requests: for each prompt, `n` answers. `constraint` makes one for each of them.
    pub fn requests(
        &self,
        prompts: &[Vec<u32>],
        constraint: &dyn Fn() -> Answered<Option<Box<dyn Constraint + Send>>>,
    ) -> Answered<Vec<Request>> {
        let mut requests = Vec::with_capacity(prompts.len() * self.n);
        for prompt in prompts {
            for sample in 0..self.n {
                requests.push(Request {
                    prompt: prompt.clone(),
                    options: self.options.clone(),
                    sample: sample as u64,
                    logprobs: self.logprobs,
                    top: self.top,
                    score_prompt: self.score_prompt,
                    salt: self.salt.clone(),
                    adapter: self.adapter,
                    constraint: constraint()?,
                    watch: self.watch.clone(),
                });
            }
        }
        Ok(requests)
    }

    /// Generating without any restriction.
    pub fn free(&self, prompts: &[Vec<u32>]) -> Answered<Vec<Request>> {
        self.requests(prompts, &|| Ok(None))
    }
}

/// The number of answers that is asked for.
pub fn answers(n: Option<usize>) -> Answered<usize> {
    match n.unwrap_or(1) {
        n @ 1..=MOST_ANSWERS => Ok(n),
        n => Err(Refusal::field("n", format!("it is {n}; a number from 1 to {MOST_ANSWERS} was expected"))),
    }
}

/// The number of runners-up that is asked for.
pub fn runners_up(param: &str, top: Option<usize>) -> Answered<usize> {
    match top.unwrap_or(0) {
        top @ 0..=MOST_TOP => Ok(top),
        top => Err(Refusal::field(param, format!("it is {top}; a number from 0 to {MOST_TOP} was expected"))),
    }
}

/// OpenAI's name for the end of an answer.
pub fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Length | Finish::Context | Finish::Left => "length",
        Finish::Stop | Finish::End => "stop",
    }
}
