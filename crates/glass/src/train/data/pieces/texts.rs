//! Reads documents from a text file.

use memchr::memmem;

use super::Stretch;
use crate::Result;
use crate::tokens::word_cut;
use crate::train::data::portions::Portions;

/// A text file: documents are separated by separators, without the line breaks next to them.
pub(super) struct Texts<'a> {
    pub portions: Portions<'a>,
    separator: memmem::Finder<'a>,
    piece: usize,
    /// Text that was read but not returned begins at `start`; no separator begins before `searched`.
    text: Vec<u8>,
    start: usize,
    searched: usize,
    /// The bytes of the current document that were returned.
    given: u64,
    /// Whether a separator precedes it.
    separated: bool,
    over: bool,
    pub empty: u64,
}

impl<'a> Texts<'a> {
    pub fn new(portions: Portions<'a>, separator: &'a str, piece: usize) -> Texts<'a> {
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

    pub fn next(&mut self) -> Result<Option<Stretch>> {
        loop {
            let (found, until) = self.search();
            if self.given == 0 && self.separated {
                let breaks = self.text[self.start..until].iter().take_while(is_break).count();
                self.start += breaks;
            }
            let mut rest = &self.text[self.start..until];
            if found {
                let breaks = rest.iter().rev().take_while(is_break).count();
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

    /// Searches for a separator; also returns up to where no byte belongs to one.
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

    /// Moves to the next document.
    fn after(&mut self, found: bool, until: usize) {
        self.start = until + if found { self.separator.needle().len() } else { 0 };
        (self.given, self.separated) = (0, true);
    }
}

fn is_break(byte: &&u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}
