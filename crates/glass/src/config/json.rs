//! `config.json`, as `transformers`' `GPT2Config` writes it.
//!
//! Settings for which that class has no field are stored under `"glass"`: `{"bias": false}` for a model without
//! biases (its file then holds zeros), and, for plans that the class cannot express, `key_heads`, `head_size` and
//! `band`. Those models have another `model_type`, so that no program takes them for a GPT-2.

use std::path::Path;

use glass_kernels::attend::Heads;
use glass_kernels::packing::Packing;
use serde_json::{Map, Value, json};

use super::object::{Object, read};
use super::{Activation, Biases, Config, LayerAttention, Norm, ScoreFactor, Scores};
use crate::{Error, Result};

/// The largest `config.json`, in bytes.
pub(crate) const LONGEST: u64 = 1 << 20;

/// The names of the non-linearities in `transformers` (`ACT2FN`); the first one is written.
const ACTIVATIONS: [(Activation, &[&str]); 6] = [
    (
        Activation::GeluTanh,
        &["gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_accurate", "gelu_python_tanh"],
    ),
    (Activation::Gelu, &["gelu", "gelu_python"]),
    (Activation::GeluSigmoid, &["quick_gelu"]),
    (Activation::Silu, &["silu", "swish"]),
    (Activation::Relu, &["relu"]),
    (Activation::SquaredRelu, &["relu2"]),
];

impl Config {
    /// Reads the `config.json` at `path`.
    pub fn open(path: &Path) -> Result<Config> {
        let bytes = read(path, LONGEST)?;
        Config::from_json(&path.display().to_string(), &bytes)
    }

    /// Reads the configuration from a `config.json`; `what` names it in error messages.
    pub fn from_json(what: &str, bytes: &[u8]) -> Result<Config> {
        let object = Object::parse(what, bytes)?;
        family(&object)?;
        unchanged(&object)?;
        let glass = object.object("glass")?;
        let mut config = Config {
            vocabulary: object.needed_size("vocab_size")?,
            context: size(&object, &["n_positions", "max_position_embeddings", "n_ctx"])?,
            width: size(&object, &["n_embd", "hidden_size"])?,
            layers: size(&object, &["n_layer", "num_hidden_layers"])?,
            heads: Heads::new(size(&object, &["n_head", "num_attention_heads"])?, 0, 0),
            mlp_width: 0,
            norm: Norm::layer(object.number("layer_norm_epsilon")?.unwrap_or(1e-5) as f32),
            activation: activation(&object)?,
            scores: Scores {
                factor: match object.flag("scale_attn_weights")?.unwrap_or(true) {
                    true => ScoreFactor::RootOfSize,
                    false => ScoreFactor::Number(1.0),
                },
                by_layer: object.flag("scale_attn_by_inverse_layer_idx")?.unwrap_or(false),
                ..Scores::default()
            },
            tied: object.flag("tie_word_embeddings")?.unwrap_or(true),
            ..Config::gpt2(1, 1, 1, 1, 1)
        };
        config.mlp_width = object.size("n_inner")?.unwrap_or(config.width.saturating_mul(4));
        config.heads.key = config.heads.query;
        config.heads.size = config.width / config.heads.query;
        match glass {
            Some(glass) => config.own_fields(&glass)?,
            None if !config.width.is_multiple_of(config.heads.query) => {
                let why = format!("n_embd {} cannot be cut into n_head {}", config.width, config.heads.query);
                return Err(object.error(why + " heads of equal size"));
            }
            None => {}
        }
        config.heads = Heads::new(config.heads.query, config.heads.key, config.heads.size);
        // Wrong sizes are an error in the file here, not in the caller's argument.
        config.check().map_err(|e| object.error(e))?;
        Ok(config)
    }

    fn own_fields(&mut self, glass: &Object) -> Result<()> {
        let known = ["bias", "key_heads", "head_size", "band"];
        if let Some(name) = glass.names().find(|name| !known.contains(name)) {
            return Err(
                glass.error(format!("{name:?} is unknown; a newer version of Glass may have written it"))
            );
        }
        if glass.flag("bias")? == Some(false) {
            self.bias = Biases::NONE;
        }
        self.heads.key = glass.size("key_heads")?.unwrap_or(self.heads.key);
        self.heads.size = glass.size("head_size")?.unwrap_or(self.heads.size);
        if let Some(band) = glass.size("band")? {
            self.attention.push(LayerAttention { window: Some(band), rotary: None });
        }
        if glass.get("head_size").is_none() && !self.width.is_multiple_of(self.heads.query) {
            return Err(glass.error("head_size is missing, and n_embd is not a multiple of n_head"));
        }
        Ok(())
    }

    /// Refuses, by name, settings that `transformers`' `GPT2LMHeadModel` cannot express.
    pub fn can_export(&self) -> Result<()> {
        let why = if self.attention.len() > 1 {
            "layers alternate dense and locally banded attention"
        } else if self.heads.key != self.heads.query {
            "groups of query heads share keys and values"
        } else if self.heads.query.checked_mul(self.heads.size) != Some(self.width) {
            "the heads together are not as wide as the residual stream"
        } else {
            return Ok(());
        };
        Err(Error::invalid_argument(
            "plan",
            format!("{why}, which GPT2LMHeadModel cannot express; it cannot be exported"),
        ))
    }

    /// The `config.json` of this configuration. `dtype` is `transformers`' name of the weights' dtype,
    /// `end_of_text` the token that begins and ends a text.
    pub fn to_json(&self, dtype: &str, end_of_text: Option<u32>) -> String {
        format!("{:#}\n", Value::Object(self.to_object(dtype, [end_of_text; 2])))
    }

    /// The same, to be added to; a text begins with the first token and ends with the second.
    pub(crate) fn to_object(&self, dtype: &str, [start, end]: [Option<u32>; 2]) -> Map<String, Value> {
        let Norm { epsilon, .. } = self.norm;
        let gpt2 = self.can_export().is_ok();
        let mut all = json!({
            "activation_function": name(self.activation),
            "architectures": [if gpt2 { "GPT2LMHeadModel" } else { "GlassLMHeadModel" }],
            "attn_pdrop": 0.0,
            "bos_token_id": start,
            "dtype": dtype,
            "embd_pdrop": 0.0,
            "eos_token_id": end,
        });
        if self.scores.factor != ScoreFactor::RootOfSize {
            all["scale_attn_weights"] = json!(false);
        }
        if self.scores.by_layer {
            all["scale_attn_by_inverse_layer_idx"] = json!(true);
        }
        let own = self.own_json();
        if !own.is_empty() {
            all["glass"] = Value::Object(own);
        }
        // The shortest decimal of the f32, so that it is written as 1e-5 and not with the digits of the f64.
        let epsilon: f64 = epsilon.to_string().parse().unwrap_or(f64::from(epsilon));
        let rest = json!({
            "layer_norm_epsilon": epsilon,
            "model_type": if gpt2 { "gpt2" } else { "glass" },
            // llama.cpp's converter reads this field.
            "n_ctx": self.context,
            "n_embd": self.width,
            "n_head": self.heads.query,
            "n_inner": if self.mlp_width == 4 * self.width { Value::Null } else { json!(self.mlp_width) },
            "n_layer": self.layers,
            "n_positions": self.context,
            "resid_pdrop": 0.0,
            "tie_word_embeddings": self.tied,
            "vocab_size": self.vocabulary,
        });
        let (Value::Object(mut all), Value::Object(rest)) = (all, rest) else {
            unreachable!("both are written above")
        };
        all.extend(rest);
        all
    }

    fn own_json(&self) -> Map<String, Value> {
        let mut own = Map::new();
        if !self.bias.any() {
            own.insert("bias".into(), json!(false));
        }
        if self.heads.key != self.heads.query {
            own.insert("key_heads".into(), json!(self.heads.key));
        }
        if self.heads.query.checked_mul(self.heads.size) != Some(self.width) {
            own.insert("head_size".into(), json!(self.heads.size));
        }
        if let Some(band) = self.attention.get(1).and_then(|layer| layer.window) {
            own.insert("band".into(), json!(band));
        }
        own
    }
}

/// Refuses other families by name.
fn family(object: &Object) -> Result<()> {
    let Some(kind) = object.text("model_type")? else {
        return Err(object.error("model_type is missing; \"gpt2\" was expected"));
    };
    let expected = match kind {
        // All of them hold the same blocks; a head other than the unembedding is ignored.
        "gpt2" => [
            "GPT2LMHeadModel",
            "GPT2Model",
            "AutoModelForCausalLM",
            "GPT2DoubleHeadsModel",
            "GPT2ForSequenceClassification",
            "GPT2ForTokenClassification",
            "GPT2ForQuestionAnswering",
        ]
        .as_slice(),
        "glass" => &["GlassLMHeadModel"],
        _ => return Err(object.wrong("model_type", &json!(kind), "\"gpt2\", the only supported family,")),
    };
    let Some(architectures) = object.get("architectures") else { return Ok(()) };
    let one = match architectures.as_array().map(Vec::as_slice) {
        Some([]) => return Ok(()),
        Some([Value::String(one)]) => one,
        _ => return Err(object.wrong("architectures", architectures, "one class in a list")),
    };
    match expected.contains(&one.as_str()) {
        true => Ok(()),
        false => Err(object.wrong("architectures", architectures, &format!("one of {expected:?}"))),
    }
}

/// Refuses fields that change the layers' computation.
fn unchanged(object: &Object) -> Result<()> {
    // `reorder_and_upcast_attn` only chooses a precision: attention is always f32 here.
    let name = "add_cross_attention";
    if object.flag(name)? == Some(true) {
        return Err(object.wrong(name, &json!(true), "false (attention to an encoder is not supported)"));
    }
    packing(object).map(|_| ())
}

/// The packing given by `quantization_config` in a `config.json`, if Glass wrote it.
pub(crate) fn packing(config: &Object) -> Result<Option<Packing>> {
    let Some(quantised) = config.object("quantization_config")? else { return Ok(None) };
    let names = Packing::ALL.map(Packing::name);
    // Without quant_method, transformers refuses the folder. An unknown method would only cause a warning, and the
    // model would be opened with random weights; the first version of this format named one.
    let ours = quantised.text("packed_by")?.or(quantised.text("quant_method")?);
    match (ours, quantised.text("packing")?) {
        (Some("glass"), Some(name)) => {
            match Packing::ALL.into_iter().find(|packing| packing.name() == name) {
                Some(packing) => Ok(Some(packing)),
                None => Err(quantised.wrong("packing", &json!(name), &format!("one of {names:?}"))),
            }
        }
        (method, _) => {
            let why = "plain f32, f16 or bf16 weights, or those of `glass quantise`,";
            Err(quantised.wrong("quant_method", &json!(method), why))
        }
    }
}

fn activation(object: &Object) -> Result<Activation> {
    let Some(name) = object.text("activation_function")? else { return Ok(Activation::GeluTanh) };
    let found = ACTIVATIONS.iter().find(|(_, names)| names.contains(&name));
    found.map(|(activation, _)| *activation).ok_or_else(|| {
        let known: Vec<&str> = ACTIVATIONS.iter().flat_map(|(_, names)| *names).copied().collect();
        object.wrong("activation_function", &json!(name), &format!("one of {}", known.join(", ")))
    })
}

fn name(activation: Activation) -> &'static str {
    let (_, names) =
        ACTIVATIONS.iter().find(|(one, _)| *one == activation).expect("every activation has a name");
    names[0]
}

/// A required size, under the first of its names that is present; `transformers` accepts the others too
/// (`attribute_map`).
fn size(object: &Object, names: &[&str]) -> Result<usize> {
    for name in names {
        if let Some(size) = object.size(name)? {
            return Ok(size);
        }
    }
    object.needed_size(names[0])
}
