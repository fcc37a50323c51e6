//! Llama 2 and 3, SmolLM2, and whatever else has this form (`LlamaConfig`).

use serde_json::{Map, Value, json};

use super::names::{Named, named};
use super::read::{DEFAULTS, Fields};
use super::rotary::{self, HABITS};
use super::write::{sizes, with};
use super::{Family, Form};
use crate::config::LayerAttention;
use crate::{Config, Result};

pub(super) const LLAMA: Form = Form {
    family: Family::Llama,
    name: "llama",
    model_type: "llama",
    architectures: &["LlamaForCausalLM", "LlamaModel", "AutoModelForCausalLM"],
    usual: |config| config,
    read,
    write,
    knows: &["attention_bias", "mlp_bias", "rope_parameters", "rope_scaling"],
    names: &NAMES,
    is_turned: false,
};

/// Also of many later families. The norm before the MLP is called after its place behind attention.
pub(super) const NAMES: [Named; 14] = [
    named("embedding.token", "model.embed_tokens"),
    named("block.N.attention.norm", "model.layers.N.input_layernorm"),
    named("block.N.attention.query", "model.layers.N.self_attn.q_proj"),
    named("block.N.attention.key", "model.layers.N.self_attn.k_proj"),
    named("block.N.attention.value_down", "model.layers.N.self_attn.v_proj"),
    named("block.N.attention.value_up", "model.layers.N.self_attn.o_proj"),
    named("block.N.attention.query_norm", "model.layers.N.self_attn.q_norm"),
    named("block.N.attention.key_norm", "model.layers.N.self_attn.k_norm"),
    named("block.N.mlp.norm", "model.layers.N.post_attention_layernorm"),
    named("block.N.mlp.gate", "model.layers.N.mlp.gate_proj"),
    named("block.N.mlp.up", "model.layers.N.mlp.up_proj"),
    named("block.N.mlp.down", "model.layers.N.mlp.down_proj"),
    named("norm", "model.norm"),
    named("unembedding", "lm_head"),
];

fn read(fields: &Fields<'_>) -> Result<Config> {
    let mut config = fields.sizes(&DEFAULTS)?;
    config.bias = fields.biases(true)?;
    rotate_all(fields, &mut config, HABITS)?;
    Ok(config)
}

/// The same rotation in all layers, without windows.
pub(super) fn rotate_all(fields: &Fields<'_>, config: &mut Config, habits: rotary::Habits) -> Result<()> {
    let rotary = Some(fields.rotary(config, habits)?);
    config.attention = vec![LayerAttention::new(None, rotary)];
    Ok(())
}

/// The rotation of all layers that are rotated, as `rope_parameters`.
pub(super) fn rotation(config: &Config, habits: rotary::Habits) -> Value {
    let rotary = config.attention.iter().find_map(|layer| layer.rotary.as_ref());
    json!(rotary.map(|rotary| rotary::write(rotary, config, habits)))
}

fn write(config: &Config) -> Map<String, Value> {
    with(
        sizes(config),
        json!({
            "attention_bias": config.bias.query_key_value,
            "mlp_bias": config.bias.mlp,
            "rope_parameters": rotation(config, HABITS),
        }),
    )
}
