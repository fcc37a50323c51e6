//! Files to documents: which files, which characters, where one document ends and the next begins.
//!
//! What is read is taken byte for byte, with three exceptions, each of them remarked: a byte-order mark is dropped,
//! `\r\n` in text files becomes `\n`, and the line breaks directly beside a separator belong to it.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::random::Random;
use crate::{Error, Result};

/// How files are read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Stands between the documents of a text file.
    pub separator: String,
    /// The field of a JSON line that holds the document.
    pub field: String,
}

impl Default for Reading {
    fn default() -> Self {
        Reading { separator: "<|endoftext|>".into(), field: "text".into() }
    }
}

/// Something about a file that its owner may want to know, and that stopped nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The file or folder.
    pub path: PathBuf,
    /// What was seen, and what was made of it.
    pub what: String,
}

impl Remark {
    pub(super) fn new(path: &Path, what: impl Into<String>) -> Self {
        Remark { path: path.to_path_buf(), what: what.into() }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

/// Documents in the order they were read. One text, cut: splitting them copies no text.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    text: std::sync::Arc<String>,
    ranges: Vec<Range<usize>>,
    /// Files they came from.
    pub files: usize,
}

impl Documents {
    /// Reads text files and files of JSON lines (`.jsonl`, `.ndjson`), and says what is remarkable about them.
    pub fn read(files: &[PathBuf], reading: &Reading) -> Result<(Documents, Vec<Remark>)> {
        let mut documents = Documents::default();
        let mut remarks = Vec::new();
        for path in files {
            let bytes = fs::read(path).map_err(|error| Error::io("cannot read", path, error))?;
            remarks.extend(documents.add(path, bytes, reading)?);
        }
        if documents.is_empty() {
            let named = files.first().map_or("data".into(), |path| path.display().to_string());
            return Err(Error::invalid(named, "no text in what was given; name files with text in them"));
        }
        Ok((documents, remarks))
    }

    /// Adds one file's content; `path` names it in remarks and errors and says by its ending what it is.
    pub fn add(&mut self, path: &Path, bytes: Vec<u8>, reading: &Reading) -> Result<Vec<Remark>> {
        let mut remarks = Vec::new();
        let mut text = utf8(path, bytes)?;
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
            remarks.push(Remark::new(path, "the byte-order mark at its start is dropped"));
        }
        self.files += 1;
        let before = self.len();
        if is_json_lines(path) {
            self.add_lines(path, &text, reading)?;
        } else {
            let breaks = text.matches("\r\n").count();
            if breaks > 0 {
                text = text.replace("\r\n", "\n");
                remarks.push(Remark::new(path, format!("{breaks} line ends \\r\\n are read as \\n")));
            }
            self.add_text(&text, &reading.separator);
        }
        if self.len() == before {
            remarks.push(Remark::new(path, "empty, skipped"));
        }
        Ok(remarks)
    }

    fn add_text(&mut self, text: &str, separator: &str) {
        let base = self.text.len();
        std::sync::Arc::make_mut(&mut self.text).push_str(text);
        self.ranges
            .extend(cut(text, separator).into_iter().map(|range| base + range.start..base + range.end));
    }

    fn add_lines(&mut self, path: &Path, text: &str, reading: &Reading) -> Result<()> {
        for (number, object) in json_lines(path, text) {
            let (place, object) = (format!("{}:{number}", path.display()), object?);
            match object.get(&reading.field) {
                Some(serde_json::Value::String(document)) if document.is_empty() => {}
                Some(serde_json::Value::String(document)) => {
                    let start = self.text.len();
                    std::sync::Arc::make_mut(&mut self.text).push_str(document);
                    self.ranges.push(start..self.text.len());
                }
                Some(_) => {
                    let why = format!("the field \"{}\" is not a string, which a document is", reading.field);
                    return Err(Error::invalid(place, why));
                }
                None => {
                    let found: Vec<_> = object.keys().map(|key| format!("\"{key}\"")).collect();
                    let why = format!(
                        "no field \"{}\" in this line, which has {}; name the one that holds the text with --field",
                        reading.field,
                        if found.is_empty() { "none".into() } else { found.join(", ") },
                    );
                    return Err(Error::invalid(place, why));
                }
            }
        }
        Ok(())
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Bytes of all documents.
    pub fn bytes(&self) -> usize {
        self.ranges.iter().map(Range::len).sum()
    }

    /// The documents' texts.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.ranges.iter().map(|range| &self.text[range.clone()])
    }

    /// Document number `index`.
    pub fn text(&self, index: usize) -> &str {
        &self.text[self.ranges[index].clone()]
    }

    /// Parts into (training, validation). Documents go to validation in an order drawn from `seed` until they would
    /// hold more than `fraction` of the bytes; both parts keep the order of reading. If that leaves validation with
    /// less than half of its share, since documents are few and long, the tail of the next one is cut off for it.
    pub fn split(mut self, fraction: f64, seed: u64) -> (Documents, Documents) {
        let wanted = (self.bytes() as f64 * fraction) as usize;
        let mut chosen = vec![false; self.len()];
        let (mut held, mut tail) = (0, None);
        for index in Random::new(seed, "validation", 0).permutation(self.len()) {
            let len = self.ranges[index].len();
            if held + len > wanted {
                tail = (held < wanted.div_ceil(2)).then_some(index);
                break;
            }
            chosen[index] = true;
            held += len;
        }
        let mut validation = Documents { text: self.text.clone(), ranges: Vec::new(), files: 0 };
        let mut kept = Vec::new();
        for (index, range) in std::mem::take(&mut self.ranges).into_iter().enumerate() {
            if chosen[index] {
                validation.ranges.push(range);
            } else if tail == Some(index) {
                let at = self.text.ceil_char_boundary(range.end - (wanted - held));
                kept.push(range.start..at);
                validation.ranges.push(at..range.end);
            } else {
                kept.push(range);
            }
        }
        kept.retain(|range| !range.is_empty());
        validation.ranges.retain(|range| !range.is_empty());
        self.ranges = kept;
        (self, validation)
    }
}

/// Where the documents of a text stand: between the separators, without the line breaks beside them; none is empty.
pub fn cut(text: &str, separator: &str) -> Vec<Range<usize>> {
    if separator.is_empty() {
        return if text.is_empty() { Vec::new() } else { std::iter::once(0..text.len()).collect() };
    }
    let mut ranges = Vec::new();
    let mut start = 0;
    let mut first = true;
    loop {
        let next = text[start..].find(separator);
        let end = next.map_or(text.len(), |at| start + at);
        let mut piece = &text[start..end];
        let mut from = start;
        if !first {
            let trimmed = piece.trim_start_matches(['\n', '\r']);
            from += piece.len() - trimmed.len();
            piece = trimmed;
        }
        if next.is_some() {
            piece = piece.trim_end_matches(['\n', '\r']);
        }
        if !piece.is_empty() {
            ranges.push(from..from + piece.len());
        }
        if next.is_none() {
            return ranges;
        }
        (start, first) = (end + separator.len(), false);
    }
}

/// The lines of a JSON-lines file that are not blank, each with its number from 1.
pub(super) fn json_lines<'a>(
    path: &'a Path,
    text: &'a str,
) -> impl Iterator<Item = (usize, Result<serde_json::Map<String, serde_json::Value>>)> + 'a {
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(move |(index, line)| {
        let object = serde_json::from_str(line).map_err(|error| {
            let what = format!("{}:{}", path.display(), index + 1);
            Error::invalid(what, format!("not a JSON object: {error}; each line must be one object"))
        });
        (index + 1, object)
    })
}

/// The text in `bytes`, or a sentence about the first byte that is none.
pub(super) fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let hint = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it looks like UTF-16",
            [0x1f, 0x8b, ..] => "it looks like a gzip archive",
            _ => "it may be in another encoding, or no text at all",
        };
        let why = format!(
            "not UTF-8: byte 0x{:02x} at offset {at}; {hint}; convert it to UTF-8 first",
            bytes.get(at).copied().unwrap_or_default()
        );
        Error::invalid(path.display(), why)
    })
}

fn is_json_lines(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "jsonl" || ending == "ndjson")
}
