//! The precision of the operands of matrix products.

use crate::Isa;

/// The precision that the operands of a matrix product are rounded to. Sums, and everything that is not a matrix
/// product of [`linear`](crate::linear), including attention, are f32 in either case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Precision {
    /// Not rounded.
    #[default]
    F32,
    /// Rounded to bf16 (to nearest, ties to even), two per lane, which doubles the speed if the machine multiplies
    /// pairs. The product of two bf16 is exact in f32. If the machine multiplies pairs, subnormal operands and
    /// results are treated as zero; elsewhere, much more slowly, they are not, and everything else is equal bit for
    /// bit, except on [`Isa::Amx`], where the products of 32 values at even places and those at odd places are summed apart before
    /// they are added.
    Mixed,
}

impl Precision {
    /// Its name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Mixed => "mixed",
        }
    }

    /// Values per lane of a packed operand.
    pub(crate) fn per_lane(self) -> usize {
        match self {
            Precision::F32 => 1,
            Precision::Mixed => 2,
        }
    }

    /// Whether it is faster with this instruction set.
    pub fn gains(self, isa: Isa) -> bool {
        self == Precision::F32 || matches!(isa, Isa::Avx512Bf16 | Isa::Amx)
    }
}

/// The scale of every 32 inputs of a product with quantised weights, which are rounded to 8 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum InputScales {
    /// Chosen such that the largest magnitude becomes 127.
    #[default]
    Exact,
    /// The smallest power of two that leaves no magnitude above 127: it needs no multiplication, and its steps
    /// are 1.5 times as wide on average. Inputs above 2¹¹⁰ are treated as infinite.
    PowersOfTwo,
}

impl InputScales {
    /// Both.
    pub const ALL: [InputScales; 2] = [InputScales::Exact, InputScales::PowersOfTwo];
}
