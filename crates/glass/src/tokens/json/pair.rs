//! GPT-2's own pair of files: a vocabulary (`vocab.json`, once `encoder.json`) and its merges (`merges.txt`, once
//! `vocab.bpe`), a line for each in the order they were learned.

use std::collections::HashMap;

use super::Token;
use super::read::{Model, Pair, build};
use crate::tokens::{END_OF_TEXT, Tokenizer};
use crate::{Error, Result};

/// Reads both files, the vocabulary first; the names stand in errors. `<|endoftext|>` is special where it is there.
pub fn read(names: [&str; 2], [vocabulary, merges]: [&[u8]; 2]) -> Result<Tokenizer> {
    let vocab: HashMap<String, u32> = serde_json::from_slice(vocabulary).map_err(|error| {
        Error::invalid(names[0], format!("it is no list of tokens with their ids: {error}"))
    })?;
    let merges = std::str::from_utf8(merges)
        .map_err(|error| Error::invalid(names[1], format!("it is no list of merges: {error}")))?;
    // The first line may tell the version.
    let lines = merges.lines().enumerate().filter(|(at, line)| *at > 0 || !line.starts_with("#version"));
    let lines = lines.map(|(_, line)| line).filter(|line| !line.is_empty());
    let model = Model { merges: lines.map(|line| Pair::Joined(line.into())).collect(), vocab };
    let special = model.vocab.get(END_OF_TEXT).map(|id| Token {
        id: *id,
        content: END_OF_TEXT.into(),
        special: true,
        ..Token::default()
    });
    build(names, &model, special.as_slice(), false, false)
}
