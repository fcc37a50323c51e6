//! A matrix product, cut into tasks by its shape alone.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::tile::Strip;
use super::{PANEL, pack};
use crate::activate::{Activation, activated};
use crate::factors::{Factors, kernel_of_factors};
use crate::lanes::Lanes;
use crate::pool::Parts;
use crate::{Cores, Precision, Write};

/// Rows of a task, at most: enough that packing a panel for them hardly counts.
const ROWS: usize = 264;

/// The same where the left operand is transposed, and so packed too; then it is used for [`GROUP`] panels.
const FEWER_ROWS: usize = 132;

/// Panels of a task that packs its left operand, at most.
const GROUP: usize = 4;

/// Floats from one step of a packed left operand to the next, where it was transposed.
const PACKED_STEP: usize = 144;

/// Floats from one row of a packed left operand to the next, where it was not: no power of two, by which all rows of a
/// tile would meet in a few sets of the cache.
const PACKED_ROW: usize = DEPTH + 16;

/// Steps of k (lanes, each of one or two factors) that are done for all rows of a task before the next ones: the block of the panel (64 KiB) stays in
/// the second-level cache. Accumulators go on through memory, so a chain is never cut.
pub(super) const DEPTH: usize = 256;

/// `y[i, j] = start + Σ_k a[i, k] b[k, j]`, k ascending; y: `[rows, columns]`.
pub(super) struct Product<'a> {
    pub a: Left<'a>,
    pub b: Right<'a>,
    pub y: Parts<'a, f32>,
    pub rows: usize,
    pub depth: usize,
    pub columns: usize,
    pub start: Start<'a>,
    pub activation: Option<Activation>,
}

/// The left operand.
#[derive(Clone, Copy)]
pub(super) enum Left<'a> {
    /// `[rows, depth]`, read where it lies.
    Natural(&'a [f32]),
    /// `[depth, rows]`, packed first: a step of k is a page away from the next.
    Transposed(&'a [f32]),
}

/// The right operand.
#[derive(Clone, Copy)]
pub(super) enum Right<'a> {
    /// `[depth, columns]`.
    Natural(&'a [f32]),
    /// `[columns, depth]`.
    Transposed(&'a [f32]),
    /// `[columns / PANEL][depth][PANEL]`.
    Panels(&'a [f32]),
}

/// What a chain starts from.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    Zero,
    /// One value for every column.
    Bias(&'a [f32]),
    /// What y holds.
    Stored,
}

impl Start<'_> {
    /// Of a product that replaces what y holds, or is added to it.
    pub(super) fn of(write: Write) -> Self {
        match write {
            Write::Set => Start::Zero,
            Write::Add => Start::Stored,
        }
    }
}

/// Room for packed operands, on the stack of whoever packs them.
#[repr(align(64))]
struct Room {
    b: MaybeUninit<[f32; DEPTH * PANEL]>,
    a: MaybeUninit<[f32; ROWS * PACKED_ROW]>,
}

impl Product<'_> {
    /// Tasks: a block of rows × one panel of columns, or a group of them.
    pub(super) fn run(&self, cores: &Cores) {
        let panels = self.columns.div_ceil(PANEL);
        let (rows, group) = match (self.a, cores.precision()) {
            (Left::Natural(_), Precision::F32) => (ROWS, 1),
            // Enough tasks for some threads, then few enough that packing the left operand hardly counts.
            (Left::Natural(_), Precision::Mixed) => (ROWS, (panels / 6).clamp(1, GROUP)),
            (Left::Transposed(_), _) => (FEWER_ROWS, GROUP),
        };
        let blocks = self.rows.div_ceil(rows);
        cores.run(blocks * panels.div_ceil(group), &|task| {
            let (first, block) = (task / blocks * group, task % blocks);
            let rows = self.rows * block / blocks..self.rows * (block + 1) / blocks;
            part(cores, self, rows, first..panels.min(first + group));
        });
    }

    /// The columns of a panel.
    fn columns_of(&self, panel: usize) -> Range<usize> {
        panel * PANEL..self.columns.min((panel + 1) * PANEL)
    }

    /// What the chains of some columns start from, if not from y.
    fn start_of(&self, columns: Range<usize>) -> Option<[f32; PANEL]> {
        let mut start = [0.0; PANEL];
        match self.start {
            Start::Stored => return None,
            Start::Zero => {}
            Start::Bias(bias) => start[..columns.len()].copy_from_slice(&bias[columns]),
        }
        Some(start)
    }

    /// Where some rows of a begin at k, and how far apart rows and steps are.
    #[inline(always)]
    fn left<V: Lanes, F: Factors<V>>(
        &self,
        v: V,
        room: &mut MaybeUninit<[f32; ROWS * PACKED_ROW]>,
        rows: Range<usize>,
        k: Range<usize>,
    ) -> (*const f32, usize, usize) {
        match self.a {
            Left::Natural(a) if F::COUNT == 1 => {
                (a[rows.start * self.depth + k.start..].as_ptr(), self.depth, 1)
            }
            Left::Natural(a) => {
                // SAFETY: there is room for ROWS rows of DEPTH steps and a vector more.
                (
                    unsafe { pack::shorten::<V, F, _>(v, room, PACKED_ROW, a, self.depth, k, rows) },
                    PACKED_ROW,
                    1,
                )
            }
            Left::Transposed(a) => {
                // SAFETY: there is room for DEPTH steps of FEWER_ROWS rows and a vector more.
                (
                    unsafe { pack::copy::<V, F, _>(v, room, PACKED_STEP, a, self.rows, k, rows) },
                    1,
                    PACKED_STEP,
                )
            }
        }
    }

    /// Where a panel of b begins at k.
    #[inline(always)]
    fn right<V: Lanes, F: Factors<V>>(
        &self,
        v: V,
        room: &mut MaybeUninit<[f32; DEPTH * PANEL]>,
        panel: usize,
        k: Range<usize>,
    ) -> *const f32 {
        let columns = self.columns_of(panel);
        match self.b {
            Right::Panels(b) => {
                let panel = &b[panel * self.depth * PANEL..][..self.depth * PANEL];
                match F::COUNT {
                    1 => panel[k.start * PANEL..].as_ptr(),
                    // SAFETY: there is room for DEPTH steps of PANEL columns.
                    _ => unsafe { pack::copy::<V, F, _>(v, room, PANEL, panel, PANEL, k, 0..PANEL) },
                }
            }
            // SAFETY: as above.
            Right::Natural(b) => unsafe {
                pack::copy::<V, F, _>(v, room, PANEL, b, self.columns, k, columns)
            },
            // SAFETY: as above.
            Right::Transposed(b) => unsafe { pack::transpose::<V, F, _>(v, room, b, self.depth, k, columns) },
        }
    }
}

kernel_of_factors!(fn part(product: &Product<'_>, rows: Range<usize>, panels: Range<usize>) = part_body);

#[inline(always)]
fn part_body<V: Lanes, F: Factors<V>>(v: V, product: &Product<'_>, rows: Range<usize>, panels: Range<usize>) {
    let mut room = Room { b: MaybeUninit::uninit(), a: MaybeUninit::uninit() };
    for first in (0..product.depth.max(1)).step_by(DEPTH * F::COUNT) {
        let k = first..(first + DEPTH * F::COUNT).min(product.depth);
        let (a, a_row, a_step) = product.left::<V, F>(v, &mut room.a, rows.clone(), k.clone());
        for panel in panels.clone() {
            let columns = product.columns_of(panel);
            let strip = Strip {
                a,
                a_row,
                a_step,
                b: product.right::<V, F>(v, &mut room.b, panel, k.clone()),
                depth: k.len().div_ceil(F::COUNT),
                y: product.y.start().wrapping_add(rows.start * product.columns + columns.start),
                y_row: product.columns,
                rows: rows.len(),
                columns: columns.len(),
                start: if first == 0 { product.start_of(columns) } else { None },
            };
            // SAFETY: shapes were asserted at the door: a and b hold these rows, steps and columns, and so does y, where
            // they are this task's alone.
            unsafe { strip.run::<V, F>(v) };
        }
    }
    if let Some(kind) = product.activation {
        for (row, panel) in rows.flat_map(|row| panels.clone().map(move |panel| (row, panel))) {
            let columns = product.columns_of(panel);
            let start = row * product.columns + columns.start;
            // SAFETY: these columns of this row are this task's alone.
            let y = unsafe { product.y.part(start..start + columns.len()) };
            for y in y.chunks_mut(V::LEN) {
                activated(v, v.load_part(y), kind).store_part(y);
            }
        }
    }
}
