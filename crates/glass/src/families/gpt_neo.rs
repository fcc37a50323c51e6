//! GPT-Neo (`GPTNeoConfig`): learned positions, layers with and without a window in turns, scores that are not scaled.

use glass_kernels::attend::Heads;
use serde_json::{Map, Value, json};

use super::layers::pattern;
use super::names::{Named, named};
use super::read::{Fields, name_of};
use super::write::{decimal, members};
use super::{Family, Form};
use crate::config::{Activation, Biases, LayerAttention, Norm, ScoreFactor, Scores};
use crate::{Config, Result};

pub(super) const GPT_NEO: Form = Form {
    family: Family::GptNeo,
    name: "gpt_neo",
    model_type: "gpt_neo",
    architectures: &["GPTNeoForCausalLM", "GPTNeoModel", "AutoModelForCausalLM"],
    usual: |config| {
        let sizes = (config.vocabulary, config.context, config.width, config.layers, config.heads.query);
        neo(Config::gpt2(sizes.0, sizes.1, sizes.2, sizes.3, sizes.4), &[false, true], 256)
    },
    read,
    write,
    knows: &["attention_types", "window_size"],
    names: &NAMES,
    is_turned: false,
};

const NAMES: [Named; 12] = [
    named("embedding.token", "transformer.wte"),
    named("embedding.position", "transformer.wpe"),
    named("block.N.attention.norm", "transformer.h.N.ln_1"),
    named("block.N.attention.query", "transformer.h.N.attn.attention.q_proj"),
    named("block.N.attention.key", "transformer.h.N.attn.attention.k_proj"),
    named("block.N.attention.value_down", "transformer.h.N.attn.attention.v_proj"),
    named("block.N.attention.value_up", "transformer.h.N.attn.attention.out_proj"),
    named("block.N.mlp.norm", "transformer.h.N.ln_2"),
    named("block.N.mlp.up", "transformer.h.N.mlp.c_fc"),
    named("block.N.mlp.down", "transformer.h.N.mlp.c_proj"),
    named("norm", "transformer.ln_f"),
    named("unembedding", "lm_head"),
];

fn neo(config: Config, is_local: &[bool], window: usize) -> Config {
    let local = LayerAttention::new(Some(window), None);
    Config {
        attention: pattern(is_local, &local, &LayerAttention::default()),
        scores: Scores { factor: ScoreFactor::Number(1.0), ..Scores::default() },
        bias: Biases { query_key_value: false, ..Biases::ALL },
        family: Family::GptNeo,
        ..config
    }
}

fn read(fields: &Fields<'_>) -> Result<Config> {
    let width = fields.size_of(&["hidden_size"])?;
    let heads = fields.size_of(&["num_heads", "num_attention_heads"])?;
    if !width.is_multiple_of(heads) {
        let why = format!("hidden_size {width} cannot be cut into num_heads {heads} heads of equal size");
        return Err(fields.error(why));
    }
    let layers = fields.size_of(&["num_layers", "num_hidden_layers"])?;
    let config = Config {
        heads: Heads::new(heads, heads, width / heads),
        mlp_width: fields.size("intermediate_size")?.unwrap_or(width.saturating_mul(4)),
        norm: Norm::layer(fields.epsilon("layer_norm_epsilon", 1e-5)?),
        activation: fields.activation("activation_function", Activation::GeluTanh)?,
        tied: fields.flag("tie_word_embeddings")?.unwrap_or(true),
        ..Config::gpt2(
            fields.needed_size("vocab_size")?,
            fields.needed_size("max_position_embeddings")?,
            width,
            layers,
            heads,
        )
    };
    // Before anything is listed for each layer.
    config.check().map_err(|error| fields.error(error))?;
    let window = fields.size("window_size")?.unwrap_or(256);
    Ok(neo(config, &kinds(fields, layers)?, window))
}

/// Which layers are local: `[[["global", "local"], 12]]` repeats the two kinds twelve times.
fn kinds(fields: &Fields<'_>, layers: usize) -> Result<Vec<bool>> {
    let usual = json!([[["global", "local"], 12]]);
    let types = fields.get("attention_types").unwrap_or(&usual);
    let wrong = || fields.wrong("attention_types", types, "lists of kinds and how often they repeat");
    let mut found = Vec::new();
    for part in types.as_array().ok_or_else(wrong)? {
        let (kinds, times) = part
            .get(0)
            .and_then(Value::as_array)
            .zip(part.get(1).and_then(Value::as_u64))
            .ok_or_else(wrong)?;
        for _ in 0..times {
            if found.len() > layers {
                break;
            }
            for kind in kinds {
                found.push(match kind.as_str() {
                    Some("global") => false,
                    Some("local") => true,
                    _ => return Err(fields.wrong("attention_types", kind, "\"global\" or \"local\"")),
                });
            }
        }
    }
    match found.len() == layers {
        true => Ok(found),
        false => Err(fields.error(format!("attention_types names {} layers of {layers}", found.len()))),
    }
}

fn write(config: &Config) -> Map<String, Value> {
    let windows = (0..config.layers).map(|layer| config.attention_of(layer).window);
    let kinds = windows.map(|window| json!([[if window.is_some() { "local" } else { "global" }], 1]));
    members(json!({
        "activation_function": name_of(config.activation),
        "attention_dropout": 0.0,
        "attention_types": kinds.collect::<Vec<_>>(),
        "embed_dropout": 0.0,
        "hidden_size": config.width,
        "intermediate_size": config.mlp_width,
        "layer_norm_epsilon": decimal(config.norm.epsilon),
        "max_position_embeddings": config.context,
        "num_heads": config.heads.query,
        "num_layers": config.layers,
        "resid_dropout": 0.0,
        "tie_word_embeddings": config.tied,
        "vocab_size": config.vocabulary,
        "window_size": super::layers::window(config).unwrap_or(256),
    }))
}
