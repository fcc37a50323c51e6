//! Phi-3 and Phi-4-mini (`Phi3Config`): query, key and value are joined in one matrix, gate and up in another.

use serde_json::json;

use super::layers::window;
use super::llama::rotation;
use super::names::{Named, named};
use super::read::{DEFAULTS, Defaults, Fields};
use super::rotary::{HABITS, Habits};
use super::write::{sizes, with};
use super::{Family, Form};
use crate::config::{LayerAttention, Scaling};
use crate::{Config, Result};

pub(super) const PHI3: Form = Form {
    family: Family::Phi3,
    name: "phi3",
    model_type: "phi3",
    architectures: &["Phi3ForCausalLM", "Phi3Model", "AutoModelForCausalLM"],
    usual: |config| Config { family: Family::Phi3, ..config },
    read,
    write: |config| {
        let original = config.attention.iter().find_map(|layer| match layer.rotary.as_ref()?.scaling {
            Scaling::LongRope { original, .. } => Some(original),
            _ => None,
        });
        let more = json!({
            "original_max_position_embeddings": original.unwrap_or(config.context),
            "rope_parameters": rotation(config, OWN),
            "sliding_window": window(config),
        });
        with(sizes(config), more)
    },
    knows: &["partial_rotary_factor", "rope_parameters", "rope_scaling", "sliding_window"],
    names: &NAMES,
    is_turned: false,
};

const OWN: Habits = Habits { share: Some(1.0), is_original_outside: true, ..HABITS };

const NAMES: [Named; 12] = [
    named("embedding.token", "model.embed_tokens"),
    named("block.N.attention.norm", "model.layers.N.input_layernorm"),
    named("block.N.attention.query", "model.layers.N.self_attn.qkv_proj"),
    named("block.N.attention.key", "model.layers.N.self_attn.qkv_proj"),
    named("block.N.attention.value_down", "model.layers.N.self_attn.qkv_proj"),
    named("block.N.attention.value_up", "model.layers.N.self_attn.o_proj"),
    named("block.N.mlp.norm", "model.layers.N.post_attention_layernorm"),
    named("block.N.mlp.gate", "model.layers.N.mlp.gate_up_proj"),
    named("block.N.mlp.up", "model.layers.N.mlp.gate_up_proj"),
    named("block.N.mlp.down", "model.layers.N.mlp.down_proj"),
    named("norm", "model.norm"),
    named("unembedding", "lm_head"),
];

fn read(fields: &Fields<'_>) -> Result<Config> {
    let mut config = fields.sizes(&Defaults { epsilon: 1e-5, ..DEFAULTS })?;
    let rotary = Some(fields.rotary(&config, OWN)?);
    config.attention = vec![LayerAttention::new(fields.window(None)?, rotary)];
    Ok(Config { family: Family::Phi3, ..config })
}
