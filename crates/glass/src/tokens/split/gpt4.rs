//! GPT-4's split and those that differ from it in how many digits a word has (Llama 3: 3, nanochat: 2, Qwen: 1):
//! `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`.

use super::{Class, class_at, ending, is_line, lines, numbers, run, white_space};

/// Where the word that begins at `at` ends. `at` must be inside the text and at the end of the previous word. A word
/// has at most `digits` numbers.
#[inline]
pub fn word_end(text: &[u8], at: usize, digits: u8, tail: bool) -> usize {
    let (class, bytes) = class_at(text, at);
    let next = at + bytes;
    match class {
        Class::Letter => run(text, next, Class::Letter),
        Class::Number => numbers(text, at, digits),
        Class::Other => {
            if let Some(end) = ending(text, at) {
                return end;
            }
            match text.get(next).map(|_| class_at(text, next)) {
                Some((Class::Letter, bytes)) => run(text, next + bytes, Class::Letter),
                _ => lines(text, run(text, next, Class::Other)),
            }
        }
        Class::Space => match text.get(next).map(|_| class_at(text, next)) {
            Some((Class::Letter, bytes)) if !is_line(text[at]) => run(text, next + bytes, Class::Letter),
            Some((Class::Other, bytes)) if text[at] == b' ' => {
                lines(text, run(text, next + bytes, Class::Other))
            }
            _ => white_space(text, at, tail),
        },
    }
}
