//! The data card: statistics of the data that a model was trained on.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::train::data::corpus::{Dropped, Twins, hash};
use crate::train::data::set::{Samples, Set};
use crate::train::json::write_json;
use crate::{Error, Result};

/// The data that was learned from and validated on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// A hash of the data.
    pub hash: String,
    /// Files that were read.
    pub files: usize,
    /// All that was learned from and validated on.
    pub all: Share,
    /// Bytes of text per token, if known.
    pub bytes_per_token: Option<f64>,
    /// What was left out.
    pub dropped: Dropped,
    /// Learned from.
    pub train: Share,
    /// Validated on.
    pub validation: Share,
    /// How the data was split: a fraction drawn from a seed, or `None` if both sets were given separately.
    pub split: Option<Split>,
    /// Tokens to train on that are learned, once through the data.
    #[serde(default)]
    pub learned: u64,
    /// How long the conversations to train on are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<Lengths>,
    /// Documents that are nearly the same, if they were looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near_duplicates: Option<Twins>,
    /// The sources of a mixture.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
}

/// A source of a mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// What it is called: its path.
    pub name: String,
    /// Its share of the tokens in samples.
    pub share: f64,
    /// Its own card.
    pub card: Box<Card>,
}

/// A part of the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Documents or conversations, if known.
    pub documents: Option<u64>,
    /// Bytes of text, if known; for conversations, of the learned text.
    pub bytes: Option<u64>,
    /// Tokens.
    pub tokens: u64,
}

/// Lengths of conversations in tokens, as far as they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths {
    /// Half of them are at most this long.
    pub median: usize,
    /// 90 % of them are.
    pub percentile_90: usize,
    /// 99 % of them are.
    pub percentile_99: usize,
    /// The longest.
    pub longest: usize,
}

impl Lengths {
    /// Of the conversations of a set; `None` if it has none.
    pub fn of(set: &Set) -> Option<Lengths> {
        let sets = set.parts();
        let chats = sets.iter().flat_map(|(_, set)| set.samples.chats());
        let mut lengths: Vec<usize> = chats.map(|chat| chat.ids.len()).collect();
        lengths.sort_unstable();
        // The nearest rank: the shortest length that this share of them does not exceed.
        let at = |percent: usize| lengths.get((lengths.len() * percent).div_ceil(100).max(1) - 1).copied();
        Some(Lengths { median: at(50)?, percentile_90: at(90)?, percentile_99: at(99)?, longest: at(100)? })
    }
}

/// The fraction held out for validation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// A fraction of the bytes, the conversations or the ids.
    pub fraction: f64,
    /// The seed that the documents were drawn from.
    pub seed: u64,
}

impl Share {
    /// The statistics of a set.
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
    /// The card of two sets, read from `files` files.
    pub fn new(
        hash: String,
        files: usize,
        dropped: Dropped,
        split: Option<Split>,
        train: &Set,
        validation: &Set,
    ) -> Card {
        let (learned, lengths) = (train.learned() as u64, Lengths::of(train));
        let (train, validation) = (Share::of(train), Share::of(validation));
        let all = train.and(validation);
        let bytes_per_token = all.bytes.map(|bytes| bytes as f64 / all.tokens.max(1) as f64);
        Card {
            hash,
            files,
            all,
            bytes_per_token,
            dropped,
            train,
            validation,
            split,
            learned,
            lengths,
            near_duplicates: None,
            sources: Vec::new(),
        }
    }

    /// The card of a mixture, of whose sources these are the cards; data for validation alone have no name. Sources are in the
    /// order of the sets in `train`.
    pub fn of_mixture(cards: Vec<(Option<String>, Card)>, train: &Set, validation: &Set) -> Card {
        let all = || cards.iter().map(|(_, card)| card);
        let hashes: Vec<&[u8]> = all().map(|card| card.hash.as_bytes()).collect();
        let files = all().map(|card| card.files).sum();
        let dropped = all().map(|card| card.dropped).fold(Dropped::default(), Dropped::and);
        let is_separate = cards.iter().any(|(name, _)| name.is_none());
        let split = if is_separate { None } else { all().find_map(|card| card.split) };
        let whole = Card::new(hash(&hashes), files, dropped, split, train, validation);
        let shares: Vec<f64> = match &train.samples {
            Samples::Mix(mix) => mix.parts().iter().map(|part| part.share).collect(),
            _ => Vec::new(),
        };
        let twins = all().filter_map(|card| card.near_duplicates.clone()).reduce(Twins::and);
        let named = cards.into_iter().filter_map(|(name, card)| Some((name?, card)));
        let source = |((name, card), share)| Source { name, share, card: Box::new(card) };
        Card { sources: named.zip(shares).map(source).collect(), near_duplicates: twins, ..whole }
    }

    /// Writes it as `train/data.json` into a run's folder.
    pub fn write(&self, run: &Path) -> Result<()> {
        let folder = run.join("train");
        std::fs::create_dir_all(&folder)
            .map_err(|error| Error::io("cannot make the folder", &folder, error))?;
        write_json(&folder.join("data.json"), self)
    }
}
