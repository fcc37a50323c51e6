//! `POST /v1/look`: what happens inside the model while it reads a text, from the engine that serves.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use glass::next_token::{Sampler, Sampling};
use serde_json::{Map, Value, json};

use super::chat;
use crate::serve::answer::{collect, counted};
use crate::serve::body::json as body;
use crate::serve::card::Card;
use crate::serve::error::{Answered, Refusal};
use crate::serve::fields::Fields;
use crate::serve::generation::{Generation, MOST_TOP};
use crate::serve::log::Record;
use crate::serve::logprobs::finite;
use crate::serve::look::{Lens, Look};
use crate::serve::prompt::Prompt;
use crate::serve::sampled::sampled;
use crate::serve::state::Shared;

sampled! {
    /// A text or a conversation, and what is to be seen.
    LookRequest {
        /// The model's name, as in /v1/models.
        model: Option<String>,
        /// A text, or a list of token ids.
        prompt: Option<Prompt>,
        /// A conversation in place of a text.
        #[schema(value_type = Option<Vec<chat::ChatMessage>>, min_items = 1)]
        messages: Option<Vec<Value>>,
        /// What to see and to change inside.
        look: Option<Look>,
        /// The number of tokens to generate [default: 0].
        max_tokens: Option<usize>,
        /// Prefixes of prompts are shared only with requests that have the same salt.
        cache_salt: Option<String>,
    }
}

impl LookRequest {
    fn prompt(&mut self, card: &Card) -> Answered<Vec<u32>> {
        match (self.prompt.take(), self.messages.take()) {
            (Some(prompt), None) => Ok(prompt.single()?.ids(card)?.swap_remove(0)),
            (None, Some(messages)) => chat::prompt(card, messages, &Map::new()),
            (None, None) => card.begin(),
            (Some(_), Some(_)) => Err(Refusal::field("messages", "give a prompt or messages, not both")),
        }
    }
}

/// Looks inside.
#[utoipa::path(post, path = "/v1/look", tag = "Inside", request_body = LookRequest,
    responses((status = 200, description = "What was seen. With Accept: application/octet-stream and without look: the \
        log-probabilities of all tokens after the prompt, as little-endian f32"),
              (status = "4XX", body = crate::serve::error::ErrorBody), (status = "5XX", body = crate::serve::error::ErrorBody)))]
pub async fn look(
    State(service): State<Shared>,
    Extension(record): Extension<Arc<Record>>,
    headers: HeaderMap,
    Fields(mut request): Fields<LookRequest>,
) -> Answered<Response> {
    let card = &service.card;
    let served = card.served(request.model.as_deref())?;
    let prompt = request.prompt(card)?;
    record.prompt(prompt.len());
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let binary = accept.split(',').any(|kind| kind.trim().starts_with("application/octet-stream"));
    if binary && request.look.is_some() {
        return Err(Refusal::field(
            "look",
            "with Accept: application/octet-stream only log-probabilities are told",
        ));
    }
    let tokens = request.max_tokens.unwrap_or(0);
    if binary && tokens > 0 {
        let why = "with Accept: application/octet-stream no token is generated; leave it out";
        return Err(Refusal::field("max_tokens", why));
    }
    let mut generation = Generation::new(card, &request.sampled(), Some(tokens), service.lookup)?;
    generation.logprobs = true;
    generation.adapter = served.adapter;
    generation.top = MOST_TOP;
    generation.salt = request.cache_salt.take();
    let lens = request.look.as_ref().map(|look| look.lens(&card.config, &prompt)).transpose()?;
    generation.watch = lens.as_ref().map(Lens::watch);
    let requests = generation.free(std::slice::from_ref(&prompt))?;
    let answer = collect(&service, &record, requests).await?.swap_remove(0);
    let vocabulary = card.config.vocabulary;
    let after_prompt = match (&answer.logits, answer.tokens.first()) {
        (Some(logits), _) => {
            let most = if binary { vocabulary } else { MOST_TOP.min(vocabulary) };
            Sampler::new(&Sampling::default(), vocabulary, 0)?.top(logits, most)?.to_vec()
        }
        (None, first) => first.map(|first| first.top.clone()).unwrap_or_default(),
    };
    if binary {
        let mut all = vec![f32::NEG_INFINITY; vocabulary];
        for drawn in &after_prompt {
            all[drawn.id as usize] = drawn.logprob as f32;
        }
        let bytes: Vec<u8> = all.iter().flat_map(|logprob| logprob.to_le_bytes()).collect();
        return Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response());
    }
    let one = |id: u32, logprob: f64| json!({"id": id, "token": card.text(id), "logprob": finite(logprob)});
    let next: Vec<Value> = after_prompt.iter().map(|next| one(next.id, next.logprob)).collect();
    let seen = lens.as_ref().zip(answer.seen.as_deref());
    let seen = seen.map(|(lens, seen)| lens.told(card, seen));
    let drawn = answer.tokens.iter().take(tokens);
    let (generated, guessed): (Vec<u32>, Vec<bool>) = drawn.map(|told| (told.id, told.guessed)).unzip();
    Ok(body(&json!({
        "ids": prompt, "tokens": prompt.iter().map(|&id| card.text(id)).collect::<Vec<_>>(),
        "look": seen, "text": if tokens == 0 { "" } else { &answer.text }, "generated_ids": generated, "next": next,
        "guessed": guessed, "guesses": counted(answer.guesses),
        "seed": generation.options.sampling.seed, "model": served.id, "system_fingerprint": served.digest,
    })))
}
