//! GGUF, llama.cpp's single-file format (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>): a GPT-2 with
//! its vocabulary and chat template.
//!
//! ```text
//! "GGUF", version, counts │ fields: name, type, value │ tensors: name, sizes, type, offset │ padding │ their bytes
//! ```

mod advice;
mod blocks;
mod container;
mod head;
mod kinds;
mod vocabulary;
mod write;

pub(super) use blocks::Blocks;
pub use write::{Numbers, save};

use super::generation::GenerationConfig;
use super::names::{EMBEDDING, UNEMBEDDING};
use super::safetensors::Tensor;
use crate::config::object::short;
use crate::config::{Activation, Norm};
use crate::tokens::Tokenizer;
use crate::tokens::chat::Template;
use crate::{Config, Error, Result};
use container::{Container, List, Named, Value};

/// The contents of a file.
pub(super) struct Contents {
    /// The configuration.
    pub config: Config,
    /// The weights, by GPT-2's names.
    pub tensors: Vec<(String, Tensor)>,
    /// The rest.
    pub own: Own,
}

/// The contents of a file apart from the weights.
pub(super) struct Own {
    /// Its vocabulary.
    pub tokenizer: Option<Tokenizer>,
    /// The chat template's source.
    pub template: Option<String>,
    /// The tokens that begin and end a text, and the authors' sampling advice.
    pub generation: GenerationConfig,
}

/// Whether a file is GGUF, by its first bytes.
pub(super) fn is_gguf(file: &[u8]) -> bool {
    file.starts_with(container::MAGIC)
}

/// The largest number of blocks, as in llama.cpp.
const MOST_BLOCKS: usize = 512;

/// Reads the configuration, the tensors and the rest of a file; `name` is the file's name in error messages.
///
/// # Errors
/// If the file has another architecture, or breaks the format.
pub(super) fn read(name: &str, file: &[u8]) -> Result<Contents> {
    let wrong = |why: String| Error::invalid(name, why);
    let container = Container::read(file).map_err(wrong)?;
    let fields = Fields { name, container: &container };
    match fields.text("general.architecture")? {
        Some("gpt2") => {}
        Some(other) => {
            let why = format!("has the architecture {}; only gpt2 can be read", short(other));
            return Err(wrong(why));
        }
        None => return Err(wrong("general.architecture is missing; gpt2 was expected".into())),
    }
    if fields.number("split.count")?.is_some_and(|parts| parts > 1.0) {
        let why = "is one of several parts; join them with `llama-gguf-split --merge`";
        return Err(wrong(why.into()));
    }
    let layers = fields.size("gpt2.block_count")?;
    if layers > MOST_BLOCKS {
        return Err(wrong(format!("gpt2.block_count is {layers}; at most {MOST_BLOCKS} were expected")));
    }
    let most = layers * IN_BLOCK.len() * 2 + OUTSIDE.len() + 1;
    let mut tensors = Vec::new();
    for Named { name, tensor } in container.tensors(most).map_err(wrong)? {
        let ours = tensor_name(name).ok_or_else(|| {
            wrong(format!("tensor {} is not one of a gpt2; are files mixed up?", short(name)))
        })?;
        tensors.push((ours, tensor));
    }
    let config = config(&fields, layers, &tensors)?;
    if let Some(tokens) = fields.list("tokenizer.ggml.tokens")?.map(List::len)
        && tokens != config.vocabulary
    {
        let why = format!(
            "tokenizer.ggml.tokens has {tokens} tokens, but token_embd.weight {} rows",
            config.vocabulary
        );
        return Err(wrong(why));
    }
    let own = Own {
        tokenizer: vocabulary::read(&fields)?,
        template: fields.text("tokenizer.chat_template")?.map(str::to_string),
        generation: advice::read(&fields)?,
    };
    Ok(Contents { config, tensors, own })
}

/// The chat template of a file, with the tokens that it may use.
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
    container: &'a Container<'a>,
}

impl<'a> Fields<'a> {
    fn number(&self, field: &str) -> Result<Option<f64>> {
        match self.container.get(field) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(_) => Err(self.wrong(field, "a number")),
        }
    }

    /// A required size.
    fn size(&self, field: &str) -> Result<usize> {
        match self.number(field)? {
            Some(size) if size >= 1.0 && size < (1u64 << 31) as f64 && size.fract() == 0.0 => {
                Ok(size as usize)
            }
            Some(other) => Err(Error::invalid(self.name, format!("{field} is {other}; a size was expected"))),
            None => Err(Error::invalid(self.name, format!("{field} is missing"))),
        }
    }

    fn text(&self, field: &str) -> Result<Option<&'a str>> {
        match self.container.get(field) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(field, "a text")),
        }
    }

    fn list(&self, field: &str) -> Result<Option<List<'a>>> {
        match self.container.get(field) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list)),
            Some(_) => Err(self.wrong(field, "a list")),
        }
    }

    fn texts(&self, field: &str) -> Result<Option<Vec<&'a str>>> {
        let Some(list) = self.list(field)? else { return Ok(None) };
        let mut texts = Vec::with_capacity(list.len());
        for value in list.values() {
            let Value::Text(text) = value else { return Err(self.wrong(field, "a list of strings")) };
            texts.push(text);
        }
        Ok(Some(texts))
    }

    /// A list with one number for every token.
    fn numbers(&self, field: &str) -> Result<Vec<f64>> {
        let Some(list) = self.list(field)? else { return Ok(Vec::new()) };
        let tokens = self.list("tokenizer.ggml.tokens")?.map_or(0, List::len);
        if list.len() != tokens {
            let why = format!("{field} has {} values for {tokens} tokens", list.len());
            return Err(Error::invalid(self.name, why));
        }
        let number = |value: Value<'_>| match value {
            Value::Number(number) => Ok(number),
            _ => Err(self.wrong(field, "a list of numbers")),
        };
        list.values().map(number).collect()
    }

    fn wrong(&self, field: &str, expected: &str) -> Error {
        Error::invalid(self.name, format!("{field} is of another type; {expected} was expected"))
    }
}

fn config(fields: &Fields<'_>, layers: usize, tensors: &[(String, Tensor)]) -> Result<Config> {
    let shape = |name: &str| tensors.iter().find(|(found, _)| found == name).map(|(_, tensor)| &tensor.shape);
    let vocabulary = match shape(EMBEDDING).map(Vec::as_slice) {
        Some(&[vocabulary, _]) => vocabulary,
        _ => {
            return Err(Error::invalid(
                fields.name,
                "tensor \"token_embd.weight\" is missing or not a table",
            ));
        }
    };
    let width = fields.size("gpt2.embedding_length")?;
    let mut config = Config::gpt2(
        vocabulary,
        fields.size("gpt2.context_length")?,
        width,
        layers,
        fields.size("gpt2.attention.head_count")?,
    );
    config.mlp_width = fields.size("gpt2.feed_forward_length")?;
    config.norm =
        Norm::Layer { epsilon: fields.number("gpt2.attention.layer_norm_epsilon")?.unwrap_or(1e-5) as f32 };
    config.activation = Activation::GeluTanh;
    config.tied = shape(UNEMBEDDING).is_none();
    config.check().map_err(|error| {
        Error::invalid(fields.name, format!("its metadata is not a valid model ({error})"))
    })?;
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

/// The names outside of blocks.
const OUTSIDE: [(&str, &str); 4] = [
    ("token_embd.weight", EMBEDDING),
    ("position_embd.weight", "wpe.weight"),
    ("output.weight", UNEMBEDDING),
    ("output_norm", "ln_f"),
];

/// GPT-2's name of a tensor.
fn tensor_name(name: &str) -> Option<String> {
    translated(name, |(theirs, ours)| (theirs, ours), "blk.", "h.")
}

/// llama.cpp's name of a tensor.
pub(super) fn written_name(name: &str) -> Option<String> {
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
