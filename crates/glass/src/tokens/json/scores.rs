//! A SentencePiece vocabulary as a GGUF file stores it: a score for every token instead of merges
//! (`tokenizer.ggml.model` is `llama`). llama.cpp joins the neighbours whose joined text is the token with the highest
//! score; among equal ones, those further left. A merge therefore is every way to cut a token into two tokens, and all
//! of a token's merges have one rank.

use super::build::{Build, Merging, build};
use super::cuts::cuts;
use super::lists::{FromLists, added};
use super::model::Model;
use crate::tokens::Tokenizer;
use crate::tokens::added::Overlap;
use crate::tokens::bpe::{MOST_MERGES, Unknown};
use crate::tokens::ids::Ids;
use crate::tokens::normalize::Normal;
use crate::tokens::sentence::{Sentence, byte_of};
use crate::{Error, Result};

/// Merges by rank: left, right, rank; and the token of every rank.
pub struct Ranked {
    /// The pairs.
    pub pairs: Vec<[u32; 3]>,
    /// The token of every rank.
    pub joined: Vec<u32>,
}

/// Builds a tokenizer from lists and scores; `space` says whether a space is put before texts.
pub fn from_scores(name: &str, from: &FromLists<'_>, scores: &[f64], space: bool) -> Result<Tokenizer> {
    let vocab = from.ids();
    let ranked = ranked(&vocab, scores);
    if ranked.pairs.len() > MOST_MERGES {
        let why = format!(
            "its tokens can be joined from {} pairs; at most {MOST_MERGES} can be read",
            ranked.pairs.len()
        );
        return Err(Error::invalid(name, why));
    }
    let model = Model { vocab, merges: Vec::new() };
    let normals = if space { vec![Normal::Prepend, Normal::Spaces] } else { vec![Normal::Spaces] };
    build(&Build {
        names: [name, name],
        model: &model,
        merging: Merging::Ranked(&ranked),
        added: &added(from),
        overlap: Overlap::Longest,
        normals,
        steps: Vec::new(),
        frame: from.frame.clone(),
        unknown: Unknown::Gap,
        roles: from.roles.clone(),
        sentence: Some(Sentence::of_gguf(space)),
        ..Build::default()
    })
}

/// Every way to cut every token into two tokens.
fn ranked(vocab: &Ids<'_>, scores: &[f64]) -> Ranked {
    let score = |id: u32| scores.get(id as usize).copied().unwrap_or_default();
    // Every space of a text is written as another character.
    let mut tokens: Vec<(&str, u32)> = vocab.iter().filter(|(text, _)| !text.contains(' ')).collect();
    // Most of them are in this order already, which a stable sort makes use of.
    tokens.sort_by(|(_, a), (_, b)| score(*b).total_cmp(&score(*a)).then(a.cmp(b)));
    // A byte's token stands for the byte, not for how it is written.
    let mut pairs = cuts(&tokens, |text| byte_of(text).is_none());
    let mut joined = Vec::new();
    for pair in &mut pairs {
        if joined.last() != Some(&pair[2]) {
            joined.push(pair[2]);
        }
        pair[2] = joined.len() as u32 - 1;
    }
    Ranked { pairs, joined }
}

/// The scores of a vocabulary with these merges: left, right, joined, in their order. `None` if they cannot be said by
/// scores: a token must be made by every two tokens that it can be cut into, one after another.
pub fn scores(tokens: &[Option<String>], merges: &[[u32; 3]]) -> Option<Vec<f32>> {
    let vocab: Ids<'_> =
        tokens.iter().zip(0u32..).filter_map(|(text, id)| Some((text.as_deref()?, id))).collect();
    let mut scores = vec![0.0; tokens.len()];
    let mut seen = vec![false; tokens.len()];
    let mut rank = 0;
    for same in merges.chunk_by(|a, b| a[2] == b[2]) {
        let id = same[0][2] as usize;
        if std::mem::replace(&mut seen[id], true) {
            return None;
        }
        rank += 1;
        scores[id] = -(rank as f32);
    }
    let expected = ranked(&vocab, &[]);
    let mut ways = vec![0usize; tokens.len()];
    expected.pairs.iter().for_each(|pair| ways[expected.joined[pair[2] as usize] as usize] += 1);
    let all = merges
        .chunk_by(|a, b| a[2] == b[2])
        .all(|same| std::mem::take(&mut ways[same[0][2] as usize]) == same.len());
    // No token may be joined that no merge makes, and ranks must be exact as f32.
    (all && ways.iter().all(|ways| *ways == 0) && rank < 1 << 24).then_some(())?;
    for (id, score) in scores.iter_mut().enumerate().filter(|(id, _)| !seen[*id]) {
        if tokens[id].as_deref().is_some_and(|text| byte_of(text).is_none()) {
            *score = -(rank as f32) - 1.0 - id as f32;
        }
    }
    Some(scores)
}
