//! Reads documents from one column of a file of comma-separated values.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use csv::{Reader, ReaderBuilder, StringRecord};

use super::Stretch;
use super::ready::Ready;
use crate::train::data::Reading;
use crate::train::data::portions::Portions;
use crate::{Error, Result};

/// A table, of which one record at a time is held in memory.
pub(super) struct Table<'a> {
    path: PathBuf,
    reading: &'a Reading,
    reader: Reader<Bytes<'a>>,
    record: StringRecord,
    column: Option<usize>,
    pub ready: Ready,
}

/// Portions of a file, as a byte reader.
pub(super) struct Bytes<'a> {
    pub portions: Portions<'a>,
    text: Vec<u8>,
    at: usize,
    failed: Option<Error>,
}

impl Read for Bytes<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() {
            self.text.clear();
            self.at = 0;
            let more = self.portions.more(&mut self.text).map_err(|error| {
                self.failed = Some(error);
                io::Error::other("a portion could not be read")
            })?;
            if !more && self.text.is_empty() {
                return Ok(0);
            }
        }
        let read = (&self.text[self.at..]).read(into)?;
        self.at += read;
        Ok(read)
    }
}

impl<'a> Table<'a> {
    /// The separator is the one that occurs most often in the first line.
    pub fn new(path: &Path, portions: Portions<'a>, reading: &'a Reading, piece: usize) -> Table<'a> {
        let mut bytes = Bytes { portions, text: Vec::new(), at: 0, failed: None };
        while !bytes.text.contains(&b'\n') {
            match bytes.portions.more(&mut bytes.text) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    bytes.failed = Some(error);
                    break;
                }
            }
        }
        let line = bytes.text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let count = |separator: &u8| line.iter().filter(|byte| *byte == separator).count();
        // If several are equally frequent, the first one is used.
        let separators = *b",;\t";
        let most = separators.iter().rev().max_by_key(|separator| count(separator));
        let reader = ReaderBuilder::new().delimiter(*most.unwrap_or(&b',')).from_reader(bytes);
        let record = StringRecord::new();
        Table { path: path.into(), reading, reader, record, column: None, ready: Ready::new(piece) }
    }

    pub fn portions(&self) -> &Portions<'a> {
        &self.reader.get_ref().portions
    }

    pub fn next(&mut self) -> Result<Option<Stretch>> {
        let column = match self.column {
            Some(column) => column,
            None => match self.find()? {
                None => return Ok(None),
                Some(column) => *self.column.insert(column),
            },
        };
        while self.ready.is_empty() {
            let read = self.reader.read_record(&mut self.record);
            match read.map_err(|error| self.refused(&error))? {
                true => self.ready.add(self.record.get(column).unwrap_or_default()),
                false => return Ok(None),
            }
        }
        Ok(self.ready.pop())
    }

    /// The column that holds the documents; `None` for an empty file.
    fn find(&mut self) -> Result<Option<usize>> {
        if let Some(error) = self.reader.get_mut().failed.take() {
            return Err(error);
        }
        let names = self.reader.headers().cloned().map_err(|error| self.refused(&error))?;
        if names.is_empty() {
            return Ok(None);
        }
        let field = &self.reading.field;
        let found = names.iter().position(|name| name.trim() == field);
        found.map(Some).ok_or_else(|| {
            let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
            let why = format!(
                "no column \"{field}\" in its first line, which has {}; set `field` to the one that holds the text",
                names.join(", ")
            );
            Error::invalid(self.path.display(), why)
        })
    }

    fn refused(&mut self, error: &csv::Error) -> Error {
        match self.reader.get_mut().failed.take() {
            Some(failed) => failed,
            None => Error::invalid(self.path.display(), format!("not comma-separated values: {error}")),
        }
    }
}
