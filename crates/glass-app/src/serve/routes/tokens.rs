//! `POST /tokenize` and `POST /detokenize`, with the field names of llama.cpp and of vLLM.

use axum::extract::State;
use axum::response::Response;
use glass::tokens::Special;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::chat;
use crate::serve::body::json as body;
use crate::serve::error::{Answered, Refusal};
use crate::serve::fields::Fields;
use crate::serve::state::Shared;

/// A text or a conversation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenizeRequest {
    /// The model's name, as in /v1/models.
    pub model: Option<String>,
    /// A text, as llama.cpp names it.
    pub content: Option<String>,
    /// A text, as vLLM names it.
    pub prompt: Option<String>,
    /// A conversation in place of a text.
    #[schema(value_type = Option<Vec<chat::ChatMessage>>, min_items = 1)]
    pub messages: Option<Vec<Value>>,
    /// Variables of the model's chat template, as in /v1/chat/completions.
    #[schema(value_type = Option<Object>)]
    pub chat_template_kwargs: Option<Map<String, Value>>,
    /// Whether a text begins with the start token that the model's files put before it [default: true].
    pub add_special: Option<bool>,
    /// The same, as vLLM names it.
    pub add_special_tokens: Option<bool>,
    /// Whether special tokens spelled in a text are read as such [default: false].
    pub parse_special: Option<bool>,
    /// Whether the tokens' texts are told.
    pub return_token_strs: Option<bool>,
    /// Whether tokens are told as `{"id", "piece"}`.
    pub with_pieces: Option<bool>,
}

/// Token ids.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DetokenizeRequest {
    /// The model's name, as in /v1/models.
    pub model: Option<String>,
    /// The ids.
    pub tokens: Vec<u32>,
}

/// Text → tokens.
#[utoipa::path(post, path = "/tokenize", tag = "Tokens", request_body = TokenizeRequest,
    responses((status = 200, description = "The tokens"), (status = "4XX", body = crate::serve::error::ErrorBody)))]
pub async fn tokenize(
    State(service): State<Shared>,
    Fields(request): Fields<TokenizeRequest>,
) -> Answered<Response> {
    let card = &service.card;
    card.check_name(request.model.as_deref())?;
    let special = if request.parse_special == Some(true) { Special::Allowed } else { Special::Plain };
    let starts = request.add_special.or(request.add_special_tokens).unwrap_or(true);
    if request.content.is_some() && request.prompt.is_some() {
        return Err(Refusal::field("prompt", "it means the same as content; give one of them"));
    }
    if request.chat_template_kwargs.is_some() && request.messages.is_none() {
        return Err(Refusal::field("chat_template_kwargs", "it is only for messages"));
    }
    let ids = match (request.content.or(request.prompt), request.messages) {
        (Some(text), None) => {
            let tokenizer = card.tokenizer()?;
            if starts {
                tokenizer.encode_prompt(text.as_bytes(), special)
            } else {
                tokenizer.encode(&text, special)
            }
        }
        (None, Some(messages)) => {
            chat::ids(card, messages, &request.chat_template_kwargs.unwrap_or_default())?
        }
        _ => return Err(Refusal::request("one of content, prompt and messages was expected")),
    };
    let tokens = match request.with_pieces {
        Some(true) => ids.iter().map(|&id| json!({"id": id, "piece": piece(card.bytes(id))})).collect(),
        _ => Value::from(ids.clone()),
    };
    let mut told = json!({"tokens": tokens, "count": ids.len(), "max_model_len": card.config.context});
    if request.return_token_strs == Some(true) {
        told["token_strs"] = ids.iter().map(|&id| card.text(id)).collect();
    }
    Ok(body(&told))
}

/// A token's text, or its bytes where they are no complete text.
fn piece(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.into(),
    }
}

/// Tokens → text.
#[utoipa::path(post, path = "/detokenize", tag = "Tokens", request_body = DetokenizeRequest,
    responses((status = 200, description = "The text, twice: as llama.cpp and as vLLM name it"),
              (status = "4XX", body = crate::serve::error::ErrorBody)))]
pub async fn detokenize(
    State(service): State<Shared>,
    Fields(request): Fields<DetokenizeRequest>,
) -> Answered<Response> {
    let card = &service.card;
    card.check_name(request.model.as_deref())?;
    let vocabulary = card.config.vocabulary;
    if let Some(id) = request.tokens.iter().find(|&&id| id as usize >= vocabulary) {
        let why = format!("token {id} is not in the vocabulary, whose ids end at {}", vocabulary - 1);
        return Err(Refusal::field("tokens", why));
    }
    card.tokenizer()?;
    let bytes: Vec<u8> = request.tokens.iter().flat_map(|&id| card.bytes(id)).copied().collect();
    let text = String::from_utf8_lossy(&bytes);
    Ok(body(&json!({"content": text, "prompt": text})))
}
