//! Generated text, printed token by token.

use std::io::Write as _;

use glass::generate::{Generated, Token};

use crate::fail::Fail;
use crate::out::Out;
use crate::wrapped::Wrapped;

/// How much text was written so far.
#[derive(Default)]
pub struct Stream {
    told: usize,
    ids: bool,
    wrapped: Option<Wrapped>,
}

impl Stream {
    /// For text, or for ids if the model has no tokenizer.
    pub fn new(ids: bool) -> Stream {
        Stream { ids, ..Stream::default() }
    }

    /// For text that is wrapped at words on a terminal, and exact elsewhere; for ids if the model has no tokenizer.
    pub fn fitting(out: &Out, ids: bool) -> Stream {
        if out.is_terminal() && !ids { Stream::wrapped(out.columns()) } else { Stream::new(ids) }
    }

    /// For text that is wrapped at words, on a terminal of `columns` columns.
    pub fn wrapped(columns: usize) -> Stream {
        Stream { wrapped: Some(Wrapped::new(columns)), ..Stream::default() }
    }

    /// Writes the text before the first token, which the lines go on from.
    pub fn begin(&mut self, out: &mut Out, text: &str) -> Result<(), Fail> {
        let text = match &mut self.wrapped {
            Some(wrapped) => wrapped.push(text) + &wrapped.finish(),
            None => text.into(),
        };
        let text = out.dim(&text);
        write!(out, "{text}")?;
        out.show()
    }

    /// Writes the text that a token completed.
    pub fn token(&mut self, out: &mut Out, token: &Token<'_>) -> Result<(), Fail> {
        match self.ids {
            true => self.id(out, token.id)?,
            false => self.text(out, token.text)?,
        }
        self.told += token.text.len();
        out.show()
    }

    /// Writes an id instead of text.
    pub fn id(&mut self, out: &mut Out, id: u32) -> Result<(), Fail> {
        Ok(write!(out, "{id} ")?)
    }

    /// Writes more of the text.
    pub fn text(&mut self, out: &mut Out, text: &str) -> Result<(), Fail> {
        match &mut self.wrapped {
            Some(wrapped) => Ok(write!(out, "{}", wrapped.push(text))?),
            None => Ok(write!(out, "{text}")?),
        }
    }

    /// Writes text that was held back because it might have begun a stop text, and ends the line.
    pub fn end(&mut self, out: &mut Out, done: &Generated) -> Result<(), Fail> {
        self.text(out, done.text.get(self.told..).unwrap_or_default())?;
        self.close(out)
    }

    /// Ends the line.
    pub fn close(&mut self, out: &mut Out) -> Result<(), Fail> {
        let rest = self.wrapped.as_mut().map(Wrapped::finish).unwrap_or_default();
        writeln!(out, "{rest}")?;
        out.show()
    }
}
