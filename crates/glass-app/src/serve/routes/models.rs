//! `GET /v1/models`: the one model that is served.

use axum::extract::{Path, State};
use axum::response::Response;
use glass::Config;
use glass::next_token::Sampling;
use serde_json::{Value, json};

use crate::serve::body::json as body;
use crate::serve::error::Answered;
use crate::serve::sampled::Sampled;
use crate::serve::state::{Service, Shared};

/// Describes the model that is served.
fn served(service: &Service) -> Answered<Value> {
    let card = &service.card;
    let advised = Sampled::default().sampling(card)?;
    let mut model = described(&card.id, &card.digest, &card.config, card.chat.is_some(), &advised);
    model["created"] = service.created.into();
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

/// The models that are served: one.
#[utoipa::path(get, path = "/v1/models", tag = "OpenAI", responses((status = 200, description = "A list of one model"),
    (status = "4XX", body = crate::serve::error::ErrorBody)))]
pub async fn list(State(service): State<Shared>) -> Answered<Response> {
    Ok(body(&json!({"object": "list", "data": [served(&service)?]})))
}

/// One model by its name.
#[utoipa::path(get, path = "/v1/models/{id}", tag = "OpenAI", params(("id" = String, Path, description = "The model's name")),
    responses((status = 200, description = "The model"), (status = "4XX", body = crate::serve::error::ErrorBody)))]
pub async fn one(State(service): State<Shared>, Path(id): Path<String>) -> Answered<Response> {
    service.card.check_name(Some(&id))?;
    Ok(body(&served(&service)?))
}
