//! Opens a model's directory in the Hugging Face layout: any GPT-2 checkpoint, or the output of
//! [`save`](super::save). A checkpoint of llm.c or nanoGPT is one file, which takes the place of `config.json` and
//! the weights in its directory.

mod parameters;

use std::path::Path;
use std::sync::Arc;

use super::adapter::file as adapter;
use super::checkpoint::{self, Writer};
use super::dtype::Dtype;
use super::generation::GenerationConfig;
use super::source::{LONGEST_TEXT, Source};
use super::tensors::{INDEXES, Tensors};
use super::{gguf, names, template, vocabulary};
use crate::config::object::Object;
use crate::config::{Packings, json};
use crate::families::Family;
use crate::families::names::Named;
use crate::plan::Plan;
use crate::stored::{Bytes, Stored};
use crate::tokens::chat::Template;
use crate::tokens::{Beside, Tokenizer, files};
use crate::{Config, Error, Result};

pub(super) use parameters::Form;

/// The texts in a model's directory, apart from the vocabulary.
const TEXTS: [&str; 8] = [
    "config.json",
    "generation_config.json",
    "chat_template.jinja",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    INDEXES[0],
    INDEXES[1],
];

/// A model's directory. Its files stay mapped and must not be overwritten in place in the meantime.
pub struct Folder {
    pub(super) source: Source,
    pub(super) writer: Writer,
    pub(super) config: Config,
    generation: GenerationConfig,
    pub(super) tensors: Tensors,
    /// How the matrices are packed, if they are.
    packings: Option<Packings>,
    /// The other contents of a file that holds everything (GGUF).
    own: Option<gguf::Own>,
    /// The file that takes the place of `config.json` and the weights, if one does.
    checkpoint: Option<String>,
    /// The adapter that changes its weights.
    adapter: Option<adapter::Stored>,
}

impl Folder {
    /// Opens a directory or a checkpoint. The sizes in its files are compared with each other before anything is
    /// allocated.
    pub fn open(path: &Path) -> Result<Folder> {
        match path.is_dir() {
            true => Folder::from_source(Source::Directory(path.to_path_buf())),
            false if let (true, Some(file)) = (path.exists(), path.file_name()) => {
                let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
                Folder::from_checkpoint(Source::Directory(folder), &file.to_string_lossy())
            }
            false => Err(Error::invalid(
                path.display(),
                "is missing; a model's directory or checkpoint was expected",
            )),
        }
    }

    /// Opens a model that is compiled into the program.
    pub fn embedded(name: &str, files: &[(&'static str, &'static [u8])]) -> Result<Folder> {
        Folder::from_source(Source::Embedded { name: name.to_string(), files: files.to_vec() })
    }

    /// Opens a checkpoint that is in memory; `files` holds it and what lies beside it.
    pub fn embedded_checkpoint(
        name: &str,
        checkpoint: &str,
        files: &[(&'static str, &'static [u8])],
    ) -> Result<Folder> {
        let source = Source::Embedded { name: name.to_string(), files: files.to_vec() };
        Folder::from_checkpoint(source, checkpoint)
    }

    /// The same model with the change that an adapter in a directory makes: [`read`](Self::read) then gives the sum of both. `plan` is
    /// the model's.
    ///
    /// # Errors
    /// If the adapter cannot be opened, or does not fit.
    pub fn with_adapter(mut self, dir: &Path, plan: &Plan) -> Result<Folder> {
        self.adapter = Some(adapter::open(dir, &self.config, plan)?);
        Ok(self)
    }

    /// The adapter that changes its weights, if one does.
    pub fn adapter(&self) -> Option<&adapter::Stored> {
        self.adapter.as_ref()
    }

    fn from_source(source: Source) -> Result<Folder> {
        let what = source.name("config.json");
        let text = source.small("config.json", json::LONGEST)?;
        let text = text.ok_or_else(|| {
            Error::invalid(&what, "is missing; a model's directory holds config.json and model.safetensors")
        })?;
        let config = Config::from_json(&what, &text)?;
        let generation = match source.small("generation_config.json", json::LONGEST)? {
            Some(text) => Object::parse(&source.name("generation_config.json"), &text)?,
            None => Object::parse(&what, &text)?,
        };
        let generation = GenerationConfig::from_object(&generation)?;
        let tensors = Tensors::open(&source)?;
        let packings = Packings::read(&Object::parse(&what, &text)?)?;
        let writer = if packings.is_some() { Writer::Packed } else { Writer::Folder };
        let (own, checkpoint, adapter) = (None, None, None);
        Folder { tensors, packings, source, writer, config, generation, own, checkpoint, adapter }.checked()
    }

    /// Reads files next to a checkpoint: a vocabulary, a chat template, sampling advice.
    fn from_checkpoint(source: Source, file: &str) -> Result<Folder> {
        let (writer, config, tensors, own) = checkpoint::open(&source, file)?;
        let advice = source.small("generation_config.json", json::LONGEST)?;
        let generation = match (&own, advice) {
            (Some(own), _) => own.generation.clone(),
            (None, Some(text)) => {
                let advice = Object::parse(&source.name("generation_config.json"), &text)?;
                GenerationConfig::from_object(&advice)?
            }
            (None, None) => GenerationConfig::default(),
        };
        let (packings, checkpoint, adapter) = (None, Some(file.to_string()), None);
        Folder { tensors, packings, source, writer, config, generation, own, checkpoint, adapter }.checked()
    }

    fn checked(mut self) -> Result<Folder> {
        if self.config.tied && self.writer != Writer::Packed {
            let name = |parameter: &str| Ok::<_, Error>(self.place(parameter)?.tensor);
            let (embedding, unembedding) = (name("embedding.token.weight")?, name("unembedding.weight")?);
            self.tensors.tie(&embedding, &unembedding);
        }
        match self.writer {
            Writer::Packed => self.check_packed_sizes()?,
            _ => self.check_sizes()?,
        }
        Ok(self)
    }

    /// The file that takes the place of `config.json` and the weights, if one does.
    pub fn checkpoint(&self) -> Option<&str> {
        self.checkpoint.as_deref()
    }

    /// The files that it was opened from, by name: with them alone it can be opened elsewhere. Texts beside a GGUF file,
    /// which holds everything, do not belong to it. `more` names files beside the weights that are told too, if they exist.
    ///
    /// # Errors
    /// If a file cannot be read any more.
    pub fn files(&self, more: &[&str]) -> Result<Vec<(String, Stored)>> {
        let texts = TEXTS.iter().chain(self.vocabulary_files().into_iter().flatten());
        let mut all = Vec::new();
        for name in texts.filter(|_| self.own.is_none()) {
            if let Some(bytes) = self.source.small(name, LONGEST_TEXT)? {
                all.push((name.to_string(), Stored::whole(Arc::new(bytes))));
            }
        }
        all.extend(self.tensors.files().map(|(name, bytes)| (self.source.plain(name), Stored::whole(bytes))));
        for name in more {
            let found = self.source.large(name)?;
            all.extend(found.map(|bytes| (name.to_string(), Stored::whole(Arc::new(bytes)))));
        }
        Ok(all)
    }

    /// A file of this name beside the weights, if a folder has one; beside a checkpoint, files belong to nobody.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn extra(&self, name: &str) -> Result<Option<Stored>> {
        let found = if self.checkpoint.is_none() { self.source.large(name)? } else { None };
        Ok(found.map(|bytes| Stored::whole(Arc::new(bytes))))
    }

    /// How the matrices are packed, if they are.
    pub fn packings(&self) -> Option<&Packings> {
        self.packings.as_ref()
    }

    /// Whether matrices are stored in fewer bits than a float has.
    pub fn is_quantised(&self) -> bool {
        let in_blocks = |name: &str| self.tensors.get(name).is_some_and(|found| found.tensor.dtype.is_err());
        self.packings.is_some() || self.writer == Writer::Gguf && self.tensors.names().any(in_blocks)
    }

    /// The name of one of its files in error messages.
    pub fn name(&self, file: &str) -> String {
        self.source.name(file)
    }

    /// The file of this name beside the weights, mapped, with its name in error messages.
    pub(crate) fn beside_weights(&self, file: &str) -> Result<Option<(String, Bytes)>> {
        Ok(self.source.large(file)?.map(|bytes| (self.source.name(file), bytes)))
    }

    /// What its family is called in error messages.
    pub(super) fn family(&self) -> &'static str {
        match self.config.family {
            Family::Gpt2 => "GPT-2",
            other => other.name(),
        }
    }

    /// Which tensor of its files holds which parameter.
    pub(super) fn names(&self) -> &'static [Named] {
        match (self.writer, gguf::of_family(self.config.family)) {
            (Writer::Gguf, Some(architecture)) => architecture.names,
            _ => self.config.family.form().names,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The authors' advice for generating.
    pub fn generation(&self) -> &GenerationConfig {
        &self.generation
    }

    /// The tokenizer, if there is one; see [`assumes_gpt2`](Folder::assumes_gpt2).
    pub fn tokenizer(&self) -> Result<Option<Tokenizer>> {
        if let Some(own) = &self.own {
            return Ok(own.tokenizer.clone());
        }
        if self.assumes_gpt2() {
            return Ok(Some(Tokenizer::gpt2()));
        }
        let Some(names) = self.vocabulary_files() else { return Ok(None) };
        let mut files = Vec::new();
        for name in names {
            files.extend(self.source.small(name, LONGEST_TEXT)?.map(|text| (self.source.name(name), text)));
        }
        vocabulary::read(&files, &self.beside()?).map(Some)
    }

    fn vocabulary_files(&self) -> Option<&'static [&'static str]> {
        files::in_folder(|name| self.source.has(name))
    }

    /// Whether GPT-2's tokenizer was chosen only because of the vocabulary's size: other programs' checkpoints do
    /// not contain a tokenizer, and there is none in the same folder. nanoGPT gives GPT-2's 50,257 tokens 50,304
    /// rows.
    pub fn assumes_gpt2(&self) -> bool {
        matches!(self.writer, Writer::LlmC | Writer::NanoGpt)
            && matches!(self.config.vocabulary, 50_257 | 50_304)
            && self.vocabulary_files().is_none()
    }

    /// The chat template, if there is one, from `chat_template.jinja` or else from `tokenizer_config.json`.
    pub fn template(&self) -> Result<Option<Template>> {
        match &self.own {
            Some(own) => gguf::template(self.tensors.file(), own),
            None => template::open(&self.source),
        }
    }

    /// What its files hold that is not used, or that others read otherwise, a sentence each.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let file = self.tensors.file();
        let heads: Vec<&str> = self.tensors.names().filter(|name| names::is_other_head(name)).collect();
        if !heads.is_empty() {
            let heads = heads.join(", ");
            remarks.push(format!("{file}: not used, since it is another head than the unembedding: {heads}"));
        }
        let pictures = self.tensors.names().filter(|name| names::is_for_pictures(name)).count();
        if pictures > 0 {
            remarks.push(format!(
                "{file}: not used, since texts alone are read: {pictures} tensors for pictures"
            ));
        }
        if self.tensors.old_norms {
            remarks.push(format!(
                "{file}: the norms' gamma and beta, as old checkpoints call them, are read as weight and bias; \
                 transformers 5 leaves them aside and starts with new norms"
            ));
        }
        // A tokenizer that cannot be read is an error only when it is needed.
        remarks.extend(self.read_otherwise().ok().flatten());
        remarks
    }

    /// What lies beside the vocabulary.
    fn beside(&self) -> Result<Beside> {
        Beside::read(|name| {
            Ok(self.source.small(name, LONGEST_TEXT)?.map(|text| (self.source.name(name), text)))
        })
    }

    /// Where `transformers` can give other ids than tokenizer.json says.
    fn read_otherwise(&self) -> Result<Option<String>> {
        if self.own.is_some() || self.vocabulary_files() != Some(&[files::JSON]) {
            return Ok(None);
        }
        let name = self.source.name(files::JSON);
        let Some(text) = self.source.small(files::JSON, LONGEST_TEXT)? else { return Ok(None) };
        Ok(self.beside()?.made_anew(&name, &text)?.map(|class| {
            format!(
                "{name}: read as it says; transformers 5 opens it as {class}, which makes the normalizer and the \
                 pre_tokenizer anew, so its ids can differ (as PreTrainedTokenizerFast it takes them from the file)"
            )
        }))
    }

    /// The dtype of the weights: the widest one found, with f32 for f64.
    pub fn dtype(&self) -> Dtype {
        let stored = |name: &str| self.tensors.get(name).and_then(|found| found.tensor.dtype.clone().ok());
        self.tensors
            .names()
            .filter(|name| !names::is_constant(name) && !names::is_for_pictures(name))
            .filter_map(stored)
            .map(|dtype| if dtype == Dtype::F64 { Dtype::F32 } else { dtype })
            .reduce(|a, b| if a == b { a } else { Dtype::F32 })
            .unwrap_or(Dtype::F32)
    }
}
