//! The argument MODEL: a directory or a checkpoint's file, or, where only the plan is needed, a preset; without it, the
//! model inside.

use std::ops::Deref;
use std::path::Path;

use glass::Config;
use glass::backend::{Cpu, Packing};
use glass::config::preset::{PRESETS, Preset};
use glass::engine::Engine;
use glass::loaded::Loaded;
use glass::tokens::Tokenizer;
use glass::weights::folder::Folder;

use crate::args::{CacheArgs, MachineArgs, Packings};
use crate::embedded;
use crate::fail::{Fail, say};
use crate::tokens::visible;

/// A model's name and shape.
pub fn plan(model: Option<&str>) -> Result<(String, Config), Fail> {
    match model.and_then(preset) {
        Some(preset) => Ok((preset.name.into(), preset.config())),
        None => Ok((name(model), open(model)?.config().clone())),
    }
}

/// A model that is loaded more than once: a folder's, or a preset's with random weights.
pub struct Subject<'a> {
    /// What it is called.
    pub name: String,
    /// Its shape.
    pub config: Config,
    /// Whether its files hold it in fewer bits already.
    pub quantised: bool,
    model: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// Looks at what is there.
    pub fn open(model: Option<&'a str>) -> Result<Self, Fail> {
        let (name, config) = plan(model)?;
        let quantised = model.and_then(preset).is_none() && open(model)?.is_quantised();
        Ok(Subject { name, config, quantised, model })
    }

    /// In how many bits it can be run; of a packed model that is its own affair.
    pub fn packings(&self, asked: &Packings) -> Result<Vec<Option<Packing>>, Fail> {
        match (self.quantised, asked.asked.is_empty()) {
            (true, true) => Ok(vec![None]),
            (true, false) => Err(Fail::asked(format!(
                "--packing: {} is packed already and runs as it is; leave --packing out",
                self.name
            ))),
            (false, _) => Ok(asked.of().into_iter().map(Some).collect()),
        }
    }

    /// Loads it.
    pub fn load(&self, threads: usize, packing: Option<Packing>) -> glass::Result<Loaded<Cpu>> {
        let cpu = Cpu::new(threads);
        if let Some(preset) = self.model.and_then(preset) {
            return Loaded::random(cpu, &preset.config(), packing.unwrap_or_default(), 1);
        }
        let folder = match self.model {
            Some(path) => Folder::open(Path::new(path))?,
            None => embedded::folder()?,
        };
        let engine = match packing {
            Some(packing) => Engine::packed(cpu, folder, packing)?,
            None => Engine::new(cpu, folder)?,
        };
        Ok(engine.into_loaded())
    }
}

/// A preset; a directory of that name comes first.
fn preset(name: &str) -> Option<Preset> {
    Preset::named(name).filter(|_| !Path::new(name).is_dir())
}

/// What a model is called.
pub fn name(model: Option<&str>) -> String {
    model.unwrap_or(embedded::NAME).into()
}

/// A model's directory or checkpoint, or the model inside. Whose vocabulary it has is said where it does not say it.
pub fn folder(model: Option<&str>) -> Result<Folder, Fail> {
    let folder = open(model)?;
    if folder.assumes_gpt2() {
        say(&format!(
            "{}: no vocabulary is in it or beside it; its size is GPT-2's, which is taken",
            name(model)
        ));
    }
    Ok(folder)
}

fn open(model: Option<&str>) -> Result<Folder, Fail> {
    let Some(name) = model else { return embedded::open() };
    let path = Path::new(name);
    if path.exists() {
        return Ok(Folder::open(path)?);
    }
    if preset(name).is_some() {
        return Err(Fail::asked(format!(
            "MODEL: {name} is a preset, a plan without weights; name a model's directory or checkpoint"
        )));
    }
    Err(unknown("MODEL", name))
}

/// Neither a file nor a preset.
pub fn unknown(option: &str, name: &str) -> Fail {
    let presets: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    let presets = presets.join(", ");
    let what = if option == "MODEL" { "neither a directory, a checkpoint nor a preset" } else { "no preset" };
    Fail::asked(format!("{option}: {name:?} is {what}; the presets are {presets}"))
}

/// A model's tokenizer; a preset's is GPT-2's, which is built in.
pub fn tokenizer(model: Option<&str>) -> Result<Tokenizer, Fail> {
    if model.and_then(preset).is_some() {
        return Ok(Tokenizer::gpt2());
    }
    folder(model)?.tokenizer()?.ok_or_else(|| no_tokenizer(&name(model)))
}

fn no_tokenizer(name: &str) -> Fail {
    Fail::asked(format!(
        "{name}: there is no vocabulary (tokenizer.json), so it has ids but no text; give --ids instead"
    ))
}

/// A vocabulary: `gpt2`, or a file or folder that [holds one](Tokenizer::open).
pub fn vocabulary(option: &str, name: &str) -> Result<Tokenizer, Fail> {
    let path = Path::new(name);
    match (name, path.is_dir()) {
        ("gpt2", false) => Ok(Tokenizer::gpt2()),
        _ if path.exists() => Ok(Tokenizer::open(path)?),
        _ => Err(Fail::asked(format!(
            "{option}: {name:?} is not there; give gpt2, a vocabulary's file (tokenizer.json, vocab.json, .tiktoken), \
             or a folder with one"
        ))),
    }
}

/// What the machine's options ask for. Tokenising keeps to as many threads as computing.
pub fn cpu(machine: &MachineArgs) -> Cpu {
    let threads = machine.threads.map_or_else(Cpu::available_threads, usize::from);
    // A pool that is there already stays.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    Cpu::new(threads)
}

/// A model that runs, and what it was called.
pub struct Model {
    /// As it was asked for.
    pub name: String,
    engine: Engine<Cpu>,
}

impl Deref for Model {
    type Target = Engine<Cpu>;

    fn deref(&self) -> &Engine<Cpu> {
        &self.engine
    }
}

impl Model {
    /// Opens a model.
    pub fn open(model: Option<&str>, machine: &MachineArgs, cache: &CacheArgs) -> Result<Model, Fail> {
        let mut engine = Engine::new(cpu(machine), folder(model)?)?;
        engine.cache = cache.kind().unwrap_or(engine.cache);
        Ok(Model { name: name(model), engine })
    }

    /// The tokenizer, for commands that need one.
    pub fn tokenizer(&self) -> Result<&Tokenizer, Fail> {
        self.engine.tokenizer.as_ref().ok_or_else(|| no_tokenizer(&self.name))
    }

    /// A token's text, made visible; without a tokenizer, its id.
    pub fn piece(&self, id: u32) -> String {
        match &self.engine.tokenizer {
            Some(_) => visible(self.engine.bytes(id)),
            None => id.to_string(),
        }
    }
}
