//! The configuration of a new model: a family's choices, and those that were asked for instead.

use glass::Config;
use glass::backend::Heads;
use glass::config::{Activation, LayerAttention, Norm, NormOver, Placement, QueryKeyNorm};
use glass::families::{self, Family};

use crate::args::ShapeArgs;
use crate::args::switches::{ActivationChoice, NormChoice, OverChoice, PlacementChoice};
use crate::fail::Fail;

/// Positions in the context if nothing else is asked for.
const CONTEXT: usize = 256;

/// The configuration that the options ask for.
pub fn config(shape: &ShapeArgs, vocabulary: usize) -> Result<Config, Fail> {
    let family = Family::named(&shape.switches.family).ok_or_else(|| {
        let known: Vec<&str> = Family::all().map(Family::name).collect();
        Fail::asked(format!("--family: {:?} is not one of {}", shape.switches.family, known.join(", ")))
    })?;
    let context = shape.context.unwrap_or(CONTEXT);
    let mut config = families::config(family, vocabulary, context, shape.width, shape.layers, shape.heads);
    let asked = &shape.switches;
    if asked.key_heads.is_some() || asked.head_size.is_some() {
        let size = asked.head_size.unwrap_or(config.heads.size);
        resize(&mut config, size);
        config.heads = Heads::new(shape.heads, asked.key_heads.unwrap_or(config.heads.key), size);
    }
    if let Some(gated) = asked.gated {
        config.gated = gated;
    }
    config.mlp_width = asked.mlp_width.unwrap_or(config.mlp_width);
    if let Some(base) = asked.rotary_base {
        config
            .attention
            .iter_mut()
            .filter_map(|layer| layer.rotary.as_mut())
            .for_each(|rotary| rotary.base = base);
    }
    if let Some(window) = &asked.window {
        windows(&mut config, window)?;
    }
    if let Some(together) = asked.shared_keys {
        share_keys(&mut config, together)?;
    }
    config.norm = match asked.norm {
        None => config.norm,
        Some(NormChoice::Layer) => Norm { kind: Norm::layer(0.0).kind, ..config.norm },
        Some(NormChoice::Rms) => Norm { kind: Norm::rms(0.0).kind, ..config.norm },
    };
    config.placement = match asked.norms {
        None => config.placement,
        Some(PlacementChoice::Before) => Placement::Before,
        Some(PlacementChoice::After) => Placement::After,
        Some(PlacementChoice::Both) => Placement::Both,
    };
    if let Some(over) = asked.query_key_norm {
        let over = if over == OverChoice::Head { NormOver::Head } else { NormOver::Width };
        config.query_key_norm = Some(QueryKeyNorm { over, after_rotation: false });
    }
    config.activation = match asked.activation {
        None => config.activation,
        Some(ActivationChoice::Gelu) => Activation::Gelu,
        Some(ActivationChoice::GeluTanh) => Activation::GeluTanh,
        Some(ActivationChoice::Silu) => Activation::Silu,
        Some(ActivationChoice::Relu) => Activation::Relu,
        Some(ActivationChoice::SquaredRelu) => Activation::SquaredRelu,
    };
    config.tied = asked.tied.unwrap_or(config.tied);
    config.sinks |= asked.sinks;
    config.scores.cap = asked.score_cap.or(config.scores.cap);
    config.factors.logit_cap = asked.logit_cap.or(config.factors.logit_cap);
    Ok(config)
}

/// Rotates the same share of heads of this size.
fn resize(config: &mut Config, size: usize) {
    let before = config.heads.size.max(1);
    for rotary in config.attention.iter_mut().filter_map(|layer| layer.rotary.as_mut()) {
        rotary.width = (rotary.width * size / before).next_multiple_of(2).min(size);
    }
}

/// Of every `together` layers, all but the first read the keys and values of the first. Windows repeat as before.
fn share_keys(config: &mut Config, together: usize) -> Result<(), Fail> {
    if together == 0 || together > config.layers.max(1) {
        let why = format!("--shared-keys: {together} is not a number from 1 to the {} layers", config.layers);
        return Err(Fail::asked(why));
    }
    let reads = |layer: usize| {
        let keys_from = Some(layer % together).filter(|&from| from > 0);
        LayerAttention { keys_from, ..config.attention_of(layer).clone() }
    };
    // More layers are refused.
    config.attention = (0..config.layers.min(1 << 16)).map(reads).collect();
    Ok(())
}

/// All layers but each EVERYth see this many positions.
fn windows(config: &mut Config, text: &str) -> Result<(), Fail> {
    let (window, every) = text.split_once(':').unwrap_or((text, "2"));
    let number = |text: &str| text.parse::<usize>().ok().filter(|&n| n > 0);
    let (Some(window), Some(every)) = (number(window), number(every)) else {
        return Err(Fail::asked(format!("--window: {text:?} is not N or N:EVERY, as in 512:6")));
    };
    let local = LayerAttention { window: Some(window), ..config.attention[0].clone() };
    let mut layers = vec![local; every];
    let global = config.attention.last().and_then(|layer| layer.rotary.clone());
    layers[every - 1] = LayerAttention::new(None, global);
    config.attention = layers;
    Ok(())
}
