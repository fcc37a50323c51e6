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

/// An added token, as in the file.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub content: String,
    /// Only matched as a whole word.
    pub single_word: bool,
    /// White space before it belongs to it.
    pub lstrip: bool,
    /// White space after it belongs to it.
    pub rstrip: bool,
    /// It is searched for in the normalised text.
    pub normalized: bool,
    /// Plain text cannot spell it.
    pub special: bool,
}
