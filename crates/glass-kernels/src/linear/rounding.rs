//! What a product makes of its inputs before it multiplies them: not needed to compute, but to explain a result.

use super::Layout;
use super::quantised::quantised_scale;
use crate::format::{bf16_to_f32, f32_to_bf16};
use crate::packing::{BLOCK, Packing};
use crate::{Cores, InputScales, Precision};

/// How a product rounds its inputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InputRounding {
    /// Not at all.
    None,
    /// To bf16, like the weights.
    Bf16,
    /// To 8 bits, with one scale for every 32 of a row.
    Blocks(InputScales),
}

impl InputRounding {
    /// In a product with weights in this layout.
    pub fn of(cores: &Cores, layout: Layout) -> InputRounding {
        match (layout, cores.precision()) {
            (Layout::Panels(packing), _) if packing.is_quantised() => {
                InputRounding::Blocks(cores.input_scales())
            }
            (Layout::Panels(Packing::Bf16), _) | (_, Precision::Mixed) => InputRounding::Bf16,
            (_, Precision::F32) => InputRounding::None,
        }
    }

    /// A row of inputs as the product multiplies them. In blocks they are an integer times a scale, a product that needs more
    /// bits than an f32 has.
    pub fn rounded(self, x: &[f32]) -> Vec<f64> {
        match self {
            InputRounding::None => x.iter().map(|&x| f64::from(x)).collect(),
            InputRounding::Bf16 => x.iter().map(|&x| f64::from(bf16_to_f32(f32_to_bf16(x)))).collect(),
            InputRounding::Blocks(scales) => x.chunks(BLOCK).flat_map(|x| in_block(x, scales)).collect(),
        }
    }
}

/// Floats near this number are integers, so adding it rounds.
const ROUNDER: f32 = 1.5 * 8_388_608.0;

/// One block, in the steps of the kernel.
fn in_block(x: &[f32], scales: InputScales) -> impl Iterator<Item = f64> {
    let scale = match x.iter().all(|x| x.is_finite()) {
        true => quantised_scale(x, scales),
        false => f32::NAN,
    };
    let by = 1.0 / scale;
    let (scale, by) = if by < f32::INFINITY || scale.is_nan() { (scale, by) } else { (0.0, 0.0) };
    x.iter().map(move |x| f64::from(x * by + ROUNDER - ROUNDER) * f64::from(scale))
}
