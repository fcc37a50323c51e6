//! What each token stands for: its bytes.

use super::bpe::Merges;

/// The bytes of every token, one after the other.
#[derive(Clone, Default)]
pub struct Vocabulary {
    bytes: Vec<u8>,
    /// By id, where its bytes end. A token without bytes is an id that is not used.
    ends: Vec<u32>,
}

impl Vocabulary {
    /// How many ids there are: the highest and one.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Gives the next id to a token. No bytes: the id is not used.
    pub fn push(&mut self, token: &[u8]) {
        self.bytes.extend(token);
        self.ends.push(self.bytes.len() as u32);
    }

    /// The bytes of one token.
    pub fn token(&self, id: u32) -> Option<&[u8]> {
        let end = *self.ends.get(id as usize)? as usize;
        let start = id.checked_sub(1).map_or(0, |before| self.ends[before as usize] as usize);
        (start < end).then(|| &self.bytes[start..end])
    }
}

/// GPT-2's vocabulary without its special token. `build.rs` wrote for every token the two that it joins, so that the
/// table is a fifth of a megabyte and needs no reading: ids from 256 on are ranks, too.
pub fn gpt2() -> (Vocabulary, Merges) {
    let (bytes, pairs) = include_bytes!(concat!(env!("OUT_DIR"), "/gpt2.pairs")).split_at(256);
    let mut of_byte = [0; 256];
    let mut vocabulary = Vocabulary::default();
    for (id, byte) in bytes.iter().enumerate() {
        of_byte[*byte as usize] = id as u32;
        vocabulary.push(&[*byte]);
    }
    let half = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]));
    let pairs = pairs.as_chunks::<4>().0.iter().zip(256..);
    let merges: Vec<[u32; 3]> =
        pairs.map(|(&[a, b, c, d], joined)| [half(a, b), half(c, d), joined]).collect();
    for [left, right, _] in &merges {
        let token = [*left, *right].map(|id| vocabulary.token(id).unwrap_or_default()).concat();
        vocabulary.push(&token);
    }
    (vocabulary, Merges::new(of_byte, &merges))
}
