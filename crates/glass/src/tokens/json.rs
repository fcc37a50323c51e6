//! `tokenizer.json`, the file of Hugging Face's `tokenizers`: byte-level BPE with added tokens; and the older pair, a
//! vocabulary in JSON and a text of merges.

mod pair;
mod read;
mod write;

use serde::{Deserialize, Serialize};

pub use pair::read as read_pair;
pub use read::read;
pub use write::write;

/// An added token, as the file has it.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Token {
    id: u32,
    content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}
