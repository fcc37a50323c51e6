//! Searches a text for added tokens: the one that begins first, and of those that begin at the same place the longest.

use std::collections::{HashMap, HashSet};

use super::added::{AddedToken, Piece};
use super::normalize::{Normal, normalize};
use super::split::{self, Class};

/// The tokens of one round of the search.
#[derive(Clone, Default)]
pub struct Search {
    /// Each token with the bytes to search for.
    tokens: Vec<(Wanted, Vec<u8>)>,
    /// The tokens by their first byte.
    begins: Vec<Bucket>,
}

/// What is known of a token.
#[derive(Clone, Copy)]
struct Wanted {
    id: u32,
    lstrip: bool,
    rstrip: bool,
}

/// The tokens that begin with one byte.
#[derive(Clone, Default)]
struct Bucket {
    /// Longest first.
    tokens: Vec<usize>,
    /// The same where there are many.
    many: Option<Many>,
}

/// Many tokens that begin with one byte.
#[derive(Clone)]
struct Many {
    /// Longest first.
    lengths: Vec<usize>,
    by_text: HashMap<Vec<u8>, usize>,
}

/// So many tokens are compared one by one.
const FEW: usize = 48;

impl Search {
    /// Prepares to search for some tokens, normalised by `normals`.
    pub fn new(tokens: &[&AddedToken], normals: &[Normal]) -> Search {
        let look = |token: &&AddedToken| {
            let AddedToken { id, lstrip, rstrip, .. } = **token;
            (Wanted { id, lstrip, rstrip }, normalize(normals, token.text.as_bytes()).into_owned())
        };
        let mut tokens: Vec<_> = tokens.iter().map(look).filter(|(_, text)| !text.is_empty()).collect();
        tokens.sort_by_key(|(_, text)| std::cmp::Reverse(text.len()));
        if tokens.is_empty() {
            return Search::default();
        }
        let mut begins = vec![Bucket::default(); 256];
        tokens.iter().enumerate().for_each(|(at, (_, text))| begins[text[0] as usize].tokens.push(at));
        for bucket in begins.iter_mut().filter(|bucket| bucket.tokens.len() > FEW) {
            let mut lengths: Vec<usize> = bucket.tokens.iter().map(|at| tokens[*at].1.len()).collect();
            lengths.dedup();
            let mut by_text = HashMap::new();
            for at in &bucket.tokens {
                by_text.entry(tokens[*at].1.clone()).or_insert(*at);
            }
            bucket.many = Some(Many { lengths, by_text });
        }
        Search { tokens, begins }
    }

    /// The first token in a text from `from` on, and where it begins and ends.
    fn next(&self, text: &[u8], from: usize) -> Option<(Wanted, usize, usize)> {
        (from..text.len()).find_map(|at| {
            let bucket = &self.begins[text[at] as usize];
            let found = match &bucket.many {
                None => {
                    *bucket.tokens.iter().find(|token| text[at..].starts_with(&self.tokens[**token].1))?
                }
                Some(Many { lengths, by_text }) => {
                    *lengths.iter().find_map(|length| by_text.get(text.get(at..at + length)?))?
                }
            };
            Some((self.tokens[found].0, at, at + self.tokens[found].1.len()))
        })
    }

    /// Cuts a text at the tokens in it.
    pub fn cut<'t>(&self, text: &'t [u8], pieces: &mut Vec<Piece<'t>>) {
        let (mut done, mut from) = (0, 0);
        while !self.tokens.is_empty()
            && let Some((token, mut start, mut end)) = self.next(text, from)
        {
            from = end;
            if token.lstrip {
                start = done.max(end_of_text_before_space(&text[..start]));
            }
            if token.rstrip {
                end += space(&text[end..]);
            }
            if done < start {
                pieces.push(Piece::Text(&text[done..start]));
            }
            pieces.push(Piece::Token(token.id));
            done = end;
            from = from.max(done);
        }
        if done < text.len() {
            pieces.push(Piece::Text(&text[done..]));
        }
    }
}

/// The length of the white space at the beginning of a text.
fn space(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len()
        && let (Class::Space, bytes) = split::class_at(text, at)
    {
        at += bytes;
    }
    at
}

/// Where the white space at the end of a text begins.
fn end_of_text_before_space(text: &[u8]) -> usize {
    let mut end = text.len();
    while let Some(at) = (end.saturating_sub(4)..end).rev().find(|at| text[*at] & 0xC0 != 0x80)
        && split::class_at(&text[..end], at) == (Class::Space, end - at)
    {
        end = at;
    }
    end
}

/// Whether one search finds the same tokens as a search for each, longest first. It does not where a longer token begins
/// within a shorter one that begins before it, unless one that is as long begins there too.
pub fn is_joint(tokens: &[&AddedToken]) -> bool {
    let texts: HashSet<&[u8]> = tokens.iter().map(|token| token.text.as_bytes()).collect();
    let mut prefixes = HashMap::<&[u8], Vec<&[u8]>>::new();
    for text in &texts {
        (1..text.len()).for_each(|length| prefixes.entry(&text[..length]).or_default().push(text));
    }
    texts.iter().all(|first| {
        (1..first.len()).all(|at| {
            let later = prefixes.get(&first[at..]).map(Vec::as_slice).unwrap_or_default();
            later.iter().filter(|later| later.len() >= first.len() && *later != first).all(|later| {
                let both = [&first[..at], later].concat();
                (later.len()..=both.len()).any(|length| texts.contains(&both[..length]))
            })
        })
    })
}
