//! The fields of a chat.

use serde_json::{Map, Value};

use super::conversation::ChatMessage;
use crate::serve::card::Card;
use crate::serve::error::{Answered, Refusal};
use crate::serve::look::Look;
use crate::serve::neutral::{self, Passes, Rule};
use crate::serve::response_format::Format;
use crate::serve::sampled::sampled;

sampled! {
    /// A chat that is to be continued.
    ChatRequest {
        /// The model's name, as in /v1/models.
        model: Option<String>,
        /// The conversation: `{"role", "content"}` each; a content is a text or a list of `{"type": "text", "text"}`.
        #[schema(value_type = Vec<ChatMessage>, min_items = 1)]
        messages: Vec<Value>,
        /// Variables of the model's chat template, such as `{"enable_thinking": false}`, `documents` or `tools`; a
        /// call that the model then writes is part of the answer's text.
        #[schema(value_type = Option<Object>)]
        chat_template_kwargs: Option<Map<String, Value>>,
        /// The largest number of tokens of an answer; by default what is left of the context.
        max_tokens: Option<usize>,
        /// The newer name of the same.
        max_completion_tokens: Option<usize>,
        /// The number of answers.
        #[schema(minimum = 1, maximum = 128)]
        n: Option<usize>,
        /// Whether the answer comes as server-sent events.
        stream: Option<bool>,
        /// `{"include_usage": true}`: one more event with the numbers of tokens.
        stream_options: Option<StreamOptions>,
        /// Whether tokens are told with their log-probabilities.
        logprobs: Option<bool>,
        /// The number of runners-up that are told with every token.
        #[schema(minimum = 0, maximum = 20)]
        top_logprobs: Option<usize>,
        /// `{"type": "text" | "json_object" | "json_schema"}`; the answer keeps to it, token by token.
        response_format: Option<Format>,
        /// Prefixes of prompts are shared only with requests that have the same salt.
        cache_salt: Option<String>,
        /// Whether the ids of tokens are told, which of them were guessed ahead (`guessed`), and how many guesses were right.
        return_token_ids: Option<bool>,
        /// What to see and to change inside the model.
        look: Option<Look>,
        /// Passes; changes nothing.
        user: Option<Value>,
        /// Passes; changes nothing.
        metadata: Option<Value>,
        /// Passes; changes nothing.
        safety_identifier: Option<Value>,
        /// Passes; prefixes are always shared.
        prompt_cache_key: Option<Value>,
        /// Passes; changes nothing.
        prompt_cache_retention: Option<Value>,
        /// Only false: nothing is stored.
        store: Option<Value>,
        /// Only "auto" and "default".
        service_tier: Option<Value>,
        /// Passes; there are no tools.
        parallel_tool_calls: Option<Value>,
        /// Only empty.
        tools: Option<Value>,
        /// Only "none" and "auto".
        tool_choice: Option<Value>,
        /// Only empty.
        functions: Option<Value>,
        /// Only "none" and "auto".
        function_call: Option<Value>,
        /// Only ["text"].
        modalities: Option<Value>,
        /// Only "none".
        reasoning_effort: Option<Value>,
        /// Only "medium".
        verbosity: Option<Value>,
        /// Only null.
        prediction: Option<Value>,
        /// Only null.
        audio: Option<Value>,
        /// Only null.
        web_search_options: Option<Value>,
    }
}

/// Fields of [`ChatRequest`] that may only ask for nothing.
pub const NEUTRAL: &[Rule] = &[
    ("user", Passes::Any),
    ("metadata", Passes::Any),
    ("safety_identifier", Passes::Any),
    ("prompt_cache_key", Passes::Any),
    ("prompt_cache_retention", Passes::Any),
    ("store", Passes::These(&["false"])),
    ("service_tier", Passes::These(&["\"auto\"", "\"default\""])),
    ("parallel_tool_calls", Passes::AnyBool),
    ("tools", Passes::Empty),
    ("tool_choice", Passes::These(&["\"none\"", "\"auto\""])),
    ("functions", Passes::Empty),
    ("function_call", Passes::These(&["\"none\"", "\"auto\""])),
    ("modalities", Passes::These(&["[\"text\"]"])),
    ("reasoning_effort", Passes::These(&["\"none\""])),
    ("verbosity", Passes::These(&["\"medium\""])),
    ("prediction", Passes::Nothing),
    ("audio", Passes::Nothing),
    ("web_search_options", Passes::Nothing),
];

/// What a stream tells besides its text.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamOptions {
    /// One more event with the numbers of tokens.
    pub include_usage: Option<bool>,
    /// Only false: events are not padded.
    pub include_obfuscation: Option<bool>,
}

impl StreamOptions {
    /// Refuses what cannot be done.
    pub fn check(self) -> Answered<()> {
        match self.include_obfuscation {
            Some(true) => Err(Refusal::field(
                "stream_options.include_obfuscation",
                "events are not padded; only false is possible",
            )),
            _ => Ok(()),
        }
    }
}

impl ChatRequest {
    /// Refuses what is wrong or cannot be done.
    pub fn check(&self, card: &Card) -> Answered<()> {
        card.check_name(self.model.as_deref())?;
        neutral::check(
            NEUTRAL,
            &[
                &self.user,
                &self.metadata,
                &self.safety_identifier,
                &self.prompt_cache_key,
                &self.prompt_cache_retention,
                &self.store,
                &self.service_tier,
                &self.parallel_tool_calls,
                &self.tools,
                &self.tool_choice,
                &self.functions,
                &self.function_call,
                &self.modalities,
                &self.reasoning_effort,
                &self.verbosity,
                &self.prediction,
                &self.audio,
                &self.web_search_options,
            ],
        )?;
        if self.stream_options.is_some() && self.stream != Some(true) {
            return Err(Refusal::field("stream_options", "it is only for stream: true"));
        }
        self.stream_options.unwrap_or_default().check()?;
        if self.top_logprobs.is_some_and(|top| top > 0) && self.logprobs != Some(true) {
            return Err(Refusal::field("top_logprobs", "it is only for logprobs: true"));
        }
        Ok(())
    }

    /// The largest number of tokens of an answer.
    pub fn tokens(&self) -> Answered<Option<usize>> {
        let tokens = match (self.max_tokens, self.max_completion_tokens) {
            (Some(old), Some(new)) if old != new => {
                let why = format!("it is {old}, and max_completion_tokens is {new}; give one of them");
                return Err(Refusal::field("max_tokens", why));
            }
            (old, new) => new.or(old),
        };
        let name = if self.max_tokens.is_some() { "max_tokens" } else { "max_completion_tokens" };
        match tokens {
            Some(0) => Err(Refusal::field(name, "it is 0; at least 1 was expected")),
            tokens => Ok(tokens),
        }
    }
}
