//! `POST /v1/chat/completions`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use glass::generate::scheduler::Event;
use glass::tokens::chat::Message;
use serde_json::{Map, Value, json};

use crate::serve::answer::{Answer, Told, Usage, collect};
use crate::serve::card::{Card, LONG, aside};
use crate::serve::error::{Answered, Refusal};
use crate::serve::fields::{Fields, json as body};
use crate::serve::generation::{Generation, answers, finish_reason, runners_up};
use crate::serve::log::Record;
use crate::serve::look::{Lens, Look};
use crate::serve::neutral::{self, Passes};
use crate::serve::response_format::Format;
use crate::serve::sampled::sampled;
use crate::serve::sse::{Out, Writer, stream};
use crate::serve::state::Shared;
use crate::serve::{logprobs, random};

sampled! {
    /// A chat that is to be continued.
    ChatRequest {
        /// The model's name, as in /v1/models.
        model: Option<String>,
        /// The conversation: `{"role", "content"}` each; a content is a text or a list of `{"type": "text", "text"}`.
        #[schema(value_type = Vec<Object>)]
        messages: Vec<Value>,
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
        /// Whether the ids of tokens are told.
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
    fn check(&self, card: &Card) -> Answered<()> {
        card.check_name(self.model.as_deref())?;
        neutral::check(&[
            ("user", &self.user, Passes::Any),
            ("metadata", &self.metadata, Passes::Any),
            ("safety_identifier", &self.safety_identifier, Passes::Any),
            ("prompt_cache_key", &self.prompt_cache_key, Passes::Any),
            ("prompt_cache_retention", &self.prompt_cache_retention, Passes::Any),
            ("store", &self.store, Passes::These(&["false"])),
            ("service_tier", &self.service_tier, Passes::These(&["\"auto\"", "\"default\""])),
            ("parallel_tool_calls", &self.parallel_tool_calls, Passes::AnyBool),
            ("tools", &self.tools, Passes::Empty),
            ("tool_choice", &self.tool_choice, Passes::These(&["\"none\"", "\"auto\""])),
            ("functions", &self.functions, Passes::Empty),
            ("function_call", &self.function_call, Passes::These(&["\"none\"", "\"auto\""])),
            ("modalities", &self.modalities, Passes::These(&["[\"text\"]"])),
            ("reasoning_effort", &self.reasoning_effort, Passes::These(&["\"none\""])),
            ("verbosity", &self.verbosity, Passes::These(&["\"medium\""])),
            ("prediction", &self.prediction, Passes::Nothing),
            ("audio", &self.audio, Passes::Nothing),
            ("web_search_options", &self.web_search_options, Passes::Nothing),
        ])?;
        if self.stream_options.is_some() && self.stream != Some(true) {
            return Err(Refusal::field("stream_options", "it is only for stream: true"));
        }
        self.stream_options.unwrap_or_default().check()?;
        if self.top_logprobs.is_some_and(|top| top > 0) && self.logprobs != Some(true) {
            return Err(Refusal::field("top_logprobs", "it is only for logprobs: true"));
        }
        Ok(())
    }

    fn tokens(&self) -> Answered<Option<usize>> {
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

/// The same, of a length that fits.
pub fn prompt(card: &Card, messages: Vec<Value>) -> Answered<Vec<u32>> {
    let ids = ids(card, messages)?;
    card.check_prompt("messages", &ids)?;
    Ok(ids)
}

/// The tokens of a conversation, up to where the answer begins.
pub fn ids(card: &Card, messages: Vec<Value>) -> Answered<Vec<u32>> {
    let chat = card.chat()?;
    if messages.is_empty() {
        return Err(Refusal::field("messages", "it is empty; at least one message was expected"));
    }
    let mut conversation = Vec::with_capacity(messages.len());
    for (turn, message) in messages.into_iter().enumerate() {
        conversation.push(self::message(turn, message)?);
    }
    let tokenizer = card.tokenizer()?;
    let long = conversation.iter().map(|message| message.text().len()).sum::<usize>() > LONG;
    Ok(aside(long, || chat.template().prompt(&conversation, tokenizer))?)
}

fn message(turn: usize, mut message: Value) -> Answered<Message> {
    let Value::Object(fields) = &mut message else {
        return Err(Refusal::field(
            format!("messages[{turn}]"),
            "an object with role and content was expected",
        ));
    };
    fields.retain(|_, value| !value.is_null());
    const KNOWN: [&str; 6] = ["role", "content", "name", "reasoning_content", "refusal", "annotations"];
    if let Some(name) = fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        let why = "this field is not known here; expected one of role, content, name, reasoning_content";
        return Err(Refusal::field(format!("messages[{turn}].{name}"), why).code("unknown_field"));
    }
    fields.retain(|name, _| name != "refusal" && name != "annotations");
    if let Some(Value::Array(parts)) = fields.get("content") {
        let text = text_of_parts(&format!("messages[{turn}].content"), parts, &["text"])?;
        fields.insert("content".into(), text.into());
    }
    Message::from_json(message).map_err(|error| match error {
        glass::Error::InvalidArgument { why, .. } => Refusal::field(format!("messages[{turn}]"), why),
        other => other.into(),
    })
}

/// Texts in parts, joined. Any other part is refused by its name.
pub fn text_of_parts(param: &str, parts: &[Value], kinds: &[&str]) -> Answered<String> {
    let mut text = String::new();
    for (at, part) in parts.iter().enumerate() {
        let param = format!("{param}[{at}]");
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        if !kinds.contains(&kind) {
            let why = format!("a part of the type {kind:?} cannot be read by this model; only texts can");
            return Err(Refusal::field(param, why).code("unsupported_content"));
        }
        let Some(more) = part.get("text").and_then(Value::as_str) else {
            return Err(Refusal::field(param, "it has no \"text\""));
        };
        text.push_str(more);
    }
    Ok(text)
}

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
    let mut generation = Generation::new(card, &request.sampled(), request.tokens()?, service.lookup)?;
    let chat = card.chat()?;
    generation.options.ends.clone_from(&chat.ends);
    generation.options.stop.extend(chat.stops.iter().cloned());
    generation.n = answers(request.n)?;
    generation.logprobs = request.logprobs == Some(true);
    generation.top = runners_up("top_logprobs", request.top_logprobs)?;
    generation.salt = request.cache_salt.take();
    let prompt = prompt(card, std::mem::take(&mut request.messages))?;
    record.prompt(prompt.len());
    if service.log_prompts {
        let text: String = prompt.iter().map(|&id| card.text(id)).collect();
        tracing::info!(id = record.id, prompt = text, "prompt");
    }
    let lens = request.look.as_ref().map(|look| look.lens(&card.config, prompt.len())).transpose()?;
    generation.watch = lens.as_ref().map(Lens::watch);
    let format = request.response_format.take().unwrap_or_default();
    let grammar = service.grammars.compile(&format)?;
    let requests = generation.requests(std::slice::from_ref(&prompt), &|| grammar.constraint())?;
    let shape = Shape {
        service: service.clone(),
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
        let card = &self.service.card;
        json!({
            "id": self.id, "object": object, "created": self.created, "model": card.id,
            "system_fingerprint": card.digest, "seed": self.seed,
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
                choice["token_ids"] = answer.tokens.iter().map(|told| told.id).collect();
            }
            if let (Some(lens), Some(seen)) = (&self.lens, &answer.seen) {
                choice["look"] =
                    lens.told(&self.service.card, seen, answer.tokens.first().map(|told| told.id));
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
            Event::Token { id, logprob, text, top } => {
                self.usage.completion += 1;
                self.first[choice].get_or_insert(id);
                let tells = self.shape.logprobs || self.shape.ids.is_some();
                if text.is_empty() && !tells {
                    return;
                }
                let mut one = self.delta(choice, content(text), None);
                one["logprobs"] = self.shape.logprobs(&[Told { id, logprob, top }]);
                if self.shape.ids.is_some() {
                    one["token_ids"] = json!([id]);
                }
                out.data(&self.chunk(json!([one])));
            }
            Event::Ended { finish, rest, seen, .. } => {
                if !rest.is_empty() {
                    out.data(&self.chunk(json!([self.delta(choice, content(rest), None)])));
                }
                let mut last = self.delta(choice, Map::new(), Some(finish_reason(finish)));
                if let (Some(lens), Some(seen)) = (&self.shape.lens, &seen) {
                    last["look"] = lens.told(&self.shape.service.card, seen);
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
