//! `POST /v1/embeddings`: the final hidden state, its mean over a text's tokens or the last one's.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use glass::probe::Site;
use glass::scheduler::{Seen, Watch};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::serve::answer::collect;
use crate::serve::body::json as body;
use crate::serve::error::{Answered, Refusal};
use crate::serve::fields::Fields;
use crate::serve::generation::Generation;
use crate::serve::log::Record;
use crate::serve::neutral::{self, Passes, Rule};
use crate::serve::prompt::Prompt;
use crate::serve::sampled::Sampled;
use crate::serve::state::Shared;

/// Texts whose vectors are wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingRequest {
    /// The model's name, as in /v1/models.
    pub model: Option<String>,
    /// A text, a list of texts, a list of token ids, or a list of lists of ids.
    pub input: Prompt,
    /// How vectors are written.
    pub encoding_format: Option<Encoding>,
    /// Which vector stands for a text.
    pub pooling: Option<Pooling>,
    /// Only the model's width: vectors are not cut.
    pub dimensions: Option<usize>,
    /// Passes; changes nothing.
    pub user: Option<Value>,
}

/// Fields of [`EmbeddingRequest`] that may only ask for nothing.
pub const NEUTRAL: &[Rule] = &[("user", Passes::Any)];

/// How vectors are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// A list of numbers.
    #[default]
    Float,
    /// The bytes of little-endian f32, as base64.
    Base64,
}

/// Which vector stands for a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean over its tokens.
    #[default]
    Mean,
    /// Its last token's.
    Last,
}

/// Vectors of texts.
#[utoipa::path(post, path = "/v1/embeddings", tag = "OpenAI", request_body = EmbeddingRequest,
    responses((status = 200, description = "A vector for each text"), (status = "4XX", body = crate::serve::error::ErrorBody),
              (status = "5XX", body = crate::serve::error::ErrorBody)))]
pub async fn embed(
    State(service): State<Shared>,
    Extension(record): Extension<Arc<Record>>,
    Fields(request): Fields<EmbeddingRequest>,
) -> Answered<Response> {
    let card = &service.card;
    let served = card.served(request.model.as_deref())?;
    neutral::check(NEUTRAL, &[&request.user])?;
    let width = card.config.width;
    if let Some(found) = request.dimensions.filter(|&dimensions| dimensions != width) {
        let why = format!("it is {found}; only the model's width, {width}, is possible");
        return Err(Refusal::field("dimensions", why));
    }
    let prompts = request.input.ids(card).map_err(|refusal| refusal.renamed("prompt", "input"))?;
    let count: usize = prompts.iter().map(Vec::len).sum();
    record.prompt(count);
    let mut generation = Generation::new(card, &Sampled::default(), Some(0), 0)?;
    generation.adapter = served.adapter;
    let pooling = request.pooling.unwrap_or_default();
    let mut requests = generation.free(&prompts)?;
    for request in &mut requests {
        let length = request.prompt.len();
        let first = if pooling == Pooling::Mean { 0 } else { length - 1 };
        request.watch = Some(Watch { sites: vec![Site::Norm], positions: first..length, ..Watch::default() });
    }
    let answers = collect(&service, &record, requests).await?;
    let mut data = Vec::with_capacity(answers.len());
    for (index, answer) in answers.iter().enumerate() {
        let seen = answer.seen.as_deref().filter(|seen| !seen.rows.is_empty());
        let vector = mean(seen.ok_or_else(|| Refusal::fault("the engine did not tell the hidden state"))?);
        let vector = match request.encoding_format.unwrap_or_default() {
            Encoding::Float => json!(vector),
            Encoding::Base64 => STANDARD
                .encode(vector.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
                .into(),
        };
        data.push(json!({"object": "embedding", "index": index, "embedding": vector}));
    }
    Ok(body(&json!({
        "object": "list", "data": data, "model": served.id,
        "pooling": if pooling == Pooling::Mean { "mean" } else { "last" },
        "usage": {"prompt_tokens": count, "total_tokens": count},
    })))
}

/// The mean of the rows, in their order.
fn mean(seen: &Seen) -> Vec<f32> {
    let mut sums = vec![0.0f64; seen.rows[0].values.len()];
    for row in &seen.rows {
        sums.iter_mut().zip(&row.values).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    sums.iter().map(|sum| (sum / seen.rows.len() as f64) as f32).collect()
}
