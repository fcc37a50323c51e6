//! Parts to token ids: in memory, or as shards in a folder, where a preparation that was stopped goes on and one that is
//! done is used again.
//!
//! ```text
//! FOLDER/<key>/lock              held while the data are prepared
//! FOLDER/<key>/train-00000.bin   ids, little-endian, two or four bytes each, as `shards` reads them
//! FOLDER/<key>/validation-00000.bin
//! FOLDER/<key>/data.json         which shards are whole, and in the end the data card
//! ```
//!
//! The key is a hash of all that decides the ids: the files' bytes, how they are read and parted, and the vocabulary.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::card::{Card, Split};
use super::corpus::{Corpus, Doing, Part, Parts, Progress, Report, hash};
use super::durable::{read_json, rename, write_json};
use super::fingerprint::Content;
use super::ids::Ids;
use super::pieces::Piece;
use super::set::{Samples, Set};
use super::shards::{self, Width};
use crate::tokens::{Special, Tokenizer};
use crate::{Error, Result};

/// Sets that can be learned from.
#[derive(Debug)]
pub struct Prepared {
    /// Learned from.
    pub train: Set,
    /// Validated on.
    pub validation: Set,
    /// Both in numbers.
    pub card: Card,
}

/// Text to tokens. With an end-of-text token the stream is `end document end document end`, so that every document's
/// first token is learned too, and where it ends.
#[derive(Clone, Copy)]
pub struct Encoding<'a> {
    /// The vocabulary.
    pub tokenizer: &'a Tokenizer,
    /// Rows of the model's: at least as many as there are tokens.
    pub vocabulary: usize,
}

/// Text is tokenised so much at a time.
const BATCH: usize = 8 << 20;

/// A shard is full with so many ids.
pub const SHARD: usize = 1 << 24;

/// Tokenises by several threads and keeps all ids in memory.
pub fn in_memory(corpus: &Corpus, parts: &Parts, by: Encoding<'_>, report: Report<'_>) -> Result<Prepared> {
    let mut work = Work::new(parts, by, usize::MAX, report);
    let [train, validation] = [Part::Train, Part::Validation].map(|part| {
        let all = work.fill(part, None, &mut |_| Ok(()))?;
        let Filled { bytes, documents, .. } = all;
        Ok::<_, Error>(Set {
            samples: Samples::Stream(all.ids),
            documents: documents as usize,
            bytes: Some(bytes),
        })
    });
    let (train, validation) = (train?, validation?);
    Ok(Prepared { card: card(corpus, parts, &train, &validation), train, validation })
}

fn card(corpus: &Corpus, parts: &Parts, train: &Set, validation: &Set) -> Card {
    let source = corpus.source();
    let split = Split { fraction: source.fraction, seed: source.seed };
    let split = source.validation.is_empty().then_some(split);
    let files = source.files.len() + source.validation.len();
    Card::new(corpus.hash().into(), files, parts.dropped, split, train, validation)
}

/// Tokenising under way.
struct Work<'a, 'b> {
    parts: &'a Parts,
    by: Encoding<'a>,
    /// Ids are handed over when there are so many.
    full: usize,
    report: Report<'b>,
    tokens: u64,
    bytes: u64,
    of: u64,
}

/// Ids, and what they came from.
struct Filled {
    ids: Ids,
    bytes: u64,
    documents: u64,
    until: Place,
}

/// Document, and byte in it.
type Place = (u64, u64);

impl<'a, 'b> Work<'a, 'b> {
    fn new(parts: &'a Parts, by: Encoding<'a>, full: usize, report: Report<'b>) -> Work<'a, 'b> {
        let of = parts.bytes(Part::Train) + parts.bytes(Part::Validation);
        Work { parts, by, full, report, tokens: 0, bytes: 0, of }
    }

    /// Tokenises a part, from a place on. `write` is given what is full, the rest is returned.
    fn fill(
        &mut self,
        part: Part,
        from: Option<Place>,
        write: &mut dyn FnMut(Filled) -> Result<()>,
    ) -> Result<Filled> {
        let mut sizes = self.parts.sizes();
        if !self.by.tokenizer.cuts_at_words() {
            sizes.piece = usize::MAX;
        }
        let begin = from.unwrap_or_default();
        let mut pieces = self
            .parts
            .pieces(part, sizes)
            .filter(|piece| piece.as_ref().map_or(true, |piece| (piece.document, piece.offset) >= begin));
        let mut filled = self.empty(begin);
        if from.is_none() {
            filled.ids.extend(self.by.tokenizer.end_of_text().as_slice());
        }
        loop {
            let batch = batch(&mut pieces)?;
            if batch.is_empty() {
                return Ok(filled);
            }
            let encoded: Vec<Vec<u32>> =
                batch.par_iter().map(|piece| self.by.encode(piece)).collect::<Result<_>>()?;
            for (piece, ids) in batch.iter().zip(&encoded) {
                filled.add(piece, ids);
                self.bytes += piece.text.len() as u64;
                self.tokens += ids.len() as u64;
                if filled.ids.len() >= self.full {
                    let until = filled.until;
                    write(std::mem::replace(&mut filled, self.empty(until)))?;
                }
            }
            let doing = Doing::Tokenising { tokens: self.tokens };
            (self.report)(Progress { doing, bytes: self.bytes, of: self.of });
        }
    }

    fn empty(&self, until: Place) -> Filled {
        Filled { ids: Ids::new(self.by.vocabulary), bytes: 0, documents: 0, until }
    }
}

fn batch(pieces: &mut impl Iterator<Item = Result<Piece>>) -> Result<Vec<Piece>> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH
        && let Some(piece) = pieces.next().transpose()?
    {
        bytes += piece.text.len();
        batch.push(piece);
    }
    Ok(batch)
}

impl Encoding<'_> {
    /// The ids of a piece, and where it ends a document, of that end.
    fn encode(&self, piece: &Piece) -> Result<Vec<u32>> {
        let mut ids = self.tokenizer.encode_bytes(&piece.text, Special::Plain);
        if piece.ends {
            ids.extend(self.tokenizer.end_of_text());
        }
        match ids.iter().find(|&&id| id as usize >= self.vocabulary) {
            None => Ok(ids),
            Some(id) => Err(Error::invalid(
                "tokenizer",
                format!(
                    "it gives id {id}, but the model's vocabulary has {} tokens; use the model's own tokenizer",
                    self.vocabulary
                ),
            )),
        }
    }
}

impl Filled {
    fn add(&mut self, piece: &Piece, ids: &[u32]) {
        self.ids.extend(ids);
        self.bytes += piece.text.len() as u64;
        self.documents += u64::from(piece.ends);
        self.until = match piece.ends {
            true => (piece.document + 1, 0),
            false => (piece.document, piece.offset + piece.text.len() as u64),
        };
    }
}

/// A folder of shards, held for this program as long as the value lives.
pub struct Shards<'a> {
    folder: PathBuf,
    corpus: &'a Corpus,
    by: Encoding<'a>,
    /// Ids of a shard.
    pub size: usize,
    state: State,
    _lock: File,
}

/// What is there already.
#[derive(Default, Serialize, Deserialize)]
struct State {
    train: Vec<Shard>,
    validation: Vec<Shard>,
    /// When all are whole.
    card: Option<Card>,
}

/// A shard that is whole.
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
    fn shards(&mut self, part: Part) -> &mut Vec<Shard> {
        match part {
            Part::Train => &mut self.train,
            Part::Validation => &mut self.validation,
        }
    }
}

impl<'a> Shards<'a> {
    /// Those of a corpus and a vocabulary in `folder`, as far as they are whole. Where another program is preparing
    /// them, it waits.
    pub fn open(
        folder: &Path,
        corpus: &'a Corpus,
        by: Encoding<'a>,
        report: Report<'_>,
    ) -> Result<Shards<'a>> {
        let width = Width::of(by.vocabulary).bytes() as u8;
        let key = hash(&[corpus.hash().as_bytes(), by.tokenizer.to_json().as_bytes(), &[width]]);
        let folder = folder.join(key);
        fs::create_dir_all(&folder).map_err(|error| Error::io("cannot make the folder", &folder, error))?;
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
            shards.believe()?;
        }
        Ok(shards)
    }

    /// Keeps of the state what the files agree with: shards up to the first that is not as it was written.
    fn believe(&mut self) -> Result<()> {
        for part in [Part::Train, Part::Validation] {
            let folder = &self.folder;
            let is_whole = |shard: &Shard| {
                let file = File::open(folder.join(&shard.file));
                file.and_then(Content::of).is_ok_and(|content| text(content) == shard.hash)
            };
            let shards = self.state.shards(part);
            let whole: Vec<bool> = shards.par_iter().map(is_whole).collect();
            let count = whole.iter().take_while(|whole| **whole).count();
            if count < shards.len() {
                shards.truncate(count);
                self.state.card = None;
            }
        }
        Ok(())
    }

    /// The sets, where all shards are there.
    pub fn finished(&mut self) -> Result<Option<Prepared>> {
        let Some(card) = self.state.card.clone() else { return Ok(None) };
        let (train, validation) = (self.set(Part::Train)?, self.set(Part::Validation)?);
        Ok(Some(Prepared { train, validation, card }))
    }

    /// Tokenises what is not there yet.
    pub fn finish(mut self, parts: &Parts, report: Report<'_>) -> Result<Prepared> {
        let mut work = Work::new(parts, self.by, self.size, report);
        for part in [Part::Train, Part::Validation] {
            let there = self.state.shards(part);
            work.bytes += there.iter().map(|shard| shard.bytes).sum::<u64>();
            work.tokens += there.iter().map(|shard| shard.tokens).sum::<u64>();
        }
        for part in [Part::Train, Part::Validation] {
            let from = self.state.shards(part).last().map(|shard| shard.until);
            let rest = work.fill(part, from, &mut |filled| self.write(part, filled))?;
            if !rest.ids.is_empty() {
                self.write(part, rest)?;
            }
        }
        let (train, validation) = (self.set(Part::Train)?, self.set(Part::Validation)?);
        let card = card(self.corpus, parts, &train, &validation);
        self.state.card = Some(card.clone());
        self.save()?;
        Ok(Prepared { train, validation, card })
    }

    /// Writes a shard aside and puts it into its place; only then it is said to be there.
    fn write(&mut self, part: Part, filled: Filled) -> Result<()> {
        let name = if part == Part::Train { "train" } else { "validation" };
        let file = format!("{name}-{:05}.bin", self.state.shards(part).len());
        let (path, aside) = (self.folder.join(&file), self.folder.join(format!("{file}.part")));
        let mut bytes = Vec::with_capacity(4 * filled.ids.len());
        let written = filled.ids.write(&mut bytes).and_then(|()| {
            let mut to = File::create(&aside)?;
            to.write_all(&bytes)?;
            to.sync_all()
        });
        written.map_err(|error| Error::io("cannot write", &aside, error))?;
        rename(&aside, &path)?;
        let mut content = Content::default();
        content.add(&bytes);
        let Filled { ids, bytes, documents, until } = filled;
        let (hash, tokens) = (text(content.end()), ids.len() as u64);
        self.state.shards(part).push(Shard { file, hash, tokens, bytes, documents, until });
        self.save()
    }

    fn save(&self) -> Result<()> {
        let aside = self.folder.join("data.json.part");
        write_json(&aside, &self.state)?;
        rename(&aside, &self.folder.join("data.json"))
    }

    fn set(&mut self, part: Part) -> Result<Set> {
        let (vocabulary, folder) = (self.by.vocabulary, self.folder.clone());
        let shards = self.state.shards(part);
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
