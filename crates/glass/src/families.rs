//! The families of models: how their files are written, a table for each.
//!
//! A family is a form: its names in `config.json`, which fields of that file are which choices of a [`Config`] (read and
//! written), and which tensor holds which parameter. Whether a family can express a configuration is not said anywhere
//! else: what is written and read again must be the same (`Form::express`).

mod gemma;
mod glass;
mod gpt2;
mod gpt_j;
mod gpt_neo;
mod gpt_neox;
mod granite;
mod layers;
mod llama;
mod mistral;
pub(crate) mod names;
mod nanochat;
mod olmo;
mod phi3;
mod qwen;
pub(crate) mod read;
pub(crate) mod refuse;
pub(crate) mod rotary;
mod same;
mod smollm3;
mod stablelm;
pub(crate) mod write;

use glass_kernels::attend::Heads;
use serde_json::{Map, Value};

use crate::config::object::Object;
use crate::{Config, Error, Result};
use names::Named;
use read::Fields;
pub(crate) use same::differences;

use crate::weights::names::Place;

/// A family of models: the form of their files. The model itself is given by the other fields of a [`Config`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Family {
    /// GPT-2 and GPT-3.
    Gpt2,
    /// GPT-Neo.
    GptNeo,
    /// GPT-J.
    GptJ,
    /// GPT-NeoX and Pythia.
    GptNeoX,
    /// Llama 2 and 3, SmolLM2, and whatever else has this form.
    Llama,
    /// Mistral.
    Mistral,
    /// Ministral 8B, whose layers may have windows or not.
    Ministral,
    /// Ministral 3, whose queries are scaled by their position.
    Ministral3,
    /// Qwen2 and Qwen2.5.
    Qwen2,
    /// Qwen3, dense.
    Qwen3,
    /// Gemma 1.
    Gemma,
    /// Gemma 2.
    Gemma2,
    /// Gemma 3, text alone.
    Gemma3,
    /// Phi-3 and Phi-4-mini.
    Phi3,
    /// Granite 3 and 4, dense.
    Granite,
    /// OLMo 2.
    Olmo2,
    /// OLMo 3.
    Olmo3,
    /// SmolLM3.
    SmolLm3,
    /// StableLM 3B and StableLM-2 1.6B.
    StableLm,
    /// nanochat, as `transformers` has it.
    NanoChat,
    /// Every other plan, in Glass's own form.
    Glass,
}

/// How the files of a family are written.
pub(crate) struct Form {
    /// The family.
    pub family: Family,
    /// Its name for `--family`.
    pub name: &'static str,
    /// The `model_type` of its `config.json`.
    pub model_type: &'static str,
    /// The classes of its `config.json`; the first is written. All of them hold the same blocks; a head other than the
    /// unembedding is ignored.
    pub architectures: &'static [&'static str],
    /// The usual choices of the family, for a configuration with the sizes of a Llama.
    pub usual: fn(Config) -> Config,
    /// The configuration in a `config.json`.
    pub read: fn(&Fields<'_>) -> Result<Config>,
    /// The fields of `config.json` for a configuration that the family can express.
    pub write: fn(&Config) -> Map<String, Value>,
    /// Fields that other families may not use, and this one reads or ignores.
    pub knows: &'static [&'static str],
    /// Which tensor holds which parameter.
    pub names: &'static [Named],
    /// Whether matrices are stored as `[inputs, outputs]`.
    pub is_turned: bool,
}

/// All of them.
pub(crate) const FORMS: [&Form; 21] = [
    &gpt2::GPT2,
    &gpt_neo::GPT_NEO,
    &gpt_j::GPT_J,
    &gpt_neox::GPT_NEOX,
    &llama::LLAMA,
    &mistral::MISTRAL,
    &mistral::MINISTRAL,
    &mistral::MINISTRAL3,
    &qwen::QWEN2,
    &qwen::QWEN3,
    &gemma::GEMMA,
    &gemma::GEMMA2,
    &gemma::GEMMA3,
    &phi3::PHI3,
    &granite::GRANITE,
    &olmo::OLMO2,
    &olmo::OLMO3,
    &smollm3::SMOLLM3,
    &stablelm::STABLELM,
    &nanochat::NANOCHAT,
    &glass::GLASS,
];

impl Family {
    /// How its files are written.
    pub(crate) fn form(self) -> &'static Form {
        FORMS.into_iter().find(|form| form.family == self).expect("every family has a form")
    }

    /// Its name, as in `gemma3`.
    pub fn name(self) -> &'static str {
        self.form().name
    }

    /// The family of a [name](Family::name).
    pub fn named(name: &str) -> Option<Family> {
        FORMS.into_iter().find(|form| form.name == name).map(|form| form.family)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Family> {
        FORMS.into_iter().map(|form| form.family)
    }
}

impl Form {
    /// Where a parameter is in its files; `None` for a name that they have no place for.
    pub fn place(&self, config: &Config, parameter: &str) -> Option<Place> {
        names::place(self.names, self.is_turned, config, parameter)
    }

    /// Refuses, by name, choices that its `config.json` cannot express.
    pub fn express(&self, config: &Config) -> Result<()> {
        let cannot = |what: String| {
            let why = format!("{what}, which {} cannot express", self.architectures[0]);
            Err(Error::invalid_argument("plan", why))
        };
        let written = Object::of("config.json", (self.write)(config));
        match (self.read)(&Fields::new(&written)) {
            Ok(read) => match differences(config, &read)[..] {
                [] => Ok(()),
                ref all => cannot(all.join(", and ")),
            },
            Err(error) => cannot(error.to_string()),
        }
    }
}

impl Config {
    /// Refuses, by name, choices that the form of its family cannot express, so that it is saved in [Glass's own
    /// form](Family::Glass).
    pub fn can_express(&self) -> Result<()> {
        self.family.form().express(self)
    }

    /// The family in whose form it is saved: its own, or Glass's where that cannot express it.
    pub fn saved_as(&self) -> Family {
        match self.can_express() {
            Ok(()) => self.family,
            Err(_) => Family::Glass,
        }
    }

    /// The form that it is saved in.
    pub(crate) fn form(&self) -> &'static Form {
        self.saved_as().form()
    }

    /// The same with another context. It decides between short and long factors of
    /// [LongRoPE](crate::config::Scaling::LongRope), and how far the base of [dynamic
    /// scaling](crate::config::Scaling::Dynamic) grows.
    pub fn with_context(self, context: usize) -> Config {
        Config { context, ..self }
    }
}

/// A model of a family with these sizes and the family's usual choices: the MLP four times as wide, or with gates 8/3
/// times, rounded up to a multiple of 32; keys and values of their own for every head.
pub fn config(
    family: Family,
    vocabulary: usize,
    context: usize,
    width: usize,
    layers: usize,
    heads: usize,
) -> Config {
    let size = width / heads.max(1);
    let gated = (width.saturating_mul(8) / 3).next_multiple_of(32);
    let sizes = Config::llama(vocabulary, context, width, layers, Heads::new(heads, heads, size), gated);
    let config = (family.form().usual)(sizes);
    match config.gated {
        true => config,
        false => Config { mlp_width: width.saturating_mul(4), ..config },
    }
}
