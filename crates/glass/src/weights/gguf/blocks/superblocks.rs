//! Blocks of 256 weights: groups of 16 or 32, each with its own small scale (and minimum), in units of the block's.
//!
//! Every function reads 32 weights, number `part` of eight, and returns two steps: the first 16 weights are multiples of
//! the first one, the others of the second, apart from a minimum.

use glass_kernels::packing::BLOCK;

use super::{IQ4_VALUES, half};

/// Sixteen groups of 16: `w = scale × q − minimum`, both in 4 bits; q in 2 bits.
pub fn q2_k(into: &mut [f32; BLOCK], bytes: &[u8], part: usize) -> [f32; 2] {
    let (scales, pairs) = (&bytes[..16], &bytes[16..80]);
    let (scale, minimum) = (half(bytes, 80), half(bytes, 82));
    let mut steps = [0.0; 2];
    for (i, w) in into.iter_mut().enumerate() {
        let at = part * BLOCK + i;
        let (s, m) = (scale * f32::from(scales[at / 16] & 15), minimum * f32::from(scales[at / 16] >> 4));
        steps[i / 16] = s;
        *w = s * f32::from(pair(pairs, at)) - m;
    }
    steps
}

/// Sixteen groups of 16: `w = scale × q`, scale in 6 bits, q in 3: two bits together, one stored
/// separately, inverted.
pub fn q3_k(into: &mut [f32; BLOCK], bytes: &[u8], part: usize) -> [f32; 2] {
    let (uppers, pairs, scales, scale) = (&bytes[..32], &bytes[32..96], &bytes[96..108], half(bytes, 108));
    let steps = [2 * part, 2 * part + 1].map(|group| {
        let lower = scales[group % 8] >> (group / 8 * 4) & 15;
        let upper = scales[8 + group % 4] >> (group / 4 * 2) & 3;
        scale * (f32::from(lower | upper << 4) - 32.0)
    });
    for (i, w) in into.iter_mut().enumerate() {
        let at = part * BLOCK + i;
        let upper = uppers[at % 32] >> (at / 32) & 1;
        *w = steps[i / 16] * (f32::from(pair(pairs, at)) - 4.0 * f32::from(upper ^ 1));
    }
    steps
}

/// Eight groups of 32: `w = scale × q − minimum`, both in 6 bits; q in 4.
pub fn q4_k(into: &mut [f32; BLOCK], bytes: &[u8], part: usize) -> [f32; 2] {
    let nibbles = &bytes[16..];
    let (s, m) = scale_and_minimum(bytes, part);
    for (w, byte) in into.iter_mut().zip(&nibbles[part / 2 * 32..]) {
        *w = s * f32::from(byte >> (part % 2 * 4) & 15) - m;
    }
    [s; 2]
}

/// The same with q in 5 bits, the highest bit stored separately.
pub fn q5_k(into: &mut [f32; BLOCK], bytes: &[u8], part: usize) -> [f32; 2] {
    let (uppers, nibbles) = (&bytes[16..48], &bytes[48..]);
    let (s, m) = scale_and_minimum(bytes, part);
    for ((w, byte), upper) in into.iter_mut().zip(&nibbles[part / 2 * 32..]).zip(uppers) {
        let lower = byte >> (part % 2 * 4) & 15;
        *w = s * f32::from(lower | (upper >> part & 1) << 4) - m;
    }
    [s; 2]
}

/// The scale and the minimum of a group of `Q4_K` and `Q5_K`. For the last four groups, the upper two bits are
/// stored above the scales and minima of the first four.
fn scale_and_minimum(bytes: &[u8], group: usize) -> (f32, f32) {
    let packed = &bytes[4..16];
    let (s, m) = match group {
        0..4 => (packed[group] & 63, packed[group + 4] & 63),
        _ => (
            packed[group + 4] & 15 | packed[group - 4] >> 6 << 4,
            packed[group + 4] >> 4 | packed[group] >> 6 << 4,
        ),
    };
    (half(bytes, 0) * f32::from(s), half(bytes, 2) * f32::from(m))
}

/// Sixteen groups of 16: `w = scale × (q − 32)`, scale in 8 bits; q in 6.
pub fn q6_k(into: &mut [f32; BLOCK], bytes: &[u8], part: usize) -> [f32; 2] {
    let (lower, upper, scales) = (&bytes[..128], &bytes[128..192], &bytes[192..208]);
    let steps = [2 * part, 2 * part + 1].map(|group| half(bytes, 208) * f32::from(scales[group] as i8));
    // In each half of the block, 64 bytes of nibbles hold 128 weights, and 32 bytes hold their upper pairs of bits.
    let (half, line) = (part / 4, part % 4);
    for (i, w) in into.iter_mut().enumerate() {
        let nibble = lower[half * 64 + line % 2 * 32 + i] >> (line / 2 * 4) & 15;
        let upper = upper[half * 32 + i] >> (line * 2) & 3;
        let q = (nibble | upper << 4) as i8 - 32;
        *w = steps[i / 16] * f32::from(q);
    }
    steps
}

/// Eight groups of 32: `w = scale × value`, scale in 6 bits, one of sixteen values.
pub fn iq4_xs(into: &mut [f32; BLOCK], bytes: &[u8], part: usize) -> [f32; 2] {
    let (scale, uppers) = (half(bytes, 0), u16::from_le_bytes([bytes[2], bytes[3]]));
    let (lowers, nibbles) = (&bytes[4..8], &bytes[8..]);
    let lower = lowers[part / 2] >> (part % 2 * 4) & 15;
    let s = scale * (f32::from(lower | ((uppers >> (part * 2) & 3) as u8) << 4) - 32.0);
    for (i, w) in into.iter_mut().enumerate() {
        let nibble = nibbles[part * 16 + i % 16] >> (i / 16 * 4) & 15;
        *w = s * f32::from(IQ4_VALUES[usize::from(nibble)]);
    }
    [s; 2]
}

/// Weight `at` in pairs of bits: 32 bytes hold 128 weights, the first 32 of them in the lowest pair.
fn pair(pairs: &[u8], at: usize) -> u8 {
    pairs[at / 128 * 32 + at % 32] >> (at % 128 / 32 * 2) & 3
}
