//! `tokenizer.json`, the file of Hugging Face's `tokenizers`: byte-level BPE and SentencePiece's, with added tokens; the
//! older pair, a vocabulary in JSON and a text of merges; and the lists of a GGUF file.

mod build;
mod cuts;
mod lists;
mod model;
mod pair;
mod parts;
mod read;
mod scores;
mod sentence;
mod write;

use serde::{Deserialize, Serialize};

pub use build::next_id;
pub use lists::{FromLists, from_lists, starts_by_default};
pub use pair::read as read_pair;
pub use read::{before, is_made_by, read};
pub use scores::from_scores;
pub use write::{GgufKind, Lists, gguf_kind, lists, write};

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
