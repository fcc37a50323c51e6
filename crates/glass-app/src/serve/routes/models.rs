//! `GET /v1/models`: the model that is served, and the same with each of its adapters.

use axum::extract::{Path, State};
use axum::response::Response;
use glass::Config;
use glass::next_token::Sampling;
use serde_json::{Value, json};

use crate::serve::body::json as body;
use crate::serve::error::Answered;
use crate::serve::sampled::Sampled;
use crate::serve::state::{Service, Shared};

/// Describes what is served under a name.
fn served(service: &Service, name: &str) -> Answered<Value> {
    let card = &service.card;
    let (advised, served) = (Sampled::default().sampling(card)?, card.served(Some(name))?);
    let mut model = described(&served.id, &served.digest, &card.config, card.chat.is_some(), &advised);
    model["created"] = service.created.into();
    if served.adapter.is_some() {
        model["parent"] = card.id.as_str().into();
    }
    Ok(model)
}

/// A model in the words of `/v1/models`, without the time.
pub fn described(id: &str, digest: &str, config: &Config, chat: bool, advised: &Sampling) -> Value {
    json!({
        "id": id, "object": "model", "created": null, "owned_by": "glass",
        "digest": digest, "context": config.context, "vocabulary": config.vocabulary,
        "layers": config.layers, "heads": config.heads_of(0).query, "width": config.width,
        "chat": chat,
        "sampling": {
            "temperature": short(advised.temperature), "top_k": advised.top_k, "top_p": short(advised.top_p), "min_p": short(advised.min_p),
            "repetition_penalty": short(advised.repetition_penalty),
            "presence_penalty": short(advised.presence_penalty), "frequency_penalty": short(advised.frequency_penalty),
        },
    })
}

/// 0.3 as 0.3, and not as the nearest f32 in all its digits.
fn short(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// The models that are served: the model, and it with each adapter.
#[utoipa::path(get, path = "/v1/models", tag = "OpenAI", responses((status = 200, description = "A list of models"),
    (status = "4XX", body = crate::serve::error::ErrorBody)))]
pub async fn list(State(service): State<Shared>) -> Answered<Response> {
    let names = service.card.names();
    let data = names.into_iter().map(|name| served(&service, name)).collect::<Answered<Vec<Value>>>()?;
    Ok(body(&json!({"object": "list", "data": data})))
}

/// One model by its name.
#[utoipa::path(get, path = "/v1/models/{id}", tag = "OpenAI", params(("id" = String, Path, description = "The model's name")),
    responses((status = 200, description = "The model"), (status = "4XX", body = crate::serve::error::ErrorBody)))]
pub async fn one(State(service): State<Shared>, Path(id): Path<String>) -> Answered<Response> {
    Ok(body(&served(&service, &id)?))
}
