//! Turns the parts of a corpus into token ids: in memory, or as shards in a folder (`kept`), where an interrupted
//! preparation is continued and a finished one is reused.

mod kept;

use rayon::prelude::*;

use crate::tokens::{Special, Tokenizer};
use crate::train::data::card::{Card, Split};
use crate::train::data::corpus::{Corpus, Doing, Parts, Progress, Report, Subset};
use crate::train::data::ids::Ids;
use crate::train::data::pieces::Piece;
use crate::train::data::set::{Samples, Set};
use crate::{Error, Result};
pub use kept::Shards;

/// Sets of token ids for training and validation.
#[derive(Debug)]
pub struct Prepared {
    /// For training.
    pub train: Set,
    /// For validation.
    pub validation: Set,
    /// Statistics of both.
    pub card: Card,
}

/// How text becomes tokens. With an end-of-text token the stream is `end document end document end`, so that the
/// first token and the end of every document are learned too.
#[derive(Clone, Copy)]
pub struct Encoding<'a> {
    /// The vocabulary.
    pub tokenizer: &'a Tokenizer,
    /// The number of rows of the model's embedding: at least the number of tokens.
    pub vocabulary: usize,
}

/// How much text is tokenised at a time, in bytes.
const BATCH: usize = 8 << 20;

/// Tokenises on several threads and keeps all ids in memory.
pub fn in_memory(corpus: &Corpus, parts: &Parts, by: Encoding<'_>, report: Report<'_>) -> Result<Prepared> {
    let mut work = Work::new(parts, by, usize::MAX, report);
    let [train, validation] = [Subset::Train, Subset::Validation].map(|subset| {
        let all = work.fill(subset, None, &mut |_| Ok(()))?;
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
    let card = Card::new(corpus.hash().into(), files, parts.dropped, split, train, validation);
    Card { near_duplicates: parts.twins.clone(), ..card }
}

/// The state of tokenising.
struct Work<'a, 'b> {
    parts: &'a Parts,
    by: Encoding<'a>,
    /// The ids are passed on when there are this many.
    full: usize,
    report: Report<'b>,
    tokens: u64,
    bytes: u64,
    of: u64,
}

/// Ids, and the text they came from.
struct Filled {
    ids: Ids,
    bytes: u64,
    documents: u64,
    until: Place,
}

/// A document, and a byte in it.
type Place = (u64, u64);

impl<'a, 'b> Work<'a, 'b> {
    fn new(parts: &'a Parts, by: Encoding<'a>, full: usize, report: Report<'b>) -> Work<'a, 'b> {
        let of = parts.bytes(Subset::Train) + parts.bytes(Subset::Validation);
        Work { parts, by, full, report, tokens: 0, bytes: 0, of }
    }

    /// Tokenises a subset, starting at a given place. `write` receives full buffers; the rest is returned.
    fn fill(
        &mut self,
        subset: Subset,
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
            .pieces(subset, sizes)
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
    /// The ids of a piece, including the end-of-text token if it ends a document.
    fn encode(&self, piece: &Piece) -> Result<Vec<u32>> {
        let start = if piece.offset == 0 { self.tokenizer.document_start() } else { &[] };
        let mut ids = start.to_vec();
        ids.extend(self.tokenizer.encode_bytes(&piece.text, Special::Plain));
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
