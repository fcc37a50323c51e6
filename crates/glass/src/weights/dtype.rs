//! The dtype of stored weights: f64, f32, or one of two 16-bit floats.

use glass_kernels::format::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};

/// The dtype of a stored weight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dtype {
    /// 64 bits; rounded to f32 when read.
    F64,
    /// 32 bits.
    F32,
    /// IEEE 754 half precision: 5 bits of exponent, 10 of fraction.
    F16,
    /// The upper half of an f32: 8 bits of exponent, 7 of fraction.
    Bf16,
}

impl Dtype {
    /// Bytes of one weight.
    pub fn bytes(self) -> usize {
        match self {
            Dtype::F64 => 8,
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::Bf16 => 2,
        }
    }

    /// Its name in `config.json`.
    pub fn torch_name(self) -> &'static str {
        match self {
            Dtype::F64 => "float64",
            Dtype::F32 => "float32",
            Dtype::F16 => "float16",
            Dtype::Bf16 => "bfloat16",
        }
    }

    /// `into = bytes` as f32: exact, except that f64 is rounded to nearest.
    pub fn widen(self, into: &mut [f32], bytes: &[u8]) {
        assert_eq!(bytes.len(), into.len() * self.bytes());
        match self {
            Dtype::F64 => each(into, bytes, |b: [u8; 8]| f64::from_le_bytes(b) as f32),
            Dtype::F32 => each(into, bytes, |b: [u8; 4]| f32::from_le_bytes(b)),
            Dtype::F16 => each(into, bytes, |b: [u8; 2]| f16_to_f32(u16::from_le_bytes(b))),
            Dtype::Bf16 => each(into, bytes, |b: [u8; 2]| bf16_to_f32(u16::from_le_bytes(b))),
        }
    }

    /// Appends `values` to `bytes`, each rounded to nearest, ties to even.
    pub fn narrow(self, bytes: &mut Vec<u8>, values: &[f32]) {
        match self {
            Dtype::F64 => bytes.extend(values.iter().flat_map(|&x| f64::from(x).to_le_bytes())),
            Dtype::F32 => bytes.extend(values.iter().flat_map(|x| x.to_le_bytes())),
            Dtype::F16 => bytes.extend(values.iter().flat_map(|&x| f32_to_f16(x).to_le_bytes())),
            Dtype::Bf16 => bytes.extend(values.iter().flat_map(|&x| f32_to_bf16(x).to_le_bytes())),
        }
    }
}

fn each<const N: usize>(into: &mut [f32], bytes: &[u8], number: impl Fn([u8; N]) -> f32) {
    let (numbers, _) = bytes.as_chunks::<N>();
    for (x, &b) in into.iter_mut().zip(numbers) {
        *x = number(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_16_bit_float_comes_back() {
        for x in 0..=u16::MAX {
            assert_eq!(f32_to_f16(f16_to_f32(x)), x, "f16 {x:#06x}");
            assert_eq!(f32_to_bf16(bf16_to_f32(x)), x, "bf16 {x:#06x}");
        }
    }
}
