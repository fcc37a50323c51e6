//! How a text uses a vocabulary's ids: how often each occurs, and which never.

use std::cmp::Reverse;

use super::{Special, Tokenizer};

/// A text's tokens, counted by id.
#[derive(Clone, Debug)]
pub struct Usage {
    tokenizer: Tokenizer,
    counts: Vec<u64>,
    bytes: u64,
}

/// The kind of an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// A single byte.
    Byte,
    /// Several bytes, merged.
    Merged,
    /// A special token.
    Special,
    /// An id without a token.
    Nothing,
}

/// Statistics of the ids of one kind.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Ids {
    /// How many ids there are.
    pub ids: u64,
    /// How many of them occur.
    pub used: u64,
    /// How many tokens of the text are of this kind.
    pub tokens: u64,
}

impl Usage {
    /// Statistics for a vocabulary, before any text.
    pub fn new(tokenizer: &Tokenizer) -> Usage {
        Usage { tokenizer: tokenizer.clone(), counts: vec![0; tokenizer.vocabulary_size()], bytes: 0 }
    }

    /// Counts the tokens of a text, or of the next part of one. Special tokens in it are read as special tokens.
    pub fn add(&mut self, text: &[u8]) {
        self.bytes += text.len() as u64;
        for id in self.tokenizer.encode_parallel(text, Special::Allowed) {
            self.counts[id as usize] += 1;
        }
    }

    /// The bytes of text.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The tokens of text.
    pub fn tokens(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The mean bytes of text per token; `None` if there are no tokens yet.
    pub fn bytes_per_token(&self) -> Option<f64> {
        Some(self.tokens()).filter(|tokens| *tokens > 0).map(|tokens| self.bytes as f64 / tokens as f64)
    }

    /// How often a token occurs.
    pub fn count(&self, id: u32) -> u64 {
        self.counts.get(id as usize).copied().unwrap_or(0)
    }

    /// The kind of an id.
    pub fn kind(&self, id: u32) -> TokenKind {
        match self.tokenizer.token(id) {
            None => TokenKind::Nothing,
            Some(_) if self.tokenizer.is_special(id) => TokenKind::Special,
            Some([_]) => TokenKind::Byte,
            Some(_) => TokenKind::Merged,
        }
    }

    /// Statistics of the ids of a kind.
    pub fn ids(&self, kind: TokenKind) -> Ids {
        let counts = self.all().filter(|id| self.kind(*id) == kind).map(|id| self.count(id));
        counts.fold(Ids::default(), |all, count| Ids {
            ids: all.ids + 1,
            used: all.used + u64::from(count > 0),
            tokens: all.tokens + count,
        })
    }

    /// The tokens that occur, most frequent first; equally frequent ones by id.
    pub fn most_frequent(&self) -> Vec<u32> {
        let mut used: Vec<u32> = self.all().filter(|id| self.count(*id) > 0).collect();
        used.sort_by_key(|id| (Reverse(self.count(*id)), *id));
        used
    }

    /// All tokens, longest first, in bytes; equally long ones by id.
    pub fn longest(&self) -> Vec<u32> {
        let mut all: Vec<u32> = self.all().filter(|id| self.kind(*id) != TokenKind::Nothing).collect();
        all.sort_by_key(|id| (Reverse(self.tokenizer.token(*id).map_or(0, <[u8]>::len)), *id));
        all
    }

    /// The tokens that never occur, by id.
    pub fn never_used(&self) -> Vec<u32> {
        self.all().filter(|id| self.count(*id) == 0 && self.kind(*id) != TokenKind::Nothing).collect()
    }

    /// The smallest number of ids that make up this share (0 to 1) of the text's tokens.
    pub fn covering(&self, share: f64) -> usize {
        let (wanted, mut sum) = (share * self.tokens() as f64, 0);
        let rarer = self.most_frequent().into_iter().skip_while(|id| {
            let before = sum;
            sum += self.count(*id);
            (before as f64) < wanted
        });
        self.most_frequent().len() - rarer.count()
    }

    fn all(&self) -> impl Iterator<Item = u32> + use<> {
        0..self.counts.len() as u32
    }
}
