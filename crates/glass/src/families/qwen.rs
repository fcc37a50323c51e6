//! Qwen2 and Qwen2.5 (`Qwen2Config`), Qwen3, dense (`Qwen3Config`).

use serde_json::{Map, Value, json};

use super::layers::{pattern, types, window};
use super::llama::{self, rotation};
use super::read::{DEFAULTS, Defaults, Fields};
use super::rotary::HABITS;
use super::write::{sizes, with};
use super::{Family, Form};
use crate::config::{Biases, LayerAttention, NormOver, QueryKeyNorm};
use crate::{Config, Result};

const WINDOWS: [&str; 5] =
    ["rope_parameters", "rope_scaling", "sliding_window", "use_sliding_window", "layer_types"];

pub(super) const QWEN2: Form = Form {
    family: Family::Qwen2,
    name: "qwen2",
    model_type: "qwen2",
    architectures: &["Qwen2ForCausalLM", "Qwen2Model", "AutoModelForCausalLM"],
    usual: qwen2,
    read: |fields| Ok(qwen2(windowed(fields, &Defaults { keys: 32, ..DEFAULTS })?)),
    write,
    knows: &WINDOWS,
    names: &llama::NAMES,
    is_turned: false,
};

pub(super) const QWEN3: Form = Form {
    family: Family::Qwen3,
    name: "qwen3",
    model_type: "qwen3",
    architectures: &["Qwen3ForCausalLM", "Qwen3Model", "AutoModelForCausalLM"],
    usual: qwen3,
    read: |fields| {
        let config = windowed(fields, &Defaults { keys: 32, size: 128, ..DEFAULTS })?;
        Ok(Config { bias: fields.biases(false)?, ..qwen3(config) })
    },
    write: |config| with(write(config), json!({ "attention_bias": config.bias.query_key_value })),
    knows: &[WINDOWS[0], WINDOWS[1], WINDOWS[2], WINDOWS[3], WINDOWS[4], "attention_bias"],
    names: &llama::NAMES,
    is_turned: false,
};

fn qwen2(config: Config) -> Config {
    let bias = Biases { query_key_value: true, ..Biases::NONE };
    Config { bias, family: Family::Qwen2, ..config }
}

fn qwen3(config: Config) -> Config {
    let query_key_norm = Some(QueryKeyNorm { over: NormOver::Head, after_rotation: false });
    Config { query_key_norm, family: Family::Qwen3, ..config }
}

fn windowed(fields: &Fields<'_>, defaults: &Defaults) -> Result<Config> {
    let mut config = fields.sizes(defaults)?;
    let rotary = Some(fields.rotary(&config, HABITS)?);
    let window = match fields.flag("use_sliding_window")?.unwrap_or(false) {
        true => fields.window(Some(4096))?,
        false => None,
    };
    let first = fields.number("max_window_layers")?.unwrap_or(28.0) as usize;
    let is_local = match fields.layer_types(config.layers)? {
        Some(is_local) => {
            fields.needs_window(&is_local, window)?;
            is_local
        }
        None => (0..config.layers).map(|layer| layer >= first).collect(),
    };
    let local = LayerAttention::new(window, rotary.clone());
    config.attention = pattern(&is_local, &local, &LayerAttention::new(None, rotary));
    Ok(config)
}

fn write(config: &Config) -> Map<String, Value> {
    let window = window(config);
    with(
        sizes(config),
        json!({
            "layer_types": types(config),
            "rope_parameters": rotation(config, HABITS),
            "sliding_window": window,
            "use_sliding_window": window.is_some(),
        }),
    )
}
