//! A message that is only begun: the conversation's text ends where that message's text ends.

use super::jinja::lexer::is_space;
use super::{Message, Template, refused};
use crate::Result;
use crate::tokens::Tokenizer;
use serde_json::{Map, Value as Json};

/// What stands behind the message while the template runs. Its last space shows whether the template trims.
const MARK: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

impl Template {
    /// The conversation as one text that ends where the last message's text ends, so that a model continues that
    /// message: `continue_final_message` in `transformers`.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no message, or if its text does not appear in what the template writes.
    pub fn continued_with(&self, messages: &[Message], variables: &Map<String, Json>) -> Result<String> {
        let Some((last, before)) = messages.split_last() else {
            return Err(refused("there is no message to continue"));
        };
        let mut conversation = before.to_vec();
        let (begun, marked) = marked(last)?;
        conversation.push(marked);
        let text = self.render_with(&conversation, false, variables)?;
        let shown = self.source.contains("content") && text.contains(begun.trim_matches(is_space));
        let Some(end) = text.rfind(MARK.trim_end()).filter(|_| shown) else {
            return Err(refused(
                "the chat template does not write the last message as it is, so it cannot be continued",
            ));
        };
        let kept = &text[..end];
        let kept = if text[end..].starts_with(MARK) { kept } else { kept.trim_end_matches(is_space) };
        Ok(kept.to_string())
    }

    /// The tokens of [`Template::continued_with`], guarded as in [`Template::prompt_with`].
    pub fn continued_prompt_with(
        &self,
        messages: &[Message],
        variables: &Map<String, Json>,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<u32>> {
        self.guarded(messages, variables, tokenizer, |messages, variables| {
            self.continued_with(messages, variables)
        })
    }
}

/// The text of the message that is continued (of several parts, the last text), and the message with the mark
/// behind it.
fn marked(message: &Message) -> Result<(String, Message)> {
    let mut fields = message.fields().clone();
    let text = match fields.get_mut("content") {
        Some(Json::Array(parts)) => parts.iter_mut().rev().find_map(|part| part.get_mut("text")),
        content => content,
    };
    let Some(Json::String(text)) = text else {
        return Err(refused("the last message has no text to continue"));
    };
    let begun = text.clone();
    text.push_str(MARK);
    Ok((begun, Message::from_json(Json::Object(fields))?))
}
