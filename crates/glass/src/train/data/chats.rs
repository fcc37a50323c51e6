//! Reads conversations as samples: lines of `{"messages": [{"role", "content"}, …]}`, or of only the list. Only the
//! assistant's messages are learned. Lines with plain text, `{"text"}`, may be mixed in; they are learned in full,
//! so that a model does not forget what it knew.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::{Map, Value};

use crate::random::Random;
use crate::tokens::Tokenizer;
use crate::tokens::chat::{Message, Template};
use crate::train::data::corpus::{Near, Twins};
use crate::train::data::near::{self, Role, Sketching};
use crate::train::data::set::{Chat, Samples, Set};
use crate::train::data::{Remark, utf8};
use crate::{Error, Result};

/// An entry of the data and its position, `file:line`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The position, for error messages.
    pub place: String,
    /// The contents.
    pub told: Told,
}

/// The contents of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A conversation.
    Conversation(Talk),
    /// A plain text.
    Text(String),
}

/// A conversation's turns, and the tools that its assistant may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Talk {
    /// The messages.
    pub messages: Vec<Message>,
    /// `tools`, if the line has them.
    pub variables: Map<String, Value>,
}

impl Talk {
    /// The tokens that a template makes of the conversation, and which of them are learned.
    pub fn tokens(&self, template: &Template, tokenizer: &Tokenizer) -> Result<(Vec<u32>, Vec<bool>)> {
        template.tokens_with(&self.messages, &self.variables, tokenizer)
    }
}

impl Told {
    /// Its texts, in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let (messages, text) = match self {
            Told::Conversation(talk) => (talk.messages.as_slice(), None),
            Told::Text(text) => (&[][..], Some(text.as_str())),
        };
        messages.iter().flat_map(Message::texts).chain(text)
    }
}

/// The known roles. A misspelt role would be learned as it is spelt, and its messages would never be learned as
/// answers.
const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

/// Reads files of conversations.
pub fn read(files: &[PathBuf]) -> Result<(Vec<Entry>, Vec<Remark>)> {
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

fn add(conversations: &mut Vec<Entry>, path: &Path, bytes: Vec<u8>) -> Result<()> {
    let text = utf8(path, bytes)?;
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{}:{}", path.display(), index + 1);
        let told = told(line).map_err(|why| Error::invalid(&place, why))?;
        conversations.push(Entry { place, told });
    }
    Ok(())
}

/// The contents of an entry. or the reason why it is not valid.
fn told(line: &str) -> std::result::Result<Told, String> {
    let mut variables = Map::new();
    let messages = match serde_json::from_str(line) {
        Ok(Value::Array(messages)) => messages,
        Ok(Value::Object(mut object)) => {
            match object.remove("tools") {
                None | Some(Value::Null) => {}
                Some(Value::Array(tools)) => _ = variables.insert("tools".into(), tools.into()),
                Some(_) => return Err("the field \"tools\" is not a list".into()),
            }
            match (object.remove("messages"), object.remove("text")) {
                (Some(Value::Array(messages)), _) => messages,
                (Some(_), _) => {
                    return Err("the field \"messages\" is not a list of {\"role\",\"content\"}".into());
                }
                (None, Some(Value::String(text))) => return Ok(Told::Text(text)),
                _ => {
                    return Err("no field \"messages\" in this line; a conversation is \
                                {\"messages\":[{\"role\",\"content\"}]}"
                        .into());
                }
            }
        }
        Ok(_) => return Err("not a JSON object or list; each line must be one conversation".into()),
        Err(error) => return Err(format!("not JSON: {error}; each line must be one conversation")),
    };
    Ok(Told::Conversation(Talk { messages: turns(messages)?, variables }))
}

/// The messages of a conversation, or the reason why one is not valid.
pub(super) fn turns(messages: Vec<Value>) -> std::result::Result<Vec<Message>, String> {
    let mut turns = Vec::with_capacity(messages.len());
    for (index, message) in messages.into_iter().enumerate() {
        let message = Message::from_json(message).map_err(|error| {
            let why = match error {
                Error::InvalidArgument { why, .. } => why,
                other => other.to_string(),
            };
            format!("message {}: {why}", index + 1)
        })?;
        if !ROLES.contains(&message.role()) {
            return Err(format!(
                "message {}: the role {:?} is unknown; a role is one of {}",
                index + 1,
                message.role(),
                ROLES.join(", ")
            ));
        }
        turns.push(message);
    }
    Ok(turns)
}

/// Splits into (training, validation): `fraction` of the conversations, drawn from `seed`, are for validation. Both
/// parts keep the order of reading.
pub fn split<T>(conversations: Vec<T>, fraction: f64, seed: u64) -> (Vec<T>, Vec<T>) {
    let count = (conversations.len() as f64 * fraction) as usize;
    let mut validates = vec![false; conversations.len()];
    for &index in Random::new(seed, "validation", 0).permutation(conversations.len()).iter().take(count) {
        validates[index] = true;
    }
    let mut validates = validates.into_iter();
    let (validation, training) = conversations.into_iter().partition(|_| validates.next() == Some(true));
    (training, validation)
}

/// Finds conversations that are nearly the same by what is said in them, and drops them if that is asked for, as
/// [`Near`] says. `None` if they are not to be looked for.
pub fn twins(train: &mut Vec<Entry>, validation: &[Entry], near: Near) -> Option<Twins> {
    if near == Near::Keep {
        return None;
    }
    let mut sketching = Sketching::default();
    for entry in train.iter().chain(validation) {
        let texts: Vec<&str> = entry.told.texts().collect();
        sketching.add(texts.join("\n").into_bytes(), true);
    }
    let signatures = sketching.end();
    let mut roles = vec![Role::Train; train.len()];
    roles.resize(signatures.len(), Role::Validation);
    let pairs = near::find(&signatures.iter().collect::<Vec<_>>(), &roles);
    let place = |at: usize| train.iter().chain(validation).nth(at).map(|entry| entry.place.clone());
    let twins = Twins::of(&pairs, &roles, &|at| place(at).unwrap_or_default());
    if near == Near::Drop {
        let dropped: HashSet<usize> =
            pairs.training.iter().chain(&pairs.validation).map(|pair| pair.document).collect();
        let mut at = 0..;
        train.retain(|_| !at.next().is_some_and(|at| dropped.contains(&at)));
    }
    Some(twins)
}

/// Statistics of conversations that could not be used as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Longer than the context: cut off at the end.
    pub shortened: usize,
    /// Left out, because nothing in them, or in the part that fits into the context, is to be learned.
    pub left_out: usize,
    /// Those of them in which something would be learned after the context.
    pub beyond: usize,
}

/// What is left of a conversation in a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// So many ids, up to the last one learned in the context.
    Ids {
        /// Their number.
        len: usize,
        /// Whether something after the context would be learned too.
        shortened: bool,
    },
    /// Nothing in it is to be learned.
    Silent,
    /// What is to be learned in it begins after the context.
    Beyond,
}

impl Fit {
    /// Of a conversation in which these ids are to be learned. The first one has no id before it, so it cannot be. The ids after
    /// the last learned one are left out, since nothing is learned from them.
    pub fn of(learned: &[bool], context: usize) -> Fit {
        let fits = learned.len().min(context + 1);
        match ((1..fits).rev().find(|&index| learned[index]), learned[fits..].contains(&true)) {
            (Some(last), shortened) => Fit::Ids { len: last + 1, shortened },
            (None, true) => Fit::Beyond,
            (None, false) => Fit::Silent,
        }
    }
}

/// Returns the ids of a line's contents, and which of them are learned.
pub type Encode<'a> = dyn Fn(&Told) -> Result<(Vec<u32>, Vec<bool>)> + Sync + 'a;

/// Makes a sample of each line, in parallel and in order. For conversations, `encode` is a template's
/// [`tokens`](Talk::tokens); `length` gives the bytes of a token's text, if known. What is left of each is its [`Fit`].
pub fn set(
    conversations: &[Entry],
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
        let fit = Fit::of(&learned, context);
        let Fit::Ids { len, shortened } = fit else {
            cut.left_out += 1;
            cut.beyond += usize::from(fit == Fit::Beyond);
            continue;
        };
        cut.shortened += usize::from(shortened);
        ids.truncate(len);
        learned.truncate(len);
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
