//! The parts of a `tokenizer.json` other than its model: each is read by what it does, not by how it is written.

use std::fmt::Display;

use serde_json::Value;

use crate::tokens::Frame;
use crate::tokens::normalize::Normal;
use crate::tokens::presplit::{self, Step};
use crate::tokens::split::{Split, table};
use crate::{Error, Result};

/// [`Step::Punctuation`] and [`Step::ThreeDigits`] as regular expressions.
pub const PUNCTUATION: &str = r"[\p{P}$+<=>^~|]+";
pub const THREE_DIGITS: &str = "[0-9][0-9][0-9]";

/// An error that says what a field is and what was expected.
pub fn refuse<T>(name: &str, field: &str, found: &dyn Display, expected: &str) -> Result<T> {
    Err(Error::invalid(name, format!("{field} is {found}; {expected} was expected")))
}

/// The `type` of a part.
pub fn kind(part: &Value) -> &str {
    part.get("type").and_then(Value::as_str).unwrap_or("a part without a type")
}

/// A part as a list: for a `Sequence`, its elements under `field`.
pub fn flat<'a>(part: &'a Value, field: &str) -> Vec<&'a Value> {
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
    let parts = flat(splitter, "pretokenizers");
    let (last, before) = match parts.split_last() {
        Some((last, before)) if kind(last) == "ByteLevel" => (Some(last), before),
        _ => (None, &parts[..]),
    };
    let (mut steps, mut rest) = (Vec::new(), before);
    while let Some((part, after)) = rest.split_first() {
        rest = after;
        match kind(part) {
            "Digits" => {
                let each = part.get("individual_digits").and_then(Value::as_bool) == Some(true);
                steps.push(Step::Numbers { each });
            }
            "Split" => {
                let (step, taken) = split(name, part, after)?;
                steps.push(step);
                rest = &after[taken - 1..];
            }
            other => {
                let expected = "ByteLevel at the end, after Digits or Split by a known expression,";
                return refuse(name, "pre_tokenizer", &other, expected);
            }
        }
    }
    let Some(last) = last else {
        return refuse(name, "pre_tokenizer", &kind(splitter), "ByteLevel at the end");
    };
    let flag = |field: &str| last.get(field).and_then(Value::as_bool);
    let space = prefix_space.unwrap_or(flag("add_prefix_space") == Some(true));
    steps.extend(space.then_some(Step::PrefixSpace));
    steps.extend((flag("use_regex") != Some(false)).then_some(Step::Words(Split::Gpt2)));
    Ok(presplit::joined(steps))
}

/// The expression of a part, if its matches are words: what it matches is kept apart from the rest. Also whether what it
/// does not match is left out.
fn expression(part: &Value) -> Option<(&str, bool)> {
    let pattern = part.get("pattern").and_then(|pattern| pattern.get("Regex")).and_then(Value::as_str)?;
    let behavior = part.get("behavior").and_then(Value::as_str).unwrap_or_default();
    let invert = part.get("invert").and_then(Value::as_bool) == Some(true);
    match (kind(part), behavior, invert) {
        ("Split", "Isolated", false) => Some((pattern, false)),
        ("Split", "Isolated" | "Removed", true) => Some((pattern, true)),
        _ => None,
    }
}

/// The step that begins with `part`, and how many parts it takes.
fn split(name: &str, part: &Value, after: &[&Value]) -> Result<(Step, usize)> {
    let found: Vec<(&str, bool)> =
        [part].into_iter().chain(after.iter().copied()).map_while(expression).collect();
    let expressions: Vec<&str> = found.iter().map(|(expression, _)| *expression).collect();
    if let Some(known) = table::find(&expressions) {
        let taken = known.expressions.len();
        // If the expression matches all of a text, there is nothing between two matches.
        if known.all || found[..taken].iter().all(|(_, inverted)| !inverted) {
            return Ok((Step::Words(known.split), taken));
        }
    }
    let step = match found.first() {
        Some((r"\p{N}", false)) => Step::Numbers { each: true },
        Some((r"\p{N}+", false)) => Step::Numbers { each: false },
        Some((PUNCTUATION, false)) => Step::Punctuation,
        Some((THREE_DIGITS, false)) => Step::ThreeDigits,
        _ => {
            let behavior = part.get("behavior").and_then(Value::as_str).unwrap_or_default();
            let found = format!("Split by {}, {behavior}", part.get("pattern").unwrap_or(&Value::Null));
            return refuse(name, "pre_tokenizer", &found, r"a known family's expression or \p{N}, Isolated,");
        }
    };
    Ok((step, 1))
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
