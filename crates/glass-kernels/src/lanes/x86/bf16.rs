//! AVX512-BF16: lanes of two 16-bit numbers.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::{Avx512, BF16};

/// Interleaves two vectors of 16 numbers of 16 bits: number i of the first, number i of the second, for every i.
static BY_TURNS: [u16; 32] = {
    let mut order = [0; 32];
    let mut i = 0;
    while i < 32 {
        order[i] = (i / 2 + i % 2 * 16) as u16;
        i += 1;
    }
    order
};

// In all that follows: a vector exists, so its instructions do.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Avx512<BF16> {
    /// Both rounded to nearest even: a lane holds the lane of `self` in its lower half, that of `upper` in its
    /// upper half.
    #[inline(always)]
    pub(crate) fn pair(self, upper: Self) -> Self {
        unsafe {
            let order = _mm512_loadu_si512(BY_TURNS.as_ptr().cast());
            let by_turns = _mm512_permutexvar_epi16(order, _mm512_castps_si512(self.beside(upper).0));
            Self(_mm512_castsi512_ps(by_turns))
        }
    }

    /// Both rounded to nearest even, one after the other: the lower lanes hold the pairs of `self`.
    #[inline(always)]
    pub(crate) fn beside(self, next: Self) -> Self {
        unsafe { Self(transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(next.0, self.0))) }
    }

    /// `self + a b`, lane by lane: first the product of the upper halves is added, then that of the lower halves,
    /// each rounded once; subnormal numbers are treated as zero.
    #[inline(always)]
    pub(crate) fn add_products(self, a: Self, b: Self) -> Self {
        unsafe {
            Self(_mm512_dpbf16_ps(
                self.0,
                transmute::<__m512, __m512bh>(a.0),
                transmute::<__m512, __m512bh>(b.0),
            ))
        }
    }
}
