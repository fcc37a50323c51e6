//! Lanes as integers, for products of 8-bit and 4-bit numbers. The vector type is that of floats, but its bits are
//! used.

use super::Lanes;
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx512, VNNI};
use crate::format::f16_to_f32;

/// Integer operations on a vector's bits. Every result is exact, and the same on every instruction set.
pub(crate) trait Integers: Lanes {
    /// i32 to f32, lane by lane, rounded to nearest even.
    #[inline(always)]
    fn to_floats(self) -> Self {
        each(self, |lane| (lane as i32 as f32).to_bits())
    }

    /// Lane by lane, adds to an i32 the sum of four products: bytes of `unsigned` by bytes of `signed`.
    #[inline(always)]
    fn add_quads(self, unsigned: Self, signed: Self) -> Self {
        let products = pairs(unsigned, signed, |unsigned, signed| {
            let product =
                |byte: u32| i32::from((unsigned >> byte) as u8) * i32::from((signed >> byte) as u8 as i8);
            (product(0) + product(8) + product(16) + product(24)) as u32
        });
        pairs(self, products, u32::wrapping_add)
    }

    /// Whether quads are added faster in two steps: [`add_pairs`](Self::add_pairs), [`add_halves`](Self::add_halves).
    const PAIRS: bool = false;

    /// Whether the f32 sums of a product are kept in memory while a block is summed in integers: where registers are
    /// few, a tile then has more outputs, for which weights are loaded and prepared once.
    const SUMS_IN_MEMORY: bool = false;

    /// Half lane by half lane, adds to an i16 the sum of two products, bytes of `unsigned` by bytes of `signed`. Both sums must
    /// fit 16 bits.
    #[inline(always)]
    fn add_pairs(self, unsigned: Self, signed: Self) -> Self {
        let product =
            |a: u32, b: u32, byte: u32| i32::from((a >> byte) as u8) * i32::from((b >> byte) as u8 as i8);
        let products = pairs(unsigned, signed, |a, b| {
            let [lower, upper] = [0, 16].map(|byte| product(a, b, byte) + product(a, b, byte + 8));
            lower as u32 & 0xffff | (upper as u32) << 16
        });
        pairs(self, products, |a, b| a.wrapping_add(b) & 0xffff | (a >> 16).wrapping_add(b >> 16) << 16)
    }

    /// Lane by lane, adds to an i32 both i16 of `halves`.
    #[inline(always)]
    fn add_halves(self, halves: Self) -> Self {
        pairs(self, halves, |a, b| a.wrapping_add((b as i16 as i32 + (b >> 16) as i16 as i32) as u32))
    }

    /// Bytes less 128, as signed ones.
    #[inline(always)]
    fn less_128(self) -> Self {
        each(self, |lane| lane ^ 0x8080_8080)
    }

    /// The magnitudes of bytes, from 0 to 128.
    #[inline(always)]
    fn magnitudes(self) -> Self {
        each(self, |lane| u32::from_le_bytes(lane.to_le_bytes().map(|byte| (byte as i8).unsigned_abs())))
    }

    /// Byte by byte, times the sign of `other`: −1, 0 or 1. No byte may be −128.
    #[inline(always)]
    fn times_sign_of(self, other: Self) -> Self {
        pairs(self, other, |a, b| {
            let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
            u32::from_le_bytes(std::array::from_fn(|i| (a[i] as i8 * (b[i] as i8).signum()) as u8))
        })
    }

    /// Stores the lowest byte of every lane into the first `LEN` bytes of `to`; panics if it is shorter.
    #[inline(always)]
    fn store_bytes(self, to: &mut [u8]) {
        to[..Self::LEN].iter_mut().zip(lanes(self)).for_each(|(to, lane)| *to = lane.to_bits() as u8);
    }

    /// The lower half of every byte.
    #[inline(always)]
    fn lower_nibbles(self) -> Self {
        each(self, |lane| lane & 0x0f0f_0f0f)
    }

    /// The upper half of every byte.
    #[inline(always)]
    fn upper_nibbles(self) -> Self {
        each(self, |lane| lane >> 4 & 0x0f0f_0f0f)
    }

    /// Every lane shifted up by fewer than 32 bits.
    #[inline(always)]
    fn shift_left(self, by: u32) -> Self {
        each(self, |lane| lane << by)
    }

    /// Every lane shifted down by fewer than 32 bits.
    #[inline(always)]
    fn shift_right(self, by: u32) -> Self {
        each(self, |lane| lane >> by)
    }

    /// The bits of every lane that are in `mask`.
    #[inline(always)]
    fn masked(self, mask: u32) -> Self {
        each(self, |lane| lane & mask)
    }

    /// The bits of both.
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        pairs(self, other, |a, b| a | b)
    }

    /// For every byte, which must be below 16, the byte at that place in `table`: sixteen bytes, which fill the vector
    /// again and again.
    #[inline(always)]
    fn look_up(self, table: Self) -> Self {
        let table = lanes(table);
        each(self, |lane| {
            u32::from_le_bytes(lane.to_le_bytes().map(|at| {
                let at = usize::from(at % 16);
                (table[at / 4].to_bits() >> (at % 4 * 8)) as u8
            }))
        })
    }

    /// The bf16 in the lower half of every lane, as f32.
    #[inline(always)]
    fn lower_bf16(self) -> Self {
        each(self, |lane| lane << 16)
    }

    /// The bf16 in the upper half of every lane, as f32.
    #[inline(always)]
    fn upper_bf16(self) -> Self {
        each(self, |lane| lane & 0xffff_0000)
    }

    /// Loads `LEN` f16 as f32.
    ///
    /// # Safety
    /// They can be read; no alignment is required.
    #[inline(always)]
    unsafe fn load_f16_at(self, from: *const u16) -> Self {
        let mut floats = [0.0; MOST];
        for (i, x) in floats.iter_mut().enumerate().take(Self::LEN) {
            // SAFETY: by contract.
            *x = f16_to_f32(unsafe { from.add(i).read_unaligned() });
        }
        self.load(&floats)
    }
}

/// Lanes of the widest vector.
const MOST: usize = 16;

#[inline(always)]
fn lanes<V: Lanes>(v: V) -> [f32; MOST] {
    let mut lanes = [0.0; MOST];
    v.store(&mut lanes);
    lanes
}

/// `f` of the bits of every lane; only of those that the vector has, since Miri runs this step by step.
#[inline(always)]
fn each<V: Lanes>(v: V, f: impl Fn(u32) -> u32) -> V {
    let mut lanes = lanes(v);
    for lane in &mut lanes[..V::LEN] {
        *lane = f32::from_bits(f(lane.to_bits()));
    }
    v.load(&lanes)
}

/// The same for two vectors.
#[inline(always)]
fn pairs<V: Lanes>(a: V, b: V, f: impl Fn(u32, u32) -> u32) -> V {
    let (mut lanes, others) = (lanes(a), lanes(b));
    for (lane, other) in lanes[..V::LEN].iter_mut().zip(&others[..V::LEN]) {
        *lane = f32::from_bits(f(lane.to_bits(), other.to_bits()));
    }
    a.load(&lanes)
}

/// How quads are multiplied and added. A kernel whose body is also generic over this, after the vector, is made by
/// [`kernel_of_adds!`]; the bits are the same.
pub(crate) trait Adds<V: Integers> {
    /// Vectors needed in addition to the sum and `unsigned`.
    const BETWEEN: usize;

    /// As [`Integers::add_quads`].
    fn add_quads(sum: V, unsigned: V, signed: V) -> V;
}

/// With the operations that every vector has.
pub(crate) struct AnyAdds;

impl<V: Integers> Adds<V> for AnyAdds {
    const BETWEEN: usize = 3;

    #[inline(always)]
    fn add_quads(sum: V, unsigned: V, signed: V) -> V {
        sum.add_quads(unsigned, signed)
    }
}

/// With a single instruction.
#[cfg(target_arch = "x86_64")]
pub(crate) struct VnniAdds;

#[cfg(target_arch = "x86_64")]
impl Adds<Avx512<VNNI>> for VnniAdds {
    const BETWEEN: usize = 1;

    #[inline(always)]
    fn add_quads(sum: Avx512<VNNI>, unsigned: Avx512<VNNI>, signed: Avx512<VNNI>) -> Avx512<VNNI> {
        sum.add_quads_vnni(unsigned, signed)
    }
}

/// `kernel_of_adds!(fn name(args) = body);` makes `name(cores, args)`, which runs `body::<V, A>(v, args)` compiled for the
/// instruction set of `cores`.
macro_rules! kernel_of_adds {
    (fn $name:ident($($arg:ident: $type:ty),* $(,)?) = $body:ident) => {
        fn $name(cores: &$crate::Cores, $($arg: $type),*) {
            $crate::lanes::kernel!(fn any($($arg: $type),*) = $body::<_, $crate::lanes::integers::AnyAdds>);
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            fn vnni($($arg: $type),*) {
                use $crate::lanes::x86::{Avx512, VNNI};
                // SAFETY: this function has the instruction set and the extension.
                let v = unsafe { <Avx512<VNNI> as $crate::lanes::Lanes>::new() };
                $body::<_, $crate::lanes::integers::VnniAdds>(v, $($arg),*)
            }
            match cores.isa() {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `Cores` holds only an instruction set that this machine has.
                $crate::Isa::Avx512Vnni | $crate::Isa::Avx512Bf16 | $crate::Isa::Amx => unsafe { vnni($($arg),*) },
                _ => any(cores, $($arg),*),
            }
        }
    };
}
pub(crate) use kernel_of_adds;
