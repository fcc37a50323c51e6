//! NEON: four floats, on every aarch64 machine.

use std::arch::aarch64::*;

use super::integers::Integers;
use super::{Lanes, operators};

/// Four floats.
#[derive(Clone, Copy)]
pub(crate) struct Neon(float32x4_t);

operators!(Neon, vaddq_f32, vsubq_f32, vmulq_f32, vdivq_f32, |x: Neon| x.negate());

impl Neon {
    #[inline(always)]
    fn negate(self) -> Self {
        // SAFETY: every aarch64 machine has NEON.
        #[allow(unused_unsafe)]
        unsafe {
            Self(vnegq_f32(self.0))
        }
    }
}

// Every aarch64 machine has NEON; pointers are valid by the trait's contracts.
#[allow(clippy::undocumented_unsafe_blocks, unused_unsafe)]
impl Lanes for Neon {
    const LEN: usize = 4;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn new() -> Self {
        unsafe { Self(vdupq_n_f32(0.0)) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self {
        unsafe { Self(vdupq_n_f32(x)) }
    }

    #[inline(always)]
    unsafe fn load_at(self, from: *const f32) -> Self {
        unsafe { Self(vld1q_f32(from)) }
    }

    #[inline(always)]
    unsafe fn store_at(self, to: *mut f32) {
        unsafe { vst1q_f32(to, self.0) }
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
    fn mul_add(self, by: Self, plus: Self) -> Self {
        unsafe { Self(vfmaq_f32(plus.0, self.0, by.0)) }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        unsafe { Self(vmaxq_f32(self.0, other.0)) }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        unsafe { Self(vminq_f32(self.0, other.0)) }
    }

    #[inline(always)]
    fn swap_neighbours(self) -> Self {
        unsafe { Self(vrev64q_f32(self.0)) }
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        unsafe { Self(vsqrtq_f32(self.0)) }
    }

    #[inline(always)]
    fn bits_to_exponent(self) -> Self {
        unsafe { Self(vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32(self.0), 23))) }
    }

    #[inline(always)]
    fn if_less(self, than: Self, yes: Self, no: Self) -> Self {
        unsafe { Self(vbslq_f32(vcltq_f32(self.0, than.0), yes.0, no.0)) }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        unsafe {
            let two = vadd_f32(vget_low_f32(self.0), vget_high_f32(self.0));
            vget_lane_f32(two, 0) + vget_lane_f32(two, 1)
        }
    }

    #[inline(always)]
    fn largest(self) -> f32 {
        unsafe { vmaxvq_f32(self.0) }
    }
}

// As above.
#[allow(clippy::undocumented_unsafe_blocks, unused_unsafe)]
impl Integers for Neon {
    #[inline(always)]
    fn to_floats(self) -> Self {
        unsafe { Self(vcvtq_f32_s32(vreinterpretq_s32_f32(self.0))) }
    }

    /// Bytes are widened to 16 bits, products to 32, and neighbours are added twice.
    #[inline(always)]
    fn add_quads(self, unsigned: Self, signed: Self) -> Self {
        unsafe {
            let (a, b) = (vreinterpretq_u8_f32(unsigned.0), vreinterpretq_s8_f32(signed.0));
            let widened = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(a)));
            let (a_low, b_low) = (widened, vmovl_s8(vget_low_s8(b)));
            let widened = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(a)));
            let (a_high, b_high) = (widened, vmovl_s8(vget_high_s8(b)));
            let pairs = |a, b| {
                vpaddq_s32(
                    vmull_s16(vget_low_s16(a), vget_low_s16(b)),
                    vmull_s16(vget_high_s16(a), vget_high_s16(b)),
                )
            };
            let quads = vpaddq_s32(pairs(a_low, b_low), pairs(a_high, b_high));
            Self(vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(self.0), quads)))
        }
    }

    #[inline(always)]
    fn lower_nibbles(self) -> Self {
        unsafe { Self(vreinterpretq_f32_u8(vandq_u8(vreinterpretq_u8_f32(self.0), vdupq_n_u8(0x0f)))) }
    }

    #[inline(always)]
    fn upper_nibbles(self) -> Self {
        unsafe { Self(vreinterpretq_f32_u8(vshrq_n_u8::<4>(vreinterpretq_u8_f32(self.0)))) }
    }

    #[inline(always)]
    fn shift_left(self, by: u32) -> Self {
        unsafe {
            Self(vreinterpretq_f32_u32(vshlq_u32(vreinterpretq_u32_f32(self.0), vdupq_n_s32(by as i32))))
        }
    }

    #[inline(always)]
    fn shift_right(self, by: u32) -> Self {
        unsafe {
            Self(vreinterpretq_f32_u32(vshlq_u32(vreinterpretq_u32_f32(self.0), vdupq_n_s32(-(by as i32)))))
        }
    }

    #[inline(always)]
    fn masked(self, mask: u32) -> Self {
        unsafe { Self(vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(self.0), vdupq_n_u32(mask)))) }
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        unsafe {
            let (a, b) = (vreinterpretq_u32_f32(self.0), vreinterpretq_u32_f32(other.0));
            Self(vreinterpretq_f32_u32(vorrq_u32(a, b)))
        }
    }

    #[inline(always)]
    fn look_up(self, table: Self) -> Self {
        unsafe {
            let (table, at) = (vreinterpretq_u8_f32(table.0), vreinterpretq_u8_f32(self.0));
            Self(vreinterpretq_f32_u8(vqtbl1q_u8(table, at)))
        }
    }

    #[inline(always)]
    fn lower_bf16(self) -> Self {
        unsafe { Self(vreinterpretq_f32_u32(vshlq_n_u32::<16>(vreinterpretq_u32_f32(self.0)))) }
    }

    #[inline(always)]
    fn upper_bf16(self) -> Self {
        unsafe {
            Self(vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(self.0), vdupq_n_u32(0xffff_0000))))
        }
    }
}
