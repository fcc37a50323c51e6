//! Opens a vocabulary by its files, including nanoGPT's pickle of characters (`meta.pkl`, which its
//! `data/shakespeare_char/prepare.py` writes).

use std::path::Path;

use super::pickle::{Pickle, Value};
use super::source::LONGEST_TEXT;
use crate::config::object;
use crate::tokens::files::{self, CHARACTERS};
use crate::tokens::{Beside, Tokenizer};
use crate::{Error, Result};

/// Opens what [`Tokenizer::open`] opens, nanoGPT's `meta.pkl`, or a folder with any of these.
pub fn open(path: &Path) -> Result<Tokenizer> {
    let in_folder = || files::in_folder(|name| path.join(name).exists());
    let file = match path.is_dir() {
        true if in_folder() == Some(&[CHARACTERS]) => path.join(CHARACTERS),
        true => return Tokenizer::open(path),
        false => path.to_path_buf(),
    };
    match file.file_name().is_some_and(|name| name == CHARACTERS) {
        true => characters(&file.display().to_string(), &object::read(&file, LONGEST_TEXT)?),
        false => Tokenizer::open(path),
    }
}

/// The vocabulary in a folder's files, and the files next to them that change it.
pub(super) fn read(files: &[(String, impl AsRef<[u8]>)], beside: &Beside) -> Result<Tokenizer> {
    match files {
        [(name, bytes)] if name.ends_with(CHARACTERS) => characters(name, bytes.as_ref()),
        files => files::read(files, beside),
    }
}

/// Reads `meta.pkl`; nothing in it is run.
fn characters(name: &str, bytes: &[u8]) -> Result<Tokenizer> {
    let wrong = |why: String| Error::invalid(name, why);
    let pickle = Pickle::read(bytes).map_err(wrong)?;
    let ids = pickle.get(pickle.root(), "stoi").and_then(|stoi| pickle.entries(stoi));
    let ids = ids.ok_or_else(|| {
        wrong("holds no \"stoi\", which nanoGPT's meta.pkl has: the id of every character".into())
    })?;
    let entry = |entry: &(Value<'_>, Value<'_>)| match *entry {
        (Value::Text(text), Value::Int(id)) => Ok((text.to_string(), id)),
        _ => Err(wrong("its \"stoi\" has an entry that is not a character and its id".into())),
    };
    let ids = ids.iter().map(entry).collect::<Result<Vec<_>>>()?;
    Tokenizer::from_characters(name, ids.iter().map(|(text, id)| (text.as_str(), *id)))
}
