//! The argument MODEL: a directory, or, where only the plan is needed, a preset; without it, the model inside.

use std::path::Path;

use glass::Config;
use glass::backend::Cpu;
use glass::config::preset::{PRESETS, Preset};
use glass::generate::Runner;
use glass::model::Gpt;
use glass::tokens::Tokenizer;
use glass::weights::folder::Folder;
use glass::weights::{Frozen, Weights};

use crate::args::MachineArgs;
use crate::embedded;
use crate::fail::Fail;

/// A model's name and shape.
pub fn plan(model: Option<&str>) -> Result<(String, Config), Fail> {
    match model.and_then(preset) {
        Some(preset) => Ok((preset.name.into(), preset.config())),
        None => Ok((name(model), folder(model)?.config().clone())),
    }
}

/// A preset; a directory of that name comes first.
fn preset(name: &str) -> Option<Preset> {
    Preset::named(name).filter(|_| !Path::new(name).is_dir())
}

fn name(model: Option<&str>) -> String {
    model.unwrap_or(embedded::NAME).into()
}

/// A model's directory, or the model inside.
pub fn folder(model: Option<&str>) -> Result<Folder, Fail> {
    let Some(name) = model else { return embedded::open() };
    let path = Path::new(name);
    if path.exists() {
        return Ok(Folder::open(path)?);
    }
    if preset(name).is_some() {
        return Err(Fail::asked(format!(
            "MODEL: {name} is a preset, a plan without weights; name the directory of a model"
        )));
    }
    Err(unknown("MODEL", name))
}

/// Neither a directory nor a preset.
pub fn unknown(option: &str, name: &str) -> Fail {
    let presets: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    let presets = presets.join(", ");
    let what = if option == "MODEL" { "neither a directory nor a preset" } else { "no preset" };
    Fail::asked(format!("{option}: {name:?} is {what}; the presets are {presets}"))
}

/// A model's tokenizer; the two presets' family has its vocabulary built in.
pub fn tokenizer(model: Option<&str>) -> Result<Tokenizer, Fail> {
    if model.and_then(preset).is_some() {
        return Ok(Tokenizer::gpt2());
    }
    folder(model)?.tokenizer()?.ok_or_else(|| no_tokenizer(&name(model)))
}

fn no_tokenizer(name: &str) -> Fail {
    Fail::asked(format!("{name}: there is no tokenizer.json, so it has ids but no text; give --ids instead"))
}

/// A vocabulary: `gpt2`, a `tokenizer.json`, or a folder with one.
pub fn vocabulary(option: &str, name: &str) -> Result<Tokenizer, Fail> {
    let path = Path::new(name);
    match (name, path.is_dir()) {
        (_, true) => Ok(Tokenizer::open(&path.join("tokenizer.json"))?),
        ("gpt2", _) => Ok(Tokenizer::gpt2()),
        _ if path.exists() => Ok(Tokenizer::open(path)?),
        _ => Err(Fail::asked(format!(
            "{option}: {name:?} is not there; give gpt2, a tokenizer.json, or a folder with one"
        ))),
    }
}

/// What the machine's options ask for.
pub fn cpu(machine: &MachineArgs) -> Cpu {
    Cpu::new(machine.threads.map_or_else(Cpu::available_threads, usize::from))
}

/// A model with its weights, ready to run.
pub struct Model {
    /// As it was asked for.
    pub name: String,
    /// Its directory.
    pub folder: Folder,
    /// Its tokenizer, where it has one.
    pub tokenizer: Option<Tokenizer>,
    gpt: Gpt,
    weights: Frozen<Cpu>,
    cpu: Cpu,
}

impl Model {
    /// Opens a model; every file is checked before its weights are loaded.
    pub fn open(model: Option<&str>, machine: &MachineArgs) -> Result<Model, Fail> {
        let (name, folder) = (name(model), folder(model)?);
        let (gpt, plan) = Gpt::plan(folder.config());
        gpt.can_run()?;
        folder.check(&plan)?;
        let tokenizer = folder.tokenizer()?;
        let (vocabulary, tokens) =
            (folder.config().vocabulary, tokenizer.as_ref().map_or(0, Tokenizer::vocabulary_size));
        if tokens > vocabulary {
            return Err(Fail::failed(format!(
                "{name}: tokenizer.json has {tokens} tokens, but the model's vocabulary is too small, {vocabulary}; \
                 they do not belong together"
            )));
        }
        let cpu = cpu(machine);
        let weights = Frozen::load(&cpu, &plan, &|spec, into| folder.read(spec, into))?;
        Ok(Model { name, folder, tokenizer, gpt, weights, cpu })
    }

    /// The tokenizer, for commands that need one.
    pub fn tokenizer(&self) -> Result<&Tokenizer, Fail> {
        self.tokenizer.as_ref().ok_or_else(|| no_tokenizer(&self.name))
    }

    /// Its shape.
    pub fn config(&self) -> &Config {
        &self.gpt.config
    }

    /// A sequence in front of it.
    pub fn runner(&self) -> Result<Runner<'_, Cpu>, Fail> {
        Ok(Runner::new(&self.cpu, &self.gpt, Weights::Frozen(&self.weights))?)
    }

    /// The token that stands before a text.
    pub fn start(&self) -> Option<u32> {
        self.folder.generation().bos.or(self.tokenizer.as_ref().and_then(Tokenizer::end_of_text))
    }

    /// The tokens that end a text.
    pub fn ends(&self) -> Vec<u32> {
        let mut ends = self.folder.generation().eos.clone();
        ends.extend(self.tokenizer.as_ref().and_then(Tokenizer::end_of_text));
        ends
    }

    /// A token's bytes; none where there is no tokenizer.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.tokenizer.as_ref().and_then(|tokenizer| tokenizer.token(id)).unwrap_or_default()
    }
}
