//! Near-duplicates: documents most of whose text is in another one too, found by MinHash.
//!
//! Of the sets of five words in a row that two documents have, the similarity is Jaccard's: those in both, divided by those in
//! either. The least hash of a set, under a random hash function, is the same for two sets with just this probability (Broder 1997,
//! "On the resemblance and containment of documents"). So a document is read once and represented by 128 least hashes, of which 8
//! bits each are kept (Li and König 2010, "b-Bit Minwise Hashing"). Instead of 128 functions there are 8, each of which gives the
//! least hash in each of 16 bins (Li, Owen and Zhang 2012, "One Permutation Hashing"), which takes a sixteenth of the time; a bin that
//! no hash fell into takes that of another one (Shrivastava 2017, "Optimal Densification for Fast and Accurate Minwise Hashing").
//!
//! Documents are compared if eight hashes in a row, one of 16 bands, are equal (locality-sensitive hashing, Indyk and Motwani 1998):
//! pairs of similarity 0.8 are found with a probability of about 95 %, those of 0.9 nearly always. Lee et al. 2022 ("Deduplicating
//! Training Data Makes Language Models Better") look for pairs from 0.8 on, in the same way.

use std::cmp::Reverse;

use glass_kernels::random::{mix, next};
use rayon::prelude::*;

/// Words in a row.
const WORDS: usize = 5;

/// Hash functions, the bins of each, and how many least hashes that gives.
const FUNCTIONS: usize = 8;
const BINS: usize = 16;
const HASHES: usize = FUNCTIONS * BINS;

/// A bin is the highest bits of a hash.
const BIN_SHIFT: u32 = u32::BITS - BINS.ilog2();

/// Hashes of a band.
const ROWS: usize = 8;

/// From this similarity on, documents are near-duplicates.
pub const THRESHOLD: f64 = 0.8;

/// The documents of a band with the same hashes that others are compared with, for training and for validation.
const COMPARED: usize = 8;

/// How much text is sketched at a time, in bytes.
const BATCH: usize = 4 << 20;

/// What represents a document; `None` if it has no words.
pub type Signature = Option<Box<[u8; HASHES]>>;

/// A document that is being read.
#[derive(Clone)]
pub struct Sketch {
    /// The hash of the word so far.
    word: u64,
    in_word: bool,
    /// The hashes of the last words, the latest one last.
    last: [u64; WORDS],
    words: u64,
    least: Box<[u32; HASHES]>,
}

/// The factors and summands of the hash functions.
struct Functions {
    factors: [u32; FUNCTIONS],
    summands: [u32; FUNCTIONS],
}

impl Functions {
    fn new() -> Functions {
        let mut state = 0x5eed;
        let mut number = || (next(&mut state) >> 32) as u32;
        Functions {
            factors: std::array::from_fn(|_| number() | 1),
            summands: std::array::from_fn(|_| number()),
        }
    }
}

/// A bin without a hash.
const EMPTY: u32 = u32::MAX;

/// Where the hash of a word begins, and what it is multiplied by for every byte (FNV-1a).
const START: u64 = 0xcbf2_9ce4_8422_2325;
const FACTOR: u64 = 0x0100_0000_01b3;

impl Default for Sketch {
    fn default() -> Self {
        let least = Box::new([EMPTY; HASHES]);
        Sketch { word: START, in_word: false, last: [0; WORDS], words: 0, least }
    }
}

impl Sketch {
    /// Adds text, which may begin and end anywhere. Words are runs of letters and digits, whatever their case; in Chinese and Japanese,
    /// which have no spaces, each character.
    fn add(&mut self, text: &[u8], functions: &Functions) {
        for &byte in text {
            // The first bytes of U+3000 to U+9FFF.
            let is_alone = (0xE3..=0xE9).contains(&byte);
            let is_inside = byte.is_ascii_alphanumeric() || byte >= 0x80;
            if self.in_word && (is_alone || !is_inside) {
                self.end_word(functions);
            }
            if is_inside {
                self.word = (self.word ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(FACTOR);
                self.in_word = true;
            }
        }
    }

    fn end_word(&mut self, functions: &Functions) {
        self.last.rotate_left(1);
        self.last[WORDS - 1] = mix(std::mem::replace(&mut self.word, START));
        (self.in_word, self.words) = (false, self.words + 1);
        if self.words >= WORDS as u64 {
            self.add_shingle(functions);
        }
    }

    /// Adds the last words.
    fn add_shingle(&mut self, functions: &Functions) {
        let joined = self.last.iter().fold(0, |sum: u64, word| sum.wrapping_mul(FACTOR).wrapping_add(*word));
        let shingle = (mix(joined) >> 32) as u32;
        let Functions { factors, summands } = functions;
        for ((least, factor), summand) in self.least.chunks_exact_mut(BINS).zip(factors).zip(summands) {
            let hash = shingle.wrapping_mul(*factor).wrapping_add(*summand);
            let least = &mut least[(hash >> BIN_SHIFT) as usize];
            *least = (*least).min(hash);
        }
    }

    fn end(mut self, functions: &Functions) -> Signature {
        if self.in_word {
            self.end_word(functions);
        }
        if self.words == 0 {
            return None;
        }
        if self.words < WORDS as u64 {
            self.add_shingle(functions);
        }
        Some(Box::new(std::array::from_fn(|at| {
            let from = self.filled(at);
            // Without the bin, which says nothing.
            let hash = self.least[from] & ((1 << BIN_SHIFT) - 1);
            (mix(u64::from(hash)) >> 56) as u8
        })))
    }

    /// The bin that has a hash for this one: itself, or the first that is filled of a row of random ones of the same function.
    fn filled(&self, at: usize) -> usize {
        let first = at - at % BINS;
        let random = |turn: u64| first + (mix((at as u64) << 32 | turn) % BINS as u64) as usize;
        let is_filled = |at: &usize| self.least[*at] != EMPTY;
        std::iter::once(at).chain((0..).map(random)).find(is_filled).unwrap_or(at)
    }
}

/// Makes signatures of documents that come in pieces, on several threads. It holds a few megabytes of text.
pub struct Sketching {
    functions: Functions,
    /// Documents with text that was not sketched yet; the last one may go on.
    open: Vec<(Sketch, Vec<Vec<u8>>)>,
    ends: bool,
    bytes: usize,
    done: Vec<Signature>,
}

impl Default for Sketching {
    fn default() -> Self {
        let functions = Functions::new();
        Sketching { functions, open: Vec::new(), ends: true, bytes: 0, done: Vec::new() }
    }
}

impl Sketching {
    /// Adds a piece of a document, which may be its last.
    pub fn add(&mut self, text: Vec<u8>, ends: bool) {
        self.bytes += text.len();
        match self.open.last_mut().filter(|_| !self.ends) {
            Some((_, texts)) => texts.push(text),
            None => self.open.push((Sketch::default(), vec![text])),
        }
        self.ends = ends;
        if self.bytes >= BATCH {
            self.flush();
        }
    }

    /// The signatures of all documents, in order.
    pub fn end(mut self) -> Vec<Signature> {
        self.ends = true;
        self.flush();
        self.done
    }

    fn flush(&mut self) {
        let functions = &self.functions;
        self.open.par_iter_mut().for_each(|(sketch, texts)| {
            texts.drain(..).for_each(|text| sketch.add(&text, functions));
        });
        let goes_on = if self.ends { None } else { self.open.pop() };
        self.done.extend(self.open.drain(..).map(|(sketch, _)| sketch.end(functions)));
        self.open.extend(goes_on);
        self.bytes = 0;
    }
}

/// The similarity of two documents, as their signatures suggest: exact for the same ones, and otherwise with a standard error of
/// about 0.04, or 0.06 for documents of less than 50 words.
pub fn similarity(one: &[u8; HASHES], other: &[u8; HASHES]) -> f64 {
    let equal = one.iter().zip(other).filter(|(a, b)| a == b).count() as f64 / HASHES as f64;
    // Different hashes have the same 8 bits once in 256 times.
    let by_chance = 1.0 / 256.0;
    ((equal - by_chance) / (1.0 - by_chance)).max(0.0)
}

/// A document for training that is similar to another one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Its number.
    pub document: usize,
    /// The number of the other one.
    pub other: usize,
    /// How similar they are.
    pub similarity: f64,
}

/// Near-duplicates among documents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairs {
    /// Documents for training that are similar to an earlier one for training.
    pub training: Vec<Pair>,
    /// Documents for training that are similar to one for validation.
    pub validation: Vec<Pair>,
}

/// What a document is for, as far as it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// For training.
    Train,
    /// For validation.
    Validation,
    /// Left out.
    None,
}

/// Finds near-duplicates. `roles` are those of the documents, in the order of reading. It takes 16 bytes of memory for every document
/// in addition, and time in proportion to their number: in each band, a document is compared with a few that have the same hashes.
pub fn find(signatures: &[&Signature], roles: &[Role]) -> Pairs {
    let mut best: Vec<[Option<Pair>; 2]> = vec![[None; 2]; signatures.len()];
    for band in (0..HASHES).step_by(ROWS) {
        let key = |signature: &[u8; HASHES]| {
            signature[band..band + ROWS].iter().fold(0, |key, byte| key << 8 | u64::from(*byte))
        };
        let known = signatures.iter().zip(roles).enumerate().filter(|(_, (_, role))| **role != Role::None);
        let mut keyed: Vec<(u64, u32)> =
            known.filter_map(|(at, (signature, _))| Some((key(signature.as_ref()?), at as u32))).collect();
        keyed.par_sort_unstable();
        for alike in keyed.chunk_by(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1) {
            compare(alike, signatures, roles, &mut best);
        }
    }
    let of = |which: usize| best.iter().filter_map(|best| best[which]).collect();
    Pairs { training: of(0), validation: of(1) }
}

/// Compares documents with the same hashes in a band.
fn compare(alike: &[(u64, u32)], signatures: &[&Signature], roles: &[Role], best: &mut [[Option<Pair>; 2]]) {
    let documents = || alike.iter().map(|(_, at)| *at as usize);
    let validation: Vec<usize> =
        documents().filter(|at| roles[*at] == Role::Validation).take(COMPARED).collect();
    let mut training: Vec<usize> = Vec::new();
    let similar = |document: usize, other: usize| {
        let (Some(one), Some(two)) = (signatures[document], signatures[other]) else { return None };
        let similarity = similarity(one, two);
        (similarity >= THRESHOLD).then_some(Pair { document, other, similarity })
    };
    for at in documents().filter(|at| roles[*at] == Role::Train) {
        for (which, others) in [(0, &training), (1, &validation)] {
            if best[at][which].is_none() {
                best[at][which] = others.iter().find_map(|other| similar(at, *other));
            }
        }
        if best[at][0].is_none() && training.len() < COMPARED {
            training.push(at);
        }
    }
}

impl Pairs {
    /// The most similar pairs, at most `most`: those with validation documents first, and of the equally similar the first ones.
    pub fn examples(&self, most: usize) -> Vec<Pair> {
        let by_similarity = |pairs: &[Pair]| {
            let mut pairs = pairs.to_vec();
            pairs.sort_by_key(|pair| (Reverse((pair.similarity * 1e6) as u64), pair.document));
            pairs
        };
        let all = by_similarity(&self.validation).into_iter().chain(by_similarity(&self.training));
        all.take(most).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_does_not_depend_on_where_text_is_cut() {
        let text = "Ünder the bridge, 猫が好き: 3 boats; and 12.5 more LIE at the quay".as_bytes();
        let whole = |cut: usize| {
            let mut sketching = Sketching::default();
            for (at, piece) in text.chunks(cut).enumerate() {
                sketching.add(piece.to_vec(), (at + 1) * cut >= text.len());
            }
            sketching.end()
        };
        let expected = whole(text.len());
        assert!(expected.len() == 1 && expected[0].is_some());
        (1..20).for_each(|cut| assert!(whole(cut) == expected, "{cut}"));
        let mut other = Sketching::default();
        let lower = String::from_utf8_lossy(text).replace("LIE", "lie").replace(", ", " - ");
        other.add(lower.into_bytes(), true);
        other.add(b"...".to_vec(), true);
        let other = other.end();
        assert!(other[0] == expected[0] && other[1].is_none(), "case and punctuation do not count");
    }
}
