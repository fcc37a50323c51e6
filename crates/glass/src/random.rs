//! Random numbers determined by a seed and a purpose: the same on every machine.

use glass_kernels::random::{mix, next};

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    /// The generator for `seed`, `purpose` (a word, so that no two uses share their numbers) and `turn`.
    pub(crate) fn new(seed: u64, purpose: &str, turn: u64) -> Self {
        let mut state = seed;
        for byte in purpose.bytes() {
            state = mix(state ^ u64::from(byte));
        }
        Random(mix(state ^ mix(turn)))
    }

    fn next(&mut self) -> u64 {
        next(&mut self.0)
    }

    /// A number below `bound`, which is at least 1. (Lemire's multiplication; its bias is below `bound` / 2⁶⁴.)
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// The numbers 0 to `len` − 1 in random order (Fisher and Yates).
    pub(crate) fn permutation(&mut self, len: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..len).collect();
        for last in (1..len).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}
