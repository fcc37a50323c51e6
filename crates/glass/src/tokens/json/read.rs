//! Reading: our kind is understood, another is refused by name.

use std::collections::HashMap;
use std::fmt::Display;

use serde::Deserialize;
use serde_json::Value;

use super::Token;
use crate::tokens::Tokenizer;
use crate::tokens::added::Added;
use crate::tokens::alphabet::Alphabet;
use crate::tokens::bpe::{MOST_MERGES, MOST_TOKENS, Merges};
use crate::tokens::vocabulary::Vocabulary;
use crate::tokens::words::Work;
use crate::{Error, Result};

/// What is around the model. The model itself is read once it is known to be of our kind.
#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    added_tokens: Vec<Token>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    decoder: Option<Value>,
    model: Kind,
}

#[derive(Deserialize)]
struct Kind {
    r#type: Option<String>,
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
}

#[derive(Deserialize)]
struct File {
    model: Model,
}

#[derive(Deserialize)]
pub struct Model {
    /// Ids by token, each in the byte-level alphabet.
    pub vocab: HashMap<String, u32>,
    /// In the order they were learned.
    pub merges: Vec<Pair>,
}

/// A merge: older files join its halves by a space.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Pair {
    /// As they are.
    Two(String, String),
    /// With a space between.
    Joined(String),
}

/// Reads a file; `name` stands in errors.
pub fn read(name: &str, bytes: &[u8]) -> Result<Tokenizer> {
    let broken = |error| Error::invalid(name, format!("it is no tokenizer.json that can be read: {error}"));
    let frame: Frame = serde_json::from_slice(bytes).map_err(broken)?;
    let unsplit = check(name, &frame)?;
    let File { model } = serde_json::from_slice(bytes).map_err(broken)?;
    build([name, name], &model, &frame.added_tokens, unsplit, frame.model.ignore_merges)
}

/// From a model and its added tokens. In errors the first name stands for the vocabulary, the second for the merges.
pub fn build(
    [name, merges_name]: [&str; 2],
    model: &Model,
    added: &[Token],
    unsplit: bool,
    ignore_merges: bool,
) -> Result<Tokenizer> {
    let alphabet = Alphabet::new();
    let (tokens, added) = tokens(name, &alphabet, &model.vocab, added)?;
    let merges = merges(merges_name, &alphabet, model)?;
    // Never an added token: where it is plain text, it is spelled out.
    let ordinary = model.vocab.values().filter(|id| added.iter().all(|token| token.id != **id));
    let word = |id: &u32| (tokens[*id as usize].clone().into_boxed_slice(), *id);
    let whole = ignore_merges.then(|| ordinary.map(word).collect());
    let mut vocabulary = Vocabulary::default();
    tokens.iter().for_each(|token| vocabulary.push(token));
    Ok(Tokenizer::new(vocabulary, merges, added, Work { unsplit, whole }))
}

/// Refuses by name whatever would give other ids than ours. True where the text is not split into words.
fn check(name: &str, frame: &Frame) -> Result<bool> {
    let refuse = |field: &str, found: &dyn Display| {
        let why = format!("{field} is {found}; only byte-level BPE as GPT-2 has it can be read");
        Err(Error::invalid(name, why))
    };
    let model = &frame.model;
    match model.r#type.as_deref() {
        None | Some("BPE") => {}
        Some(other) => return refuse("model.type", &other),
    }
    if let Some(chance) = model.dropout.filter(|chance| *chance != 0.0) {
        return refuse("model.dropout", &chance);
    }
    for (field, affix) in [
        ("model.continuing_subword_prefix", &model.continuing_subword_prefix),
        ("model.end_of_word_suffix", &model.end_of_word_suffix),
    ] {
        if let Some(affix) = affix.as_deref().filter(|affix| !affix.is_empty()) {
            return refuse(field, &format!("{affix:?}"));
        }
    }
    if model.byte_fallback {
        return refuse("model.byte_fallback", &true);
    }
    for (field, part, ours) in [
        ("normalizer", &frame.normalizer, None),
        ("post_processor", &frame.post_processor, Some("ByteLevel")),
        ("decoder", &frame.decoder, Some("ByteLevel")),
    ] {
        if let Some(other) = part.as_ref().map(kind).filter(|kind| Some(*kind) != ours) {
            return refuse(field, &other);
        }
    }
    let Some(splitter) = &frame.pre_tokenizer else { return refuse("pre_tokenizer", &"missing") };
    if kind(splitter) != "ByteLevel" {
        return refuse("pre_tokenizer", &kind(splitter));
    }
    let flag = |field: &str| splitter.get(field).and_then(Value::as_bool);
    if flag("add_prefix_space") != Some(false) {
        return refuse("pre_tokenizer.add_prefix_space", &"true, which puts a space before every text");
    }
    Ok(flag("use_regex") == Some(false))
}

/// The `type` of a part, by which it is named.
fn kind(part: &Value) -> &str {
    part.get("type").and_then(Value::as_str).unwrap_or("of no type")
}

/// By id, the bytes of every token (none where an id is not used); and the added tokens.
fn tokens(
    name: &str,
    alphabet: &Alphabet,
    vocab: &HashMap<String, u32>,
    list: &[Token],
) -> Result<(Vec<Vec<u8>>, Added)> {
    let (mut tokens, mut added) = (Vec::<Vec<u8>>::new(), Added::default());
    let mut place = |text: &str, id: u32, bytes: Vec<u8>| {
        if id as usize >= MOST_TOKENS {
            return Err(Error::invalid(
                name,
                format!("token {text:?} has id {id}; ids must be below {MOST_TOKENS}"),
            ));
        }
        tokens.resize(tokens.len().max(id as usize + 1), Vec::new());
        let token = &mut tokens[id as usize];
        match token.is_empty() && !bytes.is_empty() {
            true => *token = bytes,
            false => {
                return Err(Error::invalid(name, format!("token {text:?} is empty or shares its id {id}")));
            }
        }
        Ok(())
    };
    for Token { id, content, single_word, lstrip, rstrip, special, .. } in list {
        if *single_word || *lstrip || *rstrip {
            let why =
                "strips spaces or wants a single word (lstrip, rstrip, single_word), which is not supported";
            return Err(Error::invalid(name, format!("the added token {content:?} {why}")));
        }
        place(content, *id, content.as_bytes().to_vec())?;
        if vocab.get(content).is_some_and(|other| other != id) || !added.insert(*id, content, *special) {
            return Err(Error::invalid(name, format!("the added token {content:?} has two ids")));
        }
    }
    for (text, id) in vocab {
        if added.iter().any(|token| token.id == *id && *token.text == **text) {
            continue;
        }
        let no_bytes =
            || Error::invalid(name, format!("token {text:?} is not written in the byte-level alphabet"));
        place(text, *id, alphabet.read(text).ok_or_else(no_bytes)?)?;
    }
    Ok((tokens, added))
}

/// The merges, by ids; and the token of every byte.
fn merges(name: &str, alphabet: &Alphabet, model: &Model) -> Result<Merges> {
    let id = |text: &str, why: &dyn Display| match model.vocab.get(text) {
        Some(id) => Ok(*id),
        None => Err(Error::invalid(name, format!("the vocabulary has no token {text:?}, {why}"))),
    };
    let mut bytes = [0; 256];
    for (byte, token) in bytes.iter_mut().enumerate() {
        let why = format!("which stands for byte {byte}; byte-level BPE has all 256");
        *token = id(&alphabet.write(&[byte as u8]), &why)?;
    }
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
    Ok(Merges::new(bytes, &by_ids.collect::<Result<Vec<_>>>()?))
}
