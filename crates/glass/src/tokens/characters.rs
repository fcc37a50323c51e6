//! A vocabulary of characters, as nanoGPT writes it: every character has an id, and nothing is merged.

use std::collections::HashMap;

use super::Tokenizer;
use super::added::Added;
use super::bpe::{MOST_TOKENS, Merges};
use super::presplit::Step;
use super::vocabulary::Vocabulary;
use super::words::Work;
use crate::{Error, Result};

impl Tokenizer {
    /// Builds a tokenizer from characters and their ids; `name` is used in error messages.
    pub(crate) fn from_characters<'a>(
        name: &str,
        characters: impl Iterator<Item = (&'a str, i64)>,
    ) -> Result<Tokenizer> {
        let wrong = |why: String| Error::invalid(name, why);
        let mut tokens: Vec<Vec<u8>> = Vec::new();
        let mut whole = HashMap::new();
        for (text, id) in characters {
            let id = usize::try_from(id).ok().filter(|id| *id < MOST_TOKENS);
            let (Some(id), 1) = (id, text.chars().count()) else {
                let why = format!("has {text:?}; one character and an id below {MOST_TOKENS} were expected");
                return Err(wrong(why));
            };
            tokens.resize(tokens.len().max(id + 1), Vec::new());
            if !tokens[id].is_empty() {
                return Err(wrong(format!("has two characters with the id {id}")));
            }
            tokens[id] = text.as_bytes().to_vec();
            whole.insert(tokens[id].clone().into_boxed_slice(), id as u32);
        }
        let mut vocabulary = Vocabulary::default();
        tokens.iter().for_each(|token| vocabulary.push(token));
        let work = Work { steps: vec![Step::Characters], whole: Some(whole) };
        Ok(Tokenizer::new(vocabulary, Merges::default(), Added::default(), work))
    }
}
