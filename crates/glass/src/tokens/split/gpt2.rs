//! GPT-2's split, the regular expression in OpenAI's `encoder.py`:
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.

use super::{Class, class_at, run};

/// Where the word that begins at `at` ends. `at` must be inside the text and at the end of the previous word.
#[inline]
pub fn word_end(text: &[u8], at: usize) -> usize {
    let (class, bytes) = class_at(text, at);
    match class {
        Class::Other => match text[at] == b'\'' {
            true => contraction(text, at).unwrap_or_else(|| run(text, at + 1, Class::Other)),
            false => run(text, at + bytes, Class::Other),
        },
        Class::Space => match text[at] == b' ' && at + 1 < text.len() {
            true => match class_at(text, at + 1) {
                (Class::Space, _) => space_end(text, at),
                (class, bytes) => run(text, at + 1 + bytes, class),
            },
            false => space_end(text, at),
        },
        class => run(text, at + bytes, class),
    }
}

/// `'s|'t|'re|'ve|'m|'ll|'d`: English endings, in lower case only.
pub fn contraction(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at + 1)? {
        b's' | b't' | b'm' | b'd' => Some(at + 2),
        first => match (first, text.get(at + 2)?) {
            (b'r' | b'v', b'e') | (b'l', b'l') => Some(at + 3),
            _ => None,
        },
    }
}

/// A run of spaces, without the last one if a word follows, since that one may belong to the word.
fn space_end(text: &[u8], at: usize) -> usize {
    let (mut last, mut end) = (at, at);
    while end < text.len() {
        let (class, bytes) = class_at(text, end);
        if class != Class::Space {
            return if last == at { end } else { last };
        }
        last = end;
        end += bytes;
    }
    end
}
