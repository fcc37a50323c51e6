//! How a weight is stored: f32, or one of two 16-bit floats.

/// How a weight is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dtype {
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
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::Bf16 => 2,
        }
    }

    /// As `config.json` names it.
    pub fn torch_name(self) -> &'static str {
        match self {
            Dtype::F32 => "float32",
            Dtype::F16 => "float16",
            Dtype::Bf16 => "bfloat16",
        }
    }

    /// `into = bytes`, widened; nothing is lost.
    pub fn widen(self, into: &mut [f32], bytes: &[u8]) {
        assert_eq!(bytes.len(), into.len() * self.bytes());
        match self {
            Dtype::F32 => each(into, bytes, |b: [u8; 4]| f32::from_le_bytes(b)),
            Dtype::F16 => each(into, bytes, |b: [u8; 2]| f16_to_f32(u16::from_le_bytes(b))),
            Dtype::Bf16 => each(into, bytes, |b: [u8; 2]| bf16_to_f32(u16::from_le_bytes(b))),
        }
    }

    /// Appends `values` to `bytes`, each rounded to the nearest, ties to even.
    pub fn narrow(self, bytes: &mut Vec<u8>, values: &[f32]) {
        match self {
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

fn bf16_to_f32(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}

fn f32_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        // A fraction that the cut makes zero would turn it into an infinity.
        let cut = (bits >> 16) as u16;
        return if cut & 0x7f == 0 { cut | 0x40 } else { cut };
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

fn f16_to_f32(x: u16) -> f32 {
    const EXPONENT: u32 = 0x7c00 << 13;
    let sign = u32::from(x & 0x8000) << 16;
    let rest = u32::from(x & 0x7fff) << 13;
    let bits = match rest & EXPONENT {
        // Infinities and NaNs keep the largest exponent, and their fraction.
        EXPONENT => rest + (224 << 23),
        // Subnormal: below the smallest normal one, 2⁻¹⁴, as many steps of 2⁻²⁴ as the fraction says.
        0 => (f32::from_bits(rest + (113 << 23)) - f32::from_bits(113 << 23)).to_bits(),
        _ => rest + (112 << 23),
    };
    f32::from_bits(sign | bits)
}

fn f32_to_f16(x: f32) -> u16 {
    let bits = x.to_bits();
    let (sign, rest) = ((bits >> 16 & 0x8000) as u16, bits & 0x7fff_ffff);
    let magnitude = if x.is_nan() {
        let fraction = (rest >> 13 & 0x3ff) as u16;
        0x7c00 | if fraction == 0 { 0x200 } else { fraction }
    } else if rest < 113 << 23 {
        // Below 2⁻¹⁴: adding a half puts the last bit at 2⁻²⁴, and the addition rounds.
        ((f32::from_bits(rest) + 0.5).to_bits() - 0.5f32.to_bits()) as u16
    } else {
        // Rounding may carry into the exponent, up to infinity.
        let rounded = rest + 0xfff + (rest >> 13 & 1) - (112 << 23);
        (rounded >> 13).min(0x7c00) as u16
    };
    sign | magnitude
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

    #[test]
    fn rounds_to_the_nearest_ties_to_even() {
        for x in 0..0x7c00u16 {
            // Halfway to the next float, and a hair to either side of it.
            let (low, high) = (f16_to_f32(x), f16_to_f32(x + 1));
            let middle = if x == 0x7bff { 65520.0 } else { (low + high) / 2.0 };
            assert_eq!(f32_to_f16(middle), x + (x & 1), "{middle}");
            assert_eq!(f32_to_f16(middle.next_down()), x);
            assert_eq!(f32_to_f16(middle.next_up()), x + 1);
        }
        for x in 0..0x7f7fu16 {
            let middle = f32::from_bits((u32::from(x) << 16) + 0x8000);
            assert_eq!(f32_to_bf16(middle), x + (x & 1));
            assert_eq!(f32_to_bf16(middle.next_down()), x);
            assert_eq!(f32_to_bf16(middle.next_up()), x + 1);
        }
        let known =
            [(1.0, 0x3c00), (-2.0, 0xc000), (65504.0, 0x7bff), (f32::MAX, 0x7c00), (5.960_464_5e-8, 1)];
        for (x, half) in known {
            assert_eq!(f32_to_f16(x), half);
        }
    }
}
