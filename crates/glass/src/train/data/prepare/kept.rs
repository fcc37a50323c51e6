//! Token shards in a folder.
//!
//! ```text
//! FOLDER/<key>/lock              held while the data is prepared
//! FOLDER/<key>/train-00000.bin   ids, little-endian, two or four bytes each, as `shards` reads them
//! FOLDER/<key>/validation-00000.bin
//! FOLDER/<key>/data.json         which shards are complete, and finally the data card
//! ```
//!
//! The key is a hash of everything that determines the ids: the files' bytes, how they are read and split, and the
//! vocabulary.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Encoding, Filled, Place, Prepared, Work, card};
use crate::atomic_write::replace;
use crate::train::content::Content;
use crate::train::data::card::Card;
use crate::train::data::corpus::{Corpus, Doing, Parts, Progress, Report, Subset, hash};
use crate::train::data::ids::Width;
use crate::train::data::set::{Samples, Set};
use crate::train::json::{read_json, write_json};
use crate::train::shards;
use crate::{Error, Result};

/// The number of ids in a full shard.
const SHARD: usize = 1 << 24;

/// A folder of shards, locked for this program as long as the value exists.
pub struct Shards<'a> {
    folder: PathBuf,
    corpus: &'a Corpus,
    by: Encoding<'a>,
    /// The number of ids in a shard.
    pub size: usize,
    state: State,
    _lock: File,
}

/// What exists already.
#[derive(Default, Serialize, Deserialize)]
struct State {
    train: Vec<Shard>,
    validation: Vec<Shard>,
    /// Present when all shards are complete.
    card: Option<Card>,
}

/// A complete shard.
#[derive(Serialize, Deserialize)]
struct Shard {
    file: String,
    hash: String,
    tokens: u64,
    bytes: u64,
    documents: u64,
    until: Place,
}

impl State {
    fn shards(&mut self, subset: Subset) -> &mut Vec<Shard> {
        match subset {
            Subset::Train => &mut self.train,
            Subset::Validation => &mut self.validation,
        }
    }
}

impl<'a> Shards<'a> {
    /// Opens the shards of a corpus and a vocabulary in `folder`, as far as they are complete. If another program
    /// is preparing them, this call waits.
    pub fn open(
        folder: &Path,
        corpus: &'a Corpus,
        by: Encoding<'a>,
        report: Report<'_>,
    ) -> Result<Shards<'a>> {
        let width = Width::of(by.vocabulary).bytes() as u8;
        let key = hash(&[corpus.hash().as_bytes(), by.tokenizer.to_json().as_bytes(), &[width]]);
        let folder = folder.join(key);
        fs::create_dir_all(&folder).map_err(|error| Error::io("cannot create the folder", &folder, error))?;
        let path = folder.join("lock");
        let lock = File::options().create(true).append(true).open(&path);
        let lock = lock.map_err(|error| Error::io("cannot open", &path, error))?;
        if lock.try_lock().is_err() {
            report(Progress { doing: Doing::Waiting, bytes: 0, of: corpus.bytes() });
            lock.lock().map_err(|error| Error::io("cannot lock", &path, error))?;
        }
        let mut shards = Shards { folder, corpus, by, size: SHARD, state: State::default(), _lock: lock };
        let path = shards.folder.join("data.json");
        if path.exists() {
            shards.state = read_json(&path).unwrap_or_default();
            shards.keep_valid()?;
        }
        Ok(shards)
    }

    /// Keeps only what matches the files: the shards before the first one that differs from what was written.
    fn keep_valid(&mut self) -> Result<()> {
        for subset in [Subset::Train, Subset::Validation] {
            let folder = &self.folder;
            let is_whole = |shard: &Shard| {
                let file = File::open(folder.join(&shard.file));
                file.and_then(Content::of).is_ok_and(|content| text(content) == shard.hash)
            };
            let shards = self.state.shards(subset);
            let whole: Vec<bool> = shards.par_iter().map(is_whole).collect();
            let count = whole.iter().take_while(|whole| **whole).count();
            if count < shards.len() {
                shards.truncate(count);
                self.state.card = None;
            }
        }
        Ok(())
    }

    /// The sets, if all shards exist.
    pub fn finished(&mut self) -> Result<Option<Prepared>> {
        let Some(card) = self.state.card.clone() else { return Ok(None) };
        let (train, validation) = (self.set(Subset::Train)?, self.set(Subset::Validation)?);
        Ok(Some(Prepared { train, validation, card }))
    }

    /// Tokenises what is missing.
    pub fn finish(mut self, parts: &Parts, report: Report<'_>) -> Result<Prepared> {
        let mut work = Work::new(parts, self.by, self.size, report);
        for subset in [Subset::Train, Subset::Validation] {
            let there = self.state.shards(subset);
            work.bytes += there.iter().map(|shard| shard.bytes).sum::<u64>();
            work.tokens += there.iter().map(|shard| shard.tokens).sum::<u64>();
        }
        for subset in [Subset::Train, Subset::Validation] {
            let from = self.state.shards(subset).last().map(|shard| shard.until);
            let rest = work.fill(subset, from, &mut |filled| self.write(subset, filled))?;
            if !rest.ids.is_empty() {
                self.write(subset, rest)?;
            }
        }
        let (train, validation) = (self.set(Subset::Train)?, self.set(Subset::Validation)?);
        let card = card(self.corpus, parts, &train, &validation);
        self.state.card = Some(card.clone());
        self.save()?;
        Ok(Prepared { train, validation, card })
    }

    /// Writes a shard, and records it only after its file is complete.
    fn write(&mut self, subset: Subset, filled: Filled) -> Result<()> {
        let name = if subset == Subset::Train { "train" } else { "validation" };
        let file = format!("{name}-{:05}.bin", self.state.shards(subset).len());
        let path = self.folder.join(&file);
        let mut bytes = Vec::with_capacity(4 * filled.ids.len());
        let written = filled.ids.write(&mut bytes).and_then(|()| replace(&path, &bytes));
        written.map_err(|error| Error::io("cannot write", &path, error))?;
        let mut content = Content::default();
        content.add(&bytes);
        let Filled { ids, bytes, documents, until } = filled;
        let (hash, tokens) = (text(content.end()), ids.len() as u64);
        self.state.shards(subset).push(Shard { file, hash, tokens, bytes, documents, until });
        self.save()
    }

    fn save(&self) -> Result<()> {
        write_json(&self.folder.join("data.json"), &self.state)
    }

    fn set(&mut self, subset: Subset) -> Result<Set> {
        let (vocabulary, folder) = (self.by.vocabulary, self.folder.clone());
        let shards = self.state.shards(subset);
        let files: Vec<PathBuf> = shards.iter().map(|shard| folder.join(&shard.file)).collect();
        let (ids, _) = shards::read(&files, Width::of(vocabulary), vocabulary)?;
        let documents = shards.iter().map(|shard| shard.documents).sum::<u64>() as usize;
        let bytes = Some(shards.iter().map(|shard| shard.bytes).sum());
        Ok(Set { samples: Samples::Stream(ids), documents, bytes })
    }
}

fn text(content: u128) -> String {
    format!("{content:032x}")
}
