//! tiktoken's rank files (`r50k_base.tiktoken`): one line for every token, with its bytes in base64 and its rank,
//! which is also its id (<https://github.com/openai/tiktoken>, `load.py`).
//!
//! tiktoken joins the neighbours whose joined bytes have the lowest rank. To find the pair that makes a token, its
//! bytes are merged by all lower ranks, which leaves exactly two tokens (`recover_merges` in
//! <https://github.com/karpathy/minbpe>). No other pair of neighbours ever has those bytes: by the time two tokens
//! with these bytes are adjacent, every lower rank within them has been merged, and that leaves the same two.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::added::Added;
use super::bpe::{MOST_TOKENS, Merges};
use super::split::Split;
use super::vocabulary::Vocabulary;
use super::words::Work;
use super::{END_OF_TEXT, Tokenizer};
use crate::{Error, Result};

/// The longest token, in bytes: the work to find a pair grows with the square of its length.
const LONGEST: usize = 512;
/// No rank: the two neighbours do not join to a token.
const NONE: u32 = u32::MAX;

/// Ranks by the tokens' bytes.
type Ranks = HashMap<Box<[u8]>, u32>;

/// Reads a file; `name` is used in error messages. Words are split as GPT-2 splits them, since the file does not
/// say how, and `<|endoftext|>`, which the file does not hold, gets the first free id: 50256 in r50k_base and in
/// p50k_base.
///
/// # Errors
/// If a line is malformed, a byte is missing, or a token is one that GPT-2's pre-split never makes (cl100k_base,
/// o200k_base).
pub fn read(name: &str, text: &[u8]) -> Result<Tokenizer> {
    let wrong = |why: String| Error::invalid(name, why);
    let mut ranks = Ranks::new();
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let (token, rank) = parse(line).ok_or_else(|| {
            wrong(format!("line {number} is not a token in base64 and its rank, as tiktoken writes them"))
        })?;
        if rank as usize >= MOST_TOKENS || token.is_empty() || token.len() > LONGEST {
            let why = format!("line {number} has rank {rank} and {} bytes", token.len());
            return Err(wrong(format!(
                "{why}; ranks are below {MOST_TOKENS}, and tokens of 1 to {LONGEST} bytes"
            )));
        }
        if ranks.insert(token.into(), rank).is_some() {
            return Err(wrong(format!("line {number} repeats a token")));
        }
    }
    let tokens = by_rank(&ranks).map_err(wrong)?;
    other_split(&tokens).map_err(wrong)?;
    build(&ranks, &tokens).map_err(wrong)
}

fn parse(line: &[u8]) -> Option<(Vec<u8>, u32)> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let rank = std::str::from_utf8(&line[space + 1..]).ok()?.trim().parse().ok()?;
    Some((BASE64_STANDARD.decode(&line[..space]).ok()?, rank))
}

/// The tokens by rank; empty if a rank has no token.
fn by_rank(ranks: &Ranks) -> std::result::Result<Vec<&[u8]>, String> {
    let size = ranks.values().max().map_or(0, |rank| *rank as usize + 1);
    let mut tokens: Vec<&[u8]> = vec![&[]; size];
    for (token, rank) in ranks {
        let place = &mut tokens[*rank as usize];
        if !place.is_empty() {
            return Err(format!("two tokens have the rank {rank}"));
        }
        *place = token;
    }
    Ok(tokens)
}

/// Refuses tokens that GPT-2's pre-split would cut: they were learned with another pre-split, which the file does
/// not describe. Tokens that are parts of characters are not checked.
fn other_split(tokens: &[&[u8]]) -> std::result::Result<(), String> {
    let texts =
        tokens.iter().filter_map(|token| std::str::from_utf8(token).ok()).filter(|text| !text.is_empty());
    match texts.into_iter().find(|text| Split::Gpt2.first_end(text.as_bytes()) < text.len()) {
        None => Ok(()),
        Some(text) => Err(format!(
            "token {text:?} is never one word of GPT-2's splitting; vocabularies with another pre-split (cl100k_base, o200k_base) \
             cannot be read"
        )),
    }
}

fn build(ranks: &Ranks, tokens: &[&[u8]]) -> std::result::Result<Tokenizer, String> {
    let mut bytes = [0; 256];
    for (byte, token) in (0..=255u8).zip(&mut bytes) {
        *token = *ranks.get(&[byte][..]).ok_or(format!("byte {byte} has no rank; all 256 are expected"))?;
    }
    let (mut merges, mut unreachable) = (Vec::with_capacity(tokens.len()), false);
    for (token, rank) in tokens.iter().zip(0..).filter(|(token, _)| token.len() > 1) {
        match halves(ranks, token, rank) {
            Some((left, right)) => merges.push([left, right, rank]),
            None => unreachable = true,
        }
    }
    // tiktoken looks up a whole word before merging; that matters only if no merge leads to it.
    let whole = unreachable.then(|| ranks.iter().map(|(token, rank)| (token.clone(), *rank)).collect());
    let mut all = tokens.to_vec();
    let free = tokens.iter().position(|token| token.is_empty()).unwrap_or(tokens.len());
    all.resize(tokens.len().max(free + 1), &[]);
    all[free] = END_OF_TEXT.as_bytes();
    let mut vocabulary = Vocabulary::default();
    all.iter().for_each(|token| vocabulary.push(token));
    let mut added = Added::default();
    added.insert_special(free as u32, END_OF_TEXT);
    let work = Work { whole, ..Work::default() };
    Ok(Tokenizer::new(vocabulary, Merges::new(bytes, &merges), added, work))
}

/// The ranks of the two tokens that a token is joined from; `None` if the lower ranks leave more than two.
fn halves(ranks: &Ranks, token: &[u8], rank: u32) -> Option<(u32, u32)> {
    // Where the pieces begin, and the end; and for every piece the rank of joining it with its right neighbour.
    let mut cuts: Vec<usize> = (0..=token.len()).collect();
    let joined = |cuts: &[usize], at: usize| match cuts.get(at + 2) {
        Some(end) => {
            ranks.get(&token[cuts[at]..*end]).copied().filter(|joined| *joined < rank).unwrap_or(NONE)
        }
        None => NONE,
    };
    let mut lower: Vec<u32> = (0..token.len()).map(|at| joined(&cuts, at)).collect();
    while cuts.len() > 3 {
        let (at, _) =
            lower.iter().enumerate().filter(|(_, rank)| **rank != NONE).min_by_key(|(_, rank)| **rank)?;
        cuts.remove(at + 1);
        lower.remove(at + 1);
        lower[at] = joined(&cuts, at);
        if at > 0 {
            lower[at - 1] = joined(&cuts, at - 1);
        }
    }
    let piece = |range: std::ops::Range<usize>| ranks.get(&token[range]).copied();
    Some((piece(cuts[0]..cuts[1])?, piece(cuts[1]..cuts[2])?))
}
