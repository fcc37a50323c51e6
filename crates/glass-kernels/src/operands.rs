//! The format of operands: a lane holds one value, or two that are neighbours along k. A kernel whose body is also
//! generic over this, after the vector, is made by [`kernel_of_operands!`] and chosen by the precision as well.

use crate::format::f32_to_bf16;
use crate::lanes::Lanes;
use crate::lanes::integers::Integers;
#[cfg(target_arch = "x86_64")]
use crate::lanes::x86::{Avx512, BF16};
use crate::tiles::Inner;

/// How values are stored in the lanes of a `V` and multiplied.
pub(crate) trait Operands<V: Lanes> {
    /// Values per lane, at most two: the number of k in a step.
    const COUNT: usize;
    /// Vectors that a multiply-add needs in addition to its sum and the right operand.
    const BETWEEN: usize;

    /// A lane from values that follow each other along k.
    fn lane(first: f32, second: f32) -> f32;

    /// Lanes from two steps of k (only the first is used if lanes hold one value).
    fn stacked(first: V, second: V) -> V;

    /// Lanes from `COUNT × LEN` floats that follow each other along k.
    ///
    /// # Safety
    /// They can be read.
    unsafe fn lanes_at(v: V, from: *const f32) -> V;

    /// `sum + a b`, value by value.
    fn mul_add(a: V, b: V, sum: V) -> V;
}

/// The registers needed by a step of a product.
pub(crate) const fn inner<V: Lanes, F: Operands<V>>() -> Inner {
    Inner { registers: V::REGISTERS, sums: 1, right: 1, between: F::BETWEEN }
}

/// One f32 per lane.
pub(crate) struct Singles;

impl<V: Lanes> Operands<V> for Singles {
    const COUNT: usize = 1;
    const BETWEEN: usize = 1;

    #[inline(always)]
    fn lane(first: f32, _: f32) -> f32 {
        first
    }

    #[inline(always)]
    fn stacked(first: V, _: V) -> V {
        first
    }

    #[inline(always)]
    unsafe fn lanes_at(v: V, from: *const f32) -> V {
        // SAFETY: by contract.
        unsafe { v.load_at(from) }
    }

    #[inline(always)]
    fn mul_add(a: V, b: V, sum: V) -> V {
        a.mul_add(b, sum)
    }
}

/// Two bf16 per lane, the first in the lower half; the second of a pair is added first, as in the machine
/// instruction. This works on any machine, with two multiply-adds.
pub(crate) struct Pairs;

impl<V: Integers> Operands<V> for Pairs {
    const COUNT: usize = 2;
    const BETWEEN: usize = 4;

    #[inline(always)]
    fn lane(first: f32, second: f32) -> f32 {
        f32::from_bits(u32::from(f32_to_bf16(first)) | u32::from(f32_to_bf16(second)) << 16)
    }

    #[inline(always)]
    fn stacked(first: V, second: V) -> V {
        let (a, b) = (array(first), array(second));
        lanes(first, std::array::from_fn(|i| <Self as Operands<V>>::lane(a[i], b[i])))
    }

    #[inline(always)]
    unsafe fn lanes_at(v: V, from: *const f32) -> V {
        let mut pairs = [0.0; MOST];
        for (i, pair) in pairs.iter_mut().enumerate().take(V::LEN) {
            // SAFETY: by contract.
            *pair = unsafe { <Self as Operands<V>>::lane(*from.add(2 * i), *from.add(2 * i + 1)) };
        }
        lanes(v, pairs)
    }

    #[inline(always)]
    fn mul_add(a: V, b: V, sum: V) -> V {
        let sum = a.upper_bf16().mul_add(b.upper_bf16(), sum);
        a.lower_bf16().mul_add(b.lower_bf16(), sum)
    }
}

/// Lanes of the widest vector.
const MOST: usize = 16;

#[inline(always)]
fn array<V: Lanes>(v: V) -> [f32; MOST] {
    let mut array = [0.0; MOST];
    v.store(&mut array);
    array
}

#[inline(always)]
fn lanes<V: Lanes>(v: V, array: [f32; MOST]) -> V {
    v.load(&array)
}

/// Two bf16, for machines that multiply them in pairs: the same bits as [`Pairs`], except that subnormal numbers
/// are treated as zero.
#[cfg(target_arch = "x86_64")]
pub(crate) struct MachinePairs;

#[cfg(target_arch = "x86_64")]
impl Operands<Avx512<BF16>> for MachinePairs {
    const COUNT: usize = 2;
    const BETWEEN: usize = 1;

    #[inline(always)]
    fn lane(first: f32, second: f32) -> f32 {
        <Pairs as Operands<Avx512<BF16>>>::lane(first, second)
    }

    #[inline(always)]
    fn stacked(first: Avx512<BF16>, second: Avx512<BF16>) -> Avx512<BF16> {
        first.pair(second)
    }

    #[inline(always)]
    unsafe fn lanes_at(v: Avx512<BF16>, from: *const f32) -> Avx512<BF16> {
        // SAFETY: by contract.
        unsafe { v.load_at(from).beside(v.load_at(from.add(Avx512::<BF16>::LEN))) }
    }

    #[inline(always)]
    fn mul_add(a: Avx512<BF16>, b: Avx512<BF16>, sum: Avx512<BF16>) -> Avx512<BF16> {
        sum.add_products(a, b)
    }
}

/// `kernel_of_operands!(fn name(args) = body);` makes `name(cores, precision, args)`, which runs `body::<V, F>(v,
/// args)` compiled for the instruction set of `cores` and the operand format of `precision`.
macro_rules! kernel_of_operands {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        $vis fn $name(cores: &$crate::Cores, precision: $crate::Precision, $($arg: $type),*) {
            $crate::lanes::kernel!(fn singles($($arg: $type),*) = $body::<_, $crate::operands::Singles>);
            $crate::lanes::kernel!(fn pairs($($arg: $type),*) = $body::<_, $crate::operands::Pairs>);
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            fn machine_pairs($($arg: $type),*) {
                use $crate::lanes::x86::{Avx512, BF16};
                // SAFETY: this function has the instruction set and the extension.
                let v = unsafe { <Avx512<BF16> as $crate::lanes::Lanes>::new() };
                $body::<_, $crate::operands::MachinePairs>(v, $($arg),*)
            }
            match (precision, cores.isa()) {
                ($crate::Precision::F32, _) => singles(cores, $($arg),*),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `Cores` holds only an instruction set that this machine has.
                ($crate::Precision::Mixed, $crate::Isa::Avx512Bf16 | $crate::Isa::Amx) => unsafe { machine_pairs($($arg),*) },
                ($crate::Precision::Mixed, _) => pairs(cores, $($arg),*),
            }
        }
    };
}
pub(crate) use kernel_of_operands;
