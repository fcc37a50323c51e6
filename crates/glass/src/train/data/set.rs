//! A set of samples: a stream of ids, or conversations.

use crate::fingerprint::Fingerprint;
use crate::train::data::ids::Ids;
use crate::{Error, Result};

/// Data for training or validation.
#[derive(Clone, Debug)]
pub struct Set {
    /// The source of the samples.
    pub samples: Samples,
    /// Documents or conversations; 0 if unknown.
    pub documents: usize,
    /// The bytes of text that the ids represent, for conversations those that are learned; `None` if unknown.
    pub bytes: Option<u64>,
}

/// The source of samples.
#[derive(Clone, Debug)]
pub enum Samples {
    /// One stream of ids, cut into windows.
    Stream(Ids),
    /// Conversations, one sample each.
    Chats(Vec<Chat>),
    /// Pairs of answers, two samples each.
    Pairs(Vec<Pair>),
}

/// A conversation: at most one id more than the context has positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat {
    /// Its ids.
    pub ids: Vec<u32>,
    /// Which of them are learned.
    pub learned: Vec<bool>,
}

/// Two answers to the same prompt, each after the prompt; only the answers are marked as learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The chosen answer, then the rejected one.
    pub sides: [Chat; 2],
    /// How probable the reference finds the answers: the sums of their log-probabilities in nats, which
    /// [`refer`](crate::train::reference::refer) computes.
    pub reference: [f64; 2],
}

impl Set {
    /// A set of given ids. `length` gives the bytes of a token, if known.
    pub fn of_ids(ids: Ids, length: Option<&dyn Fn(u32) -> usize>) -> Set {
        let bytes = length.map(|length| {
            let lengths: Vec<u64> = (0..=largest(&ids).unwrap_or(0)).map(|id| length(id) as u64).collect();
            let mut bytes = 0;
            ids.each(|id| bytes += lengths[id as usize]);
            bytes
        });
        Set { samples: Samples::Stream(ids), documents: 0, bytes }
    }

    /// Cuts off the last `fraction` of a stream, for validation. Documents and conversations are split before they
    /// are tokenised.
    pub fn split_ids(mut ids: Ids, fraction: f64) -> (Ids, Ids) {
        let tail = ids.split_off(ids.len() - (ids.len() as f64 * fraction.clamp(0.0, 1.0)) as usize);
        (ids, tail)
    }

    /// The total number of tokens.
    pub fn tokens(&self) -> usize {
        match &self.samples {
            Samples::Stream(ids) => ids.len(),
            Samples::Chats(chats) => chats.iter().map(|chat| chat.ids.len()).sum(),
            Samples::Pairs(pairs) => sides(pairs).map(|chat| chat.ids.len()).sum(),
        }
    }

    /// The tokens learned in one epoch: all that have a token before them, or those marked in conversations.
    pub fn learned(&self) -> usize {
        match &self.samples {
            Samples::Stream(ids) => ids.len().saturating_sub(1),
            Samples::Chats(chats) => chats.iter().map(Chat::learned).sum(),
            Samples::Pairs(pairs) => sides(pairs).map(Chat::learned).sum(),
        }
    }

    /// The largest id.
    pub fn largest(&self) -> Option<u32> {
        match &self.samples {
            Samples::Stream(ids) => largest(ids),
            Samples::Chats(chats) => chats.iter().flat_map(|chat| chat.ids.iter().copied()).max(),
            Samples::Pairs(pairs) => sides(pairs).flat_map(|chat| chat.ids.iter().copied()).max(),
        }
    }

    /// Bytes of text per token, if known; for conversations, per learned token.
    pub fn bytes_per_token(&self) -> Option<f64> {
        let tokens = match &self.samples {
            Samples::Stream(ids) => ids.len(),
            Samples::Chats(_) | Samples::Pairs(_) => self.learned(),
        };
        self.bytes.map(|bytes| bytes as f64 / tokens.max(1) as f64)
    }

    /// A fingerprint of the data, in hexadecimal: a resumed run must use the same data.
    pub fn fingerprint(&self) -> String {
        let mut print = Fingerprint::default();
        match &self.samples {
            Samples::Stream(ids) => ids.each(|id| print.add(id)),
            Samples::Chats(chats) => chats.iter().for_each(|chat| chat.add_to(&mut print)),
            Samples::Pairs(pairs) => sides(pairs).for_each(|chat| chat.add_to(&mut print)),
        }
        print.to_string()
    }

    /// Refuses data that does not fill one window of the context; `what` names its source.
    pub fn check(&self, what: &str, context: usize) -> Result<()> {
        match &self.samples {
            Samples::Stream(ids) if ids.len() <= context => {
                let least = match ids.len() {
                    0..=1 => "give more text".into(),
                    len => format!("give more text, or a `context` of at most {}", len - 1),
                };
                let why = format!(
                    "{} tokens, but one window is {}: the context of {context} and the token after it; {least}",
                    ids.len(),
                    context + 1
                );
                Err(Error::invalid(what, why))
            }
            Samples::Chats(chats) if chats.is_empty() => {
                Err(Error::invalid(what, "no conversation holds anything to learn"))
            }
            Samples::Pairs(pairs) if pairs.is_empty() => {
                Err(Error::invalid(what, "no pair of answers fits into the context"))
            }
            _ => Ok(()),
        }
    }
}

impl Chat {
    /// How many of its ids are learned: of those marked, all but the first id, which has none before it.
    fn learned(&self) -> usize {
        self.learned.iter().skip(1).filter(|&&learned| learned).count()
    }

    fn add_to(&self, print: &mut Fingerprint) {
        print.add(self.ids.len() as u32);
        let words = self.ids.iter().zip(&self.learned);
        words.for_each(|(&id, &learned)| print.add(id << 1 | u32::from(learned)));
    }
}

fn sides(pairs: &[Pair]) -> impl Iterator<Item = &Chat> {
    pairs.iter().flat_map(|pair| &pair.sides)
}

fn largest(ids: &Ids) -> Option<u32> {
    let mut largest = None;
    ids.each(|id| largest = largest.max(Some(id)));
    largest
}
