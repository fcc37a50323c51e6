//! Generated text, printed token by token.

use std::io::Write as _;

use glass::generate::{Generated, Token};

use crate::fail::Fail;
use crate::out::Out;

/// How much text was written so far.
#[derive(Default)]
pub struct Stream {
    told: usize,
    ids: bool,
}

impl Stream {
    /// For text, or for ids if the model has no tokenizer.
    pub fn new(ids: bool) -> Stream {
        Stream { told: 0, ids }
    }

    /// Writes the text that a token completed.
    pub fn token(&mut self, out: &mut Out, token: &Token<'_>) -> Result<(), Fail> {
        match self.ids {
            true => self.id(out, token.id)?,
            false => write!(out, "{}", token.text)?,
        }
        self.told += token.text.len();
        out.show()
    }

    /// Writes an id instead of text.
    pub fn id(&mut self, out: &mut Out, id: u32) -> Result<(), Fail> {
        Ok(write!(out, "{id} ")?)
    }

    /// Writes text that was held back because it might have begun a stop text, and ends the line.
    pub fn end(&self, out: &mut Out, done: &Generated) -> Result<(), Fail> {
        writeln!(out, "{}", done.text.get(self.told..).unwrap_or_default())?;
        out.show()
    }
}
