//! SIMD of WebAssembly: four floats. A module cannot ask for it at run time, so it exists where the module was compiled with it.
//! Multiply and add are rounded separately: WebAssembly has a fused operation only as a choice of the machine (`relaxed-simd`),
//! and the same module gives the same bits everywhere. They are the bits of plain Rust: as many lanes, in the same order.

use std::arch::wasm32::*;

use super::integers::Integers;
use super::{Lanes, operators};

/// Four floats.
#[derive(Clone, Copy)]
pub(crate) struct Simd128(v128);

operators!(Simd128, f32x4_add, f32x4_sub, f32x4_mul, f32x4_div, |x: Simd128| Simd128(f32x4_neg(x.0)));

// Pointers are valid by the trait's contracts.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Lanes for Simd128 {
    const LEN: usize = 4;
    // Those of the machines below: 16 on x86-64, 32 on ARM.
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn new() -> Self {
        Self(f32x4_splat(0.0))
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self {
        Self(f32x4_splat(x))
    }

    #[inline(always)]
    unsafe fn load_at(self, from: *const f32) -> Self {
        unsafe { Self(v128_load(from.cast())) }
    }

    #[inline(always)]
    unsafe fn store_at(self, to: *mut f32) {
        unsafe { v128_store(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn load_part_at(self, from: *const f32, count: usize) -> Self {
        let mut four = [0.0; 4];
        unsafe {
            std::ptr::copy_nonoverlapping(from, four.as_mut_ptr(), count);
            self.load_at(four.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store_part_at(self, to: *mut f32, count: usize) {
        let mut four = [0.0; 4];
        unsafe {
            self.store_at(four.as_mut_ptr());
            std::ptr::copy_nonoverlapping(four.as_ptr(), to, count);
        }
    }

    #[inline(always)]
    unsafe fn transpose_at(self, from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| unsafe { v128_load(from.add(i * from_row).cast()) });
        let (ab, cd) = (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<0, 4, 1, 5>(c, d));
        let (ab_high, cd_high) = (i32x4_shuffle::<2, 6, 3, 7>(a, b), i32x4_shuffle::<2, 6, 3, 7>(c, d));
        let columns = [
            i64x2_shuffle::<0, 2>(ab, cd),
            i64x2_shuffle::<1, 3>(ab, cd),
            i64x2_shuffle::<0, 2>(ab_high, cd_high),
            i64x2_shuffle::<1, 3>(ab_high, cd_high),
        ];
        for (j, column) in columns.into_iter().enumerate() {
            unsafe { v128_store(to.add(j * to_row).cast(), column) }
        }
    }

    #[inline(always)]
    fn mul_add(self, by: Self, plus: Self) -> Self {
        self * by + plus
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // `other < self ? self : other`
        Self(f32x4_pmax(other.0, self.0))
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(f32x4_pmin(other.0, self.0))
    }

    #[inline(always)]
    fn swap_neighbours(self) -> Self {
        Self(i32x4_shuffle::<1, 0, 3, 2>(self.0, self.0))
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(f32x4_sqrt(self.0))
    }

    #[inline(always)]
    fn bits_to_exponent(self) -> Self {
        Self(i32x4_shl(self.0, 23))
    }

    #[inline(always)]
    fn if_less(self, than: Self, yes: Self, no: Self) -> Self {
        Self(v128_bitselect(yes.0, no.0, f32x4_lt(self.0, than.0)))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        let two = f32x4_add(self.0, i64x2_shuffle::<1, 0>(self.0, self.0));
        f32x4_extract_lane::<0>(two) + f32x4_extract_lane::<1>(two)
    }

    #[inline(always)]
    fn largest(self) -> f32 {
        let two = f32x4_pmax(self.0, i64x2_shuffle::<1, 0>(self.0, self.0));
        f32x4_extract_lane::<0>(two).max(f32x4_extract_lane::<1>(two))
    }
}

impl Integers for Simd128 {
    #[inline(always)]
    fn to_floats(self) -> Self {
        Self(f32x4_convert_i32x4(self.0))
    }

    /// Bytes are widened to 16 bits; pairs of products are added to 32 bits without loss.
    #[inline(always)]
    fn add_quads(self, unsigned: Self, signed: Self) -> Self {
        let (a, b) = (unsigned.0, signed.0);
        let evens = i32x4_dot_i16x8(v128_and(a, u16x8_splat(0x00ff)), i16x8_shr(i16x8_shl(b, 8), 8));
        let odds = i32x4_dot_i16x8(u16x8_shr(a, 8), i16x8_shr(b, 8));
        Self(i32x4_add(self.0, i32x4_add(evens, odds)))
    }

    #[inline(always)]
    fn lower_nibbles(self) -> Self {
        Self(v128_and(self.0, u8x16_splat(0x0f)))
    }

    #[inline(always)]
    fn upper_nibbles(self) -> Self {
        Self(u8x16_shr(self.0, 4))
    }

    #[inline(always)]
    fn shift_left(self, by: u32) -> Self {
        Self(u32x4_shl(self.0, by))
    }

    #[inline(always)]
    fn shift_right(self, by: u32) -> Self {
        Self(u32x4_shr(self.0, by))
    }

    #[inline(always)]
    fn masked(self, mask: u32) -> Self {
        Self(v128_and(self.0, u32x4_splat(mask)))
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self(v128_or(self.0, other.0))
    }

    #[inline(always)]
    fn look_up(self, table: Self) -> Self {
        Self(u8x16_swizzle(table.0, self.0))
    }

    #[inline(always)]
    fn lower_bf16(self) -> Self {
        Self(i32x4_shl(self.0, 16))
    }

    #[inline(always)]
    fn upper_bf16(self) -> Self {
        Self(v128_and(self.0, u32x4_splat(0xffff_0000)))
    }

    /// As [`f16_to_f32`](crate::format::f16_to_f32): the exponent's bias is changed by an exact multiplication.
    #[inline(always)]
    unsafe fn load_f16_at(self, from: *const u16) -> Self {
        // SAFETY: by contract.
        let x = unsafe { u32x4_load_extend_u16x4(from) };
        let (sign, magnitude) =
            (u32x4_shl(v128_and(x, u32x4_splat(0x8000)), 16), v128_and(x, u32x4_splat(0x7fff)));
        let scaled = f32x4_mul(u32x4_shl(magnitude, 13), u32x4_splat((254 - 15) << 23));
        let beyond = v128_or(u32x4_shl(magnitude, 13), u32x4_splat(0x7f80_0000));
        let is_beyond = u32x4_ge(magnitude, u32x4_splat(0x7c00));
        Self(v128_or(sign, v128_bitselect(beyond, scaled, is_beyond)))
    }
}
