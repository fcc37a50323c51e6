//! The model in a few numbers, and its tokens.

use glass::backend::Packing;
use glass::config::preset::Preset;
use glass::config::{Activation, Branches, NormKind, Packings, Positions, ScoreFactor};
use glass::model::parameter_count::ParameterCount;
use glass::tokens::chat::Message;
use glass::tokens::{Special, Tokenizer};
use glass::{Config, Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Page;
use crate::json::token;

/// What the model is, and GPT-3 beside it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {}

/// The tokens of a text, or of a conversation up to where an answer begins.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    text: Option<String>,
    messages: Option<Vec<Value>>,
    #[serde(default = "yes")]
    start: bool,
}

/// The tokens of ids.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pieces {
    ids: Vec<u32>,
}

/// How the words of a text are put together from bytes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merges {
    text: String,
}

fn yes() -> bool {
    true
}

fn sizes(name: &str, config: &Config) -> Value {
    let count = ParameterCount::of(config);
    let groups = count.groups.iter().map(|group| {
        json!({"name": group.name, "rows": group.rows, "cols": group.cols, "matrices": group.matrices, "weights": group.weights})
    });
    let epsilon = config.norm.epsilon;
    let other = count.reconciliation.iter().map(|line| json!({"what": line.what, "weights": line.weights}));
    json!({
        "name": name, "layers": config.layers, "heads": config.heads.query, "head_size": config.heads.size,
        "width": config.width, "mlp_width": config.mlp_width, "context": config.context, "vocabulary": config.vocabulary,
        "tied": config.tied, "bias": config.bias.any(), "epsilon": epsilon, "choices": choices(config), "weights": count.weights, "matrices": count.matrices,
        "stored": count.stored, "groups": groups.collect::<Vec<_>>(), "reconciliation": other.collect::<Vec<_>>(),
        "value": {"whole": count.value.whole(), "half": count.value.half()},
    })
}

/// What a text about the model has to know of its choices.
fn choices(config: &Config) -> Value {
    let norm = match config.norm.kind {
        NormKind::Layer => "LayerNorm",
        NormKind::Rms => "RMSNorm",
    };
    let activation = match config.activation {
        Activation::Gelu | Activation::GeluTanh | Activation::GeluSigmoid => "GELU",
        Activation::Silu => "SiLU",
        Activation::Relu => "ReLU",
        Activation::SquaredRelu => "squared ReLU",
    };
    let layers = || (0..config.layers).map(|layer| config.attention_of(layer));
    json!({
        "positions": if config.positions == Positions::Learned { "learned" } else { "rotary" },
        "rotated": layers().map(|layer| layer.rotary.is_some()).collect::<Vec<_>>(),
        "windows": layers().map(|layer| layer.window).collect::<Vec<_>>(),
        "key_heads": config.heads.key, "query_key_norm": config.query_key_norm.is_some(), "sinks": config.sinks,
        "norm": norm, "norm_before": config.placement.is_before(), "norm_after": config.placement.is_after(),
        "together": config.branches != Branches::InTurn, "activation": activation, "gated": config.gated,
        "embedding_factor": config.factors.embedding, "embedding_norm": config.embedding_norm,
        "score_by_size": config.scores.factor == ScoreFactor::RootOfSize && !config.scores.by_layer,
        "score_cap": config.scores.cap, "logit_factor": config.factors.logits, "logit_cap": config.factors.logit_cap,
    })
}

impl Model {
    pub(crate) fn answer(&self, page: &mut Page<'_>) -> Result<Value> {
        let model = page.model;
        let jacobian = super::stream::fitted(page).is_ok();
        let mut told = sizes(&page.name, model.config());
        let advice = model.folder.generation();
        let greedy = (advice.do_sample == Some(false)).then_some(0.0);
        told["packing"] = json!(model.folder.packings().and_then(Packings::one).map(Packing::name));
        told["start"] = json!(model.start());
        told["ends"] = json!(model.end_tokens());
        told["chat"] = json!(model.folder.template()?.is_some());
        told["jacobian"] = json!(jacobian);
        told["run"] = json!(page.run.is_some());
        told["temperature"] = json!(greedy.or(advice.temperature));
        told["top_k"] = json!(advice.top_k);
        told["top_p"] = json!(advice.top_p);
        told["min_p"] = json!(advice.min_p);
        if let Some(preset) = Preset::named("gpt3-175b") {
            told["gpt3"] = sizes(preset.name, &preset.config());
        }
        Ok(told)
    }
}

/// The model's tokenizer.
pub(crate) fn tokenizer<'p>(page: &'p Page<'_>) -> Result<&'p Tokenizer> {
    page.model.tokenizer.as_ref().ok_or_else(|| {
        Error::invalid_argument("text", "this model has no vocabulary, so it works on ids only")
    })
}

impl Tokens {
    pub(crate) fn answer(&self, page: &Page<'_>) -> Result<Value> {
        let tokenizer = tokenizer(page)?;
        let mut ids = match (&self.text, &self.messages) {
            (Some(text), None) if self.start => tokenizer.encode_prompt(text.as_bytes(), Special::Plain),
            (Some(text), None) => tokenizer.encode(text, Special::Plain),
            (None, Some(messages)) => conversation(page, tokenizer, messages)?,
            _ => return Err(Error::invalid_argument("tokens", "give a text or messages")),
        };
        if ids.is_empty() && self.start {
            ids.extend(page.model.start());
        }
        Ok(json!({"ids": ids, "tokens": ids.iter().map(|&id| token(page.model, id)).collect::<Vec<_>>()}))
    }
}

fn conversation(page: &Page<'_>, tokenizer: &Tokenizer, messages: &[Value]) -> Result<Vec<u32>> {
    let template = page.model.folder.template()?;
    let template = template.ok_or_else(|| {
        Error::invalid_argument("messages", "this model has no chat template; give a text instead")
    })?;
    let messages: Vec<Message> =
        messages.iter().map(|message| Message::from_json(message.clone())).collect::<Result<_>>()?;
    template.prompt(&messages, tokenizer)
}

impl Pieces {
    pub(crate) fn answer(&self, page: &Page<'_>) -> Result<Value> {
        Ok(json!({"tokens": self.ids.iter().map(|&id| token(page.model, id)).collect::<Vec<_>>()}))
    }
}

/// The longest text whose merges are told.
const LONGEST: usize = 256;

impl Merges {
    pub(crate) fn answer(&self, page: &Page<'_>) -> Result<Value> {
        if self.text.len() > LONGEST {
            let why = format!("{} bytes; merges of at most {LONGEST} are told", self.text.len());
            return Err(Error::invalid_argument("text", why));
        }
        let tokenizer = tokenizer(page)?;
        let words = tokenizer.words(self.text.as_bytes(), Special::Plain).into_iter().map(|word| {
            let steps = tokenizer.merges(&word).into_iter().map(|step| {
                let tokens: Vec<Value> = step.tokens.iter().map(|&id| token(page.model, id)).collect();
                json!({"tokens": tokens, "joined": step.joined.map(|(at, _)| at), "rank": step.joined.map(|(_, rank)| rank)})
            });
            json!({"word": String::from_utf8_lossy(&word), "steps": steps.collect::<Vec<_>>()})
        });
        Ok(json!({"words": words.collect::<Vec<_>>()}))
    }
}
