//! GPT-J (`GPTJConfig`): neighbours are rotated together, attention and MLP read one norm, the logits have a bias.

use glass_kernels::attend::Heads;
use serde_json::{Map, Value, json};

use super::names::{Named, named};
use super::read::{Fields, name_of};
use super::write::{decimal, members};
use super::{Family, Form};
use crate::config::{Activation, Biases, Branches, LayerAttention, Norm, Pairs, Positions, Rotary};
use crate::{Config, Result};

pub(super) const GPT_J: Form = Form {
    family: Family::GptJ,
    name: "gptj",
    model_type: "gptj",
    architectures: &["GPTJForCausalLM", "GPTJModel", "AutoModelForCausalLM"],
    usual: |config| {
        let sizes = (config.vocabulary, config.context, config.width, config.layers, config.heads.query);
        let rotated = (config.heads.size / 4).next_multiple_of(2);
        gpt_j(Config::gpt2(sizes.0, sizes.1, sizes.2, sizes.3, sizes.4), rotated)
    },
    read,
    write,
    knows: &["rotary_dim"],
    names: &NAMES,
    is_turned: false,
};

const NAMES: [Named; 10] = [
    named("embedding.token", "transformer.wte"),
    named("block.N.attention.norm", "transformer.h.N.ln_1"),
    named("block.N.attention.query", "transformer.h.N.attn.q_proj"),
    named("block.N.attention.key", "transformer.h.N.attn.k_proj"),
    named("block.N.attention.value_down", "transformer.h.N.attn.v_proj"),
    named("block.N.attention.value_up", "transformer.h.N.attn.out_proj"),
    named("block.N.mlp.up", "transformer.h.N.mlp.fc_in"),
    named("block.N.mlp.down", "transformer.h.N.mlp.fc_out"),
    named("norm", "transformer.ln_f"),
    named("unembedding", "lm_head"),
];

fn gpt_j(config: Config, rotated: usize) -> Config {
    let rotary =
        Rotary { width: rotated, pairs: Pairs::Neighbours, ..Rotary::new(10_000.0, config.heads.size) };
    Config {
        positions: Positions::Rotary,
        attention: vec![LayerAttention::new(None, Some(rotary))],
        branches: Branches::Together { one_norm: true },
        bias: Biases { query_key_value: false, value_up: false, unembedding: true, ..Biases::ALL },
        tied: false,
        family: Family::GptJ,
        ..config
    }
}

fn read(fields: &Fields<'_>) -> Result<Config> {
    let width = fields.size_of(&["n_embd", "hidden_size"])?;
    let heads = fields.size_of(&["n_head", "num_attention_heads"])?;
    if !width.is_multiple_of(heads) {
        let why = format!("n_embd {width} cannot be cut into n_head {heads} heads of equal size");
        return Err(fields.error(why));
    }
    let size = width / heads;
    let rotated = fields.size("rotary_dim")?;
    let rotated = rotated
        .or((!fields.is_null("rotary_dim")).then_some(64))
        .filter(|width| *width <= size && width % 2 == 0);
    let Some(rotated) = rotated else {
        let found = fields.get("rotary_dim").map_or("null".to_string(), ToString::to_string);
        let why =
            format!("rotary_dim is {found}; an even number up to {size}, the size of a head, was expected");
        return Err(fields.error(why));
    };
    let config = Config {
        heads: Heads::new(heads, heads, size),
        mlp_width: fields.size("n_inner")?.unwrap_or(width.saturating_mul(4)),
        norm: Norm::layer(fields.epsilon("layer_norm_epsilon", 1e-5)?),
        activation: fields.activation("activation_function", Activation::GeluTanh)?,
        ..Config::gpt2(
            fields.needed_size("vocab_size")?,
            fields.size_of(&["n_positions", "max_position_embeddings"])?,
            width,
            fields.size_of(&["n_layer", "num_hidden_layers"])?,
            heads,
        )
    };
    let tied = fields.flag("tie_word_embeddings")?.unwrap_or(false);
    Ok(Config { tied, ..gpt_j(config, rotated) })
}

fn write(config: &Config) -> Map<String, Value> {
    let rotary = config.attention.iter().find_map(|layer| layer.rotary.as_ref());
    members(json!({
        "activation_function": name_of(config.activation),
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "layer_norm_epsilon": decimal(config.norm.epsilon),
        "n_embd": config.width,
        "n_head": config.heads.query,
        "n_inner": if config.mlp_width == 4 * config.width { Value::Null } else { json!(config.mlp_width) },
        "n_layer": config.layers,
        "n_positions": config.context,
        "resid_pdrop": 0.0,
        "rotary_dim": rotary.map(|rotary| rotary.width),
        "tie_word_embeddings": config.tied,
        "vocab_size": config.vocabulary,
    }))
}
