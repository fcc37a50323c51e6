//! `POST /v1/chat/completions`.

mod conversation;
mod request;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use glass::scheduler::Event;
use serde_json::{Map, Value, json};

use crate::serve::answer::{Answer, Told, Usage, collect, counted, tell_ids};
use crate::serve::body::json as body;
use crate::serve::card::Served;
use crate::serve::error::Answered;
use crate::serve::fields::Fields;
use crate::serve::generation::{Generation, answers, finish_reason, runners_up};
use crate::serve::log::Record;
use crate::serve::look::Lens;
use crate::serve::sse::{Out, Writer, stream};
use crate::serve::state::Shared;
use crate::serve::{logprobs, random};
pub use conversation::{ChatMessage, ids, prompt, text_of_parts};
pub use request::{ChatRequest, NEUTRAL, StreamOptions};

/// Answers a conversation.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "OpenAI", request_body = ChatRequest,
    responses((status = 200, description = "The answers; with stream, as server-sent events"),
              (status = "4XX", body = crate::serve::error::ErrorBody), (status = "5XX", body = crate::serve::error::ErrorBody)))]
pub async fn complete(
    State(service): State<Shared>,
    Extension(record): Extension<Arc<Record>>,
    Fields(mut request): Fields<ChatRequest>,
) -> Answered<Response> {
    let card = &service.card;
    request.check(card)?;
    let served = card.served(request.model.as_deref())?;
    let mut generation = Generation::new(card, &request.sampled(), request.tokens()?, service.lookup)?;
    generation.adapter = served.adapter;
    let chat = card.chat()?;
    generation.options.ends.clone_from(&chat.ends);
    generation.options.stop.extend(chat.stops.iter().cloned());
    generation.n = answers(request.n)?;
    generation.logprobs = request.logprobs == Some(true);
    generation.top = runners_up("top_logprobs", request.top_logprobs)?;
    generation.salt = request.cache_salt.take();
    let variables = request.chat_template_kwargs.take().unwrap_or_default();
    let prompt = prompt(card, std::mem::take(&mut request.messages), &variables)?;
    record.prompt(prompt.len());
    if service.log_prompts {
        let text: String = prompt.iter().map(|&id| card.text(id)).collect();
        tracing::info!(id = record.id, prompt = text, "prompt");
    }
    let lens = request.look.as_ref().map(|look| look.lens(&card.config, &prompt)).transpose()?;
    generation.watch = lens.as_ref().map(Lens::watch);
    let format = request.response_format.take().unwrap_or_default();
    let grammar = service.grammars.compile(&format)?;
    let requests = generation.requests(std::slice::from_ref(&prompt), &|| grammar.constraint())?;
    let shape = Shape {
        service: service.clone(),
        served,
        id: random::id("chatcmpl-"),
        created: random::now(),
        seed: generation.options.sampling.seed,
        logprobs: request.logprobs == Some(true),
        top: generation.top,
        ids: (request.return_token_ids == Some(true)).then_some(prompt.clone()),
        lens,
    };
    if request.stream == Some(true) {
        let usage = request.stream_options.and_then(|options| options.include_usage) == Some(true);
        let told = Usage { prompt: prompt.len(), ..Usage::default() };
        let first = vec![None; generation.n];
        let chunks = Chunks { shape, n: generation.n, include_usage: usage, usage: told, first };
        return stream(&service, &record, requests, chunks).await;
    }
    let answers = collect(&service, &record, requests).await?;
    Ok(body(&shape.whole(&prompt, answers)))
}

/// How answers are told.
struct Shape {
    service: Shared,
    served: Served,
    id: String,
    created: u64,
    seed: u64,
    logprobs: bool,
    top: usize,
    /// The prompt's ids, if ids are told.
    ids: Option<Vec<u32>>,
    lens: Option<Lens>,
}

impl Shape {
    fn head(&self, object: &str) -> Value {
        json!({
            "id": self.id, "object": object, "created": self.created, "model": self.served.id,
            "system_fingerprint": self.served.digest, "seed": self.seed,
        })
    }

    fn logprobs(&self, tokens: &[Told]) -> Value {
        if !self.logprobs {
            return Value::Null;
        }
        let card = &self.service.card;
        let content: Vec<Value> = tokens.iter().map(|told| logprobs::of_chat(card, told, self.top)).collect();
        json!({"content": content, "refusal": null})
    }

    fn whole(&self, prompt: &[u32], answers: Vec<Answer>) -> Value {
        let mut usage = Usage { prompt: prompt.len(), ..Usage::default() };
        let mut choices = Vec::with_capacity(answers.len());
        for (index, answer) in answers.into_iter().enumerate() {
            usage.completion += answer.tokens.len();
            usage.cached = if index == 0 { answer.cached } else { usage.cached };
            let mut choice = json!({
                "index": index,
                "message": {"role": "assistant", "content": answer.text, "refusal": null},
                "logprobs": self.logprobs(&answer.tokens),
                "finish_reason": answer.finish.map(finish_reason),
            });
            if self.ids.is_some() {
                tell_ids(&mut choice, &answer.tokens);
                choice["guesses"] = counted(answer.guesses);
            }
            if let (Some(lens), Some(seen)) = (&self.lens, &answer.seen) {
                choice["look"] = lens.told(&self.service.card, seen);
            }
            choices.push(choice);
        }
        let mut whole = self.head("chat.completion");
        whole["choices"] = choices.into();
        whole["usage"] = usage.json();
        if let Some(ids) = &self.ids {
            whole["prompt_token_ids"] = ids.clone().into();
        }
        whole
    }
}

/// Answers as a stream of chunks.
struct Chunks {
    shape: Shape,
    n: usize,
    include_usage: bool,
    usage: Usage,
    /// The first token of each answer.
    first: Vec<Option<u32>>,
}

impl Chunks {
    fn chunk(&self, choices: Value) -> Value {
        let mut chunk = self.shape.head("chat.completion.chunk");
        chunk["choices"] = choices;
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    fn delta(&self, choice: usize, delta: Map<String, Value>, finish: Option<&str>) -> Value {
        json!({"index": choice, "delta": delta, "logprobs": null, "finish_reason": finish})
    }
}

impl Writer for Chunks {
    fn begin(&mut self, out: &mut Out) {
        for choice in 0..self.n {
            let delta = json!({"role": "assistant", "content": "", "refusal": null});
            let delta = self.delta(choice, delta.as_object().cloned().unwrap_or_default(), None);
            let mut chunk = self.chunk(json!([delta]));
            if let Some(ids) = self.shape.ids.as_ref().filter(|_| choice == 0) {
                chunk["prompt_token_ids"] = ids.clone().into();
            }
            out.data(&chunk);
        }
    }

    fn event(&mut self, choice: usize, event: Event, out: &mut Out) {
        match event {
            Event::Begun { cached } if choice == 0 => self.usage.cached = cached,
            Event::Token { id, logprob, text, top, guessed } => {
                self.usage.completion += 1;
                self.first[choice].get_or_insert(id);
                let tells = self.shape.logprobs || self.shape.ids.is_some();
                if text.is_empty() && !tells {
                    return;
                }
                let mut one = self.delta(choice, content(text), None);
                let told = [Told { id, logprob, top, guessed }];
                one["logprobs"] = self.shape.logprobs(&told);
                if self.shape.ids.is_some() {
                    tell_ids(&mut one, &told);
                }
                out.data(&self.chunk(json!([one])));
            }
            Event::Ended { finish, rest, seen, guesses, .. } => {
                if !rest.is_empty() {
                    out.data(&self.chunk(json!([self.delta(choice, content(rest), None)])));
                }
                let mut last = self.delta(choice, Map::new(), Some(finish_reason(finish)));
                if let (Some(lens), Some(seen)) = (&self.shape.lens, &seen) {
                    last["look"] = lens.told(&self.shape.service.card, seen);
                }
                if self.shape.ids.is_some() {
                    last["guesses"] = counted(guesses);
                }
                out.data(&self.chunk(json!([last])));
            }
            _ => {}
        }
    }

    fn end(&mut self, out: &mut Out) {
        if self.include_usage {
            let mut chunk = self.chunk(json!([]));
            chunk["usage"] = self.usage.json();
            out.data(&chunk);
        }
        out.done();
    }
}

fn content(text: String) -> Map<String, Value> {
    Map::from_iter([("content".to_string(), Value::String(text))])
}
