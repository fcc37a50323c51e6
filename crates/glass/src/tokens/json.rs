//! `tokenizer.json`, the file of Hugging Face's `tokenizers`: byte-level BPE with added tokens; and the older pair, a
//! vocabulary in JSON and a text of merges.

mod build;
mod pair;
mod parts;
mod read;
mod write;

use serde::{Deserialize, Serialize};

pub use build::{FromLists, from_lists, next_id};
pub use pair::read as read_pair;
pub use read::{before, read};
pub use write::{Lists, gguf_pre, lists, write};

/// An added token, as the file has it.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub content: String,
    /// Only between characters that are not of a word.
    pub single_word: bool,
    /// White space before it is part of it.
    pub lstrip: bool,
    /// White space after it is part of it.
    pub rstrip: bool,
    /// It is looked for in the normalized text.
    pub normalized: bool,
    /// Plain text may not spell it.
    pub special: bool,
}
