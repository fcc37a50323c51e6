//! GPT-4o's split (o200k), and Tekken's, which has single digits and no English endings. With
//! `A = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, `C = [\p{Ll}\p{Lm}\p{Lo}\p{M}]` and
//! `E = (?i:'s|'t|'re|'ve|'m|'ll|'d)`:
//! `[^\r\n\p{L}\p{N}]?A*C+E?|[^\r\n\p{L}\p{N}]?A+C*E?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`.

use super::classes::{Kind, kind_at};
use super::{Class, ending, is_line, numbers, run, white_space};

/// Where the word that begins at `at` ends. `at` must be inside the text and at the end of the previous word. A word
/// has at most `digits` numbers; with `endings`, an English ending belongs to the word before it.
#[inline]
pub fn word_end(text: &[u8], at: usize, digits: u8, endings: bool) -> usize {
    let (kind, bytes) = kind_at(text, at);
    let next = at + bytes;
    let word = match kind {
        Kind::Number => return numbers(text, at, digits),
        Kind::Lower | Kind::Upper | Kind::Letter => mixed(text, at).or_else(|| upper(text, at)),
        // A mark is either what stands before a word, or a part of one.
        Kind::Mark => mixed(text, next).or_else(|| mixed(text, at)),
        _ if is_line(text[at]) => None,
        _ => mixed(text, next).or_else(|| upper(text, next)),
    };
    if let Some(end) = word {
        return Some(end).filter(|_| endings).and_then(|end| ending(text, end)).unwrap_or(end);
    }
    if kind != Kind::Space {
        return lines(text, run(text, next, Class::Other));
    }
    match text.get(next).map(|_| kind_at(text, next)) {
        Some((kind, bytes)) if text[at] == b' ' && kind.class() == Class::Other => {
            lines(text, run(text, next + bytes, Class::Other))
        }
        _ => white_space(text, at, false),
    }
}

/// `A*C+`. `A*` is as long as possible; if no `C` follows it, it gives back what ends in the last character that is
/// in both.
#[inline(always)]
fn mixed(text: &[u8], mut at: usize) -> Option<usize> {
    let mut both = None;
    while at < text.len() {
        match kind_at(text, at) {
            (Kind::Upper, bytes) => at += bytes,
            (Kind::Letter | Kind::Mark, bytes) => {
                at += bytes;
                both = Some(at);
            }
            (Kind::Lower, bytes) => return Some(lower(text, at + bytes)),
            _ => break,
        }
    }
    both
}

/// `C*`.
#[inline(always)]
fn lower(text: &[u8], mut at: usize) -> usize {
    while at < text.len() {
        match kind_at(text, at) {
            (Kind::Lower | Kind::Letter | Kind::Mark, bytes) => at += bytes,
            _ => break,
        }
    }
    at
}

/// `A+C*` where `A*C+` does not match: capitals alone.
fn upper(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at < text.len()
        && let (Kind::Upper, bytes) = kind_at(text, at)
    {
        at += bytes;
    }
    (at > from).then_some(at)
}

/// `[\r\n/]*`.
fn lines(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|byte| is_line(*byte) || *byte == b'/') {
        at += 1;
    }
    at
}
