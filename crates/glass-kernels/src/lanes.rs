//! The vector trait: a kernel is written once over [`Lanes`] and compiled for every instruction set.
//!
//! A kernel is a body, generic and `#[inline(always)]`, whose first argument is a vector `v` (zeros): it proves
//! that the machine has the instruction set, and other vectors are made from it (`v.splat(1.0)`, `v.load(x)`).
//! [`kernel!`] wraps the body in one function per instruction set and chooses between them:
//!
//! ```ignore
//! kernel!(fn scale_row(y: &mut [f32], by: f32) = scale_body);
//!
//! #[inline(always)]
//! fn scale_body<V: Lanes>(v: V, y: &mut [f32], by: f32) {
//!     let by = v.splat(by);
//!     let mut chunks = y.chunks_exact_mut(V::LEN);
//!     for chunk in &mut chunks {
//!         (v.load(chunk) * by).store(chunk);
//!     }
//!     let tail = chunks.into_remainder();
//!     (v.load_part(tail) * by).store_part(tail);
//! }
//!
//! scale_row(cores, y, 2.0);
//! ```
//!
//! Everything a body calls in its loops must be `#[inline(always)]` too: a function that is not inlined is compiled
//! without the instruction set.

use std::ops::{Add, Div, Mul, Neg, Sub};

#[cfg(target_arch = "aarch64")]
pub(crate) mod arm;
pub(crate) mod integers;
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128", target_os = "unknown")))]
pub(crate) mod plain;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) mod wasm;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

/// The lanes of [`Isa::Plain`](crate::Isa::Plain). The module for browsers holds every kernel only once, so there they are those of
/// SIMD, which have the same bits.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128", target_os = "unknown")))]
pub(crate) use plain::Plain as Anywhere;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128", target_os = "unknown"))]
pub(crate) use wasm::Simd128 as Anywhere;

#[cfg(test)]
mod tests;

/// A vector of [`Lanes::LEN`] floats. The existence of a value proves that the machine has its instructions: only
/// [`Lanes::new`] makes one from nothing, and it is unsafe.
pub(crate) trait Lanes:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// Floats in a vector.
    const LEN: usize;
    /// How many vectors fit in registers.
    const REGISTERS: usize;

    /// Zeros.
    ///
    /// # Safety
    /// The machine has this instruction set.
    unsafe fn new() -> Self;

    /// `x` in every lane.
    fn splat(self, x: f32) -> Self;

    /// The first `LEN` floats of `from`; panics if it is shorter.
    #[inline(always)]
    fn load(self, from: &[f32]) -> Self {
        assert!(from.len() >= Self::LEN);
        // SAFETY: the slice is long enough.
        unsafe { self.load_at(from.as_ptr()) }
    }

    /// Stores into the first `LEN` floats of `to`; panics if it is shorter.
    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        assert!(to.len() >= Self::LEN);
        // SAFETY: the slice is long enough.
        unsafe { self.store_at(to.as_mut_ptr()) }
    }

    /// The first `min(LEN, from.len())` floats, zeros in the other lanes.
    #[inline(always)]
    fn load_part(self, from: &[f32]) -> Self {
        // SAFETY: no more floats than the slice has.
        unsafe { self.load_part_at(from.as_ptr(), from.len().min(Self::LEN)) }
    }

    /// Stores into the first `min(LEN, to.len())` floats.
    #[inline(always)]
    fn store_part(self, to: &mut [f32]) {
        // SAFETY: no more floats than the slice has.
        unsafe { self.store_part_at(to.as_mut_ptr(), to.len().min(Self::LEN)) }
    }

    /// A vector, or the rest of one with zeros in the other lanes, from a slice of at most `LEN` floats.
    #[inline(always)]
    fn load_some(self, from: &[f32]) -> Self {
        if from.len() == Self::LEN { self.load(from) } else { self.load_part(from) }
    }

    /// Stores a vector, or the rest of one, into a slice of at most `LEN` floats.
    #[inline(always)]
    fn store_some(self, to: &mut [f32]) {
        if to.len() == Self::LEN { self.store(to) } else { self.store_part(to) }
    }

    /// Loads `LEN` floats.
    ///
    /// # Safety
    /// They can be read; no alignment is required.
    unsafe fn load_at(self, from: *const f32) -> Self;

    /// Stores `LEN` floats.
    ///
    /// # Safety
    /// They can be written.
    unsafe fn store_at(self, to: *mut f32);

    /// Loads `count ≤ LEN` floats, with zeros in the other lanes.
    ///
    /// # Safety
    /// They can be read.
    unsafe fn load_part_at(self, from: *const f32, count: usize) -> Self;

    /// Stores `count ≤ LEN` floats.
    ///
    /// # Safety
    /// They can be written.
    unsafe fn store_part_at(self, to: *mut f32, count: usize);

    /// Transposes a square of `LEN` × `LEN` floats; rows are `from_row` and `to_row` floats apart.
    ///
    /// # Safety
    /// All of them can be read and written.
    #[inline(always)]
    unsafe fn transpose_at(self, from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        for i in 0..Self::LEN {
            for j in 0..Self::LEN {
                // SAFETY: by contract.
                unsafe { *to.add(j * to_row + i) = *from.add(i * from_row + j) };
            }
        }
    }

    /// Hints that this address will be read soon; any address is allowed. It is fetched into the L2 cache: the few
    /// outstanding misses of the L1 cache are left to current reads.
    #[inline(always)]
    fn prefetch(self, _at: *const f32) {}

    /// `self × by + plus`, rounded once (twice where [`Isa::fuses`](crate::Isa::fuses) says no).
    fn mul_add(self, by: Self, plus: Self) -> Self;

    /// The greater, lane by lane. NaN if `other` is NaN; unspecified if only `self` is NaN.
    fn max(self, other: Self) -> Self;

    /// The smaller, lane by lane. NaN if `other` is NaN; unspecified if only `self` is NaN.
    fn min(self, other: Self) -> Self;

    /// Lanes 0 and 1 exchanged, 2 and 3, and so on.
    fn swap_neighbours(self) -> Self;

    /// Square root.
    fn sqrt(self) -> Self;

    /// The lowest bits of each lane as the exponent of a power of two: `bits << 23`.
    fn bits_to_exponent(self) -> Self;

    /// `yes` where `self < than`, else `no` (also where either is NaN).
    fn if_less(self, than: Self, yes: Self, no: Self) -> Self;

    /// The sum of all lanes, always in the same order: the halves are added repeatedly.
    fn sum(self) -> f32;

    /// The greatest lane; unspecified if one is NaN.
    fn largest(self) -> f32;
}

/// `kernel!(fn name(args) -> result = body);` makes `name(cores, args)`, which runs `body(v, args)` compiled for the
/// instruction set of `cores`.
macro_rules! kernel {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? = $body:path) => {
        $(#[$meta])*
        $vis fn $name(cores: &$crate::Cores, $($arg: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            fn avx512($($arg: $type),*) $(-> $result)? {
                // SAFETY: this function has the instruction set.
                $body(unsafe { <$crate::lanes::x86::Avx512 as $crate::lanes::Lanes>::new() }, $($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2($($arg: $type),*) $(-> $result)? {
                // SAFETY: this function has the instruction set.
                $body(unsafe { <$crate::lanes::x86::Avx2 as $crate::lanes::Lanes>::new() }, $($arg),*)
            }
            #[cfg(target_arch = "aarch64")]
            fn neon($($arg: $type),*) $(-> $result)? {
                // SAFETY: every aarch64 machine has it.
                $body(unsafe { <$crate::lanes::arm::Neon as $crate::lanes::Lanes>::new() }, $($arg),*)
            }
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128", not(target_os = "unknown")))]
            fn simd128($($arg: $type),*) $(-> $result)? {
                // SAFETY: this module was compiled with it.
                $body(unsafe { <$crate::lanes::wasm::Simd128 as $crate::lanes::Lanes>::new() }, $($arg),*)
            }
            fn plain($($arg: $type),*) $(-> $result)? {
                // SAFETY: these run wherever this was compiled for.
                $body(unsafe { <$crate::lanes::Anywhere as $crate::lanes::Lanes>::new() }, $($arg),*)
            }
            match cores.isa() {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `Cores` holds only an instruction set that this machine has.
                $crate::Isa::Avx512 | $crate::Isa::Avx512Vnni | $crate::Isa::Avx512Bf16 | $crate::Isa::Amx => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                $crate::Isa::Avx2 => unsafe { avx2($($arg),*) },
                #[cfg(target_arch = "aarch64")]
                $crate::Isa::Neon => neon($($arg),*),
                #[cfg(all(target_arch = "wasm32", target_feature = "simd128", not(target_os = "unknown")))]
                $crate::Isa::Simd128 => simd128($($arg),*),
                _ => plain($($arg),*),
            }
        }
    };
}
pub(crate) use kernel;

/// The four operators of a vector type (`[E]` if it has a constant parameter), each by one function of two vectors.
#[allow(unused_macros)]
macro_rules! operators {
    ($vector:ident $([$extension:ident])?, $add:path, $sub:path, $mul:path, $div:path, $negate:expr) => {
        operators!(@ $vector $([$extension])?, Add, add, $add);
        operators!(@ $vector $([$extension])?, Sub, sub, $sub);
        operators!(@ $vector $([$extension])?, Mul, mul, $mul);
        operators!(@ $vector $([$extension])?, Div, div, $div);
        impl$(<const $extension: u8>)? std::ops::Neg for $vector$(<$extension>)? {
            type Output = Self;
            #[inline(always)]
            fn neg(self) -> Self {
                $negate(self)
            }
        }
    };
    (@ $vector:ident $([$extension:ident])?, $trait:ident, $method:ident, $function:path) => {
        impl$(<const $extension: u8>)? std::ops::$trait for $vector$(<$extension>)? {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                // SAFETY: a vector exists, so its instructions do.
                #[allow(unused_unsafe)]
                unsafe { Self($function(self.0, other.0)) }
            }
        }
    };
}
#[allow(unused_imports)]
pub(crate) use operators;
