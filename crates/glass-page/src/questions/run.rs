//! A training as its folder tells it, also while it is going on.

use std::fs;
use std::path::Path;

use glass::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Page;

/// The run's curve, its samples, and what was measured at its checkpoints, after a step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    #[serde(default)]
    since: u64,
}

/// Most lines of the log that are told at once; of more, evenly spread ones.
const MOST: usize = 4_000;

impl Run {
    pub(crate) fn answer(&self, page: &Page<'_>) -> Result<Value> {
        let Some(folder) = &page.run else {
            return Err(Error::invalid_argument(
                "run",
                "no run is watched; start glass serve with --run DIR",
            ));
        };
        let train = folder.join("train");
        let log = lines(&train.join("log.jsonl"), self.since)?;
        let apart = log.len().div_ceil(MOST).max(1);
        let last = log.last().cloned();
        let log: Vec<Value> = (log.into_iter().enumerate())
            .filter(|(at, line)| at % apart == 0 || line.get("val_loss").is_some_and(|loss| !loss.is_null()))
            .map(|(_, line)| line)
            .collect();
        let quiet = quiet(&train);
        Ok(json!({
            "name": folder.display().to_string(), "log": log, "last": last,
            "samples": lines(&train.join("samples.jsonl"), self.since)?, "looks": lines(&train.join("look.jsonl"), self.since)?,
            "quiet": quiet, "alive": quiet.is_some_and(|quiet| quiet < LONG),
        }))
    }
}

/// The lines of a file whose step is later; none, if there is no such file. A line that is being written is left out.
fn lines(path: &Path, since: u64) -> Result<Vec<Value>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|error| Error::io("cannot read", path, error))?,
    };
    let later = |line: &Value| {
        line.get("step").and_then(Value::as_u64).is_some_and(|step| step > since || since == 0)
    };
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(later).collect())
}

/// Seconds since the log was written last; `None`, if that is not known.
fn quiet(train: &Path) -> Option<u64> {
    let changed = fs::metadata(train.join("log.jsonl")).ok()?.modified().ok()?;
    Some(changed.elapsed().ok()?.as_secs())
}

/// A run that was quiet for longer has ended or waits.
const LONG: u64 = 60;
