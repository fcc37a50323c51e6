//! Transposes squares in registers: within quarters by unpacking, then the quarters themselves. Loops instead of
//! closures: the body of a closure is not compiled for the instruction set of the enclosing function.

use std::arch::x86_64::*;

macro_rules! square {
    ($(#[$meta:meta])* $name:ident, $len:literal, $zero:ident, $load:ident, $low:ident, $high:ident,
        $low_pairs:ident, $high_pairs:ident, $to_pairs:ident, $from_pairs:ident, $finish:ident) => {
        $(#[$meta])*
        #[inline(always)]
        pub(super) unsafe fn $name(from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
            // SAFETY: by contract.
            unsafe {
                // fours[g][m]: part q (four floats) holds column 4q + m of rows 4g … 4g + 3.
                let mut fours = [[$zero(); 4]; $len / 4];
                for g in 0..$len / 4 {
                    let (a, b) = ($load(from.add(4 * g * from_row)), $load(from.add((4 * g + 1) * from_row)));
                    let (c, d) = ($load(from.add((4 * g + 2) * from_row)), $load(from.add((4 * g + 3) * from_row)));
                    let (ab, cd) = ($to_pairs($low(a, b)), $to_pairs($low(c, d)));
                    fours[g][0] = $from_pairs($low_pairs(ab, cd));
                    fours[g][1] = $from_pairs($high_pairs(ab, cd));
                    let (ab, cd) = ($to_pairs($high(a, b)), $to_pairs($high(c, d)));
                    fours[g][2] = $from_pairs($low_pairs(ab, cd));
                    fours[g][3] = $from_pairs($high_pairs(ab, cd));
                }
                for m in 0..4 {
                    $finish(fours, m, to.add(m * to_row), 4 * to_row);
                }
            }
        }
    };
}

square!(
    /// 16 × 16 floats.
    ///
    /// # Safety
    /// AVX-512 is there, and all floats can be read and written.
    transpose_16x16, 16, _mm512_setzero_ps, _mm512_loadu_ps, _mm512_unpacklo_ps, _mm512_unpackhi_ps,
    _mm512_unpacklo_pd, _mm512_unpackhi_pd, _mm512_castps_pd, _mm512_castpd_ps, quarters
);
square!(
    /// 8 × 8 floats.
    ///
    /// # Safety
    /// AVX2 is there, and all floats can be read and written.
    transpose_8x8, 8, _mm256_setzero_ps, _mm256_loadu_ps, _mm256_unpacklo_ps, _mm256_unpackhi_ps,
    _mm256_unpacklo_pd, _mm256_unpackhi_pd, _mm256_castps_pd, _mm256_castpd_ps, halves
);

/// Columns m, 4 + m, 8 + m and 12 + m, `row` floats apart.
#[inline(always)]
unsafe fn quarters(fours: [[__m512; 4]; 4], m: usize, to: *mut f32, row: usize) {
    // SAFETY: by contract of `transpose_16x16`.
    unsafe {
        let [p, q, r, s] = [fours[0][m], fours[1][m], fours[2][m], fours[3][m]];
        let (even1, even2) = (_mm512_shuffle_f32x4(p, q, 0x88), _mm512_shuffle_f32x4(r, s, 0x88));
        let (odd1, odd2) = (_mm512_shuffle_f32x4(p, q, 0xdd), _mm512_shuffle_f32x4(r, s, 0xdd));
        _mm512_storeu_ps(to, _mm512_shuffle_f32x4(even1, even2, 0x88));
        _mm512_storeu_ps(to.add(row), _mm512_shuffle_f32x4(odd1, odd2, 0x88));
        _mm512_storeu_ps(to.add(2 * row), _mm512_shuffle_f32x4(even1, even2, 0xdd));
        _mm512_storeu_ps(to.add(3 * row), _mm512_shuffle_f32x4(odd1, odd2, 0xdd));
    }
}

/// Columns m and 4 + m, `row` floats apart.
#[inline(always)]
unsafe fn halves(fours: [[__m256; 4]; 2], m: usize, to: *mut f32, row: usize) {
    // SAFETY: by contract of `transpose_8x8`.
    unsafe {
        _mm256_storeu_ps(to, _mm256_permute2f128_ps(fours[0][m], fours[1][m], 0x20));
        _mm256_storeu_ps(to.add(row), _mm256_permute2f128_ps(fours[0][m], fours[1][m], 0x31));
    }
}
