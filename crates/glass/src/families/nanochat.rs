//! nanochat, as `transformers` has it (`NanoChatConfig`): norms without weights, also on the embedding and on rotated queries
//! and keys; rotation by the negative angle; squared ReLU; a cap on the logits.

use serde_json::json;

use super::llama::{rotate_all, rotation};
use super::names::{Named, named};
use super::read::{DEFAULTS, Defaults, Fields};
use super::rotary::HABITS;
use super::write::{sizes, with};
use super::{Family, Form};
use crate::config::{Activation, Factors, Gain, Norm, NormOver, QueryKeyNorm};
use crate::{Config, Result};

pub(super) const NANOCHAT: Form = Form {
    family: Family::NanoChat,
    name: "nanochat",
    model_type: "nanochat",
    architectures: &["NanoChatForCausalLM", "NanoChatModel", "AutoModelForCausalLM"],
    usual: |config| {
        let mut config = nanochat(config);
        for rotary in config.attention.iter_mut().filter_map(|layer| layer.rotary.as_mut()) {
            (rotary.base, rotary.reversed) = (100_000.0, true);
        }
        let factors = Factors { logit_cap: Some(15.0), ..config.factors };
        Config { activation: Activation::SquaredRelu, factors, ..config }
    },
    read,
    write: |config| {
        let more = json!({
            "attention_bias": config.bias.query_key_value,
            "final_logit_softcapping": config.factors.logit_cap,
            "rope_parameters": rotation(config, HABITS),
        });
        with(sizes(config), more)
    },
    knows: &["attention_bias", "final_logit_softcapping", "rope_parameters", "rope_scaling"],
    names: &NAMES,
    is_turned: false,
};

const NAMES: [Named; 8] = [
    named("embedding.token", "model.embed_tokens"),
    named("block.N.attention.query", "model.layers.N.self_attn.q_proj"),
    named("block.N.attention.key", "model.layers.N.self_attn.k_proj"),
    named("block.N.attention.value_down", "model.layers.N.self_attn.v_proj"),
    named("block.N.attention.value_up", "model.layers.N.self_attn.o_proj"),
    named("block.N.mlp.up", "model.layers.N.mlp.fc1"),
    named("block.N.mlp.down", "model.layers.N.mlp.fc2"),
    named("unembedding", "lm_head"),
];

fn nanochat(config: Config) -> Config {
    Config {
        norm: Norm { gain: Gain::None, epsilon: 1e-6, ..config.norm },
        query_key_norm: Some(QueryKeyNorm { over: NormOver::Head, after_rotation: true }),
        gated: false,
        embedding_norm: true,
        family: Family::NanoChat,
        ..config
    }
}

fn read(fields: &Fields<'_>) -> Result<Config> {
    let sizes = fields.sizes(&Defaults { activation: Activation::SquaredRelu, ..DEFAULTS })?;
    let epsilon = sizes.norm.epsilon;
    let mut config = nanochat(sizes);
    config.norm.epsilon = epsilon;
    config.bias = fields.biases(false)?;
    rotate_all(fields, &mut config, HABITS)?;
    for rotary in config.attention.iter_mut().filter_map(|layer| layer.rotary.as_mut()) {
        rotary.reversed = true;
    }
    config.factors.logit_cap = match fields.number("final_logit_softcapping")? {
        None if fields.is_null("final_logit_softcapping") => None,
        found => Some(found.unwrap_or(15.0) as f32),
    };
    Ok(config)
}
