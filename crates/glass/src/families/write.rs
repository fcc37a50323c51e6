//! What the families' writers of `config.json` share.

use serde_json::{Map, Value, json};

use super::read::name_of;
use crate::Config;

/// The shortest decimal of an f32, so that it is written as 1e-5 and not with the digits of the f64.
pub(crate) fn decimal(x: f32) -> Value {
    json!(x.to_string().parse().unwrap_or(f64::from(x)))
}

/// The members of a JSON object.
pub(crate) fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// The sizes that Llama and those after it have under the same names.
pub(crate) fn sizes(config: &Config) -> Map<String, Value> {
    members(json!({
        "attention_dropout": 0.0,
        "head_dim": config.heads.size,
        "hidden_act": name_of(config.activation),
        "hidden_size": config.width,
        "intermediate_size": config.mlp_width,
        "max_position_embeddings": config.context,
        "num_attention_heads": config.heads.query,
        "num_hidden_layers": config.layers,
        "num_key_value_heads": config.heads.key,
        "pad_token_id": null,
        "rms_norm_eps": decimal(config.norm.epsilon),
        "tie_word_embeddings": config.tied,
        "vocab_size": config.vocabulary,
    }))
}

/// The same and these fields.
pub(crate) fn with(mut all: Map<String, Value>, more: Value) -> Map<String, Value> {
    all.extend(members(more));
    all
}
