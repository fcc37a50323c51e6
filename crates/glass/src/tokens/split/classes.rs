//! The classes of characters, from a table that `build.rs` makes.

/// The class of a character, as far as GPT-2's pre-split needs it.
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

/// The finer class of a character.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// None of the others: controls, unassigned characters, stray bytes.
    Other,
    /// `\p{Ll}`.
    Lower,
    /// `\p{Lu}` and `\p{Lt}`.
    Upper,
    /// `\p{Lm}` and `\p{Lo}`: letters without case.
    Letter,
    /// `\p{M}`.
    Mark,
    /// `\p{N}`.
    Number,
    /// `\s`.
    Space,
    /// `\p{P}`.
    Punctuation,
    /// `\p{S}`.
    Symbol,
}

/// The kinds by their number in the table.
const KINDS: [Kind; 9] = [
    Kind::Other,
    Kind::Lower,
    Kind::Upper,
    Kind::Letter,
    Kind::Mark,
    Kind::Number,
    Kind::Space,
    Kind::Punctuation,
    Kind::Symbol,
];

impl Kind {
    /// The class that the kind belongs to.
    pub const fn class(self) -> Class {
        match self {
            Kind::Lower | Kind::Upper | Kind::Letter => Class::Letter,
            Kind::Number => Class::Number,
            Kind::Space => Class::Space,
            Kind::Other | Kind::Mark | Kind::Punctuation | Kind::Symbol => Class::Other,
        }
    }
}

/// A two-level table: the number of the block for every 256 code points, then the blocks (made by `build.rs`).
static TABLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/classes.table"));
const BLOCKS: usize = 0x11_0000 / 256;

/// The classes of ASCII, separate so that they stay in the L1 cache.
static ASCII: [Class; 128] = {
    let mut ascii = [Class::Other; 128];
    let mut at = 0;
    while at < 128 {
        ascii[at] = kind_of(at as u32).class();
        at += 1;
    }
    ascii
};

/// The kinds of ASCII.
static ASCII_KINDS: [Kind; 128] = {
    let mut ascii = [Kind::Other; 128];
    let mut at = 0;
    while at < 128 {
        ascii[at] = kind_of(at as u32);
        at += 1;
    }
    ascii
};

/// The kind of a code point below 0x110000.
const fn kind_of(code: u32) -> Kind {
    let block = TABLE[code as usize / 256] as usize;
    KINDS[TABLE[BLOCKS + block * 256 + code as usize % 256] as usize]
}

/// The class of a character.
pub fn class(c: char) -> Class {
    kind_of(c as u32).class()
}

/// Whether the character of `bytes` is punctuation, `\p{P}`.
pub fn is_punctuation(bytes: &[u8]) -> bool {
    let character = std::str::from_utf8(bytes).ok().and_then(|text| text.chars().next());
    character.is_some_and(|character| kind_of(character as u32) == Kind::Punctuation)
}

/// The class of the character that begins at `at`, and its length in bytes.
#[inline(always)]
pub fn class_at(text: &[u8], at: usize) -> (Class, usize) {
    match ASCII.get(text[at] as usize) {
        Some(class) => (*class, 1),
        None => {
            let (kind, bytes) = wide_kind(&text[at..]);
            (kind.class(), bytes)
        }
    }
}

/// The kind of the character that begins at `at`, and its length in bytes.
#[inline(always)]
pub fn kind_at(text: &[u8], at: usize) -> (Kind, usize) {
    match ASCII_KINDS.get(text[at] as usize) {
        Some(kind) => (*kind, 1),
        None => wide_kind(&text[at..]),
    }
}

/// The same for a character of two to four bytes; a byte that begins no valid character is one by itself.
fn wide_kind(text: &[u8]) -> (Kind, usize) {
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
            (kind_of(code), bytes)
        }
        _ => (Kind::Other, 1),
    }
}
