//! Bytes in a page: base64 in script elements that no browser executes, each of a size that can be decoded and removed on its own.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Bytes in a piece: a multiple of three, so that only the last one is padded.
const PIECE: usize = 3 << 20;

/// Writes bytes as pieces.
pub struct Pieces<'w> {
    out: &'w mut dyn Write,
    /// What they are of.
    name: &'static str,
    waiting: Vec<u8>,
}

impl<'w> Pieces<'w> {
    /// Of the bytes with this name.
    pub fn new(out: &'w mut dyn Write, name: &'static str) -> Pieces<'w> {
        Pieces { out, name, waiting: Vec::with_capacity(PIECE) }
    }

    /// Adds bytes.
    pub fn add(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let some;
            (some, bytes) = bytes.split_at(bytes.len().min(PIECE - self.waiting.len()));
            self.waiting.extend_from_slice(some);
            if self.waiting.len() == PIECE {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes the last piece.
    pub fn end(mut self) -> io::Result<()> {
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.waiting.is_empty() {
            let text = STANDARD.encode(&self.waiting);
            writeln!(self.out, "<script type=\"text/plain\" data-piece=\"{}\">{text}</script>", self.name)?;
            self.waiting.clear();
        }
        Ok(())
    }
}
