//! Chat templates: a conversation becomes one text, in the form the model was taught.
//!
//! A template is Jinja, as in `tokenizer_config.json` or `chat_template.jinja`, and renders to the same text as
//! `transformers`' `apply_chat_template`. Which stretches of that text are learned from is decided in `segments`; how it
//! becomes tokens, so that no message can forge a special token, in `guard`.

mod engine;
mod guard;
mod json;
mod python;
mod segments;

use crate::{Error, Result};
use minijinja::{Environment, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub use segments::Segment;

/// One turn of a conversation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, or another word that the template knows.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl<R: Into<String>, C: Into<String>> From<(R, C)> for Message {
    fn from((role, content): (R, C)) -> Self {
        Message { role: role.into(), content: content.into() }
    }
}

/// A compiled chat template, with the two special tokens it may name (`bos_token`, `eos_token`).
#[derive(Clone)]
pub struct Template {
    engine: Arc<Environment<'static>>,
    source: Arc<str>,
    bos: Option<Arc<str>>,
    eos: Option<Arc<str>>,
}

impl Template {
    /// Compiles a template. A syntax error is refused with its line.
    pub fn new(source: &str, bos: Option<&str>, eos: Option<&str>) -> Result<Template> {
        let engine = Arc::new(engine::compile(source)?);
        Ok(Template { engine, source: source.into(), bos: bos.map(Arc::from), eos: eos.map(Arc::from) })
    }

    /// The template as it was given.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The conversation as one text; with `generation_prompt`, up to where the assistant begins to speak.
    ///
    /// # Errors
    /// `Asked` where the template itself refuses the conversation (`raise_exception`), `Invalid` where it cannot be run.
    pub fn render(&self, messages: &[Message], generation_prompt: bool) -> Result<String> {
        let conversation: Vec<Value> = messages
            .iter()
            .map(|message| Value::from_pairs([("role", &message.role), ("content", &message.content)]))
            .collect();
        let mut names = vec![
            ("messages", Value::from(conversation)),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(generation_prompt)),
        ];
        names.extend(self.bos.as_deref().map(|token| ("bos_token", Value::from(token))));
        names.extend(self.eos.as_deref().map(|token| ("eos_token", Value::from(token))));
        let template = self.engine.get_template(engine::NAME).map_err(engine::sentence)?;
        template.render(Value::from_pairs(names)).map_err(engine::sentence)
    }
}

/// The template that the models made here ship with: ChatML. It needs the special tokens [`DEFAULT_SPECIALS`].
pub fn default_template() -> &'static str {
    include_str!("chat/default.jinja")
}

/// The special tokens of [`default_template`]: what opens a turn, and what closes it.
pub const DEFAULT_SPECIALS: [&str; 2] = ["<|im_start|>", "<|im_end|>"];

/// The caller's conversation is refused.
fn refused(why: impl std::fmt::Display) -> Error {
    Error::asked("messages", why)
}
