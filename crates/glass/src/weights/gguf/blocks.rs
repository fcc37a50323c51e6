//! The quantised tensor formats of GGUF, block by block
//! (<https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-common.h>).

mod simple;
mod superblocks;

use glass_kernels::format::{f16_to_f32, f32_to_f16};
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
    /// 32 weights: a power of two, nibbles that are floats of 4 bits.
    Mxfp4,
}

impl Blocks {
    /// All kinds.
    pub const ALL: [Blocks; 13] = [
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
        Blocks::Mxfp4,
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
            Blocks::Mxfp4 => ("MXFP4", 39, BLOCK, 17),
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

    /// The packing for these blocks. It holds the numbers as they are; scales and minima are f16, so those of blocks of 256,
    /// products of an f16 and a small integer, are rounded once.
    pub fn packing(self) -> Packing {
        match self {
            Blocks::Q8_0 => Packing::Q8,
            Blocks::Q6K => Packing::Q6,
            Blocks::Q5_1 | Blocks::Q5K => Packing::Q5m,
            Blocks::Q5_0 => Packing::Q5,
            Blocks::Q4_1 | Blocks::Q4K => Packing::Q4m,
            Blocks::Q4_0 => Packing::Q4,
            Blocks::Iq4Nl | Blocks::Iq4Xs => Packing::Iq4,
            Blocks::Mxfp4 => Packing::Mxfp4,
            Blocks::Q3K => Packing::Q3,
            Blocks::Q2K => Packing::Q2m,
        }
    }

    /// Whole blocks, packed.
    pub fn quants(self, into: &mut [Quants], bytes: &[u8]) {
        let format = self.packing().format().expect("a quantised packing");
        let halves = |[first, last]: [f32; 2]| {
            let first = f32_to_f16(first);
            [first, if format.scales == 1 { first } else { f32_to_f16(last) }]
        };
        self.groups(into, bytes, |into, Group { steps, minima, q }| {
            let minima = if format.minimum { halves(minima) } else { [0; 2] };
            *into = Quants { scales: halves(steps), minima, q };
        });
    }

    /// Appends a block of `Q4_0` or `Q8_0`.
    pub fn put(self, to: &mut Vec<u8>, quants: &Quants) {
        to.extend(quants.scales[0].to_le_bytes());
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
        let format = self.packing().format().expect("a quantised packing");
        self.groups(into.as_chunks_mut::<BLOCK>().0, bytes, |into, Group { steps, minima, q }| {
            for (i, (w, q)) in into.iter_mut().zip(q).enumerate() {
                let number = match format.table {
                    Some(table) => f32::from(table[q as usize]),
                    None => f32::from(q),
                };
                // Not with a minimum of zero, so that a weight of −0 stays one.
                *w = steps[i / 16] * number;
                if format.minimum {
                    *w += minima[i / 16];
                }
            }
        });
    }

    /// Reads whole blocks, `each(into, group)` for every 32 weights.
    fn groups<T>(self, into: &mut [T], bytes: &[u8], each: impl Fn(&mut T, Group)) {
        assert_eq!(bytes.len() / self.bytes() * (self.len() / BLOCK), into.len());
        match self {
            Blocks::Q4_0 => whole(into, bytes, each, simple::q4_0),
            Blocks::Q4_1 => whole(into, bytes, each, simple::q4_1),
            Blocks::Q5_0 => whole(into, bytes, each, simple::q5_0),
            Blocks::Q5_1 => whole(into, bytes, each, simple::q5_1),
            Blocks::Q8_0 => whole(into, bytes, each, simple::q8_0),
            Blocks::Iq4Nl => whole(into, bytes, each, simple::iq4_nl),
            Blocks::Mxfp4 => whole(into, bytes, each, simple::mxfp4),
            Blocks::Q2K => whole(into, bytes, each, superblocks::q2_k),
            Blocks::Q3K => whole(into, bytes, each, superblocks::q3_k),
            Blocks::Q4K => whole(into, bytes, each, superblocks::q4_k),
            Blocks::Q5K => whole(into, bytes, each, superblocks::q5_k),
            Blocks::Q6K => whole(into, bytes, each, superblocks::q6_k),
            Blocks::Iq4Xs => whole(into, bytes, each, superblocks::iq4_xs),
        }
    }
}

/// Reads blocks of this many bytes; `group(block, part)` is group number `part` of 32 weights in a block.
fn whole<const BYTES: usize, T>(
    into: &mut [T],
    bytes: &[u8],
    each: impl Fn(&mut T, Group),
    group: impl Fn(&[u8; BYTES], usize) -> Group,
) {
    let (blocks, rest) = bytes.as_chunks();
    assert!(rest.is_empty(), "whole blocks");
    let parts = into.len() / blocks.len().max(1);
    for (block, into) in blocks.iter().zip(into.chunks_exact_mut(parts.max(1))) {
        into.iter_mut().enumerate().for_each(|(part, into)| each(into, group(block, part)));
    }
}

/// 32 weights: number × step, plus the minimum; the first 16 have the first step and minimum, the others the second.
struct Group {
    steps: [f32; 2],
    minima: [f32; 2],
    /// As in [`Quants`].
    q: [i8; BLOCK],
}

impl Group {
    /// With one step and no minimum.
    fn new(step: f32, q: [i8; BLOCK]) -> Group {
        Group { steps: [step; 2], minima: [0.0; 2], q }
    }
}

fn half(bytes: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// Some bytes of a block.
fn some<const BYTES: usize>(block: &[u8], at: usize) -> &[u8; BYTES] {
    block[at..].first_chunk().expect("a block has these bytes")
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

    /// What is packed are the weights of the file: exactly, or with scales and minima that are rounded to f16.
    #[test]
    fn packed_weights_are_those_of_the_file() {
        let golden: Value =
            serde_json::from_str(include_str!("../../../tests/golden/gguf_blocks.json")).unwrap();
        for blocks in Blocks::ALL {
            let bytes = hex(&golden[blocks.name()]["bytes"]);
            for bytes in bytes.chunks_exact(blocks.bytes()) {
                let mut weights = vec![0.0; blocks.len()];
                blocks.widen(&mut weights, bytes);
                let mut packed = vec![Quants::default(); blocks.len() / BLOCK];
                blocks.quants(&mut packed, bytes);
                let mut minima = vec![[0.0; 2]; packed.len()];
                blocks.groups(&mut minima, bytes, |into, group| *into = group.minima);
                for (part, weights) in weights.chunks_exact(BLOCK).enumerate() {
                    let (packed, minima) = (packed[part].weights(blocks.packing()), minima[part]);
                    for (i, (ours, w)) in packed.into_iter().zip(weights).enumerate() {
                        if blocks.len() == BLOCK {
                            assert_eq!(ours, *w, "{blocks:?}");
                        }
                        // Half a unit of eleven bits, or of the smallest f16.
                        let number = (w - minima[i / 16]).abs();
                        let bound = (number + minima[i / 16].abs()) / 2048.0 + 40.0 / (1 << 25) as f32;
                        assert!((ours - w).abs() <= bound, "{blocks:?} {part} {i}: {ours} for {w}");
                    }
                }
            }
        }
    }

    #[test]
    fn blocks_of_32_come_back() {
        for blocks in [Blocks::Q8_0, Blocks::Q4_0] {
            let bytes: Vec<u8> = (0..blocks.bytes()).map(|i| (i * 37 + 11) as u8).collect();
            let (mut again, mut quants) = (Vec::new(), [Quants::default()]);
            blocks.quants(&mut quants, &bytes);
            blocks.put(&mut again, &quants[0]);
            assert_eq!(again, bytes);
        }
    }
}
