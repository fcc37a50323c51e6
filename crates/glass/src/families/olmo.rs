//! OLMo 2 (`Olmo2Config`) and OLMo 3 (`Olmo3Config`): norms stand on what branches give, and on queries and keys over their
//! full width; in OLMo 3, three layers of four have a window.

use serde_json::json;

use super::layers::{pattern, rotations, types, window};
use super::llama::{rotate_all, rotation};
use super::names::{Named, named};
use super::read::{DEFAULTS, Defaults, Fields};
use super::rotary::{HABITS, Habits};
use super::write::{sizes, with};
use super::{Family, Form};
use crate::config::{LayerAttention, NormOver, Placement, QueryKeyNorm, Rotary};
use crate::{Config, Result};

pub(super) const OLMO2: Form = Form {
    family: Family::Olmo2,
    name: "olmo2",
    model_type: "olmo2",
    architectures: &["Olmo2ForCausalLM", "Olmo2Model", "AutoModelForCausalLM"],
    usual: |config| olmo(config, Family::Olmo2),
    read: |fields| {
        let mut config = olmo(fields.sizes(&OWN)?, Family::Olmo2);
        config.bias = fields.biases(false)?;
        rotate_all(fields, &mut config, HABITS)?;
        Ok(config)
    },
    write: |config| {
        let more = json!({
            "attention_bias": config.bias.query_key_value,
            "rope_parameters": rotation(config, HABITS),
        });
        with(sizes(config), more)
    },
    knows: &["attention_bias", "rope_parameters", "rope_scaling"],
    names: &NAMES,
    is_turned: false,
};

pub(super) const OLMO3: Form = Form {
    family: Family::Olmo3,
    name: "olmo3",
    model_type: "olmo3",
    architectures: &["Olmo3ForCausalLM", "Olmo3Model", "AutoModelForCausalLM"],
    usual: |config| {
        let rotary = config.attention[0].rotary.clone();
        let local = LayerAttention::new(Some(4096), rotary.clone());
        let attention = pattern(&[true, true, true, false], &local, &LayerAttention::new(None, rotary));
        olmo(Config { attention, ..config }, Family::Olmo3)
    },
    read: olmo3,
    write: |config| {
        let more = json!({
            "attention_bias": config.bias.query_key_value,
            "layer_types": types(config),
            "rope_parameters": rotations(config),
            "sliding_window": window(config),
        });
        with(sizes(config), more)
    },
    knows: &["attention_bias", "layer_types", "rope_parameters", "rope_scaling", "sliding_window"],
    names: &NAMES,
    is_turned: false,
};

const OWN: Defaults = Defaults { epsilon: 1e-5, ..DEFAULTS };

const NAMES: [Named; 14] = [
    named("embedding.token", "model.embed_tokens"),
    named("block.N.attention.query", "model.layers.N.self_attn.q_proj"),
    named("block.N.attention.key", "model.layers.N.self_attn.k_proj"),
    named("block.N.attention.value_down", "model.layers.N.self_attn.v_proj"),
    named("block.N.attention.value_up", "model.layers.N.self_attn.o_proj"),
    named("block.N.attention.query_norm", "model.layers.N.self_attn.q_norm"),
    named("block.N.attention.key_norm", "model.layers.N.self_attn.k_norm"),
    named("block.N.attention.norm_after", "model.layers.N.post_attention_layernorm"),
    named("block.N.mlp.gate", "model.layers.N.mlp.gate_proj"),
    named("block.N.mlp.up", "model.layers.N.mlp.up_proj"),
    named("block.N.mlp.down", "model.layers.N.mlp.down_proj"),
    named("block.N.mlp.norm_after", "model.layers.N.post_feedforward_layernorm"),
    named("norm", "model.norm"),
    named("unembedding", "lm_head"),
];

fn olmo(config: Config, family: Family) -> Config {
    let query_key_norm = Some(QueryKeyNorm { over: NormOver::Width, after_rotation: false });
    Config { placement: Placement::After, query_key_norm, family, ..config }
}

fn olmo3(fields: &Fields<'_>) -> Result<Config> {
    let mut config = olmo(fields.sizes(&OWN)?, Family::Olmo3);
    config.bias = fields.biases(false)?;
    let habits = Habits { base: 500_000.0, ..HABITS };
    let [local, global] = match fields.rotary_by_type(&config, habits, habits)? {
        Some(both) => both,
        // A scaling is for layers without a window alone.
        None => {
            let global = fields.rotary(&config, habits)?;
            [Rotary::new(global.base, config.heads.size), global]
        }
    };
    fields.alternate(&mut config, 4, Some(local), Some(global))?;
    Ok(config)
}
