//! Quantised tensors of GGUF, block by block
//! (<https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-common.h>): what their bytes mean.

use glass_kernels::format::f16_to_f32;
use glass_kernels::packing::{BLOCK, Quants};

/// A kind of block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocks {
    /// 32 weights: an f16 scale, bytes.
    Q8_0,
    /// 32 weights: an f16 scale, nibbles; the first 16 weights are the lower ones.
    Q4_0,
    /// 256 weights: two f16 scales, eight pairs of 6-bit scale and minimum, nibbles.
    Q4K,
    /// 256 weights: lower nibbles, upper pairs of bits, sixteen 8-bit scales, an f16 scale.
    Q6K,
}

impl Blocks {
    /// All of them.
    pub const ALL: [Blocks; 4] = [Blocks::Q8_0, Blocks::Q4_0, Blocks::Q4K, Blocks::Q6K];

    /// As llama.cpp calls it.
    pub fn name(self) -> &'static str {
        match self {
            Blocks::Q8_0 => "Q8_0",
            Blocks::Q4_0 => "Q4_0",
            Blocks::Q4K => "Q4_K",
            Blocks::Q6K => "Q6_K",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Blocks> {
        Blocks::ALL.into_iter().find(|blocks| blocks.name() == name)
    }

    /// Its number in a file.
    pub fn number(self) -> u32 {
        match self {
            Blocks::Q4_0 => 2,
            Blocks::Q8_0 => 8,
            Blocks::Q4K => 12,
            Blocks::Q6K => 14,
        }
    }

    /// Weights of a block.
    pub fn len(self) -> usize {
        match self {
            Blocks::Q8_0 | Blocks::Q4_0 => BLOCK,
            Blocks::Q4K | Blocks::Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub fn bytes(self) -> usize {
        match self {
            Blocks::Q8_0 => 34,
            Blocks::Q4_0 => 18,
            Blocks::Q4K => 144,
            Blocks::Q6K => 210,
        }
    }

    /// A block of 32 as it is; none where the format has no such blocks.
    pub fn quants(self, bytes: &[u8]) -> Option<Quants> {
        let scale = u16::from_le_bytes([bytes[0], bytes[1]]);
        let stored = &bytes[2..];
        let q = match self {
            Blocks::Q8_0 => std::array::from_fn(|i| stored[i] as i8),
            Blocks::Q4_0 => std::array::from_fn(|i| (stored[i % 16] >> (i / 16 * 4) & 15) as i8 - 8),
            Blocks::Q4K | Blocks::Q6K => return None,
        };
        Some(Quants { scale, q })
    }

    /// The other way, for blocks of 32.
    pub fn put(self, to: &mut Vec<u8>, quants: &Quants) {
        to.extend(quants.scale.to_le_bytes());
        match self {
            Blocks::Q4_0 => {
                let nibble = |i: usize| (quants.q[i] + 8) as u8;
                to.extend((0..16).map(|i| nibble(i) | nibble(i + 16) << 4));
            }
            _ => to.extend(quants.q.map(|q| q as u8)),
        }
    }

    /// Bytes of whole blocks as floats.
    pub fn widen(self, into: &mut [f32], bytes: &[u8]) {
        assert_eq!(bytes.len(), into.len() / self.len() * self.bytes());
        for (into, bytes) in into.chunks_exact_mut(self.len()).zip(bytes.chunks_exact(self.bytes())) {
            match self {
                Blocks::Q4K => widen_q4_k(into, bytes),
                Blocks::Q6K => widen_q6_k(into, bytes),
                _ => {
                    let Quants { scale, q } = self.quants(bytes).expect("blocks of 32");
                    into.iter_mut().zip(q).for_each(|(w, q)| *w = f32::from(q) * f16_to_f32(scale));
                }
            }
        }
    }
}

fn half(bytes: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// Eight groups of 32: `w = scale × q − minimum`, both in 6 bits of a common scale.
fn widen_q4_k(into: &mut [f32], bytes: &[u8]) {
    let (scale, minimum, packed, nibbles) = (half(bytes, 0), half(bytes, 2), &bytes[4..16], &bytes[16..]);
    for (group, into) in into.chunks_exact_mut(32).enumerate() {
        // Of the last four groups the upper two bits stand above the scales and minima of the first four.
        let (s, m) = match group {
            0..4 => (packed[group] & 63, packed[group + 4] & 63),
            _ => (
                packed[group + 4] & 15 | packed[group - 4] >> 6 << 4,
                packed[group + 4] >> 4 | packed[group] >> 6 << 4,
            ),
        };
        let (s, m) = (scale * f32::from(s), minimum * f32::from(m));
        for (w, byte) in into.iter_mut().zip(&nibbles[group / 2 * 32..]) {
            *w = s * f32::from(byte >> (group % 2 * 4) & 15) - m;
        }
    }
}

/// Sixteen groups of 16: `w = scale × (q − 32)`.
fn widen_q6_k(into: &mut [f32], bytes: &[u8]) {
    let (lower, upper, scales, scale) = (&bytes[..128], &bytes[128..192], &bytes[192..208], half(bytes, 208));
    for (i, w) in into.iter_mut().enumerate() {
        // Halves of 128, in each four runs of 32: lower nibbles of two rows of bytes, then upper ones.
        let (part, run, l) = (i / 128, i % 128 / 32, i % 32);
        let nibble = lower[part * 64 + run % 2 * 32 + l] >> (run / 2 * 4) & 15;
        let bits = upper[part * 32 + l] >> (run * 2) & 3;
        let q = i32::from(nibble | bits << 4) - 32;
        *w = scale * f32::from(scales[i / 16] as i8) * q as f32;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What the `gguf` package reads out of random blocks (`tools/gguf_goldens.py`).
    #[test]
    fn blocks_hold_what_the_gguf_package_reads() {
        let golden: Value =
            serde_json::from_str(include_str!("../../../tests/golden/gguf_blocks.json")).unwrap();
        for blocks in Blocks::ALL {
            let golden = &golden[blocks.name()];
            let hex = golden["bytes"].as_str().unwrap().as_bytes().chunks(2);
            let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            let bytes: Vec<u8> = hex.map(byte).collect();
            let expected: Vec<f32> = serde_json::from_value(golden["weights"].clone()).unwrap();
            let mut weights = vec![0.0; expected.len()];
            blocks.widen(&mut weights, &bytes);
            for (ours, theirs) in weights.iter().zip(&expected) {
                assert!((ours - theirs).abs() <= 1e-6 * theirs.abs(), "{blocks:?}: {ours}, not {theirs}");
            }
        }
    }

    #[test]
    fn blocks_of_32_come_back() {
        for blocks in [Blocks::Q8_0, Blocks::Q4_0] {
            let bytes: Vec<u8> = (0..blocks.bytes()).map(|i| (i * 37 + 11) as u8).collect();
            let mut again = Vec::new();
            blocks.put(&mut again, &blocks.quants(&bytes).unwrap());
            assert_eq!(again, bytes);
        }
    }
}
