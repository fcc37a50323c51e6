//! Which parts of a conversation's text a model learns: the assistant's messages, and what closes its turn.

use super::{Message, Template, refused};
use crate::{Error, Result};
use serde_json::{Map, Value as Json};

/// A part of a conversation's text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    /// The text. All segments concatenated are the whole rendered text.
    pub text: String,
    /// Whether the model learns this text.
    pub learned: bool,
}

impl Template {
    /// The text of a whole conversation, cut where learning begins and ends. The assistant's messages and what
    /// closes its turn (not the white space that follows) are learned; everything else is only read, including an
    /// answer of weight 0.
    ///
    /// The cuts are found by rendering prefixes: the conversation before an answer, up to the point where the
    /// answer begins, and the conversation including the answer. If the second does not continue the first (the
    /// template shows earlier turns differently once later ones follow), the template cannot be learned from and is
    /// refused.
    pub fn segments(&self, messages: &[Message]) -> Result<Vec<Segment>> {
        self.segments_with(messages, &Map::new())
    }

    /// Like [`Template::segments`], with more variables for the template, such as `tools`.
    pub fn segments_with(&self, messages: &[Message], variables: &Map<String, Json>) -> Result<Vec<Segment>> {
        let whole = self.render_with(messages, false, variables)?;
        let closed = self.closing().is_ok_and(|closing| !closing.is_empty());
        let mut segments = Vec::new();
        let mut push = |text: &str, learned| {
            if !text.is_empty() {
                segments.push(Segment { text: text.to_string(), learned });
            }
        };
        let mut done = 0;
        for (turn, message) in messages.iter().enumerate().filter(|(_, message)| message.is_learned()) {
            let before = self.render_with(&messages[..turn], true, variables)?;
            let through = self.render_with(&messages[..=turn], false, variables)?;
            let answer = through.strip_prefix(&before).filter(|_| whole.starts_with(&through));
            let says = |answer: &&str| {
                message.texts().chain(message.called()).all(|text| answer.contains(text.trim()))
            };
            let answer = answer.filter(|_| before.len() >= done).filter(says);
            let answer = answer.ok_or_else(|| inconsistent(turn))?;
            let learned = if closed { answer.trim_end() } else { answer };
            push(&whole[done..before.len()], false);
            push(learned, true);
            done = before.len() + learned.len();
        }
        push(&whole[done..], false);
        Ok(segments)
    }

    /// The text that closes an answer, such as `<|im_end|>`; empty if the template closes it with nothing but white
    /// space. Generating an answer stops there.
    pub fn closing(&self) -> Result<String> {
        const ANSWER: &str = "What is said is not what closes it.";
        let conversation = [("user", "What closes an answer?"), ("assistant", ANSWER)].map(Message::from);
        let whole = self.render(&conversation, false)?;
        Ok(whole.split_once(ANSWER).map_or("", |(_, closing)| closing.trim()).to_string())
    }
}

fn inconsistent(turn: usize) -> Error {
    refused(format!(
        "the chat template writes message {} differently when other messages follow, or changes what it says, so what \
         is learned cannot be separated from what is only read; use another template",
        turn + 1
    ))
}
