//! Mistral (`MistralConfig`), Ministral 8B (`MinistralConfig`) and Ministral 3 (`Ministral3Config`).

use serde_json::{Map, Value, json};

use super::layers::{pattern, types, window};
use super::llama::{self, rotation};
use super::read::{DEFAULTS, Defaults, Fields};
use super::rotary::HABITS;
use super::write::{sizes, with};
use super::{Family, Form};
use crate::config::LayerAttention;
use crate::{Config, Result};

pub(super) const MISTRAL: Form = Form {
    family: Family::Mistral,
    name: "mistral",
    model_type: "mistral",
    architectures: &["MistralForCausalLM", "MistralModel", "AutoModelForCausalLM"],
    usual: |config| Config { family: Family::Mistral, ..config },
    read: |fields| Ok(Config { family: Family::Mistral, ..windowed(fields, Some(4096))? }),
    write: |config| with(base(config), json!({ "sliding_window": window(config) })),
    knows: &["rope_parameters", "rope_scaling", "sliding_window"],
    names: &llama::NAMES,
    is_turned: false,
};

pub(super) const MINISTRAL: Form = Form {
    family: Family::Ministral,
    name: "ministral",
    model_type: "ministral",
    architectures: &["MinistralForCausalLM", "MinistralModel", "AutoModelForCausalLM"],
    usual: |config| Config { family: Family::Ministral, ..config },
    read: |fields| Ok(Config { family: Family::Ministral, ..windowed(fields, Some(4096))? }),
    write: |config| {
        with(base(config), json!({ "layer_types": types(config), "sliding_window": window(config) }))
    },
    knows: &["rope_parameters", "rope_scaling", "sliding_window", "layer_types"],
    names: &llama::NAMES,
    is_turned: false,
};

pub(super) const MINISTRAL3: Form = Form {
    family: Family::Ministral3,
    name: "ministral3",
    model_type: "ministral3",
    architectures: &["Ministral3ForCausalLM", "Ministral3Model", "AutoModelForCausalLM"],
    usual: |config| Config { family: Family::Ministral3, ..config },
    read: ministral3,
    write: |config| {
        let mut rotation = rotation(config, HABITS);
        if let Some(scale) = config.scores.by_position {
            rotation["llama_4_scaling_beta"] = json!(scale.beta);
            rotation["original_max_position_embeddings"] = json!(scale.original);
        }
        let more = json!({ "rope_parameters": rotation, "sliding_window": window(config) });
        with(sizes(config), more)
    },
    knows: &["rope_parameters", "rope_scaling", "sliding_window"],
    names: &llama::NAMES,
    is_turned: false,
};

fn base(config: &Config) -> Map<String, Value> {
    with(sizes(config), json!({ "rope_parameters": rotation(config, HABITS) }))
}

fn windowed(fields: &Fields<'_>, default: Option<usize>) -> Result<Config> {
    let mut config = fields.sizes(&Defaults { keys: 8, ..DEFAULTS })?;
    let rotary = Some(fields.rotary(&config, HABITS)?);
    let window = fields.window(default)?;
    let is_local = fields.layer_types(config.layers)?.unwrap_or(vec![window.is_some(); config.layers]);
    fields.needs_window(&is_local, window)?;
    let local = LayerAttention::new(window, rotary.clone());
    config.attention = pattern(&is_local, &local, &LayerAttention::new(None, rotary));
    Ok(config)
}

fn ministral3(fields: &Fields<'_>) -> Result<Config> {
    let mut config = fields.sizes(&Defaults { keys: 8, size: 128, epsilon: 1e-5, ..DEFAULTS })?;
    let inner = fields.rotation()?;
    if inner.names().next().is_none() {
        return Err(fields.error("rope_parameters is missing, which a Ministral 3 must have"));
    }
    let rotary = Some(fields.rotary_of(&config, HABITS, &inner)?);
    config.scores.by_position = fields.position_scale(&inner)?;
    config.attention = vec![LayerAttention::new(fields.window(None)?, rotary)];
    Ok(Config { family: Family::Ministral3, ..config })
}
