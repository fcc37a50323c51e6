//! `samples.jsonl`: what the model said during the run, a line for each sample.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use glass::atomic_write::replace;
use serde_json::{Value, json};

/// Its name in the run's own folder.
const NAME: &str = "samples.jsonl";

/// The run begins, or continues, after `step`: later samples are dropped.
pub fn begin(folder: &Path, step: u64) -> io::Result<()> {
    let path = folder.join(NAME);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        text => text?,
    };
    let at = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("step")?.as_u64();
    let kept: String =
        text.split_inclusive('\n').filter(|line| at(line).is_some_and(|at| at <= step)).collect();
    replace(&path, kept.as_bytes())
}

/// Adds a sample.
pub fn add(folder: &Path, step: u64, text: &str) -> io::Result<()> {
    let mut file = File::options().create(true).append(true).open(folder.join(NAME))?;
    writeln!(file, "{}", json!({"step": step, "text": text}))
}
