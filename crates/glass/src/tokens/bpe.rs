//! Byte-pair merging: of all neighbouring pairs in a word, the pair that was learned first is joined, until no pair
//! can be joined.
//!
//! Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units" (2016), on bytes as in
//! GPT-2. Equal pairs are joined from the left.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::sentence::Symbols;

/// The most tokens a vocabulary may have: two ids and a rank are packed into 64 bits.
pub const MOST_TOKENS: usize = 1 << 20;
/// The most merges: the largest rank means "no merge".
pub const MOST_MERGES: usize = (1 << 24) - 1;

/// A word up to this many bytes is merged by a linear search for each merge; a longer one with a heap.
const SHORT: usize = 32;
const NONE: u32 = u32::MAX;
/// Marks a byte without a token whose neighbours must not be joined across it.
const GAP: u32 = u32::MAX - 1;

/// What happens to a byte that has no token.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Unknown {
    /// It is left out, and its neighbours become adjacent, as in `tokenizers`.
    #[default]
    Dropped,
    /// It is left out, and its neighbours stay separate, as in llama.cpp.
    Gap,
    /// It becomes this token (`unk_token`).
    Token {
        /// The token.
        id: u32,
        /// Consecutive ones become one token (`fuse_unk`).
        fuse: bool,
    },
}

/// The learned merges: which pairs of tokens are joined, in which order, to which token.
#[derive(Clone)]
pub struct Merges {
    /// The token of every single byte, `NONE` where it has none.
    bytes: [u32; 256],
    /// What happens to bytes that have no token.
    unknown: Unknown,
    /// Whether every byte has a token.
    complete: bool,
    /// The tokens of characters, where words are merged from these instead of bytes.
    symbols: Option<Box<Symbols>>,
    /// Open addressing by pair: left (20 bits), right (20 bits), rank (24 bits); all ones where empty.
    slots: Vec<u64>,
    /// The joined token, by rank.
    joined: Vec<u32>,
}

impl Default for Merges {
    /// No merges and no tokens.
    fn default() -> Merges {
        Merges::partial([None; 256], Unknown::Dropped, &[])
    }
}

impl Merges {
    /// Builds the table from the token of every byte and the merges in the order they were learned: left, right,
    /// joined.
    ///
    /// Ids must be below [`MOST_TOKENS`], and there may be at most [`MOST_MERGES`] merges. If a pair is given
    /// twice, the first one is used.
    pub fn new(bytes: [u32; 256], merges: &[[u32; 3]]) -> Merges {
        Merges::partial(bytes.map(Some), Unknown::Dropped, merges)
    }

    /// The same for a vocabulary in which some bytes have no token.
    pub fn partial(bytes: [Option<u32>; 256], unknown: Unknown, merges: &[[u32; 3]]) -> Merges {
        let mut table = Merges::empty(bytes, unknown, merges.len());
        for &[left, right, joined] in merges {
            if table.insert(left, right, table.joined.len() as u64) {
                table.joined.push(joined);
            }
        }
        table
    }

    /// The same for a vocabulary whose words are merged from characters.
    pub fn of_symbols(symbols: Symbols, unknown: Unknown, merges: &[[u32; 3]]) -> Merges {
        let mut table = Merges::partial([None; 256], unknown, merges);
        table.complete = symbols.is_complete();
        table.symbols = Some(Box::new(symbols));
        table
    }

    /// The same where pairs share a rank: left, right, rank; and the token of every rank. Of pairs with the same rank,
    /// the one further left is joined first.
    pub fn ranked(symbols: Symbols, unknown: Unknown, merges: &[[u32; 3]], joined: Vec<u32>) -> Merges {
        let mut table = Merges::empty([None; 256], unknown, merges.len());
        for &[left, right, rank] in merges {
            table.insert(left, right, u64::from(rank));
        }
        table.complete = symbols.is_complete();
        (table.joined, table.symbols) = (joined, Some(Box::new(symbols)));
        table
    }

    fn empty(bytes: [Option<u32>; 256], unknown: Unknown, merges: usize) -> Merges {
        let slots = vec![u64::MAX; (merges * 2).next_power_of_two().max(2)];
        let (bytes, complete) = (bytes.map(|id| id.unwrap_or(NONE)), bytes.iter().all(Option::is_some));
        Merges { bytes, unknown, complete, symbols: None, slots, joined: Vec::with_capacity(merges) }
    }

    /// Adds a pair; false if it is there already.
    fn insert(&mut self, left: u32, right: u32, rank: u64) -> bool {
        let slot = self.slot(left, right);
        let free = self.slots[slot] == u64::MAX;
        if free {
            self.slots[slot] = key(left, right) << 24 | rank;
        }
        free
    }

    /// Whether every text has tokens.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether a byte has a token.
    fn knows(&self, byte: u8) -> bool {
        self.complete || self.bytes[byte as usize] != NONE
    }

    /// How many bytes of a word have no token.
    pub fn unknown_bytes(&self, word: &[u8]) -> usize {
        match &self.symbols {
            Some(symbols) => symbols.unknown_bytes(word),
            None => word.iter().filter(|byte| !self.knows(**byte)).count(),
        }
    }

    /// What happens to a byte that has no token.
    pub fn unknown(&self) -> Unknown {
        self.unknown
    }

    /// The token of one byte, if all bytes have one.
    fn byte(&self, byte: u8) -> u32 {
        self.bytes[byte as usize]
    }

    /// The tokens of single bytes, or of characters.
    fn first(&self, word: &[u8]) -> Vec<u32> {
        if let Some(symbols) = &self.symbols {
            return symbols.tokens(word, self.unknown);
        }
        let mut tokens = Vec::with_capacity(word.len());
        let mut after_unknown = false;
        for byte in word {
            let known = self.knows(*byte);
            match self.unknown {
                _ if known => tokens.push(self.byte(*byte)),
                Unknown::Dropped => {}
                Unknown::Gap => tokens.push(GAP),
                Unknown::Token { fuse: true, .. } if after_unknown => {}
                Unknown::Token { id, .. } => tokens.push(id),
            }
            after_unknown = !known;
        }
        tokens
    }

    /// Every merge as left, right, joined, in the order they were learned. Those that share a rank follow each other.
    pub fn in_order(&self) -> Vec<[u32; 3]> {
        let used = self.slots.iter().filter(|slot| **slot != u64::MAX);
        let mut pairs: Vec<(usize, u64)> =
            used.map(|slot| ((slot & 0xFF_FFFF) as usize, slot >> 24)).collect();
        pairs.sort_unstable();
        let triple =
            |&(rank, pair): &(usize, u64)| [(pair >> 20) as u32, pair as u32 & 0xF_FFFF, self.joined[rank]];
        pairs.iter().map(triple).collect()
    }

    /// The byte of every token of byte fallback.
    pub fn byte_tokens(&self) -> HashMap<u32, u8> {
        self.symbols.as_ref().map(|symbols| symbols.byte_tokens()).unwrap_or_default()
    }

    /// The tokens that merges make.
    pub fn joined(&self) -> &[u32] {
        &self.joined
    }

    /// Whether pairs share a rank.
    pub fn share_ranks(&self) -> bool {
        self.slots.iter().filter(|slot| **slot != u64::MAX).count() > self.joined.len()
    }

    /// The rank of the merge of `left` and `right`, or `u32::MAX` if they are never joined.
    #[inline]
    fn rank(&self, left: u32, right: u32) -> u32 {
        let slot = self.slots[self.slot(left, right)];
        if slot == u64::MAX { NONE } else { (slot & 0xFF_FFFF) as u32 }
    }

    /// The slot that holds the pair, or the empty slot where it would be inserted. At least half of the slots are
    /// empty.
    #[inline]
    fn slot(&self, left: u32, right: u32) -> usize {
        let (key, mask) = (key(left, right), self.slots.len() - 1);
        let mut at = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & mask;
        while self.slots[at] != u64::MAX && self.slots[at] >> 24 != key {
            at = (at + 1) & mask;
        }
        at
    }

    /// Appends the tokens of one word to `ids`.
    pub fn word(&self, word: &[u8], ids: &mut Vec<u32>) {
        match word {
            word if word.len() > SHORT || !self.complete || self.symbols.is_some() => {
                // Positions are 32-bit, so a longer word is cut.
                for part in word.chunks(1 << 30) {
                    match self.first(part) {
                        first if first.len() <= SHORT && self.complete => self.joined_short(&first, ids),
                        first => _ = self.long(first, ids),
                    }
                }
            }
            [byte] => ids.push(self.byte(*byte)),
            word => self.short(word, ids),
        }
    }

    /// Searches for the lowest rank again after every merge: at most `SHORT²` steps, within two small arrays.
    fn short(&self, word: &[u8], ids: &mut Vec<u32>) {
        let mut tokens = [0u32; SHORT];
        for (token, byte) in tokens.iter_mut().zip(word) {
            *token = self.byte(*byte);
        }
        self.merge_short(tokens, word.len(), ids);
    }

    /// The same from the tokens of characters, at most `SHORT` of them.
    fn joined_short(&self, first: &[u32], ids: &mut Vec<u32>) {
        let mut tokens = [0u32; SHORT];
        tokens[..first.len()].copy_from_slice(first);
        self.merge_short(tokens, first.len(), ids);
    }

    #[inline(always)]
    fn merge_short(&self, mut tokens: [u32; SHORT], mut count: usize, ids: &mut Vec<u32>) {
        let mut ranks = [NONE; SHORT];
        for at in 1..count {
            ranks[at - 1] = self.rank(tokens[at - 1], tokens[at]);
        }
        loop {
            let (mut at, mut rank) = (0, NONE);
            for (place, next) in ranks[..count].iter().enumerate() {
                if *next < rank {
                    (at, rank) = (place, *next);
                }
            }
            if rank == NONE {
                break;
            }
            tokens.copy_within(at + 2..count, at + 1);
            ranks.copy_within(at + 1..count, at);
            count -= 1;
            tokens[at] = self.joined[rank as usize];
            ranks[at] = if at + 1 < count { self.rank(tokens[at], tokens[at + 1]) } else { NONE };
            if at > 0 {
                ranks[at - 1] = self.rank(tokens[at - 1], tokens[at]);
            }
        }
        ids.extend(&tokens[..count]);
    }

    /// Keeps a heap of pairs over a linked list of tokens: every merge removes a token and adds at most two pairs,
    /// so a word of n tokens takes less than 3 n heap operations. Returns how many were taken.
    fn long(&self, mut tokens: Vec<u32>, ids: &mut Vec<u32>) -> usize {
        let end = tokens.len() as u32;
        let mut next: Vec<u32> = (1..=end).collect();
        let mut before: Vec<u32> = (0..end).map(|at| at.wrapping_sub(1)).collect();
        let pair = |rank: u32, at: u32| Reverse(u64::from(rank) << 32 | u64::from(at));
        let first = (1..end).filter_map(|at| match self.rank(tokens[at as usize - 1], tokens[at as usize]) {
            NONE => None,
            rank => Some(pair(rank, at - 1)),
        });
        let mut pairs: BinaryHeap<Reverse<u64>> = first.collect::<Vec<_>>().into();

        let mut turns = 0;
        while let Some(Reverse(lowest)) = pairs.pop() {
            turns += 1;
            let (rank, at) = ((lowest >> 32) as u32, lowest as u32 as usize);
            let right = next[at];
            // A pair is valid only while both of its tokens still exist.
            if tokens[at] == NONE || right == end || self.rank(tokens[at], tokens[right as usize]) != rank {
                continue;
            }
            tokens[at] = self.joined[rank as usize];
            tokens[right as usize] = NONE;
            let after = next[right as usize];
            next[at] = after;
            if after != end {
                before[after as usize] = at as u32;
                match self.rank(tokens[at], tokens[after as usize]) {
                    NONE => {}
                    rank => pairs.push(pair(rank, at as u32)),
                }
            }
            if before[at] != NONE {
                match self.rank(tokens[before[at] as usize], tokens[at]) {
                    NONE => {}
                    rank => pairs.push(pair(rank, before[at])),
                }
            }
        }
        ids.extend(tokens.iter().filter(|token| ![NONE, GAP].contains(token)));
        turns
    }

    /// How a word is merged: before the first merge, and after each. The work grows with the square of the word's
    /// length, so this is only for display.
    pub fn steps(&self, word: &[u8]) -> Vec<Step> {
        let mut bytes = self.first(word);
        // Gaps are not shown.
        bytes.retain(|id| *id != GAP);
        let mut steps = vec![Step { tokens: bytes, joined: None }];
        loop {
            let tokens = &steps[steps.len() - 1].tokens;
            let ranks = tokens.windows(2).map(|pair| self.rank(pair[0], pair[1]));
            match ranks.enumerate().min_by_key(|(at, rank)| (*rank, *at)) {
                Some((at, rank)) if rank != NONE => {
                    let mut tokens = tokens.clone();
                    tokens.splice(at..at + 2, [self.joined[rank as usize]]);
                    steps.push(Step { tokens, joined: Some((at, rank)) });
                }
                _ => return steps,
            }
        }
    }
}

/// One step of merging a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The tokens at this step.
    pub tokens: Vec<u32>,
    /// Which of them was joined last, and the rank of that merge; `None` before the first merge.
    pub joined: Option<(usize, u32)>,
}

fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 20 | u64::from(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::vocabulary;

    fn ids(work: impl FnOnce(&mut Vec<u32>)) -> Vec<u32> {
        let mut ids = Vec::new();
        work(&mut ids);
        ids
    }

    #[test]
    fn short_and_long_and_step_by_step_agree() {
        let (_, merges) = vocabulary::gpt2();
        let mut seed = 1u64;
        for length in (1..=SHORT).cycle().take(3_000) {
            let letters = b"aaaeinrst 'ABsch\xC3\xA9\xA4 0011=-";
            let mut letter = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                letters[(seed >> 33) as usize % letters.len()]
            };
            let word: Vec<u8> = (0..length).map(|_| letter()).collect();
            let short = ids(|ids| merges.short(&word, ids));
            assert_eq!(ids(|ids| _ = merges.long(merges.first(&word), ids)), short, "{word:?}");
            assert_eq!(merges.steps(&word).last().unwrap().tokens, short, "{word:?}");
        }
    }

    #[test]
    fn a_long_word_takes_turns_in_proportion() {
        let (_, merges) = vocabulary::gpt2();
        for letters in ["a", "ab", "ACGTTGCAAC", "=", "-_", "\u{e9}"] {
            let word = letters.repeat(100_000);
            let turns = merges.long(merges.first(word.as_bytes()), &mut Vec::new());
            assert!(turns < 3 * word.len(), "{turns} turns for {} bytes of {letters:?}", word.len());
        }
    }
}
