//! GPT-NeoX and Pythia (`GPTNeoXConfig`): attention and MLP read the same residual, query, key and value are joined head by
//! head.

use glass_kernels::attend::Heads;
use serde_json::{Map, Value, json};

use super::llama::{rotate_all, rotation};
use super::names::{Named, Rows, named};
use super::read::{Fields, name_of};
use super::rotary::{HABITS, Habits};
use super::write::{decimal, members};
use super::{Family, Form};
use crate::config::{Activation, Biases, Branches, LayerAttention, Norm, Positions, Rotary};
use crate::{Config, Result};

pub(super) const GPT_NEOX: Form = Form {
    family: Family::GptNeoX,
    name: "gpt_neox",
    model_type: "gpt_neox",
    architectures: &["GPTNeoXForCausalLM", "GPTNeoXModel", "AutoModelForCausalLM"],
    usual: |config| {
        let sizes = (config.vocabulary, config.context, config.width, config.layers, config.heads.query);
        let mut config = neox(Config::gpt2(sizes.0, sizes.1, sizes.2, sizes.3, sizes.4));
        let (width, size) = ((config.heads.size / 4).next_multiple_of(2), config.heads.size);
        let rotary = Some(Rotary { width, ..Rotary::new(10_000.0, size) });
        config.attention = vec![LayerAttention::new(None, rotary)];
        Config { activation: Activation::Gelu, ..config }
    },
    read,
    write,
    knows: &[
        "attention_bias",
        "partial_rotary_factor",
        "rope_parameters",
        "rope_scaling",
        "rotary_emb_base",
        "rotary_pct",
        "use_parallel_residual",
    ],
    names: &NAMES,
    is_turned: false,
};

const OWN: Habits =
    Habits { share: Some(0.25), old_share: "rotary_pct", old_base: "rotary_emb_base", ..HABITS };

const fn joined(ours: &'static str) -> Named {
    Named { ours, theirs: "gpt_neox.layers.N.attention.query_key_value", rows: Rows::ByHead }
}

const NAMES: [Named; 11] = [
    named("embedding.token", "gpt_neox.embed_in"),
    named("block.N.attention.norm", "gpt_neox.layers.N.input_layernorm"),
    joined("block.N.attention.query"),
    joined("block.N.attention.key"),
    joined("block.N.attention.value_down"),
    named("block.N.attention.value_up", "gpt_neox.layers.N.attention.dense"),
    named("block.N.mlp.norm", "gpt_neox.layers.N.post_attention_layernorm"),
    named("block.N.mlp.up", "gpt_neox.layers.N.mlp.dense_h_to_4h"),
    named("block.N.mlp.down", "gpt_neox.layers.N.mlp.dense_4h_to_h"),
    named("norm", "gpt_neox.final_layer_norm"),
    named("unembedding", "embed_out"),
];

fn neox(config: Config) -> Config {
    Config {
        positions: Positions::Rotary,
        branches: Branches::Together { one_norm: false },
        bias: Biases::ALL,
        tied: false,
        family: Family::GptNeoX,
        ..config
    }
}

fn read(fields: &Fields<'_>) -> Result<Config> {
    let width = fields.needed_size("hidden_size")?;
    let heads = fields.needed_size("num_attention_heads")?;
    if !width.is_multiple_of(heads) {
        let why =
            format!("hidden_size {width} cannot be cut into num_attention_heads {heads} heads of equal size");
        return Err(fields.error(why));
    }
    let mut config = neox(Config {
        heads: Heads::new(heads, heads, width / heads),
        mlp_width: fields.needed_size("intermediate_size")?,
        norm: Norm::layer(fields.epsilon("layer_norm_eps", 1e-5)?),
        activation: fields.activation("hidden_act", Activation::Gelu)?,
        ..Config::gpt2(
            fields.needed_size("vocab_size")?,
            fields.needed_size("max_position_embeddings")?,
            width,
            fields.needed_size("num_hidden_layers")?,
            heads,
        )
    });
    let biases = fields.flag("attention_bias")?.unwrap_or(true);
    config.bias = Biases { query_key_value: biases, value_up: biases, ..Biases::ALL };
    if fields.flag("use_parallel_residual")? == Some(false) {
        config.branches = Branches::InTurn;
    }
    config.tied = fields.flag("tie_word_embeddings")?.unwrap_or(false);
    rotate_all(fields, &mut config, OWN)?;
    Ok(config)
}

fn write(config: &Config) -> Map<String, Value> {
    members(json!({
        "attention_bias": config.bias.query_key_value,
        "attention_dropout": 0.0,
        "hidden_act": name_of(config.activation),
        "hidden_dropout": 0.0,
        "hidden_size": config.width,
        "intermediate_size": config.mlp_width,
        "layer_norm_eps": decimal(config.norm.epsilon),
        "max_position_embeddings": config.context,
        "num_attention_heads": config.heads.query,
        "num_hidden_layers": config.layers,
        "rope_parameters": rotation(config, OWN),
        "tie_word_embeddings": config.tied,
        "use_parallel_residual": config.branches != Branches::InTurn,
        "vocab_size": config.vocabulary,
    }))
}
