//! Reads documents from a file of JSON lines.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::Stretch;
use super::ready::Ready;
use crate::Result;
use crate::train::data::portions::Portions;
use crate::train::data::{Reading, document};

/// A file of JSON lines, each of them one document.
pub(super) struct Lines<'a> {
    path: PathBuf,
    pub portions: Portions<'a>,
    reading: &'a Reading,
    text: Vec<u8>,
    /// The number of lines before `text`.
    number: usize,
    over: bool,
    pub ready: Ready,
}

impl<'a> Lines<'a> {
    pub fn new(path: &Path, portions: Portions<'a>, reading: &'a Reading, piece: usize) -> Lines<'a> {
        Lines {
            path: path.into(),
            portions,
            reading,
            text: Vec::new(),
            number: 0,
            over: false,
            ready: Ready::new(piece),
        }
    }

    pub fn next(&mut self) -> Result<Option<Stretch>> {
        while self.ready.is_empty() && !self.over {
            self.over = !self.portions.more(&mut self.text)?;
            let whole = match self.over {
                true => self.text.len(),
                false => memchr::memrchr(b'\n', &self.text).map_or(0, |at| at + 1),
            };
            self.parse(whole)?;
            self.text.drain(..whole);
        }
        Ok(self.ready.pop())
    }

    /// Parses the documents in the first `whole` bytes, several lines in parallel.
    fn parse(&mut self, whole: usize) -> Result<()> {
        let lines: Vec<&[u8]> = self.text[..whole].split_inclusive(|byte| *byte == b'\n').collect();
        let read = |(index, line): (usize, &&[u8])| {
            document(&self.path, self.number + index + 1, line, &self.reading.field)
        };
        let documents: Vec<Option<String>> = lines.par_iter().enumerate().map(read).collect::<Result<_>>()?;
        self.number += lines.len();
        for text in documents.into_iter().flatten() {
            self.ready.add(&text);
        }
        Ok(())
    }
}
