//! Normalises a text before it is split: Unicode's normal forms, lower case, and SentencePiece's spaces.

use std::borrow::Cow;

use super::sentence::spaces;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// One normalisation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Normal {
    /// Canonical composition.
    Nfc,
    /// Canonical decomposition.
    Nfd,
    /// Compatibility composition.
    Nfkc,
    /// Compatibility decomposition.
    Nfkd,
    /// Lower case, character by character.
    Lowercase,
    /// A space before a text that is not empty (`Prepend`).
    Prepend,
    /// `▁` and a space are the same from here on (`Replace`), see [`super::sentence`].
    Spaces,
}

impl Normal {
    /// Those that a `tokenizer.json` gives by their name alone.
    pub const ALL: [(Normal, &str); 5] = [
        (Normal::Nfc, "NFC"),
        (Normal::Nfd, "NFD"),
        (Normal::Nfkc, "NFKC"),
        (Normal::Nfkd, "NFKD"),
        (Normal::Lowercase, "Lowercase"),
    ];

    fn text(self, text: &str) -> String {
        match self {
            Normal::Nfc if is_nfc_quick(text.chars()) == IsNormalized::Yes => text.to_string(),
            Normal::Nfc => text.nfc().collect(),
            Normal::Nfd => text.nfd().collect(),
            Normal::Nfkc => text.nfkc().collect(),
            Normal::Nfkd => text.nfkd().collect(),
            Normal::Lowercase => text.chars().flat_map(char::to_lowercase).collect(),
            // These are done to bytes.
            Normal::Prepend | Normal::Spaces => text.to_string(),
        }
    }
}

/// A text after all normalisations, in their order. Bytes that are not valid UTF-8 stay unchanged.
pub fn normalize<'t>(normals: &[Normal], text: &'t [u8]) -> Cow<'t, [u8]> {
    let mut text = Cow::Borrowed(text);
    for normal in normals {
        match normal {
            Normal::Prepend if text.is_empty() => continue,
            Normal::Prepend => {
                text = [b" ", &text[..]].concat().into();
                continue;
            }
            Normal::Spaces => {
                if let Cow::Owned(changed) = spaces(&text) {
                    text = changed.into();
                }
                continue;
            }
            _ => {}
        }
        let mut changed = Vec::with_capacity(text.len());
        for chunk in text.utf8_chunks() {
            changed.extend(normal.text(chunk.valid()).into_bytes());
            changed.extend(chunk.invalid());
        }
        text = changed.into();
    }
    text
}
