//! A model's directory in the Hugging Face layout, opened: any GPT-2 checkpoint, or what [`save`](super::save) wrote. Or
//! a checkpoint of llm.c or nanoGPT, one file, which stands for `config.json` and the weights of the directory it is in.

use std::path::Path;

use glass_kernels::packing::{BLOCK, Quants};

use super::checkpoint::{self, Writer};
use super::generation::GenerationConfig;
use super::gguf::{self, Blocks};
use super::names::{self, Kind, Place, UNEMBEDDING};
use super::source::Source;
use super::tensors::{Found, Tensors};
use super::{copy, dtype::Dtype, packed, template, vocabulary};
use crate::backend::{Layout, Packing};
use crate::config::json;
use crate::config::object::{Object, short};
use crate::plan::{Plan, Spec};
use crate::tokens::chat::Template;
use crate::tokens::{Beside, Tokenizer, files};
use crate::{Config, Error, Result};

/// No file of texts in a model's directory is longer.
pub(super) const LONGEST_TEXT: u64 = 1 << 28;

/// How a parameter comes into memory.
pub(super) enum Form {
    /// As it stands in the file.
    Stored(Layout),
    /// Block by block of 32 weights.
    Quants(Packing),
    /// As floats, which are packed.
    Floats(Layout),
}

/// A model's directory. Its files stay mapped, and must not be overwritten in place meanwhile.
pub struct Folder {
    pub(super) source: Source,
    pub(super) writer: Writer,
    pub(super) config: Config,
    generation: GenerationConfig,
    pub(super) tensors: Tensors,
    /// What a file that holds everything holds besides.
    own: Option<gguf::Own>,
}

impl Folder {
    /// Opens a directory or a checkpoint. What its files promise is compared with each other before anything is
    /// allocated.
    pub fn open(path: &Path) -> Result<Folder> {
        match path.is_dir() {
            true => Folder::from_source(Source::Directory(path.to_path_buf())),
            false if path.exists() => Folder::from_checkpoint(path),
            false => Err(Error::invalid(
                path.display(),
                "is missing; a model's directory or checkpoint was expected",
            )),
        }
    }

    /// Opens a model that the program carries with it.
    pub fn embedded(name: &str, files: &[(&'static str, &'static [u8])]) -> Result<Folder> {
        Folder::from_source(Source::Embedded { name: name.to_string(), files: files.to_vec() })
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
        let packing = json::packing(&Object::parse(&what, &text)?)?;
        let writer = packing.map_or(Writer::Folder, Writer::Packed);
        Folder { tensors, source, writer, config, generation, own: None }.checked()
    }

    /// What may lie beside a checkpoint: a vocabulary, a chat template, advice for generating.
    fn from_checkpoint(path: &Path) -> Result<Folder> {
        let (writer, config, tensors, own) = checkpoint::open(path)?;
        let source = Source::Directory(path.parent().unwrap_or(Path::new("")).to_path_buf());
        let advice = source.small("generation_config.json", json::LONGEST)?;
        let generation = match (&own, advice) {
            (Some(own), _) => own.generation.clone(),
            (None, Some(text)) => {
                let advice = Object::parse(&source.name("generation_config.json"), &text)?;
                GenerationConfig::from_object(&advice)?
            }
            (None, None) => GenerationConfig::default(),
        };
        Folder { tensors, source, writer, config, generation, own }.checked()
    }

    fn checked(mut self) -> Result<Folder> {
        if self.config.tied {
            self.tensors.tie();
        }
        self.check_sizes()?;
        Ok(self)
    }

    /// How the matrices are packed, where they are.
    pub fn packing(&self) -> Option<Packing> {
        match self.writer {
            Writer::Packed(packing) => Some(packing),
            _ => None,
        }
    }

    /// Whether matrices are kept in fewer bits than a float has.
    pub fn is_quantised(&self) -> bool {
        let in_blocks = |name: &str| self.tensors.get(name).is_some_and(|found| found.tensor.dtype.is_err());
        self.packing().is_some()
            || self.writer == Writer::Gguf && self.tensors.names().into_iter().any(in_blocks)
    }

    /// How errors name one of its files.
    pub fn name(&self, file: &str) -> String {
        self.source.name(file)
    }

    /// The shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the makers advise for generating.
    pub fn generation(&self) -> &GenerationConfig {
        &self.generation
    }

    /// The tokenizer, where there is one; see [`assumes_gpt2`](Folder::assumes_gpt2).
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
        let beside = Beside::read(|name| {
            Ok(self.source.small(name, LONGEST_TEXT)?.map(|text| (self.source.name(name), text)))
        })?;
        vocabulary::read(&files, &beside).map(Some)
    }

    fn vocabulary_files(&self) -> Option<&'static [&'static str]> {
        files::in_folder(|name| self.source.has(name))
    }

    /// Whether the tokenizer is GPT-2's because of its size alone: other programs' checkpoints hold none, and none lies
    /// beside this one. nanoGPT gives GPT-2's 50,257 tokens 50,304 rows.
    pub fn assumes_gpt2(&self) -> bool {
        matches!(self.writer, Writer::LlmC | Writer::NanoGpt)
            && matches!(self.config.vocabulary, 50_257 | 50_304)
            && self.vocabulary_files().is_none()
    }

    /// The chat template, where there is one, from `chat_template.jinja` or else from `tokenizer_config.json`.
    pub fn template(&self) -> Result<Option<Template>> {
        match &self.own {
            Some(own) => gguf::template(self.tensors.file(), own),
            None => template::open(&self.source),
        }
    }

    /// What its files hold that is not used, a sentence each.
    pub fn remarks(&self) -> Vec<String> {
        let heads: Vec<&str> =
            self.tensors.names().into_iter().filter(|name| names::is_other_head(name)).collect();
        match heads[..] {
            [] => Vec::new(),
            _ => vec![format!(
                "{}: not used, since it is another head than the unembedding: {}",
                self.tensors.file(),
                heads.join(", ")
            )],
        }
    }

    /// How the weights are stored: the widest of the dtypes, f32 for f64.
    pub fn dtype(&self) -> Dtype {
        let stored = |name: &str| self.tensors.get(name).and_then(|found| found.tensor.dtype.clone().ok());
        self.tensors
            .names()
            .into_iter()
            .filter(|name| !names::is_mask(name))
            .filter_map(stored)
            .map(|dtype| if dtype == Dtype::F64 { Dtype::F32 } else { dtype })
            .reduce(|a, b| if a == b { a } else { Dtype::F32 })
            .unwrap_or(Dtype::F32)
    }

    /// One parameter, or some of its rows, `[rows, cols]`, whatever its dtype and orientation in the file.
    pub fn read(&self, spec: &Spec, into: &mut [f32]) -> Result<()> {
        if let Writer::Packed(packing) = self.writer {
            return self.read_packed(spec, packing, into);
        }
        let place = self.place(&spec.name)?;
        if let Some(blocks) = self.blocks(&place) {
            return self.read_blocks(spec, &place, blocks, into);
        }
        let (Found { bytes, .. }, dtype) = self.find(&place)?;
        within(spec, &place, into)?;
        let first = place.first + spec.first;
        match place.kind {
            Kind::Conv1d => copy::turned(into, place.inputs, bytes, dtype, first, place.of),
            Kind::Table | Kind::Vector => {
                let at = first * place.inputs * dtype.bytes();
                copy::straight(into, &bytes[at..at + into.len() * dtype.bytes()], dtype);
            }
        }
        Ok(())
    }

    /// What was read of its files has been made into something else: its memory may go.
    pub(super) fn forget(&self) {
        self.tensors.forget();
    }

    /// The blocks that a parameter is quantised in, where it is.
    fn blocks(&self, place: &Place) -> Option<Blocks> {
        let found = self.tensors.get(&place.tensor)?;
        Blocks::named(found.tensor.dtype.as_ref().err()?).filter(|_| self.writer == Writer::Gguf)
    }

    fn read_blocks(&self, spec: &Spec, place: &Place, blocks: Blocks, into: &mut [f32]) -> Result<()> {
        let found = self.shaped(place)?;
        within(spec, place, into)?;
        let row = place.inputs / blocks.len() * blocks.bytes();
        blocks.widen(into, &found.bytes[(place.first + spec.first) * row..][..spec.rows * row]);
        Ok(())
    }

    /// How a parameter comes into memory.
    pub(super) fn form(&self, spec: &Spec) -> Result<Form> {
        if let Writer::Packed(packing) = self.writer {
            return Ok(Form::Stored(packed::layout(spec, packing)));
        }
        let floats = |packing| Form::Floats(packed::layout(spec, packing));
        if self.writer != Writer::Gguf {
            return Ok(floats(Packing::F32));
        }
        let place = self.place(&spec.name)?;
        let dtype = self.tensors.get(&place.tensor).and_then(|found| found.tensor.dtype.as_ref().ok());
        Ok(match (self.blocks(&place), dtype) {
            _ if packed::layout(spec, Packing::F32) == Layout::Rows => Form::Floats(Layout::Rows),
            // Where their scales are of other kinds, 8 bits come nearest.
            (Some(blocks), _) => match blocks.packing() {
                Some(packing) => Form::Quants(packing),
                None => Form::Floats(Layout::Panels(Packing::Q8)),
            },
            (None, Some(Dtype::Bf16)) => Form::Floats(Layout::Panels(Packing::Bf16)),
            _ => Form::Floats(Layout::Panels(Packing::F32)),
        })
    }

    /// Whether its weights are run in fewer bits than a float has.
    pub fn is_packed(&self, plan: &Plan) -> Result<bool> {
        let dense = |form: Form| matches!(form, Form::Floats(layout) | Form::Stored(layout) if matches!(layout, Layout::Rows | Layout::Panels(Packing::F32)));
        let forms = plan.specs.iter().map(|spec| self.form(spec).map(|form| !dense(form)));
        forms.collect::<Result<Vec<_>>>().map(|packed| packed.contains(&true))
    }

    /// Block `block` of row `row` of a parameter that is quantised in blocks of 32.
    pub(super) fn quants(&self, spec: &Spec) -> Result<impl Fn(usize, usize) -> Quants + Sync> {
        let place = self.place(&spec.name)?;
        let found = self.shaped(&place)?;
        let blocks = self.blocks(&place).filter(|blocks| blocks.packing().is_some());
        let blocks = blocks.ok_or_else(|| {
            Error::invalid_argument(&spec.name, "is not quantised in blocks that a packing holds exactly")
        })?;
        let (row, size) = (place.inputs / BLOCK * blocks.bytes(), blocks.bytes());
        Ok(move |r: usize, block: usize| {
            let at = (place.first + r) * row + block * size;
            blocks.quants(&found.bytes[at..at + size]).expect("these have a packing")
        })
    }

    pub(super) fn place(&self, parameter: &str) -> Result<Place> {
        let place = names::place(&self.config, parameter).ok_or_else(|| {
            Error::invalid_argument(parameter, "is no parameter of a GPT-2; its files have no place for it")
        })?;
        Ok(match place.kind {
            Kind::Conv1d if self.writer.as_ours() && !self.is_turned(&place) => {
                Place { kind: Kind::Table, ..place }
            }
            _ => place,
        })
    }

    /// Whether a matrix of PyTorch's is `[inputs, outputs]`, as in a state dictionary of `transformers`' in a `.pt` file.
    fn is_turned(&self, place: &Place) -> bool {
        let shape = self.tensors.get("h.0.attn.c_attn.weight").map(|found| &found.tensor.shape[..]);
        self.writer == Writer::NanoGpt
            && place.kind == Kind::Conv1d
            && matches!(shape, Some([rows, cols]) if rows < cols)
    }

    /// How errors name what gives the shape.
    pub(super) fn shape_name(&self) -> String {
        match self.writer {
            Writer::Folder | Writer::Packed(_) => self.source.name("config.json"),
            _ => format!("{}: {}", self.tensors.file(), self.writer.shape()),
        }
    }

    /// A place's tensor, of the right shape.
    pub(super) fn shaped(&self, place: &Place) -> Result<Found<'_>> {
        let Some(found) = self.tensors.get(&place.tensor) else {
            let why = match place.tensor.as_str() {
                UNEMBEDDING => "is missing, though tie_word_embeddings is false in config.json".to_string(),
                _ => format!("is missing; {} promises it", self.writer.shape()),
            };
            return Err(Error::invalid(self.tensors.file(), format!("tensor {:?} {why}", place.tensor)));
        };
        if found.tensor.shape != place.shape() {
            let (shape, expected) = (short(&format!("{:?}", found.tensor.shape)), place.shape());
            let said = self.writer.shape();
            let why = format!("tensor {:?} has shape {shape}; {said} makes it {expected:?}", place.tensor);
            return Err(Error::invalid(found.file, why));
        }
        Ok(found)
    }

    /// Refuses a place without a tensor of its shape that can be read.
    pub(super) fn expect(&self, place: &Place) -> Result<()> {
        match self.blocks(place) {
            Some(_) => self.shaped(place).map(|_| ()),
            None => self.find(place).map(|_| ()),
        }
    }

    /// A place's tensor, of the right shape and a dtype that can be widened.
    pub(super) fn find(&self, place: &Place) -> Result<(Found<'_>, Dtype)> {
        let found = self.shaped(place)?;
        match &found.tensor.dtype {
            Ok(dtype) => Ok((found, *dtype)),
            Err(name) => {
                let why =
                    format!("tensor {:?} has dtype {name}; F64, F32, F16 or BF16 was expected", place.tensor);
                Err(Error::invalid(found.file, why))
            }
        }
    }
}

/// Refuses to read what a place does not hold, or into memory of another size.
fn within(spec: &Spec, place: &Place, into: &[f32]) -> Result<()> {
    let (numbers, asked) = (place.outputs * place.inputs, spec.rows * spec.cols);
    match into.len() == asked && spec.first * spec.cols + asked <= numbers {
        true => Ok(()),
        false => {
            let why = format!("{} × {} numbers were asked for, not {}", spec.rows, spec.cols, into.len());
            Err(Error::invalid_argument(&spec.name, why))
        }
    }
}
