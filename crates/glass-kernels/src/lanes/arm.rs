//! NEON: four floats, on every aarch64 machine.

use std::arch::aarch64::*;

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

// Every aarch64 machine has NEON; pointers are good by the trait's contracts.
#[allow(clippy::undocumented_unsafe_blocks, unused_unsafe)]
impl Lanes for Neon {
    const LEN: usize = 4;
    const WIDE: bool = true;

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
