//! GPT-2's pre-split: text is cut into words before bytes are merged, and no token crosses a cut.
//!
//! A hand-written version of the regular expression in OpenAI's `encoder.py`, over all of Unicode:
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
//!
//! A byte that is not part of valid UTF-8 is treated as a character that is neither letter, number nor space, like
//! the U+FFFD that a lossy decoder would put in its place.

/// The class of a character, as far as the pre-split needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Class {
    /// Neither letter, number nor space: punctuation, symbols, marks, controls, stray bytes.
    Other,
    /// `\p{L}`.
    Letter,
    /// `\p{N}`.
    Number,
    /// `\s`: Unicode's White_Space.
    Space,
}

/// A two-level table: the number of the block for every 256 code points, then the blocks (made by `build.rs`).
static TABLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/classes.table"));
const BLOCKS: usize = 0x11_0000 / 256;

/// The table's value for punctuation, which GPT-2's pre-split does not distinguish from other characters.
const PUNCTUATION: u8 = 4;

/// The classes of ASCII, separate so that they stay in the L1 cache.
static ASCII: [Class; 128] = {
    let mut ascii = [Class::Other; 128];
    let mut at = 0;
    while at < 128 {
        ascii[at] = class_of(at as u32);
        at += 1;
    }
    ascii
};

/// The table's value for a code point below 0x110000.
const fn entry(code: u32) -> u8 {
    let block = TABLE[code as usize / 256] as usize;
    TABLE[BLOCKS + block * 256 + code as usize % 256]
}

/// The class of a code point below 0x110000.
const fn class_of(code: u32) -> Class {
    match entry(code) {
        1 => Class::Letter,
        2 => Class::Number,
        3 => Class::Space,
        _ => Class::Other,
    }
}

/// The class of a character.
pub fn class(c: char) -> Class {
    class_of(c as u32)
}

/// Whether the character of `bytes` is punctuation, `\p{P}`.
pub fn is_punctuation(bytes: &[u8]) -> bool {
    let character = std::str::from_utf8(bytes).ok().and_then(|text| text.chars().next());
    character.is_some_and(|character| entry(character as u32) == PUNCTUATION)
}

/// The class of the character that begins at `at`, and its length in bytes.
#[inline(always)]
pub fn class_at(text: &[u8], at: usize) -> (Class, usize) {
    match ASCII.get(text[at] as usize) {
        Some(class) => (*class, 1),
        None => wide_class(&text[at..]),
    }
}

/// The same for a character of two to four bytes; a byte that begins no valid character is one by itself.
fn wide_class(text: &[u8]) -> (Class, usize) {
    let tail =
        |at: usize| text.get(at).filter(|byte| **byte & 0xC0 == 0x80).map(|byte| u32::from(byte & 0x3F));
    let first = u32::from(text[0]);
    let decoded = match first {
        0xC2..=0xDF => tail(1).map(|a| ((first & 0x1F) << 6 | a, 2)),
        0xE0..=0xEF => tail(1).zip(tail(2)).map(|(a, b)| ((first & 0xF) << 12 | a << 6 | b, 3)),
        0xF0..=0xF4 => {
            let tails = tail(1).zip(tail(2)).zip(tail(3));
            tails.map(|((a, b), c)| ((first & 0x7) << 18 | a << 12 | b << 6 | c, 4))
        }
        _ => None,
    };
    match decoded {
        // Overlong forms, surrogates and values beyond Unicode are invalid.
        Some((code, bytes))
            if code >= [0x80, 0x800, 0x1_0000][bytes - 2]
                && !(0xD800..0xE000).contains(&code)
                && code < 0x11_0000 =>
        {
            (class_of(code), bytes)
        }
        _ => (Class::Other, 1),
    }
}

/// Where the run of `class` that contains `at` ends.
#[inline(always)]
fn run(text: &[u8], mut at: usize, class: Class) -> usize {
    while at < text.len() {
        let (next, bytes) = class_at(text, at);
        if next != class {
            break;
        }
        at += bytes;
    }
    at
}

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
fn contraction(text: &[u8], at: usize) -> Option<usize> {
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

/// The first place after `at` where text can be cut without changing any word: between an ASCII character that is
/// not a space and an ASCII space. No word continues across it, and none looks back across it.
pub fn safe_cut(text: &[u8], at: usize) -> Option<usize> {
    let is = |byte: u8, space: bool| {
        ASCII.get(byte as usize).is_some_and(|class| (*class == Class::Space) == space)
    };
    let pairs = text.get(at..)?.windows(2);
    pairs.into_iter().position(|pair| is(pair[0], false) && is(pair[1], true)).map(|found| at + found + 1)
}
