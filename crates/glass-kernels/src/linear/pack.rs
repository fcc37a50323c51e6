//! Packs blocks of a matrix in the order in which the inner kernel reads them, one line after another. A step is
//! one lane: as many k as a lane of [`Operands`] holds; if the last one has only one of two, the other is zero.
//!
//! A panel is `[steps][PANEL]`. The right operand of one product is packed in tiles, `[tiles][steps][columns of a tile]`, and a
//! transposed left one too, `[tiles][steps][TILE]`: what a tile reads follows each other, so it takes few pages and all sets
//! of the L1 cache (Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication", section 4).

use std::mem::MaybeUninit;
use std::ops::Range;

use super::PANEL;
use super::tile::{part_of, tile_columns, tile_rows};
use crate::lanes::{Lanes, kernel};
use crate::operands::{Operands, Singles};
use crate::packing::{Packing, read_part};
use crate::tiles::MOST_ROWS;

/// Floats of a step of a tile of the left operand; those beyond the tile's rows are not read.
pub(super) const TILE: usize = MOST_ROWS;

/// Rows, and lanes of each, of what a tile register holds.
pub(super) const SQUARE: usize = 16;

/// Steps of all tiles that are packed before the next ones: their lines are then in the L1 cache for every tile.
const STEPS: usize = 16;

/// Rows that are unpacked before they are packed again, an even number: with [`PANEL`] columns they fit into the L1 cache.
const UNPACKED: usize = 64;

/// Where the lanes of a right operand lie: `width` columns of a step, then those of the next; `tile` floats further the next columns.
#[derive(Clone, Copy)]
pub(super) struct Order {
    width: usize,
    tile: usize,
}

impl Order {
    /// Of a panel.
    pub(super) const PANEL: Self = Self { width: PANEL, tile: 0 };

    /// Of a square.
    const SQUARE: Self = Self { width: SQUARE, tile: 0 };

    /// In tiles of so many steps.
    pub(super) const fn tiles<V: Lanes, F: Operands<V>>(steps: usize) -> Self {
        let width = tile_columns::<V, F>();
        Self { width, tile: steps * width }
    }

    #[inline(always)]
    fn at(self, step: usize, column: usize) -> usize {
        column / self.width * self.tile + step * self.width + column % self.width
    }
}

kernel!(
    /// Packs panel `p` of a row-major matrix, `cols` wide.
    pub(super) fn panel(panel: &mut [f32], w: &[f32], cols: usize, p: usize) = panel_body
);

#[inline(always)]
fn panel_body<V: Lanes>(v: V, panel: &mut [f32], w: &[f32], cols: usize, p: usize) {
    let lines = p * PANEL..(w.len() / cols).min((p + 1) * PANEL);
    assert_eq!(panel.len(), cols * PANEL);
    // SAFETY: the panel has room for all its steps.
    unsafe { transpose::<V, Singles>(v, panel.as_mut_ptr(), Order::PANEL, w, cols, 0..cols, lines) };
}

/// Lane (s, j) `= from[k, j]` for the k of every step s and the given j, zeros up to PANEL. `from` is `width` wide.
///
/// # Safety
/// There is room for all steps.
#[inline(always)]
pub(super) unsafe fn copy<V: Lanes, F: Operands<V>>(
    v: V,
    to: *mut f32,
    order: Order,
    from: &[f32],
    width: usize,
    k: Range<usize>,
    columns: Range<usize>,
) {
    // SAFETY: by contract.
    unsafe { copy_wide::<V, F, PANEL>(v, to, order, from, width, k, columns) };
}

/// Lane (s, j) `= from[k, j]` for the k of every step s and the given j, zeros up to WIDE. `from` is `width` wide.
///
/// # Safety
/// There is room for all steps.
#[inline(always)]
unsafe fn copy_wide<V: Lanes, F: Operands<V>, const WIDE: usize>(
    v: V,
    to: *mut f32,
    order: Order,
    from: &[f32],
    width: usize,
    k: Range<usize>,
    columns: Range<usize>,
) {
    for (step, first) in k.clone().step_by(F::COUNT).enumerate() {
        let line = &from[first * width..][columns.clone()];
        let second = if first + 1 < k.end { &from[(first + 1) * width..][columns.clone()] } else { &[] };
        for j in (0..WIDE).step_by(V::LEN) {
            // SAFETY: by contract.
            unsafe {
                let first = load(v, line, j);
                let second = if F::COUNT == 2 { load(v, second, j) } else { v };
                F::stacked(first, second).store_at(to.add(order.at(step, j)));
            }
        }
    }
}

/// The same from rows that are `packed` as outputs of a matrix: its panels, their packing, and the inputs of a row.
///
/// # Safety
/// There is room for all steps.
#[inline(always)]
pub(super) unsafe fn unpack<V: Lanes, F: Operands<V>>(
    v: V,
    mut to: *mut f32,
    order: Order,
    (panels, packing, width): (&[f32], Packing, usize),
    k: Range<usize>,
    columns: Range<usize>,
) {
    let mut some = [0.0; UNPACKED * PANEL];
    for first in k.clone().step_by(UNPACKED) {
        let rows = first..k.end.min(first + UNPACKED);
        for (line, row) in some.chunks_exact_mut(PANEL).zip(rows.clone()) {
            let line = &mut line[..columns.len()];
            read_part(panels, packing, width, row, columns.start, line, |to, weight| *to = weight);
        }
        // SAFETY: by contract; a step lies `width` lanes after the one before it, in every tile.
        unsafe { copy::<V, F>(v, to, order, &some, PANEL, 0..rows.len(), 0..columns.len()) };
        to = to.wrapping_add(rows.len().div_ceil(F::COUNT) * order.width);
    }
}

/// The left operand in tiles: lane (s, i) of a tile `= from[k, i]` for the k of every step s and the tile's rows i. `from` is `width` wide.
///
/// # Safety
/// There is room for all tiles, each of all steps × TILE.
#[inline(always)]
pub(super) unsafe fn tiles<V: Lanes, F: Operands<V>>(
    v: V,
    to: *mut f32,
    from: &[f32],
    width: usize,
    k: Range<usize>,
    rows: Range<usize>,
) {
    let (steps, tiles) = (k.len().div_ceil(F::COUNT), rows.len().div_ceil(tile_rows::<V, F>()));
    for some in (0..steps).step_by(STEPS) {
        for t in 0..tiles {
            let to = to.wrapping_add(t * steps * TILE);
            // Whole vectors as long as there are rows.
            let first_row = rows.start + part_of(rows.len(), tiles, t).start;
            let rows = first_row..rows.end.min(first_row + TILE);
            for step in some..steps.min(some + STEPS) {
                let first = k.start + step * F::COUNT;
                let line = &from[first * width..][rows.clone()];
                let second = if first + 1 < k.end { &from[(first + 1) * width..][rows.clone()] } else { &[] };
                for i in (0..TILE).step_by(V::LEN) {
                    // SAFETY: by contract.
                    unsafe {
                        let first = load(v, line, i);
                        let second = if F::COUNT == 2 { load(v, second, i) } else { v };
                        let (lanes, to) = (F::stacked(first, second), to.add(step * TILE + i));
                        if V::LEN <= TILE { lanes.store_at(to) } else { lanes.store_part_at(to, TILE) }
                    }
                }
            }
        }
    }
}

/// The left operand in squares, `[rows / SQUARE][steps / SQUARE][SQUARE][SQUARE]`: lane (i, s) is made of `from[i, k]` for the k of step
/// s, or of `from[k, i]` if it is `transposed`. `from` is `width` wide. What lies beyond the last row or step is unspecified.
///
/// # Safety
/// There is room for all squares.
#[inline(always)]
pub(super) unsafe fn squares<V: Lanes, F: Operands<V>>(
    v: V,
    mut to: *mut f32,
    (from, width, transposed): (&[f32], usize, bool),
    k: Range<usize>,
    rows: Range<usize>,
) {
    let mut lines = [0.0; SQUARE * SQUARE];
    for i in rows.clone().step_by(SQUARE) {
        let rows = i..rows.end.min(i + SQUARE);
        for first in k.clone().step_by(SQUARE * F::COUNT) {
            let k = first..k.end.min(first + SQUARE * F::COUNT);
            // SAFETY: room by contract.
            unsafe {
                if transposed {
                    copy_wide::<V, F, SQUARE>(
                        v,
                        lines.as_mut_ptr(),
                        Order::SQUARE,
                        from,
                        width,
                        k.clone(),
                        rows.clone(),
                    );
                    for (s, i) in (0..SQUARE)
                        .step_by(V::LEN)
                        .flat_map(|s| (0..SQUARE).step_by(V::LEN).map(move |i| (s, i)))
                    {
                        let from = lines.as_ptr().add(s * SQUARE + i);
                        v.transpose_at(from, SQUARE, to.add(i * SQUARE + s), SQUARE);
                    }
                } else {
                    shorten::<V, F>(v, to, SQUARE, from, width, k.clone(), rows.clone());
                }
                to = to.add(SQUARE * SQUARE);
            }
        }
    }
}

/// A vector of `line` from j on; padded with zeros.
#[inline(always)]
fn load<V: Lanes>(v: V, line: &[f32], j: usize) -> V {
    if j + V::LEN <= line.len() {
        // SAFETY: within the line.
        unsafe { v.load_at(line.as_ptr().add(j)) }
    } else {
        v.load_part(&line[j.min(line.len())..])
    }
}

/// `to[i × row + s] = from[i, k]` for the given i and the k of every step s; `from` is `depth` wide.
///
/// # Safety
/// There is room for all rows, each `row` long.
#[inline(always)]
pub(super) unsafe fn shorten<V: Lanes, F: Operands<V>>(
    v: V,
    mut to: *mut f32,
    row: usize,
    from: &[f32],
    depth: usize,
    k: Range<usize>,
    rows: Range<usize>,
) {
    let whole = k.len() - k.len() % (F::COUNT * V::LEN);
    for i in rows {
        let line = &from[i * depth..][k.clone()];
        for s in (0..whole / F::COUNT).step_by(V::LEN) {
            // SAFETY: a whole vector can be read; there is room by contract.
            unsafe { F::lanes_at(v, line.as_ptr().add(s * F::COUNT)).store_at(to.add(s)) };
        }
        for (s, pair) in line[whole..].chunks(F::COUNT).enumerate() {
            // SAFETY: room by contract.
            unsafe { *to.add(whole / F::COUNT + s) = F::lane(pair[0], pair.get(1).copied().unwrap_or(0.0)) };
        }
        to = to.wrapping_add(row);
    }
}

/// Lane (s, j) `= from[j, k]` for the k of every step s and the given j, zeros up to PANEL; `from` is `depth` wide.
///
/// # Safety
/// There is room for all steps.
#[inline(always)]
pub(super) unsafe fn transpose<V: Lanes, F: Operands<V>>(
    v: V,
    to: *mut f32,
    order: Order,
    from: &[f32],
    depth: usize,
    k: Range<usize>,
    lines: Range<usize>,
) {
    let whole = lines.len() - lines.len() % V::LEN;
    let (steps, square) = (k.len().div_ceil(F::COUNT), k.len() / (F::COUNT * V::LEN) * V::LEN);
    assert!(lines.is_empty() || from.len() >= (lines.end - 1) * depth + k.end);
    let from = from.as_ptr().wrapping_add(lines.start * depth + k.start);
    for j in (0..PANEL).step_by(V::LEN) {
        let square = if j < whole { square } else { 0 };
        for s in (0..square).step_by(V::LEN) {
            // SAFETY: LEN lines from j on and LEN steps from s on exist.
            unsafe {
                let (to, from) = (to.add(order.at(s, j)), from.add(j * depth + s * F::COUNT));
                transpose_square::<V, F>(v, to, order.width, from, depth);
            }
        }
        for s in square..steps {
            for j in j..j + V::LEN {
                let factor = |at: usize| {
                    // SAFETY: only existing elements are read.
                    if j < lines.len() && at < k.len() { unsafe { *from.add(j * depth + at) } } else { 0.0 }
                };
                // SAFETY: room by contract.
                unsafe { *to.add(order.at(s, j)) = F::lane(factor(s * F::COUNT), factor(s * F::COUNT + 1)) };
            }
        }
    }
}

/// LEN lines of LEN steps.
///
/// # Safety
/// They can be read and written.
#[inline(always)]
unsafe fn transpose_square<V: Lanes, F: Operands<V>>(
    v: V,
    to: *mut f32,
    to_row: usize,
    from: *const f32,
    depth: usize,
) {
    // SAFETY: by contract.
    unsafe {
        if F::COUNT == 1 {
            return v.transpose_at(from, depth, to, to_row);
        }
        let mut lanes = MaybeUninit::<[f32; 16 * 16]>::uninit();
        let lines = lanes.as_mut_ptr().cast::<f32>();
        for j in 0..V::LEN {
            F::lanes_at(v, from.add(j * depth)).store_at(lines.add(j * V::LEN));
        }
        v.transpose_at(lines, V::LEN, to, to_row);
    }
}
