//! The files that hold a vocabulary: `tokenizer.json`, GPT-2's pair of a vocabulary and its merges, or tiktoken's
//! ranks. nanoGPT's `meta.pkl` is searched for in the same place, and read by the code that reads pickles.

use std::path::Path;

use super::{Beside, Tokenizer};
use super::{json, ranks};
use crate::{Error, Result};

/// nanoGPT's character vocabulary, a pickle.
pub(crate) const CHARACTERS: &str = "meta.pkl";

/// What `tokenizers` writes: everything in one file.
pub(crate) const JSON: &str = "tokenizer.json";

/// Where a folder may keep its vocabulary, in the order it is looked for: one file, or two that belong together. The
/// third has the names under which OpenAI published GPT-2's.
const NAMES: [&[&str]; 4] =
    [&[JSON], &["vocab.json", "merges.txt"], &["encoder.json", "vocab.bpe"], &[CHARACTERS]];

/// The files that hold a folder's vocabulary; `has` says whether a file exists.
pub(crate) fn in_folder(has: impl Fn(&str) -> bool) -> Option<&'static [&'static str]> {
    NAMES.into_iter().find(|names| names.iter().all(|name| has(name)))
}

/// Reads the vocabulary from these files, whose names [`in_folder`] found, and the files `beside` them.
pub(crate) fn read(files: &[(String, impl AsRef<[u8]>)], beside: &Beside) -> Result<Tokenizer> {
    match files {
        [(name, text)] => json::read(name, text.as_ref(), beside),
        [(vocabulary, ids), (merges, pairs)] => {
            json::read_pair([vocabulary, merges], [ids.as_ref(), pairs.as_ref()], beside)
        }
        _ => Err(Error::invalid_argument("vocabulary", "is kept in one file or two")),
    }
}

/// Opens a file or a folder; see [`Tokenizer::open`]. If a single file is named, only that file is read.
pub(super) fn open(path: &Path) -> Result<Tokenizer> {
    let bytes = |path: &Path| std::fs::read(path).map_err(|error| Error::io("cannot read", path, error));
    let named = |path: &Path| Ok((path.display().to_string(), bytes(path)?));
    if path.extension().is_some_and(|ending| ending == "tiktoken") {
        return ranks::read(&path.display().to_string(), &bytes(path)?);
    }
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    // Either file of a pair may be named.
    let is_half =
        |pair: &&&[&str]| pair.len() == 2 && pair.iter().any(|name| path.file_name() == Some(name.as_ref()));
    let pair = NAMES.iter().find(is_half);
    let names = match (path.is_dir(), pair) {
        (false, None) => return read(&[named(path)?], &Beside::default()),
        (false, Some(pair)) => pair,
        (true, _) => in_folder(|name| name != CHARACTERS && folder.join(name).exists()).ok_or_else(|| {
            let why = "holds no vocabulary; tokenizer.json, or vocab.json with merges.txt, was expected";
            Error::invalid(path.display(), why)
        })?,
    };
    let beside = match path.is_dir() {
        true => Beside::read(|name| match folder.join(name) {
            path if path.exists() => named(&path).map(Some),
            _ => Ok(None),
        })?,
        false => Beside::default(),
    };
    read(&names.iter().map(|name| named(&folder.join(name))).collect::<Result<Vec<_>>>()?, &beside)
}
