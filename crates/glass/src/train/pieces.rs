//! Files to documents, in pieces: neither a file nor a long document is ever held whole.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use memchr::memmem;
use rayon::prelude::*;

use super::data::{Reading, Remark, document};
use super::portions::Portions;
use crate::tokens::word_cut;
use crate::{Error, Result};

/// A stretch of a document. It ends where the document does, or before a space where no word can notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Number of the document, from 0, over all files.
    pub document: u64,
    /// Bytes of the document before it.
    pub offset: u64,
    /// Its bytes. Only the last piece of several can be empty.
    pub text: Vec<u8>,
    /// Whether the document ends with it.
    pub ends: bool,
}

/// How much is held at once. The documents are the same for any sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes read from a file at a time.
    pub portion: usize,
    /// Bytes of a document after which it is cut.
    pub piece: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes { portion: 1 << 20, piece: 1 << 16 }
    }
}

/// The pieces of all documents of some files, in order.
pub struct Pieces<'a> {
    files: std::vec::IntoIter<PathBuf>,
    reading: &'a Reading,
    sizes: Sizes,
    source: Option<Source<'a>>,
    /// Where it is, and how many documents there were before it.
    path: PathBuf,
    before: u64,
    documents: u64,
    /// Bytes of files that are over.
    read: u64,
    /// What is remarkable about the files that are over.
    pub remarks: Vec<Remark>,
    /// Documents that were empty, and are not counted otherwise.
    pub empty: u64,
}

enum Source<'a> {
    Text(Texts<'a>),
    Lines(Lines<'a>),
}

impl<'a> Pieces<'a> {
    /// Of text files and files of JSON lines (`.jsonl`, `.ndjson`).
    pub fn of_files(files: &[PathBuf], reading: &'a Reading, sizes: Sizes) -> Pieces<'a> {
        Pieces {
            files: files.to_vec().into_iter(),
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

    /// Of one source; `path` names it in errors, and says by its ending what it is.
    pub fn of(path: &Path, file: impl Read + Send + 'a, reading: &'a Reading, sizes: Sizes) -> Pieces<'a> {
        let mut pieces = Pieces::of_files(&[], reading, sizes);
        pieces.enter(path.into(), file);
        pieces
    }

    /// Bytes read until now.
    pub fn read(&self) -> u64 {
        self.read + self.source.as_ref().map_or(0, |source| source.portions().offset())
    }

    fn enter(&mut self, path: PathBuf, file: impl Read + Send + 'a) {
        let is_lines = path.extension().is_some_and(|ending| ending == "jsonl" || ending == "ndjson");
        let checked = is_lines || !self.reading.any_bytes;
        let portions = Portions::new(&path, file, self.sizes.portion, !is_lines, checked);
        self.source = Some(match is_lines {
            true => Source::Lines(Lines::new(&path, portions, self.reading, self.sizes.piece)),
            false => Source::Text(Texts::new(portions, &self.reading.separator, self.sizes.piece)),
        });
        (self.path, self.before) = (path, self.documents);
    }

    /// Ends a file.
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
                None => match self.files.next() {
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
        }
    }

    fn empty(&self) -> u64 {
        match self {
            Source::Text(texts) => texts.empty,
            Source::Lines(lines) => lines.empty,
        }
    }
}

/// A piece of the document under way.
struct Stretch {
    offset: u64,
    text: Vec<u8>,
    ends: bool,
}

/// A text file: documents stand between separators, without the line breaks beside them.
struct Texts<'a> {
    portions: Portions<'a>,
    separator: memmem::Finder<'a>,
    piece: usize,
    /// Read and not yet given: from `start` on; no separator begins before `searched`.
    text: Vec<u8>,
    start: usize,
    searched: usize,
    /// Bytes of the document under way that were given.
    given: u64,
    /// A separator stood before it.
    separated: bool,
    over: bool,
    empty: u64,
}

impl<'a> Texts<'a> {
    fn new(portions: Portions<'a>, separator: &'a str, piece: usize) -> Texts<'a> {
        Texts {
            portions,
            separator: memmem::Finder::new(separator),
            piece: piece.max(1),
            text: Vec::new(),
            start: 0,
            searched: 0,
            given: 0,
            separated: false,
            over: false,
            empty: 0,
        }
    }

    fn next(&mut self) -> Result<Option<Stretch>> {
        loop {
            let (found, until) = self.search();
            if self.given == 0 && self.separated {
                let breaks = self.text[self.start..until].iter().take_while(|byte| is_break(byte)).count();
                self.start += breaks;
            }
            let mut rest = &self.text[self.start..until];
            if found {
                let breaks = rest.iter().rev().take_while(|byte| is_break(byte)).count();
                rest = &rest[..rest.len() - breaks];
            }
            let ends = found || self.over;
            match word_cut(rest, self.piece) {
                Some(cut) => return Ok(Some(self.give(cut, false))),
                None if ends && (self.given > 0 || !rest.is_empty()) => {
                    let stretch = self.give(rest.len(), true);
                    self.after(found, until);
                    return Ok(Some(stretch));
                }
                None if ends => {
                    self.empty += u64::from(found && self.separated);
                    if !found {
                        return Ok(None);
                    }
                    self.after(found, until);
                }
                None => {
                    self.text.drain(..self.start);
                    self.searched -= self.start;
                    self.start = 0;
                    self.over = !self.portions.more(&mut self.text)?;
                }
            }
        }
    }

    /// Whether a separator is there, and up to where nothing belongs to one.
    fn search(&mut self) -> (bool, usize) {
        let needle = self.separator.needle();
        let from = self.searched.max(self.start);
        let found = match needle.is_empty() {
            true => None,
            false => self.separator.find(&self.text[from..]),
        };
        self.searched = match found {
            Some(at) => from + at,
            None if self.over => self.text.len(),
            None => self.text.len().saturating_sub(needle.len().saturating_sub(1)).max(from),
        };
        (found.is_some(), self.searched)
    }

    fn give(&mut self, length: usize, ends: bool) -> Stretch {
        let text = self.text[self.start..self.start + length].to_vec();
        let offset = self.given;
        self.start += length;
        self.given += length as u64;
        Stretch { offset, text, ends }
    }

    /// Goes to the next document.
    fn after(&mut self, found: bool, until: usize) {
        self.start = until + if found { self.separator.needle().len() } else { 0 };
        (self.given, self.separated) = (0, true);
    }
}

fn is_break(byte: &&u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// A file of JSON lines, each a document as it stands.
struct Lines<'a> {
    path: PathBuf,
    portions: Portions<'a>,
    reading: &'a Reading,
    piece: usize,
    text: Vec<u8>,
    /// Lines before `text`.
    number: usize,
    ready: VecDeque<Stretch>,
    over: bool,
    empty: u64,
}

impl<'a> Lines<'a> {
    fn new(path: &Path, portions: Portions<'a>, reading: &'a Reading, piece: usize) -> Lines<'a> {
        Lines {
            path: path.into(),
            portions,
            reading,
            piece: piece.max(1),
            text: Vec::new(),
            number: 0,
            ready: VecDeque::new(),
            over: false,
            empty: 0,
        }
    }

    fn next(&mut self) -> Result<Option<Stretch>> {
        while self.ready.is_empty() && !self.over {
            self.over = !self.portions.more(&mut self.text)?;
            let whole = match self.over {
                true => self.text.len(),
                false => memchr::memrchr(b'\n', &self.text).map_or(0, |at| at + 1),
            };
            self.parse(whole)?;
            self.text.drain(..whole);
        }
        Ok(self.ready.pop_front())
    }

    /// Reads the documents out of the first `whole` bytes, several lines at once.
    fn parse(&mut self, whole: usize) -> Result<()> {
        let lines: Vec<&[u8]> = self.text[..whole].split_inclusive(|byte| *byte == b'\n').collect();
        let read = |(index, line): (usize, &&[u8])| {
            document(&self.path, self.number + index + 1, line, &self.reading.field)
        };
        let documents: Vec<Option<String>> = lines.par_iter().enumerate().map(read).collect::<Result<_>>()?;
        self.number += lines.len();
        for text in documents.into_iter().flatten() {
            self.empty += u64::from(text.is_empty());
            let (mut rest, mut offset) = (text.as_bytes(), 0);
            while let Some(cut) = word_cut(rest, self.piece) {
                self.ready.push_back(Stretch { offset, text: rest[..cut].to_vec(), ends: false });
                (rest, offset) = (&rest[cut..], offset + cut as u64);
            }
            if !text.is_empty() {
                self.ready.push_back(Stretch { offset, text: rest.to_vec(), ends: true });
            }
        }
        Ok(())
    }
}
