//! A cache of words: their tokens are looked up instead of merged again.
//!
//! Both tables are direct-mapped: a word has one slot, and a new word replaces the old one. This bounds the memory
//! without book-keeping, and a look-up is one comparison.

use std::collections::HashMap;
use std::ops::Range;

use super::bpe::Merges;
use super::presplit::{self, Step};
use super::split::{self, Split};

/// Slots for short words: half a megabyte, so that it stays in the L2 cache.
const SHORT_BITS: u32 = 14;
/// Slots for longer words, at most 256 bytes each: no more than a few megabytes, usually much less.
const LONG_BITS: u32 = 11;
const LONGEST: usize = 256;

/// How the text between added tokens is cut into words, and a word into tokens, besides merging.
#[derive(Clone)]
pub struct Work {
    /// The pre-split; without steps the whole text is one word.
    pub steps: Vec<Step>,
    /// A word that is a token becomes that token, even if merging does not lead to it (`ignore_merges`).
    pub whole: Option<HashMap<Box<[u8]>, u32>>,
}

impl Default for Work {
    /// GPT-2's settings.
    fn default() -> Work {
        Work { steps: vec![Step::Words(Split::Gpt2)], whole: None }
    }
}

impl Work {
    /// Calls `word` with every word of a text.
    #[inline(always)]
    pub fn each_word(&self, text: &[u8], mut word: impl FnMut(&[u8])) {
        match self.steps[..] {
            [Step::Words(split)] => split.each_range(text, |start, end| word(&text[start..end])),
            _ => presplit::each_piece(&self.steps, text, &mut word),
        }
    }

    /// Whether a text can be cut at a [safe place](split::safe_cut) without changing a word.
    pub fn cuts_at_words(&self) -> bool {
        let exceptions =
            |step: &Step| matches!(step, Step::Words(Split::Spaces { except }) if *except != [b' '; 4]);
        presplit::cuts_at_words(&self.steps) && !self.steps.iter().any(exceptions)
    }

    /// The first place after `at` where a text can be cut without changing a word.
    pub fn cut(&self, text: &[u8], mut at: usize) -> Option<usize> {
        let except = match self.steps[..] {
            [Step::Words(Split::Spaces { except })] => except,
            _ if self.cuts_at_words() => return split::safe_cut(text, at),
            _ => return None,
        };
        loop {
            let cut = split::safe_cut(text, at)?;
            if !except.contains(&text[cut - 1]) {
                return Some(cut);
            }
            at = cut;
        }
    }

    /// Appends the tokens of one word, computed without the cache.
    fn merge(&self, merges: &Merges, word: &[u8], ids: &mut Vec<u32>) {
        match self.whole.as_ref().and_then(|whole| whole.get(word)) {
            Some(id) => ids.push(*id),
            None => merges.word(word, ids),
        }
    }
}

/// One thread's cache of words.
pub struct Words {
    /// A word of up to 15 bytes with its length in the last byte, and up to four ids, each stored plus one, so that
    /// zero means empty.
    short: Vec<[u128; 2]>,
    long: Vec<Long>,
}

#[derive(Clone, Default)]
struct Long {
    word: Vec<u8>,
    ids: Vec<u32>,
}

impl Default for Words {
    fn default() -> Words {
        Words { short: vec![[0; 2]; 1 << SHORT_BITS], long: vec![Long::default(); 1 << LONG_BITS] }
    }
}

impl Words {
    /// Appends the tokens of a text without added tokens.
    pub fn encode(&mut self, work: &Work, merges: &Merges, text: &[u8], ids: &mut Vec<u32>) {
        match work.steps[..] {
            [Step::Words(split)] => {
                split.each_range(text, |start, end| self.word(work, merges, text, start..end, ids));
            }
            _ => presplit::each_piece(&work.steps, text, &mut |word| {
                self.word(work, merges, word, 0..word.len(), ids);
            }),
        }
    }

    #[inline(always)]
    fn word(&mut self, work: &Work, merges: &Merges, text: &[u8], word: Range<usize>, ids: &mut Vec<u32>) {
        match word.len() {
            0 => {}
            1..=15 => self.short(work, merges, text, word, ids),
            16..=LONGEST => self.long(work, merges, &text[word], ids),
            _ => work.merge(merges, &text[word], ids),
        }
    }

    #[inline(always)]
    fn short(&mut self, work: &Work, merges: &Merges, text: &[u8], word: Range<usize>, ids: &mut Vec<u32>) {
        let key = short_key(text, word.start, word.len());
        let mixed = (key as u64 ^ ((key >> 64) as u64).rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let place = &mut self.short[(mixed >> (64 - SHORT_BITS)) as usize];
        if place[0] == key {
            let mut packed = place[1];
            while packed != 0 {
                ids.push(packed as u32 - 1);
                packed >>= 32;
            }
            return;
        }
        let from = ids.len();
        work.merge(merges, &text[word], ids);
        if ids.len() - from <= 4 {
            let pack = |packed, id: &u32| packed << 32 | u128::from(id + 1);
            *place = [key, ids[from..].iter().rev().fold(0, pack)];
        }
    }

    fn long(&mut self, work: &Work, merges: &Merges, word: &[u8], ids: &mut Vec<u32>) {
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3);
        let hash = word.iter().fold(0xCBF2_9CE4_8422_2325, mix).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let place = &mut self.long[(hash >> (64 - LONG_BITS)) as usize];
        if place.word != word {
            place.ids.clear();
            work.merge(merges, word, &mut place.ids);
            place.word.clear();
            place.word.extend(word);
        }
        ids.extend(&place.ids);
    }
}

/// Up to 15 bytes and their length as one number. Reads 16 bytes at once if the text is long enough.
#[inline(always)]
fn short_key(text: &[u8], start: usize, length: usize) -> u128 {
    let bytes = match text[start..].first_chunk::<16>() {
        Some(block) => u128::from_le_bytes(*block) & ((1 << (8 * length)) - 1),
        None => {
            let mut block = [0; 16];
            block[..length].copy_from_slice(&text[start..start + length]);
            u128::from_le_bytes(block)
        }
    };
    bytes | (length as u128) << 120
}
