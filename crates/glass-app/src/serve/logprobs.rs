//! Log-probabilities in the shapes of chats and of completions.

use glass::tokens::TextStream;
use serde_json::{Map, Value, json};

use super::answer::Told;
use super::card::Card;

/// One token in the shape of chats; `top`: how many runners-up were asked for.
pub fn of_chat(card: &Card, told: &Told, top: usize) -> Value {
    let one = |id: u32, logprob: f64| json!({"token": card.text(id), "logprob": finite(logprob), "bytes": card.bytes(id), "id": id});
    let mut value = one(told.id, told.logprob.unwrap_or_default());
    let runners_up = told.top.iter().take(top).map(|drawn| one(drawn.id, drawn.logprob)).collect();
    value["top_logprobs"] = Value::Array(runners_up);
    value
}

/// JSON has no −∞: an impossible token gets −9999, as at OpenAI.
pub fn finite(logprob: f64) -> f64 {
    if logprob.is_finite() { logprob } else { -9999.0 }
}

/// Log-probabilities in the shape of completions.
#[derive(Default)]
pub struct OfCompletion {
    tokens: Vec<Value>,
    logprobs: Vec<Value>,
    tops: Vec<Value>,
    offsets: Vec<usize>,
    ids: Vec<u32>,
    stream: TextStream,
    /// Characters so far.
    offset: usize,
    /// So many tokens are not in the text: those that the model's files put before it.
    before: usize,
}

impl OfCompletion {
    /// For a text whose first tokens are not in it.
    pub fn starting(before: usize) -> OfCompletion {
        OfCompletion { before, ..OfCompletion::default() }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Adds a token.
    pub fn push(&mut self, card: &Card, told: &Told, top: usize) {
        self.ids.push(told.id);
        self.tokens.push(card.text(told.id).into());
        self.logprobs.push(told.logprob.map(finite).into());
        let mut runners_up = Map::new();
        for drawn in told.top.iter().take(top) {
            // Of tokens with the same text the most probable one counts.
            runners_up.entry(card.text(drawn.id)).or_insert_with(|| finite(drawn.logprob).into());
        }
        if let Some(logprob) = told.logprob.filter(|_| top > 0) {
            runners_up.entry(card.text(told.id)).or_insert_with(|| finite(logprob).into());
        }
        let none = told.logprob.is_none();
        self.tops.push(if none { Value::Null } else { Value::Object(runners_up) });
        self.offsets.push(self.offset);
        if self.before > 0 {
            self.before -= 1;
            return;
        }
        self.offset += self.stream.push(card.bytes(told.id)).chars().count();
    }

    /// What was added, and nothing of it remains.
    pub fn take(&mut self) -> Value {
        let take = |values: &mut Vec<Value>| Value::Array(std::mem::take(values));
        json!({
            "tokens": take(&mut self.tokens),
            "token_logprobs": take(&mut self.logprobs),
            "top_logprobs": take(&mut self.tops),
            "text_offset": std::mem::take(&mut self.offsets),
            "token_ids": std::mem::take(&mut self.ids),
        })
    }
}
