//! Numbers and tokens as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use glass::backend::Cpu;
use glass::inspect::Matrix;
use glass::next_token::Drawn;
use glass::text_model::TextModel;
use serde_json::{Value, json};

/// A matrix, with every bit.
pub(crate) fn matrix(rows: usize, cols: usize, values: &[f32]) -> Value {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    json!({"rows": rows, "cols": cols, "f32": STANDARD.encode(bytes)})
}

/// A vector.
pub(crate) fn vector(values: &[f32]) -> Value {
    matrix(1, values.len(), values)
}

/// A recorded matrix.
pub(crate) fn whole(of: &Matrix) -> Value {
    matrix(of.rows, of.cols, &of.values)
}

/// A token: its text may be part of a character, its bytes are exact. One that only a template or a file writes is `special`.
pub(crate) fn token(model: &TextModel<Cpu>, id: u32) -> Value {
    let bytes = model.bytes(id);
    let mut token = json!({"id": id, "text": String::from_utf8_lossy(bytes), "bytes": bytes});
    if model.tokenizer.as_ref().is_some_and(|tokenizer| tokenizer.is_special(id)) {
        token["special"] = true.into();
    }
    token
}

/// A token with a number.
pub(crate) fn token_with(model: &TextModel<Cpu>, id: u32, name: &str, value: f64) -> Value {
    let mut token = token(model, id);
    token[name] = json!(value);
    token
}

/// Tokens with their log-probabilities.
pub(crate) fn drawn(model: &TextModel<Cpu>, all: &[Drawn]) -> Vec<Value> {
    all.iter().map(|drawn| token_with(model, drawn.id, "logprob", drawn.logprob)).collect()
}
