//! The chat template that comes with a model.

use serde_json::Value;

use super::source::{LONGEST_TEXT, Source};
use crate::config::object::Object;
use crate::tokens::chat::Template;
use crate::{Error, Result};

/// The template in `chat_template.jinja` or, in older checkpoints, in `tokenizer_config.json`, with the tokens that
/// the latter names.
pub(super) fn open(source: &Source) -> Result<Option<Template>> {
    let config = match source.small("tokenizer_config.json", LONGEST_TEXT)? {
        Some(text) => Some(Object::parse(&source.name("tokenizer_config.json"), &text)?),
        None => None,
    };
    let (what, text) = match source.small("chat_template.jinja", LONGEST_TEXT)? {
        Some(text) => {
            let what = source.name("chat_template.jinja");
            let text = std::str::from_utf8(&text)
                .map_err(|e| Error::invalid(&what, format!("is not UTF-8 ({e}); a template is text")))?;
            (what, text.to_string())
        }
        None => match config.as_ref().map(inline).transpose()?.flatten() {
            Some(text) => (source.name("tokenizer_config.json: chat_template"), text),
            None => return Ok(None),
        },
    };
    let mut template = Template::new(&text, None, None).map_err(|e| Error::invalid(what, e))?;
    for name in SPECIAL_TOKENS {
        if let Some(token) = config.as_ref().map(|config| special(config, name)).transpose()?.flatten() {
            template = template.with_token(name, &token);
        }
    }
    Ok(Some(template))
}

/// The special tokens that a template may use, by `transformers`' names.
const SPECIAL_TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// `chat_template` is a string, or a list of named templates, of which `default` is used.
fn inline(config: &Object) -> Result<Option<String>> {
    match config.get("chat_template") {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Array(many)) => {
            let default = many.iter().find(|one| one["name"] == "default");
            let text = default.and_then(|one| one["template"].as_str());
            let none = || config.error("chat_template has no template named \"default\"");
            text.map(|text| Some(text.to_string())).ok_or_else(none)
        }
        Some(other) => Err(config.wrong("chat_template", other, "a string or a list of named templates")),
    }
}

/// A special token is a string, or an object that holds it.
fn special(config: &Object, name: &str) -> Result<Option<String>> {
    match config.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(value) => match value["content"].as_str() {
            Some(text) => Ok(Some(text.to_string())),
            None => Err(config.wrong(name, value, "a token")),
        },
    }
}
