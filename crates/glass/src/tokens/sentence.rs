//! What a vocabulary of SentencePiece does besides merging (Llama 2, Mistral, Gemma, Phi-3): a space is written `▁` in its
//! tokens and is part of words, and a character without a token becomes the tokens of its bytes (`<0x0A>`).
//!
//! Here the bytes of tokens and texts hold plain spaces; a `▁` in a text is a space too, as it is to those tokenizers.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Value, json};

use super::added::Before;
use super::bpe::Unknown;

/// How a space is written in tokens.
pub const SPACE: char = '\u{2581}';
/// The same in UTF-8.
const WRITTEN: &[u8] = "\u{2581}".as_bytes();

/// Where `Metaspace` puts a space before a text that does not begin with one.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Prefix {
    /// Nowhere.
    #[default]
    Never,
    /// Before the text, if it does not begin with an added token.
    First,
    /// Before every stretch between added tokens.
    Always,
}

/// What such a vocabulary does besides merging.
#[derive(Clone)]
pub struct Sentence {
    /// Where `Metaspace` puts a space.
    pub prefix: Prefix,
    /// One space at the beginning of a decoded text is left out.
    pub strip: bool,
    /// `normalizer`, `pre_tokenizer` and `decoder` as in the file.
    pub parts: [Value; 3],
    /// Whether characters without a token become bytes.
    pub byte_fallback: bool,
}

impl Sentence {
    /// The vocabulary of a GGUF file, as llama.cpp reads it: Llama 2's parts, with the space before texts or without it.
    pub fn of_gguf(space: bool) -> Sentence {
        let replace = |pattern: &str, content: &str| json!({"type": "Replace", "pattern": {"String": pattern}, "content": content});
        let mut normalizer = replace(" ", "\u{2581}");
        let mut decoders =
            vec![replace("\u{2581}", " "), json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
        if space {
            normalizer = json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u{2581}"}, normalizer]});
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        let decoder = json!({"type": "Sequence", "decoders": decoders});
        Sentence {
            prefix: Prefix::Never,
            strip: space,
            parts: [normalizer, Value::Null, decoder],
            byte_fallback: true,
        }
    }

    /// A stretch of text as `Metaspace` hands it on.
    pub fn stretch<'t>(&self, text: &'t [u8], before: Before) -> Cow<'t, [u8]> {
        let text = spaces(text);
        let wanted = match self.prefix {
            Prefix::Never => false,
            Prefix::First => before == Before::Nothing,
            Prefix::Always => before != Before::Text,
        };
        match wanted && text.first() != Some(&b' ') {
            true => [b" ", &text[..]].concat().into(),
            false => text,
        }
    }
}

/// A text with spaces for `▁`.
pub fn spaces(text: &[u8]) -> Cow<'_, [u8]> {
    let next = |text: &[u8]| text.windows(WRITTEN.len()).position(|letters| letters == WRITTEN);
    let Some(mut at) = next(text) else { return Cow::Borrowed(text) };
    let (mut plain, mut rest) = (Vec::with_capacity(text.len()), text);
    loop {
        plain.extend_from_slice(&rest[..at]);
        plain.push(b' ');
        rest = &rest[at + WRITTEN.len()..];
        match next(rest) {
            Some(found) => at = found,
            None => break,
        }
    }
    plain.extend_from_slice(rest);
    plain.into()
}

/// The byte that a token such as `<0x0A>` stands for.
pub fn byte_of(token: &str) -> Option<u8> {
    let &[b'<', b'0', b'x', high, low, b'>'] = token.as_bytes() else { return None };
    let upper = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    Some(upper(high)? << 4 | upper(low)?)
}

/// The token of a byte.
pub fn byte_token(byte: u8) -> String {
    format!("<{byte:#04X}>")
}

/// A character of a word.
enum Symbol<'w> {
    /// Its token.
    Token(u32),
    /// Its bytes, if it has none.
    Bytes(&'w [u8]),
}

/// The tokens that a word is merged from: of its characters, and of the bytes of those that have none.
#[derive(Clone)]
pub struct Symbols {
    ascii: [Option<u32>; 128],
    others: HashMap<char, u32>,
    /// The tokens of bytes; all `None` without byte fallback.
    bytes: [Option<u32>; 256],
}

impl Symbols {
    /// Reads the tokens of single characters and bytes.
    pub fn new<'a>(vocab: impl Iterator<Item = (&'a str, u32)>, byte_fallback: bool) -> Symbols {
        let mut symbols = Symbols { ascii: [None; 128], others: HashMap::new(), bytes: [None; 256] };
        for (text, id) in vocab {
            if let Some(byte) = byte_of(text).filter(|_| byte_fallback) {
                symbols.bytes[byte as usize] = Some(id);
            }
            let mut characters = text.chars();
            match (characters.next(), characters.next()) {
                (Some(SPACE), None) => symbols.ascii[b' ' as usize] = Some(id),
                // No text has a space when it comes here.
                (Some(' '), None) => {}
                (Some(one), None) if one.is_ascii() => symbols.ascii[one as usize] = Some(id),
                (Some(one), None) => _ = symbols.others.insert(one, id),
                _ => {}
            }
        }
        symbols
    }

    /// Whether every character has a token or bytes that have.
    pub fn is_complete(&self) -> bool {
        self.bytes.iter().all(Option::is_some)
    }

    /// The byte of every token that stands for one.
    pub fn byte_tokens(&self) -> HashMap<u32, u8> {
        self.bytes.iter().zip(0..=255).filter_map(|(id, byte)| Some(((*id)?, byte))).collect()
    }

    fn of(&self, character: char) -> Option<u32> {
        match self.ascii.get(character as usize) {
            Some(id) => *id,
            None => self.others.get(&character).copied(),
        }
    }

    fn of_bytes(&self, bytes: &[u8]) -> Option<impl Iterator<Item = u32>> {
        let known = bytes.iter().all(|byte| self.bytes[*byte as usize].is_some());
        known.then(|| bytes.iter().filter_map(|byte| self.bytes[*byte as usize]))
    }

    /// Calls `each` with the characters of a word: their tokens, or their bytes where there are none. A byte that is not
    /// part of valid UTF-8 is a character without a token.
    fn each(&self, word: &[u8], each: &mut dyn FnMut(Symbol<'_>)) {
        for chunk in word.utf8_chunks() {
            let mut buffer = [0; 4];
            for character in chunk.valid().chars() {
                match self.of(character) {
                    Some(id) => each(Symbol::Token(id)),
                    None => each(Symbol::Bytes(character.encode_utf8(&mut buffer).as_bytes())),
                }
            }
            chunk.invalid().chunks(1).for_each(|byte| each(Symbol::Bytes(byte)));
        }
    }

    /// The tokens of a word before any merge.
    pub fn tokens(&self, word: &[u8], unknown: Unknown) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(word.len());
        // tokenizers puts an unknown token only before the next known character or unknown one, not before bytes.
        let mut waiting = None;
        self.each(word, &mut |found| {
            let bytes = match found {
                Symbol::Token(id) => {
                    tokens.extend(waiting.take());
                    return tokens.push(id);
                }
                Symbol::Bytes(bytes) => bytes,
            };
            if let Some(ids) = self.of_bytes(bytes) {
                return tokens.extend(ids);
            }
            if let Unknown::Token { id, fuse } = unknown {
                tokens.extend(waiting.take().filter(|_| !fuse));
                waiting = Some(id);
            }
        });
        tokens.extend(waiting);
        tokens
    }

    /// How many bytes of a word have no token.
    pub fn unknown_bytes(&self, word: &[u8]) -> usize {
        let mut unknown = 0;
        self.each(word, &mut |found| {
            if let Symbol::Bytes(bytes) = found
                && self.of_bytes(bytes).is_none()
            {
                unknown += bytes.len();
            }
        });
        unknown
    }
}
