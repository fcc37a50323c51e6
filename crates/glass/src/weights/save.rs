//! Writes a model's directory, which `transformers` can open as it is (`GPT2LMHeadModel`, `AutoTokenizer`).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::dtype::Dtype;
use super::generation::GenerationConfig;
use super::names::{Place, RowMap, TensorKind};
use super::{Read, copy, safetensors, tensors};
use crate::atomic_write::AtomicWrite;
use crate::families::Family;
use crate::plan::{Plan, Spec};
use crate::tokens::Tokenizer;
use crate::{Config, Error, Result};

/// The contents of a directory apart from the weights.
#[derive(Clone, Copy)]
pub struct Save<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Its parameters.
    pub plan: &'a Plan,
    /// How to store them.
    pub dtype: Dtype,
    /// The tokenizer, if there is one.
    pub tokenizer: Option<&'a Tokenizer>,
    /// The chat template's source, if there is one.
    pub template: Option<&'a str>,
    /// The token that ends a text, and begins one where the tokenizer names no other.
    pub end_of_text: Option<u32>,
    /// Sampling advice; without it, texts end at `end_of_text`.
    pub generation: Option<&'a GenerationConfig>,
}

impl Save<'_> {
    /// The token that a text begins with: before every text, or named for it, or the one between texts.
    fn start(&self) -> Option<u32> {
        let named = |tokenizer: &Tokenizer| {
            tokenizer.start().first().copied().or_else(|| tokenizer.role("bos_token"))
        };
        self.tokenizer.and_then(named).or(self.end_of_text)
    }

    /// The token that a text ends with.
    fn end(&self) -> Option<u32> {
        self.tokenizer.and_then(|tokenizer| tokenizer.role("eos_token")).or(self.end_of_text)
    }
}

/// Writes `what` with the numbers that `weights` gives (the form that [`Folder::read`](super::folder::Folder::read)
/// has; of tables it is asked for [some](Spec::some) rows at a time). All files are written aside and synced, then
/// renamed: until then, the old contents of `dir` are unchanged. One matrix at a time is in memory.
pub fn save(dir: &Path, what: &Save<'_>, weights: &Read<'_>) -> Result<()> {
    let mut files = AtomicWrite::new(dir)?;
    files.write(tensors::FILE, |put| write_tensors(put, what, weights))?;
    write_texts(&mut files, what, None)?;
    files.commit()
}

/// All files but the weights; `quantised` says how those are packed, where they are.
pub(super) fn write_texts(aside: &mut AtomicWrite, what: &Save<'_>, quantised: Option<Value>) -> Result<()> {
    let mut text = |name: &str, text: String| aside.write(name, |put| put(text.as_bytes()));
    let mut config = what.config.to_object(what.dtype.torch_name(), [what.start(), what.end()]);
    config.extend(quantised.map(|quantised| ("quantization_config".to_string(), quantised)));
    text("config.json", format!("{:#}\n", Value::Object(config)))?;
    let advice = GenerationConfig { eos: what.end().into_iter().collect(), ..GenerationConfig::default() };
    let mut advice = what.generation.cloned().unwrap_or(advice);
    // What is before every text counts, also where other tokens were advised.
    let before = what.tokenizer.and_then(|tokenizer| tokenizer.start().first().copied());
    if what.generation.is_none() || before.is_some() {
        advice.bos = what.start();
    }
    text("generation_config.json", advice.to_json())?;
    write_vocabulary(aside, what)
}

/// The tokenizer and the chat template.
pub(super) fn write_vocabulary(aside: &mut AtomicWrite, what: &Save<'_>) -> Result<()> {
    let mut text = |name: &str, text: String| aside.write(name, |put| put(text.as_bytes()));
    if let Some(tokenizer) = what.tokenizer {
        text("tokenizer.json", tokenizer.to_json())?;
        text("tokenizer_config.json", tokenizer_config(what, tokenizer))?;
    }
    if let Some(template) = what.template {
        text("chat_template.jinja", template.to_string())?;
    }
    Ok(())
}

/// How many floats are converted to bytes at once.
const PORTION: usize = 1 << 18;

/// A tensor of the file and the parameters it joins; no parameters for biases that the model does not have.
pub(super) struct Joined<'a> {
    /// The first parameter that it has a place for.
    pub ours: String,
    pub whole: Place,
    pub parts: Vec<(Place, &'a Spec)>,
}

fn write_tensors(
    put: &mut dyn FnMut(&[u8]) -> Result<()>,
    what: &Save<'_>,
    weights: &Read<'_>,
) -> Result<()> {
    let form = what.config.form();
    let has_zeros = form.family == Family::Gpt2 && !what.config.bias.any();
    let place = |parameter: &str| form.place(what.config, parameter);
    let all = tensors_of(what.plan, &place, has_zeros)?;
    let shapes: Vec<_> = all.iter().map(|(name, tensor)| (name.clone(), tensor.whole.shape())).collect();
    put(&safetensors::write_header(&shapes, what.dtype)?)?;
    let (mut part, mut whole, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    let mut narrow = |values: &[f32]| {
        bytes.clear();
        what.dtype.narrow(&mut bytes, values);
        put(&bytes)
    };
    for Joined { whole: place, parts, .. } in all.values() {
        if let [(Place { kind: TensorKind::Table, rows: RowMap::Straight, .. }, spec)] = &parts[..] {
            // Tables are read some rows at a time: the token embedding is the largest of all.
            let rows = (PORTION / spec.cols).max(1);
            for first in (0..spec.rows).step_by(rows) {
                let some = spec.some(first..spec.rows.min(first + rows));
                part.resize(some.span.len(), 0.0);
                weights(&some, &mut part)?;
                narrow(&part)?;
            }
            continue;
        }
        whole.clear();
        whole.resize(place.inputs * place.of, 0.0);
        for (place, spec) in parts {
            part.resize(spec.rows * spec.cols, 0.0);
            weights(spec, &mut part)?;
            match place.kind {
                TensorKind::Conv1d => {
                    copy::turned_back(&mut whole, place.inputs, &part, place.first, place.of)
                }
                TensorKind::Table | TensorKind::Vector => {
                    for (row, part) in part.chunks_exact(place.inputs).enumerate() {
                        let at = place.row(row) * place.inputs;
                        whole[at..at + place.inputs].copy_from_slice(part);
                    }
                }
            }
        }
        whole.chunks(PORTION).try_for_each(&mut narrow)?;
    }
    Ok(())
}

/// The file's tensors in its order, by name; `has_zeros` if it holds biases that the model does not have.
pub(super) fn tensors_of<'a>(
    plan: &'a Plan,
    place: &dyn Fn(&str) -> Option<Place>,
    has_zeros: bool,
) -> Result<BTreeMap<String, Joined<'a>>> {
    let mut all: BTreeMap<String, Joined<'_>> = BTreeMap::new();
    let mut join = |name: &str, spec: Option<&'a Spec>| {
        let place = place(name)?;
        let whole = Place { first: 0, outputs: place.of, rows: RowMap::Straight, ..place.clone() };
        let joined = Joined { ours: name.to_string(), whole, parts: Vec::new() };
        let tensor = all.entry(place.written.clone()).or_insert(joined);
        tensor.parts.extend(spec.map(|spec| (place, spec)));
        Some(())
    };
    for spec in &plan.specs {
        join(&spec.name, Some(spec)).ok_or_else(|| {
            Error::invalid_argument(&spec.name, "has no tensor in such a model's files; it cannot be saved")
        })?;
        // Tables have no bias, and so no place for one.
        if has_zeros
            && !spec.name.contains("embedding")
            && let Some(layer) = spec.name.strip_suffix(".weight")
        {
            let _ = join(&format!("{layer}.bias"), None);
        }
    }
    Ok(all)
}

fn tokenizer_config(what: &Save<'_>, tokenizer: &Tokenizer) -> String {
    let text = |id: u32| tokenizer.token(id).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let mut all = Map::new();
    all.insert("add_bos_token".into(), json!(!tokenizer.start().is_empty()));
    all.insert("add_eos_token".into(), json!(!tokenizer.end().is_empty()));
    all.insert("add_prefix_space".into(), json!(tokenizer.adds_prefix_space()));
    let end = what.end_of_text.or(tokenizer.end_of_text()).and_then(text);
    let start = tokenizer.start().first().and_then(|id| text(*id)).or(end);
    for (role, default) in [("bos_token", start), ("eos_token", end), ("unk_token", end)] {
        all.extend(default.map(|text| (role.to_string(), json!(text))));
    }
    for (role, id) in tokenizer.roles() {
        all.extend(text(id).map(|text| (role.to_string(), json!(text))));
    }
    if let Some(start) = tokenizer.start().first().and_then(|id| text(*id)) {
        all.insert("bos_token".into(), json!(start));
    }
    all.insert("clean_up_tokenization_spaces".into(), json!(false));
    all.insert("model_max_length".into(), json!(what.config.context));
    all.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
    format!("{:#}\n", Value::Object(all))
}
