//! The bytes of each token.

use std::ops::Range;

use super::bpe::Merges;

/// The bytes of every token, concatenated.
#[derive(Clone, Default)]
pub struct Vocabulary {
    bytes: Vec<u8>,
    /// Where a token's bytes end, by id. A token without bytes is an unused id.
    ends: Vec<u32>,
}

impl Vocabulary {
    /// The number of ids: the highest plus one.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Gives the next id to a token. An empty token marks the id as unused.
    pub fn push(&mut self, token: &[u8]) {
        self.push_with(|bytes| bytes.extend(token));
    }

    /// Gives the next id to the token that `write` appends to the bytes of those before it.
    pub fn push_with<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let written = write(&mut self.bytes);
        self.ends.push(self.bytes.len() as u32);
        written
    }

    /// Gives the next id to the concatenation of two tokens.
    fn push_joined(&mut self, left: u32, right: u32) {
        for half in [left, right] {
            self.bytes.extend_from_within(self.place(half));
        }
        self.ends.push(self.bytes.len() as u32);
    }

    /// Where the bytes of a token are.
    fn place(&self, id: u32) -> Range<usize> {
        let start = id.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        start as usize..self.ends[id as usize] as usize
    }

    /// The bytes of one token.
    pub fn token(&self, id: u32) -> Option<&[u8]> {
        let used = (id as usize) < self.len() && !self.place(id).is_empty();
        used.then(|| &self.bytes[self.place(id)])
    }
}

/// GPT-2's vocabulary without its special token. `build.rs` stores for every token the two tokens that it joins, so
/// the table takes a fifth of a megabyte and needs no parsing; ids from 256 on follow the order of ranks.
pub fn gpt2() -> (Vocabulary, Merges) {
    let (bytes, pairs) = include_bytes!(concat!(env!("OUT_DIR"), "/gpt2.pairs")).split_at(256);
    let mut of_byte = [0; 256];
    let mut vocabulary =
        Vocabulary { bytes: Vec::with_capacity(1 << 19), ends: Vec::with_capacity(pairs.len() / 4 + 257) };
    for (id, byte) in bytes.iter().enumerate() {
        of_byte[*byte as usize] = id as u32;
        vocabulary.push(&[*byte]);
    }
    let half = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]));
    let pairs = pairs.as_chunks::<4>().0.iter().zip(256..);
    let merges: Vec<[u32; 3]> =
        pairs.map(|(&[a, b, c, d], joined)| [half(a, b), half(c, d), joined]).collect();
    merges.iter().for_each(|[left, right, _]| vocabulary.push_joined(*left, *right));
    (vocabulary, Merges::new(of_byte, &merges))
}
