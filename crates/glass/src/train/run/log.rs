//! `log.jsonl`: one line per step.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::train::learner::objective::Details;
use crate::{Error, Result};

/// One step in the log. Times and values derived from them are null if there is no clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedStep {
    /// The step, from 1.
    pub step: u64,
    /// Mean nats per counted token of this step's batch; of pairs, their mean loss.
    pub loss: f64,
    /// What else was measured of the batch.
    #[serde(flatten)]
    pub details: Details,
    /// Mean nats per token of the validation set, when it was evaluated after this step.
    pub val_loss: Option<f64>,
    /// The share of the validation set's pairs that are ordered as preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_accuracy: Option<f64>,
    /// The same in bits per byte of text.
    pub bits_per_byte: Option<f64>,
    /// `val_loss` of each set of a mixture, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub val_losses: BTreeMap<String, f64>,
    /// Learning rate.
    pub lr: f32,
    /// The gradient's norm before clipping.
    pub grad_norm: f64,
    /// Tokens of this step divided by its seconds.
    pub tokens_per_second: Option<f64>,
    /// Share of the machine's peak arithmetic that was used (model FLOPs utilisation).
    pub mfu: Option<f64>,
    /// Tokens seen since the run began.
    pub tokens: u64,
    /// Seconds since the run began, without the time it was stopped.
    pub seconds: Option<f64>,
}

/// The log, open for appending.
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens the log of a run at step `step`: lines of later steps and incomplete lines are cut off. Also returns
    /// the seconds that the run had taken.
    pub fn open(path: &Path, step: u64) -> Result<(Log, f64)> {
        let failed = |error| Error::io("cannot write", path, error);
        let (mut end, mut seconds) = (0, 0.0);
        let text = match fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            text => text.map_err(|error| Error::io("cannot read", path, error))?,
        };
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            match serde_json::from_slice::<LoggedStep>(line) {
                Ok(known) if known.step <= step && line.ends_with(b"\n") => {
                    end += line.len();
                    seconds = known.seconds.unwrap_or(seconds);
                }
                _ => break,
            }
        }
        let file = File::options().create(true).append(true).open(path).map_err(failed)?;
        file.set_len(end as u64).map_err(failed)?;
        Ok((Log { path: path.to_path_buf(), file }, seconds))
    }

    /// Adds a line.
    pub fn add(&mut self, line: &LoggedStep) -> Result<()> {
        let failed = |error| Error::io("cannot write", &self.path, error);
        let mut text = serde_json::to_vec(line).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(failed)
    }

    /// Syncs the log to disk.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|error| Error::io("cannot write", &self.path, error))
    }
}
