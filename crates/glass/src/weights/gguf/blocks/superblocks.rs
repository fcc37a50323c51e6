//! Blocks of 256 weights: groups of 16 or 32, each with its own small scale (and minimum), in units of the block's.
//!
//! Every function reads 32 weights, number `part` of eight.

use glass_kernels::packing::BLOCK;

use super::{Group, half};

/// Sixteen groups of 16: `w = scale × q − minimum`, both in 4 bits; q in 2 bits.
pub fn q2_k(bytes: &[u8], part: usize) -> Group {
    let (scales, pairs) = (&bytes[..16], &bytes[16..80]);
    let (scale, minimum) = (half(bytes, 80), half(bytes, 82));
    let groups = [2 * part, 2 * part + 1];
    Group {
        steps: groups.map(|group| scale * f32::from(scales[group] & 15)),
        minima: groups.map(|group| -(minimum * f32::from(scales[group] >> 4))),
        q: std::array::from_fn(|i| pair(pairs, part * BLOCK + i) as i8),
    }
}

/// Sixteen groups of 16: `w = scale × q`, scale in 6 bits, q in 3: two bits together, one stored
/// separately, inverted.
pub fn q3_k(bytes: &[u8], part: usize) -> Group {
    let (uppers, pairs, scales, scale) = (&bytes[..32], &bytes[32..96], &bytes[96..108], half(bytes, 108));
    let steps = [2 * part, 2 * part + 1].map(|group| {
        let lower = scales[group % 8] >> (group / 8 * 4) & 15;
        let upper = scales[8 + group % 4] >> (group / 4 * 2) & 3;
        scale * (f32::from(lower | upper << 4) - 32.0)
    });
    let number = |i: usize| {
        let at = part * BLOCK + i;
        let upper = uppers[at % 32] >> (at / 32) & 1;
        (pair(pairs, at) | upper << 2) as i8 - 4
    };
    Group { steps, ..Group::new(0.0, number) }
}

/// Eight groups of 32: `w = scale × q − minimum`, both in 6 bits; q in 4.
pub fn q4_k(bytes: &[u8], part: usize) -> Group {
    let nibbles = &bytes[16 + part / 2 * 32..];
    let (scale, minimum) = scale_and_minimum(bytes, part);
    let number = |i: usize| (nibbles[i] >> (part % 2 * 4) & 15) as i8;
    Group { minima: [-minimum; 2], ..Group::new(scale, number) }
}

/// The same with q in 5 bits, the highest bit stored separately.
pub fn q5_k(bytes: &[u8], part: usize) -> Group {
    let (uppers, nibbles) = (&bytes[16..48], &bytes[48 + part / 2 * 32..]);
    let (scale, minimum) = scale_and_minimum(bytes, part);
    let number = |i: usize| {
        let lower = nibbles[i] >> (part % 2 * 4) & 15;
        (lower | (uppers[i] >> part & 1) << 4) as i8
    };
    Group { minima: [-minimum; 2], ..Group::new(scale, number) }
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
pub fn q6_k(bytes: &[u8], part: usize) -> Group {
    let (lower, upper, scales) = (&bytes[..128], &bytes[128..192], &bytes[192..208]);
    let steps = [2 * part, 2 * part + 1].map(|group| half(bytes, 208) * f32::from(scales[group] as i8));
    // In each half of the block, 64 bytes of nibbles hold 128 weights, and 32 bytes hold their upper pairs of bits.
    let (half, line) = (part / 4, part % 4);
    let number = |i: usize| {
        let nibble = lower[half * 64 + line % 2 * 32 + i] >> (line / 2 * 4) & 15;
        let upper = upper[half * 32 + i] >> (line * 2) & 3;
        (nibble | upper << 4) as i8 - 32
    };
    Group { steps, ..Group::new(0.0, number) }
}

/// Eight groups of 32: `w = scale × value`, scale in 6 bits, one of sixteen values.
pub fn iq4_xs(bytes: &[u8], part: usize) -> Group {
    let (scale, uppers) = (half(bytes, 0), u16::from_le_bytes([bytes[2], bytes[3]]));
    let (lowers, nibbles) = (&bytes[4..8], &bytes[8..]);
    let lower = lowers[part / 2] >> (part % 2 * 4) & 15;
    let scale = scale * (f32::from(lower | ((uppers >> (part * 2) & 3) as u8) << 4) - 32.0);
    Group::new(scale, |i| (nibbles[part * 16 + i % 16] >> (i / 16 * 4) & 15) as i8)
}

/// Weight `at` in pairs of bits: 32 bytes hold 128 weights, the first 32 of them in the lowest pair.
fn pair(pairs: &[u8], at: usize) -> u8 {
    pairs[at / 128 * 32 + at % 32] >> (at % 128 / 32 * 2) & 3
}
