//! The parts of a `tokenizer.json` of a SentencePiece vocabulary (Llama 2, Mistral, Gemma, Phi-3). Spaces become `▁` either
//! in the normalizer (`Replace`) or in the pre-tokenizer (`Metaspace`), and the decoder turns them back.

use serde_json::{Value, json};

use super::parts::{flat, kind, refuse};
use crate::Result;
use crate::tokens::normalize::Normal;
use crate::tokens::presplit::Step;
use crate::tokens::sentence::{Prefix, Sentence};
use crate::tokens::split::Split;

/// What a file says.
pub struct Found {
    /// How a text is normalised.
    pub normals: Vec<Normal>,
    /// How it is split: into words at every space, or not at all.
    pub steps: Vec<Step>,
    /// The rest.
    pub sentence: Sentence,
}

/// Whether these parts are those of SentencePiece.
pub fn is_one(
    normalizer: Option<&Value>,
    splitter: Option<&Value>,
    decoder: Option<&Value>,
    byte_fallback: bool,
) -> bool {
    let has = |part: Option<&Value>, field: &str, kinds: &[&str]| {
        part.is_some_and(|part| flat(part, field).into_iter().any(|part| kinds.contains(&kind(part))))
    };
    byte_fallback && !has(splitter, "pretokenizers", &["ByteLevel"])
        || has(normalizer, "normalizers", &["Prepend", "Replace"])
        || has(splitter, "pretokenizers", &["Metaspace"])
        || has(decoder, "decoders", &["Replace", "ByteFallback", "Metaspace"])
}

/// Whether these are the parts that the classes of `transformers` 5 make: LlamaTokenizer with `metaspace`, else
/// GemmaTokenizer.
pub fn is_made_by(normalizer: Option<&Value>, splitter: Option<&Value>, metaspace: bool) -> bool {
    match (normalizer, splitter) {
        (None, Some(splitter)) if metaspace => {
            kind(splitter) == "Metaspace"
                && splitter.get("prepend_scheme").and_then(Value::as_str) == Some("first")
                && splitter.get("split").and_then(Value::as_bool) == Some(false)
        }
        (Some(normalizer), splitter) if !metaspace => {
            is_replace(normalizer, " ", "▁") && splitter.is_none_or(is_at_spaces)
        }
        _ => false,
    }
}

/// Reads the parts; `name` is used in errors.
pub fn read(
    name: &str,
    normalizer: Option<&Value>,
    splitter: Option<&Value>,
    decoder: Option<&Value>,
    byte_fallback: bool,
) -> Result<Found> {
    let normals = normals(name, normalizer)?;
    let (mut steps, mut prefix) = (Vec::new(), None);
    for part in splitter.map(|part| flat(part, "pretokenizers")).unwrap_or_default() {
        let text = |field: &str| part.get(field).and_then(Value::as_str);
        match kind(part) {
            "Metaspace" if text("replacement") == Some("▁") && prefix.is_none() => {
                prefix = Some(scheme(name, part)?);
                let splits = part.get("split").and_then(Value::as_bool).unwrap_or(true);
                steps.extend(splits.then_some(Step::Words(Split::EachSpace)));
            }
            // The normalizer has left no space to split at.
            "Split" if is_at_spaces(part) && normals.contains(&Normal::Spaces) => {}
            _ => {
                let expected = "Metaspace with ▁, or Split at spaces that the normalizer replaces,";
                return refuse(name, "pre_tokenizer", part, expected);
            }
        }
    }
    if prefix.is_none() && !normals.contains(&Normal::Spaces) {
        return refuse(
            name,
            "normalizer",
            normalizer.unwrap_or(&Value::Null),
            "Replace of spaces by ▁, or the pre_tokenizer Metaspace",
        );
    }
    let strip = strip(name, decoder, byte_fallback)?;
    let part = |part: Option<&Value>| part.cloned().unwrap_or(Value::Null);
    let sentence = Sentence {
        prefix: prefix.unwrap_or_default(),
        strip,
        parts: [part(normalizer), part(splitter), part(decoder)],
        byte_fallback,
    };
    Ok(Found { normals, steps, sentence })
}

fn is_at_spaces(part: &Value) -> bool {
    let pattern = part.get("pattern").and_then(|pattern| pattern.get("String"));
    pattern.and_then(Value::as_str) == Some(" ")
}

fn is_replace(part: &Value, pattern: &str, content: &str) -> bool {
    kind(part) == "Replace"
        && part.get("pattern") == Some(&json!({"String": pattern}))
        && part.get("content").and_then(Value::as_str) == Some(content)
}

fn normals(name: &str, normalizer: Option<&Value>) -> Result<Vec<Normal>> {
    let parts = normalizer.map(|part| flat(part, "normalizers")).unwrap_or_default();
    let normal = |part: &Value| {
        if let Some((normal, _)) = Normal::ALL.iter().find(|(_, name)| *name == kind(part)) {
            return Ok(*normal);
        }
        if kind(part) == "Prepend" && part.get("prepend").and_then(Value::as_str) == Some("▁") {
            return Ok(Normal::Prepend);
        }
        match is_replace(part, " ", "▁") {
            true => Ok(Normal::Spaces),
            false => {
                let expected =
                    "NFC, NFD, NFKC, NFKD, Lowercase, Prepend of ▁, Replace of a space by ▁, or none";
                refuse(name, "normalizer", part, expected)
            }
        }
    };
    parts.into_iter().map(normal).collect()
}

/// Where `Metaspace` puts a space; older files have `add_prefix_space` instead.
fn scheme(name: &str, part: &Value) -> Result<Prefix> {
    let adds = part.get("add_prefix_space").and_then(Value::as_bool);
    match part.get("prepend_scheme").and_then(Value::as_str) {
        Some("always") | None if adds != Some(false) => Ok(Prefix::Always),
        Some("first") if adds != Some(false) => Ok(Prefix::First),
        Some("never") => Ok(Prefix::Never),
        None => Ok(Prefix::Never),
        Some(_) => refuse(name, "pre_tokenizer", part, "prepend_scheme first, always or never"),
    }
}

/// Whether the decoder leaves out a space at the beginning.
fn strip(name: &str, decoder: Option<&Value>, byte_fallback: bool) -> Result<bool> {
    let mut parts = decoder.map(|part| flat(part, "decoders")).unwrap_or_default();
    let stripped = json!({"type": "Strip", "content": " ", "start": 1, "stop": 0});
    let strips = parts.last() == Some(&&stripped);
    if strips {
        parts.pop();
    }
    let known = match parts[..] {
        [spaces, bytes, fuse] => {
            is_replace(spaces, "▁", " ") && kind(bytes) == "ByteFallback" && kind(fuse) == "Fuse"
        }
        [spaces, fuse] if !byte_fallback => is_replace(spaces, "▁", " ") && kind(fuse) == "Fuse",
        _ => false,
    };
    match known {
        true => Ok(strips),
        false => refuse(
            name,
            "decoder",
            decoder.unwrap_or(&Value::Null),
            "Replace of ▁ by a space, ByteFallback, Fuse, and perhaps Strip of one space",
        ),
    }
}
