//! Integers in AVX2 and AVX-512.

use std::arch::x86_64::*;

use super::{Avx2, Avx512, VNNI};
use crate::lanes::integers::Integers;

/// Masks of the lower byte of every 16 bits, and of the lower nibble of every byte.
const EVEN_BYTES: i32 = 0x00ff_00ff;
const LOWER_NIBBLES: i32 = 0x0f0f_0f0f;
const UPPER_HALF: i32 = 0xffff_0000_u32 as i32;

// In all that follows: a vector exists, so its instructions do; pointers are valid by the trait's contracts.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Integers for Avx2 {
    #[inline(always)]
    fn to_floats(self) -> Self {
        unsafe { Self(_mm256_cvtepi32_ps(self.bits())) }
    }

    /// Bytes are widened to 16 bits; pairs of products of at most 255 × 127 are then added to 32 bits without loss.
    #[inline(always)]
    fn add_quads(self, unsigned: Self, signed: Self) -> Self {
        unsafe {
            let (a, b) = (unsigned.bits(), signed.bits());
            let even = _mm256_set1_epi32(EVEN_BYTES);
            let evens = _mm256_madd_epi16(
                _mm256_and_si256(a, even),
                _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(b)),
            );
            let odds = _mm256_madd_epi16(_mm256_srli_epi16::<8>(a), _mm256_srai_epi16::<8>(b));
            Self::of_bits(_mm256_add_epi32(self.bits(), _mm256_add_epi32(evens, odds)))
        }
    }

    const PAIRS: bool = true;
    const SUMS_IN_MEMORY: bool = true;

    #[inline(always)]
    fn add_pairs(self, unsigned: Self, signed: Self) -> Self {
        unsafe {
            let products = _mm256_maddubs_epi16(unsigned.bits(), signed.bits());
            Self::of_bits(_mm256_add_epi16(self.bits(), products))
        }
    }

    #[inline(always)]
    fn add_halves(self, halves: Self) -> Self {
        unsafe {
            let sums = _mm256_madd_epi16(halves.bits(), _mm256_set1_epi16(1));
            Self::of_bits(_mm256_add_epi32(self.bits(), sums))
        }
    }

    #[inline(always)]
    fn less_128(self) -> Self {
        unsafe { Self::of_bits(_mm256_xor_si256(self.bits(), _mm256_set1_epi8(-128))) }
    }

    #[inline(always)]
    fn magnitudes(self) -> Self {
        unsafe { Self::of_bits(_mm256_abs_epi8(self.bits())) }
    }

    #[inline(always)]
    fn times_sign_of(self, other: Self) -> Self {
        unsafe { Self::of_bits(_mm256_sign_epi8(self.bits(), other.bits())) }
    }

    #[inline(always)]
    fn lower_nibbles(self) -> Self {
        unsafe { Self::of_bits(_mm256_and_si256(self.bits(), _mm256_set1_epi32(LOWER_NIBBLES))) }
    }

    #[inline(always)]
    fn upper_nibbles(self) -> Self {
        unsafe { Self::of_bits(_mm256_srli_epi32::<4>(self.bits())).lower_nibbles() }
    }

    #[inline(always)]
    fn shift_left(self, by: u32) -> Self {
        unsafe { Self::of_bits(_mm256_sll_epi32(self.bits(), _mm_cvtsi32_si128(by as i32))) }
    }

    #[inline(always)]
    fn shift_right(self, by: u32) -> Self {
        unsafe { Self::of_bits(_mm256_srl_epi32(self.bits(), _mm_cvtsi32_si128(by as i32))) }
    }

    #[inline(always)]
    fn masked(self, mask: u32) -> Self {
        unsafe { Self::of_bits(_mm256_and_si256(self.bits(), _mm256_set1_epi32(mask as i32))) }
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        unsafe { Self::of_bits(_mm256_or_si256(self.bits(), other.bits())) }
    }

    #[inline(always)]
    fn look_up(self, table: Self) -> Self {
        unsafe { Self::of_bits(_mm256_shuffle_epi8(table.bits(), self.bits())) }
    }

    #[inline(always)]
    fn lower_bf16(self) -> Self {
        unsafe { Self::of_bits(_mm256_slli_epi32::<16>(self.bits())) }
    }

    #[inline(always)]
    fn upper_bf16(self) -> Self {
        unsafe { Self::of_bits(_mm256_and_si256(self.bits(), _mm256_set1_epi32(UPPER_HALF))) }
    }

    #[inline(always)]
    unsafe fn load_f16_at(self, from: *const u16) -> Self {
        unsafe { Self(_mm256_cvtph_ps(_mm_loadu_si128(from.cast()))) }
    }
}

#[allow(clippy::undocumented_unsafe_blocks)]
impl<const E: u8> Integers for Avx512<E> {
    #[inline(always)]
    fn to_floats(self) -> Self {
        unsafe { Self(_mm512_cvtepi32_ps(self.bits())) }
    }

    #[inline(always)]
    fn add_quads(self, unsigned: Self, signed: Self) -> Self {
        unsafe {
            let (a, b) = (unsigned.bits(), signed.bits());
            let even = _mm512_set1_epi32(EVEN_BYTES);
            let evens = _mm512_madd_epi16(
                _mm512_and_si512(a, even),
                _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(b)),
            );
            let odds = _mm512_madd_epi16(_mm512_srli_epi16::<8>(a), _mm512_srai_epi16::<8>(b));
            Self::of_bits(_mm512_add_epi32(self.bits(), _mm512_add_epi32(evens, odds)))
        }
    }

    #[inline(always)]
    fn store_bytes(self, to: &mut [u8]) {
        let (to, _) = to.split_first_chunk_mut::<16>().expect("a byte for every lane");
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(self.bits())) }
    }

    #[inline(always)]
    fn lower_nibbles(self) -> Self {
        unsafe { Self::of_bits(_mm512_and_si512(self.bits(), _mm512_set1_epi32(LOWER_NIBBLES))) }
    }

    #[inline(always)]
    fn upper_nibbles(self) -> Self {
        unsafe { Self::of_bits(_mm512_srli_epi32::<4>(self.bits())).lower_nibbles() }
    }

    #[inline(always)]
    fn shift_left(self, by: u32) -> Self {
        unsafe { Self::of_bits(_mm512_sll_epi32(self.bits(), _mm_cvtsi32_si128(by as i32))) }
    }

    #[inline(always)]
    fn shift_right(self, by: u32) -> Self {
        unsafe { Self::of_bits(_mm512_srl_epi32(self.bits(), _mm_cvtsi32_si128(by as i32))) }
    }

    #[inline(always)]
    fn masked(self, mask: u32) -> Self {
        unsafe { Self::of_bits(_mm512_and_si512(self.bits(), _mm512_set1_epi32(mask as i32))) }
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        unsafe { Self::of_bits(_mm512_or_si512(self.bits(), other.bits())) }
    }

    #[inline(always)]
    fn look_up(self, table: Self) -> Self {
        unsafe { Self::of_bits(_mm512_shuffle_epi8(table.bits(), self.bits())) }
    }

    #[inline(always)]
    fn lower_bf16(self) -> Self {
        unsafe { Self::of_bits(_mm512_slli_epi32::<16>(self.bits())) }
    }

    #[inline(always)]
    fn upper_bf16(self) -> Self {
        unsafe { Self::of_bits(_mm512_and_si512(self.bits(), _mm512_set1_epi32(UPPER_HALF))) }
    }

    #[inline(always)]
    unsafe fn load_f16_at(self, from: *const u16) -> Self {
        unsafe { Self(_mm512_cvtph_ps(_mm256_loadu_si256(from.cast()))) }
    }
}

impl Avx2 {
    #[inline(always)]
    fn bits(self) -> __m256i {
        // SAFETY: a vector exists, so its instructions do.
        unsafe { _mm256_castps_si256(self.0) }
    }

    #[inline(always)]
    fn of_bits(bits: __m256i) -> Self {
        // SAFETY: only called where a vector exists already.
        unsafe { Self(_mm256_castsi256_ps(bits)) }
    }
}

#[allow(clippy::undocumented_unsafe_blocks)]
impl<const E: u8> Avx512<E> {
    #[inline(always)]
    fn bits(self) -> __m512i {
        unsafe { _mm512_castps_si512(self.0) }
    }

    #[inline(always)]
    fn of_bits(bits: __m512i) -> Self {
        unsafe { Self(_mm512_castsi512_ps(bits)) }
    }
}

impl Avx512<VNNI> {
    /// As [`Integers::add_quads`], in one instruction.
    #[inline(always)]
    pub(crate) fn add_quads_vnni(self, unsigned: Self, signed: Self) -> Self {
        // SAFETY: a vector exists, so its instructions do.
        unsafe { Self::of_bits(_mm512_dpbusd_epi32(self.bits(), unsigned.bits(), signed.bits())) }
    }
}
