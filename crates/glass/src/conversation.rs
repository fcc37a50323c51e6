//! A conversation that fits in a context: the system prompt is kept, the oldest turns are dropped first.

use crate::tokens::Tokenizer;
use crate::tokens::chat::{Message, Template};
use crate::{Error, Result};

/// A system prompt, questions and answers.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    system: Option<String>,
    turns: Vec<Message>,
    dropped: usize,
}

/// A conversation as a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The tokens, up to where the answer begins.
    pub ids: Vec<u32>,
    /// Messages that no longer fit and were left out, counted from the start.
    pub dropped: usize,
}

impl Conversation {
    /// An empty conversation, with or without a system prompt.
    pub fn new(system: Option<&str>) -> Self {
        Conversation { system: system.map(str::to_string), ..Self::default() }
    }

    /// The system prompt.
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// Changes or removes the system prompt.
    pub fn set_system(&mut self, system: Option<&str>) {
        self.system = system.map(str::to_string);
    }

    /// All messages, the system prompt first.
    pub fn messages(&self) -> Vec<Message> {
        self.since(0)
    }

    /// The questions and answers, including those that no longer fit.
    pub fn turns(&self) -> &[Message] {
        &self.turns
    }

    /// Adds a question.
    pub fn ask(&mut self, question: &str) {
        self.turns.push(Message::new("user", question));
    }

    /// Adds an answer.
    pub fn answered(&mut self, answer: &str) {
        self.turns.push(Message::new("assistant", answer));
    }

    /// Removes and returns the last answer, so that its question can be answered again; `None` if there is none.
    pub fn retry(&mut self) -> Option<Message> {
        self.turns.pop_if(|message| message.role() == "assistant")
    }

    /// Removes the last question.
    pub fn take_back(&mut self) {
        if self.turns.last().is_some_and(|message| message.role() == "user") {
            self.turns.pop();
        }
    }

    /// The tokens of the conversation, with room for `room` more in `context`. If they do not fit, the oldest turns
    /// are dropped permanently. A system prompt or a question that is too long on its own is an error.
    pub fn prompt(
        &mut self,
        template: &Template,
        tokenizer: &Tokenizer,
        context: usize,
        room: usize,
    ) -> Result<Prompt> {
        // An error changes nothing: turns are dropped only if the rest fits.
        let mut dropped = self.dropped;
        loop {
            let ids = template.prompt(&self.since(dropped), tokenizer)?;
            if ids.len() + room <= context {
                self.dropped = dropped;
                return Ok(Prompt { ids, dropped });
            }
            let Some(next) = self.question_after(dropped) else {
                return Err(self.too_long(template, tokenizer, context, room));
            };
            dropped = next;
        }
    }

    fn since(&self, first: usize) -> Vec<Message> {
        let system = self.system.iter().map(|content| Message::new("system", content));
        system.chain(self.turns[first.min(self.turns.len())..].iter().cloned()).collect()
    }

    /// Index of the next question after turn `turn`.
    fn question_after(&self, turn: usize) -> Option<usize> {
        (turn + 1..self.turns.len()).find(|&turn| self.turns[turn].role() == "user")
    }

    fn too_long(&self, template: &Template, tokenizer: &Tokenizer, context: usize, room: usize) -> Error {
        let limit = format!("with room for {room} tokens of answer in a context of {context}");
        if let Some(system) = &self.system {
            let (alone, empty) = (Message::new("system", system), Message::new("user", ""));
            let len = template.prompt(&[alone, empty], tokenizer).map_or(0, |ids| ids.len());
            if len + room > context {
                return Error::invalid_argument(
                    "system prompt",
                    format!("its {len} tokens do not fit {limit}; give a shorter one"),
                );
            }
        }
        Error::invalid_argument("question", format!("it does not fit {limit}; ask with fewer words"))
    }
}
