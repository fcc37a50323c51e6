//! Messages → the tokens of a prompt, through the model's template.

use glass::tokens::chat::Message;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::serve::card::{Card, LONG, aside};
use crate::serve::error::{Answered, Refusal};

/// One message of a conversation, in its simplest shape; a content may also be a list of `{"type": "text", "text"}`.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct ChatMessage {
    /// Who speaks; which roles there are is up to the model's template.
    role: Role,
    /// What is said.
    content: String,
}

/// The roles that most templates know.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code)]
pub enum Role {
    /// Instructions.
    System,
    /// A question.
    User,
    /// An answer.
    Assistant,
}

/// The same, of a length that fits.
pub fn prompt(card: &Card, messages: Vec<Value>, variables: &Map<String, Value>) -> Answered<Vec<u32>> {
    let ids = ids(card, messages, variables)?;
    card.check_prompt("messages", &ids)?;
    Ok(ids)
}

/// The tokens of a conversation, up to where the answer begins.
pub fn ids(card: &Card, messages: Vec<Value>, variables: &Map<String, Value>) -> Answered<Vec<u32>> {
    let chat = card.chat()?;
    check_variables(variables, chat.template().source())?;
    if messages.is_empty() {
        return Err(Refusal::field("messages", "it is empty; at least one message was expected"));
    }
    let mut conversation = Vec::with_capacity(messages.len());
    for (turn, message) in messages.into_iter().enumerate() {
        conversation.push(self::message(turn, message, chat.template().source())?);
    }
    let tokenizer = card.tokenizer()?;
    let long = conversation.iter().map(|message| message.text().len()).sum::<usize>() > LONG;
    Ok(aside(long, || chat.template().prompt_with(&conversation, variables, tokenizer))?)
}

/// Refuses variables that the template does not read, and those that the service itself gives.
fn check_variables(variables: &Map<String, Value>, template: &str) -> Answered<()> {
    let words = template.split(|c: char| !c.is_alphanumeric() && c != '_');
    for name in variables.keys() {
        let why = match name.as_str() {
            "messages" | "add_generation_prompt" => "the service gives this variable itself",
            _ if name.ends_with("_token") => "special tokens come from the model's files",
            _ if words.clone().any(|word| word == name) => continue,
            _ => "the model's chat template does not read this variable",
        };
        return Err(Refusal::field(format!("chat_template_kwargs.{name}"), why));
    }
    Ok(())
}

fn message(turn: usize, mut message: Value, template: &str) -> Answered<Message> {
    let Value::Object(fields) = &mut message else {
        return Err(Refusal::field(
            format!("messages[{turn}]"),
            "an object with role and content was expected",
        ));
    };
    fields.retain(|_, value| !value.is_null());
    const KNOWN: [&str; 6] = ["role", "content", "name", "reasoning_content", "refusal", "annotations"];
    if let Some(name) = fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        let why = "this field is not known here; expected one of role, content, name, reasoning_content";
        return Err(Refusal::field(format!("messages[{turn}].{name}"), why).code("unknown_field"));
    }
    fields.retain(|name, _| name != "refusal" && name != "annotations");
    if let Some(Value::String(name)) = fields.get("role") {
        let known = role(&format!("messages[{turn}].role"), name, template)?.to_string();
        fields.insert("role".into(), known.into());
    }
    if let Some(Value::Array(parts)) = fields.get("content") {
        let text = text_of_parts(&format!("messages[{turn}].content"), parts, &["text"])?;
        fields.insert("content".into(), text.into());
    }
    Message::from_json(message).map_err(|error| match error {
        glass::Error::InvalidArgument { why, .. } => Refusal::field(format!("messages[{turn}]"), why),
        other => other.into(),
    })
}

/// A role that the template knows. OpenAI's `developer` is what `system` was before, and most templates know only that.
fn role<'a>(param: &str, name: &'a str, template: &str) -> Answered<&'a str> {
    let named = |quote: char| template.contains(&format!("{quote}{name}{quote}"));
    match name {
        "system" | "user" | "assistant" => Ok(name),
        "" => Err(Refusal::field(param, "it is empty; it says who speaks, as in \"user\"")),
        _ if named('\'') || named('"') => Ok(name),
        "developer" => Ok("system"),
        _ => {
            let why = format!(
                "the model's template does not know the role {name:?}; expected system, user or assistant"
            );
            Err(Refusal::field(param, why))
        }
    }
}

/// Texts in parts, joined. Any other part is refused by its name.
pub fn text_of_parts(param: &str, parts: &[Value], kinds: &[&str]) -> Answered<String> {
    let mut text = String::new();
    for (at, part) in parts.iter().enumerate() {
        let param = format!("{param}[{at}]");
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        if !kinds.contains(&kind) {
            let why = format!("a part of the type {kind:?} cannot be read by this model; only texts can");
            return Err(Refusal::field(param, why).code("unsupported_content"));
        }
        let Some(more) = part.get("text").and_then(Value::as_str) else {
            return Err(Refusal::field(param, "it has no \"text\""));
        };
        text.push_str(more);
    }
    Ok(text)
}
