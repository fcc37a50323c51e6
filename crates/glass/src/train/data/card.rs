//! The data card: what a model was learned from, in numbers.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::train::data::corpus::Dropped;
use crate::train::data::set::Set;
use crate::train::json::write_json;
use crate::{Error, Result};

/// What was learned from and validated on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Another one where the data are others.
    pub hash: String,
    /// Files that were read.
    pub files: usize,
    /// All that was learned from and validated on.
    pub all: Share,
    /// Bytes of text a token, where known.
    pub bytes_per_token: Option<f64>,
    /// What was left out.
    pub dropped: Dropped,
    /// Learned from.
    pub train: Share,
    /// Validated on.
    pub validation: Share,
    /// How they were parted: a share drawn by a seed, or none where they were given apart.
    pub split: Option<Split>,
}

/// A part of the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Documents or conversations, where known.
    pub documents: Option<u64>,
    /// Bytes of text, where known; of conversations, of what is learned.
    pub bytes: Option<u64>,
    /// Tokens.
    pub tokens: u64,
}

/// A share that validates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// Of the bytes, the conversations or the ids.
    pub fraction: f64,
    /// What the documents were drawn by.
    pub seed: u64,
}

impl Share {
    /// Of a set.
    pub fn of(set: &Set) -> Share {
        let documents = (set.documents > 0).then_some(set.documents as u64);
        Share { documents, bytes: set.bytes, tokens: set.tokens() as u64 }
    }

    fn and(self, other: Share) -> Share {
        let sum = |ours: Option<u64>, theirs: Option<u64>| match (ours, theirs) {
            (Some(ours), theirs) => Some(ours + theirs.unwrap_or(0)),
            (None, theirs) => theirs,
        };
        Share {
            documents: sum(self.documents, other.documents),
            bytes: sum(self.bytes, other.bytes),
            tokens: self.tokens + other.tokens,
        }
    }
}

impl Card {
    /// Of two sets, read from so many files.
    pub fn new(
        hash: String,
        files: usize,
        dropped: Dropped,
        split: Option<Split>,
        train: &Set,
        validation: &Set,
    ) -> Card {
        let (train, validation) = (Share::of(train), Share::of(validation));
        let all = train.and(validation);
        let bytes_per_token = all.bytes.map(|bytes| bytes as f64 / all.tokens.max(1) as f64);
        Card { hash, files, all, bytes_per_token, dropped, train, validation, split }
    }

    /// Writes it as `train/data.json` into a run's folder.
    pub fn write(&self, run: &Path) -> Result<()> {
        let folder = run.join("train");
        std::fs::create_dir_all(&folder)
            .map_err(|error| Error::io("cannot make the folder", &folder, error))?;
        write_json(&folder.join("data.json"), self)
    }
}
