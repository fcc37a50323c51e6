//! Writes a `tokenizer.json` that `tokenizers` and `transformers` can read.

use serde_json::{Map, Value, json};

use super::Token;
use super::build::pre_name;
use crate::tokens::alphabet::Alphabet;
use crate::tokens::bpe::Unknown;
use crate::tokens::normalize::Normal;
use crate::tokens::presplit::Step;
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
}

/// The lists of a vocabulary.
pub fn lists(tokenizer: &Inner) -> Lists {
    let alphabet = Alphabet::new();
    spelled(tokenizer, &|bytes| alphabet.write(bytes))
}

/// The same, with bytes written by `write`.
fn spelled(tokenizer: &Inner, write: &dyn Fn(&[u8]) -> String) -> Lists {
    let Inner { vocabulary, merges, added, raw, .. } = tokenizer;
    let is_added = |id: u32| added.iter().find(|token| token.id == id);
    let text = |id: u32| match is_added(id) {
        Some(token) => Some(token.text.to_string()),
        None if raw.contains(&id) => vocabulary.token(id).map(as_is),
        None => vocabulary.token(id).map(write),
    };
    let tokens: Vec<Option<String>> = (0..vocabulary.len() as u32).map(text).collect();
    let half = |id: u32| tokens[id as usize].as_deref().unwrap_or_default();
    let pair = |[left, right, _]: [u32; 3]| format!("{} {}", half(left), half(right));
    let merges = merges.in_order().into_iter().map(pair).collect();
    Lists { added: added.iter().map(|token| (token.id, token.special)).collect(), tokens, merges }
}

fn as_is(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// llama.cpp's name of the pre-split.
///
/// # Errors
/// If llama.cpp would encode texts differently.
pub fn gguf_pre(tokenizer: &Inner) -> Result<&'static str> {
    let Inner { normals, work, added, frame, merges, vocabulary, .. } = tokenizer;
    let cannot = |what: &str| {
        let why = format!("{what}, which llama.cpp's tokenizer does not; it cannot be written as GGUF");
        Err(Error::invalid_argument("tokenizer", why))
    };
    if let Some(normal) = normals.first() {
        return cannot(&format!("changes texts to {normal:?}"));
    }
    if added.iter().any(|token| token.lstrip || token.rstrip) {
        return cannot("has added tokens that take in white space (lstrip, rstrip)");
    }
    if frame.start.len() > 1 || frame.end.len() > 1 {
        return cannot("puts more than one token before or after a text");
    }
    if matches!(merges.unknown(), Unknown::Token { .. }) {
        return cannot("has a token for unknown bytes");
    }
    let ids = 0..vocabulary.len() as u32;
    match &work.steps[..] {
        [Step::Characters]
            if ids.clone().all(|id| vocabulary.token(id).is_none_or(|token| token.len() == 1)) =>
        {
            Ok("gpt-2")
        }
        [Step::Characters] => cannot("has characters of several bytes that are one token"),
        _ if work.whole.is_some() => cannot("keeps a word that is a token without merging (ignore_merges)"),
        steps => match pre_name(steps) {
            Some(name) => Ok(name),
            None => cannot(&format!("splits texts by {steps:?}")),
        },
    }
}

/// Writes the file. Added tokens are also in the vocabulary, as in GPT-2's own file, so every reader gives them the
/// same ids.
pub fn write(tokenizer: &Inner) -> String {
    let Inner { added, work, merges, normals, frame, vocabulary, .. } = tokenizer;
    let characters = work.steps == [Step::Characters];
    let alphabet = Alphabet::new();
    let Lists { tokens, merges: pairs, .. } =
        spelled(tokenizer, &|bytes| if characters { as_is(bytes) } else { alphabet.write(bytes) });
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
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": tokens,
        "normalizer": normalizer(normals),
        "pre_tokenizer": if characters { Value::Null } else { pre_tokenizer(&work.steps) },
        "post_processor": match *frame == Frame::default() {
            true if characters => Value::Null,
            true => bytes.clone(),
            false => template(frame, &text),
        },
        "decoder": if characters { json!({"type": "Fuse"}) } else { bytes },
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": unknown["token"],
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": unknown["fuse"],
            "byte_fallback": false,
            "ignore_merges": work.whole.is_some() && !characters,
            "vocab": vocab,
            "merges": pairs,
        },
    });
    format!("{file:#}\n")
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
        [before @ .., Step::PrefixSpace, Step::Words] => (before, true, true),
        [before @ .., Step::PrefixSpace] => (before, true, false),
        [before @ .., Step::Words] => (before, false, true),
        before => (before, false, false),
    };
    let mut parts: Vec<Value> = before
        .iter()
        .map(|step| match step {
            Step::Words => regex(super::parts::WORDS[0]),
            Step::Numbers { each } => json!({"type": "Digits", "individual_digits": each}),
            Step::Punctuation => regex(super::parts::PUNCTUATION),
            Step::ThreeDigits => regex(super::parts::THREE_DIGITS),
            // Neither can follow another step.
            Step::PrefixSpace | Step::Characters => Value::Null,
        })
        .collect();
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
