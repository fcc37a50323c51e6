//! Conversations to samples: lines of `{"messages": [{"role", "content"}, …]}`, of which only what the assistant says
//! is learned; and among them plain texts, `{"text"}`, learned whole, so that a model does not forget what it knew.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::Value;

use super::data::{Remark, json_lines, utf8};
use super::random::Random;
use super::set::{Chat, Samples, Set};
use crate::tokens::chat::Message;
use crate::{Error, Result};

/// A line, and where it stands: `file:line`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// For errors.
    pub place: String,
    /// What it holds.
    pub told: Told,
}

/// What a line holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A conversation's turns.
    Conversation(Vec<Message>),
    /// A plain text.
    Text(String),
}

impl Told {
    /// Its texts, one after another.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let (messages, text) = match self {
            Told::Conversation(messages) => (messages.as_slice(), None),
            Told::Text(text) => (&[][..], Some(text.as_str())),
        };
        messages.iter().map(|message| message.content.as_str()).chain(text)
    }
}

/// Who may speak. A misspelt role would be learned as it is spelt, and its words never as an answer.
const ROLES: [&str; 4] = ["system", "user", "assistant", "tool"];

/// Reads files of conversations.
pub fn read(files: &[PathBuf]) -> Result<(Vec<Line>, Vec<Remark>)> {
    let (mut conversations, mut remarks) = (Vec::new(), Vec::new());
    for path in files {
        let bytes = fs::read(path).map_err(|error| Error::io("cannot read", path, error))?;
        let before = conversations.len();
        add(&mut conversations, path, bytes)?;
        if conversations.len() == before {
            remarks.push(Remark::new(path, "empty, skipped"));
        }
    }
    Ok((conversations, remarks))
}

fn add(conversations: &mut Vec<Line>, path: &Path, bytes: Vec<u8>) -> Result<()> {
    let text = utf8(path, bytes)?;
    for (number, object) in json_lines(path, text.trim_start_matches('\u{feff}')) {
        let (place, mut object) = (format!("{}:{number}", path.display()), object?);
        let Some(messages) = object.remove("messages") else {
            let Some(Value::String(text)) = object.remove("text") else {
                let why = "no field \"messages\" in this line; a conversation is {\"messages\":[{\"role\",\"content\"}]}";
                return Err(Error::invalid(place, why));
            };
            conversations.push(Line { place, told: Told::Text(text) });
            continue;
        };
        let messages: Vec<Message> = serde_json::from_value(messages).map_err(|error| {
            let why = format!("the field \"messages\" is no list of {{\"role\",\"content\"}}: {error}");
            Error::invalid(&place, why)
        })?;
        if let Some(message) = messages.iter().find(|message| !ROLES.contains(&message.role.as_str())) {
            let why =
                format!("the role {:?} is unknown; a role is one of {}", message.role, ROLES.join(", "));
            return Err(Error::invalid(place, why));
        }
        conversations.push(Line { place, told: Told::Conversation(messages) });
    }
    Ok(())
}

/// Parts into (training, validation): `fraction` of the conversations, drawn from `seed`, validate. Both parts keep
/// the order of reading.
pub fn split(conversations: Vec<Line>, fraction: f64, seed: u64) -> (Vec<Line>, Vec<Line>) {
    let count = (conversations.len() as f64 * fraction) as usize;
    let mut validates = vec![false; conversations.len()];
    for &index in Random::new(seed, "validation", 0).permutation(conversations.len()).iter().take(count) {
        validates[index] = true;
    }
    let mut validates = validates.into_iter();
    let (validation, training) = conversations.into_iter().partition(|_| validates.next() == Some(true));
    (training, validation)
}

/// What became of conversations that are not learned from as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Longer than the context: their ends are cut off.
    pub shortened: usize,
    /// Nothing in them, or in what fits into the context, is to be learned: left out.
    pub left_out: usize,
}

/// Gives the ids of a conversation, and which of them are learned.
pub type Encode<'a> = dyn Fn(&Told) -> Result<(Vec<u32>, Vec<bool>)> + Sync + 'a;

/// Makes a sample of each line, several at once, in order. `encode` is of conversations a template's
/// [`tokens`](crate::tokens::chat::Template::tokens); `length` gives the bytes of a token's text, where known.
/// What follows the last learned token is left out: nothing is learned from it.
pub fn set(
    conversations: &[Line],
    context: usize,
    encode: &Encode<'_>,
    length: Option<&dyn Fn(u32) -> usize>,
) -> Result<(Set, Cut)> {
    let encoded: Vec<_> = conversations
        .par_iter()
        .map(|conversation| encode(&conversation.told).map_err(|error| placed(&conversation.place, error)))
        .collect::<Result<_>>()?;
    let mut cut = Cut::default();
    let mut chats = Vec::new();
    for (mut ids, mut learned) in encoded {
        let fits = ids.len().min(context + 1);
        // The first id has none before it, so it cannot be learned.
        let last = (1..fits).rev().find(|&index| learned[index]);
        let Some(last) = last else {
            cut.left_out += 1;
            continue;
        };
        cut.shortened += usize::from(learned[fits..].contains(&true));
        ids.truncate(last + 1);
        learned.truncate(last + 1);
        chats.push(Chat { ids, learned });
    }
    let bytes = length.map(|length| {
        let learned = |chat: &Chat| -> u64 {
            let ids = chat.ids.iter().zip(&chat.learned).skip(1).filter(|(_, learned)| **learned);
            ids.map(|(&id, _)| length(id) as u64).sum()
        };
        chats.iter().map(learned).sum()
    });
    Ok((Set { documents: chats.len(), samples: Samples::Chats(chats), bytes }, cut))
}

fn placed(place: &str, error: Error) -> Error {
    Error::invalid(place, error)
}
