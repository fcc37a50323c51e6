//! `POST /v1/responses`: text in, text out, whole or as a stream of events.

mod request;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use glass::generate::{Finish, GenerateOptions};
use glass::scheduler::Event;
use serde_json::{Map, Value, json};

use super::chat;
use crate::serve::answer::{Usage, collect};
use crate::serve::body::json as body;
use crate::serve::card::Served;
use crate::serve::error::{Answered, Refusal};
use crate::serve::fields::Fields;
use crate::serve::generation::Generation;
use crate::serve::log::Record;
use crate::serve::random;
use crate::serve::sampled::Sampled;
use crate::serve::sse::{Out, Writer, stream};
use crate::serve::state::Shared;
pub use request::{NEUTRAL, ResponseRequest};

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
    let served = card.served(request.model.as_deref())?;
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
    generation.adapter = served.adapter;
    let chat = card.chat()?;
    generation.options.ends.clone_from(&chat.ends);
    generation.options.stop.extend(chat.stops.iter().cloned());
    let format = request.format();
    let prompt = chat::prompt(card, request.messages()?, &Map::new())
        .map_err(|refusal| refusal.renamed("messages", "input"))?;
    record.prompt(prompt.len());
    let grammar = service
        .grammars
        .compile(&format)
        .map_err(|refusal| refusal.renamed("response_format", "text.format"))?;
    let requests = generation.requests(std::slice::from_ref(&prompt), &|| grammar.constraint())?;
    let shape = Shape::new(&served, &request, &generation.options);
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
    fn new(served: &Served, request: &ResponseRequest, options: &GenerateOptions) -> Shape {
        let id = random::id("resp_");
        let head = json!({
            "id": id, "object": "response", "created_at": random::now(), "status": "in_progress",
            "error": null, "incomplete_details": null, "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens, "model": served.id, "output": [],
            "parallel_tool_calls": true, "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null}, "seed": options.sampling.seed, "store": false,
            "system_fingerprint": served.digest,
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
