//! The argument MODEL: a folder or a checkpoint file, a name in the Hugging Face cache, or a preset if no weights are
//! needed; by default, the built-in model.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use glass::Config;
use glass::backend::{Cpu, InputScales, Packing};
use glass::config::preset::{PRESETS, Preset};
use glass::guess::{Draft, FILE};
use glass::model::Gpt;
use glass::runtime::Model;
use glass::text_model::TextModel;
use glass::tokens::chat::Template;
use glass::tokens::{Special, Tokenizer};
use glass::weights::adapter::file as adapter;
use glass::weights::folder::Folder;

use crate::args::{GuessArgs, MachineArgs, Packings, RunningArgs, StartArgs};
use crate::embedded;
use crate::fail::{Fail, say};
use crate::hub_cache;
use crate::out::count;
use crate::printable::visible;

/// The name and configuration of a model.
pub fn plan(model: Option<&str>) -> Result<(String, Config), Fail> {
    match model.and_then(preset) {
        Some(preset) => Ok((preset.name.into(), preset.config())),
        None => Ok((name(model), open(model, true)?.config().clone())),
    }
}

/// A model that is loaded several times: from a folder, or a preset with random weights.
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Its configuration.
    pub config: Config,
    /// Whether its files are quantised already.
    pub quantised: bool,
    from: From,
}

/// Where its weights are from.
enum From {
    Random(Preset),
    Path(PathBuf),
    BuiltIn,
}

/// A subject that runs.
pub enum Loaded {
    /// A preset with random weights.
    Random(Box<Model<Cpu>>),
    /// A model with its folder.
    Whole(Box<TextModel<Cpu>>),
}

impl Deref for Loaded {
    type Target = Model<Cpu>;

    fn deref(&self) -> &Model<Cpu> {
        match self {
            Loaded::Random(model) => model,
            Loaded::Whole(model) => model,
        }
    }
}

impl Subject {
    /// Reads its name and configuration.
    pub fn open(model: Option<&str>) -> Result<Self, Fail> {
        let (name, config) = plan(model)?;
        let from = match (model, model.and_then(preset)) {
            (None, _) => From::BuiltIn,
            (Some(_), Some(preset)) => From::Random(preset),
            (Some(model), None) => From::Path(located(model, true)?),
        };
        let quantised = !matches!(from, From::Random(_)) && open(model, true)?.is_quantised();
        Ok(Subject { name, config, quantised, from })
    }

    /// The packings to run it with; `None` stands for that of an already packed model.
    pub fn packings(&self, asked: &Packings) -> Result<Vec<Option<Packing>>, Fail> {
        match (self.quantised, asked.asked.is_empty()) {
            (true, true) => Ok(vec![None]),
            (true, false) => Err(Fail::asked(format!(
                "--packing: {} is already packed and can only run in its own packing; leave out --packing",
                self.name
            ))),
            (false, _) => Ok(asked.of().into_iter().map(Some).collect()),
        }
    }

    /// Loads it, with its draft if it has one.
    pub fn load(&self, cpu: Cpu, packing: Option<Packing>) -> glass::Result<Model<Cpu>> {
        Ok(match self.load_whole(cpu, packing)? {
            Loaded::Random(model) => *model,
            Loaded::Whole(mut model) => {
                model.open_draft()?;
                model.into_model()
            }
        })
    }

    /// Loads it with its folder and tokenizer, if it has a folder.
    pub fn load_whole(&self, cpu: Cpu, packing: Option<Packing>) -> glass::Result<Loaded> {
        let folder = match &self.from {
            From::Random(preset) => {
                let model = Model::random(cpu, &preset.config(), packing.unwrap_or_default(), 1)?;
                return Ok(Loaded::Random(Box::new(model)));
            }
            From::Path(path) => at(path).map_err(|fail| glass::Error::invalid(path.display(), fail))?,
            From::BuiltIn => embedded::folder()?,
        };
        Ok(Loaded::Whole(Box::new(match packing {
            Some(packing) => TextModel::packed(cpu, folder, packing)?,
            None => TextModel::new(cpu, folder)?,
        })))
    }
}

/// A preset; a folder of that name takes precedence.
fn preset(name: &str) -> Option<Preset> {
    Preset::named(&name.to_ascii_lowercase()).filter(|_| !Path::new(name).is_dir())
}

/// The name of a model in messages.
pub fn name(model: Option<&str>) -> String {
    model.unwrap_or(embedded::NAME).into()
}

/// A model's folder or checkpoint, or the built-in model. If its vocabulary is assumed, a remark says so.
pub fn folder(model: Option<&str>) -> Result<Folder, Fail> {
    let folder = open(model, false)?;
    folder.remarks().iter().for_each(|remark| say(remark));
    if folder.assumes_gpt2() {
        say(&format!(
            "{}: no vocabulary was found in it or next to it; GPT-2's is used, since it has the same size",
            name(model)
        ));
    }
    Ok(folder)
}

fn open(model: Option<&str>, presets: bool) -> Result<Folder, Fail> {
    match model {
        Some(name) => at(&located(name, presets)?),
        None => embedded::open(),
    }
}

/// Opens a model's folder or checkpoint; of an adapter, the model that it changes, with the change.
pub fn at(path: &Path) -> Result<Folder, Fail> {
    if !adapter::is_in(path) || path.join("config.json").exists() {
        return Ok(Folder::open(path)?);
    }
    let base = adapter::base(path)?;
    let beside = path.join(&base);
    let found = if beside.exists() { Ok(beside) } else { located(&base, false) };
    let found = found.map_err(|_| {
        Fail::asked(format!(
            "{}: it changes the model {base:?}, which is not here; fetch that, or name its place as base_model_name_or_path in \
             {}",
            path.display(),
            path.join(adapter::CONFIG).display()
        ))
    })?;
    let folder = Folder::open(&found)?;
    let (_, plan) = Gpt::plan(folder.config());
    Ok(folder.with_adapter(path, &plan)?)
}

/// Where a model is: at this path, or in the Hugging Face cache.
pub fn located(name: &str, presets: bool) -> Result<PathBuf, Fail> {
    let path = Path::new(name);
    if path.exists() {
        return Ok(path.into());
    }
    if let Some(cached) = hub_cache::model(name) {
        return cached;
    }
    if preset(name).is_some() {
        return Err(Fail::asked(format!(
            "MODEL: {name} is a preset, which has no weights; name a model's folder or a checkpoint file"
        )));
    }
    Err(match presets {
        true => unknown("MODEL", name, "not a file, a folder or a preset"),
        false => Fail::asked(format!(
            "MODEL: there is no file or folder {name:?}; give a model's folder, a .gguf or another checkpoint file"
        )),
    })
}

/// An error for an unknown name of a preset; similar names are suggested, otherwise all.
pub fn unknown(option: &str, name: &str, what: &str) -> Fail {
    let plain = |name: &str| name.to_ascii_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
    let family: String = plain(name).chars().take(4).collect();
    let begin_alike = |preset: &&str| family.len() == 4 && plain(preset).starts_with(&family);
    let all = || PRESETS.iter().map(|preset| preset.name);
    let similar: Vec<&str> = all().filter(begin_alike).collect();
    let distance = |preset: &&str| strsim::damerau_levenshtein(preset, &name.to_ascii_lowercase());
    let nearest = all().min_by_key(distance).filter(|preset| distance(preset) <= 2);
    let hint = nearest.map(|preset| format!(" (did you mean {preset}?)")).unwrap_or_default();
    let presets = if similar.is_empty() { all().collect() } else { similar };
    Fail::asked(format!("{option}: {name:?} is {what}{hint}; the presets are {}", presets.join(", ")))
}

/// A model's tokenizer; presets have GPT-2's, which is built in.
pub fn tokenizer(model: Option<&str>) -> Result<Tokenizer, Fail> {
    if model.and_then(preset).is_some() {
        return Ok(Tokenizer::gpt2());
    }
    folder(model)?.tokenizer()?.ok_or_else(|| no_tokenizer(&name(model)))
}

fn no_tokenizer(name: &str) -> Fail {
    Fail::asked(format!(
        "{name}: it has no vocabulary (tokenizer.json), so it works on ids only; give --ids instead of a text"
    ))
}

/// A vocabulary: `gpt2`, or a file or folder that [holds one](glass::weights::vocabulary::open).
pub fn vocabulary(option: &str, name: &str) -> Result<Tokenizer, Fail> {
    let path = Path::new(name);
    match (name, path.is_dir()) {
        ("gpt2", false) => Ok(Tokenizer::gpt2()),
        _ if path.exists() => Ok(glass::weights::vocabulary::open(path)?),
        _ if let Some(Ok(cached)) = hub_cache::model(name) => Ok(glass::weights::vocabulary::open(&cached)?),
        _ => Err(Fail::asked(format!(
            "{option}: there is no {name:?}; give gpt2, a vocabulary file (tokenizer.json, vocab.json, meta.pkl, .tiktoken), or a \
             folder with one"
        ))),
    }
}

/// Reports how many bytes of a text have no token.
pub fn unknown_bytes(tokenizer: &Tokenizer, text: &[u8], special: Special) {
    let unknown = tokenizer.unknown_bytes(text, special);
    if unknown > 0 {
        let bytes = count(unknown, "byte");
        say(&format!(
            "{bytes} of the text have no token in this vocabulary and are left out, as in tokenizers"
        ));
    }
}

/// The processor, as set by the machine's options. Tokenising uses the same number of threads.
pub fn cpu(machine: &MachineArgs) -> Cpu {
    let threads = machine.threads.map_or_else(Cpu::available_threads, usize::from);
    // An error means that the pool exists already, which is fine.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    Cpu::new(threads)
}

/// Seconds since the program began to measure.
pub fn clock() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// Whether a path is a draft that was learned, or a folder with one; otherwise it is a smaller model.
fn is_draft(path: &Path) -> bool {
    let is_gguf = path.extension().is_some_and(|extension| extension == "gguf");
    if path.is_dir() { path.join(FILE).exists() } else { path.is_file() && !is_gguf }
}

/// The model guesses ahead, as these options say.
pub fn guess(model: &mut TextModel<Cpu>, args: &GuessArgs) -> Result<(), Fail> {
    model.clock = Some(clock);
    match args.draft.as_deref() {
        None => model.open_draft()?,
        Some("none") => {}
        Some(name) if is_draft(Path::new(name)) => {
            let (path, config) = (Path::new(name), model.config());
            let draft = Draft::open(path, config.vocabulary, config.width)?;
            model.guess_from(draft)?;
        }
        Some(name) => {
            let path = Path::new(name);
            let cached = if path.exists() { None } else { hub_cache::model(name).transpose()? };
            if !path.exists() && cached.is_none() {
                return Err(Fail::asked(format!(
                    "--draft: there is no file or folder {name:?}; give a draft that glass train --draft-for made, a smaller model with \
                     the same vocabulary, or none"
                )));
            }
            let folder = Folder::open(cached.as_deref().unwrap_or(path))?;
            // It is run by the model's own threads.
            model.guess_with(TextModel::new(Cpu::new(1), folder)?.into_model())?;
        }
    }
    Ok(())
}

/// A model that runs, and its name.
pub struct NamedModel {
    /// As given on the command line.
    pub name: String,
    model: TextModel<Cpu>,
    /// Whether a text gets no start token (--no-start).
    no_start: bool,
}

impl Deref for NamedModel {
    type Target = TextModel<Cpu>;

    fn deref(&self) -> &TextModel<Cpu> {
        &self.model
    }
}

impl NamedModel {
    /// Opens a model.
    pub fn open(
        model: Option<&str>,
        machine: &MachineArgs,
        running: &RunningArgs,
    ) -> Result<NamedModel, Fail> {
        NamedModel::of(model, machine, running, TextModel::new)
    }

    /// The same for looking inside, which reads the weights themselves: those of a model that an adapter changes are added up, as floats.
    pub fn merged(
        model: Option<&str>,
        machine: &MachineArgs,
        running: &RunningArgs,
    ) -> Result<NamedModel, Fail> {
        NamedModel::of(model, machine, running, |cpu, folder| match folder.adapter() {
            Some(_) => TextModel::packed(cpu, folder, Packing::F32),
            None => TextModel::new(cpu, folder),
        })
    }

    fn of(
        model: Option<&str>,
        machine: &MachineArgs,
        running: &RunningArgs,
        load: impl FnOnce(Cpu, Folder) -> glass::Result<TextModel<Cpu>>,
    ) -> Result<NamedModel, Fail> {
        let (scales, folder) = (running.inputs.scales(), folder(model)?);
        if scales != InputScales::default() && !folder.is_quantised() {
            say("--input-scales changes nothing: the weights are not quantised");
        }
        let mut opened = load(cpu(machine).with_input_scales(scales), folder)?;
        opened.cache = running.kind().unwrap_or(opened.cache);
        Ok(NamedModel { name: name(model), model: opened, no_start: false })
    }

    /// The same with guesses ahead, if there is something to guess from.
    pub fn guessing(mut self, args: &GuessArgs) -> Result<NamedModel, Fail> {
        guess(&mut self.model, args)?;
        Ok(self)
    }

    /// The same with --no-start: the start tokens of its files are left out.
    pub fn starting(mut self, start: &StartArgs) -> Result<NamedModel, Fail> {
        self.no_start = start.no_start;
        if let Some(tokenizer) = self.model.tokenizer.as_ref().filter(|_| start.no_start) {
            self.model.tokenizer = Some(tokenizer.with_start(&[])?);
        }
        Ok(self)
    }

    /// The chat template, if there is one. It decides whether a conversation has a start token.
    pub fn template(&self) -> Result<Option<Template>, Fail> {
        let template = self.model.folder.template()?;
        Ok(template.map(|template| if self.no_start { template.without_start() } else { template }))
    }

    /// The ids of a text for the model: with its start token first, if the files ask for one.
    pub fn ids(&self, text: &[u8], special: bool) -> Result<Vec<u32>, Fail> {
        let tokenizer = self.tokenizer()?;
        let special = if special { Special::Allowed } else { Special::Plain };
        unknown_bytes(tokenizer, text, special);
        if !tokenizer.end().is_empty() {
            let end: Vec<String> = tokenizer.end().iter().map(|id| self.piece(*id)).collect();
            say(&format!("the vocabulary adds {} at the end of a text; it is left out here", end.join(" ")));
        }
        Ok(tokenizer.encode_prompt(text, special))
    }

    /// The tokens before a document in which every token is scored; empty with --no-start.
    pub fn document_start(&self) -> Vec<u32> {
        if self.no_start { Vec::new() } else { self.model.start_tokens() }
    }

    /// The tokenizer, for commands that need one.
    pub fn tokenizer(&self) -> Result<&Tokenizer, Fail> {
        self.model.tokenizer.as_ref().ok_or_else(|| no_tokenizer(&self.name))
    }

    /// A token's text with visible spaces; its id if there is no tokenizer.
    pub fn piece(&self, id: u32) -> String {
        match &self.model.tokenizer {
            Some(_) => visible(self.model.bytes(id)),
            None => id.to_string(),
        }
    }
}
