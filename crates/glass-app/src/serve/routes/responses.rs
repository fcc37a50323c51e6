//! `POST /v1/responses`: text in, text out, whole or as a stream of events.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use glass::generate::scheduler::Event;
use glass::generate::{Finish, GenerateOptions};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::chat;
use crate::serve::answer::{Usage, collect};
use crate::serve::error::{Answered, Refusal};
use crate::serve::fields::{Fields, json as body};
use crate::serve::generation::Generation;
use crate::serve::log::Record;
use crate::serve::neutral::{self, Passes};
use crate::serve::random;
use crate::serve::response_format::{Format, NamedSchema};
use crate::serve::sampled::{Sampled, Seed};
use crate::serve::sse::{Out, Writer, stream};
use crate::serve::state::Shared;

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
    fn check(&self) -> Answered<()> {
        let verbosity = self.text.as_ref().map_or(&None, |text| &text.verbosity);
        neutral::check(&[
            ("user", &self.user, Passes::Any),
            ("metadata", &self.metadata, Passes::Any),
            ("safety_identifier", &self.safety_identifier, Passes::Any),
            ("prompt_cache_key", &self.prompt_cache_key, Passes::Any),
            ("store", &self.store, Passes::These(&["false"])),
            ("background", &self.background, Passes::These(&["false"])),
            ("truncation", &self.truncation, Passes::These(&["\"disabled\""])),
            ("service_tier", &self.service_tier, Passes::These(&["\"auto\"", "\"default\""])),
            ("parallel_tool_calls", &self.parallel_tool_calls, Passes::AnyBool),
            ("tools", &self.tools, Passes::Empty),
            ("tool_choice", &self.tool_choice, Passes::These(&["\"none\"", "\"auto\""])),
            ("include", &self.include, Passes::Empty),
            ("reasoning", &self.reasoning, Passes::Empty),
            ("previous_response_id", &self.previous_response_id, Passes::Nothing),
            ("conversation", &self.conversation, Passes::Nothing),
            ("prompt", &self.prompt, Passes::Nothing),
            ("top_logprobs", &self.top_logprobs, Passes::These(&["0"])),
            ("max_tool_calls", &self.max_tool_calls, Passes::Nothing),
            ("stream_options", &self.stream_options, Passes::Empty),
            ("text.verbosity", verbosity, Passes::These(&["\"medium\""])),
        ])
    }

    /// The messages of the conversation.
    fn messages(&mut self) -> Answered<Vec<Value>> {
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

    fn format(&mut self) -> Format {
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

/// Answers a question.
#[utoipa::path(post, path = "/v1/responses", tag = "OpenAI", request_body = ResponseRequest,
    responses((status = 200, description = "The answer; with stream, as server-sent events"),
              (status = "4XX", body = crate::serve::error::ErrorBody), (status = "5XX", body = crate::serve::error::ErrorBody)))]
pub async fn respond(
    State(service): State<Shared>,
    Extension(record): Extension<Arc<Record>>,
    Fields(mut request): Fields<ResponseRequest>,
) -> Answered<Response> {
    let card = &service.card;
    card.check_name(request.model.as_deref())?;
    request.check()?;
    let sampled = Sampled {
        temperature: request.temperature,
        top_p: request.top_p,
        seed: request.seed,
        ..Sampled::default()
    };
    if request.max_output_tokens == Some(0) {
        return Err(Refusal::field("max_output_tokens", "it is 0; at least 1 was expected"));
    }
    let mut generation = Generation::new(card, &sampled, request.max_output_tokens, service.lookup)?;
    let chat = card.chat()?;
    generation.options.ends.clone_from(&chat.ends);
    generation.options.stop.extend(chat.stops.iter().cloned());
    let format = request.format();
    let prompt =
        chat::prompt(card, request.messages()?).map_err(|refusal| refusal.renamed("messages", "input"))?;
    record.prompt(prompt.len());
    let grammar = service
        .grammars
        .compile(&format)
        .map_err(|refusal| refusal.renamed("response_format", "text.format"))?;
    let requests = generation.requests(std::slice::from_ref(&prompt), &|| grammar.constraint())?;
    let shape = Shape::new(&service, &request, &generation.options);
    let usage = Usage { prompt: prompt.len(), ..Usage::default() };
    if request.stream == Some(true) {
        let events = Events { shape, usage, text: String::new(), finish: None, number: 0 };
        return stream(&service, &record, requests, events).await;
    }
    let answer = collect(&service, &record, requests).await?.swap_remove(0);
    let usage = Usage { completion: answer.tokens.len(), cached: answer.cached, ..usage };
    Ok(body(&shape.ended(&answer.text, answer.finish, usage)))
}

/// How an answer is told.
struct Shape {
    id: String,
    message: String,
    head: Value,
}

impl Shape {
    fn new(service: &Shared, request: &ResponseRequest, options: &GenerateOptions) -> Shape {
        let id = random::id("resp_");
        let head = json!({
            "id": id, "object": "response", "created_at": random::now(), "status": "in_progress",
            "error": null, "incomplete_details": null, "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens, "model": service.card.id, "output": [],
            "parallel_tool_calls": true, "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null}, "seed": options.sampling.seed, "store": false,
            "system_fingerprint": service.card.digest,
            "temperature": options.sampling.temperature, "text": {"format": {"type": "text"}}, "tool_choice": "auto",
            "tools": [], "top_p": options.sampling.top_p, "truncation": "disabled", "usage": null,
            "metadata": request.metadata.clone().unwrap_or_else(|| json!({})),
        });
        Shape { id, message: random::id("msg_"), head }
    }

    fn part(text: &str) -> Value {
        json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
    }

    fn item(&self, status: &str, content: Value) -> Value {
        json!({"id": self.message, "type": "message", "role": "assistant", "status": status, "content": content})
    }

    fn ended(&self, text: &str, finish: Option<Finish>, usage: Usage) -> Value {
        let whole = matches!(finish, Some(Finish::Stop | Finish::End));
        let status = if whole { "completed" } else { "incomplete" };
        let mut response = self.head.clone();
        response["status"] = status.into();
        if !whole {
            response["incomplete_details"] = json!({"reason": "max_output_tokens"});
        }
        response["output"] = json!([self.item(status, json!([Shape::part(text)]))]);
        response["usage"] = json!({
            "input_tokens": usage.prompt, "output_tokens": usage.completion,
            "total_tokens": usage.prompt + usage.completion,
            "input_tokens_details": {"cached_tokens": usage.cached}, "output_tokens_details": {"reasoning_tokens": 0},
        });
        response
    }
}

/// An answer as a stream of events.
struct Events {
    shape: Shape,
    usage: Usage,
    text: String,
    finish: Option<Finish>,
    number: u64,
}

impl Events {
    fn send(&mut self, name: &str, mut event: Value, out: &mut Out) {
        event["type"] = name.into();
        event["sequence_number"] = self.number.into();
        self.number += 1;
        out.named(name, &event);
    }

    /// An event about the text.
    fn about_text(&mut self, name: &str, field: &str, value: Value, out: &mut Out) {
        let mut event = json!({"item_id": self.shape.message, "output_index": 0, "content_index": 0});
        event[field] = value;
        if name.starts_with("response.output_text") {
            event["logprobs"] = json!([]);
        }
        self.send(name, event, out);
    }

    fn delta(&mut self, text: &str, out: &mut Out) {
        if !text.is_empty() {
            self.text.push_str(text);
            self.about_text("response.output_text.delta", "delta", text.into(), out);
        }
    }
}

impl Writer for Events {
    fn begin(&mut self, out: &mut Out) {
        for name in ["response.created", "response.in_progress"] {
            self.send(name, json!({"response": self.shape.head}), out);
        }
        let item = self.shape.item("in_progress", json!([]));
        self.send("response.output_item.added", json!({"output_index": 0, "item": item}), out);
        self.about_text("response.content_part.added", "part", Shape::part(""), out);
    }

    fn event(&mut self, _choice: usize, event: Event, out: &mut Out) {
        match event {
            Event::Begun { cached } => self.usage.cached = cached,
            Event::Token { text, .. } => {
                self.usage.completion += 1;
                self.delta(&text, out);
            }
            Event::Ended { finish, rest, .. } => {
                self.delta(&rest, out);
                self.finish = Some(finish);
            }
            _ => {}
        }
    }

    fn end(&mut self, out: &mut Out) {
        let text = std::mem::take(&mut self.text);
        self.about_text("response.output_text.done", "text", text.clone().into(), out);
        self.about_text("response.content_part.done", "part", Shape::part(&text), out);
        let response = self.shape.ended(&text, self.finish, self.usage);
        let item = response["output"][0].clone();
        self.send("response.output_item.done", json!({"output_index": 0, "item": item}), out);
        let name =
            if response["status"] == "completed" { "response.completed" } else { "response.incomplete" };
        self.send(name, json!({"response": response}), out);
    }

    fn fail(&mut self, refusal: &Refusal, out: &mut Out) {
        let (code, message) = (refusal.error.code, &refusal.error.message);
        self.send(
            "error",
            json!({"code": code, "message": message, "param": null, "error": refusal.error}),
            out,
        );
        let mut response = self.shape.head.clone();
        response["status"] = "failed".into();
        response["error"] = json!({"code": "server_error", "message": message});
        self.send("response.failed", json!({"response": response, "id": self.shape.id}), out);
    }
}
