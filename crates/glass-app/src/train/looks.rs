//! `--look`: measures every checkpoint of a run, in `look.jsonl` and `look.svg`.

use std::path::{Path, PathBuf};

use glass::atomic_write::replace;
use glass::backend::Cpu;
use glass::train::order::evaluation;
use glass::train::set::Set;
use glass::{Config, Error};

use crate::args::TrainArgs;
use crate::fail::Fail;
use crate::look::grown::{Grown, LINES, drawn, written};

/// The measurements of a run's checkpoints.
pub struct Looks {
    /// The run's own folder, `DIR/train`.
    folder: PathBuf,
    name: String,
    config: Config,
    threads: usize,
    /// The text that each layer's logit lens is measured on.
    text: Option<Vec<u32>>,
    grown: Vec<Grown>,
}

impl Looks {
    /// For a run of this model, with lenses on the first sample of `set`.
    pub fn new(args: &TrainArgs, config: &Config, set: &Set) -> Looks {
        let sample = evaluation(set, config.context, 1, Some(1)).next();
        Looks {
            folder: args.out.join("train"),
            name: args.out.display().to_string(),
            config: config.clone(),
            threads: args.machine.threads.map_or_else(Cpu::available_threads, usize::from),
            text: sample.map(|sample| sample.inputs).filter(|ids| (2..=config.context).contains(&ids.len())),
            grown: Vec::new(),
        }
    }

    /// The run begins, or continues, after `step`: later measurements are dropped.
    pub fn begin(&mut self, step: u64) -> Result<(), Fail> {
        self.grown = written(&self.folder.join(LINES), &self.config, step);
        if self.grown.is_empty() { Ok(()) } else { self.write() }
    }

    /// Measures the checkpoint after `step`.
    pub fn look(&mut self, step: u64, checkpoint: &Path) -> Result<(), Fail> {
        let cpu = Cpu::new(self.threads);
        self.grown.push(Grown::measure(cpu, &self.config, (step, checkpoint), self.text.as_deref())?);
        self.write()
    }

    fn write(&self) -> Result<(), Fail> {
        let lines = self.grown.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>();
        let lines = lines.map_err(|error| Fail::failed(format!("it cannot be written as JSON: {error}")))?;
        put(&self.folder.join(LINES), &(lines.join("\n") + "\n"))?;
        let page = drawn(&self.grown, &self.config, format!("How {} grew", self.name));
        put(&self.folder.join("look.svg"), &page.svg())
    }
}

/// Written atomically: a reader finds the old file or the new one.
fn put(path: &Path, text: &str) -> Result<(), Fail> {
    Ok(replace(path, text.as_bytes()).map_err(|error| Error::io("cannot write", path, error))?)
}
