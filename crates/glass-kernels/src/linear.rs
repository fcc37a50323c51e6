//! Linear: `y = x Wᵀ + b`, the matrix product in which a GPT spends its time.

mod product;

use std::cell::RefCell;

use crate::activate::Activation;
use crate::{Cores, Write};
use product::{Columns, Product, product, transpose};

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
        transpose(panel, w, cols, p * PANEL..rows.min((p + 1) * PANEL), 0..cols);
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
    assert!(bias.is_none_or(|bias| bias.len() == w.rows));
    let b = match w.layout {
        Layout::Rows => Columns::Rows(w.values),
        Layout::Panels => Columns::Panels(w.values),
    };
    let (columns, depth) = (w.rows, w.cols);
    product(
        cores,
        y,
        Product { rows, columns, depth, a: x, stride: depth, b, write: Write::Set, bias, activation },
    );
}

/// `dx = dy W` (or `+=`); w is row-major.
pub fn linear_backward_input(cores: &Cores, dx: &mut [f32], write: Write, dy: &[f32], w: Matrix<'_>) {
    assert_eq!(w.layout, Layout::Rows);
    let rows = dx.len() / w.cols.max(1);
    assert_eq!((dx.len(), dy.len()), (rows * w.cols, rows * w.rows));
    let (columns, depth, b) = (w.cols, w.rows, Columns::Natural(w.values));
    let p = Product { rows, columns, depth, a: dy, stride: depth, b, write, bias: None, activation: None };
    product(cores, dx, p);
}

thread_local! {
    /// dy transposed, so that what a tile multiplies by lies in a row.
    static TRANSPOSED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
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
    assert_eq!((dy.len(), x.len(), dw.len()), (rows * outputs, rows * inputs, outputs * inputs));
    if let Some(dbias) = dbias {
        assert_eq!(dbias.len(), outputs);
        cores.run_parts(dbias, PANEL, |part, dbias| {
            for dy in dy.chunks_exact(outputs) {
                let dy = &dy[part * PANEL..][..dbias.len()];
                dbias.iter_mut().zip(dy).for_each(|(db, dy)| *db += dy);
            }
        });
    }
    // A stride that is no multiple of a page keeps the rows of a tile out of each other's cache sets.
    let stride = rows.next_multiple_of(16) + 16;
    TRANSPOSED.with_borrow_mut(|transposed| {
        if transposed.len() < outputs * stride {
            transposed.resize(outputs * stride, 0.0);
        }
        let dyt = &mut transposed[..outputs * stride];
        cores.run_parts(dyt, 16 * stride, |part, dyt| {
            for (k, dy) in dy.chunks_exact(outputs).enumerate() {
                for (row, value) in dyt.chunks_exact_mut(stride).zip(&dy[part * 16..]) {
                    row[k] = *value;
                }
            }
        });
        let b = Columns::Natural(x);
        let (columns, depth, write) = (inputs, rows, Write::Add);
        let p =
            Product { rows: outputs, columns, depth, a: dyt, stride, b, write, bias: None, activation: None };
        product(cores, dw, p);
    });
}
