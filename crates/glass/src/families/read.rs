//! What the families' readers of `config.json` share.

use std::ops::Deref;

use glass_kernels::attend::Heads;
use serde_json::json;

use crate::config::object::Object;
use crate::config::{Activation, Biases};
use crate::{Config, Result};

/// The fields of a `config.json`.
pub(crate) struct Fields<'a>(&'a Object);

impl<'a> Fields<'a> {
    /// The fields of an object.
    pub fn new(object: &'a Object) -> Fields<'a> {
        Fields(object)
    }
}

impl Deref for Fields<'_> {
    type Target = Object;
    fn deref(&self) -> &Object {
        self.0
    }
}

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

/// The name of a non-linearity that is written.
pub(crate) fn name_of(activation: Activation) -> &'static str {
    let found = ACTIVATIONS.iter().find(|(one, _)| *one == activation);
    found.expect("every activation has a name").1[0]
}

/// What the class takes where a field is absent.
pub(crate) struct Defaults {
    /// Of `vocab_size`: it is required if 0.
    pub vocabulary: usize,
    /// Of `max_position_embeddings`, likewise.
    pub context: usize,
    /// Of `num_attention_heads`, likewise.
    pub heads: usize,
    /// Of `num_key_value_heads`: as many as query heads if 0.
    pub keys: usize,
    /// Of `head_dim`: the width shared out among the heads if 0.
    pub size: usize,
    /// Of the norm's epsilon.
    pub epsilon: f32,
    /// Of `tie_word_embeddings`.
    pub tied: bool,
    /// Of `hidden_act`.
    pub activation: Activation,
}

/// A Llama's.
pub(crate) const DEFAULTS: Defaults = Defaults {
    vocabulary: 0,
    context: 0,
    heads: 0,
    keys: 0,
    size: 0,
    epsilon: 1e-6,
    tied: false,
    activation: Activation::Silu,
};

impl Fields<'_> {
    /// A required size, under the first of its names that is present.
    pub fn size_of(&self, names: &[&str]) -> Result<usize> {
        for name in names {
            if let Some(size) = self.size(name)? {
                return Ok(size);
            }
        }
        self.needed_size(names[0])
    }

    /// A non-linearity.
    pub fn activation(&self, name: &str, default: Activation) -> Result<Activation> {
        let Some(text) = self.text(name)? else { return Ok(default) };
        let found = ACTIVATIONS.iter().find(|(_, names)| names.contains(&text));
        found.map(|(activation, _)| *activation).ok_or_else(|| {
            let known: Vec<&str> = ACTIVATIONS.iter().flat_map(|(_, names)| *names).copied().collect();
            self.wrong(name, &json!(text), &format!("one of {}", known.join(", ")))
        })
    }

    /// The sizes that Llama and those after it have under the same names, in a configuration with Llama's choices.
    pub fn sizes(&self, defaults: &Defaults) -> Result<Config> {
        let size_or = |name: &str, default: usize| match self.size(name)? {
            None if default > 0 => Ok(default),
            _ => self.needed_size(name),
        };
        let (width, query) =
            (self.needed_size("hidden_size")?, size_or("num_attention_heads", defaults.heads)?);
        // The class's default counts where the field is absent, as many as query heads where it is null.
        let key = match self.size("num_key_value_heads")? {
            Some(key) => key,
            None if self.is_null("num_key_value_heads") || defaults.keys == 0 => query,
            None => defaults.keys,
        };
        let size = match self.size("head_dim")? {
            Some(size) => size,
            None if defaults.size > 0 && !self.is_null("head_dim") => defaults.size,
            None if width.is_multiple_of(query) => width / query,
            None => {
                let why = format!(
                    "hidden_size {width} cannot be cut into {query} heads of equal size, and head_dim is absent"
                );
                return Err(self.error(why));
            }
        };
        let mut config = Config::llama(
            size_or("vocab_size", defaults.vocabulary)?,
            size_or("max_position_embeddings", defaults.context)?,
            width,
            self.needed_size("num_hidden_layers")?,
            Heads::new(query, key, size),
            self.needed_size("intermediate_size")?,
        );
        // Before anything is listed for each layer.
        config.check().map_err(|error| self.error(error))?;
        config.norm.epsilon = self.epsilon("rms_norm_eps", defaults.epsilon)?;
        config.activation = self.activation("hidden_act", defaults.activation)?;
        config.tied = self.flag("tie_word_embeddings")?.unwrap_or(defaults.tied);
        Ok(config)
    }

    /// A norm's epsilon.
    pub fn epsilon(&self, name: &str, default: f32) -> Result<f32> {
        Ok(self.number(name)?.map_or(default, |epsilon| epsilon as f32))
    }

    /// The biases of classes that have `attention_bias` for queries, keys, values and the output, and, some of them,
    /// `mlp_bias`.
    pub fn biases(&self, has_mlp: bool) -> Result<Biases> {
        let attention = self.flag("attention_bias")?.unwrap_or(false);
        let mlp = has_mlp && self.flag("mlp_bias")?.unwrap_or(false);
        Ok(Biases { query_key_value: attention, value_up: attention, mlp, ..Biases::NONE })
    }
}
