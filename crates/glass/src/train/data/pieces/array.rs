//! Documents of a JSON file: an array of strings or of objects with a field, or such objects one after the other.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Stretch;
use super::ready::Ready;
use crate::train::data::portions::Portions;
use crate::train::data::{Reading, text_in};
use crate::{Error, Result};

/// A JSON file, of which one element at a time is held in memory.
pub(super) struct Array<'a> {
    path: PathBuf,
    pub portions: Portions<'a>,
    reading: &'a Reading,
    text: Vec<u8>,
    /// Elements read.
    number: usize,
    state: State,
    /// Not an array, but one or more objects, as in JSON lines.
    is_lines: bool,
    /// The file gives nothing more.
    over: bool,
    pub ready: Ready,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    Inside,
    Behind,
}

impl<'a> Array<'a> {
    pub fn new(path: &Path, portions: Portions<'a>, reading: &'a Reading, piece: usize) -> Array<'a> {
        let (text, state) = (Vec::new(), State::Before);
        Array {
            path: path.into(),
            portions,
            reading,
            text,
            number: 0,
            state,
            is_lines: false,
            over: false,
            ready: Ready::new(piece),
        }
    }

    pub fn next(&mut self) -> Result<Option<Stretch>> {
        while self.ready.is_empty() {
            let blank = self.text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.text.drain(..blank);
            match (self.state, self.text.first()) {
                // JSON lines in a file that ends in .json.
                (State::Behind, Some(b'{')) if self.is_lines => self.enter(0, State::Before),
                (State::Behind, Some(_)) => {
                    return Err(self.refused("there is more text after its array or object"));
                }
                (State::Before, Some(b'[')) if !self.is_lines => self.enter(1, State::Inside),
                (State::Inside, Some(b',')) => self.enter(1, State::Inside),
                (State::Inside, Some(b']')) => self.enter(1, State::Behind),
                (State::Before, Some(b'{')) | (State::Inside, Some(_)) => match end(&self.text) {
                    Some(end) => self.element(end)?,
                    None if self.over => return Err(self.refused("it ends within an element")),
                    None => self.read()?,
                },
                (State::Before, Some(_)) => {
                    return Err(
                        self.refused("neither an array nor an object; JSON lines need the extension .jsonl")
                    );
                }
                (State::Inside, None) if self.over => {
                    return Err(self.refused("it ends within its array"));
                }
                (_, None) if self.over => return Ok(None),
                (_, None) => self.read()?,
            }
        }
        Ok(self.ready.pop())
    }

    fn read(&mut self) -> Result<()> {
        self.over = !self.portions.more(&mut self.text)?;
        Ok(())
    }

    fn enter(&mut self, bytes: usize, state: State) {
        self.text.drain(..bytes);
        self.state = state;
    }

    /// Reads the element that ends before byte `end`.
    fn element(&mut self, end: usize) -> Result<()> {
        self.number += 1;
        let what = format!("{}, element {}", self.path.display(), self.number);
        let parsed = serde_json::from_slice(&self.text[..end]);
        let text = match parsed.map_err(|error| Error::invalid(&*what, format!("not JSON: {error}")))? {
            Value::String(text) => text,
            Value::Object(object) => text_in(&what, object, &self.reading.field)?,
            _ => return Err(Error::invalid(what, "neither a string nor an object, as a document must be")),
        };
        self.ready.add(&text);
        self.is_lines |= self.state == State::Before;
        let state = if self.is_lines { State::Behind } else { State::Inside };
        self.enter(end, state);
        Ok(())
    }

    fn refused(&self, why: &str) -> Error {
        Error::invalid(self.path.display(), format!("cannot read documents from this JSON: {why}"))
    }
}

/// Where the value at the beginning of `text` ends; `None` if it is incomplete.
fn end(text: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 0 => depth -= 1,
            b',' | b']' if depth == 0 => return Some(at),
            _ => {}
        }
        if depth == 0 && !in_string && matches!(byte, b'"' | b'}' | b']') && !escaped {
            return Some(at + 1);
        }
    }
    None
}
