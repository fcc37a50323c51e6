//! StableLM 3B and StableLM-2 1.6B (`StableLmConfig`): LayerNorms with biases, and a quarter of each head is rotated.

use serde_json::json;

use super::llama::{self, rotate_all, rotation};
use super::read::{DEFAULTS, Fields};
use super::rotary::{HABITS, Habits};
use super::write::{decimal, sizes, with};
use super::{Family, Form};
use crate::config::{Biases, Norm};
use crate::{Config, Result};

pub(super) const STABLELM: Form = Form {
    family: Family::StableLm,
    name: "stablelm",
    model_type: "stablelm",
    architectures: &["StableLmForCausalLM", "StableLmModel", "AutoModelForCausalLM"],
    usual: |config| {
        let mut config = stablelm(config);
        for rotary in config.attention.iter_mut().filter_map(|layer| layer.rotary.as_mut()) {
            rotary.width = (config.heads.size / 4).next_multiple_of(2);
        }
        config
    },
    read,
    write: |config| {
        let mut all = sizes(config);
        all.remove("rms_norm_eps");
        let more = json!({
            "layer_norm_eps": decimal(config.norm.epsilon),
            "qk_layernorm": false,
            "rope_parameters": rotation(config, OWN),
            "use_parallel_residual": false,
            "use_qkv_bias": config.bias.query_key_value,
        });
        with(all, more)
    },
    knows: &["partial_rotary_factor", "rope_parameters", "rope_scaling", "use_qkv_bias"],
    names: &llama::NAMES,
    is_turned: false,
};

const OWN: Habits = Habits { share: Some(0.25), ..HABITS };

fn stablelm(config: Config) -> Config {
    let bias = Biases { norm: true, ..config.bias };
    Config { norm: Norm::layer(1e-5), bias, family: Family::StableLm, ..config }
}

fn read(fields: &Fields<'_>) -> Result<Config> {
    let mut config = stablelm(fields.sizes(&DEFAULTS)?);
    config.norm = Norm::layer(fields.epsilon("layer_norm_eps", 1e-5)?);
    config.bias.query_key_value = fields.flag("use_qkv_bias")?.unwrap_or(false);
    rotate_all(fields, &mut config, OWN)?;
    Ok(config)
}
