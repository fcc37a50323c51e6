//! Chat templates: they turn a conversation into one text, in the form the model was trained on.
//!
//! A template is written in Jinja, as in `tokenizer_config.json` or `chat_template.jinja`, and renders to the same
//! text as `transformers`' `apply_chat_template`; `jinja` implements the language. `segments` decides which parts
//! of that text are learned; `guard` turns it into tokens so that no message can forge a special token.

mod continued;
mod guard;
mod jinja;
mod message;
mod segments;

use crate::{Error, Result};
use jinja::error::{Fault, FaultKind};
use jinja::value::Value;
use serde_json::{Map, Value as Json};
use std::sync::Arc;

pub use jinja::LocalTime;
pub use message::Message;
pub use segments::Segment;

/// A compiled chat template, with the special tokens it may use (`bos_token`, `eos_token` and others).
#[derive(Clone)]
pub struct Template {
    program: Arc<jinja::Program>,
    source: Arc<str>,
    tokens: Vec<(String, Arc<str>)>,
    now: Option<LocalTime>,
}

impl Template {
    /// Compiles a template. A syntax error is refused with its line.
    pub fn new(source: &str, bos: Option<&str>, eos: Option<&str>) -> Result<Template> {
        let program = Arc::new(jinja::Program::compile(source).map_err(sentence)?);
        let tokens = [("bos_token", bos), ("eos_token", eos)];
        let tokens =
            tokens.into_iter().filter_map(|(name, token)| Some((name.to_string(), token?.into()))).collect();
        Ok(Template { program, source: source.into(), tokens, now: None })
    }

    /// Adds one more token that the template may use, such as `pad_token`.
    pub fn with_token(mut self, name: &str, token: &str) -> Template {
        self.tokens.retain(|(known, _)| known != name);
        self.tokens.push((name.to_string(), token.into()));
        self
    }

    /// The same with an empty `bos_token`, so that a conversation gets no start token.
    pub fn without_start(self) -> Template {
        self.with_token("bos_token", "")
    }

    /// Sets the time that `strftime_now` shows. The library never reads the clock: without this call, a template
    /// that asks for the date is refused.
    pub fn with_time(mut self, now: LocalTime) -> Template {
        self.now = Some(now);
        self
    }

    /// The template as it was given.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The conversation as one text; with `generation_prompt`, up to the point where the assistant's answer begins.
    ///
    /// # Errors
    /// `InvalidArgument` if the template itself refuses the conversation (`raise_exception`), `Invalid` if it
    /// cannot be run.
    pub fn render(&self, messages: &[Message], generation_prompt: bool) -> Result<String> {
        self.render_with(messages, generation_prompt, &Map::new())
    }

    /// Like [`Template::render`], with more variables for the template: `tools`, `documents`, and switches such as
    /// `enable_thinking`.
    pub fn render_with(
        &self,
        messages: &[Message],
        generation_prompt: bool,
        variables: &Map<String, Json>,
    ) -> Result<String> {
        let conversation = messages.iter().map(Message::as_template_value).collect();
        let mut names: Vec<(&str, Value)> = vec![
            ("messages", Value::list(conversation)),
            ("add_generation_prompt", Value::Bool(generation_prompt)),
        ];
        names.extend(variables.iter().map(|(name, value)| (name.as_str(), value.into())));
        names.extend(self.tokens.iter().map(|(name, token)| (name.as_str(), Value::from(&**token))));
        names.extend(["tools", "documents"].map(|name| (name, Value::None)));
        self.program.render(&names, self.now).map_err(sentence)
    }
}

/// The template that models trained by Glass are saved with: ChatML. It needs the special tokens
/// [`DEFAULT_SPECIALS`].
pub fn default_template() -> &'static str {
    include_str!("chat/default.jinja")
}

/// The special tokens of [`default_template`]: what opens a turn, and what closes it.
pub const DEFAULT_SPECIALS: [&str; 2] = ["<|im_start|>", "<|im_end|>"];

/// An error for a conversation that is refused.
fn refused(why: impl std::fmt::Display) -> Error {
    Error::invalid_argument("messages", why)
}

/// An error message: the template's own message if it raised one, else the line and what is wrong there.
fn sentence(fault: Fault) -> Error {
    let why = match fault.kind {
        FaultKind::Raised(message) => {
            return refused(format!("the chat template refuses this conversation: {message}"));
        }
        FaultKind::Syntax(why) => format!("syntax error: {why}"),
        FaultKind::Failed(why) => why,
        FaultKind::Unavailable(what) if what.starts_with("strftime_now without") => {
            "it asks for today's date (strftime_now), which is not given here; write a date into the template"
                .into()
        }
        FaultKind::Unavailable(what) => format!("it needs what Glass's chat templates cannot do: {what}"),
        FaultKind::OutOfFuel => "it runs far longer than any conversation needs, and was stopped".into(),
    };
    Error::invalid(format!("chat template, line {}", fault.line), why)
}
