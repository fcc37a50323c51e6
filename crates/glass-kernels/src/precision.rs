//! What the operands of matrix products are rounded to.

use crate::Isa;

/// What the factors of a matrix product are rounded to. Sums, and all that is not a matrix product of
/// [`linear`](crate::linear), attention included, are f32 in either case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Precision {
    /// Not at all.
    #[default]
    F32,
    /// To bf16 (to nearest, ties to even), two to a lane, which doubles the rate where the machine multiplies pairs. The
    /// products of two such factors are exact in f32. Subnormal factors and results are taken for zero where the machine
    /// multiplies pairs; elsewhere, at a fraction of the speed, they are not, and all else is equal bit for bit.
    Mixed,
}

impl Precision {
    /// As it is asked for and written down.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Mixed => "mixed",
        }
    }

    /// Operands that a lane of a packed operand holds.
    pub(crate) fn factors(self) -> usize {
        match self {
            Precision::F32 => 1,
            Precision::Mixed => 2,
        }
    }

    /// Whether a machine with this instruction set computes the faster for it.
    pub fn gains(self, isa: Isa) -> bool {
        self == Precision::F32 || isa == Isa::Avx512Bf16
    }
}

/// The scale of every 32 inputs of a product with quantised weights, where they are rounded to 8 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum InputScales {
    /// Such that the greatest input is −128.
    #[default]
    Exact,
    /// The least power of two that leaves none above 127.5 or below −128: it costs no multiplication, and its steps are 1.4
    /// times as wide on average. Inputs above 2¹¹⁰ are treated as infinite.
    PowersOfTwo,
}

impl InputScales {
    /// Both.
    pub const ALL: [InputScales; 2] = [InputScales::Exact, InputScales::PowersOfTwo];
}
