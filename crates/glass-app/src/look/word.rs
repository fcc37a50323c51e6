//! One word's vector: how it takes in its context.

pub mod drift;
pub mod taken_in;

use std::ops::Range;

use crate::fail::Fail;
use crate::model_arg::Model;

/// Columns of a name, and of a bar.
const NAME: usize = 30;
const BAR: usize = 24;

/// The position of a word's last token.
fn place(model: &Model, ids: &[u32], word: &str, option: &str) -> Result<usize, Fail> {
    Ok(places(model, ids, word, option)?.end - 1)
}

/// The positions of a word's tokens: of its last occurrence.
fn places(model: &Model, ids: &[u32], word: &str, option: &str) -> Result<Range<usize>, Fail> {
    let mut text = Vec::new();
    let ends: Vec<usize> = ids
        .iter()
        .map(|&id| {
            text.extend_from_slice(model.bytes(id));
            text.len()
        })
        .collect();
    let mut starts = (0..text.len()).rev().filter(|_| !word.is_empty());
    match starts.find(|&start| text[start..].starts_with(word.as_bytes())) {
        Some(start) => {
            let (end, token_of) = (start + word.len(), |byte| ends.partition_point(|&end| end <= byte));
            Ok(token_of(start)..token_of(end - 1) + 1)
        }
        None => Err(Fail::asked(format!("{option}: {word:?} does not stand in the text"))),
    }
}
