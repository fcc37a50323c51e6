//! Reads documents from files in pieces: neither a file nor a long document is ever held in memory as a whole.

mod array;
mod lines;
mod ready;
mod table;
mod texts;

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::train::data::portions::Portions;
use crate::train::data::{Reading, Remark};
use crate::{Error, Result};
use array::Array;
use lines::Lines;
use table::Table;
use texts::Texts;

/// A piece of a document. It ends at the end of the document, or before a space where no word is affected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The number of the document, from 0, across all files.
    pub document: u64,
    /// The bytes of the document before this piece.
    pub offset: u64,
    /// Its bytes. Only the last of several pieces can be empty.
    pub text: Vec<u8>,
    /// Whether it is the last piece of the document.
    pub ends: bool,
}

/// How much is held in memory at once. The documents do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes read from a file at a time.
    pub portion: usize,
    /// The length after which a document is cut, in bytes.
    pub piece: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes { portion: 1 << 20, piece: 1 << 16 }
    }
}

/// The pieces of all documents in some files, in order.
pub struct Pieces<'a> {
    files: VecDeque<PathBuf>,
    reading: &'a Reading,
    sizes: Sizes,
    source: Option<Source<'a>>,
    /// The current file, and the number of documents before it.
    path: PathBuf,
    before: u64,
    documents: u64,
    /// The bytes of finished files.
    read: u64,
    /// Remarks about the finished files.
    pub remarks: Vec<Remark>,
    /// The number of empty documents, which are not counted otherwise.
    pub empty: u64,
}

enum Source<'a> {
    Text(Box<Texts<'a>>),
    Lines(Box<Lines<'a>>),
    Array(Box<Array<'a>>),
    Table(Box<Table<'a>>),
}

impl<'a> Pieces<'a> {
    /// Reads files of JSON lines (`.jsonl`, `.ndjson`), JSON (`.json`), comma-separated values (`.csv`, `.tsv`) or,
    /// with any other extension, text.
    pub fn of_files(files: &[PathBuf], reading: &'a Reading, sizes: Sizes) -> Pieces<'a> {
        Pieces {
            files: files.iter().cloned().collect(),
            reading,
            sizes,
            source: None,
            path: PathBuf::new(),
            before: 0,
            documents: 0,
            read: 0,
            remarks: Vec::new(),
            empty: 0,
        }
    }

    /// Reads one source; `path` names it in error messages, and its extension tells the format.
    pub fn of(path: &Path, file: impl Read + Send + 'a, reading: &'a Reading, sizes: Sizes) -> Pieces<'a> {
        let mut pieces = Pieces::of_files(&[], reading, sizes);
        pieces.enter(path.into(), file);
        pieces
    }

    /// The file that the last piece came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes read so far.
    pub fn read(&self) -> u64 {
        self.read + self.source.as_ref().map_or(0, |source| source.portions().offset())
    }

    fn enter(&mut self, path: PathBuf, file: impl Read + Send + 'a) {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        let is_text = !["jsonl", "ndjson", "json", "csv", "tsv"].contains(&&*ending);
        let checked = !is_text || !self.reading.any_bytes;
        let portions = Portions::new(&path, file, self.sizes.portion, is_text, checked);
        let (reading, piece) = (self.reading, self.sizes.piece);
        self.source = Some(match &*ending {
            "jsonl" | "ndjson" => Source::Lines(Box::new(Lines::new(&path, portions, reading, piece))),
            "json" => Source::Array(Box::new(Array::new(&path, portions, reading, piece))),
            "csv" | "tsv" => Source::Table(Box::new(Table::new(&path, portions, reading, piece))),
            _ => Source::Text(Box::new(Texts::new(portions, &reading.separator, piece))),
        });
        (self.path, self.before) = (path, self.documents);
    }

    /// Finishes the current file.
    fn leave(&mut self) {
        let Some(source) = self.source.take() else { return };
        self.read += source.portions().offset();
        self.remarks.extend(source.portions().remarks());
        self.empty += source.empty();
        if self.documents == self.before {
            self.remarks.push(Remark::new(&self.path, "empty, skipped"));
        }
    }

    fn advance(&mut self) -> Result<Option<Piece>> {
        loop {
            let found = match &mut self.source {
                Some(Source::Text(texts)) => texts.next()?,
                Some(Source::Lines(lines)) => lines.next()?,
                Some(Source::Array(array)) => array.next()?,
                Some(Source::Table(table)) => table.next()?,
                None => match self.files.pop_front() {
                    None => return Ok(None),
                    Some(path) => {
                        let file =
                            File::open(&path).map_err(|error| Error::io("cannot read", &path, error))?;
                        self.enter(path, file);
                        continue;
                    }
                },
            };
            if let Some(Stretch { offset, text, ends }) = found {
                let document = self.documents;
                self.documents += u64::from(ends);
                return Ok(Some(Piece { document, offset, text, ends }));
            }
            self.leave();
        }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Result<Piece>> {
        self.advance().transpose()
    }
}

impl Source<'_> {
    fn portions(&self) -> &Portions<'_> {
        match self {
            Source::Text(texts) => &texts.portions,
            Source::Lines(lines) => &lines.portions,
            Source::Array(array) => &array.portions,
            Source::Table(table) => table.portions(),
        }
    }

    fn empty(&self) -> u64 {
        match self {
            Source::Text(texts) => texts.empty,
            Source::Lines(lines) => lines.ready.empty,
            Source::Array(array) => array.ready.empty,
            Source::Table(table) => table.ready.empty,
        }
    }
}

/// A piece of the current document.
struct Stretch {
    offset: u64,
    text: Vec<u8>,
    ends: bool,
}
