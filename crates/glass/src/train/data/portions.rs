//! A file of text in portions, so that a large one is never held whole.

use std::io::Read;
use std::path::{Path, PathBuf};

use memchr::memmem;

use crate::train::data::{Remark, not_utf8};
use crate::{Error, Result};

/// A file under way.
pub(super) struct Portions<'a> {
    path: PathBuf,
    file: Box<dyn Read + Send + 'a>,
    portion: usize,
    /// Line ends `\r\n` become `\n`.
    plain: bool,
    /// What is not UTF-8 is refused.
    checked: bool,
    /// Read, but a character or a line end goes on in what comes.
    held: Vec<u8>,
    /// Bytes of the file before `held`.
    offset: u64,
    first: [u8; 2],
    marked: bool,
    breaks: usize,
}

const MARK: &[u8] = "\u{feff}".as_bytes();

impl<'a> Portions<'a> {
    /// Of `file`, so many bytes at a time. `plain` text has `\n` for `\r\n`, `checked` text is UTF-8 or refused; UTF-16
    /// always is.
    pub fn new(
        path: &Path,
        file: impl Read + Send + 'a,
        portion: usize,
        plain: bool,
        checked: bool,
    ) -> Portions<'a> {
        Portions {
            path: path.into(),
            file: Box::new(file),
            portion: portion.max(1),
            plain,
            checked,
            held: Vec::new(),
            offset: 0,
            first: [0; 2],
            marked: false,
            breaks: 0,
        }
    }

    /// Appends the next portion. False: the file is over.
    pub fn more(&mut self, text: &mut Vec<u8>) -> Result<bool> {
        let held = self.held.len();
        let mut portion = (&mut self.file).take(self.portion as u64);
        portion.read_to_end(&mut self.held).map_err(|error| Error::io("cannot read", &self.path, error))?;
        let over = self.held.len() == held;
        if self.offset == 0 && self.held.len() >= 2 {
            self.first = [self.held[0], self.held[1]];
        }
        let whole = self.whole(over)?;
        let mut new = &self.held[..whole];
        if self.offset == 0 && whole > 0 {
            self.marked = new.starts_with(MARK);
            new = new.strip_prefix(MARK).unwrap_or(new);
        }
        self.breaks += append(text, new, self.plain);
        self.held.drain(..whole);
        self.offset += whole as u64;
        Ok(!over)
    }

    /// How much of what is held can be given: whole characters and line ends.
    fn whole(&self, over: bool) -> Result<usize> {
        let held = &self.held;
        let is_utf16 = matches!(self.first, [0xff, 0xfe] | [0xfe, 0xff]);
        let whole = match std::str::from_utf8(held) {
            Err(error) if error.error_len().is_none() && !over => error.valid_up_to(),
            Err(error) if self.checked || is_utf16 => {
                let at = error.valid_up_to();
                let byte = held.get(at).copied().unwrap_or_default();
                return Err(not_utf8(&self.path, &self.first, byte, self.offset + at as u64));
            }
            _ => held.len(),
        };
        let splits = self.plain && held[..whole].ends_with(b"\r");
        Ok(if over { whole } else { whole - usize::from(splits) })
    }

    /// Bytes given so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What was made of the file, once it is over.
    pub fn remarks(&self) -> Vec<Remark> {
        let mark = self.marked.then(|| "the byte-order mark at its start is dropped".to_string());
        let breaks = (self.breaks > 0).then(|| format!("{} line ends \\r\\n are read as \\n", self.breaks));
        mark.into_iter().chain(breaks).map(|what| Remark::new(&self.path, what)).collect()
    }
}

/// Appends `new`, if `plain` with `\n` for every `\r\n`, of which it tells the number.
fn append(text: &mut Vec<u8>, new: &[u8], plain: bool) -> usize {
    let (mut from, mut breaks) = (0, 0);
    if plain {
        for at in memmem::find_iter(new, b"\r\n") {
            text.extend_from_slice(&new[from..at]);
            (from, breaks) = (at + 1, breaks + 1);
        }
    }
    text.extend_from_slice(&new[from..]);
    breaks
}
