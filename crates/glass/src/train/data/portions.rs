//! Reads a text file in portions, so that a large one is never held in memory as a whole.

use std::io::Read;
use std::path::{Path, PathBuf};

use memchr::memmem;

use crate::train::data::{Remark, not_utf8};
use crate::{Error, Result};

/// A file that is being read.
pub(super) struct Portions<'a> {
    path: PathBuf,
    file: Box<dyn Read + Send + 'a>,
    portion: usize,
    /// Whether `\r\n` is converted to `\n`.
    plain: bool,
    /// Whether invalid UTF-8 is an error.
    checked: bool,
    /// Bytes that were read but end within a character or a line end.
    held: Vec<u8>,
    /// The bytes of the file before `held`.
    offset: u64,
    first: [u8; 2],
    marked: bool,
    breaks: usize,
}

const MARK: &[u8] = "\u{feff}".as_bytes();

impl<'a> Portions<'a> {
    /// Reads `file`, `size` bytes at a time. In `plain` text, `\r\n` becomes `\n`; `checked` text must be UTF-8.
    /// UTF-16 is always an error.
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

    /// Appends the next portion. Returns false at the end of the file.
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

    /// How many of the held bytes can be returned: whole characters and line ends.
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

    /// The bytes returned so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Remarks about the file, once it was read to its end.
    pub fn remarks(&self) -> Vec<Remark> {
        let mark = self.marked.then(|| "the byte-order mark at its start is dropped".to_string());
        let breaks = (self.breaks > 0).then(|| format!("{} line ends \\r\\n are read as \\n", self.breaks));
        mark.into_iter().chain(breaks).map(|what| Remark::new(&self.path, what)).collect()
    }
}

/// Appends `new`; if `plain`, with `\n` for every `\r\n`, whose number is returned.
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
