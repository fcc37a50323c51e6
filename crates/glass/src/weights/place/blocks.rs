//! Weights in llama.cpp's blocks.

use glass_kernels::packing::BLOCK;

use super::{Bytes, File, Read, f16_to_f32, times};
use crate::weights::gguf::Blocks;

impl File<'_> {
    /// Number `at` of a tensor in blocks, whose rows are whole blocks.
    pub(super) fn in_block(&self, blocks: Blocks, at: usize) -> Read {
        let (start, i) = (at / blocks.len() * blocks.bytes(), at % blocks.len());
        let mut values = vec![0.0; blocks.len()];
        let whole = self.some(start, blocks.bytes(), "");
        blocks.widen(&mut values, &whole.bytes);
        let value = values[i];
        // The scale, the minimum, the fifth bits, and the numbers of a block follow each other.
        let (scale, minimum) = (f16_to_f32(self.half(start)), f16_to_f32(self.half(start + 2)));
        let scaled = || self.some(start, 2, format!("the scale of its block of 32, a 16-bit float: {scale}"));
        let least =
            || self.some(start + 2, 2, format!("the minimum of its block, a 16-bit float: {minimum}"));
        match blocks {
            Blocks::Q8_0 => {
                let q = i32::from(self.byte(start + 2 + i) as i8);
                let number = self.some(start + 2 + i, 1, format!("the 8-bit number, with its sign: {q}"));
                (vec![number, scaled()], times(q, scale), value)
            }
            Blocks::Q4_0 => {
                let (number, stored) = self.nibble(start + 2, i, " − 8");
                (vec![number, scaled()], times(stored - 8, scale), value)
            }
            Blocks::Q5_0 => {
                let (fifth, bit) = self.fifth(start + 2, i);
                let (number, stored) = self.nibble(start + 6, i, " + 16 × the fifth bit − 16");
                (vec![number, fifth, scaled()], times(stored + 16 * bit - 16, scale), value)
            }
            Blocks::Q4_1 => {
                let (number, stored) = self.nibble(start + 4, i, "");
                let equation = format!("number × scale + minimum = {stored} × {scale} + {minimum}");
                (vec![number, scaled(), least()], equation, value)
            }
            Blocks::Q5_1 => {
                let (fifth, bit) = self.fifth(start + 4, i);
                let (number, stored) = self.nibble(start + 8, i, " + 16 × the fifth bit");
                let q = stored + 16 * bit;
                let equation = format!("number × scale + minimum = {q} × {scale} + {minimum}");
                (vec![number, fifth, scaled(), least()], equation, value)
            }
            Blocks::Mxfp4 => {
                let (number, stored) =
                    self.nibble(start + 1, i, ", a float: a sign, two bits of exponent, one of mantissa");
                let float = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0][stored as usize % 8];
                let (float, byte) = (if stored < 8 { float } else { -float }, self.byte(start));
                let power = 2f32.powi(i32::from(byte) - 127);
                let means = format!("the scale of its block of 32, 2 to the power of {byte} − 127: {power}");
                let equation = format!("float × scale = {float} × {power}");
                (vec![number, self.some(start, 1, means)], equation, value)
            }
            Blocks::Iq4Nl => {
                let (number, _) = self.nibble(start + 2, i, ", the place of a number in a fixed list of 16");
                (vec![number, scaled()], "the number in the list × scale".into(), value)
            }
            _ => {
                let (name, len) = (blocks.name(), blocks.len());
                let means =
                    format!("the whole block of {len} weights, of which this is number {i}, counted from 0");
                let equation = format!(
                    "{name} spreads a weight over several bytes of its block, with scales of its own for parts of it"
                );
                (vec![Bytes { means, ..whole }], equation, value)
            }
        }
    }

    /// Weight `i` of 32 in nibbles: the byte, and the nibble.
    fn nibble(&self, nibbles: usize, i: usize, then: &str) -> (Bytes, i32) {
        let at = nibbles + i % (BLOCK / 2);
        let (stored, which) = match i < BLOCK / 2 {
            true => (self.byte(at) & 15, "lower"),
            false => (self.byte(at) >> 4, "upper"),
        };
        (self.some(at, 1, format!("the {which} 4 bits: {stored}{then}")), stored.into())
    }

    /// The fifth bit of weight `i`.
    fn fifth(&self, bits: usize, i: usize) -> (Bytes, i32) {
        let (at, bit) = (bits + i / 8, i % 8);
        let stored = self.byte(at) >> bit & 1;
        (self.some(at, 1, format!("the fifth bit, bit {bit} of this byte: {stored}")), stored.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn hex(text: &Value) -> Vec<u8> {
        let pairs = text.as_str().unwrap().as_bytes().chunks(2);
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// The values are those that the `gguf` package reads from the same blocks, and the numbers named give them.
    #[test]
    fn every_kind_of_block_says_what_the_gguf_package_reads() {
        let golden = include_str!("../../../tests/golden/gguf_blocks.json");
        let golden: Value = serde_json::from_str(golden).unwrap();
        for blocks in Blocks::ALL {
            let bytes = [vec![1, 2, 3], hex(&golden[blocks.name()]["bytes"])].concat();
            let file = File { bytes: &bytes, tensor: 3..bytes.len() };
            let weights = hex(&golden[blocks.name()]["weights"]);
            for (at, expected) in weights.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).enumerate() {
                let (places, equation, value) = file.in_block(blocks, at);
                assert_eq!(value, expected, "{blocks:?} {at}");
                assert!(places.iter().all(|one| bytes[one.offset..].starts_with(&one.bytes)));
                let numbers: Vec<f32> =
                    equation.split([' ', '=']).filter_map(|word| word.parse().ok()).collect();
                match numbers[..] {
                    [q, scale] => assert_eq!(q * scale, expected, "{blocks:?} {at}: {equation}"),
                    [q, scale, minimum] => assert_eq!(q * scale + minimum, expected, "{blocks:?} {at}"),
                    _ => assert!(blocks.len() == 256 || blocks == Blocks::Iq4Nl, "{blocks:?}: {equation}"),
                }
            }
        }
    }
}
