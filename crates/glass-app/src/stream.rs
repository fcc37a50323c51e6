//! Generated text as it comes, a piece with every token.

use std::io::Write as _;

use glass::generate::{Generated, Token};

use crate::fail::Fail;
use crate::out::Out;

/// How much was written so far.
#[derive(Default)]
pub struct Stream {
    told: usize,
    ids: bool,
}

impl Stream {
    /// For text, or, where a model has no tokenizer, for ids.
    pub fn new(ids: bool) -> Stream {
        Stream { told: 0, ids }
    }

    /// Writes what a token made certain.
    pub fn token(&mut self, out: &mut Out, token: &Token<'_>) -> Result<(), Fail> {
        match self.ids {
            true => self.id(out, token.id)?,
            false => write!(out, "{}", token.text)?,
        }
        self.told += token.text.len();
        out.show()
    }

    /// Writes an id, where there is no text.
    pub fn id(&mut self, out: &mut Out, id: u32) -> Result<(), Fail> {
        Ok(write!(out, "{id} ")?)
    }

    /// Writes what was held back in case it began a stop text, and ends the line.
    pub fn end(&self, out: &mut Out, done: &Generated) -> Result<(), Fail> {
        writeln!(out, "{}", done.text.get(self.told..).unwrap_or_default())?;
        out.show()
    }
}
