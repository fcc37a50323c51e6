//! The parts of a `tokenizer.json` other than its model: each is read by what it does, not by how it is written.

use std::fmt::Display;

use serde_json::Value;

use crate::tokens::Frame;
use crate::tokens::normalize::Normal;
use crate::tokens::presplit::Step;
use crate::{Error, Result};

/// GPT-2's regular expression, and others that cut at the same places.
pub const WORDS: [&str; 3] = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
];

/// [`Step::Punctuation`] and [`Step::ThreeDigits`] as regular expressions.
pub const PUNCTUATION: &str = r"[\p{P}$+<=>^~|]+";
pub const THREE_DIGITS: &str = "[0-9][0-9][0-9]";

/// An error that says what a field is and what was expected.
pub fn refuse<T>(name: &str, field: &str, found: &dyn Display, expected: &str) -> Result<T> {
    Err(Error::invalid(name, format!("{field} is {found}; {expected} was expected")))
}

/// The `type` of a part.
fn kind(part: &Value) -> &str {
    part.get("type").and_then(Value::as_str).unwrap_or("a part without a type")
}

/// A part as a list: for a `Sequence`, its elements under `field`.
fn flat<'a>(part: &'a Value, field: &str) -> Vec<&'a Value> {
    match part.get(field).and_then(Value::as_array).filter(|_| kind(part) == "Sequence") {
        Some(parts) => parts.iter().flat_map(|part| flat(part, field)).collect(),
        None => vec![part],
    }
}

/// How a text is normalised first.
pub fn normals(name: &str, normalizer: Option<&Value>) -> Result<Vec<Normal>> {
    let parts = normalizer.map(|part| flat(part, "normalizers")).unwrap_or_default();
    let normal = |part: &Value| match Normal::ALL.iter().find(|(_, name)| *name == kind(part)) {
        Some((normal, _)) => Ok(*normal),
        None => refuse(name, "normalizer", &kind(part), "NFC, NFD, NFKC, NFKD, Lowercase or none"),
    };
    parts.into_iter().map(normal).collect()
}

/// The pre-split. `prefix_space` is the value of `add_prefix_space` in a file next to it, which takes precedence.
pub fn steps(name: &str, splitter: Option<&Value>, prefix_space: Option<bool>) -> Result<Vec<Step>> {
    let Some(splitter) = splitter else { return refuse(name, "pre_tokenizer", &"missing", "ByteLevel") };
    let (mut steps, mut bytes) = (Vec::new(), false);
    for part in flat(splitter, "pretokenizers") {
        let flag = |field: &str| part.get(field).and_then(Value::as_bool);
        if bytes {
            return refuse(
                name,
                "pre_tokenizer",
                &format!("{} after ByteLevel", kind(part)),
                "ByteLevel at the end",
            );
        }
        match kind(part) {
            "ByteLevel" => {
                bytes = true;
                let space = prefix_space.unwrap_or(flag("add_prefix_space") == Some(true));
                steps.extend(space.then_some(Step::PrefixSpace));
                steps.extend((flag("use_regex") != Some(false)).then_some(Step::Words));
            }
            "Digits" => steps.push(Step::Numbers { each: flag("individual_digits") == Some(true) }),
            "Split" => steps.push(split(name, part)?),
            other => {
                return refuse(
                    name,
                    "pre_tokenizer",
                    &other,
                    "ByteLevel, Digits, or Split by GPT-2's expression",
                );
            }
        }
    }
    match bytes {
        true => Ok(steps),
        false => refuse(name, "pre_tokenizer", &kind(splitter), "ByteLevel"),
    }
}

fn split(name: &str, part: &Value) -> Result<Step> {
    let pattern = part.get("pattern").and_then(|pattern| pattern.get("Regex")).and_then(Value::as_str);
    let behavior = part.get("behavior").and_then(Value::as_str).unwrap_or_default();
    let invert = part.get("invert").and_then(Value::as_bool) == Some(true);
    match (pattern, behavior, invert) {
        // The expression matches all of a text, so there is nothing between two matches.
        (Some(pattern), "Isolated", _) | (Some(pattern), "Removed", true) if WORDS.contains(&pattern) => {
            Ok(Step::Words)
        }
        (Some(r"\p{N}"), "Isolated", false) => Ok(Step::Numbers { each: true }),
        (Some(r"\p{N}+"), "Isolated", false) => Ok(Step::Numbers { each: false }),
        (Some(PUNCTUATION), "Isolated", false) => Ok(Step::Punctuation),
        (Some(THREE_DIGITS), "Isolated", false) => Ok(Step::ThreeDigits),
        _ => {
            let found = format!("Split by {}, {behavior}", part.get("pattern").unwrap_or(&Value::Null));
            refuse(name, "pre_tokenizer", &found, r"GPT-2's expression or \p{N}, Isolated,")
        }
    }
}

/// Refuses a decoder that would change texts.
pub fn check_decoder(name: &str, decoder: Option<&Value>) -> Result<()> {
    let parts = decoder.map(|part| flat(part, "decoders")).unwrap_or_default();
    match parts.into_iter().map(kind).find(|kind| !["ByteLevel", "Fuse"].contains(kind)) {
        Some(other) => refuse(name, "decoder", &other, "ByteLevel"),
        None => Ok(()),
    }
}

/// The tokens around a text.
pub fn around(name: &str, processor: Option<&Value>) -> Result<Frame> {
    let parts = processor.map(|part| flat(part, "processors")).unwrap_or_default();
    let mut frame = Frame::default();
    for part in parts {
        let outer = match kind(part) {
            "ByteLevel" => Frame::default(),
            "TemplateProcessing" => template(name, part)?,
            "RobertaProcessing" | "BertProcessing" => {
                let id = |field: &str| {
                    let id = part.get(field).and_then(|pair| pair.get(1)).and_then(Value::as_u64);
                    match id.and_then(|id| u32::try_from(id).ok()) {
                        Some(id) => Ok(vec![id]),
                        None => refuse(
                            name,
                            &format!("post_processor.{field}"),
                            &"not a token",
                            "a token and its id",
                        ),
                    }
                };
                Frame { start: id("cls")?, end: id("sep")? }
            }
            other => return refuse(name, "post_processor", &other, "ByteLevel or TemplateProcessing"),
        };
        frame.start.splice(0..0, outer.start);
        frame.end.extend(outer.end);
    }
    Ok(frame)
}

/// `single` of a `TemplateProcessing`: special tokens around the text, which occurs once.
fn template(name: &str, part: &Value) -> Result<Frame> {
    let field = "post_processor.single";
    let Some(single) = part.get("single").and_then(Value::as_array) else {
        return refuse(name, field, &"missing", "a list");
    };
    let (mut frame, mut texts) = (Frame::default(), 0);
    for piece in single {
        if let Some(special) =
            piece.get("SpecialToken").and_then(|token| token.get("id")).and_then(Value::as_str)
        {
            let token = part.get("special_tokens").and_then(|all| all.get(special));
            let ids = token.and_then(|token| token.get("ids")).and_then(Value::as_array);
            let ids: Option<Vec<u32>> =
                ids.and_then(|ids| ids.iter().map(|id| u32::try_from(id.as_u64()?).ok()).collect());
            let Some(ids) = ids else {
                return refuse(
                    name,
                    field,
                    &format!("{special:?}, of which special_tokens holds no ids"),
                    "a special token",
                );
            };
            if texts == 0 { &mut frame.start } else { &mut frame.end }.extend(ids);
        } else {
            texts += 1;
        }
    }
    match texts {
        1 => Ok(frame),
        _ => refuse(name, field, &format!("a list with {texts} texts"), "one text"),
    }
}
