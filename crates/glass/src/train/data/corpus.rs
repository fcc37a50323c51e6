//! Splits documents into parts: for training, for validation, and dropped.

mod contents;
mod twins;

use std::collections::HashSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::train::content::Content;
use crate::train::data::pieces::{Piece, Pieces, Sizes};
use contents::Contents;

use crate::train::data::{Reading, Remark};
use crate::{Error, Result};
pub use twins::{Near, Twin, Twins};

/// What a corpus is made from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Files to train on: text (`.txt`), JSON lines (`.jsonl`, `.ndjson`).
    pub files: Vec<PathBuf>,
    /// Files for validation; if there are none, a fraction of the documents is used.
    pub validation: Vec<PathBuf>,
    /// How they are read.
    pub reading: Reading,
    /// The fraction of the documents for validation, if there are no files for it.
    pub fraction: f64,
    /// The seed by which these documents are drawn.
    pub seed: u64,
    /// Whether exact duplicates of documents are kept.
    pub keep_duplicates: bool,
    /// What is done about documents that are nearly the same.
    pub near: Near,
    /// How much is held in memory at once.
    pub sizes: Sizes,
}

impl Source {
    /// The source for files to train on, of which nothing is held out.
    pub fn of(files: Vec<PathBuf>) -> Source {
        let (reading, sizes) = (Reading::default(), Sizes::default());
        Source {
            files,
            validation: vec![],
            reading,
            fraction: 0.0,
            seed: 1,
            keep_duplicates: false,
            near: Near::Keep,
            sizes,
        }
    }
}

/// What a document of a corpus is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subset {
    /// For training.
    Train,
    /// For validation.
    Validation,
}

/// The progress of a long operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// What is being done.
    pub doing: Doing,
    /// Bytes so far.
    pub bytes: u64,
    /// Bytes in total.
    pub of: u64,
}

/// The current operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doing {
    /// The documents are counted and compared.
    Comparing,
    /// The documents become tokens. The number so far includes those of an earlier run.
    Tokenising {
        /// Tokens.
        tokens: u64,
    },
    /// Another program prepares the same data; this one waits for it.
    Waiting,
}

/// Receives progress.
pub type Report<'a> = &'a mut dyn FnMut(Progress);

/// The documents of corpora that are learned together, so that none is learned twice, or learned from one and validated on in
/// another. It takes about 40 bytes per document.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    all: HashSet<u128>,
    validation: HashSet<u128>,
}

impl Seen {
    /// All that was seen so far is for validation.
    pub fn hold_out(&mut self) {
        self.validation.extend(&self.all);
    }
}

/// Files of documents.
pub struct Corpus {
    source: Arc<Source>,
    hash: String,
    bytes: u64,
}

/// What happens to each document of a corpus. It takes about ten bytes per document, and holds no text.
pub struct Parts {
    source: Arc<Source>,
    /// For the files to train on, and for the validation files.
    each: [Vec<Fate>; 2],
    /// The documents' lengths in bytes.
    lengths: [Vec<u64>; 2],
    /// A document that is for training up to some byte, and for validation from there on.
    tail: Option<(usize, u64)>,
    /// Remarks about the files.
    pub remarks: Vec<Remark>,
    /// Documents that were read and left out.
    pub dropped: Dropped,
    /// Documents that are nearly the same, if they were looked for.
    pub twins: Option<Twins>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Train,
    Validation,
    /// A duplicate of an earlier document.
    Duplicate,
    /// Identical to a document for validation.
    Validates,
    /// Nearly the same as another one.
    Near,
}

/// Documents that are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Exact duplicates.
    pub duplicates: u64,
    /// Identical to validation documents, so they are not learned.
    pub validating: u64,
    /// Empty documents.
    pub empty: u64,
    /// Near-duplicates.
    #[serde(default)]
    pub near: u64,
}

impl Dropped {
    /// Those of two corpora.
    pub(crate) fn and(self, other: Dropped) -> Dropped {
        Dropped {
            duplicates: self.duplicates + other.duplicates,
            validating: self.validating + other.validating,
            empty: self.empty + other.empty,
            near: self.near + other.near,
        }
    }
}

impl Corpus {
    /// Opens the files and computes their hash.
    pub fn open(source: Source) -> Result<Corpus> {
        let all: Vec<&PathBuf> = source.files.iter().chain(&source.validation).collect();
        let file = |path: &&PathBuf| {
            let read = || Ok((Content::of(File::open(path)?)?, path.metadata()?.len()));
            read().map_err(|error| Error::io("cannot read", path, error))
        };
        let contents: Vec<(u128, u64)> = all.par_iter().map(file).collect::<Result<_>>()?;
        let bytes = contents.iter().map(|(_, bytes)| bytes).sum();
        let Source { files, validation, reading, fraction, seed, keep_duplicates, .. } = &source;
        let named = all.iter().zip(&contents).map(|(path, (content, _))| (path.extension(), content));
        let drawn = validation.is_empty().then_some((fraction, seed));
        let text = format!(
            "{:?} {} {reading:?} {drawn:?} {keep_duplicates}{}",
            named.collect::<Vec<_>>(),
            files.len(),
            if source.near == Near::Drop { " without near-duplicates" } else { "" }
        );
        Ok(Corpus { hash: hash(&[text.as_bytes()]), source: Arc::new(source), bytes })
    }

    /// A hash, in hexadecimal, of everything that determines the documents: the files' bytes, how they are read and
    /// how they are split.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The same, read after another corpus of the same mixture: what happens to its documents depends on the other's too.
    #[must_use]
    pub fn after(mut self, other: &Corpus) -> Corpus {
        self.hash = hash(&[self.hash.as_bytes(), other.hash.as_bytes()]);
        self
    }

    /// The source of the corpus.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads all documents once and decides what happens to each. It needs up to about 80 bytes of memory for every
    /// document, and holds no text.
    pub fn parts(&self, report: Report<'_>) -> Result<Parts> {
        self.parts_after(&mut Seen::default(), report)
    }

    /// The same after the corpora whose documents were seen, to which its own are added. What was in one of them is a duplicate;
    /// if duplicates are kept, it is learned, unless the other corpus validates on it.
    pub fn parts_after(&self, seen: &mut Seen, report: Report<'_>) -> Result<Parts> {
        let mut before = 0;
        let mut listed = |files: &[PathBuf]| {
            let all = Contents::of(files, &self.source, &mut |bytes| {
                report(Progress { doing: Doing::Comparing, bytes: before + bytes, of: self.bytes });
            })?;
            before += all.read;
            Ok::<_, Error>(all)
        };
        let held_out = match self.source.validation.is_empty() {
            true => Contents::default(),
            false => listed(&self.source.validation)?,
        };
        let all = listed(&self.source.files)?;
        Parts::decide(&self.source, all, held_out, seen)
    }
}

impl Parts {
    /// Duplicates are dropped before splitting, so no document is in both parts.
    fn decide(source: &Arc<Source>, all: Contents, held_out: Contents, others: &mut Seen) -> Result<Parts> {
        let mut seen = HashSet::new();
        let mut once = |content: &u128, kept: Fate| {
            let is_new = seen.insert(*content) && !others.all.contains(content);
            if is_new || source.keep_duplicates { kept } else { Fate::Duplicate }
        };
        let validation: Vec<Fate> =
            held_out.contents.iter().map(|content| once(content, Fate::Validation)).collect();
        let mut validates: HashSet<u128> = held_out.contents.iter().copied().collect();
        validates.extend(&others.validation);
        let fate = |content: &u128| match validates.contains(content) {
            true => Fate::Validates,
            false => once(content, Fate::Train),
        };
        let mut train: Vec<Fate> = all.contents.iter().map(fate).collect();
        let mut tail = None;
        if source.validation.is_empty() {
            let can_validate = |index: usize| !others.all.contains(&all.contents[index]);
            tail = split(&mut train, &all.lengths, &can_validate, source.fraction, source.seed);
            drop_copies(&mut train, &all.contents, tail.map(|(index, _)| index));
        }
        if !train.contains(&Fate::Train) {
            let why = match train.contains(&Fate::Duplicate) && !others.all.is_empty() {
                true => {
                    "every document in it was in the data before it, so nothing is left of it; leave it out"
                }
                false => "every document in it is used for validation, so nothing is left to learn from",
            };
            return Err(Error::invalid(named(&source.files), why));
        }
        let of_validation =
            |index: &usize| train[*index] == Fate::Validation || tail.is_some_and(|(tail, _)| tail == *index);
        others.validation.extend((0..train.len()).filter(of_validation).map(|index| all.contents[index]));
        others.validation.extend(validates);
        match others.all.is_empty() {
            true => others.all = seen,
            false => others.all.extend(seen),
        }
        let twins = (source.near != Near::Keep)
            .then(|| twins::find(&mut train, &validation, &all, &held_out, source.near, tail));
        let count = |fate| train.iter().chain(&validation).filter(|one| **one == fate).count() as u64;
        let dropped = Dropped {
            duplicates: count(Fate::Duplicate),
            validating: count(Fate::Validates),
            empty: all.empty + held_out.empty,
            near: count(Fate::Near),
        };
        let remarks = [all.remarks, held_out.remarks].concat();
        let lengths = [all.lengths, held_out.lengths];
        Ok(Parts {
            source: source.clone(),
            each: [train, validation],
            lengths,
            tail,
            remarks,
            dropped,
            twins,
        })
    }

    /// The bytes of a subset.
    pub fn bytes(&self, subset: Subset) -> u64 {
        let all = self.each.iter().flatten().zip(self.lengths.iter().flatten());
        let whole: u64 = all.filter(|(fate, _)| **fate == fate_of(subset)).map(|(_, length)| length).sum();
        // A document that is in both parts is listed with the training documents.
        let rest = self.tail.map_or(0, |(index, at)| self.lengths[0][index] - at);
        if subset == Subset::Train { whole - rest } else { whole + rest }
    }

    /// How much is held in memory at once.
    pub fn sizes(&self) -> Sizes {
        self.source.sizes
    }

    /// The documents of a subset as pieces, in the order of reading.
    pub fn pieces(&self, subset: Subset, sizes: Sizes) -> impl Iterator<Item = Result<Piece>> {
        let list = usize::from(subset == Subset::Validation && !self.source.validation.is_empty());
        let files = [&self.source.files, &self.source.validation][list];
        let mut tail = Tail::default();
        Pieces::of_files(files, &self.source.reading, sizes).filter_map(move |piece| {
            let mut piece = match piece.and_then(|piece| self.known(piece, list)) {
                Ok(piece) => piece,
                Err(error) => return Some(Err(error)),
            };
            let index = piece.document as usize;
            let is_in = match self.tail.filter(|(tail, _)| list == 0 && *tail == index) {
                Some((_, at)) => tail.cut(&mut piece, at, subset),
                None => self.each[list][index] == fate_of(subset),
            };
            is_in.then_some(Ok(piece))
        })
    }

    /// Checks that a document has not changed since the documents were compared.
    fn known(&self, piece: Piece, list: usize) -> Result<Piece> {
        let length = self.lengths[list].get(piece.document as usize).copied().unwrap_or(0);
        let end = piece.offset + piece.text.len() as u64;
        if end > length || (piece.ends && end < length) {
            let why = "this file or one read with it changed while it was read; start again";
            return Err(Error::invalid(named(&self.source.files), why));
        }
        Ok(piece)
    }
}

fn fate_of(subset: Subset) -> Fate {
    match subset {
        Subset::Train => Fate::Train,
        Subset::Validation => Fate::Validation,
    }
}

/// A hash, in hexadecimal, of several byte strings.
pub(crate) fn hash(texts: &[&[u8]]) -> String {
    let mut content = Content::default();
    for text in texts {
        content.add(&(text.len() as u64).to_le_bytes());
        content.add(text);
    }
    format!("{:016x}", (content.end() >> 64) as u64)
}

/// Cuts the document that is in both parts.
#[derive(Default)]
struct Tail {
    /// Where it was cut: the first character boundary from which it is for validation.
    cut: Option<u64>,
}

impl Tail {
    /// Reduces a piece to the bytes that are in `subset`. Returns false if nothing is left.
    fn cut(&mut self, piece: &mut Piece, at: u64, subset: Subset) -> bool {
        let within = at.saturating_sub(piece.offset) as usize;
        if self.cut.is_none() && within <= piece.text.len() {
            let goes_on = |byte: &&u8| *byte & 0xC0 == 0x80;
            let more = piece.text[within..].iter().take_while(goes_on).count();
            self.cut = Some(piece.offset + (within + more) as u64);
        }
        let Some(cut) = self.cut else { return subset == Subset::Train };
        let within = cut.saturating_sub(piece.offset).min(piece.text.len() as u64) as usize;
        match subset {
            Subset::Train => {
                let begins_before = piece.offset < cut;
                piece.ends |= cut <= piece.offset + piece.text.len() as u64;
                piece.text.truncate(within);
                begins_before
            }
            Subset::Validation => {
                piece.text.drain(..within);
                piece.offset += within as u64;
                !piece.text.is_empty() || (piece.ends && piece.offset > cut)
            }
        }
    }
}

fn named(files: &[PathBuf]) -> String {
    files.first().map_or("data".into(), |path| path.display().to_string())
}

/// If a document occurs several times (because duplicates are kept), none is learned if one, or a part of one, is
/// for validation.
fn drop_copies(fates: &mut [Fate], contents: &[u128], tail: Option<usize>) {
    let validates = |index: &usize| fates[*index] == Fate::Validation || tail == Some(*index);
    let validates: HashSet<u128> = (0..fates.len()).filter(validates).map(|index| contents[index]).collect();
    for (index, fate) in fates.iter_mut().enumerate() {
        if *fate == Fate::Train && tail != Some(index) && validates.contains(&contents[index]) {
            *fate = Fate::Validates;
        }
    }
}

/// Documents are assigned to validation in an order drawn from `seed` until they would exceed `fraction` of the
/// bytes. If this gives validation less than half of its share, because documents are few and long, the tail of the
/// next document is used too: returns its number, and the byte from which it is for validation.
fn split(
    fates: &mut [Fate],
    lengths: &[u64],
    can_validate: &dyn Fn(usize) -> bool,
    fraction: f64,
    seed: u64,
) -> Option<(usize, u64)> {
    let kept = |index: &usize| fates[*index] == Fate::Train && can_validate(*index);
    let kept: Vec<usize> = (0..fates.len()).filter(kept).collect();
    let bytes: u64 = kept.iter().map(|index| lengths[*index]).sum();
    let wanted = (bytes as f64 * fraction) as u64;
    let mut held = 0;
    for place in Random::new(seed, "validation", 0).permutation(kept.len()) {
        let index = kept[place];
        if held + lengths[index] > wanted {
            let rest = wanted - held;
            return (held < wanted.div_ceil(2)).then(|| (index, lengths[index] - rest));
        }
        fates[index] = Fate::Validation;
        held += lengths[index];
    }
    None
}
