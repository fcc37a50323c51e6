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
    assert_eq!(w.len(), rows * cols);
    assert_eq!(panels.len(), panels_len(rows, cols));
    cores.run_parts(panels, (PANEL * cols).max(1), |p, panel| {
        for (k, line) in panel.chunks_exact_mut(PANEL).enumerate() {
            for (j, to) in line.iter_mut().enumerate() {
                let row = p * PANEL + j;
                *to = if row < rows { w[row * cols + k] } else { 0.0 };
            }
        }
    });
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
    let rows = y.len() / w.rows.max(1);
    assert_eq!((y.len(), x.len()), (rows * w.rows, rows * w.cols));
    for (y, x) in y.chunks_exact_mut(w.rows).zip(x.chunks_exact(w.cols)) {
        for (j, y) in y.iter_mut().enumerate() {
            let at = |k: usize| match w.layout {
                Layout::Rows => w.values[j * w.cols + k],
                Layout::Panels => w.values[((j / PANEL) * w.cols + k) * PANEL + j % PANEL],
            };
            let sum = x.iter().enumerate().fold(0.0, |sum: f32, (k, x)| sum + x * at(k));
            *y = sum + bias.map_or(0.0, |bias| bias[j]);
        }
    }
    if let Some(kind) = activation {
        let x = y.to_vec();
        crate::activate::activate(cores, y, &x, kind);
    }
}

/// `dx = dy W` (or `+=`); w is row-major.
pub fn linear_backward_input(cores: &Cores, dx: &mut [f32], write: Write, dy: &[f32], w: Matrix<'_>) {
    assert_eq!(w.layout, Layout::Rows);
    cores.run_parts(dx, w.cols, |r, dx| {
        let dy = &dy[r * w.rows..][..w.rows];
        if write == Write::Set {
            dx.fill(0.0);
        }
        for (dy, w) in dy.iter().zip(w.values.chunks_exact(w.cols)) {
            for (dx, w) in dx.iter_mut().zip(w) {
                *dx += dy * w;
            }
        }
    });
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
    if rows == 0 {
        return;
    }
    let (outputs, inputs) = (dy.len() / rows, x.len() / rows);
    cores.run_parts(dw, inputs, |j, dw| {
        for (dy, x) in dy.chunks_exact(outputs).zip(x.chunks_exact(inputs)) {
            for (dw, x) in dw.iter_mut().zip(x) {
                *dw += dy[j] * x;
            }
        }
    });
    if let Some(dbias) = dbias {
        for dy in dy.chunks_exact(outputs) {
            for (db, dy) in dbias.iter_mut().zip(dy) {
                *db += dy;
            }
        }
    }
}
