//! Reads documents from files: which characters they hold, and where one document ends and the next begins.
//!
//! Files are read byte for byte, with three exceptions, each reported in a remark: a byte-order mark is dropped,
//! `\r\n` in text files becomes `\n`, and line breaks next to a separator belong to the separator.

pub mod files;
pub mod pieces;
pub mod corpus;
pub mod prepare;
pub mod card;
pub mod shards;
pub mod llm_c;
pub mod chats;
pub mod pairs;
pub mod set;
pub mod pack;
pub mod mix;
pub mod near;
pub mod ids;
pub mod order;
mod portions;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::train::data::pieces::{Pieces, Sizes};
use crate::{Error, Result};

/// How files are read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The separator between the documents of a text file; if it is empty, a file is one document.
    pub separator: String,
    /// The field of a JSON line that holds the document.
    pub field: String,
    /// A text file may hold any bytes, not only valid UTF-8.
    pub any_bytes: bool,
}

impl Default for Reading {
    fn default() -> Self {
        Reading { separator: "<|endoftext|>".into(), field: "text".into(), any_bytes: false }
    }
}

/// Something about a file that its owner may want to know, but that is not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The file or folder.
    pub path: PathBuf,
    /// What was found, and how it was handled.
    pub what: String,
}

impl Remark {
    pub(crate) fn new(path: &Path, what: impl Into<String>) -> Self {
        Remark { path: path.to_path_buf(), what: what.into() }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

/// The documents of a text in memory, in the order of reading.
#[derive(Clone, Debug, Default)]
pub struct Documents(Vec<String>);

impl Documents {
    /// Adds the contents of one file; `path` names it in remarks and errors, and its extension tells the format.
    pub fn add(&mut self, path: &Path, bytes: Vec<u8>, reading: &Reading) -> Result<Vec<Remark>> {
        let whole = Sizes { portion: bytes.len(), piece: usize::MAX };
        let mut pieces = Pieces::of(path, &*bytes, reading, whole);
        for piece in &mut pieces {
            self.0.push(utf8(path, piece?.text)?);
        }
        Ok(pieces.remarks)
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no documents.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of all documents.
    pub fn bytes(&self) -> usize {
        self.texts().map(str::len).sum()
    }

    /// The documents' texts.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// The document in a line of JSON; `None` for a blank line.
pub(crate) fn document(path: &Path, number: usize, line: &[u8], field: &str) -> Result<Option<String>> {
    let line = line.trim_ascii_end();
    if line.is_empty() {
        return Ok(None);
    }
    let what = format!("{}:{number}", path.display());
    text_in(&what, object(path, number, line)?, field).map(Some)
}

/// The text in a field of an object, which `what` names.
pub(crate) fn text_in(
    what: &str,
    mut object: serde_json::Map<String, serde_json::Value>,
    field: &str,
) -> Result<String> {
    let why = match object.remove(field) {
        Some(serde_json::Value::String(text)) => return Ok(text),
        Some(_) => format!("the field \"{field}\" is not a string, which a document is"),
        None if ["messages", "conversations", "role"].iter().any(|&key| object.contains_key(key)) => {
            "this is a conversation, not a text; give its file as `chat`, not as `data`".into()
        }
        None => {
            let found: Vec<_> = object.keys().map(|key| format!("\"{key}\"")).collect();
            format!(
                "no field \"{field}\" in this object, which has {}; name the one that holds the text as `field`",
                if found.is_empty() { "none".into() } else { found.join(", ") },
            )
        }
    };
    Err(Error::invalid(what, why))
}

fn object(path: &Path, number: usize, line: &[u8]) -> Result<serde_json::Map<String, serde_json::Value>> {
    serde_json::from_slice(line).map_err(|error| {
        let what = format!("{}:{number}", path.display());
        Error::invalid(what, format!("not a JSON object: {error}; each line must be one object"))
    })
}

/// The text in `bytes`, or an error about the first byte that is not UTF-8.
pub(crate) fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        not_utf8(path, error.as_bytes(), error.as_bytes()[at], at as u64)
    })
}

/// An error about a byte at `offset` of a file that begins with `first`.
pub(crate) fn not_utf8(path: &Path, first: &[u8], byte: u8, offset: u64) -> Error {
    let hint = match first {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it looks like UTF-16",
        [0x1f, 0x8b, ..] => "it looks like a gzip archive",
        _ => "it may be in another encoding, or not text at all",
    };
    let why = format!("not UTF-8: byte 0x{byte:02x} at offset {offset}; {hint}; convert it to UTF-8 first");
    Error::invalid(path.display(), why)
}
