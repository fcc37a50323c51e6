//! SplitMix64 (Steele, Lea and Flood 2014, with Vigna's constants): the same numbers on every machine.

/// The increment of the state.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The next number: the state is incremented and scrambled.
pub fn next(state: &mut u64) -> u64 {
    *state = skipped(*state, 1);
    mix(*state)
}

/// The state after `numbers` more numbers.
pub fn skipped(state: u64, numbers: u64) -> u64 {
    state.wrapping_add(STEP.wrapping_mul(numbers))
}

/// The finaliser: every bit of the input affects every bit of the output.
pub fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
