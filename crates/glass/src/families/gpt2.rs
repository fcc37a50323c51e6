//! GPT-2 (`GPT2Config`). Settings for which that class has no field are stored under `"glass"`: `{"bias": false}` for a model
//! without biases (its file then holds zeros).

use glass_kernels::attend::Heads;
use serde_json::{Map, Value, json};

use super::names::{Named, named};
use super::read::{Fields, name_of};
use super::write::{decimal, members};
use super::{Family, Form};
use crate::config::{Activation, Biases, LayerAttention, Norm, ScoreFactor, Scores};
use crate::{Config, Result};

pub(super) const GPT2: Form = Form {
    family: Family::Gpt2,
    name: "gpt2",
    model_type: "gpt2",
    architectures: &[
        "GPT2LMHeadModel",
        "GPT2Model",
        "AutoModelForCausalLM",
        "GPT2DoubleHeadsModel",
        "GPT2ForSequenceClassification",
        "GPT2ForTokenClassification",
        "GPT2ForQuestionAnswering",
    ],
    usual: |config| Config {
        mlp_width: 4 * config.width,
        ..Config::gpt2(config.vocabulary, config.context, config.width, config.layers, config.heads.query)
    },
    read,
    write,
    knows: &["scale_attn_weights", "scale_attn_by_inverse_layer_idx"],
    names: &NAMES,
    is_turned: true,
};

/// `c_attn` joins query, key and value.
pub(super) const NAMES: [Named; 12] = [
    named("embedding.token", "transformer.wte"),
    named("embedding.position", "transformer.wpe"),
    named("block.N.attention.norm", "transformer.h.N.ln_1"),
    named("block.N.attention.query", "transformer.h.N.attn.c_attn"),
    named("block.N.attention.key", "transformer.h.N.attn.c_attn"),
    named("block.N.attention.value_down", "transformer.h.N.attn.c_attn"),
    named("block.N.attention.value_up", "transformer.h.N.attn.c_proj"),
    named("block.N.mlp.norm", "transformer.h.N.ln_2"),
    named("block.N.mlp.up", "transformer.h.N.mlp.c_fc"),
    named("block.N.mlp.down", "transformer.h.N.mlp.c_proj"),
    named("norm", "transformer.ln_f"),
    named("unembedding", "lm_head"),
];

fn read(fields: &Fields<'_>) -> Result<Config> {
    let glass = fields.object("glass")?;
    let width = fields.size_of(&["n_embd", "hidden_size"])?;
    let heads = fields.size_of(&["n_head", "num_attention_heads"])?;
    let mut config = Config {
        heads: Heads::new(heads, heads, width / heads),
        mlp_width: fields.size("n_inner")?.unwrap_or(width.saturating_mul(4)),
        norm: Norm::layer(fields.epsilon("layer_norm_epsilon", 1e-5)?),
        activation: fields.activation("activation_function", Activation::GeluTanh)?,
        scores: Scores {
            factor: match fields.flag("scale_attn_weights")?.unwrap_or(true) {
                true => ScoreFactor::RootOfSize,
                false => ScoreFactor::Number(1.0),
            },
            by_layer: fields.flag("scale_attn_by_inverse_layer_idx")?.unwrap_or(false),
            ..Scores::default()
        },
        tied: fields.flag("tie_word_embeddings")?.unwrap_or(true),
        ..Config::gpt2(
            fields.needed_size("vocab_size")?,
            fields.size_of(&["n_positions", "max_position_embeddings", "n_ctx"])?,
            width,
            fields.size_of(&["n_layer", "num_hidden_layers"])?,
            heads,
        )
    };
    let Some(glass) = glass else {
        if !width.is_multiple_of(heads) {
            let why = format!("n_embd {width} cannot be cut into n_head {heads} heads of equal size");
            return Err(fields.error(why));
        }
        return Ok(config);
    };
    let known = ["bias", "key_heads", "head_size", "band"];
    if let Some(name) = glass.names().find(|name| !known.contains(name)) {
        return Err(glass.error(format!("{name:?} is unknown; a newer version of Glass may have written it")));
    }
    if glass.flag("bias")? == Some(false) {
        config.bias = Biases::NONE;
    }
    config.heads.key = glass.size("key_heads")?.unwrap_or(config.heads.key);
    let size = glass.size("head_size")?;
    config.heads = Heads::new(heads, config.heads.key, size.unwrap_or(config.heads.size));
    if let Some(band) = glass.size("band")? {
        config.attention.push(LayerAttention::new(Some(band), None));
    }
    if size.is_none() && !width.is_multiple_of(heads) {
        return Err(glass.error("head_size is missing, and n_embd is not a multiple of n_head"));
    }
    Ok(config)
}

/// The fields of a GPT-2, also for the older folders of Glass's own that have more of them.
fn write(config: &Config) -> Map<String, Value> {
    let mut all = members(json!({
        "activation_function": name_of(config.activation),
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "layer_norm_epsilon": decimal(config.norm.epsilon),
        // llama.cpp's converter reads this field.
        "n_ctx": config.context,
        "n_embd": config.width,
        "n_head": config.heads.query,
        "n_inner": if config.mlp_width == 4 * config.width { Value::Null } else { json!(config.mlp_width) },
        "n_layer": config.layers,
        "n_positions": config.context,
        "resid_pdrop": 0.0,
        "tie_word_embeddings": config.tied,
        "vocab_size": config.vocabulary,
    }));
    if config.scores.factor == ScoreFactor::Number(1.0) {
        all.insert("scale_attn_weights".into(), json!(false));
    }
    if config.scores.by_layer {
        all.insert("scale_attn_by_inverse_layer_idx".into(), json!(true));
    }
    if config.bias == Biases::NONE {
        all.insert("glass".into(), json!({ "bias": false }));
    }
    all
}
