//! Counter-based random numbers: a draw depends on its index, not on the draws before it.

use glass_kernels::random::next;

/// A number in `[0, 1)`, a multiple of 2⁻⁵³, for the token at `position` of sequence `sample` of a request with `seed`.
///
/// Each of the three is added to the state and scrambled by SplitMix64 (Steele, Lea and Flood 2014), so every one of the
/// 2⁶⁴ values of each leads to a state of its own.
pub fn uniform(seed: u64, sample: u64, position: u64) -> f64 {
    let state =
        [seed, sample, position].into_iter().fold(0, |state: u64, part| next(&mut state.wrapping_add(part)));
    (state >> 11) as f64 / (1u64 << 53) as f64
}
