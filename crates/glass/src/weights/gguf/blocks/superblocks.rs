//! Blocks of 256 weights: groups of 16 or 32, each with its own small scale (and minimum), in units of the block's.
//!
//! Every function reads 32 weights, number `part` of eight.

use glass_kernels::packing::BLOCK;

use super::{Group, half, some};

/// Sixteen groups of 16: `w = scale × q − minimum`, both in 4 bits; q in 2 bits.
pub fn q2_k(bytes: &[u8; 84], part: usize) -> Group {
    let scales: &[u8; 16] = some(bytes, 0);
    let (scale, minimum) = (half(bytes, 80), half(bytes, 82));
    let groups = [2 * part, 2 * part + 1];
    Group {
        steps: groups.map(|group| scale * f32::from(scales[group] & 15)),
        minima: groups.map(|group| -(minimum * f32::from(scales[group] >> 4))),
        q: pairs(bytes, 16, part),
    }
}

/// Sixteen groups of 16: `w = scale × q`, scale in 6 bits, q in 3: two bits together, one stored
/// separately, inverted.
pub fn q3_k(bytes: &[u8; 110], part: usize) -> Group {
    let (uppers, scales, scale) = (some::<32>(bytes, 0), some::<12>(bytes, 96), half(bytes, 108));
    let steps = [2 * part, 2 * part + 1].map(|group| {
        let lower = scales[group % 8] >> (group / 8 * 4) & 15;
        let upper = scales[8 + group % 4] >> (group / 4 * 2) & 3;
        scale * (f32::from(lower | upper << 4) - 32.0)
    });
    let lower = pairs(bytes, 32, part);
    let q = std::array::from_fn(|i| (lower[i] + (uppers[i] >> part & 1) as i8 * 4) - 4);
    Group { steps, ..Group::new(0.0, q) }
}

/// Eight groups of 32: `w = scale × q − minimum`, both in 6 bits; q in 4.
pub fn q4_k(bytes: &[u8; 144], part: usize) -> Group {
    let (scale, minimum) = scale_and_minimum(bytes, part);
    let q = nibbles(some(bytes, 16 + part / 2 * 32), part % 2);
    Group { minima: [-minimum; 2], ..Group::new(scale, q) }
}

/// The same with q in 5 bits, the highest bit stored separately.
pub fn q5_k(bytes: &[u8; 176], part: usize) -> Group {
    let (scale, minimum) = scale_and_minimum(bytes, part);
    let (uppers, lower) = (some::<32>(bytes, 16), nibbles(some(bytes, 48 + part / 2 * 32), part % 2));
    let q = std::array::from_fn(|i| lower[i] + (uppers[i] >> part & 1) as i8 * 16);
    Group { minima: [-minimum; 2], ..Group::new(scale, q) }
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
pub fn q6_k(bytes: &[u8; 210], part: usize) -> Group {
    let steps = [2 * part, 2 * part + 1].map(|group| half(bytes, 208) * f32::from(bytes[192 + group] as i8));
    // In each half of the block, 64 bytes of nibbles hold 128 weights, and 32 bytes hold their upper pairs of bits.
    let (half, line) = (part / 4, part % 4);
    let lower = nibbles(some(bytes, half * 64 + line % 2 * 32), line / 2);
    let uppers: &[u8; 32] = some(bytes, 128 + half * 32);
    let q = std::array::from_fn(|i| (lower[i] + (uppers[i] >> (line * 2) & 3) as i8 * 16) - 32);
    Group { steps, ..Group::new(0.0, q) }
}

/// Eight groups of 32: `w = scale × value`, scale in 6 bits, one of sixteen values.
pub fn iq4_xs(bytes: &[u8; 136], part: usize) -> Group {
    let (scale, uppers) = (half(bytes, 0), u16::from_le_bytes([bytes[2], bytes[3]]));
    let (lower, nibbles) = (bytes[4 + part / 2] >> (part % 2 * 4) & 15, some::<16>(bytes, 8 + part * 16));
    let scale = scale * (f32::from(lower | ((uppers >> (part * 2) & 3) as u8) << 4) - 32.0);
    Group::new(scale, std::array::from_fn(|i| (nibbles[i % 16] >> (i / 16 * 4) & 15) as i8))
}

/// The lower or the upper nibbles of bytes.
fn nibbles(bytes: &[u8; BLOCK], upper: usize) -> [i8; BLOCK] {
    bytes.map(|byte| (byte >> (upper * 4) & 15) as i8)
}

/// Numbers in pairs of bits, which begin at a byte: 32 bytes hold 128 weights, the first 32 of them in the lowest pair.
fn pairs(bytes: &[u8], at: usize, part: usize) -> [i8; BLOCK] {
    some(bytes, at + part / 4 * 32).map(|byte: u8| (byte >> (part % 4 * 2) & 3) as i8)
}
