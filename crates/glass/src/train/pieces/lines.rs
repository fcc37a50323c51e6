//! Documents of a file of JSON lines.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::Stretch;
use crate::Result;
use crate::tokens::word_cut;
use crate::train::data::{Reading, document};
use crate::train::portions::Portions;

/// A file of JSON lines, each a document as it stands.
pub(super) struct Lines<'a> {
    path: PathBuf,
    pub portions: Portions<'a>,
    reading: &'a Reading,
    piece: usize,
    text: Vec<u8>,
    /// Lines before `text`.
    number: usize,
    ready: VecDeque<Stretch>,
    over: bool,
    pub empty: u64,
}

impl<'a> Lines<'a> {
    pub fn new(path: &Path, portions: Portions<'a>, reading: &'a Reading, piece: usize) -> Lines<'a> {
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
