//! Linear: `y = x Wᵀ + b`, the matrix product in which a GPT spends its time.

use crate::activate::Activation;
use crate::{Cores, Write};

/// Output columns in a panel.
pub const PANEL: usize = 64;

/// How the values of a weight matrix lie in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Row-major, `[rows, cols]`: what is trained.
    Rows,
    /// Panels of [`PANEL`] output rows, k running inside: `[rows / PANEL rounded up][cols][PANEL]`, padded with zeros:
    /// what is run.
    Panels,
}

/// A weight matrix: `rows` outputs by `cols` inputs.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// The numbers, in `layout`.
    pub values: &'a [f32],
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// How `values` lie.
    pub layout: Layout,
}

/// Floats that the panels of a `rows` × `cols` matrix take.
pub fn panels_len(rows: usize, cols: usize) -> usize {
    rows.div_ceil(PANEL) * PANEL * cols
}

/// Row-major `w` into panels.
pub fn pack(cores: &Cores, panels: &mut [f32], w: &[f32], rows: usize, cols: usize) {
    let _ = (cores, panels, w, rows, cols);
    todo!()
}

/// `y = activation(x Wᵀ + bias)`; x: `[rows, w.cols]`, y: `[rows, w.rows]`. The same bits for one row as for many, for
/// both layouts, and with the activation applied here or afterwards.
pub fn linear(
    cores: &Cores,
    y: &mut [f32],
    x: &[f32],
    w: Matrix<'_>,
    bias: Option<&[f32]>,
    activation: Option<Activation>,
) {
    let _ = (cores, y, x, w, bias, activation);
    todo!()
}

/// `dx = dy W` (or `+=`); w is row-major.
pub fn linear_backward_input(cores: &Cores, dx: &mut [f32], write: Write, dy: &[f32], w: Matrix<'_>) {
    let _ = (cores, dx, write, dy, w);
    todo!()
}

/// `dw += dyᵀ x` (row-major, `[dy cols, x cols]`) and `dbias += column sums of dy`, summed over rows in row order.
pub fn linear_backward_weight(
    cores: &Cores,
    dw: &mut [f32],
    dbias: Option<&mut [f32]>,
    dy: &[f32],
    x: &[f32],
    rows: usize,
) {
    let _ = (cores, dw, dbias, dy, x, rows);
    todo!()
}
