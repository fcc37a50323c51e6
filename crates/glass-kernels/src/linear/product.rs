//! A matrix product, cut into blocks and tasks by its shape, the cache and the threads; its sums are never cut.

use std::ops::Range;

use super::PANEL;
use super::pack::{self, Order, SQUARE, TILE};
use super::tile::{Strip, tile_columns, tile_rows};
use crate::activate::{Activation, activate_in_place};
use crate::blocks::tasks;
use crate::lanes::Lanes;
use crate::operands::{Operands, kernel_of_operands};
use crate::packing::Packing;
use crate::pool::Parts;
use crate::scratch::with_scratch;
use crate::{Cores, Isa, Precision, Write};

/// The largest block packed at once: some 16 MiB of each operand. Steps are lanes, each of one or two values.
const MOST_STEPS: usize = 1024;
pub(super) const MOST_ROWS: usize = 4096;
const MOST_PANELS: usize = 64;

/// So many rows are multiplied with a right operand in place.
const FEW_ROWS: usize = 32;

/// Steps of a block on tile registers: half a panel and 32 rows are 48 KiB, the L1 cache of processors that have them.
const DEPTH_ON_TILES: usize = 192;

/// `y[i, j] = start + Σ_k a[i, k] b[k, j]`, k ascending; y: `[rows, columns]`.
pub(super) struct LargeProduct<'a> {
    pub a: Left<'a>,
    pub b: Right<'a>,
    pub y: Parts<'a, f32>,
    pub rows: usize,
    pub depth: usize,
    pub columns: usize,
    pub start: Start<'a>,
    pub activation: Option<Activation>,
    /// The precision that the operands are rounded to.
    pub precision: Precision,
}

/// The left operand.
#[derive(Clone, Copy)]
pub(super) enum Left<'a> {
    /// `[rows, depth]`, read in place.
    Natural(&'a [f32]),
    /// `[depth, rows]`, packed first: consecutive steps of k are a page apart.
    Transposed(&'a [f32]),
}

/// The right operand.
#[derive(Clone, Copy)]
pub(super) enum Right<'a> {
    /// `[depth, columns]`.
    Natural(&'a [f32]),
    /// `[columns, depth]`.
    Transposed(&'a [f32]),
    /// `[columns / PANEL][steps][PANEL]`, in lanes of this precision.
    Panels(&'a [f32], Precision),
    /// `[depth, columns]`, whose rows are packed as the outputs of a matrix are.
    PackedRows(&'a [f32], Packing),
}

/// The start value of a sum.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    Zero,
    /// One value for every column.
    Bias(&'a [f32]),
    /// The contents of y.
    Stored,
}

impl Start<'_> {
    /// For a product that replaces the contents of y, or is added to them.
    pub(super) fn of(write: Write) -> Self {
        match write {
            Write::Set => Start::Zero,
            Write::Add => Start::Stored,
        }
    }
}

impl LargeProduct<'_> {
    /// Works block by block. Operands are packed once per block, for all tasks; a task is some rows × one panel.
    pub(super) fn run(&self, cores: &Cores) {
        let per_lane = self.precision.per_lane();
        let packed_left = self.packed_left(cores);
        let packs_left = packed_left != PackedLeft::No;
        let (size, panels) = (cores.room().block(), self.columns.div_ceil(PANEL));
        // A block that ends within an instruction's steps would change the order of its sums.
        let (most_depth, whole) =
            if self.on_tiles(cores) { (DEPTH_ON_TILES, SQUARE) } else { (size.depth, 1) };
        let mut tile_rows = 1;
        rows_of_tile(cores, self.precision, &mut tile_rows);
        let packs_right = !self.reads_right();
        let most = |packs: bool, most: usize| if packs { most } else { usize::MAX };
        for rows in pieces(0..self.rows, most(packs_left, MOST_ROWS)) {
            let deep = packs_right || packs_left && rows.len() > size.rows;
            for k in pieces(0..self.depth, most(deep, MOST_STEPS * per_lane)) {
                let most_panels = panels.min(most(packs_right, MOST_PANELS));
                let blocks = tasks(rows.len(), size.rows, most_panels, cores.threads());
                let steps = k.len().div_ceil(per_lane);
                let left_block = rows.len().div_ceil(blocks.max(1)).div_ceil(tile_rows) * steps * TILE;
                let left = match packed_left {
                    PackedLeft::No => 0,
                    PackedLeft::Lines => rows.len() * odd_lines(steps),
                    PackedLeft::Tiles => blocks * left_block,
                    PackedLeft::Squares => (rows.len() + blocks * SQUARE) * steps.next_multiple_of(SQUARE),
                };
                let right = most_panels * steps * PANEL;
                let lens = [left, if packs_right { right } else { 0 }];
                with_scratch(lens, |[a, b]| {
                    let packed = (Parts::new(a), Parts::new(b));
                    let rows = rows.clone();
                    let depth = steps.div_ceil(steps.div_ceil(most_depth).max(1)).next_multiple_of(whole);
                    let mut block = PackedBlock {
                        product: self,
                        packed_left,
                        rows,
                        blocks,
                        k,
                        steps,
                        depth,
                        left_block,
                        panels: 0..0,
                        packed,
                    };
                    if packs_left {
                        cores.run(blocks, &|i| pack_left(cores, self.precision, &block, i));
                    }
                    for panels in pieces(0..panels, most_panels) {
                        block.panels = panels;
                        // A panel that only one task reads is packed by that task, so that it is still in its
                        // cache.
                        let beforehand = packs_right && blocks > 1;
                        if beforehand {
                            cores.run(block.panels.len(), &|panel| {
                                pack_right(cores, self.precision, &block, panel)
                            });
                        }
                        cores.run(blocks * block.panels.len(), &|task| {
                            let (panel, i) = (task / blocks, task % blocks);
                            if packs_right && !beforehand {
                                pack_right(cores, self.precision, &block, panel);
                            }
                            part(cores, self.precision, &block, i, panel);
                        });
                    }
                });
            }
        }
    }

    /// Whether it is computed on the tile registers of the machine.
    fn on_tiles(&self, cores: &Cores) -> bool {
        self.precision == Precision::Mixed && cores.isa() == Isa::Amx
    }

    /// Whether the right operand is read in place: it is packed already, or so few rows are multiplied with it that packing would take
    /// longer.
    fn reads_right(&self) -> bool {
        match self.b {
            Right::Panels(_, precision) => precision == self.precision,
            Right::Natural(_) => {
                self.precision == Precision::F32
                    && self.rows <= FEW_ROWS
                    && self.columns.is_multiple_of(PANEL)
                    && self.depth > 0
            }
            Right::Transposed(_) | Right::PackedRows(..) => false,
        }
    }

    fn packed_left(&self, cores: &Cores) -> PackedLeft {
        match self.a {
            _ if self.on_tiles(cores) => PackedLeft::Squares,
            Left::Natural(_) if self.precision.per_lane() == 1 => PackedLeft::No,
            Left::Natural(_) => PackedLeft::Lines,
            Left::Transposed(_) => PackedLeft::Tiles,
        }
    }

    /// The columns of a panel.
    fn columns_of(&self, panel: usize) -> Range<usize> {
        panel * PANEL..self.columns.min((panel + 1) * PANEL)
    }

    /// The start values of some columns, unless they come from y.
    fn start_of(&self, columns: Range<usize>) -> Option<[f32; PANEL]> {
        let mut start = [0.0; PANEL];
        match self.start {
            Start::Stored => return None,
            Start::Zero => {}
            Start::Bias(bias) => start[..columns.len()].copy_from_slice(&bias[columns]),
        }
        Some(start)
    }
}

/// At least `count` floats, rounded up to an odd number of cache lines: with a power of two, lines would collide in
/// a few sets of the cache.
pub(super) fn odd_lines(count: usize) -> usize {
    16 * (count.div_ceil(16) | 1)
}

/// `range` in pieces of `size`; one empty piece if it is empty.
pub(super) fn pieces(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let mut next = Some(range.start);
    std::iter::from_fn(move || {
        let start = next?;
        let end = range.end.min(start.saturating_add(size));
        next = (end < range.end).then_some(end);
        Some(start..end)
    })
}

/// The order in which the left operand is packed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PackedLeft {
    /// It is read in place.
    No,
    /// Row by row, each an odd number of cache lines long.
    Lines,
    /// As [`pack::tiles`] says.
    Tiles,
    /// As [`pack::squares`] says, for tile registers.
    Squares,
}

/// Some rows × some panels × some k of a product, and its packed operands.
struct PackedBlock<'a> {
    product: &'a LargeProduct<'a>,
    packed_left: PackedLeft,
    rows: Range<usize>,
    /// Blocks of rows, one task per panel each.
    blocks: usize,
    k: Range<usize>,
    /// Lanes along k.
    steps: usize,
    /// Steps that are processed for all rows of a task before the next ones.
    depth: usize,
    /// Floats from one block of rows of a packed left operand to the next, if it was transposed.
    left_block: usize,
    panels: Range<usize>,
    packed: (Parts<'a, f32>, Parts<'a, f32>),
}

impl PackedBlock<'_> {
    fn rows_of(&self, i: usize) -> Range<usize> {
        let row = |i| self.rows.start + self.rows.len() * i / self.blocks;
        row(i)..row(i + 1)
    }

    /// Where block of rows `i` is packed.
    fn left(&self, i: usize) -> *mut f32 {
        let start = self.packed.0.start();
        start.wrapping_add(match self.packed_left {
            PackedLeft::No => 0,
            PackedLeft::Lines => (self.rows_of(i).start - self.rows.start) * odd_lines(self.steps),
            PackedLeft::Tiles => i * self.left_block,
            // Every block may end within a square.
            PackedLeft::Squares => {
                (self.rows_of(i).start - self.rows.start + i * SQUARE) * self.steps.next_multiple_of(SQUARE)
            }
        })
    }

    /// Where a panel is packed.
    fn right(&self, panel: usize) -> *mut f32 {
        self.packed.1.start().wrapping_add(panel * self.steps * PANEL)
    }
}

kernel_of_operands!(fn rows_of_tile(rows: &mut usize) = rows_of_tile_body);

#[inline(always)]
fn rows_of_tile_body<V: Lanes, F: Operands<V>>(_: V, rows: &mut usize) {
    *rows = tile_rows::<V, F>();
}

kernel_of_operands!(fn pack_left(block: &PackedBlock<'_>, i: usize) = pack_left_body);

#[inline(always)]
fn pack_left_body<V: Lanes, F: Operands<V>>(v: V, block: &PackedBlock<'_>, i: usize) {
    let (to, rows, k) = (block.left(i), block.rows_of(i), block.k.clone());
    // SAFETY: `run` allocated all steps of these rows, in whole tiles if they are transposed.
    unsafe {
        match block.product.a {
            Left::Natural(a) if block.packed_left == PackedLeft::Squares => {
                pack::squares::<V, F>(v, to, (a, block.product.depth, false), k, rows);
            }
            Left::Transposed(a) if block.packed_left == PackedLeft::Squares => {
                pack::squares::<V, F>(v, to, (a, block.product.rows, true), k, rows);
            }
            Left::Natural(a) => {
                pack::shorten::<V, F>(v, to, odd_lines(block.steps), a, block.product.depth, k, rows);
            }
            Left::Transposed(a) => pack::tiles::<V, F>(v, to, a, block.product.rows, k, rows),
        }
    }
}

kernel_of_operands!(fn pack_right(block: &PackedBlock<'_>, panel: usize) = pack_right_body);

#[inline(always)]
fn pack_right_body<V: Lanes, F: Operands<V>>(v: V, block: &PackedBlock<'_>, panel: usize) {
    let (product, to, k) = (block.product, block.right(panel), block.k.clone());
    let panel = block.panels.start + panel;
    let (columns, order) = (product.columns_of(panel), Order::tiles::<V, F>(block.steps));
    // SAFETY: `run` allocated all steps of this panel.
    unsafe {
        match product.b {
            // Only panels of single floats are packed.
            Right::Panels(b, _) => {
                let b = &b[panel * product.depth * PANEL..][..product.depth * PANEL];
                pack::copy::<V, F>(v, to, order, b, PANEL, k, 0..PANEL);
            }
            Right::Natural(b) => pack::copy::<V, F>(v, to, order, b, product.columns, k, columns),
            Right::PackedRows(b, packing) => {
                pack::unpack::<V, F>(v, to, order, (b, packing, product.columns), k, columns);
            }
            Right::Transposed(b) => pack::transpose::<V, F>(v, to, order, b, product.depth, k, columns),
        }
    }
}

kernel_of_operands!(fn part(block: &PackedBlock<'_>, i: usize, panel: usize) = part_body);

#[inline(always)]
fn part_body<V: Lanes, F: Operands<V>>(v: V, block: &PackedBlock<'_>, i: usize, panel: usize) {
    let (product, rows, k) = (block.product, block.rows_of(i), block.k.clone());
    let packed = block.left(i).cast_const();
    let (a, a_row, a_step, a_tile) = match (product.a, block.packed_left) {
        (Left::Natural(a), PackedLeft::No) => {
            (a[rows.start * product.depth + k.start..].as_ptr(), product.depth, 1, None)
        }
        (_, PackedLeft::Tiles) => (packed, 1, TILE, Some(block.steps * TILE)),
        // Its steps follow each other in squares.
        (_, PackedLeft::Squares) => {
            (packed, SQUARE, SQUARE, Some(block.steps.next_multiple_of(SQUARE) * SQUARE))
        }
        _ => (packed, odd_lines(block.steps), 1, None),
    };
    let columns = product.columns_of(block.panels.start + panel);
    let (b, b_step, b_tile) = match product.b {
        // Whole vectors are read: there are only whole panels of columns.
        Right::Natural(b) if product.reads_right() => {
            (b[k.start * product.columns + columns.start..].as_ptr(), product.columns, None)
        }
        Right::Panels(b, precision) if precision == product.precision => {
            let steps = product.depth.div_ceil(F::COUNT);
            let b = b[((block.panels.start + panel) * steps + k.start / F::COUNT) * PANEL..].as_ptr();
            (b, PANEL, None)
        }
        _ => {
            let width = tile_columns::<V, F>();
            (block.right(panel).cast_const(), width, Some(block.steps * width))
        }
    };
    for first in (0..block.steps.max(1)).step_by(block.depth.max(1)) {
        let strip = Strip {
            a: a.wrapping_add(first * a_step),
            a_row,
            a_step,
            a_tile,
            b: b.wrapping_add(first * b_step),
            b_step,
            b_tile,
            depth: block.steps.min(first + block.depth) - first,
            y: product.y.start().wrapping_add(rows.start * product.columns + columns.start),
            y_row: product.columns,
            rows: rows.len(),
            columns: columns.len(),
            start: if k.start + first == 0 { product.start_of(columns.clone()) } else { None },
        };
        // SAFETY: shapes were asserted at the entry: a and b hold these rows, steps and columns, and so does y,
        // which no other task uses there.
        unsafe {
            match block.packed_left == PackedLeft::Squares {
                #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
                true => strip.run_amx::<V, F>(v),
                _ => strip.run::<V, F>(v),
            }
        };
    }
    if let Some(kind) = product.activation.filter(|_| k.end == product.depth) {
        for row in rows {
            let start = row * product.columns + columns.start;
            // SAFETY: no other task uses these columns of this row.
            let y = unsafe { product.y.part(start..start + columns.len()) };
            activate_in_place(v, y, kind);
        }
    }
}
