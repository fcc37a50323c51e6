//! Added tokens: texts that are one token wherever they occur. They are found before the text is split.

use super::Special;
use super::normalize::{Normal, normalize};
use super::sentence::Sentence;
use super::split::{self, Class};

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
    /// Longest first.
    tokens: Vec<AddedToken>,
    /// Which of two overlapping tokens is found.
    pub overlap: Overlap,
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
        if self.tokens.iter().any(|other| other.text == token.text) {
            return false;
        }
        let place = self.tokens.partition_point(|other| other.text.len() >= token.text.len());
        self.tokens.insert(place, token);
        true
    }

    /// Every added token, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &AddedToken> {
        self.tokens.iter()
    }

    /// Cuts a text at its added tokens. For a vocabulary that normalises texts, see [`Added::each_piece`].
    pub fn pieces<'t>(&self, text: &'t [u8], special: Special) -> std::vec::IntoIter<Piece<'t>> {
        let mut pieces = if text.is_empty() { Vec::new() } else { vec![Piece::Text(text)] };
        let tokens = self.counting(special);
        for tokens in self.turns(&tokens) {
            pieces = cut(&pieces, &Search::new(tokens, &[]));
        }
        pieces.into_iter()
    }

    /// Calls `each` with every piece of a text; `normals` are applied between the rounds of the search, and what
    /// `sentence` does to spaces after it.
    pub fn each_piece(
        &self,
        text: &[u8],
        special: Special,
        normals: &[Normal],
        sentence: Option<&Sentence>,
        each: &mut dyn FnMut(Piece<'_>),
    ) {
        if normals.is_empty() && sentence.is_none() {
            return self.pieces(text, special).for_each(each);
        }
        let tokens = self.counting(special);
        let (normalized, raw): (Vec<_>, Vec<_>) = tokens.into_iter().partition(|token| token.normalized);
        let (raw, normalized) = (Search::new(raw, &[]), Search::new(normalized, normals));
        let mut first = true;
        for piece in cut(&[Piece::Text(text)], &raw) {
            let Piece::Text(text) = piece else {
                each(piece);
                first = false;
                continue;
            };
            let text = normalize(normals, text);
            for piece in cut(&[Piece::Text(&text)], &normalized) {
                match (piece, sentence) {
                    (Piece::Text(text), Some(sentence)) => {
                        each(Piece::Text(&sentence.stretch(text, first)));
                    }
                    _ => each(piece),
                }
                first = false;
            }
        }
    }

    fn counting(&self, special: Special) -> Vec<&AddedToken> {
        self.tokens.iter().filter(|token| !token.special || special == Special::Allowed).collect()
    }

    /// Groups the tokens that are searched for together, one group after another.
    fn turns<'a>(&self, tokens: &[&'a AddedToken]) -> Vec<Vec<&'a AddedToken>> {
        match self.overlap {
            Overlap::First => {
                let (normalized, raw): (Vec<_>, Vec<_>) = tokens.iter().partition(|token| token.normalized);
                [raw, normalized].into_iter().filter(|turn| !turn.is_empty()).collect()
            }
            // If no token can begin within another, one round finds the same tokens.
            Overlap::Longest if !tokens.iter().any(|a| tokens.iter().any(|b| overlap(&a.text, &b.text))) => {
                vec![tokens.to_vec()]
            }
            Overlap::Longest => tokens.iter().map(|token| vec![*token]).collect(),
        }
    }
}

/// Whether a proper suffix of `a` is a proper prefix of `b`.
fn overlap(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    (1..a.len().min(b.len())).any(|length| a[a.len() - length..] == b[..length])
}

/// Cuts the texts among some pieces.
fn cut<'t>(pieces: &[Piece<'t>], search: &Search<'_>) -> Vec<Piece<'t>> {
    let mut all = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match *piece {
            Piece::Token(_) => all.push(*piece),
            Piece::Text(text) => search.cut(text, &mut all),
        }
    }
    all
}

/// The tokens of one round of the search.
struct Search<'a> {
    /// Each token with the bytes to search for.
    tokens: Vec<(&'a AddedToken, Vec<u8>)>,
    /// The bytes that at least one of them begins with.
    begins: [bool; 256],
}

impl<'a> Search<'a> {
    fn new(tokens: Vec<&'a AddedToken>, normals: &[Normal]) -> Search<'a> {
        let look = |token: &'a AddedToken| (token, normalize(normals, token.text.as_bytes()).into_owned());
        let mut tokens: Vec<_> = tokens.into_iter().map(look).filter(|(_, text)| !text.is_empty()).collect();
        tokens.sort_by_key(|(_, text)| std::cmp::Reverse(text.len()));
        let mut begins = [false; 256];
        tokens.iter().for_each(|(_, text)| begins[text[0] as usize] = true);
        Search { tokens, begins }
    }

    /// The first token in a text from `from` on, and where it begins and ends.
    fn next(&self, text: &[u8], from: usize) -> Option<(&AddedToken, usize, usize)> {
        let begins = |at: &usize| self.begins[text[*at] as usize];
        (from..text.len()).filter(begins).find_map(|at| {
            let (token, found) = self.tokens.iter().find(|(_, found)| text[at..].starts_with(found))?;
            Some((*token, at, at + found.len()))
        })
    }

    fn cut<'t>(&self, text: &'t [u8], pieces: &mut Vec<Piece<'t>>) {
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
