//! The files a vocabulary is kept in: `tokenizer.json`, GPT-2's pair of a vocabulary and its merges, or tiktoken's ranks.

use std::path::Path;

use super::Tokenizer;
use super::{json, ranks};
use crate::{Error, Result};

/// Where a folder may keep its vocabulary, in the order it is looked for: one file, or two that belong together. The
/// last pair has the names under which OpenAI published GPT-2's.
const NAMES: [&[&str]; 3] =
    [&["tokenizer.json"], &["vocab.json", "merges.txt"], &["encoder.json", "vocab.bpe"]];

/// The files that hold a folder's vocabulary; `has` says whether one is there.
pub(crate) fn in_folder(has: impl Fn(&str) -> bool) -> Option<&'static [&'static str]> {
    NAMES.into_iter().find(|names| names.iter().all(|name| has(name)))
}

/// The vocabulary in these files, of which [`in_folder`] found the names.
pub(crate) fn read(files: &[(String, impl AsRef<[u8]>)]) -> Result<Tokenizer> {
    match files {
        [(name, text)] => json::read(name, text.as_ref()),
        [(vocabulary, ids), (merges, pairs)] => {
            json::read_pair([vocabulary, merges], [ids.as_ref(), pairs.as_ref()])
        }
        _ => Err(Error::asked("vocabulary", "is kept in one file or two")),
    }
}

/// Opens a file or what a folder holds; see [`Tokenizer::open`].
pub(super) fn open(path: &Path) -> Result<Tokenizer> {
    let bytes = |path: &Path| std::fs::read(path).map_err(|error| Error::io("cannot read", path, error));
    let named = |path: &Path| Ok((path.display().to_string(), bytes(path)?));
    if path.extension().is_some_and(|ending| ending == "tiktoken") {
        return ranks::read(&path.display().to_string(), &bytes(path)?);
    }
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    // Either file of a pair stands for both.
    let pair = NAMES[1..].iter().find(|pair| pair.iter().any(|name| path.file_name() == Some(name.as_ref())));
    let names = match (path.is_dir(), pair) {
        (false, None) => return read(&[named(path)?]),
        (false, Some(pair)) => pair,
        (true, _) => in_folder(|name| folder.join(name).exists()).ok_or_else(|| {
            let why = "holds no vocabulary; tokenizer.json, or vocab.json and merges.txt, was expected";
            Error::invalid(path.display(), why)
        })?,
    };
    read(&names.iter().map(|name| named(&folder.join(name))).collect::<Result<Vec<_>>>()?)
}
