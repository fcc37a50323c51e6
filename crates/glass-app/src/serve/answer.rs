//! The answers of one request, collected to their ends.

use std::sync::Arc;

use glass::generate::{Finish, Guesses};
use glass::next_token::Drawn;
use glass::scheduler::{Event, Request, Seen};
use serde_json::{Value, json};

use super::error::Answered;
use super::log::Record;
use super::running::{Next, Running};
use super::state::Shared;

/// A token with its log-probability; the first of a scored prompt has none.
#[derive(Clone)]
pub struct Told {
    /// Its id.
    pub id: u32,
    /// The natural logarithm of its probability.
    pub logprob: Option<f64>,
    /// The most probable tokens in its place.
    pub top: Vec<Drawn>,
    /// Whether it was guessed ahead.
    pub guessed: bool,
}

/// Adds the ids of tokens to a choice, and which of them were guessed ahead.
pub fn tell_ids(choice: &mut Value, tokens: &[Told]) {
    choice["token_ids"] = tokens.iter().map(|told| told.id).collect();
    choice["guessed"] = tokens.iter().map(|told| told.guessed).collect();
}

/// How many tokens were guessed ahead, and how many of them were right.
pub fn counted(guesses: Guesses) -> Value {
    json!({"all": guesses.all, "right": guesses.right})
}

/// One answer.
#[derive(Default)]
pub struct Answer {
    /// Its text.
    pub text: String,
    /// The prompt's tokens, if they were scored.
    pub scored: Vec<Told>,
    /// Its tokens.
    pub tokens: Vec<Told>,
    /// Why it ended.
    pub finish: Option<Finish>,
    /// Positions of its prompt that came from the cache.
    pub cached: usize,
    /// What was seen inside.
    pub seen: Option<Box<Seen>>,
    /// The logits after the prompt, if no token was asked for.
    pub logits: Option<Vec<f32>>,
    /// Tokens that were guessed ahead.
    pub guesses: Guesses,
}

impl Answer {
    /// Takes in what happened.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Begun { cached } => self.cached = cached,
            Event::Scored { id, scored, top } => {
                let logprob = scored.map(|scored| scored.logprob);
                self.scored.push(Told { id, logprob, top, guessed: false });
            }
            Event::Token { id, logprob, text, top, guessed } => {
                self.text.push_str(&text);
                self.tokens.push(Told { id, logprob, top, guessed });
            }
            Event::Ended { finish, rest, seen, logits, guesses } => {
                self.text.push_str(&rest);
                (self.finish, self.seen, self.logits) = (Some(finish), seen, logits);
                self.guesses = guesses;
            }
            Event::Failed(_) => {}
        }
    }
}

/// Generates all answers of a request.
pub async fn collect(
    service: &Shared,
    record: &Arc<Record>,
    requests: Vec<Request>,
) -> Answered<Vec<Answer>> {
    let mut answers: Vec<Answer> = requests.iter().map(|_| Answer::default()).collect();
    let mut running = Running::start(service, record, requests).await?;
    loop {
        match running.next(None).await? {
            Next::Event(choice, event) => answers[choice].take(event),
            Next::Quiet => {}
            Next::Done => return Ok(answers),
        }
    }
}

/// Exact counts of tokens, as OpenAI has them.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    /// Tokens of the prompts, each counted once.
    pub prompt: usize,
    /// Tokens of all answers.
    pub completion: usize,
    /// Tokens of the prompts that came from the cache.
    pub cached: usize,
}

impl Usage {
    /// As JSON.
    pub fn json(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        })
    }
}
