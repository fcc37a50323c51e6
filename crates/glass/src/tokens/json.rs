//! `tokenizer.json`, the file of Hugging Face's `tokenizers`: byte-level BPE with added tokens; and the older pair, a
//! vocabulary in JSON and a text of merges.

mod pair;
mod read;
mod write;

use serde::{Deserialize, Serialize};

use super::Tokenizer;
use crate::Result;

pub use pair::read as read_pair;
pub use read::read;
pub use write::{Lists, lists, write};

/// From the lists that [`lists`] gives; `name` stands in errors. Added tokens are an id, a text, and whether it is special.
pub fn from_lists(
    name: &str,
    tokens: &[Option<&str>],
    merges: &[&str],
    added: &[(u32, &str, bool)],
) -> Result<Tokenizer> {
    let ids = tokens.iter().zip(0u32..).filter_map(|(text, id)| Some((text.as_ref()?.to_string(), id)));
    let merges = merges.iter().map(|pair| read::Pair::Joined(pair.to_string())).collect();
    let model = read::Model { vocab: ids.collect(), merges };
    let added = added.iter().map(|&(id, text, special)| Token {
        id,
        content: text.to_string(),
        special,
        ..Token::default()
    });
    read::build([name, name], &model, &added.collect::<Vec<_>>(), false, false)
}

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
