//! Writes a `tokenizer.json` that `tokenizers` and `transformers` can read.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::Token;
use super::lists::pre_name;
use super::scores::scores;
use crate::tokens::alphabet::Alphabet;
use crate::tokens::bpe::Unknown;
use crate::tokens::normalize::Normal;
use crate::tokens::presplit::Step;
use crate::tokens::sentence::{Prefix, byte_token};
use crate::tokens::split::{Split, table};
use crate::tokens::{Frame, Inner};
use crate::{Error, Result};

/// A vocabulary as lists of strings, in the byte-level alphabet.
pub struct Lists {
    /// By id; `None` if an id has no token.
    pub tokens: Vec<Option<String>>,
    /// Both halves with a space between them, in the order they were learned.
    pub merges: Vec<String>,
    /// Added tokens, and whether they are special.
    pub added: Vec<(u32, bool)>,
    /// The tokens of bytes, where a vocabulary has other tokens of characters.
    pub bytes: HashSet<u32>,
}

/// The lists of a vocabulary.
pub fn lists(tokenizer: &Inner) -> Lists {
    let alphabet = Alphabet::new();
    match tokenizer.sentence {
        Some(_) => spelled(tokenizer, &with_spaces),
        None => spelled(tokenizer, &|bytes| alphabet.write(bytes)),
    }
}

/// A token of a SentencePiece vocabulary as it is written; bytes are written elsewhere.
fn with_spaces(bytes: &[u8]) -> String {
    as_is(bytes).replace(' ', "\u{2581}")
}

/// The same, with bytes written by `write`.
fn spelled(tokenizer: &Inner, write: &dyn Fn(&[u8]) -> String) -> Lists {
    let Inner { vocabulary, merges, added, raw, sentence, .. } = tokenizer;
    let added_texts: HashMap<u32, &str> = added.iter().map(|token| (token.id, &*token.text)).collect();
    let bytes = merges.byte_tokens();
    let text = |id: u32| match added_texts.get(&id) {
        Some(text) => Some(text.to_string()),
        None if sentence.is_some() && bytes.contains_key(&id) => Some(byte_token(bytes[&id])),
        None if raw.binary_search(&id).is_ok() => vocabulary.token(id).map(as_is),
        None => vocabulary.token(id).map(write),
    };
    let tokens: Vec<Option<String>> = (0..vocabulary.len() as u32).map(text).collect();
    let half = |id: u32| tokens[id as usize].as_deref().unwrap_or_default();
    let pair = |[left, right, _]: [u32; 3]| format!("{} {}", half(left), half(right));
    let mut in_order = merges.in_order();
    if merges.share_ranks() {
        // As transformers orders the merges that make one token: by the left half, longest first.
        for same in in_order.chunk_by_mut(|a, b| a[2] == b[2]) {
            same.sort_by_key(|pair| Reverse(half(pair[0]).chars().count()));
        }
    }
    let merges = in_order.into_iter().map(pair).collect();
    let added = added.iter().map(|token| (token.id, token.special)).collect();
    Lists { added, tokens, merges, bytes: bytes.into_keys().collect() }
}

fn as_is(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// How llama.cpp reads a vocabulary.
pub enum GgufKind {
    /// By merges, with this name of the pre-split.
    Merges(&'static str),
    /// By these scores of tokens, and whether a space is put before texts.
    Scores(Vec<f32>, bool),
}

/// How llama.cpp is told to read a vocabulary.
///
/// # Errors
/// If llama.cpp would encode texts differently.
pub fn gguf_kind(tokenizer: &Inner) -> Result<GgufKind> {
    let Inner { normals, work, added, frame, merges, vocabulary, sentence, .. } = tokenizer;
    let cannot = |what: &str| {
        let why = format!("{what}, which llama.cpp's tokenizer does not; it cannot be written as GGUF");
        Err(Error::invalid_argument("tokenizer", why))
    };
    // llama.cpp has no normal forms. Its own converter leaves NFC out, as here: almost every text is in that form.
    let left_out = |normal: &&Normal| **normal != Normal::Nfc || sentence.is_some();
    let spaces = [Normal::Prepend, Normal::Spaces];
    if let Some(normal) = normals.iter().filter(|normal| !spaces.contains(normal)).find(left_out) {
        return cannot(&format!("changes texts to {normal:?}"));
    }
    if added.iter().any(|token| token.lstrip || token.rstrip) {
        return cannot("has added tokens that take in white space (lstrip, rstrip)");
    }
    if frame.start.len() > 1 || frame.end.len() > 1 {
        return cannot("puts more than one token before or after a text");
    }
    if matches!(merges.unknown(), Unknown::Token { .. }) && !merges.is_complete() {
        return cannot("has a token for unknown bytes");
    }
    if let Some(sentence) = sentence {
        if !merges.is_complete() {
            return cannot("has no tokens of bytes");
        }
        if work.whole.is_some() || work.steps == [Step::Words(Split::EachSpace)] {
            return cannot("cuts words at spaces, or keeps them without merging");
        }
        if sentence.prefix != Prefix::Never {
            return cannot(
                "puts a space before a text only where none is, or before the first stretch only (Metaspace)",
            );
        }
        let tokens = lists(tokenizer).tokens;
        return match scores(&tokens, &merges.in_order()) {
            Some(scores) => Ok(GgufKind::Scores(scores, normals.contains(&Normal::Prepend))),
            None => cannot("has merges that scores of tokens cannot express"),
        };
    }
    let ids = 0..vocabulary.len() as u32;
    match &work.steps[..] {
        [Step::Characters]
            if ids.clone().all(|id| vocabulary.token(id).is_none_or(|token| token.len() == 1)) =>
        {
            Ok(GgufKind::Merges("gpt-2"))
        }
        [Step::Characters] => cannot("has characters of several bytes that are one token"),
        steps => match pre_name(steps, work.whole.is_some()) {
            Some(name) => Ok(GgufKind::Merges(name)),
            None if work.whole.is_some() => {
                cannot("keeps a word that is a token without merging (ignore_merges)")
            }
            None => cannot(&format!("splits texts by {steps:?}")),
        },
    }
}

/// Writes the file. Added tokens are also in the vocabulary, as in GPT-2's own file, so every reader gives them the
/// same ids.
pub fn write(tokenizer: &Inner) -> String {
    let Inner { added, work, merges, normals, frame, vocabulary, sentence, .. } = tokenizer;
    let characters = work.steps == [Step::Characters];
    let Lists { tokens, merges: pairs, .. } =
        if characters { spelled(tokenizer, &as_is) } else { lists(tokenizer) };
    let unknown = match merges.unknown() {
        Unknown::Token { id, fuse } => json!({"token": tokens[id as usize], "fuse": fuse}),
        _ => json!({"token": null, "fuse": false}),
    };
    let used = tokens.into_iter().zip(0u32..).filter_map(|(text, id)| Some((text?, id)));
    let vocab: Map<String, Value> = used.map(|(text, id)| (text, id.into())).collect();
    let mut by_id: Vec<_> = added.iter().collect();
    by_id.sort_by_key(|token| token.id);
    let tokens: Vec<Token> = by_id
        .iter()
        .map(|token| Token {
            id: token.id,
            content: token.text.to_string(),
            special: token.special,
            normalized: token.normalized,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
            ..Token::default()
        })
        .collect();
    let bytes = byte_level(false, true);
    let text = |id: u32| String::from_utf8_lossy(vocabulary.token(id).unwrap_or_default()).into_owned();
    let [normalizer, pre_tokenizer, decoder] = match sentence {
        Some(sentence) => sentence.parts.clone(),
        None if characters => [normalizer(normals), Value::Null, json!({"type": "Fuse"})],
        None => [normalizer(normals), pre_tokenizer(&work.steps), bytes.clone()],
    };
    let plain = characters || sentence.is_some();
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": tokens,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": match *frame == Frame::default() {
            true if plain => Value::Null,
            true => bytes,
            false => template(frame, &text),
        },
        "decoder": decoder,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": unknown["token"],
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": unknown["fuse"],
            "byte_fallback": sentence.as_ref().is_some_and(|sentence| sentence.byte_fallback),
            "ignore_merges": work.whole.is_some() && !characters,
            "vocab": vocab,
            "merges": match sentence {
                // In pairs, since a token may hold any character.
                Some(_) => json!(pairs.iter().map(|pair| pair.split_once(' ')).collect::<Vec<_>>()),
                None => json!(pairs),
            },
        },
    });
    // Large vocabularies are written without line ends.
    if sentence.is_some() { format!("{file}\n") } else { format!("{file:#}\n") }
}

fn byte_level(space: bool, words: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": true, "use_regex": words})
}

/// One part, or a `Sequence` of several under `field`.
fn sequence(mut parts: Vec<Value>, field: &str) -> Value {
    match parts.len() {
        0 => Value::Null,
        1 => parts.remove(0),
        _ => json!({"type": "Sequence", field: parts}),
    }
}

fn normalizer(normals: &[Normal]) -> Value {
    let name = |normal: &Normal| Normal::ALL.iter().find(|(known, _)| known == normal).map(|(_, name)| name);
    sequence(normals.iter().map(|normal| json!({"type": name(normal)})).collect(), "normalizers")
}

fn pre_tokenizer(steps: &[Step]) -> Value {
    let regex = |pattern: &str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    let (before, space, words) = match steps {
        [before @ .., Step::PrefixSpace, Step::Words(Split::Gpt2)] => (before, true, true),
        [before @ .., Step::PrefixSpace] => (before, true, false),
        [before @ .., Step::Words(Split::Gpt2)] => (before, false, true),
        [before @ .., Step::Words(Split::Digits)] => {
            let digits = [Step::Numbers { each: true }, Step::Words(Split::Gpt2)];
            return pre_tokenizer(&[before, &digits].concat());
        }
        before => (before, false, false),
    };
    let mut parts = Vec::new();
    for step in before {
        match step {
            Step::Words(split) => parts.extend(table::expressions(*split).iter().map(|known| regex(known))),
            Step::Numbers { each } => parts.push(json!({"type": "Digits", "individual_digits": each})),
            Step::Punctuation => parts.push(regex(super::parts::PUNCTUATION)),
            Step::ThreeDigits => parts.push(regex(super::parts::THREE_DIGITS)),
            // Neither can follow another step.
            Step::PrefixSpace | Step::Characters => {}
        }
    }
    parts.push(byte_level(space, words));
    sequence(parts, "pretokenizers")
}

/// A `TemplateProcessing`.
fn template(frame: &Frame, text: &dyn Fn(u32) -> String) -> Value {
    let special = |id: &u32| json!({"SpecialToken": {"id": text(*id), "type_id": 0}});
    let sequence = |name: &str, number: u32| json!({"Sequence": {"id": name, "type_id": number}});
    let around = |middle: Value| -> Vec<Value> {
        let (start, end) = (frame.start.iter().map(special), frame.end.iter().map(special));
        start.chain([middle]).chain(end).collect()
    };
    let tokens: Map<String, Value> = frame
        .start
        .iter()
        .chain(&frame.end)
        .map(|id| (text(*id), json!({"id": text(*id), "ids": [id], "tokens": [text(*id)]})))
        .collect();
    let pair = [around(sequence("A", 0)), around(sequence("B", 1))].concat();
    json!({
        "type": "TemplateProcessing",
        "single": around(sequence("A", 0)),
        "pair": pair,
        "special_tokens": tokens,
    })
}
