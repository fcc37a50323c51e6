//! AVX2 with FMA (8 floats) and AVX-512 (16 floats).

use std::arch::x86_64::*;

use super::{Lanes, operators};
use transpose::{transpose_8x8, transpose_16x16};

mod bf16;
mod integers;
mod transpose;

/// Eight floats.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256);

/// Sixteen floats, on a machine with AVX-512 and an extension of it: the existence of a value proves that the
/// machine has both.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const EXTENSION: u8 = NONE>(__m512);

/// No extension.
pub(crate) const NONE: u8 = 0;
/// AVX512-VNNI.
pub(crate) const VNNI: u8 = 1;
/// AVX512-BF16.
pub(crate) const BF16: u8 = 2;

operators!(Avx2, _mm256_add_ps, _mm256_sub_ps, _mm256_mul_ps, _mm256_div_ps, |x: Avx2| x.splat(-0.0).flip(x));
operators!(Avx512[E], _mm512_add_ps, _mm512_sub_ps, _mm512_mul_ps, _mm512_div_ps, |x: Self| x
    .splat(-0.0)
    .flip(x));

/// Ones before zeros: a load at `8 - count` is the mask of the first `count` lanes.
static FIRST: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

impl Avx2 {
    #[inline(always)]
    fn first(self, count: usize) -> __m256i {
        assert!(count <= 8);
        // SAFETY: the load stays within the table.
        unsafe { _mm256_loadu_si256(FIRST.as_ptr().add(8 - count).cast()) }
    }

    #[inline(always)]
    fn flip(self, x: Self) -> Self {
        // SAFETY: a vector exists, so its instructions do.
        unsafe { Self(_mm256_xor_ps(self.0, x.0)) }
    }
}

impl<const E: u8> Avx512<E> {
    #[inline(always)]
    fn first(self, count: usize) -> __mmask16 {
        ((1u32 << count) - 1) as u16
    }

    #[inline(always)]
    fn flip(self, x: Self) -> Self {
        // SAFETY: a vector exists, so its instructions do.
        unsafe { Self(_mm512_xor_ps(self.0, x.0)) }
    }

    /// The two halves.
    #[inline(always)]
    fn halves(self) -> (Avx2, Avx2) {
        // SAFETY: a vector exists, so its instructions do, AVX2 among them.
        unsafe { (Avx2(_mm512_castps512_ps256(self.0)), Avx2(_mm512_extractf32x8_ps(self.0, 1))) }
    }
}

// In all that follows: a vector exists, so its instructions do; pointers are valid by the trait's contracts.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Lanes for Avx2 {
    const LEN: usize = 8;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn new() -> Self {
        unsafe { Self(_mm256_setzero_ps()) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self {
        unsafe { Self(_mm256_set1_ps(x)) }
    }

    #[inline(always)]
    unsafe fn load_at(self, from: *const f32) -> Self {
        unsafe { Self(_mm256_loadu_ps(from)) }
    }

    #[inline(always)]
    unsafe fn store_at(self, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn load_part_at(self, from: *const f32, count: usize) -> Self {
        unsafe { Self(_mm256_maskload_ps(from, self.first(count))) }
    }

    #[inline(always)]
    unsafe fn store_part_at(self, to: *mut f32, count: usize) {
        unsafe { _mm256_maskstore_ps(to, self.first(count), self.0) }
    }

    #[inline(always)]
    unsafe fn transpose_at(self, from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        unsafe { transpose_8x8(from, from_row, to, to_row) }
    }

    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }

    #[inline(always)]
    fn mul_add(self, by: Self, plus: Self) -> Self {
        unsafe { Self(_mm256_fmadd_ps(self.0, by.0, plus.0)) }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        unsafe { Self(_mm256_max_ps(self.0, other.0)) }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        unsafe { Self(_mm256_min_ps(self.0, other.0)) }
    }

    #[inline(always)]
    fn swap_neighbours(self) -> Self {
        unsafe { Self(_mm256_permute_ps::<0b10_11_00_01>(self.0)) }
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        unsafe { Self(_mm256_sqrt_ps(self.0)) }
    }

    #[inline(always)]
    fn bits_to_exponent(self) -> Self {
        unsafe { Self(_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(self.0), 23))) }
    }

    #[inline(always)]
    fn if_less(self, than: Self, yes: Self, no: Self) -> Self {
        unsafe { Self(_mm256_blendv_ps(no.0, yes.0, _mm256_cmp_ps(self.0, than.0, _CMP_LT_OQ))) }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps(self.0, 1));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn largest(self) -> f32 {
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps(self.0, 1));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

#[allow(clippy::undocumented_unsafe_blocks)]
impl<const E: u8> Lanes for Avx512<E> {
    const LEN: usize = 16;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn new() -> Self {
        unsafe { Self(_mm512_setzero_ps()) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self {
        unsafe { Self(_mm512_set1_ps(x)) }
    }

    #[inline(always)]
    unsafe fn load_at(self, from: *const f32) -> Self {
        unsafe { Self(_mm512_loadu_ps(from)) }
    }

    #[inline(always)]
    unsafe fn store_at(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn load_part_at(self, from: *const f32, count: usize) -> Self {
        unsafe { Self(_mm512_maskz_loadu_ps(self.first(count), from)) }
    }

    #[inline(always)]
    unsafe fn store_part_at(self, to: *mut f32, count: usize) {
        unsafe { _mm512_mask_storeu_ps(to, self.first(count), self.0) }
    }

    #[inline(always)]
    unsafe fn transpose_at(self, from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        unsafe { transpose_16x16(from, from_row, to, to_row) }
    }

    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }

    #[inline(always)]
    fn mul_add(self, by: Self, plus: Self) -> Self {
        unsafe { Self(_mm512_fmadd_ps(self.0, by.0, plus.0)) }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        unsafe { Self(_mm512_max_ps(self.0, other.0)) }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        unsafe { Self(_mm512_min_ps(self.0, other.0)) }
    }

    #[inline(always)]
    fn swap_neighbours(self) -> Self {
        unsafe { Self(_mm512_permute_ps::<0b10_11_00_01>(self.0)) }
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        unsafe { Self(_mm512_sqrt_ps(self.0)) }
    }

    #[inline(always)]
    fn bits_to_exponent(self) -> Self {
        unsafe { Self(_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(self.0), 23))) }
    }

    #[inline(always)]
    fn if_less(self, than: Self, yes: Self, no: Self) -> Self {
        unsafe {
            let mask = _mm512_cmp_ps_mask(self.0, than.0, _CMP_LT_OQ);
            Self(_mm512_mask_blend_ps(mask, no.0, yes.0))
        }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        let (low, high) = self.halves();
        (low + high).sum()
    }

    #[inline(always)]
    fn largest(self) -> f32 {
        let (low, high) = self.halves();
        low.max(high).largest()
    }
}
