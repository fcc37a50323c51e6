//! What the architectures' fields do not tell, or tell each in its own way.

use super::Sizes;
use crate::config::{
    Activation, Biases, Branches, Factors, Gain, LayerAttention, Norm, NormOver, Placement, PositionScale,
    Positions, QueryKeyNorm, Rotary, Scaling, ScoreFactor,
};
use crate::families::Family;
use crate::{Config, Error, Result};

pub(super) fn gpt2(sizes: &Sizes<'_>, config: Config) -> Result<Config> {
    let gpt2 =
        Config::gpt2(config.vocabulary, config.context, config.width, config.layers, config.heads.query);
    let _ = sizes;
    Ok(Config {
        mlp_width: config.mlp_width,
        norm: Norm::layer(config.norm.epsilon),
        tied: config.tied,
        ..gpt2
    })
}

pub(super) fn llama(sizes: &Sizes<'_>, config: Config) -> Result<Config> {
    let bias =
        Biases { query_key_value: sizes.shapes.has_bias, value_up: sizes.shapes.has_bias, ..Biases::NONE };
    sizes.rotated(Config { bias, ..config }, 10_000.0)
}

/// Ministral 3; without a factor of queries by position, Mistral Small 3, whose converter writes the same name.
pub(super) fn mistral3(sizes: &Sizes<'_>, config: Config) -> Result<Config> {
    let mut config = sizes.rotated(config, 10_000.0)?;
    match sizes.number("attention.temperature_scale")?.filter(|&beta| beta != 0.0) {
        Some(beta) => {
            let original = sizes.size_or("rope.scaling.original_context_length", config.context)?;
            config.scores.by_position = Some(PositionScale { beta, original });
        }
        None => config.family = Family::Mistral,
    }
    Ok(config)
}

pub(super) fn qwen2(sizes: &Sizes<'_>, config: Config) -> Result<Config> {
    let bias = Biases { query_key_value: true, ..Biases::NONE };
    sizes.rotated(Config { bias, ..config }, 10_000.0)
}

pub(super) fn qwen3(sizes: &Sizes<'_>, config: Config) -> Result<Config> {
    let query_key_norm = Some(QueryKeyNorm { over: NormOver::Head, after_rotation: false });
    sizes.rotated(Config { query_key_norm, ..config }, 10_000.0)
}

/// What all Gemmas share.
fn gemmas(config: Config) -> Config {
    Config {
        norm: Norm { gain: Gain::OnePlusWeight, ..config.norm },
        activation: Activation::GeluTanh,
        factors: Factors { embedding: (config.width as f64).sqrt() as f32, ..config.factors },
        ..config
    }
}

pub(super) fn gemma(sizes: &Sizes<'_>, config: Config) -> Result<Config> {
    sizes.rotated(gemmas(config), 10_000.0)
}

/// The largest models scale scores by the width per head, not by its size; nothing in the file says so.
fn usual_scale(mut config: Config, layers: usize) -> Config {
    if config.layers == layers {
        let per_head = config.width as f64 / config.heads.query as f64;
        config.scores.factor = ScoreFactor::Number(1.0 / per_head.sqrt());
    }
    config
}

pub(super) fn gemma2(sizes: &Sizes<'_>, config: Config) -> Result<Config> {
    let mut config = usual_scale(Config { placement: Placement::Both, ..gemmas(config) }, 46);
    let cap =
        |field: &str, default: f64| Ok::<_, Error>(Some(sizes.number(field)?.unwrap_or(default) as f32));
    config.scores.cap = cap("attn_logit_softcapping", 50.0)?;
    config.factors.logit_cap = cap("final_logit_softcapping", 30.0)?;
    let rotary = sizes.rotary(&config, 10_000.0)?;
    sizes.windowed(config, 2, rotary.clone(), rotary, 4096)
}

pub(super) fn gemma3(sizes: &Sizes<'_>, config: Config) -> Result<Config> {
    let query_key_norm = Some(QueryKeyNorm { over: NormOver::Head, after_rotation: false });
    let mut config = usual_scale(Config { placement: Placement::Both, query_key_norm, ..gemmas(config) }, 62);
    config.factors.logit_cap = sizes.number("final_logit_softcapping")?.map(|cap| cap as f32);
    let global = sizes.rotary(&config, 10_000.0)?;
    let base = sizes.number("rope.freq_base_swa")?.unwrap_or(10_000.0);
    let local = Rotary::new(base, config.heads.size);
    sizes.windowed(config, 6, local, global, 512)
}

pub(super) fn phi3(sizes: &Sizes<'_>, config: Config) -> Result<Config> {
    let mut config = sizes.rotated(config, 10_000.0)?;
    let window = sizes.number("attention.sliding_window")?.filter(|&window| window > 0.0);
    config.attention[0].window = window.map(|window| window as usize);
    Ok(config)
}

pub(super) fn granite(sizes: &Sizes<'_>, config: Config) -> Result<Config> {
    let mut config = llama(sizes, config)?;
    let number = |field: &str| Ok::<_, Error>(sizes.number(field)?.filter(|&x| x != 0.0));
    if let Some(factor) = number("attention.scale")? {
        config.scores.factor = ScoreFactor::Number(factor);
    }
    config.factors = Factors {
        embedding: number("embedding_scale")?.unwrap_or(1.0) as f32,
        branch: number("residual_scale")?.unwrap_or(1.0) as f32,
        logits: (1.0 / number("logit_scale")?.unwrap_or(1.0)) as f32,
        logit_cap: None,
    };
    Ok(config)
}

pub(super) fn olmo2(sizes: &Sizes<'_>, config: Config) -> Result<Config> {
    let query_key_norm = Some(QueryKeyNorm { over: NormOver::Width, after_rotation: false });
    let config = Config { placement: Placement::After, query_key_norm, ..config };
    let rotary = sizes.rotary(&config, 10_000.0)?;
    match sizes.number("attention.sliding_window")?.is_some_and(|window| window > 0.0) {
        // OLMo 3: what scales the angles is for layers that see everything.
        true => {
            let local = Rotary { scaling: Scaling::None, ..rotary.clone() };
            let config = Config { family: Family::Olmo3, ..config };
            sizes.windowed(config, 4, local, rotary, 4096)
        }
        false => sizes.rotated(config, 10_000.0),
    }
}

pub(super) fn smollm3(sizes: &Sizes<'_>, config: Config) -> Result<Config> {
    let mut config = llama(sizes, config)?;
    // Nothing in the file says so: every fourth layer is not rotated.
    let rotated = config.attention[0].clone();
    config.attention = vec![rotated.clone(), rotated.clone(), rotated, LayerAttention::default()];
    Ok(config)
}

pub(super) fn stablelm(sizes: &Sizes<'_>, config: Config) -> Result<Config> {
    if sizes.fields.flag("stablelm.use_parallel_residual")? == Some(true) {
        let why = "stablelm.use_parallel_residual is true; such a StableLM also normalises queries and keys by heads of their own, which is not supported";
        return Err(Error::invalid(sizes.fields.name, why));
    }
    let bias = Biases { query_key_value: sizes.shapes.has_bias, norm: true, ..Biases::NONE };
    let norm = Norm::layer(config.norm.epsilon);
    sizes.rotated(Config { bias, norm, ..config }, 10_000.0)
}

pub(super) fn gptneox(sizes: &Sizes<'_>, config: Config) -> Result<Config> {
    let together = sizes.fields.flag("gptneox.use_parallel_residual")?.unwrap_or(true);
    let config = Config {
        positions: Positions::Rotary,
        norm: Norm::layer(config.norm.epsilon),
        activation: Activation::Gelu,
        gated: false,
        bias: Biases::ALL,
        branches: if together { Branches::Together { one_norm: false } } else { Branches::InTurn },
        ..config
    };
    sizes.rotated(config, 10_000.0)
}
