//! nanoGPT's vocabulary of characters (`meta.pkl`, which its `data/shakespeare_char/prepare.py` writes): every character
//! has an id, and nothing is merged.

use std::collections::HashMap;

use super::Tokenizer;
use super::added::Added;
use super::bpe::{MOST_TOKENS, Merges};
use super::presplit::Step;
use super::vocabulary::Vocabulary;
use super::words::Work;
use crate::weights::pickle::{Pickle, Value};
use crate::{Error, Result};

/// Reads `meta.pkl`; `name` stands in errors. Nothing in it is run.
pub fn read(name: &str, bytes: &[u8]) -> Result<Tokenizer> {
    let wrong = |why: String| Error::invalid(name, why);
    let pickle = Pickle::read(bytes).map_err(wrong)?;
    let ids = pickle.get(pickle.root(), "stoi").and_then(|stoi| pickle.entries(stoi));
    let ids = ids.ok_or_else(|| {
        wrong("holds no \"stoi\", which nanoGPT's meta.pkl has: the id of every character".into())
    })?;
    let mut tokens: Vec<Vec<u8>> = Vec::new();
    let mut whole = HashMap::new();
    for entry in ids {
        let (Value::Text(text), Value::Int(id)) = entry else {
            return Err(wrong("its \"stoi\" has an entry that is not a character and its id".into()));
        };
        let id = usize::try_from(*id).ok().filter(|id| *id < MOST_TOKENS);
        let (Some(id), 1) = (id, text.chars().count()) else {
            return Err(wrong(format!(
                "its \"stoi\" has {text:?}; one character and an id below {MOST_TOKENS} were expected"
            )));
        };
        tokens.resize(tokens.len().max(id + 1), Vec::new());
        if !tokens[id].is_empty() {
            return Err(wrong(format!("two characters have the id {id}")));
        }
        tokens[id] = text.as_bytes().to_vec();
        whole.insert(tokens[id].clone().into_boxed_slice(), id as u32);
    }
    let mut vocabulary = Vocabulary::default();
    tokens.iter().for_each(|token| vocabulary.push(token));
    let work = Work { steps: vec![Step::Characters], whole: Some(whole) };
    Ok(Tokenizer::new(vocabulary, Merges::default(), Added::default(), work))
}
