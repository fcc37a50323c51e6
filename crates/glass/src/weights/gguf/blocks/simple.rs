//! Blocks of 32 weights: a scale, perhaps a minimum, and the numbers. Each is one group, number 0.

use glass_kernels::packing::BLOCK;

use super::{Group, half, some};

/// `w = scale × q`, q in 4 bits.
pub fn q4_0(block: &[u8; 18], _: usize) -> Group {
    Group::new(half(block, 0), nibbles(some(block, 2)).map(|q| q - 8))
}

/// `w = scale × q + minimum`, q in 4 bits.
pub fn q4_1(block: &[u8; 20], _: usize) -> Group {
    Group { minima: [half(block, 2); 2], ..Group::new(half(block, 0), nibbles(some(block, 4))) }
}

/// `w = scale × q`, q in 5 bits.
pub fn q5_0(block: &[u8; 22], _: usize) -> Group {
    Group::new(half(block, 0), five_bits(some(block, 2), some(block, 6)).map(|q| q - 16))
}

/// `w = scale × q + minimum`, q in 5 bits.
pub fn q5_1(block: &[u8; 24], _: usize) -> Group {
    let q = five_bits(some(block, 4), some(block, 8));
    Group { minima: [half(block, 2); 2], ..Group::new(half(block, 0), q) }
}

/// `w = scale × q`, q in 8 bits.
pub fn q8_0(block: &[u8; 34], _: usize) -> Group {
    Group::new(half(block, 0), some(block, 2).map(|q: u8| q as i8))
}

/// `w = scale × value`, one of sixteen values.
pub fn iq4_nl(block: &[u8; 18], _: usize) -> Group {
    Group::new(half(block, 0), nibbles(some(block, 2)))
}

/// `w = scale × value`, a power of two and a float of 4 bits.
pub fn mxfp4(block: &[u8; 17], _: usize) -> Group {
    Group::new(half_power(block[0]), nibbles(some(block, 1)))
}

/// The first 16 weights are the lower nibbles.
fn nibbles(nibbles: &[u8; BLOCK / 2]) -> [i8; BLOCK] {
    std::array::from_fn(|i| (nibbles[i % 16] >> (i / 16 * 4) & 15) as i8)
}

/// Fifth bits and nibbles.
fn five_bits(fifth: &[u8; BLOCK / 8], lower: &[u8; BLOCK / 2]) -> [i8; BLOCK] {
    let (fifth, lower) = (u32::from_le_bytes(*fifth), nibbles(lower));
    std::array::from_fn(|i| lower[i] + (fifth >> i & 1) as i8 * 16)
}

/// Half of the power of two that a byte stands for: 2^(byte − 128). The values of `MXFP4` are twice as large in tables.
fn half_power(byte: u8) -> f32 {
    f32::from_bits(match byte {
        0 | 1 => 0x0020_0000 << byte,
        _ => (u32::from(byte) - 1) << 23,
    })
}
