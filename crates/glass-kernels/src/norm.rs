//! LayerNorm (Ba et al. 2016).

use crate::Cores;

/// `y = (x - mean) / sqrt(variance + epsilon) * gain + bias`, row by row; `stats` keeps mean and 1/std of every row
/// (`[rows, 2]`) for the backward. The width is `gain.len()`.
pub fn norm(
    cores: &Cores, y: &mut [f32], stats: &mut [f32], x: &[f32], gain: &[f32], bias: Option<&[f32]>, epsilon: f32,
) {
    let _ = (cores, y, stats, x, gain, bias, epsilon);
    todo!()
}

/// `dx += …`; `dgain += …`; `dbias += …` (the last two where wanted), summed over rows in row order.
pub fn norm_backward(
    cores: &Cores, dx: &mut [f32], dgain: Option<&mut [f32]>, dbias: Option<&mut [f32]>, dy: &[f32], x: &[f32],
    stats: &[f32], gain: &[f32],
) {
    let _ = (cores, dx, dgain, dbias, dy, x, stats, gain);
    todo!()
}
