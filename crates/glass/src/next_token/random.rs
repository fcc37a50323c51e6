//! Chance from a counter: a draw depends on which draw it is, not on the draws before it.

/// A number in `[0, 1)`, a multiple of 2⁻⁵³, for the token at `position` of sequence `sample` of a request with `seed`.
///
/// Each of the three is added to the state and scrambled by the finaliser of splitmix64 (Steele, Lea and Flood 2014, in
/// Vigna's constants), so every one of the 2⁶⁴ values of each leads to a state of its own.
pub fn uniform(seed: u64, sample: u64, position: u64) -> f64 {
    let state =
        [seed, sample, position].into_iter().fold(0, |state: u64, part| scramble(state.wrapping_add(part)));
    (state >> 11) as f64 / (1u64 << 53) as f64
}

/// One step of splitmix64.
fn scramble(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
