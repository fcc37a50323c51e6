//! One turn of a conversation.

use super::jinja::value::{Dict, Value};
use super::refused;
use crate::Result;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};

/// One turn: who speaks (`role`), what is said (`content`), and any other fields for the template, such as
/// `tool_calls`, `reasoning_content` or `name`, in their original order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    fields: Map<String, Json>,
    learned: bool,
}

/// The names of the field that holds a message's reasoning. Templates read the first one.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// The names of the field that holds a message's calls; OLMo 3 writes the second.
const CALLS: [&str; 2] = ["tool_calls", "function_calls"];

impl Message {
    /// A turn of plain text.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Message {
        let fields = [("role", role.into()), ("content", content.into())];
        let fields = fields.into_iter().map(|(name, text)| (name.to_string(), Json::String(text))).collect();
        Message { fields, learned: true }
    }

    /// Reads a turn in the form that APIs and data sets use. Its content is a string, or a list of parts of which
    /// texts are `{"type":"text", "text"}`, or is left out if there are `tool_calls` or `function_calls`; fields that
    /// are null are treated as left out. `"weight": 0` marks an answer that is not learned from, and is not part of
    /// the message.
    ///
    /// # Errors
    /// `InvalidArgument` if it has no role, or a content or a weight of another type.
    pub fn from_json(message: Json) -> Result<Message> {
        let Json::Object(mut fields) = message else {
            return Err(refused(format!("a message is {{\"role\",\"content\"}}, not {}", kind(&message))));
        };
        fields.retain(|_, value| !value.is_null());
        let weight = fields.shift_remove("weight");
        let Some(Json::String(role)) = fields.get("role") else {
            return Err(refused("a message has no \"role\"; it says who speaks, as in \"user\""));
        };
        let learned = match weight.as_ref().map(Json::as_f64) {
            None => true,
            Some(Some(0.0)) => false,
            Some(Some(1.0)) if role == "assistant" => true,
            Some(Some(1.0)) => {
                return Err(refused(format!(
                    "\"weight\": 1 in a message of the role {role:?}; only what the assistant says is learned"
                )));
            }
            Some(_) => {
                let weight = weight.unwrap_or_default();
                return Err(refused(format!("\"weight\": {weight}; a message's weight is 0 or 1")));
            }
        };
        let said = match fields.get("content") {
            Some(Json::String(_)) => true,
            Some(Json::Array(parts)) => parts.iter().all(|part| part.is_string() || part.is_object()),
            Some(_) => false,
            None => CALLS.iter().chain(&REASONING).any(|name| fields.contains_key(*name)),
        };
        if !said {
            let found = fields.get("content").map_or("nothing", kind);
            return Err(refused(format!(
                "a message's \"content\" is a text or a list of parts, not {found}"
            )));
        }
        Ok(Message { fields, learned })
    }

    /// Who speaks: `system`, `user`, `assistant`, or another role that the template knows.
    pub fn role(&self) -> &str {
        self.fields.get("role").and_then(Json::as_str).unwrap_or_default()
    }

    /// The content, if it is one string; otherwise empty.
    pub fn text(&self) -> &str {
        self.fields.get("content").and_then(Json::as_str).unwrap_or_default()
    }

    /// All texts of the message: the content, or its parts.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let parts = self.fields.get("content").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
        let of_parts = parts.iter().filter_map(|part| part.as_str().or_else(|| part.get("text")?.as_str()));
        self.fields.get("content").and_then(Json::as_str).into_iter().chain(of_parts)
    }

    /// The names of the functions that it calls.
    pub(super) fn called(&self) -> impl Iterator<Item = &str> {
        let calls = self.fields.get("tool_calls").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
        calls.iter().filter_map(|call| call.get("function").unwrap_or(call).get("name")?.as_str())
    }

    /// All fields.
    pub fn fields(&self) -> &Map<String, Json> {
        &self.fields
    }

    /// Whether the model learns this message: it is from the assistant, and its weight is not 0.
    pub fn is_learned(&self) -> bool {
        self.learned && self.role() == "assistant"
    }

    /// The same message with every text in it changed by `change`, including names of fields in parts and calls;
    /// the message's own field names and its role stay.
    pub(super) fn changed(&self, change: &mut dyn FnMut(&str) -> Result<String>) -> Result<Message> {
        let mut fields = Map::new();
        for (name, value) in &self.fields {
            let value = if name == "role" { value.clone() } else { changed(value, change)? };
            fields.insert(name.clone(), value);
        }
        Ok(Message { fields, learned: self.learned })
    }

    /// The message as the template sees it. As in `transformers`, reasoning is available as both
    /// `reasoning_content` and `thinking`, whichever was given.
    pub(super) fn as_template_value(&self) -> Value {
        let mut pairs: Vec<(Value, Value)> = Vec::new();
        let reasoning = REASONING.iter().find_map(|name| self.fields.get(*name));
        if let Some(reasoning) = reasoning.filter(|_| !self.fields.contains_key("thinking")) {
            pairs.push(("thinking".into(), reasoning.into()));
        }
        pairs.extend(self.fields.iter().map(|(name, value)| (name.as_str().into(), value.into())));
        let mut dict = Dict(pairs);
        if let Some(reasoning) = reasoning {
            // In Python, `{"thinking": …, **message}` keeps the position of the first.
            if let Some(at) = dict.0.iter().position(|(name, _)| name.text() == Some("thinking")) {
                let pair = dict.0.remove(at);
                dict.0.insert(0, pair);
            }
            dict.set("reasoning_content".into(), reasoning.into());
        }
        Value::dict(dict)
    }
}

/// A value with every text in it changed, names of fields included.
pub(super) fn changed(value: &Json, change: &mut dyn FnMut(&str) -> Result<String>) -> Result<Json> {
    Ok(match value {
        Json::String(text) => Json::String(change(text)?),
        Json::Array(items) => {
            Json::Array(items.iter().map(|item| changed(item, change)).collect::<Result<_>>()?)
        }
        Json::Object(pairs) => {
            let mut copy = Map::new();
            for (name, value) in pairs {
                copy.insert(change(name)?, changed(value, change)?);
            }
            Json::Object(copy)
        }
        other => other.clone(),
    })
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.fields.serialize(serializer)
    }
}

impl<R: Into<String>, C: Into<String>> From<(R, C)> for Message {
    fn from((role, content): (R, C)) -> Self {
        Message::new(role, content)
    }
}
