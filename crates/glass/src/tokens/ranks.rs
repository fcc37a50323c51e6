//! tiktoken's rank files (`r50k_base.tiktoken`): one line for every token, with its bytes in base64 and its rank,
//! which is also its id (<https://github.com/openai/tiktoken>, `load.py`).
//!
//! tiktoken joins the neighbours whose joined bytes have the lowest rank. To find the pair that makes a token, its
//! bytes are merged by all lower ranks, which leaves exactly two tokens (`recover_merges` in
//! <https://github.com/karpathy/minbpe>). No other pair of neighbours ever has those bytes: by the time two tokens
//! with these bytes are adjacent, every lower rank within them has been merged, and that leaves the same two.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::added::Added;
use super::bpe::{MOST_TOKENS, Merges};
use super::presplit::Step;
use super::split::Split;
use super::vocabulary::Vocabulary;
use super::words::Work;
use super::{END_OF_TEXT, Tokenizer};
use crate::{Error, Result};

/// The longest token, in bytes: the work to find a pair grows with the square of its length.
const LONGEST: usize = 512;
/// No rank: the two neighbours do not join to a token.
const NONE: u32 = u32::MAX;

/// What a rank file does not say, and its name does.
struct Named {
    /// The name of the file, without its ending; empty for all other names.
    name: &'static str,
    split: Split,
    /// Special tokens and their ids; without an id, the first that is free.
    special: &'static [(&'static str, Option<u32>)],
}

/// The vocabularies of OpenAI (`tiktoken_ext/openai_public.py`); the last row is for every other name.
const NAMED: [Named; 3] = [
    Named {
        name: "cl100k_base",
        split: Split::Gpt4 { digits: 3, tail: true },
        special: &[
            (END_OF_TEXT, Some(100_257)),
            ("<|fim_prefix|>", Some(100_258)),
            ("<|fim_middle|>", Some(100_259)),
            ("<|fim_suffix|>", Some(100_260)),
            ("<|endofprompt|>", Some(100_276)),
        ],
    },
    Named {
        name: "o200k_base",
        split: Split::O200k { digits: 3, endings: true },
        special: &[(END_OF_TEXT, Some(199_999)), ("<|endofprompt|>", Some(200_018))],
    },
    Named { name: "", split: Split::Gpt2, special: &[(END_OF_TEXT, None)] },
];

/// Ranks by the tokens' bytes.
type Ranks = HashMap<Box<[u8]>, u32>;

/// Reads a file; `name` is used in error messages. The file does not say how words are split, and does not hold special
/// tokens: of cl100k_base and o200k_base both are known by the file's name. Words of all others are split as GPT-2 splits
/// them, and `<|endoftext|>` gets the first free id: 50256 in r50k_base and in p50k_base.
///
/// # Errors
/// If a line is malformed, a byte is missing, or a token is one that GPT-2's split never makes. (o200k_base itself has such
/// tokens of its split, ` I'` for one.)
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
    let stem = Path::new(name).file_stem().unwrap_or_default();
    let [.., other] = &NAMED;
    let named = NAMED.iter().find(|named| stem == named.name).unwrap_or(other);
    if named.name.is_empty() {
        other_split(&tokens).map_err(wrong)?;
    }
    build(&ranks, &tokens, named).map_err(wrong)
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

/// Refuses tokens that GPT-2's pre-split would cut: they were learned with another pre-split, which the file does not
/// describe. Tokens that are parts of characters are not checked.
fn other_split(tokens: &[&[u8]]) -> std::result::Result<(), String> {
    let texts =
        tokens.iter().filter_map(|token| std::str::from_utf8(token).ok()).filter(|text| !text.is_empty());
    match texts.into_iter().find(|text| Split::Gpt2.first_end(text.as_bytes()) < text.len()) {
        None => Ok(()),
        Some(text) => Err(format!(
            "token {text:?} is never one word of GPT-2's splitting; another pre-split is known only of files named \
             cl100k_base.tiktoken and o200k_base.tiktoken"
        )),
    }
}

fn build(ranks: &Ranks, tokens: &[&[u8]], named: &Named) -> std::result::Result<Tokenizer, String> {
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
    let free = tokens.iter().position(|token| token.is_empty()).unwrap_or(tokens.len());
    let (mut all, mut added) = (tokens.to_vec(), Added::default());
    for (text, id) in named.special {
        let id = id.map_or(free, |id| id as usize);
        all.resize(all.len().max(id + 1), &[]);
        if !all[id].is_empty() {
            return Err(format!("rank {id} is that of {text} in {}", named.name));
        }
        all[id] = text.as_bytes();
        added.insert_special(id as u32, text);
    }
    let mut vocabulary = Vocabulary::default();
    all.iter().for_each(|token| vocabulary.push(token));
    let work = Work { whole, steps: vec![Step::Words(named.split)] };
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
