//! Gemma 1 (`GemmaConfig`), Gemma 2 (`Gemma2Config`) and the part of Gemma 3 for texts (`Gemma3TextConfig`): gains are 1 + w, the
//! embedding is multiplied by √width; from the second on, four norms a block.

use serde_json::{Map, Value, json};

use super::layers::{pattern, rotations, types, window};
use super::llama::{self, rotate_all, rotation};
use super::names::{Named, named};
use super::read::{DEFAULTS, Defaults, Fields, name_of};
use super::rotary::{HABITS, Habits};
use super::write::{sizes, with};
use super::{Family, Form};
use crate::config::{
    Activation, Factors, Gain, LayerAttention, Norm, NormOver, Placement, QueryKeyNorm, Rotary, ScoreFactor,
    Scores,
};
use crate::{Config, Result};

pub(super) const GEMMA: Form = Form {
    family: Family::Gemma,
    name: "gemma",
    model_type: "gemma",
    architectures: &["GemmaForCausalLM", "GemmaModel", "AutoModelForCausalLM"],
    usual: |config| Config { activation: Activation::GeluTanh, tied: true, ..gemma(config) },
    read: |fields| {
        let mut config = gemma(fields.sizes(&Defaults { keys: 16, ..GEMMAS })?);
        // Its class takes both names of the GELU for the tanh form.
        let named = fields.text("hidden_activation")?.or(fields.text("hidden_act")?);
        if named.is_none_or(|name| name == "gelu") {
            config.activation = Activation::GeluTanh;
        } else if fields.get("hidden_activation").is_some() {
            config.activation = fields.activation("hidden_activation", Activation::GeluTanh)?;
        }
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
    names: &llama::NAMES,
    is_turned: false,
};

pub(super) const GEMMA2: Form = Form {
    family: Family::Gemma2,
    name: "gemma2",
    model_type: "gemma2",
    architectures: &["Gemma2ForCausalLM", "Gemma2Model", "AutoModelForCausalLM"],
    usual: |config| {
        let rotary = config.attention[0].rotary.clone();
        let attention = pattern(&[true, false], &windowed(4096, rotary.clone()), &everywhere(rotary));
        let scores = Scores { cap: Some(50.0), ..config.scores };
        let config = four_norms(gemma(Config { attention, scores, ..config }));
        let factors = Factors { logit_cap: Some(30.0), ..config.factors };
        Config { factors, activation: Activation::GeluTanh, tied: true, family: Family::Gemma2, ..config }
    },
    read: |fields| {
        let mut config = four_norms(gemma(fields.sizes(&GEMMAS)?));
        common(fields, &mut config)?;
        let rotary = Some(fields.rotary(&config, HABITS)?);
        fields.alternate(&mut config, 2, rotary.clone(), rotary)?;
        config.scores.cap = cap(fields, "attn_logit_softcapping", Some(50.0))?;
        config.factors.logit_cap = cap(fields, "final_logit_softcapping", Some(30.0))?;
        Ok(Config { family: Family::Gemma2, ..config })
    },
    write: |config| {
        let more = json!({
            "attn_logit_softcapping": config.scores.cap,
            "final_logit_softcapping": config.factors.logit_cap,
            "rope_parameters": rotation(config, HABITS),
        });
        with(write_common(config), more)
    },
    knows: &[
        "attention_bias",
        "attn_logit_softcapping",
        "final_logit_softcapping",
        "layer_types",
        "query_pre_attn_scalar",
        "rope_parameters",
        "rope_scaling",
        "sliding_window",
    ],
    names: &NAMES,
    is_turned: false,
};

pub(super) const GEMMA3: Form = Form {
    family: Family::Gemma3,
    name: "gemma3",
    model_type: "gemma3_text",
    architectures: &["Gemma3ForCausalLM", "Gemma3TextModel", "AutoModelForCausalLM"],
    usual: |config| {
        let size = config.heads.size;
        let [local, global] = [10_000.0, 1_000_000.0].map(|base| Some(Rotary::new(base, size)));
        let attention =
            pattern(&[true, true, true, true, true, false], &windowed(512, local), &everywhere(global));
        let config = normed(four_norms(gemma(Config { attention, ..config })));
        Config { activation: Activation::GeluTanh, tied: true, ..config }
    },
    read: gemma3,
    write: |config| {
        let more = json!({
            "final_logit_softcapping": config.factors.logit_cap,
            "rope_parameters": rotations(config),
        });
        with(write_common(config), more)
    },
    knows: &[
        "attention_bias",
        "final_logit_softcapping",
        "layer_types",
        "query_pre_attn_scalar",
        "rope_local_base_freq",
        "rope_parameters",
        "rope_scaling",
        "sliding_window",
        "sliding_window_pattern",
    ],
    names: &NAMES,
    is_turned: false,
};

const GEMMAS: Defaults =
    Defaults { keys: 4, size: 256, tied: true, activation: Activation::GeluTanh, ..DEFAULTS };

/// The part for texts of a model that reads pictures leaves out what its class takes anyway.
const GEMMA3S: Defaults = Defaults { vocabulary: 262_208, context: 131_072, heads: 8, ..GEMMAS };

const NAMES: [Named; 16] = [
    named("embedding.token", "model.embed_tokens"),
    named("block.N.attention.norm", "model.layers.N.input_layernorm"),
    named("block.N.attention.query", "model.layers.N.self_attn.q_proj"),
    named("block.N.attention.key", "model.layers.N.self_attn.k_proj"),
    named("block.N.attention.value_down", "model.layers.N.self_attn.v_proj"),
    named("block.N.attention.value_up", "model.layers.N.self_attn.o_proj"),
    named("block.N.attention.query_norm", "model.layers.N.self_attn.q_norm"),
    named("block.N.attention.key_norm", "model.layers.N.self_attn.k_norm"),
    named("block.N.attention.norm_after", "model.layers.N.post_attention_layernorm"),
    named("block.N.mlp.norm", "model.layers.N.pre_feedforward_layernorm"),
    named("block.N.mlp.gate", "model.layers.N.mlp.gate_proj"),
    named("block.N.mlp.up", "model.layers.N.mlp.up_proj"),
    named("block.N.mlp.down", "model.layers.N.mlp.down_proj"),
    named("block.N.mlp.norm_after", "model.layers.N.post_feedforward_layernorm"),
    named("norm", "model.norm"),
    named("unembedding", "lm_head"),
];

/// With gains of 1 + w and the factor of the embedding.
fn gemma(config: Config) -> Config {
    let norm = Norm { gain: Gain::OnePlusWeight, ..config.norm };
    let factors = Factors { embedding: (config.width as f64).sqrt() as f32, ..config.factors };
    Config { norm, factors, family: Family::Gemma, ..config }
}

fn four_norms(config: Config) -> Config {
    Config { placement: Placement::Both, ..config }
}

fn normed(config: Config) -> Config {
    let query_key_norm = Some(QueryKeyNorm { over: NormOver::Head, after_rotation: false });
    Config { query_key_norm, family: Family::Gemma3, ..config }
}

fn windowed(window: usize, rotary: Option<Rotary>) -> LayerAttention {
    LayerAttention::new(Some(window), rotary)
}

fn everywhere(rotary: Option<Rotary>) -> LayerAttention {
    LayerAttention::new(None, rotary)
}

/// What Gemma 2 and 3 share.
fn common(fields: &Fields<'_>, config: &mut Config) -> Result<()> {
    config.activation = fields.activation("hidden_activation", Activation::GeluTanh)?;
    config.bias = fields.biases(false)?;
    let scalar = fields.number("query_pre_attn_scalar")?.unwrap_or(256.0);
    config.scores.factor = match scalar == config.heads.size as f64 {
        true => ScoreFactor::RootOfSize,
        false => ScoreFactor::Number(1.0 / scalar.sqrt()),
    };
    Ok(())
}

fn write_common(config: &Config) -> Map<String, Value> {
    let mut all = sizes(config);
    all.remove("hidden_act");
    let scalar = match config.scores.factor {
        ScoreFactor::RootOfSize => config.heads.size as f64,
        // The square of a rounded root is a whole number but for rounding.
        ScoreFactor::Number(factor) => (factor.powi(-2) * 1e6).round() / 1e6,
    };
    let scalar = if scalar.fract() == 0.0 { json!(scalar as u64) } else { json!(scalar) };
    with(
        all,
        json!({
            "attention_bias": config.bias.query_key_value,
            "hidden_activation": name_of(config.activation),
            "layer_types": types(config),
            "query_pre_attn_scalar": scalar,
            "sliding_window": window(config),
        }),
    )
}

/// A cap, which null switches off.
fn cap(fields: &Fields<'_>, name: &str, default: Option<f32>) -> Result<Option<f32>> {
    Ok(match fields.number(name)? {
        None if fields.is_null(name) => None,
        None => default,
        Some(cap) => Some(cap as f32),
    })
}

fn gemma3(fields: &Fields<'_>) -> Result<Config> {
    let mut config = normed(four_norms(gemma(fields.sizes(&GEMMA3S)?)));
    common(fields, &mut config)?;
    let habits = |base| Habits { base, ..HABITS };
    let [local, global] = match fields.rotary_by_type(&config, habits(10_000.0), habits(1_000_000.0))? {
        Some(both) => both,
        None => {
            let base = fields.number("rope_local_base_freq")?.unwrap_or(10_000.0);
            let global = fields.rotary(&config, habits(1_000_000.0))?;
            [Rotary::new(base, config.heads.size), global]
        }
    };
    let every = fields.size("sliding_window_pattern")?.unwrap_or(6);
    fields.alternate(&mut config, every, Some(local), Some(global))?;
    config.factors.logit_cap = cap(fields, "final_logit_softcapping", None)?;
    Ok(config)
}
