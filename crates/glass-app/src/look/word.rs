//! The vector of one word: how it takes in its context.

pub mod drift;
pub mod taken_in;

use std::ops::Range;

use crate::fail::Fail;
use crate::model_arg::NamedModel;

/// Columns of a name, and of a bar at most.
const NAME: usize = 32;
const BAR: usize = 24;

/// Where a word occurs: the positions of its tokens for each occurrence. Whole words come first; among them, the
/// last in the text.
fn occurrences(model: &NamedModel, ids: &[u32], word: &str, option: &str) -> Result<Vec<Range<usize>>, Fail> {
    let mut text = Vec::new();
    let ends: Vec<usize> = ids
        .iter()
        .map(|&id| {
            text.extend_from_slice(model.bytes(id));
            text.len()
        })
        .collect();
    let token_of = |byte| ends.partition_point(|&end| end <= byte);
    let bytes = word.as_bytes();
    let starts = (0..text.len()).rev().filter(|&start| !word.is_empty() && text[start..].starts_with(bytes));
    let mut found: Vec<(bool, Range<usize>)> = starts
        .map(|start| {
            let end = start + bytes.len();
            (!is_whole(&text, start..end), token_of(start)..token_of(end - 1) + 1)
        })
        .collect();
    found.sort_by_key(|(part, _)| *part);
    match found.is_empty() {
        true => Err(Fail::asked(format!("{option}: {word:?} does not occur in the text"))),
        false => Ok(found.into_iter().map(|(_, places)| places).collect()),
    }
}

/// Whether a range of a text is not part of a longer word.
fn is_whole(text: &[u8], place: Range<usize>) -> bool {
    let letter = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80);
    let before = place.start.checked_sub(1).and_then(|at| text.get(at));
    let cut_before = letter(before) && letter(text.get(place.start));
    let cut_after = letter(text.get(place.end - 1)) && letter(text.get(place.end));
    !cut_before && !cut_after
}

/// Where a word is in a text, as in `ball, at position 4` or `fluffy, at positions 1 to 3`.
fn placed(word: &str, places: &Range<usize>) -> String {
    match places.len() {
        1 => format!("{word:?}, at position {}", places.start),
        tokens => {
            format!("{word:?}, at positions {} to {} ({tokens} tokens)", places.start, places.end - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn a_word_is_not_a_part_of_another() {
        let text = "a model remodels modèle".as_bytes();
        let at = |word: &str, from: usize| {
            let start = from + text[from..].windows(word.len()).position(|w| w == word.as_bytes()).unwrap();
            is_whole(text, start..start + word.len())
        };
        assert!(at("model", 0) && at(" model", 0) && at("remodels", 0));
        assert!(!at("model", 8) && !at("mod", 17));
    }
}
