//! Added tokens: texts that are one token wherever they occur. They are found before the text is split.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::Special;
use super::normalize::{Normal, normalize};
use super::search::{Search, is_joint};
use super::sentence::Sentence;

/// One added token.
#[derive(Clone, Default)]
pub struct AddedToken {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub text: Box<str>,
    /// A special token counts only where the caller allows it; any other always does.
    pub special: bool,
    /// It is searched for in the normalised text, after all tokens that are not normalised.
    pub normalized: bool,
    /// White space before it belongs to it.
    pub lstrip: bool,
    /// White space after it belongs to it.
    pub rstrip: bool,
}

/// Which of two overlapping tokens is found in a text.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Overlap {
    /// As in `tokenizers`: tokens that are not normalised come first; among them the one that begins first, and of
    /// those that begin at the same place the longest.
    #[default]
    First,
    /// As in llama.cpp: the longest, wherever it begins.
    Longest,
}

/// All added tokens of a vocabulary.
#[derive(Clone, Default)]
pub struct Added {
    tokens: Vec<AddedToken>,
    /// Their texts.
    texts: HashSet<Box<str>>,
    /// Their ids, and whether they are special.
    ids: HashMap<u32, bool>,
    /// Which of two overlapping tokens is found.
    pub overlap: Overlap,
    /// What is searched for: with or without special tokens, in texts that are normalised or not.
    searches: [OnceLock<Arc<Rounds>>; 4],
}

/// The rounds of the search, one after another.
struct Rounds {
    /// In the text as it is.
    raw: Vec<Search>,
    /// In the normalised text.
    normalized: Search,
}

/// What comes before a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Before {
    /// Nothing: it is the beginning.
    Nothing,
    /// An added token.
    Token,
    /// Other text, which this one continues.
    Text,
}

/// A stretch of text between added tokens, or one of them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Piece<'t> {
    /// Ordinary text, never empty.
    Text(&'t [u8]),
    /// An added token.
    Token(u32),
}

impl Added {
    /// Adds a special token. Returns false and changes nothing if the text already exists.
    pub fn insert_special(&mut self, id: u32, text: &str) -> bool {
        self.insert(AddedToken { id, text: text.into(), special: true, ..AddedToken::default() })
    }

    /// Adds a token. Returns false and changes nothing if the text already exists.
    pub fn insert(&mut self, token: AddedToken) -> bool {
        if !self.texts.insert(token.text.clone()) {
            return false;
        }
        self.ids.insert(token.id, token.special);
        self.searches = Default::default();
        self.tokens.push(token);
        true
    }

    /// Whether an id is an added token's, and if so, whether that is special.
    pub fn special(&self, id: u32) -> Option<bool> {
        self.ids.get(&id).copied()
    }

    /// Every added token, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &AddedToken> {
        self.tokens.iter()
    }

    /// Cuts a text at its added tokens. For a vocabulary that normalises texts, see [`Added::each_piece`].
    pub fn pieces<'t>(&self, text: &'t [u8], special: Special) -> std::vec::IntoIter<Piece<'t>> {
        let mut pieces = if text.is_empty() { Vec::new() } else { vec![Piece::Text(text)] };
        for search in &self.rounds(special, None).raw {
            pieces = cut(&pieces, search);
        }
        pieces.into_iter()
    }

    /// Calls `each` with every piece of a text; `normals` are applied between the rounds of the search, and what
    /// `sentence` does to spaces after it. `before` says what comes before the text.
    pub fn each_piece(
        &self,
        text: &[u8],
        special: Special,
        normals: &[Normal],
        sentence: Option<&Sentence>,
        mut before: Before,
        each: &mut dyn FnMut(Piece<'_>),
    ) {
        if normals.is_empty() && sentence.is_none() {
            return self.pieces(text, special).for_each(each);
        }
        let rounds = self.rounds(special, Some(normals));
        let mut pieces = vec![Piece::Text(text)];
        for search in &rounds.raw {
            pieces = cut(&pieces, search);
        }
        for piece in pieces {
            let Piece::Text(text) = piece else {
                each(piece);
                before = Before::Token;
                continue;
            };
            let no_space: Vec<Normal>;
            let normals = match before {
                Before::Text => {
                    no_space = normals.iter().copied().filter(|normal| *normal != Normal::Prepend).collect();
                    &no_space
                }
                _ => normals,
            };
            let text = normalize(normals, text);
            for piece in cut(&[Piece::Text(&text)], &rounds.normalized) {
                match (piece, sentence) {
                    (Piece::Text(text), Some(sentence)) => {
                        each(Piece::Text(&sentence.stretch(text, before)));
                    }
                    _ => each(piece),
                }
                before = Before::Token;
            }
        }
    }

    /// The rounds for texts that are normalised by these `normals`, or that are not.
    fn rounds(&self, special: Special, normals: Option<&[Normal]>) -> &Rounds {
        let kind = usize::from(special == Special::Allowed) * 2 + usize::from(normals.is_some());
        self.searches[kind].get_or_init(|| {
            let counts = |token: &&AddedToken| !token.special || special == Special::Allowed;
            let mut counting: Vec<&AddedToken> = self.tokens.iter().filter(counts).collect();
            counting.sort_by_key(|token| Reverse(token.text.len()));
            let (normalized, raw): (Vec<_>, Vec<_>) = counting.iter().partition(|token| token.normalized);
            Arc::new(match normals {
                Some(normals) => {
                    Rounds { raw: self.turns(raw), normalized: Search::new(&normalized, normals) }
                }
                None => {
                    let raw = match self.overlap {
                        Overlap::First => [raw, normalized].map(|tokens| self.turns(tokens)).concat(),
                        Overlap::Longest => self.turns(counting),
                    };
                    Rounds { raw, normalized: Search::default() }
                }
            })
        })
    }

    /// Groups tokens, longest first, into those that are searched for together.
    fn turns(&self, tokens: Vec<&AddedToken>) -> Vec<Search> {
        match self.overlap {
            _ if tokens.is_empty() => Vec::new(),
            // If one round finds the same tokens, one is enough.
            Overlap::Longest if !is_joint(&tokens) => {
                tokens.iter().map(|token| Search::new(&[*token], &[])).collect()
            }
            _ => vec![Search::new(&tokens, &[])],
        }
    }
}

/// Cuts the texts among some pieces.
fn cut<'t>(pieces: &[Piece<'t>], search: &Search) -> Vec<Piece<'t>> {
    let mut all = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match *piece {
            Piece::Token(_) => all.push(*piece),
            Piece::Text(text) => search.cut(text, &mut all),
        }
    }
    all
}
