//! Linear: `y = x Wᵀ + b`, the matrix product in which a GPT spends its time.
//!
//! Forward and both gradients are one product; they differ in how its operands lie.

mod pack;
mod product;
mod tile;

use crate::activate::Activation;
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;
use crate::{Cores, Write};
use product::{Left, Product, Right, Start};

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

impl Matrix<'_> {
    fn assert_whole(&self) {
        let len = match self.layout {
            Layout::Rows => self.rows * self.cols,
            Layout::Panels => panels_len(self.rows, self.cols),
        };
        assert_eq!(self.values.len(), len, "values of a {} × {} matrix", self.rows, self.cols);
    }
}

/// Floats that the panels of a `rows` × `cols` matrix take.
pub fn panels_len(rows: usize, cols: usize) -> usize {
    rows.div_ceil(PANEL) * PANEL * cols
}

/// Row-major `w` into panels.
pub fn pack(cores: &Cores, panels: &mut [f32], w: &[f32], rows: usize, cols: usize) {
    assert_eq!(w.len(), rows * cols);
    assert_eq!(panels.len(), panels_len(rows, cols));
    cores.run_parts(panels, (PANEL * cols).max(1), |p, panel| pack::panel(cores, panel, w, cols, p));
}

/// `y = activation(x Wᵀ + bias)`; x: `[rows, w.cols]`, y: `[rows, w.rows]`. The same bits for one row as for many, for
/// both layouts, and with the activation applied here or afterwards: every output is one chain of multiply-adds that
/// starts at its bias and runs over the inputs in order.
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
    w.assert_whole();
    assert!(bias.is_none_or(|bias| bias.len() == w.rows));
    Product {
        a: Left::Natural(x),
        b: match w.layout {
            Layout::Rows => Right::Transposed(w.values),
            Layout::Panels => Right::Panels(w.values),
        },
        y: Parts::new(y),
        rows,
        depth: w.cols,
        columns: w.rows,
        start: bias.map_or(Start::Zero, Start::Bias),
        activation,
    }
    .run(cores);
}

/// `dx = dy W` (or `+=`); w is row-major. Each element is one chain over the outputs in order.
pub fn linear_backward_input(cores: &Cores, dx: &mut [f32], write: Write, dy: &[f32], w: Matrix<'_>) {
    let rows = dx.len() / w.cols.max(1);
    assert_eq!((dy.len(), dx.len()), (rows * w.rows, rows * w.cols));
    assert_eq!(w.layout, Layout::Rows);
    w.assert_whole();
    Product {
        a: Left::Natural(dy),
        b: Right::Natural(w.values),
        y: Parts::new(dx),
        rows,
        depth: w.rows,
        columns: w.cols,
        start: Start::of(write),
        activation: None,
    }
    .run(cores);
}

/// `dw = dyᵀ x` (or `+=`; row-major, `[dy cols, x cols]`) and `dbias += column sums of dy`, summed over rows in row order.
pub fn linear_backward_weight(
    cores: &Cores,
    dw: &mut [f32],
    write: Write,
    dbias: Option<&mut [f32]>,
    dy: &[f32],
    x: &[f32],
    rows: usize,
) {
    if rows == 0 {
        if write == Write::Set {
            dw.fill(0.0);
        }
        return;
    }
    let (outputs, inputs) = (dy.len() / rows, x.len() / rows);
    assert_eq!((dy.len(), x.len(), dw.len()), (rows * outputs, rows * inputs, outputs * inputs));
    Product {
        a: Left::Transposed(dy),
        b: Right::Natural(x),
        y: Parts::new(dw),
        rows: outputs,
        depth: rows,
        columns: inputs,
        start: Start::of(write),
        activation: None,
    }
    .run(cores);
    if let Some(dbias) = dbias {
        assert_eq!(dbias.len(), outputs);
        cores.run_parts(dbias, SUMS, |i, sums| add_columns(cores, sums, dy, outputs, i * SUMS));
    }
}

/// Columns that one task sums: a kilobyte of every row.
const SUMS: usize = 256;

kernel!(fn add_columns(sums: &mut [f32], dy: &[f32], cols: usize, first: usize) = add_columns_body);

#[inline(always)]
fn add_columns_body<V: Lanes>(_: V, sums: &mut [f32], dy: &[f32], cols: usize, first: usize) {
    for dy in dy.chunks_exact(cols) {
        for (sum, dy) in sums.iter_mut().zip(&dy[first..]) {
            *sum += dy;
        }
    }
}
