//! Documents to what is learned from: a stream of ids, or conversations.

use rayon::prelude::*;

use super::data::Documents;
use super::fingerprint::Fingerprint;
use super::ids::Ids;
use crate::{Error, Result};

/// What is learned from, or validated on.
#[derive(Clone, Debug)]
pub struct Set {
    /// The samples are cut from these.
    pub samples: Samples,
    /// Documents or conversations; 0 where that is not known.
    pub documents: usize,
    /// Bytes of text that the ids stand for, of conversations those that are learned; `None` where that is not known.
    pub bytes: Option<u64>,
}

/// Where samples come from.
#[derive(Clone, Debug)]
pub enum Samples {
    /// One stream of ids, cut into windows.
    Stream(Ids),
    /// Conversations, a sample each.
    Chats(Vec<Chat>),
}

/// A conversation: at most one id more than the context has positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat {
    /// Its ids.
    pub ids: Vec<u32>,
    /// Which of them are to be learned.
    pub learned: Vec<bool>,
}

/// Text is tokenised this much at a time, so that the ids in four bytes never stand whole.
const PORTION: usize = 16 << 20;

impl Set {
    /// Tokenises documents, several at once, in order; `encode` is a tokenizer's
    /// [`encode_parallel`](crate::tokens::Tokenizer::encode_parallel). With an end-of-text token the stream is
    /// `end document end document end`, so that every document's first token is learned too, and where it ends.
    pub fn of_documents(
        documents: &Documents,
        vocabulary: usize,
        end: Option<u32>,
        encode: &(dyn Fn(&str) -> Vec<u32> + Sync),
    ) -> Result<Set> {
        let mut ids = Ids::new(vocabulary);
        ids.extend(end.as_slice());
        let mut first = 0;
        while first < documents.len() {
            let (mut last, mut bytes) = (first, 0);
            while last < documents.len() && (last == first || bytes < PORTION) {
                bytes += documents.text(last).len();
                last += 1;
            }
            let encoded: Vec<Vec<u32>> =
                (first..last).into_par_iter().map(|index| encode(documents.text(index))).collect();
            for document in &encoded {
                known(document, vocabulary)?;
                ids.extend(document);
                ids.extend(end.as_slice());
            }
            first = last;
        }
        Ok(Set {
            samples: Samples::Stream(ids),
            documents: documents.len(),
            bytes: Some(documents.bytes() as u64),
        })
    }

    /// A set of ids as they are. `length` gives the bytes of a token, where that is known.
    pub fn of_ids(ids: Ids, length: Option<&dyn Fn(u32) -> usize>) -> Set {
        let bytes = length.map(|length| ids.iter().map(|id| length(id) as u64).sum());
        Set { samples: Samples::Stream(ids), documents: 0, bytes }
    }

    /// Cuts the last `fraction` of a stream off, for validation. Documents and conversations are split before they
    /// are tokenised.
    pub fn split_ids(mut ids: Ids, fraction: f64) -> (Ids, Ids) {
        let tail = ids.split_off(ids.len() - (ids.len() as f64 * fraction.clamp(0.0, 1.0)) as usize);
        (ids, tail)
    }

    /// Tokens in all.
    pub fn tokens(&self) -> usize {
        match &self.samples {
            Samples::Stream(ids) => ids.len(),
            Samples::Chats(chats) => chats.iter().map(|chat| chat.ids.len()).sum(),
        }
    }

    /// Tokens that are learned in one epoch: all that have one before them, or those marked in conversations.
    pub fn learned(&self) -> usize {
        match &self.samples {
            Samples::Stream(ids) => ids.len().saturating_sub(1),
            Samples::Chats(chats) => {
                chats.iter().flat_map(|chat| chat.learned.iter().skip(1)).filter(|&&learned| learned).count()
            }
        }
    }

    /// The largest id in it.
    pub fn largest(&self) -> Option<u32> {
        match &self.samples {
            Samples::Stream(ids) => ids.iter().max(),
            Samples::Chats(chats) => chats.iter().flat_map(|chat| chat.ids.iter().copied()).max(),
        }
    }

    /// Bytes of text per token, where known; of conversations, per token that is learned.
    pub fn bytes_per_token(&self) -> Option<f64> {
        let tokens = match &self.samples {
            Samples::Stream(ids) => ids.len(),
            Samples::Chats(_) => self.learned(),
        };
        self.bytes.map(|bytes| bytes as f64 / tokens.max(1) as f64)
    }

    /// A number, in hexadecimal, that is another one for other data: a resumed run must learn from the same.
    pub fn fingerprint(&self) -> String {
        let mut print = Fingerprint::default();
        match &self.samples {
            Samples::Stream(ids) => ids.iter().for_each(|id| print.add(id)),
            Samples::Chats(chats) => {
                for chat in chats {
                    print.add(chat.ids.len() as u32);
                    let words = chat.ids.iter().zip(&chat.learned);
                    words.for_each(|(&id, &learned)| print.add(id << 1 | u32::from(learned)));
                }
            }
        }
        print.to_string()
    }

    /// Refuses data that fills not even one window of the context, of which `what` says where it came from.
    pub fn check(&self, what: &str, context: usize) -> Result<()> {
        match &self.samples {
            Samples::Stream(ids) if ids.len() <= context => {
                let least = match ids.len() {
                    0..=1 => "give more text".into(),
                    len => format!("give more text, or a --context of at most {}", len - 1),
                };
                let why = format!(
                    "{} tokens, but one window is {}: the context of {context} and the token after it; {least}",
                    ids.len(),
                    context + 1
                );
                Err(Error::invalid(what, why))
            }
            Samples::Chats(chats) if chats.is_empty() => {
                Err(Error::invalid(what, "no conversation with anything to learn in it"))
            }
            _ => Ok(()),
        }
    }
}

fn known(ids: &[u32], vocabulary: usize) -> Result<()> {
    match ids.iter().find(|&&id| id as usize >= vocabulary) {
        None => Ok(()),
        Some(id) => Err(Error::invalid(
            "tokenizer",
            format!(
                "it gives id {id}, but the model's vocabulary has {vocabulary} tokens; use the model's own tokenizer"
            ),
        )),
    }
}
