//! A configuration as the fields of a file. Whether llama.cpp's architecture can express it is not said anywhere else: what is
//! written and read again must be the same.

use super::architectures::{self, Architecture, Shapes, of_family};
use super::container::{BOOL, Container};
use super::head::Head;
use super::{DIVISORS, Fields};
use crate::config::{NormKind, Positions, Rotary, Scaling, ScoreFactor};
use crate::families::rotary::growth;
use crate::families::{Family, differences};
use crate::{Config, Error, Result};

/// The fields of a file that give the configuration.
pub(super) fn fields(head: &mut Head, config: &Config, architecture: &Architecture) {
    let key = |name: &str| format!("{}.{name}", architecture.name);
    let Config { context, width, mlp_width, layers, heads, .. } = *config;
    head.text("general.architecture", architecture.name);
    for (name, size) in [
        ("context_length", context),
        ("embedding_length", width),
        ("feed_forward_length", mlp_width),
        ("block_count", layers),
        ("attention.head_count", heads.query),
    ] {
        head.u32(&key(name), size as u32);
    }
    match config.norm.kind {
        NormKind::Layer => head.f32(&key("attention.layer_norm_epsilon"), config.norm.epsilon),
        NormKind::Rms => head.f32(&key("attention.layer_norm_rms_epsilon"), config.norm.epsilon),
    }
    if config.positions == Positions::Rotary {
        for (name, size) in [
            ("attention.head_count_kv", heads.key),
            ("attention.key_length", heads.size),
            ("attention.value_length", heads.size),
        ] {
            head.u32(&key(name), size as u32);
        }
        rotation(head, config, &key);
    }
    choices(head, config, &key);
}

/// The rotation of the layers without a window, or of all.
fn global(config: &Config) -> Option<&Rotary> {
    let all = || config.attention.iter();
    let rotates = |layer: &&crate::config::LayerAttention| layer.window.is_none() && layer.rotary.is_some();
    let found = all().find(rotates).or_else(|| all().find(|layer| layer.rotary.is_some()));
    found.and_then(|layer| layer.rotary.as_ref())
}

fn rotation(head: &mut Head, config: &Config, key: &dyn Fn(&str) -> String) {
    let Some(rotary) = global(config) else { return };
    head.u32(&key("rope.dimension_count"), rotary.width as u32);
    head.f32(&key("rope.freq_base"), rotary.base as f32);
    let mut scaling = |kind: &str, factor: f64| {
        head.text(&key("rope.scaling.type"), kind);
        head.f32(&key("rope.scaling.factor"), factor as f32);
    };
    match &rotary.scaling {
        Scaling::Linear { factor } => scaling("linear", *factor),
        &Scaling::Yarn { factor, fast, slow, original, amplitude, .. } => {
            scaling("yarn", factor);
            head.u32(&key("rope.scaling.original_context_length"), original as u32);
            head.f32(&key("rope.scaling.yarn_beta_fast"), fast as f32);
            head.f32(&key("rope.scaling.yarn_beta_slow"), slow as f32);
            // llama.cpp's own factor is in its formula; one architecture can be told to take it back.
            let usual = if config.family == Family::Ministral3 {
                head.f32(&key("rope.scaling.yarn_log_multiplier"), 1.0);
                1.0
            } else {
                growth(factor, 1.0)
            };
            head.f32(&key("rope.scaling.attn_factor"), (amplitude / usual) as f32);
        }
        Scaling::LongRope { original, amplitude, .. } => {
            head.u32(&key("rope.scaling.original_context_length"), *original as u32);
            head.f32(&key("rope.scaling.attn_factor"), *amplitude as f32);
        }
        // Llama 3's divisors are a tensor; llama.cpp knows no other.
        Scaling::None | Scaling::Dynamic { .. } | Scaling::Llama3 { .. } => {}
    }
    if let Some(window) = config.attention.iter().find_map(|layer| layer.window) {
        head.u32(&key("attention.sliding_window"), window as u32);
    }
}

fn choices(head: &mut Head, config: &Config, key: &dyn Fn(&str) -> String) {
    let mut cap = |name: &str, cap: Option<f32>| cap.into_iter().for_each(|cap| head.f32(&key(name), cap));
    cap("attn_logit_softcapping", config.scores.cap);
    cap("final_logit_softcapping", config.factors.logit_cap);
    match config.family {
        Family::Granite => {
            let scale = match config.scores.factor {
                ScoreFactor::Number(factor) => factor,
                ScoreFactor::RootOfSize => 1.0 / (config.heads.size as f64).sqrt(),
            };
            head.f32(&key("attention.scale"), scale as f32);
            head.f32(&key("embedding_scale"), config.factors.embedding);
            head.f32(&key("residual_scale"), config.factors.branch);
            head.f32(&key("logit_scale"), 1.0 / config.factors.logits);
        }
        Family::Ministral3 => {
            let scale = config.scores.by_position;
            scale
                .into_iter()
                .for_each(|scale| head.f32(&key("attention.temperature_scale"), scale.beta as f32));
        }
        Family::GptNeoX => {
            let together = config.branches != crate::config::Branches::InTurn;
            head.field(&key("use_parallel_residual"), BOOL, &[u8::from(together)]);
        }
        _ => {}
    }
}

/// Divisors of the angles, which are tensors: their names and numbers.
pub(super) fn divisors(config: &Config) -> Vec<(&'static str, Vec<f32>)> {
    let Some(rotary) = global(config) else { return Vec::new() };
    let narrow = |list: &[f64]| list.iter().map(|&divisor| divisor as f32).collect::<Vec<f32>>();
    match &rotary.scaling {
        Scaling::Llama3 { .. } => {
            let (scaled, _) = rotary.frequencies(config.context);
            let (usual, _) = Rotary { scaling: Scaling::None, ..rotary.clone() }.frequencies(config.context);
            let all: Vec<f64> = usual.iter().zip(&scaled).map(|(usual, scaled)| usual / scaled).collect();
            vec![(DIVISORS[0], narrow(&all))]
        }
        Scaling::LongRope { short, long, .. } => {
            vec![(DIVISORS[1], narrow(short)), (DIVISORS[2], narrow(long))]
        }
        _ => Vec::new(),
    }
}

/// The architecture that a configuration is written in; what it cannot express is refused by name.
pub(super) fn architecture(config: &Config) -> Result<&'static Architecture> {
    let refuse =
        |why: String| Err(Error::invalid_argument("model", format!("{why}; it cannot be written as GGUF")));
    let Some(architecture) = of_family(config.family) else {
        let name = config.family.name();
        return refuse(match config.family {
            Family::GptJ => format!("llama.cpp has a name for the family {name}, but cannot load it"),
            _ => format!("llama.cpp has no architecture for the family {name}"),
        });
    };
    let mut head = Head::default();
    fields(&mut head, config, architecture);
    let bytes = head.done(0);
    let container = Container::read(&bytes).map_err(|why| Error::invalid("GGUF", why))?;
    let list = |name: &str| {
        let found = divisors(config).into_iter().find(|(found, _)| *found == name);
        found.map(|(_, list)| list.into_iter().map(f64::from).collect::<Vec<f64>>())
    };
    let same = list(DIVISORS[0]);
    let shapes = Shapes {
        vocabulary: config.vocabulary,
        tied: config.tied,
        has_bias: config.bias.query_key_value,
        divisors: [list(DIVISORS[1]).or(same.clone()), list(DIVISORS[2]).or(same)],
    };
    let fields = Fields { name: "GGUF", container: &container };
    let read = architectures::config(&fields, architecture, config.layers, &shapes)?;
    // Without biases, zeros are written.
    let mut expected = config.clone();
    if config.family == Family::Gpt2 && !config.bias.any() {
        expected.bias = read.bias;
    }
    settle(&mut expected, &read);
    match differences(&expected, &read)[..] {
        [] => Ok(architecture),
        ref all => {
            refuse(format!("{}, which llama.cpp's {} cannot express", all.join(", and "), architecture.name))
        }
    }
}

/// The fields are 32-bit floats, and some scalings are written in other words: what is the same but for rounding is made the
/// same.
fn settle(config: &mut Config, read: &Config) {
    let scale = |config: &Config| f64::from(config.heads_of(0).scale);
    if is_near(scale(config), scale(read)) {
        config.scores.factor = read.scores.factor;
    }
    if is_near(config.factors.logits.into(), read.factors.logits.into()) {
        config.factors.logits = read.factors.logits;
    }
    if let (Some(ours), Some(theirs)) = (&mut config.scores.by_position, read.scores.by_position)
        && is_near(ours.beta, theirs.beta)
    {
        ours.beta = theirs.beta;
    }
    let context = config.context;
    let layers: Vec<_> = (0..config.layers).map(|layer| config.attention_of(layer).clone()).collect();
    let settled = layers.into_iter().enumerate().map(|(layer, mut ours)| {
        let theirs = read.attention_of(layer);
        let turns = ours.rotary.as_ref().zip(theirs.rotary.as_ref());
        if turns.is_some_and(|(ours, theirs)| are_near(ours, theirs, context)) {
            ours.rotary.clone_from(&theirs.rotary);
        }
        ours
    });
    config.attention = settled.collect();
    if read.attention.len() < config.layers {
        let same = (0..config.layers).all(|layer| config.attention[layer] == *read.attention_of(layer));
        if same {
            config.attention.clone_from(&read.attention);
        }
    }
}

fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b.abs()
}

/// Whether two rotations are the same but for rounding, for any context.
fn are_near(a: &Rotary, b: &Rotary, context: usize) -> bool {
    let same = |context: usize| {
        let ((one, by_one), (other, by_other)) = (a.frequencies(context), b.frequencies(context));
        let mut pairs = one.iter().zip(&other);
        is_near(by_one, by_other) && pairs.all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs())
    };
    (a.width, a.pairs, a.reversed) == (b.width, b.pairs, b.reversed)
        && [1, context, 2 * context + 1].into_iter().all(same)
}
