//! Glass's own form, for what no family has: every choice under `"glass"`, and tensors under the parameters' own names.

use glass_kernels::attend::Heads;
use serde_json::{Map, Value, json};

use super::names::{Named, named};
use super::read::{Fields, name_of};
use super::rotary::{self, HABITS, Habits};
use super::write::{decimal, members};
use super::{Family, Form};
use crate::config::object::Object;
use crate::config::{
    Activation, Biases, Branches, Factors, Gain, LayerAttention, Norm, NormKind, NormOver, Pairs, Placement,
    PositionScale, Positions, QueryKeyNorm, ScoreFactor, Scores,
};
use crate::{Config, Result};

pub(super) const GLASS: Form = Form {
    family: Family::Glass,
    name: "glass",
    model_type: "glass",
    architectures: &["GlassLMHeadModel"],
    usual: |config| Config { family: Family::Glass, ..config },
    read,
    write,
    knows: &[],
    names: &NAMES,
    is_turned: false,
};

const NAMES: [Named; 19] = [
    named("embedding.token", "embedding.token"),
    named("embedding.position", "embedding.position"),
    named("block.N.attention.norm", "block.N.attention.norm"),
    named("block.N.attention.query", "block.N.attention.query"),
    named("block.N.attention.key", "block.N.attention.key"),
    named("block.N.attention.value_down", "block.N.attention.value_down"),
    named("block.N.attention.value_up", "block.N.attention.value_up"),
    named("block.N.attention.query_norm", "block.N.attention.query_norm"),
    named("block.N.attention.key_norm", "block.N.attention.key_norm"),
    named("block.N.attention.sinks", "block.N.attention.sinks"),
    named("block.N.attention.norm_after", "block.N.attention.norm_after"),
    named("block.N.mlp.norm", "block.N.mlp.norm"),
    named("block.N.mlp.gate", "block.N.mlp.gate"),
    named("block.N.mlp.up", "block.N.mlp.up"),
    named("block.N.mlp.down", "block.N.mlp.down"),
    named("block.N.mlp.norm_after", "block.N.mlp.norm_after"),
    named("norm", "norm"),
    named("unembedding", "unembedding"),
    named("rotary", "rotary"),
];

/// The original context is always written beside the factors.
const OWN: Habits = Habits { share: Some(1.0), ..HABITS };

/// Choices and their names.
type Table<T, const N: usize> = [(T, &'static str); N];

const POSITIONS: Table<Positions, 2> = [(Positions::Learned, "learned"), (Positions::Rotary, "rotary")];
const KINDS: Table<NormKind, 2> = [(NormKind::Layer, "layer"), (NormKind::Rms, "rms")];
const GAINS: Table<Gain, 3> =
    [(Gain::Weight, "weight"), (Gain::OnePlusWeight, "one_plus_weight"), (Gain::None, "none")];
const PLACEMENTS: Table<Placement, 3> =
    [(Placement::Before, "before"), (Placement::After, "after"), (Placement::Both, "both")];
const BRANCHES: Table<Branches, 3> = [
    (Branches::InTurn, "in_turn"),
    (Branches::Together { one_norm: false }, "together"),
    (Branches::Together { one_norm: true }, "together_one_norm"),
];
const OVERS: Table<NormOver, 2> = [(NormOver::Head, "head"), (NormOver::Width, "width")];
const PAIRS: Table<Pairs, 2> = [(Pairs::Halves, "halves"), (Pairs::Neighbours, "neighbours")];

fn text<T: PartialEq, const N: usize>(table: &Table<T, N>, choice: T) -> &'static str {
    table.iter().find(|(one, _)| *one == choice).expect("every choice has a name").1
}

fn choice<T: Copy, const N: usize>(
    object: &Object,
    name: &str,
    table: &Table<T, N>,
    default: T,
) -> Result<T> {
    let Some(found) = object.text(name)? else { return Ok(default) };
    let known = || table.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
    let one = table.iter().find(|(_, name)| *name == found).map(|(one, _)| *one);
    one.ok_or_else(|| object.wrong(name, &json!(found), &format!("one of {}", known())))
}

fn write(config: &Config) -> Map<String, Value> {
    let Factors { embedding, branch, logits, logit_cap } = config.factors;
    let Biases { query_key_value, value_up, mlp, norm, unembedding } = config.bias;
    let layer = |layer: &LayerAttention| {
        let rotary = layer.rotary.as_ref().map(|rotary| {
            let mut all = rotary::write(rotary, config, OWN);
            all.insert("pairs".into(), json!(text(&PAIRS, rotary.pairs)));
            all.insert("reversed".into(), json!(rotary.reversed));
            all
        });
        let mut layer_fields = members(json!({ "window": layer.window, "rotary": rotary }));
        if let Some(from) = layer.keys_from {
            layer_fields.insert("keys_from".into(), json!(from));
        }
        layer_fields
    };
    let by_position = config.scores.by_position.map(|s| json!({ "beta": s.beta, "original": s.original }));
    let norms = config
        .query_key_norm
        .map(|norm| json!({ "over": text(&OVERS, norm.over), "after_rotation": norm.after_rotation }));
    let own = json!({
        "activation": name_of(config.activation),
        "attention": config.attention.iter().map(layer).collect::<Vec<_>>(),
        "bias": {
            "query_key_value": query_key_value,
            "value_up": value_up,
            "mlp": mlp,
            "norm": norm,
            "unembedding": unembedding,
        },
        "branches": text(&BRANCHES, config.branches),
        "context": config.context,
        "embedding_norm": config.embedding_norm,
        "factors": {
            "embedding": decimal(embedding),
            "branch": decimal(branch),
            "logits": decimal(logits),
            "logit_cap": logit_cap.map(decimal),
        },
        "gated": config.gated,
        "head_size": config.heads.size,
        "heads": config.heads.query,
        "key_heads": config.heads.key,
        "layers": config.layers,
        "mlp_width": config.mlp_width,
        "norm": {
            "kind": text(&KINDS, config.norm.kind),
            "epsilon": decimal(config.norm.epsilon),
            "gain": text(&GAINS, config.norm.gain),
        },
        "placement": text(&PLACEMENTS, config.placement),
        "positions": text(&POSITIONS, config.positions),
        "query_key_norm": norms,
        "scores": {
            "factor": match config.scores.factor {
                ScoreFactor::RootOfSize => Value::Null,
                ScoreFactor::Number(factor) => json!(factor),
            },
            "by_layer": config.scores.by_layer,
            "by_position": by_position,
            "cap": config.scores.cap.map(decimal),
        },
        "sinks": config.sinks,
        "tied": config.tied,
        "vocabulary": config.vocabulary,
        "width": config.width,
    });
    members(json!({ "glass": own, "tie_word_embeddings": config.tied, "vocab_size": config.vocabulary }))
}

/// The choices that a model of this form may name; others come from a newer version.
const KNOWN: [&str; 23] = [
    "activation",
    "attention",
    "bias",
    "branches",
    "context",
    "embedding_norm",
    "factors",
    "gated",
    "head_size",
    "heads",
    "key_heads",
    "layers",
    "mlp_width",
    "norm",
    "placement",
    "positions",
    "query_key_norm",
    "scores",
    "sinks",
    "tied",
    "vocabulary",
    "width",
    "family",
];

fn read(fields: &Fields<'_>) -> Result<Config> {
    let object = fields.object("glass")?.ok_or_else(|| fields.error("glass is missing"))?;
    if let Some(name) = object.names().find(|name| !KNOWN.contains(name)) {
        return Err(
            object.error(format!("{name:?} is unknown; a newer version of Glass may have written it"))
        );
    }
    let own = Fields::new(&object);
    let empty = |name: &str| Object::of(name, Map::new());
    let part = |name: &str| Ok::<_, crate::Error>(object.object(name)?.unwrap_or_else(|| empty(name)));
    let heads =
        Heads::new(own.needed_size("heads")?, own.needed_size("key_heads")?, own.needed_size("head_size")?);
    let sizes = Config::llama(
        own.needed_size("vocabulary")?,
        own.needed_size("context")?,
        own.needed_size("width")?,
        own.needed_size("layers")?,
        heads,
        own.needed_size("mlp_width")?,
    );
    let (norm, bias, factors, scores) = (part("norm")?, part("bias")?, part("factors")?, part("scores")?);
    let flag = |object: &Object, name: &str| Ok::<_, crate::Error>(object.flag(name)?.unwrap_or(false));
    let one = |name: &str| Ok::<_, crate::Error>(factors.number(name)?.unwrap_or(1.0) as f32);
    let query_key_norm = match object.object("query_key_norm")? {
        None => None,
        Some(norm) => Some(QueryKeyNorm {
            over: choice(&norm, "over", &OVERS, NormOver::Head)?,
            after_rotation: flag(&norm, "after_rotation")?,
        }),
    };
    let by_position = match scores.object("by_position")? {
        None => None,
        Some(scale) => Some(PositionScale {
            beta: scale.number("beta")?.unwrap_or(0.0),
            original: scale.needed_size("original")?,
        }),
    };
    Ok(Config {
        positions: choice(&object, "positions", &POSITIONS, Positions::Rotary)?,
        attention: layers(&own, &sizes)?,
        scores: Scores {
            factor: scores.number("factor")?.map_or(ScoreFactor::RootOfSize, ScoreFactor::Number),
            by_layer: flag(&scores, "by_layer")?,
            by_position,
            cap: scores.number("cap")?.map(|cap| cap as f32),
        },
        query_key_norm,
        sinks: flag(&object, "sinks")?,
        norm: Norm {
            kind: choice(&norm, "kind", &KINDS, NormKind::Rms)?,
            epsilon: norm.number("epsilon")?.unwrap_or(1e-5) as f32,
            gain: choice(&norm, "gain", &GAINS, Gain::Weight)?,
        },
        placement: choice(&object, "placement", &PLACEMENTS, Placement::Before)?,
        branches: choice(&object, "branches", &BRANCHES, Branches::InTurn)?,
        activation: own.activation("activation", Activation::Silu)?,
        gated: flag(&object, "gated")?,
        bias: Biases {
            query_key_value: flag(&bias, "query_key_value")?,
            value_up: flag(&bias, "value_up")?,
            mlp: flag(&bias, "mlp")?,
            norm: flag(&bias, "norm")?,
            unembedding: flag(&bias, "unembedding")?,
        },
        factors: Factors {
            embedding: one("embedding")?,
            branch: one("branch")?,
            logits: one("logits")?,
            logit_cap: factors.number("logit_cap")?.map(|cap| cap as f32),
        },
        embedding_norm: flag(&object, "embedding_norm")?,
        tied: flag(&object, "tied")?,
        family: Family::Glass,
        ..sizes
    })
}

fn layers(own: &Fields<'_>, sizes: &Config) -> Result<Vec<LayerAttention>> {
    let Some(list) = own.get("attention").and_then(Value::as_array).filter(|list| !list.is_empty()) else {
        return Err(
            own.error("attention is missing; a list with an object for each kind of layer was expected")
        );
    };
    let layer = |value: &Value| {
        let object = Object::of("attention", members(value.clone()));
        let rotary = match object.object("rotary")? {
            None => None,
            Some(inner) => {
                let (pairs, reversed) =
                    (choice(&inner, "pairs", &PAIRS, Pairs::Halves)?, inner.flag("reversed")? == Some(true));
                let plain = inner.names().filter(|name| !["pairs", "reversed"].contains(name));
                let plain =
                    plain.map(|name| (name.to_string(), inner.get(name).cloned().unwrap_or_default()));
                let plain = Object::of("rotary", plain.collect());
                let mut rotary = own.rotary_of(sizes, OWN, &plain)?;
                (rotary.pairs, rotary.reversed) = (pairs, reversed);
                Some(rotary)
            }
        };
        Ok(LayerAttention { window: object.size("window")?, rotary, keys_from: object.size("keys_from")? })
    };
    list.iter().map(layer).collect()
}
