//! The quantised tensor formats of GGUF, block by block
//! (<https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-common.h>).

mod superblocks;

use glass_kernels::format::f16_to_f32;
use glass_kernels::packing::{BLOCK, Quants};

use crate::backend::Packing;

/// A kind of block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocks {
    /// 32 weights: an f16 scale, nibbles; the first 16 weights are the lower ones.
    Q4_0,
    /// The same with an f16 minimum.
    Q4_1,
    /// 32 weights: an f16 scale, the fifth bits, nibbles.
    Q5_0,
    /// The same with an f16 minimum.
    Q5_1,
    /// 32 weights: an f16 scale, bytes.
    Q8_0,
    /// 256 weights: sixteen pairs of 4-bit scale and minimum, pairs of bits, two f16 scales.
    Q2K,
    /// 256 weights: third bits, pairs of bits, sixteen 6-bit scales, an f16 scale.
    Q3K,
    /// 256 weights: two f16 scales, eight pairs of 6-bit scale and minimum, nibbles.
    Q4K,
    /// The same with fifth bits before the nibbles.
    Q5K,
    /// 256 weights: lower nibbles, upper pairs of bits, sixteen 8-bit scales, an f16 scale.
    Q6K,
    /// 32 weights: an f16 scale, nibbles that index sixteen values.
    Iq4Nl,
    /// 256 weights: an f16 scale, eight 6-bit scales, nibbles that index sixteen values.
    Iq4Xs,
}

/// The values that the nibbles of `IQ4_NL` and `IQ4_XS` index.
const IQ4_VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

impl Blocks {
    /// All kinds.
    pub const ALL: [Blocks; 12] = [
        Blocks::Q4_0,
        Blocks::Q4_1,
        Blocks::Q5_0,
        Blocks::Q5_1,
        Blocks::Q8_0,
        Blocks::Q2K,
        Blocks::Q3K,
        Blocks::Q4K,
        Blocks::Q5K,
        Blocks::Q6K,
        Blocks::Iq4Nl,
        Blocks::Iq4Xs,
    ];

    /// Its name, its number in a file, and the weights and bytes of a block.
    fn about(self) -> (&'static str, u32, usize, usize) {
        match self {
            Blocks::Q4_0 => ("Q4_0", 2, BLOCK, 18),
            Blocks::Q4_1 => ("Q4_1", 3, BLOCK, 20),
            Blocks::Q5_0 => ("Q5_0", 6, BLOCK, 22),
            Blocks::Q5_1 => ("Q5_1", 7, BLOCK, 24),
            Blocks::Q8_0 => ("Q8_0", 8, BLOCK, 34),
            Blocks::Q2K => ("Q2_K", 10, 256, 84),
            Blocks::Q3K => ("Q3_K", 11, 256, 110),
            Blocks::Q4K => ("Q4_K", 12, 256, 144),
            Blocks::Q5K => ("Q5_K", 13, 256, 176),
            Blocks::Q6K => ("Q6_K", 14, 256, 210),
            Blocks::Iq4Nl => ("IQ4_NL", 20, BLOCK, 18),
            Blocks::Iq4Xs => ("IQ4_XS", 23, 256, 136),
        }
    }

    /// llama.cpp's name.
    pub fn name(self) -> &'static str {
        self.about().0
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Blocks> {
        Blocks::ALL.into_iter().find(|blocks| blocks.name() == name)
    }

    /// Its number in a file.
    pub fn number(self) -> u32 {
        self.about().1
    }

    /// Weights of a block.
    pub fn len(self) -> usize {
        self.about().2
    }

    /// Bytes of a block.
    pub fn bytes(self) -> usize {
        self.about().3
    }

    /// The packing for these blocks: exact, or, if they have a minimum or a scale for 16 weights, the best approximation
    /// in 8 bits.
    pub fn packing(self) -> Packing {
        match self {
            Blocks::Q4_0 => Packing::Q4,
            _ => Packing::Q8,
        }
    }

    /// Group number `part` of 32 weights in a block, packed.
    pub fn quants(self, bytes: &[u8], part: usize) -> Quants {
        self.exactly(bytes).unwrap_or_else(|| {
            let mut weights = [0.0; BLOCK];
            let steps = self.part(&mut weights, bytes, part);
            Quants::on_steps(&weights, &steps)
        })
    }

    /// A block in packed form, if a packing represents its kind exactly.
    fn exactly(self, bytes: &[u8]) -> Option<Quants> {
        let scale = u16::from_le_bytes([bytes[0], bytes[1]]);
        let stored = &bytes[2..];
        let q = match self {
            Blocks::Q8_0 => std::array::from_fn(|i| stored[i] as i8),
            Blocks::Q4_0 => std::array::from_fn(|i| nibble(stored, i) as i8 - 8),
            Blocks::Q5_0 => std::array::from_fn(|i| five_bits(stored, i) as i8 - 16),
            Blocks::Iq4Nl => std::array::from_fn(|i| IQ4_VALUES[usize::from(nibble(stored, i))]),
            _ => return None,
        };
        Some(Quants { scale, q })
    }

    /// Appends a block of `Q4_0` or `Q8_0`.
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

    /// Converts whole blocks to floats.
    pub fn widen(self, into: &mut [f32], bytes: &[u8]) {
        assert_eq!(bytes.len(), into.len() / self.len() * self.bytes());
        for (into, bytes) in into.chunks_exact_mut(self.len()).zip(bytes.chunks_exact(self.bytes())) {
            for (part, into) in into.as_chunks_mut().0.iter_mut().enumerate() {
                self.part(into, bytes, part);
            }
        }
    }

    /// Group number `part` of 32 weights in a block. Returns two steps: the first 16 weights are multiples of the first
    /// one, the others of the second, apart from a minimum.
    fn part(self, into: &mut [f32; BLOCK], bytes: &[u8], part: usize) -> [f32; 2] {
        match self {
            Blocks::Q4_1 => q4_1(into, bytes),
            Blocks::Q5_1 => q5_1(into, bytes),
            Blocks::Q2K => superblocks::q2_k(into, bytes, part),
            Blocks::Q3K => superblocks::q3_k(into, bytes, part),
            Blocks::Q4K => superblocks::q4_k(into, bytes, part),
            Blocks::Q5K => superblocks::q5_k(into, bytes, part),
            Blocks::Q6K => superblocks::q6_k(into, bytes, part),
            Blocks::Iq4Xs => superblocks::iq4_xs(into, bytes, part),
            Blocks::Q4_0 | Blocks::Q5_0 | Blocks::Q8_0 | Blocks::Iq4Nl => {
                let Quants { scale, q } = self.exactly(bytes).expect("a packing holds them");
                let scale = f16_to_f32(scale);
                *into = q.map(|q| f32::from(q) * scale);
                [scale; 2]
            }
        }
    }
}

fn half(bytes: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// Weight `i` of 32 in nibbles.
fn nibble(nibbles: &[u8], i: usize) -> u8 {
    nibbles[i % 16] >> (i / 16 * 4) & 15
}

/// Weight `i` of 32 in fifth bits and nibbles.
fn five_bits(stored: &[u8], i: usize) -> u8 {
    nibble(&stored[4..], i) | (stored[i / 8] >> (i % 8) & 1) << 4
}

fn q4_1(into: &mut [f32; BLOCK], bytes: &[u8]) -> [f32; 2] {
    let (scale, minimum) = (half(bytes, 0), half(bytes, 2));
    *into = std::array::from_fn(|i| scale * f32::from(nibble(&bytes[4..], i)) + minimum);
    [scale; 2]
}

fn q5_1(into: &mut [f32; BLOCK], bytes: &[u8]) -> [f32; 2] {
    let (scale, minimum) = (half(bytes, 0), half(bytes, 2));
    *into = std::array::from_fn(|i| scale * f32::from(five_bits(&bytes[4..], i)) + minimum);
    [scale; 2]
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Values that the `gguf` package reads from random blocks (`tools/gguf_goldens.py`).
    #[test]
    fn blocks_hold_what_the_gguf_package_reads() {
        let golden: Value =
            serde_json::from_str(include_str!("../../../tests/golden/gguf_blocks.json")).unwrap();
        for blocks in Blocks::ALL {
            let golden = &golden[blocks.name()];
            let bytes = hex(&golden["bytes"]);
            let expected: Vec<f32> =
                hex(&golden["weights"]).as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            let mut weights = vec![0.0; expected.len()];
            blocks.widen(&mut weights, &bytes);
            for (ours, theirs) in weights.iter().zip(&expected) {
                assert_eq!(ours, theirs, "{blocks:?}");
            }
        }
    }

    fn hex(text: &Value) -> Vec<u8> {
        let pairs = text.as_str().unwrap().as_bytes().chunks(2);
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// Weights that are rounded again to 8 bits have only a part of the error of the usual scale.
    #[test]
    fn steps_of_the_file_make_the_error_less() {
        let golden: Value =
            serde_json::from_str(include_str!("../../../tests/golden/gguf_blocks.json")).unwrap();
        for (blocks, share) in [
            (Blocks::Q4_1, 0.2),
            (Blocks::Q5_1, 0.5),
            (Blocks::Q2K, 0.9),
            (Blocks::Q3K, 0.1),
            (Blocks::Q4K, 0.8),
            (Blocks::Q5K, 0.7),
            (Blocks::Q6K, 0.9),
            (Blocks::Iq4Xs, 0.1),
        ] {
            let bytes = hex(&golden[blocks.name()]["bytes"]);
            let (mut found, mut usual) = (0.0, 0.0);
            for bytes in bytes.chunks_exact(blocks.bytes()) {
                for part in 0..blocks.len() / BLOCK {
                    let mut weights = [0.0; BLOCK];
                    blocks.part(&mut weights, bytes, part);
                    let error = |Quants { scale, q }: Quants| -> f64 {
                        let back = q.iter().map(|&q| f32::from(q) * f16_to_f32(scale));
                        back.zip(weights).map(|(a, b)| f64::from(a - b).powi(2)).sum()
                    };
                    found += error(blocks.quants(bytes, part));
                    usual += error(Quants::of(Packing::Q8, &weights));
                }
            }
            assert!(found <= usual * share * share, "{blocks:?}: {}", (found / usual).sqrt());
        }
    }

    #[test]
    fn blocks_of_32_come_back() {
        for blocks in [Blocks::Q8_0, Blocks::Q4_0] {
            let bytes: Vec<u8> = (0..blocks.bytes()).map(|i| (i * 37 + 11) as u8).collect();
            let mut again = Vec::new();
            blocks.put(&mut again, &blocks.quants(&bytes, 0));
            assert_eq!(again, bytes);
        }
    }
}
