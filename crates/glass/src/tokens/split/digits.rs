//! SmolLM's and StarCoder's split: every digit is a word (`Digits`, one by one), and what is between digits is split
//! as GPT-2 splits it. To that second split, the text ends where a digit begins.

use super::gpt2::contraction;
use super::{Class, class_at, run};

/// Where the word that begins at `at` ends. `at` must be inside the text and at the end of the previous word.
#[inline]
pub fn word_end(text: &[u8], at: usize) -> usize {
    let (class, bytes) = class_at(text, at);
    match class {
        Class::Number => at + bytes,
        Class::Letter => run(text, at + bytes, Class::Letter),
        Class::Other => match text[at] == b'\'' {
            true => contraction(text, at).unwrap_or_else(|| run(text, at + 1, Class::Other)),
            false => run(text, at + bytes, Class::Other),
        },
        Class::Space => match text[at] == b' ' && at + 1 < text.len() {
            true => match class_at(text, at + 1) {
                (Class::Space, _) => space_end(text, at),
                (Class::Number, _) => at + 1,
                (class, bytes) => run(text, at + 1 + bytes, class),
            },
            false => space_end(text, at),
        },
    }
}

/// A run of spaces, without the last one if a word follows; a digit is no word.
fn space_end(text: &[u8], at: usize) -> usize {
    let (mut last, mut end) = (at, at);
    while end < text.len() {
        match class_at(text, end) {
            (Class::Space, bytes) => {
                last = end;
                end += bytes;
            }
            (Class::Number, _) => return end,
            _ => return if last == at { end } else { last },
        }
    }
    end
}
