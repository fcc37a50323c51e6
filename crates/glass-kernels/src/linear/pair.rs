//! The gradient through two linear layers and what lies between them, for as many gradients as there are outputs.

use std::ops::Range;

use super::pack::{self, Order};
use super::product::{odd_lines, pieces};
use super::tile::Strip;
use super::{Layout, Matrix, PANEL};
use crate::aligned::AlignedBuffer;
use crate::lanes::{Lanes, kernel};
use crate::operands::Singles;
use crate::pool::Parts;
use crate::scratch::with_scratch;
use crate::{BlockSize, Cores};

/// Panels of a task: what is scaled for one of them is used for all.
const GROUP: usize = 4;

/// `dx[n] = dy[n] · down · diag(slopes[n]) · up` for every row n of `slopes`, in f32; down: `[outputs, hidden]`, slopes:
/// `[rows, hidden]`, up: `[hidden, inputs]`, dy: `[rows][each, outputs]`, dx: `[rows][each, inputs]`.
///
/// With about as many gradients as outputs it is less work to multiply the matrices first, once for every row: that
/// takes `hidden × (outputs × inputs)` multiply-adds, and their product with the gradients a few more; one layer
/// after the other would take twice as many as the first step for each row. Every number is a chain of multiply-adds
/// in ascending order.
pub fn linear_pair_backward_input(
    cores: &Cores,
    dx: &mut [f32],
    dy: &[f32],
    down: Matrix<'_>,
    slopes: &[f32],
    up: Matrix<'_>,
) {
    let (rows, inputs) = (slopes.len() / up.rows.max(1), up.cols);
    let each = dx.len() / (rows * inputs).max(1);
    assert_eq!((down.layout, up.layout, down.cols), (Layout::Rows, Layout::Rows, up.rows));
    assert_eq!((slopes.len(), dx.len()), (rows * up.rows, rows * each * inputs));
    assert_eq!(dy.len(), rows * each * down.rows);
    [down, up].iter().for_each(Matrix::assert_whole);
    let panels = inputs.div_ceil(PANEL);
    let mut packed = AlignedBuffer::zeros(panels * up.rows * PANEL).expect("memory for a packed matrix");
    cores.run_parts(&mut packed, (up.rows * PANEL).max(1), |panel, to| pack_panel(cores, to, up, panel));
    let groups = panels.div_ceil(GROUP);
    let pair = Pair { down, slopes, up: &packed, inputs, dy, dx: Parts::new(dx), each };
    cores.run(rows * groups, &|task| {
        let (row, group) = (task / groups, task % groups);
        let panels = group * GROUP..panels.min((group + 1) * GROUP);
        Task { row, panels, block: cores.room().block() }.run(cores, &pair);
    });
}

struct Pair<'a> {
    down: Matrix<'a>,
    slopes: &'a [f32],
    /// In panels.
    up: &'a [f32],
    inputs: usize,
    dy: &'a [f32],
    dx: Parts<'a, f32>,
    each: usize,
}

kernel!(fn pack_panel(to: &mut [f32], up: Matrix<'_>, panel: usize) = pack_panel_body);

#[inline(always)]
fn pack_panel_body<V: Lanes>(v: V, to: &mut [f32], up: Matrix<'_>, panel: usize) {
    let columns = panel * PANEL..up.cols.min((panel + 1) * PANEL);
    // SAFETY: there is room for all steps of this panel.
    unsafe {
        pack::copy::<V, Singles>(v, to.as_mut_ptr(), Order::PANEL, up.values, up.cols, 0..up.rows, columns)
    };
}

/// One row of `slopes`, and some panels of the inputs.
struct Task {
    row: usize,
    panels: Range<usize>,
    block: BlockSize,
}

impl Task {
    fn run(&self, cores: &Cores, pair: &Pair<'_>) {
        let step = odd_lines(self.block.depth.min(pair.down.cols));
        let lens = [self.block.rows.min(pair.down.rows) * step, self.panels.len() * pair.down.rows * PANEL];
        // The kernel is inside, not around: what a closure computes is compiled without the instruction set.
        with_scratch(lens, |[scaled, product]| one(cores, pair, self, step, scaled, product));
    }
}

kernel!(fn one(pair: &Pair<'_>, task: &Task, step: usize, scaled: &mut [f32], product: &mut [f32]) = one_body);

#[inline(always)]
fn one_body<V: Lanes>(
    v: V,
    pair: &Pair<'_>,
    task: &Task,
    step: usize,
    scaled: &mut [f32],
    product: &mut [f32],
) {
    multiply(v, pair, task, step, scaled, product);
    through(v, pair, task, product);
}

/// The product of the matrices.
#[inline(always)]
fn multiply<V: Lanes>(
    v: V,
    pair: &Pair<'_>,
    task: &Task,
    step: usize,
    scaled: &mut [f32],
    product: &mut [f32],
) {
    let (outputs, hidden) = (pair.down.rows, pair.down.cols);
    let slopes = &pair.slopes[task.row * hidden..][..hidden];
    for k in pieces(0..hidden, task.block.depth) {
        for rows in pieces(0..outputs, task.block.rows) {
            for (line, i) in scaled.chunks_exact_mut(step).zip(rows.clone()) {
                scale(v, line, &pair.down.values[i * hidden..][k.clone()], &slopes[k.clone()]);
            }
            for (p, product) in product.chunks_exact_mut(outputs * PANEL).enumerate() {
                let strip = Strip {
                    a: scaled.as_ptr(),
                    a_row: step,
                    a_step: 1,
                    a_tile: None,
                    b_step: PANEL,
                    b_tile: None,
                    b: pair.up[((task.panels.start + p) * hidden + k.start) * PANEL..].as_ptr(),
                    depth: k.len(),
                    y: product[rows.start * PANEL..].as_mut_ptr(),
                    y_row: PANEL,
                    rows: rows.len(),
                    columns: PANEL,
                    start: (k.start == 0).then_some([0.0; PANEL]),
                };
                // SAFETY: scratch memory holds these rows and steps, and all rows of this panel's product.
                unsafe { strip.run::<V, Singles>(v) };
            }
        }
    }
}

/// The gradients of a row times the product of its matrices.
#[inline(always)]
fn through<V: Lanes>(v: V, pair: &Pair<'_>, task: &Task, product: &[f32]) {
    let (outputs, inputs, each) = (pair.down.rows, pair.inputs, pair.each);
    let Task { row, block, .. } = *task;
    for k in pieces(0..outputs, block.depth) {
        for rows in pieces(row * each..(row + 1) * each, block.rows) {
            for (p, product) in product.chunks_exact(outputs * PANEL).enumerate() {
                let columns =
                    (task.panels.start + p) * PANEL..inputs.min((task.panels.start + p + 1) * PANEL);
                let strip = Strip {
                    a: pair.dy[(rows.start * outputs + k.start).min(pair.dy.len())..].as_ptr(),
                    a_row: outputs,
                    a_step: 1,
                    a_tile: None,
                    b_step: PANEL,
                    b_tile: None,
                    b: product[k.start * PANEL..].as_ptr(),
                    depth: k.len(),
                    y: pair.dx.start().wrapping_add(rows.start * inputs + columns.start),
                    y_row: inputs,
                    rows: rows.len(),
                    columns: columns.len(),
                    start: (k.start == 0).then_some([0.0; PANEL]),
                };
                // SAFETY: shapes were asserted at the entry, and no other task uses these rows and columns of dx.
                unsafe { strip.run::<V, Singles>(v) };
            }
        }
    }
}

#[inline(always)]
fn scale<V: Lanes>(v: V, to: &mut [f32], from: &[f32], by: &[f32]) {
    let vectors = from.chunks(V::LEN).zip(by.chunks(V::LEN));
    for (to, (from, by)) in to.chunks_mut(V::LEN).zip(vectors) {
        if from.len() == V::LEN {
            (v.load(from) * v.load(by)).store(to);
        } else {
            (v.load_part(from) * v.load_part(by)).store_part(&mut to[..from.len()]);
        }
    }
}
