//! A model in a single file of another program, recognised by its first bytes.

use super::safetensors::{LFS_ADVICE, LFS_POINTER};
use super::source::Source;
use super::tensors::Tensors;
use super::{gguf, llm_c, nanogpt, torch};
use crate::config::json;
use crate::{Config, Error, Result};

/// The program that wrote a model's files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Writer {
    /// A folder written by `transformers` or Glass.
    Folder,
    /// A packed folder written by Glass.
    Packed,
    /// llm.c, one `.bin` file.
    LlmC,
    /// nanoGPT, one `.pt` file.
    NanoGpt,
    /// llama.cpp, one `.gguf` file.
    Gguf,
}

impl Writer {
    /// The part of the files that gives the model's sizes, for error messages.
    pub fn shape(self) -> &'static str {
        match self {
            Writer::Folder | Writer::Packed => "config.json",
            Writer::LlmC => "its header",
            Writer::NanoGpt => "model_args",
            Writer::Gguf => "its metadata",
        }
    }

    /// Whether its matrices are `[outputs, inputs]`, as in Glass.
    pub fn as_ours(self) -> bool {
        self != Writer::Folder
    }
}

/// Opens a checkpoint; its weights stay mapped.
pub(super) fn open(source: &Source, file: &str) -> Result<(Writer, Config, Tensors, Option<gguf::Own>)> {
    let name = source.name(file);
    let wrong = |why: &str| Err(Error::invalid(&name, why));
    let Some(file) = source.large(file)? else {
        return wrong("is missing; a checkpoint was expected");
    };
    if gguf::is_gguf(&file) {
        let gguf::Contents { config, tensors, own } = gguf::read(&name, &file)?;
        return Ok((Writer::Gguf, config, Tensors::of_file(name, file, tensors)?, Some(own)));
    }
    let (writer, (config, tensors)) = if llm_c::word(&file, 0) == Some(llm_c::MAGIC) {
        (Writer::LlmC, llm_c::read(&name, &file)?)
    } else if torch::is_archive(&file) {
        (Writer::NanoGpt, nanogpt::read(&name, &file, &|| beside(source))?)
    } else if torch::is_bare_pickle(&file) {
        return wrong(torch::LEGACY);
    } else if file.starts_with(LFS_POINTER) {
        return wrong(LFS_ADVICE);
    } else {
        return wrong(
            "is a file, but not a known checkpoint (llama.cpp's .gguf, llm.c's .bin, nanoGPT's .pt); name one, or a model's \
             directory",
        );
    };
    Ok((writer, config, Tensors::of_file(name, file, tensors)?, None))
}

/// The configuration from a `config.json` in the same folder.
fn beside(source: &Source) -> Result<Option<Config>> {
    let text = source.small("config.json", json::LONGEST)?;
    text.map(|text| Config::from_json(&source.name("config.json"), &text)).transpose()
}
