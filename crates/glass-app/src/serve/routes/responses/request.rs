//! The fields of a response's request.

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::chat;
use crate::serve::error::{Answered, Refusal};
use crate::serve::neutral::{self, Passes, Rule};
use crate::serve::response_format::{Format, NamedSchema};
use crate::serve::sampled::Seed;

/// A question that is to be answered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResponseRequest {
    /// The model's name, as in /v1/models.
    pub model: Option<String>,
    /// A text, or a list of messages `{"role", "content"}`.
    pub input: Value,
    /// The system prompt.
    pub instructions: Option<String>,
    /// The largest number of tokens of the answer; by default what is left of the context.
    pub max_output_tokens: Option<usize>,
    /// 0 always takes the most probable token, 1 draws from the model's own probabilities.
    #[schema(minimum = 0, maximum = 2)]
    pub temperature: Option<f32>,
    /// Only the fewest tokens that together have this probability; 1 is off.
    #[schema(minimum = 0, maximum = 1)]
    pub top_p: Option<f32>,
    /// The same seed gives the same tokens; without it, one is drawn and told.
    pub seed: Option<Seed>,
    /// Whether the answer comes as server-sent events.
    pub stream: Option<bool>,
    /// `{"format": {"type": "text" | "json_object" | "json_schema"}}`.
    pub text: Option<TextOptions>,
    /// Passes; changes nothing.
    pub user: Option<Value>,
    /// Passes, and is told again.
    pub metadata: Option<Value>,
    /// Passes; changes nothing.
    pub safety_identifier: Option<Value>,
    /// Passes; prefixes are always shared.
    pub prompt_cache_key: Option<Value>,
    /// Only false: nothing is stored.
    pub store: Option<Value>,
    /// Only false.
    pub background: Option<Value>,
    /// Only "disabled": a prompt is never cut.
    pub truncation: Option<Value>,
    /// Only "auto" and "default".
    pub service_tier: Option<Value>,
    /// Passes; there are no tools.
    pub parallel_tool_calls: Option<Value>,
    /// Only empty.
    pub tools: Option<Value>,
    /// Only "none" and "auto".
    pub tool_choice: Option<Value>,
    /// Only empty.
    pub include: Option<Value>,
    /// Only null or empty.
    pub reasoning: Option<Value>,
    /// Only null: nothing is stored.
    pub previous_response_id: Option<Value>,
    /// Only null: nothing is stored.
    pub conversation: Option<Value>,
    /// Only null.
    pub prompt: Option<Value>,
    /// Only 0.
    pub top_logprobs: Option<Value>,
    /// Only null.
    pub max_tool_calls: Option<Value>,
    /// Only null or empty.
    pub stream_options: Option<Value>,
}

/// Fields of [`ResponseRequest`] that may only ask for nothing.
pub const NEUTRAL: &[Rule] = &[
    ("user", Passes::Any),
    ("metadata", Passes::Any),
    ("safety_identifier", Passes::Any),
    ("prompt_cache_key", Passes::Any),
    ("store", Passes::These(&["false"])),
    ("background", Passes::These(&["false"])),
    ("truncation", Passes::These(&["\"disabled\""])),
    ("service_tier", Passes::These(&["\"auto\"", "\"default\""])),
    ("parallel_tool_calls", Passes::AnyBool),
    ("tools", Passes::Empty),
    ("tool_choice", Passes::These(&["\"none\"", "\"auto\""])),
    ("include", Passes::Empty),
    ("reasoning", Passes::Empty),
    ("previous_response_id", Passes::Nothing),
    ("conversation", Passes::Nothing),
    ("prompt", Passes::Nothing),
    ("top_logprobs", Passes::These(&["0"])),
    ("max_tool_calls", Passes::Nothing),
    ("stream_options", Passes::Empty),
    ("text.verbosity", Passes::These(&["\"medium\""])),
];

/// The form of the answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TextOptions {
    /// The form.
    pub format: Option<TextFormat>,
    /// Only "medium".
    pub verbosity: Option<Value>,
}

/// The form of an answer, as this endpoint writes it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TextFormat {
    /// Any text.
    Text,
    /// A JSON object.
    JsonObject,
    /// JSON of this schema.
    JsonSchema(NamedSchema),
}

impl ResponseRequest {
    /// Refuses what cannot be done.
    pub fn check(&self) -> Answered<()> {
        let verbosity = self.text.as_ref().map_or(&None, |text| &text.verbosity);
        neutral::check(
            NEUTRAL,
            &[
                &self.user,
                &self.metadata,
                &self.safety_identifier,
                &self.prompt_cache_key,
                &self.store,
                &self.background,
                &self.truncation,
                &self.service_tier,
                &self.parallel_tool_calls,
                &self.tools,
                &self.tool_choice,
                &self.include,
                &self.reasoning,
                &self.previous_response_id,
                &self.conversation,
                &self.prompt,
                &self.top_logprobs,
                &self.max_tool_calls,
                &self.stream_options,
                verbosity,
            ],
        )
    }

    /// The messages of the conversation.
    pub fn messages(&mut self) -> Answered<Vec<Value>> {
        let mut messages = Vec::new();
        if let Some(system) = self.instructions.take() {
            messages.push(json!({"role": "system", "content": system}));
        }
        match std::mem::take(&mut self.input) {
            Value::String(text) => messages.push(json!({"role": "user", "content": text})),
            Value::Array(items) => {
                for (at, item) in items.into_iter().enumerate() {
                    messages.push(message(at, item)?);
                }
            }
            _ => return Err(Refusal::field("input", "a text or a list of messages was expected")),
        }
        Ok(messages)
    }

    /// The form of the answer.
    pub fn format(&mut self) -> Format {
        match self.text.as_mut().and_then(|text| text.format.take()) {
            None | Some(TextFormat::Text) => Format::Text,
            Some(TextFormat::JsonObject) => Format::JsonObject,
            Some(TextFormat::JsonSchema(json_schema)) => Format::JsonSchema { json_schema },
        }
    }
}

/// One message; what an earlier answer of this endpoint looked like is a message too.
fn message(at: usize, item: Value) -> Answered<Value> {
    let param = format!("input[{at}]");
    let Value::Object(mut fields) = item else {
        return Err(Refusal::field(param, "a message with role and content was expected"));
    };
    let kind = fields.shift_remove("type");
    if let Some(kind) = kind.filter(|kind| kind != "message") {
        return Err(Refusal::field(
            param,
            format!("an item of the type {kind} cannot be read; only messages can"),
        ));
    }
    ["id", "status"].iter().for_each(|name| drop(fields.shift_remove(*name)));
    if let Some(Value::Array(parts)) = fields.get("content") {
        let kinds = ["input_text", "output_text", "text"];
        let text = chat::text_of_parts(&format!("{param}.content"), parts, &kinds)?;
        fields.insert("content".into(), text.into());
    }
    // The name that OpenAI gives the system prompt of newer models.
    if fields.get("role").is_some_and(|role| role == "developer") {
        fields.insert("role".into(), "system".into());
    }
    Ok(Value::Object(fields))
}
