//! OLMo 2 (`Olmo2Config`) and OLMo 3 (`Olmo3Config`): norms stand on what branches give, and on queries and keys over their
//! full width; in OLMo 3, three layers of four have a window.

use serde_json::{Map, Value, json};

use super::layers::{pattern, types, window};
use super::llama::{rotate_all, rotation};
use super::names::{Named, named};
use super::read::{DEFAULTS, Defaults, Fields};
use super::rotary::{self, HABITS, Habits};
use super::write::{sizes, with};
use super::{Family, Form};
use crate::config::object::Object;
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
        let local = LayerAttention { window: Some(4096), rotary: rotary.clone() };
        let attention = pattern(&[true, true, true, false], &local, &LayerAttention { window: None, rotary });
        olmo(Config { attention, ..config }, Family::Olmo3)
    },
    read: olmo3,
    write: |config| {
        let of = |is_local: bool| {
            let layer = config.attention.iter().find(|layer| layer.window.is_some() == is_local);
            let rotary = layer.and_then(|layer| layer.rotary.as_ref());
            rotary.map(|rotary| rotary::write(rotary, config, HABITS))
        };
        let [local, global] = [of(true), of(false)];
        let one = local.clone().or(global.clone());
        let more = json!({
            "attention_bias": config.bias.query_key_value,
            "layer_types": types(config),
            "rope_parameters": {
                "full_attention": global.or(one.clone()),
                "sliding_attention": local.or(one),
            },
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
    let (global, local) = match fields.object("rope_parameters")? {
        Some(by_type) if by_type.get("full_attention").is_some() => {
            let of = |name: &str| {
                let inner =
                    by_type.object(name)?.unwrap_or_else(|| Object::of(name, Map::<String, Value>::new()));
                fields.rotary_of(&config, habits, &inner)
            };
            (of("full_attention")?, of("sliding_attention")?)
        }
        // A scaling is for layers without a window alone.
        _ => {
            let global = fields.rotary(&config, habits)?;
            let local = Rotary::new(global.base, config.heads.size);
            (global, local)
        }
    };
    let window = fields.window(Some(4096))?;
    let is_local = match fields.layer_types(config.layers)? {
        Some(is_local) => is_local,
        None => (0..config.layers).map(|layer| (layer + 1) % 4 != 0).collect(),
    };
    fields.needs_window(&is_local, window)?;
    let local = LayerAttention { window, rotary: Some(local) };
    config.attention = pattern(&is_local, &local, &LayerAttention { window: None, rotary: Some(global) });
    Ok(config)
}
