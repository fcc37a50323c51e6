//! A set of samples: a stream of ids, conversations, or several such sets.

use crate::fingerprint::Fingerprint;
use crate::train::data::ids::Ids;
use crate::train::data::mix::Mix;
use crate::train::data::pack::Packed;
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
    /// One stream of ids, cut into windows in which no document sees another: each begins with the id `start`.
    Documents {
        /// The stream.
        ids: Ids,
        /// The first id of every document.
        start: u32,
    },
    /// Conversations, one sample each.
    Chats(Vec<Chat>),
    /// Conversations, of which a sample has as many as fit into the context.
    Packed(Packed),
    /// Several sets.
    Mix(Mix),
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

    /// Several sets as one, which counts what they count together.
    pub fn of_mix(mix: Mix) -> Set {
        let sets = || mix.parts().iter().map(|part| &part.set);
        let documents = sets().map(|set| set.documents).sum();
        let bytes = sets().map(|set| set.bytes).sum();
        Set { samples: Samples::Mix(mix), documents, bytes }
    }

    /// The same conversations, as many in a sample as fit into the context; any other set as it is.
    #[must_use]
    pub fn packed(self, context: usize, seed: u64) -> Set {
        match self.samples {
            Samples::Chats(chats) => {
                Set { samples: Samples::Packed(Packed::new(chats, context, seed)), ..self }
            }
            _ => self,
        }
    }

    /// The same stream, in whose windows no document sees another, if documents begin with `start`; any other set as it is.
    #[must_use]
    pub fn documents_from(self, start: u32) -> Set {
        match self.samples {
            Samples::Stream(ids) => Set { samples: Samples::Documents { ids, start }, ..self },
            _ => self,
        }
    }

    /// The sets of a mixture, with their names; of another set, itself without a name.
    pub fn parts(&self) -> Vec<(&str, &Set)> {
        match &self.samples {
            Samples::Mix(mix) => mix.parts().iter().map(|part| (part.name.as_str(), &part.set)).collect(),
            _ => vec![("", self)],
        }
    }

    /// The total number of tokens.
    pub fn tokens(&self) -> usize {
        match &self.samples {
            Samples::Mix(mix) => mix.parts().iter().map(|part| part.set.tokens()).sum(),
            samples => match samples.stream() {
                Some(ids) => ids.len(),
                None => samples.each_chat().map(|chat| chat.ids.len()).sum(),
            },
        }
    }

    /// The tokens learned in one epoch: all that have a token before them, or those marked in conversations; of a mixture, in
    /// all its sets once.
    pub fn learned(&self) -> usize {
        match &self.samples {
            Samples::Mix(mix) => mix.parts().iter().map(|part| part.set.learned()).sum(),
            samples => match samples.stream() {
                Some(ids) => ids.len().saturating_sub(1),
                None => samples.each_chat().map(Chat::learned).sum(),
            },
        }
    }

    /// The largest id.
    pub fn largest(&self) -> Option<u32> {
        match &self.samples {
            Samples::Mix(mix) => mix.parts().iter().filter_map(|part| part.set.largest()).max(),
            samples => match samples.stream() {
                Some(ids) => largest(ids),
                None => samples.each_chat().flat_map(|chat| chat.ids.iter().copied()).max(),
            },
        }
    }

    /// Bytes of text per token, if known; for conversations, per learned token.
    pub fn bytes_per_token(&self) -> Option<f64> {
        let tokens = |set: &Set| set.samples.stream().map_or_else(|| set.learned(), Ids::len);
        let tokens: usize = self.parts().into_iter().map(|(_, set)| tokens(set)).sum();
        self.bytes.map(|bytes| bytes as f64 / tokens.max(1) as f64)
    }

    /// Samples of at most `context` rows: windows or conversations; of a mixture, those of all its sets.
    pub fn samples_in(&self, context: usize) -> usize {
        match &self.samples {
            Samples::Stream(ids) | Samples::Documents { ids, .. } => {
                windows(ids.len().saturating_sub(1), context, 0)
            }
            Samples::Chats(chats) => chats.len(),
            Samples::Packed(packed) => packed.len(),
            Samples::Pairs(pairs) => pairs.len(),
            Samples::Mix(mix) => mix.parts().iter().map(|part| part.set.samples_in(context)).sum(),
        }
    }

    /// The mean number of rows of a sample, of at most `context`; of a stream, of a full window.
    pub fn mean_rows(&self, context: usize) -> f64 {
        let mean = match &self.samples {
            Samples::Stream(_) | Samples::Documents { .. } => context as f64,
            Samples::Chats(_) | Samples::Packed(_) | Samples::Pairs(_) => {
                let chats = self.samples.each_chat().count();
                (self.tokens() - chats) as f64 / self.samples_in(context).max(1) as f64
            }
            Samples::Mix(mix) => {
                let parts = mix.parts().iter();
                let (rows, samples) = parts.fold((0.0, 0.0), |(rows, samples), part| {
                    let count = f64::from(part.in_round);
                    (rows + count * part.set.mean_rows(context), samples + count)
                });
                rows / samples
            }
        };
        mean.max(1.0)
    }

    /// The most sequences that a sample of at most `context` rows consists of: the conversations of a window, or its documents.
    pub fn most_sequences(&self, context: usize) -> usize {
        match &self.samples {
            Samples::Stream(_) | Samples::Chats(_) => 1,
            Samples::Pairs(_) => 2,
            Samples::Packed(packed) => packed.windows().iter().map(Vec::len).max().unwrap_or(1),
            Samples::Documents { ids, start } => {
                // The places of starts, of which any stretch of the context may be a window; one may begin before it.
                let (mut starts, mut most, mut at) = (std::collections::VecDeque::new(), 0, 0);
                ids.each(|id| {
                    if id == *start {
                        starts.push_back(at);
                        while starts.front().is_some_and(|first| first + context <= at) {
                            starts.pop_front();
                        }
                        most = most.max(starts.len());
                    }
                    at += 1;
                });
                (most + 1).min(context)
            }
            Samples::Mix(mix) => {
                mix.parts().iter().map(|part| part.set.most_sequences(context)).max().unwrap_or(1)
            }
        }
    }

    /// A fingerprint of the data, in hexadecimal: a resumed run must use the same data.
    pub fn fingerprint(&self) -> String {
        let mut print = Fingerprint::default();
        self.add_to(&mut print);
        print.to_string()
    }

    fn add_to(&self, print: &mut Fingerprint) {
        match &self.samples {
            Samples::Stream(ids) => ids.each(|id| print.add(id)),
            Samples::Documents { ids, start } => {
                ids.each(|id| print.add(id));
                print.add(!start);
            }
            Samples::Chats(_) | Samples::Packed(_) | Samples::Pairs(_) => {
                self.samples.each_chat().for_each(|chat| chat.add_to(print));
                if let Samples::Packed(packed) = &self.samples {
                    packed.windows().iter().for_each(|window| {
                        print.add(window.len() as u32);
                        window.iter().for_each(|&chat| print.add(chat));
                    });
                }
            }
            Samples::Mix(mix) => mix.parts().iter().for_each(|part| {
                print.add(part.in_round);
                part.set.add_to(print);
            }),
        }
    }

    /// Refuses data that does not fill one window of the context; `what` names its source.
    pub fn check(&self, what: &str, context: usize) -> Result<()> {
        match &self.samples {
            Samples::Stream(ids) | Samples::Documents { ids, .. } if ids.len() <= context => {
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
            Samples::Chats(_) | Samples::Packed(_) if self.learned() == 0 => {
                Err(Error::invalid(what, "no conversation holds anything to learn"))
            }
            Samples::Mix(mix) => mix
                .parts()
                .iter()
                .try_for_each(|part| part.set.check(&format!("{what}, {}", part.name), context)),
            Samples::Pairs(pairs) if pairs.is_empty() => {
                Err(Error::invalid(what, "no pair of answers fits into the context"))
            }
            Samples::Chats(_) | Samples::Packed(_) => self.check_fits(what, context),
            _ => Ok(()),
        }
    }

    /// Refuses conversations, or windows of them, that are longer than the context.
    fn check_fits(&self, what: &str, context: usize) -> Result<()> {
        let rows = |chat: &Chat| chat.ids.len().saturating_sub(1);
        let longest = match &self.samples {
            Samples::Packed(packed) => (0..packed.len()).map(|at| packed.window(at).map(rows).sum()).max(),
            samples => samples.chats().iter().map(rows).max(),
        };
        match longest.filter(|longest| *longest > context) {
            None => Ok(()),
            Some(longest) => {
                let why = format!(
                    "a sample of {longest} tokens is longer than the context of {context}; cut it, or pack for this context"
                );
                Err(Error::invalid(what, why))
            }
        }
    }
}

impl Samples {
    /// The ids, if it is a stream.
    pub fn stream(&self) -> Option<&Ids> {
        match self {
            Samples::Stream(ids) | Samples::Documents { ids, .. } => Some(ids),
            _ => None,
        }
    }

    /// The conversations, and the answers of pairs with their prompts.
    pub fn each_chat(&self) -> impl Iterator<Item = &Chat> {
        let sides = match self {
            Samples::Pairs(pairs) => pairs.as_slice(),
            _ => &[],
        };
        self.chats().iter().chain(sides.iter().flat_map(|pair| &pair.sides))
    }

    /// The conversations, if it has any of its own.
    pub fn chats(&self) -> &[Chat] {
        match self {
            Samples::Chats(chats) => chats,
            Samples::Packed(packed) => packed.chats(),
            _ => &[],
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

fn largest(ids: &Ids) -> Option<u32> {
    let mut largest = None;
    ids.each(|id| largest = largest.max(Some(id)));
    largest
}

/// The number of windows of `rows` rows if the first cut is at `offset` and the others follow every `context` rows.
pub(super) fn windows(rows: usize, context: usize, offset: usize) -> usize {
    usize::from(offset > 0) + (rows - offset.min(rows)).div_ceil(context)
}
