//! Conversions between f32 and 16-bit floats: bf16 (the upper half of an f32) and f16 (IEEE 754 binary16). To 16
//! bits, rounding is to nearest, ties to even; numbers that are too large become infinite; NaN stays NaN, with as
//! much of its payload as fits. To f32, the conversion is exact. Plain loops without branches, which the compiler
//! vectorises.

/// bf16 to f32.
#[inline]
pub fn bf16_to_f32(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}

/// f32 to bf16.
#[inline(always)]
pub fn f32_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    // Half of the last kept place, minus one bit if that place is even: a tie rounds up only from an odd one.
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    // A NaN whose payload would be truncated to zero, which would make it infinity, is made quiet.
    let payload = bits | if bits & 0x007f_0000 == 0 { 0x0040_0000 } else { 0 };
    (if x.is_nan() { payload } else { rounded } >> 16) as u16
}

/// f16 to f32.
#[inline]
pub fn f16_to_f32(x: u16) -> f32 {
    let (sign, magnitude) = (u32::from(x & 0x8000) << 16, u32::from(x & 0x7fff));
    // The exponent's bias is changed from 15 to 127 by a multiplication, which is exact and handles subnormals too.
    let scaled = f32::from_bits(magnitude << 13) * f32::from_bits((254 - 15) << 23);
    let beyond = magnitude << 13 | 0x7f80_0000;
    f32::from_bits(sign | if magnitude >= 0x7c00 { beyond } else { scaled.to_bits() })
}

/// f32 to f16.
#[inline]
pub fn f32_to_f16(x: f32) -> u16 {
    let bits = x.to_bits();
    let (sign, magnitude) = ((bits >> 16 & 0x8000) as u16, bits & 0x7fff_ffff);
    // 65520 is half-way between the largest f16 and the next number.
    let infinite = magnitude >= 65520f32.to_bits();
    // Subnormal results: after adding 0.5, whose last place is the same as theirs (2^-24), the sum is rounded
    // correctly.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    // Normal results: as in bf16, 13 places are rounded off; the exponent's bias changes from 127 to 15.
    let normal = magnitude.wrapping_sub((127 - 15) << 23).wrapping_add(0x0fff + (magnitude >> 13 & 1)) >> 13;
    let finite = if magnitude < (113 << 23) { subnormal } else { normal };
    let result = if infinite { 0x7c00 } else { finite };
    let payload = magnitude >> 13 & 0x3ff;
    let nan = 0x7c00 | if payload == 0 { 0x200 } else { payload };
    sign | if x.is_nan() { nan } else { result } as u16
}

macro_rules! slices {
    ($(#[$meta:meta])* $name:ident, $one:path, $from:ty => $to:ty) => {
        $(#[$meta])*
        pub fn $name(to: &mut [$to], from: &[$from]) {
            assert_eq!(to.len(), from.len());
            for (to, from) in to.iter_mut().zip(from) {
                *to = $one(*from);
            }
        }
    };
}

slices!(
    /// bf16 to f32, element by element.
    from_bf16, bf16_to_f32, u16 => f32
);
slices!(
    /// f32 to bf16, element by element.
    to_bf16, f32_to_bf16, f32 => u16
);
slices!(
    /// f16 to f32, element by element.
    from_f16, f16_to_f32, u16 => f32
);
slices!(
    /// f32 to f16, element by element.
    to_f16, f32_to_f16, f32 => u16
);
