//! The instruction sets, and which of them this machine has.

/// An instruction set a kernel is compiled for. The choice is made once, at run time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isa {
    /// Plain Rust, any machine; multiply and add are rounded separately.
    Plain,
    /// x86-64 with AVX2, FMA and F16C: 8 lanes.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL: 16 lanes.
    Avx512,
    /// The same with AVX512-VNNI, which multiplies 8-bit numbers: quantised products are faster, with the same
    /// bits; everything else is as on [`Isa::Avx512`].
    Avx512Vnni,
    /// The same with AVX512-BF16, which multiplies pairs of 16-bit numbers: mixed precision is faster.
    Avx512Bf16,
    /// The same with AMX-BF16, which multiplies tiles of 16-bit numbers (Intel's servers since Sapphire Rapids), on Linux: large
    /// products in mixed precision are faster and sum in another order.
    Amx,
    /// aarch64: 4 lanes.
    Neon,
    /// WebAssembly compiled with simd128: 4 lanes; multiply and add are rounded separately. The bits are those of
    /// [`Isa::Plain`].
    Simd128,
}

impl Isa {
    /// All instruction sets, slowest first.
    pub const ALL: [Isa; 8] = [
        Isa::Plain,
        Isa::Avx2,
        Isa::Avx512,
        Isa::Avx512Vnni,
        Isa::Avx512Bf16,
        Isa::Amx,
        Isa::Neon,
        Isa::Simd128,
    ];

    /// Whether this machine can run it.
    pub fn available(self) -> bool {
        match self {
            Isa::Plain => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                Isa::Avx2.available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => Isa::Avx512.available() && is_x86_feature_detected!("avx512vnni"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => Isa::Avx512Vnni.available() && is_x86_feature_detected!("avx512bf16"),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Isa::Amx => Isa::Avx512Bf16.available() && amx::allowed(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => true,
            // There is nothing to ask at run time: a machine without it refuses the whole module.
            Isa::Simd128 => cfg!(all(target_arch = "wasm32", target_feature = "simd128")),
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// Whether a multiplication and the addition after it are rounded together, once.
    pub fn fuses(self) -> bool {
        !matches!(self, Isa::Plain | Isa::Simd128)
    }

    /// The widest instruction set of this machine.
    pub fn best() -> Isa {
        Isa::ALL.into_iter().rev().find(|isa| isa.available()).unwrap_or(Isa::Plain)
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx {
    use std::arch::asm;
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    use std::sync::LazyLock;

    /// Whether the processor has AMX-TILE and AMX-BF16, and Linux lets this process use the tile registers, which it must be asked
    /// for once (Linux, "Using XSTATE features in user space applications").
    pub(super) fn allowed() -> bool {
        static ALLOWED: LazyLock<bool> = LazyLock::new(|| has_tiles() && ask());
        *ALLOWED
    }

    fn has_tiles() -> bool {
        const FEATURES: u32 = 7;
        const BF16: u32 = 1 << 22;
        const TILE: u32 = 1 << 24;
        __cpuid(0).eax >= FEATURES && __cpuid_count(FEATURES, 0).edx & (BF16 | TILE) == BF16 | TILE
    }

    fn ask() -> bool {
        const ARCH_PRCTL: usize = 158;
        const REQUEST_PERMISSION: usize = 0x1023;
        const TILE_DATA: usize = 18;
        let result: isize;
        // SAFETY: a call to the system that changes no memory; an older one returns an error.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") ARCH_PRCTL => result,
                in("rdi") REQUEST_PERMISSION,
                in("rsi") TILE_DATA,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
        result == 0
    }
}
