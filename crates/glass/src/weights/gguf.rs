//! GGUF, llama.cpp's single-file format (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>): a model with its
//! vocabulary and chat template.
//!
//! ```text
//! "GGUF", version, counts │ fields: name, type, value │ tensors: name, sizes, type, offset │ padding │ their bytes
//! ```

mod advice;
mod architectures;
mod blocks;
mod container;
mod express;
mod head;
mod kinds;
mod vocabulary;
mod write;

pub(super) use architectures::{Architecture, of_family};
pub(super) use blocks::Blocks;
pub use write::{Numbers, save};

use super::dtype::Dtype;
use super::generation::GenerationConfig;
use super::safetensors::Tensor;
use crate::config::object::short;
use crate::families::names::is_known;
use crate::tokens::Tokenizer;
use crate::tokens::chat::Template;
use crate::{Config, Error, Result};
use container::{Container, List, Named, Value};

/// The contents of a file.
pub(super) struct Contents {
    /// The configuration.
    pub config: Config,
    /// The weights, by their names in the file.
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
    let architecture = match fields.text("general.architecture")? {
        Some(found) => architectures::named_by(name, found)?,
        None => return Err(wrong("general.architecture is missing".into())),
    };
    if fields.number("split.count")?.is_some_and(|parts| parts > 1.0) {
        let why = "is one of several parts; join them with `llama-gguf-split --merge`";
        return Err(wrong(why.into()));
    }
    let count = format!("{}.block_count", architecture.name);
    let layers = fields.size(&count)?;
    if layers > MOST_BLOCKS {
        return Err(wrong(format!("{count} is {layers}; at most {MOST_BLOCKS} were expected")));
    }
    let most = (layers + 1) * architecture.names.len() * 2 + DIVISORS.len();
    let mut tensors = Vec::new();
    for Named { name, tensor } in container.tensors(most).map_err(wrong)? {
        if !is_known(architecture.names, name) && !DIVISORS.contains(&name) {
            let why =
                format!("tensor {} is not one of a {}; are files mixed up?", short(name), architecture.name);
            return Err(wrong(why));
        }
        tensors.push((name.to_string(), tensor));
    }
    let shapes = shapes(&fields, file, &tensors)?;
    let config = architectures::config(&fields, architecture, layers, &shapes)?;
    config.check().map_err(|error| wrong(format!("its metadata is not a valid model ({error})")))?;
    tensors.retain(|(name, _)| !DIVISORS.contains(&name.as_str()));
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

    fn flag(&self, field: &str) -> Result<Option<bool>> {
        // A boolean is read as a number.
        Ok(self.number(field)?.map(|on| on != 0.0))
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

/// Tensors that are no parameters: what the angles of rotary positions are divided by.
const DIVISORS: [&str; 3] = ["rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"];

/// What the tensors say of the configuration.
fn shapes(fields: &Fields<'_>, file: &[u8], tensors: &[(String, Tensor)]) -> Result<architectures::Shapes> {
    let find = |name: &str| tensors.iter().find(|(found, _)| found == name).map(|(_, tensor)| tensor);
    let vocabulary = match find("token_embd.weight").map(|tensor| tensor.shape.as_slice()) {
        Some(&[vocabulary, _]) => vocabulary,
        _ => {
            return Err(Error::invalid(
                fields.name,
                "tensor \"token_embd.weight\" is missing or not a table",
            ));
        }
    };
    let numbers = |name: &str| {
        let tensor = find(name)?;
        let mut list = vec![0.0; tensor.shape.iter().product()];
        (tensor.dtype == Ok(Dtype::F32)).then(|| {
            Dtype::F32.widen(&mut list, &file[tensor.bytes.clone()]);
            list.iter().map(|&divisor| f64::from(divisor)).collect::<Vec<_>>()
        })
    };
    let same = numbers(DIVISORS[0]);
    Ok(architectures::Shapes {
        vocabulary,
        tied: find("output.weight").is_none(),
        has_bias: find("blk.0.attn_q.bias").is_some(),
        divisors: [numbers(DIVISORS[1]).or(same.clone()), numbers(DIVISORS[2]).or(same)],
    })
}
