//! GGUF, llama.cpp's file of everything (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>): a GPT-2 with its
//! vocabulary and chat template.
//!
//! ```text
//! "GGUF", version, counts │ fields: name, type, value │ tensors: name, sizes, type, offset │ padding │ their bytes
//! ```

mod blocks;
mod container;
mod write;

use std::collections::HashMap;

pub(super) use blocks::Blocks;
pub use write::{Numbers, save};

use super::generation::GenerationConfig;
use super::names::{EMBEDDING, UNEMBEDDING};
use super::safetensors::Tensor;
use crate::config::{Activation, Norm};
use crate::tokens::Tokenizer;
use crate::tokens::chat::Template;
use crate::{Config, Error, Result};
use container::{Container, Value};

/// What a file holds.
pub(super) struct Contents {
    /// The shape.
    pub config: Config,
    /// The weights, by GPT-2's names.
    pub tensors: Vec<(String, Tensor)>,
    /// The rest.
    pub own: Own,
}

/// What a file holds besides the weights.
pub(super) struct Own {
    /// Its vocabulary.
    pub tokenizer: Option<Tokenizer>,
    /// The chat template's source.
    pub template: Option<String>,
    /// Where a text begins and ends.
    pub generation: GenerationConfig,
}

/// Whether a file is one, by its first bytes.
pub(super) fn is_gguf(file: &[u8]) -> bool {
    file.starts_with(container::MAGIC)
}

/// The shape, the tensors and the rest of a file; `name` stands in errors.
///
/// # Errors
/// Another architecture, and whatever the format does not allow.
pub(super) fn read(name: &str, file: &[u8]) -> Result<Contents> {
    let wrong = |why: String| Error::invalid(name, why);
    let container = Container::read(file).map_err(wrong)?;
    let fields = Fields { name, fields: &container.fields };
    match fields.text("general.architecture")? {
        Some("gpt2") => {}
        other => {
            let why =
                format!("has the architecture {:?}; gpt2 is the only one read here", other.unwrap_or("none"));
            return Err(wrong(why));
        }
    }
    let mut tensors = Vec::with_capacity(container.tensors.len());
    for tensor in &container.tensors {
        let ours = tensor_name(&tensor.name).ok_or_else(|| {
            wrong(format!("tensor {:?} is not known in a gpt2; are files mixed up?", tensor.name))
        })?;
        tensors.push((ours, tensor.tensor.clone()));
    }
    let config = config(&fields, &tensors)?;
    let own = Own {
        tokenizer: tokenizer(&fields)?,
        template: fields.text("tokenizer.chat_template")?.map(str::to_string),
        generation: GenerationConfig {
            bos: fields.number("tokenizer.ggml.bos_token_id")?.map(|id| id as u32),
            eos: [
                fields.number("tokenizer.ggml.eos_token_id")?,
                fields.number("tokenizer.ggml.eot_token_id")?,
            ]
            .into_iter()
            .flatten()
            .map(|id| id as u32)
            .collect(),
            ..GenerationConfig::default()
        },
    };
    Ok(Contents { config, tensors, own })
}

/// The chat template of a file, with the tokens that it may name.
pub(super) fn template(name: &str, own: &Own) -> Result<Option<Template>> {
    let Some(source) = &own.template else { return Ok(None) };
    let text = |id: Option<u32>| {
        let bytes = own.tokenizer.as_ref()?.token(id?)?;
        String::from_utf8(bytes.to_vec()).ok()
    };
    let (bos, eos) = (text(own.generation.bos), text(own.generation.eos.first().copied()));
    let template = Template::new(source, bos.as_deref(), eos.as_deref());
    template.map(Some).map_err(|error| Error::invalid(format!("{name}: tokenizer.chat_template"), error))
}

/// The fields of a file by name.
struct Fields<'a> {
    name: &'a str,
    fields: &'a HashMap<String, Value>,
}

impl Fields<'_> {
    fn number(&self, field: &str) -> Result<Option<f64>> {
        match self.fields.get(field) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(*number)),
            Some(_) => Err(self.wrong(field, "a number")),
        }
    }

    /// A size that a model must have.
    fn size(&self, field: &str) -> Result<usize> {
        match self.number(field)? {
            Some(size) if size >= 1.0 && size < (1u64 << 31) as f64 && size.fract() == 0.0 => {
                Ok(size as usize)
            }
            Some(other) => Err(Error::invalid(self.name, format!("{field} is {other}; a size was expected"))),
            None => Err(Error::invalid(self.name, format!("{field} is missing"))),
        }
    }

    fn text(&self, field: &str) -> Result<Option<&str>> {
        match self.fields.get(field) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(field, "a text")),
        }
    }

    fn texts(&self, field: &str) -> Result<Option<Vec<&str>>> {
        let Some(value) = self.fields.get(field) else { return Ok(None) };
        let Value::List(list) = value else { return Err(self.wrong(field, "a list of texts")) };
        let texts = list.iter().map(|value| match value {
            Value::Text(text) => Ok(text.as_str()),
            _ => Err(self.wrong(field, "a list of texts")),
        });
        texts.collect::<Result<_>>().map(Some)
    }

    fn numbers(&self, field: &str) -> Result<Vec<f64>> {
        let Some(Value::List(list)) = self.fields.get(field) else { return Ok(Vec::new()) };
        let number = |value: &Value| match value {
            Value::Number(number) => Ok(*number),
            _ => Err(self.wrong(field, "a list of numbers")),
        };
        list.iter().map(number).collect()
    }

    fn wrong(&self, field: &str, expected: &str) -> Error {
        Error::invalid(self.name, format!("{field} is of another type; {expected} was expected"))
    }
}

fn config(fields: &Fields<'_>, tensors: &[(String, Tensor)]) -> Result<Config> {
    let shape = |name: &str| tensors.iter().find(|(found, _)| found == name).map(|(_, tensor)| &tensor.shape);
    let vocabulary = match shape(EMBEDDING).map(Vec::as_slice) {
        Some(&[vocabulary, _]) => vocabulary,
        _ => return Err(Error::invalid(fields.name, "tensor \"token_embd.weight\" is missing or no table")),
    };
    let width = fields.size("gpt2.embedding_length")?;
    let mut config = Config::gpt2(
        vocabulary,
        fields.size("gpt2.context_length")?,
        width,
        fields.size("gpt2.block_count")?,
        fields.size("gpt2.attention.head_count")?,
    );
    config.hidden = fields.size("gpt2.feed_forward_length")?;
    config.norm =
        Norm::Layer { epsilon: fields.number("gpt2.attention.layer_norm_epsilon")?.unwrap_or(1e-5) as f32 };
    config.activation = Activation::GeluTanh;
    config.tied = shape(UNEMBEDDING).is_none();
    config
        .check()
        .map_err(|error| Error::invalid(fields.name, format!("its fields make no model ({error})")))?;
    match width.is_multiple_of(config.heads.query) {
        true => Ok(config),
        false => {
            let why = format!("embedding_length {width} cannot be cut into {} heads", config.heads.query);
            Err(Error::invalid(fields.name, why))
        }
    }
}

/// llama.cpp's names of a block's layers, and GPT-2's.
const IN_BLOCK: [(&str, &str); 6] = [
    ("attn_norm", "ln_1"),
    ("attn_qkv", "attn.c_attn"),
    ("attn_output", "attn.c_proj"),
    ("ffn_norm", "ln_2"),
    ("ffn_up", "mlp.c_fc"),
    ("ffn_down", "mlp.c_proj"),
];

/// The others.
const OUTSIDE: [(&str, &str); 4] = [
    ("token_embd.weight", EMBEDDING),
    ("position_embd.weight", "wpe.weight"),
    ("output.weight", UNEMBEDDING),
    ("output_norm", "ln_f"),
];

/// A tensor's name as GPT-2 has it.
fn tensor_name(name: &str) -> Option<String> {
    translated(name, |(theirs, ours)| (theirs, ours), "blk.", "h.")
}

/// The other way.
fn written_name(name: &str) -> Option<String> {
    translated(name, |(theirs, ours)| (ours, theirs), "h.", "blk.")
}

fn translated<'a>(
    name: &str,
    turn: impl Fn((&'a str, &'a str)) -> (&'a str, &'a str),
    from: &str,
    to: &str,
) -> Option<String> {
    if let Some((_, found)) = OUTSIDE.into_iter().map(&turn).find(|(known, _)| *known == name) {
        return Some(found.to_string());
    }
    let (part, leaf) = name.rsplit_once('.').filter(|(_, leaf)| ["weight", "bias"].contains(leaf))?;
    if let Some((_, found)) = OUTSIDE.into_iter().map(&turn).find(|(known, _)| *known == part) {
        return Some(format!("{found}.{leaf}"));
    }
    let (layer, part) = part.strip_prefix(from)?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let (_, found) = IN_BLOCK.into_iter().map(&turn).find(|(known, _)| *known == part)?;
    Some(format!("{to}{layer}.{found}.{leaf}"))
}

/// The vocabulary, where there is one; its words are split as GPT-2 splits them.
fn tokenizer(fields: &Fields<'_>) -> Result<Option<Tokenizer>> {
    let model = fields.text("tokenizer.ggml.model")?;
    let Some(model) = model.filter(|model| *model != NO_VOCABULARY) else { return Ok(None) };
    let split = fields.text("tokenizer.ggml.pre")?.unwrap_or("gpt-2");
    if model != "gpt2" || !["gpt-2", "default"].contains(&split) {
        let why = format!("its vocabulary is {model:?}, split as {split:?}; only GPT-2's kind is read here");
        return Err(Error::invalid(fields.name, why));
    }
    let tokens = fields.texts("tokenizer.ggml.tokens")?;
    let tokens = tokens.ok_or_else(|| Error::invalid(fields.name, "tokenizer.ggml.tokens is missing"))?;
    let merges = fields.texts("tokenizer.ggml.merges")?.unwrap_or_default();
    let types = fields.numbers("tokenizer.ggml.token_type")?;
    let kept = |id: usize| types.get(id).is_none_or(|kind| *kind != UNUSED);
    let texts: Vec<Option<&str>> = (0..tokens.len()).map(|id| kept(id).then_some(tokens[id])).collect();
    let is_added = |id: usize| types.get(id).is_some_and(|kind| *kind == CONTROL || *kind == USER_DEFINED);
    let added = (0..tokens.len()).filter(|&id| is_added(id));
    let added: Vec<_> = added.map(|id| (id as u32, tokens[id], types[id] == CONTROL)).collect();
    Tokenizer::from_lists(fields.name, &texts, &merges, &added).map(Some)
}

/// What stands where the kind of vocabulary does.
const NO_VOCABULARY: &str = "none";

/// Kinds of tokens.
const NORMAL: f64 = 1.0;
const CONTROL: f64 = 3.0;
const USER_DEFINED: f64 = 4.0;
const UNUSED: f64 = 5.0;
