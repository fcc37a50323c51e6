//! Added tokens: texts that are one token wherever they stand, found before anything is split.

use super::Special;

/// One added token.
#[derive(Clone)]
pub struct AddedToken {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub text: Box<str>,
    /// A special token counts only where the caller allows it; any other always does.
    pub special: bool,
}

/// All added tokens of a vocabulary, the longest first: of several that begin at one place, the longest is meant.
#[derive(Clone, Default)]
pub struct Added(Vec<AddedToken>);

/// A stretch of text between added tokens, or one of them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Piece<'t> {
    /// Ordinary text, never empty.
    Text(&'t [u8]),
    /// An added token.
    Token(u32),
}

impl Added {
    /// Adds a token. False, and nothing changes, where the text is there already.
    pub fn insert(&mut self, id: u32, text: &str, special: bool) -> bool {
        if self.0.iter().any(|token| *token.text == *text) {
            return false;
        }
        let place = self.0.partition_point(|token| token.text.len() >= text.len());
        self.0.insert(place, AddedToken { id, text: text.into(), special });
        true
    }

    /// Every added token, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &AddedToken> {
        self.0.iter()
    }

    /// Cuts a text at its added tokens.
    pub fn pieces<'t>(&self, text: &'t [u8], special: Special) -> Pieces<'_, 't> {
        let counts = |token: &&AddedToken| !token.special || special == Special::Allowed;
        let tokens: Vec<&AddedToken> = self.0.iter().filter(counts).collect();
        let mut begins = [false; 256];
        tokens.iter().for_each(|token| begins[token.text.as_bytes()[0] as usize] = true);
        Pieces { tokens, begins, rest: text }
    }
}

/// The pieces of a text, one after the other.
pub struct Pieces<'a, 't> {
    tokens: Vec<&'a AddedToken>,
    /// The bytes that one of the tokens begins with.
    begins: [bool; 256],
    rest: &'t [u8],
}

impl Pieces<'_, '_> {
    /// The token that begins at `at`.
    fn token_at(&self, at: usize) -> Option<&AddedToken> {
        let begins = |token: &&&AddedToken| self.rest[at..].starts_with(token.text.as_bytes());
        self.tokens.iter().find(begins).copied()
    }

    /// Where the next token begins, or the text ends.
    fn next_token(&self) -> usize {
        let begins = |byte: &u8| self.begins[*byte as usize];
        let mut from = 0;
        while !self.tokens.is_empty()
            && let Some(found) = self.rest[from..].iter().position(begins)
        {
            from += found;
            if self.token_at(from).is_some() {
                return from;
            }
            from += 1;
        }
        self.rest.len()
    }
}

impl<'t> Iterator for Pieces<'_, 't> {
    type Item = Piece<'t>;

    fn next(&mut self) -> Option<Piece<'t>> {
        let end = self.next_token();
        if end > 0 {
            let (text, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Some(Piece::Text(text));
        }
        let (id, length) =
            self.token_at(0).filter(|_| !self.rest.is_empty()).map(|token| (token.id, token.text.len()))?;
        self.rest = &self.rest[length..];
        Some(Piece::Token(id))
    }
}
