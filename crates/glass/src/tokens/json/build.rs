//! Builds a tokenizer from a vocabulary, its merges and its added tokens.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Display};

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Token;
use super::scores::Ranked;
use crate::tokens::added::{Added, AddedToken, Overlap};
use crate::tokens::alphabet::Alphabet;
use crate::tokens::bpe::{MOST_MERGES, MOST_TOKENS, Merges, Unknown};
use crate::tokens::normalize::Normal;
use crate::tokens::presplit::Step;
use crate::tokens::sentence::{Sentence, Symbols, byte_of, spaces};
use crate::tokens::split::Split;
use crate::tokens::vocabulary::Vocabulary;
use crate::tokens::words::Work;
use crate::tokens::{Frame, Inner, Tokenizer};
use crate::{Error, Result};

/// A vocabulary and its merges.
#[derive(Default, Deserialize)]
pub struct Model {
    /// Ids by token, each in the byte-level alphabet.
    #[serde(deserialize_with = "vocabulary")]
    pub vocab: HashMap<String, u32>,
    /// In the order they were learned.
    pub merges: Vec<Pair>,
}

/// Reads a vocabulary, but no more of it than there can be: in memory it is many times as large as in its file.
pub fn vocabulary<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<HashMap<String, u32>, D::Error> {
    struct Tokens;
    impl<'de> Visitor<'de> for Tokens {
        type Value = HashMap<String, u32>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("tokens and their ids")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
            let mut all = HashMap::new();
            while let Some((text, id)) = map.next_entry()? {
                all.insert(text, id);
                if all.len() > MOST_TOKENS {
                    return Err(A::Error::custom(format!("it has more than {MOST_TOKENS} tokens")));
                }
            }
            Ok(all)
        }
    }
    from.deserialize_map(Tokens)
}

/// A merge: older files join its halves by a space.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Pair {
    /// As two strings.
    Two(String, String),
    /// As one string with a space between the halves.
    Joined(String),
}

/// Everything a tokenizer is built from.
pub struct Build<'a> {
    /// The names of the vocabulary and of the merges in error messages.
    pub names: [&'a str; 2],
    /// The vocabulary and its merges.
    pub model: &'a Model,
    /// Added tokens.
    pub added: &'a [Token],
    /// Which of two overlapping added tokens is found.
    pub overlap: Overlap,
    /// How a text is normalised first.
    pub normals: Vec<Normal>,
    /// The pre-split.
    pub steps: Vec<Step>,
    /// The tokens around a text.
    pub frame: Frame,
    /// What happens to bytes without a token.
    pub unknown: Unknown,
    /// Whether a word that is a token becomes that token.
    pub ignore_merges: bool,
    /// The roles of special tokens.
    pub roles: Vec<(Box<str>, u32)>,
    /// What a vocabulary of SentencePiece does besides.
    pub sentence: Option<Sentence>,
    /// Where the merges come from.
    pub merging: Merging<'a>,
}

/// Where the merges come from.
pub enum Merging<'a> {
    /// The model's list.
    Listed,
    /// Scores of tokens.
    Ranked(&'a Ranked),
}

impl Default for Build<'_> {
    fn default() -> Self {
        static EMPTY: std::sync::LazyLock<Model> = std::sync::LazyLock::new(Model::default);
        Build {
            names: ["", ""],
            model: &EMPTY,
            added: &[],
            overlap: Overlap::First,
            normals: Vec::new(),
            steps: vec![Step::Words(Split::Gpt2)],
            frame: Frame::default(),
            unknown: Unknown::Dropped,
            ignore_merges: false,
            roles: Vec::new(),
            sentence: None,
            merging: Merging::Listed,
        }
    }
}

/// Builds it.
pub fn build(from: &Build<'_>) -> Result<Tokenizer> {
    let Build { names: [name, merges_name], model, .. } = from;
    let characters = from.steps == [Step::Characters];
    let alphabet = Alphabet::new();
    let Tokens { bytes, added, raw } = tokens(from, |text| match &from.sentence {
        Some(sentence) => Some(match byte_of(text).filter(|_| sentence.byte_fallback) {
            Some(byte) => vec![byte],
            // Every space of a text is written as another character.
            None if text.contains(' ') => return None,
            None => spaces(text.as_bytes()).into_owned(),
        }),
        None if characters => Some(text.as_bytes().to_vec()),
        None => alphabet.read(text),
    })?;
    // Never an added token: in plain text its characters are encoded one by one.
    let is_added: HashSet<u32> = added.iter().map(|token| token.id).collect();
    let whole = (from.ignore_merges || characters).then(|| {
        let ids = model.vocab.values().filter(|id| !is_added.contains(id) && !raw.contains(id));
        ids.map(|id| (bytes[*id as usize].clone().into_boxed_slice(), *id)).collect()
    });
    let merges = match &from.sentence {
        Some(sentence) => {
            let vocab = model.vocab.iter().map(|(text, id)| (text.as_str(), *id));
            let symbols = Symbols::new(vocab, sentence.byte_fallback);
            match from.merging {
                Merging::Ranked(Ranked { pairs, joined }) => {
                    Merges::ranked(symbols, from.unknown, pairs, joined.clone())
                }
                Merging::Listed => Merges::of_symbols(symbols, from.unknown, &listed(merges_name, model)?),
            }
        }
        None if characters => Merges::partial([None; 256], from.unknown, &[]),
        None => {
            let byte = |byte| model.vocab.get(&alphabet.write(&[byte as u8])).copied();
            Merges::partial(std::array::from_fn(byte), from.unknown, &listed(merges_name, model)?)
        }
    };
    let mut vocabulary = Vocabulary::default();
    bytes.iter().for_each(|token| vocabulary.push(token));
    let frame = from.frame.clone();
    if let Some(id) = frame.start.iter().chain(&frame.end).find(|id| vocabulary.token(**id).is_none()) {
        let why = format!(
            "the tokens around a text (post_processor, add_bos_token) name id {id}, which no token has"
        );
        return Err(Error::invalid(*name, why));
    }
    let (normals, roles) = (from.normals.clone(), from.roles.clone());
    let mut work = Work { steps: from.steps.clone(), whole };
    if from.sentence.is_some() && work.steps.is_empty() && work.whole.is_none() {
        work.steps.extend(at_spaces(&merges, &vocabulary).map(Step::Words));
    }
    let sentence = from.sentence.clone();
    Ok(Inner { vocabulary, merges, added, normals, sentence, work, frame, roles, raw, ..Inner::default() }
        .into())
}

/// The places before spaces where a text can be cut without changing a token: no merge makes a token with such a place,
/// and what is left out or joined on one side of it does not depend on the other.
fn at_spaces(merges: &Merges, vocabulary: &Vocabulary) -> Option<Split> {
    let apart = merges.is_complete() || matches!(merges.unknown(), Unknown::Token { fuse: false, .. });
    let (mut except, mut found) = ([b' '; 4], 0);
    for id in merges.joined() {
        for pair in vocabulary.token(*id).unwrap_or_default().windows(2) {
            if pair[1] == b' ' && !except.contains(&pair[0]) {
                *except.get_mut(found)? = pair[0];
                found += 1;
            }
        }
    }
    apart.then_some(Split::Spaces { except })
}

/// The bytes of each token.
struct Tokens {
    /// The bytes of every token, by id; empty if an id is not used.
    bytes: Vec<Vec<u8>>,
    added: Added,
    /// Tokens that no text is encoded to.
    raw: Vec<u32>,
}

fn tokens(from: &Build<'_>, read: impl Fn(&str) -> Option<Vec<u8>>) -> Result<Tokens> {
    let Build { names: [name, _], model: Model { vocab, .. }, .. } = from;
    let (mut all, mut raw) = (Vec::<Vec<u8>>::new(), Vec::new());
    let mut added = Added::default();
    added.overlap = from.overlap;
    let mut place = |text: &str, id: u32, bytes: Vec<u8>| {
        if id as usize >= MOST_TOKENS {
            let why = format!("token {text:?} has id {id}; ids must be below {MOST_TOKENS}");
            return Err(Error::invalid(*name, why));
        }
        all.resize(all.len().max(id as usize + 1), Vec::new());
        let token = &mut all[id as usize];
        match token.is_empty() && !bytes.is_empty() {
            true => *token = bytes,
            false => {
                return Err(Error::invalid(*name, format!("token {text:?} is empty or shares its id {id}")));
            }
        }
        Ok(())
    };
    let mut highest = None;
    for Token { id, content, single_word, lstrip, rstrip, normalized, special } in from.added {
        if *single_word {
            let why = format!(
                "the added token {content:?} is found in a single word only (single_word), which is not supported"
            );
            return Err(Error::invalid(*name, why));
        }
        if content.is_empty() {
            return Err(Error::invalid(*name, "an added token is empty"));
        }
        let expected = vocab.get(content).copied().unwrap_or(next_id(vocab.len(), highest));
        if expected != *id {
            let why = format!(
                "the added token {content:?} has id {id}, but tokenizers and transformers would give it {expected}, {}; \
                 add it to model.vocab with the id that the model was trained with",
                if vocab.contains_key(content) {
                    "its id in the vocabulary"
                } else {
                    "the next that is free"
                }
            );
            return Err(Error::invalid(*name, why));
        }
        highest = highest.max(Some(*id));
        let bytes = content.as_bytes();
        let spaced = from.sentence.is_some() && !special;
        place(content, *id, if spaced { spaces(bytes).into_owned() } else { bytes.to_vec() })?;
        let token = AddedToken {
            id: *id,
            text: content.as_str().into(),
            special: *special,
            normalized: *normalized,
            lstrip: *lstrip,
            rstrip: *rstrip,
        };
        if !added.insert(token) {
            return Err(Error::invalid(*name, format!("the added token {content:?} is listed twice")));
        }
    }
    let is_added: HashSet<&str> = from.added.iter().map(|token| token.content.as_str()).collect();
    for (text, id) in vocab.iter().filter(|(text, _)| !text.is_empty() && !is_added.contains(text.as_str())) {
        match read(text) {
            Some(bytes) => place(text, *id, bytes)?,
            None => {
                raw.push(*id);
                place(text, *id, text.as_bytes().to_vec())?;
            }
        }
    }
    Ok(Tokens { bytes: all, added, raw })
}

/// The id that `tokenizers` gives to an added token that is not in the vocabulary of `size` tokens.
pub fn next_id(size: usize, highest: Option<u32>) -> u32 {
    match highest {
        Some(highest) if highest as usize >= size => highest + 1,
        _ => size as u32,
    }
}

/// The merges, as ids.
fn listed(name: &str, model: &Model) -> Result<Vec<[u32; 3]>> {
    let id = |text: &str, why: &dyn Display| match model.vocab.get(text) {
        Some(id) => Ok(*id),
        None => Err(Error::invalid(name, format!("the vocabulary has no token {text:?}, {why}"))),
    };
    if model.merges.len() > MOST_MERGES {
        let why = format!("has {} merges; at most {MOST_MERGES} can be read", model.merges.len());
        return Err(Error::invalid(name, why));
    }
    let by_ids = model.merges.iter().enumerate().map(|(rank, pair)| {
        let (left, right) = match pair {
            Pair::Two(left, right) => (left.as_str(), right.as_str()),
            Pair::Joined(both) => both.split_once(' ').ok_or_else(|| {
                Error::invalid(
                    name,
                    format!("merges[{rank}] is {both:?}; two tokens and a space are expected"),
                )
            })?,
        };
        let why = format!("which merges[{rank}] needs");
        Ok([id(left, &why)?, id(right, &why)?, id(&format!("{left}{right}"), &why)?])
    });
    by_ids.collect()
}
