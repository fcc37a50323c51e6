//! Builds a tokenizer from a vocabulary, its merges and its added tokens.

use super::Token;
use super::model::{Model, Pair};
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

/// Everything a tokenizer is built from.
pub struct Build<'a> {
    /// The names of the vocabulary and of the merges in error messages.
    pub names: [&'a str; 2],
    /// The vocabulary and its merges.
    pub model: &'a Model<'a>,
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
        static EMPTY: std::sync::LazyLock<Model<'static>> = std::sync::LazyLock::new(Model::default);
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
    let Tokens { vocabulary, added, raw } = tokens(from, |text, bytes| match &from.sentence {
        Some(sentence) => match byte_of(text).filter(|_| sentence.byte_fallback) {
            Some(byte) => {
                bytes.push(byte);
                true
            }
            // Every space of a text is written as another character.
            None if text.contains(' ') => false,
            None => {
                bytes.extend_from_slice(&spaces(text.as_bytes()));
                true
            }
        },
        None if characters => {
            bytes.extend_from_slice(text.as_bytes());
            true
        }
        None => alphabet.read(text, bytes),
    })?;
    let whole = (from.ignore_merges || characters).then(|| {
        // Never an added token: in plain text its characters are encoded one by one. A byte's token is made by merging.
        let falls_back = from.sentence.as_ref().is_some_and(|sentence| sentence.byte_fallback);
        let is_byte = |text: &str| falls_back && byte_of(text).is_some();
        let one = |id: u32| added.special(id).is_none() && raw.binary_search(&id).is_err();
        let ids = model.vocab.iter().filter(|(text, id)| one(*id) && !is_byte(text));
        ids.filter_map(|(_, id)| Some((vocabulary.token(id)?.into(), id))).collect()
    });
    let merges = match &from.sentence {
        Some(sentence) => {
            let symbols = Symbols::new(model.vocab.iter(), sentence.byte_fallback);
            match from.merging {
                Merging::Ranked(Ranked { pairs, joined }) => {
                    Merges::ranked(symbols, from.unknown, pairs, joined.clone())
                }
                Merging::Listed => Merges::of_symbols(symbols, from.unknown, &listed(merges_name, model)?),
            }
        }
        None if characters => Merges::partial([None; 256], from.unknown, &[]),
        None => {
            let byte = |byte| model.vocab.get(&alphabet.write(&[byte as u8]));
            Merges::partial(std::array::from_fn(byte), from.unknown, &listed(merges_name, model)?)
        }
    };
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

struct Tokens {
    vocabulary: Vocabulary,
    added: Added,
    /// Tokens that no text is encoded to, in ascending order.
    raw: Vec<u32>,
}

/// `read` appends the bytes of a token, or says that it has none.
fn tokens(from: &Build<'_>, read: impl Fn(&str, &mut Vec<u8>) -> bool) -> Result<Tokens> {
    let Build { names: [name, _], model: Model { vocab, .. }, .. } = from;
    let mut added = Added::default();
    added.overlap = from.overlap;
    // What has an id: the number of an added token or, after those, of one of the vocabulary; plus one.
    let mut places = Vec::<u32>::with_capacity(vocab.len());
    let mut place = |text: &str, id: u32, number: usize| {
        if id as usize >= MOST_TOKENS {
            let why = format!("token {text:?} has id {id}; ids must be below {MOST_TOKENS}");
            return Err(Error::invalid(*name, why));
        }
        places.resize(places.len().max(id as usize + 1), 0);
        let place = &mut places[id as usize];
        let other = (*place as usize).checked_sub(1);
        let is_added = |other: usize| from.added.get(other).is_some_and(|token| token.content == text);
        match other {
            None => *place = number as u32 + 1,
            Some(other) if number >= from.added.len() && is_added(other) => {}
            Some(_) => {
                return Err(Error::invalid(*name, format!("token {text:?} is empty or shares its id {id}")));
            }
        }
        Ok(())
    };
    let mut highest = None;
    for (number, token) in from.added.iter().enumerate() {
        let Token { id, content, single_word, lstrip, rstrip, normalized, special } = token;
        if *single_word {
            let why = format!(
                "the added token {content:?} is found in a single word only (single_word), which is not supported"
            );
            return Err(Error::invalid(*name, why));
        }
        if content.is_empty() {
            return Err(Error::invalid(*name, "an added token is empty"));
        }
        let known = vocab.get(content);
        let expected = known.unwrap_or(next_id(vocab.len(), highest));
        if expected != *id {
            let why = format!(
                "the added token {content:?} has id {id}, but tokenizers and transformers would give it {expected}, {}; \
                 add it to model.vocab with the id that the model was trained with",
                if known.is_some() { "its id in the vocabulary" } else { "the next that is free" }
            );
            return Err(Error::invalid(*name, why));
        }
        highest = highest.max(Some(*id));
        place(content, *id, number)?;
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
    for (number, (text, id)) in
        (from.added.len()..).zip(vocab.iter()).filter(|(_, (text, _))| !text.is_empty())
    {
        place(text, id, number)?;
    }
    let (mut vocabulary, mut raw) = (Vocabulary::default(), Vec::new());
    for (place, id) in places.into_iter().zip(0..) {
        let Some(number) = (place as usize).checked_sub(1) else {
            vocabulary.push(&[]);
            continue;
        };
        if let Some(token) = from.added.get(number) {
            let (text, spaced) = (token.content.as_bytes(), from.sentence.is_some() && !token.special);
            vocabulary.push(&if spaced { spaces(text) } else { text.into() });
            continue;
        }
        let (text, _) = vocab.at(number - from.added.len()).unwrap_or_default();
        let is_read = vocabulary.push_with(|bytes| {
            let is_read = read(text, bytes);
            if !is_read {
                bytes.extend_from_slice(text.as_bytes());
            }
            is_read
        });
        if !is_read {
            raw.push(id);
        }
    }
    Ok(Tokens { vocabulary, added, raw })
}

/// The id that `tokenizers` gives to an added token that is not in the vocabulary of `size` tokens.
pub fn next_id(size: usize, highest: Option<u32>) -> u32 {
    match highest {
        Some(highest) if highest as usize >= size => highest + 1,
        _ => size as u32,
    }
}

/// The merges, as ids.
fn listed(name: &str, Model { vocab, merges }: &Model<'_>) -> Result<Vec<[u32; 3]>> {
    if merges.len() > MOST_MERGES {
        let why = format!("has {} merges; at most {MOST_MERGES} can be read", merges.len());
        return Err(Error::invalid(name, why));
    }
    let place = |text: &str, rank: usize| {
        vocab.place(text).ok_or_else(|| {
            let why = format!("the vocabulary has no token {text:?}, which merges[{rank}] needs");
            Error::invalid(name, why)
        })
    };
    let id = |place: usize| vocab.at(place).map_or(0, |(_, id)| id);
    let (mut next, mut whole) = (0, String::new());
    let by_ids = merges.iter().enumerate().map(|(rank, pair)| {
        let (left, right) = match pair {
            Pair::Two(left, right) => (&**left, &**right),
            Pair::Joined(both) => both.split_once(' ').ok_or_else(|| {
                Error::invalid(
                    name,
                    format!("merges[{rank}] is {both:?}; two tokens and a space are expected"),
                )
            })?,
        };
        let halves = [id(place(left, rank)?), id(place(right, rank)?)];
        // Most merges make the token that follows the one that the merge before made.
        let joined = match vocab.at(next) {
            Some((text, _)) if text.strip_prefix(left) == Some(right) => next,
            _ => {
                whole.clear();
                whole.extend([left, right]);
                place(&whole, rank)?
            }
        };
        next = joined + 1;
        Ok([halves[0], halves[1], id(joined)])
    });
    by_ids.collect()
}
