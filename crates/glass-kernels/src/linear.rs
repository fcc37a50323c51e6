//! Linear layers: `y = x Wᵀ + b`, the matrix product that takes most of a GPT's time.
//!
//! Forward and both gradients are one kind of product; they differ in the layout of its operands.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) mod amx;
mod pack;
mod pair;
mod parts;
mod product;
mod quantised;
mod rounding;
mod tile;

use crate::activate::Activation;
use crate::lanes::{Lanes, kernel};
use crate::packing::{BLOCK, PANEL, Packing, Quants, ReadQuants, pack_panel, put_panel};
use crate::pool::Parts;
use crate::{Cores, Precision, Write};
pub use pair::linear_pair_backward_input;
pub use parts::linear_in_parts;
use product::{LargeProduct, Left, Right, Start};
use quantised::QuantisedProduct;
pub use rounding::InputRounding;

/// How the values of a weight matrix are laid out in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Row-major, `[rows, cols]`: for training.
    Rows,
    /// Panels of 64 output rows, with k as the inner dimension, padded with zeros: for running.
    Panels(Packing),
}

impl Layout {
    /// Lanes of 32 bits that a `rows` × `cols` matrix takes.
    pub fn len(self, rows: usize, cols: usize) -> usize {
        match self {
            Layout::Rows => rows * cols,
            Layout::Panels(packing) => packing.len(rows, cols),
        }
    }
}

/// A weight matrix: `rows` outputs by `cols` inputs.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// The numbers, in `layout`; in panels, lanes of 32 bits.
    pub values: &'a [f32],
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// The layout of `values`.
    pub layout: Layout,
}

impl Matrix<'_> {
    fn assert_whole(&self) {
        let len = self.layout.len(self.rows, self.cols);
        assert_eq!(self.values.len(), len, "values of a {} × {} matrix", self.rows, self.cols);
    }
}

/// Packs the row-major matrix `w` into panels, `packing.len(rows, cols)` lanes.
pub fn pack(cores: &Cores, panels: &mut [f32], packing: Packing, w: &[f32], rows: usize, cols: usize) {
    assert_eq!(w.len(), rows * cols);
    assert_eq!(panels.len(), packing.len(rows, cols));
    cores.run_parts(panels, packing.panel_len(cols).max(1), |p, panel| match packing {
        Packing::F32 => pack::panel(cores, panel, w, cols, p),
        _ => pack_panel(panel, packing, w, cols, p),
    });
}

/// Packs blocks of 32 weights into panels.
pub fn pack_quants(
    cores: &Cores,
    panels: &mut [f32],
    packing: Packing,
    quants: &ReadQuants<'_>,
    rows: usize,
    cols: usize,
) {
    assert_eq!(panels.len(), packing.len(rows, cols));
    cores.run_parts(panels, packing.panel_len(cols).max(1), |p, panel| {
        let (first, blocks) = (p * PANEL, cols.div_ceil(BLOCK));
        let mut read = vec![Quants::default(); PANEL.min(rows - first) * blocks];
        for (row, into) in read.chunks_exact_mut(blocks).enumerate() {
            quants(first + row, into);
        }
        put_panel(panel, packing, &read, blocks);
    });
}

/// `y = activation(x Wᵀ + bias)`; x: `[rows, w.cols]`, y: `[rows, w.rows]`. The bits are the same for one row as
/// for many, for rows and panels of f32, and whether the activation is applied here or afterwards: every output is
/// one chain of multiply-adds that starts at its bias and runs over the inputs in order; with quantised weights,
/// over blocks of 32 inputs, whose sums are exact.
pub fn linear(
    cores: &Cores,
    y: &mut [f32],
    x: &[f32],
    w: Matrix<'_>,
    bias: Option<&[f32]>,
    activation: Option<Activation>,
) {
    linear_each(cores, x, [Layer { y, w, bias, activation }]);
}

/// A linear layer and its outputs.
pub struct Layer<'a> {
    /// The outputs.
    pub y: &'a mut [f32],
    /// The weights.
    pub w: Matrix<'a>,
    /// The bias.
    pub bias: Option<&'a [f32]>,
    /// What is applied to the outputs.
    pub activation: Option<Activation>,
}

/// [`linear`] for several layers that read the same inputs, with the same bits. If their weights are packed alike, the inputs are
/// rounded once for all, and threads wait for each other once.
pub fn linear_each<const N: usize>(cores: &Cores, x: &[f32], layers: [Layer<'_>; N]) {
    layers.iter().for_each(|layer| layer.assert_whole(x));
    let packing = layers[0].quantised();
    if packing.is_some() && layers.iter().all(|layer| layer.quantised() == packing) {
        return QuantisedProduct::run(&layers.map(|layer| QuantisedProduct::of(layer, x)), cores);
    }
    for layer in layers {
        match layer.quantised() {
            Some(_) => QuantisedProduct::run(&[QuantisedProduct::of(layer, x)], cores),
            None => layer.run_dense(cores, x),
        }
    }
}

impl Layer<'_> {
    fn assert_whole(&self, x: &[f32]) {
        let rows = self.y.len() / self.w.rows.max(1);
        assert_eq!((self.y.len(), x.len()), (rows * self.w.rows, rows * self.w.cols));
        self.w.assert_whole();
        assert!(self.bias.is_none_or(|bias| bias.len() == self.w.rows));
    }

    /// The packing, if the weights are quantised.
    fn quantised(&self) -> Option<Packing> {
        match self.w.layout {
            Layout::Panels(packing) if packing.is_quantised() => Some(packing),
            _ => None,
        }
    }

    fn run_dense(self, cores: &Cores, x: &[f32]) {
        let Layer { y, w, bias, activation } = self;
        let (depth, columns) = (w.cols, w.rows);
        let rows = y.len() / columns.max(1);
        let (b, precision) = match w.layout {
            Layout::Rows => (Right::Transposed(w.values), cores.precision()),
            Layout::Panels(Packing::Bf16) => (Right::Panels(w.values, Precision::Mixed), Precision::Mixed),
            Layout::Panels(_) => (Right::Panels(w.values, Precision::F32), cores.precision()),
        };
        let (a, start, y) = (Left::Natural(x), bias.map_or(Start::Zero, Start::Bias), Parts::new(y));
        LargeProduct { a, b, y, rows, depth, columns, start, activation, precision }.run(cores);
    }
}

/// `dx = dy W` (or `+=`). Each element is one chain over the outputs in order; packed weights are multiplied as the floats that they
/// stand for.
pub fn linear_backward_input(cores: &Cores, dx: &mut [f32], write: Write, dy: &[f32], w: Matrix<'_>) {
    let rows = dx.len() / w.cols.max(1);
    assert_eq!((dy.len(), dx.len()), (rows * w.rows, rows * w.cols));
    w.assert_whole();
    LargeProduct {
        a: Left::Natural(dy),
        b: match w.layout {
            Layout::Rows => Right::Natural(w.values),
            Layout::Panels(packing) => Right::PackedRows(w.values, packing),
        },
        y: Parts::new(dx),
        rows,
        depth: w.rows,
        columns: w.cols,
        start: Start::of(write),
        activation: None,
        precision: cores.precision(),
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
    LargeProduct {
        a: Left::Transposed(dy),
        b: Right::Natural(x),
        y: Parts::new(dw),
        rows: outputs,
        depth: rows,
        columns: inputs,
        start: Start::of(write),
        activation: None,
        precision: cores.precision(),
    }
    .run(cores);
    if let Some(dbias) = dbias {
        assert_eq!(dbias.len(), outputs);
        cores.run_parts(dbias, SUMS, |i, sums| add_columns(cores, sums, dy, outputs, i * SUMS));
    }
}

/// Columns summed by one task: a kilobyte of every row.
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
