//! The inner kernel: a tile of outputs in registers, one chain of multiply-adds each.

use std::ops::Range;

use super::PANEL;
use crate::lanes::Lanes;
use crate::operands::{Operands, inner};
use crate::tiles::with_rows;

/// `rows` × one panel of outputs, over a block of k. Lane (i, k) of a is at `i × a_row + k × a_step`, of b at
/// `k × b_step + j`, of y at `i × y_row + j`; of an operand in tiles as [`pack`](super::pack) says.
pub(super) struct Strip {
    pub a: *const f32,
    pub a_row: usize,
    pub a_step: usize,
    /// Floats from one tile to the next, if a was packed in tiles.
    pub a_tile: Option<usize>,
    pub b: *const f32,
    /// In tiles, the columns of one.
    pub b_step: usize,
    /// Floats from one tile to the next, if b was packed in tiles.
    pub b_tile: Option<usize>,
    /// Steps of k: lanes, each of one or two values.
    pub depth: usize,
    pub y: *mut f32,
    pub y_row: usize,
    pub rows: usize,
    /// At most PANEL.
    pub columns: usize,
    /// The start values of the sums; `None` for the contents of y.
    pub start: Option<[f32; PANEL]>,
}

impl Strip {
    /// # Safety
    /// All elements of a, b (whole panels) and y within these sizes exist, and nothing else uses those of y.
    #[inline(always)]
    pub(super) unsafe fn run<V: Lanes, F: Operands<V>>(&self, v: V) {
        // SAFETY: by contract.
        unsafe {
            if self.rows == 1 && self.b_tile.is_none() {
                return match const { inner::<V, F>().row(V::LEN) } {
                    16 => self.row::<V, F, 16>(v),
                    8 => self.row::<V, F, 8>(v),
                    _ => self.row::<V, F, 4>(v),
                };
            }
            match const { tile_columns::<V, F>() / V::LEN } {
                // Of a narrow product, as adapters have, the other vectors of a tile would be computed for nothing.
                _ if self.columns <= V::LEN => self.tiles::<V, F, 1>(v),
                4 => self.tiles::<V, F, 4>(v),
                2 => self.tiles::<V, F, 2>(v),
                _ => self.tiles::<V, F, 1>(v),
            }
        }
    }

    /// A single row reads the panel once, at the speed of memory.
    #[inline(always)]
    unsafe fn row<V: Lanes, F: Operands<V>, const C: usize>(&self, v: V) {
        for column in (0..self.columns).step_by(C * V::LEN) {
            // SAFETY: by contract of `run`.
            unsafe { self.tile::<V, F, 1, C>(v, 0..1, 0, column, 0..0) };
        }
    }

    /// Columns in steps of `C` vectors; rows in tiles of nearly equal height.
    #[inline(always)]
    unsafe fn tiles<V: Lanes, F: Operands<V>, const C: usize>(&self, v: V) {
        let most = const { tile_rows::<V, F>() };
        let tiles = self.rows.div_ceil(most);
        // The part of b after this block is prefetched while it is computed: some columns in each pass.
        let columns = self.columns.div_ceil(C * V::LEN);
        let (passes, width) =
            if self.b_tile.is_some() { (tiles, C * V::LEN) } else { (tiles * columns, PANEL) };
        let fetch = width.div_ceil(16).div_ceil(passes) * 16;
        for (step, column) in (0..self.columns).step_by(C * V::LEN).enumerate() {
            for t in 0..tiles {
                let rows = part_of(self.rows, tiles, t);
                let pass = if self.b_tile.is_some() { t } else { step * tiles + t };
                let from = width.min(pass * fetch);
                let fetch = from..width.min(from + fetch);
                // SAFETY: by contract of `run`.
                unsafe {
                    with_rows!(R = rows.len(), at most most, self.tile::<V, F, R, C>(v, rows, t, column, fetch));
                }
            }
        }
    }

    /// `R` rows × `C` vectors of columns; `fetch` of each line after this block is prefetched.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    unsafe fn tile<V: Lanes, F: Operands<V>, const R: usize, const C: usize>(
        &self,
        v: V,
        rows: Range<usize>,
        t: usize,
        column: usize,
        fetch: Range<usize>,
    ) {
        let mut sums = [[v; C]; R];
        let y = self.y.wrapping_add(rows.start * self.y_row + column);
        // The outputs are prefetched meanwhile: a store that waits for its cache line delays the following ones.
        if R > 1 && self.start.is_some() {
            for i in 0..R {
                (0..C * V::LEN)
                    .step_by(16)
                    .for_each(|lane| v.prefetch(y.wrapping_add(i * self.y_row + lane)));
            }
        }
        // SAFETY: by contract of `run`; columns beyond the last are neither read nor written.
        unsafe {
            self.each::<V, R, C>(column, |i, c, count| {
                sums[i][c] = match &self.start {
                    Some(start) => v.load_at(start.as_ptr().add(column + c * V::LEN)),
                    None if count == V::LEN => v.load_at(y.wrapping_add(i * self.y_row + c * V::LEN)),
                    None => v.load_part_at(y.wrapping_add(i * self.y_row + c * V::LEN), count),
                }
            });
            let mut a = self.a.wrapping_add(self.a_tile.map_or(rows.start * self.a_row, |tile| t * tile));
            let (mut b, first) = match self.b_tile {
                Some(tile) => {
                    let b = self.b.wrapping_add(column / (C * V::LEN) * tile);
                    (b, b)
                }
                None => (self.b.wrapping_add(column), self.b),
            };
            let ahead = first.wrapping_add(self.depth * self.b_step);
            // Two loops: the one without prefetching has no numbers on the stack.
            if fetch.is_empty() {
                for _ in 0..self.depth {
                    self.step::<V, F, R, C>(v, &mut sums, a, b);
                    a = a.wrapping_add(self.a_step);
                    b = b.wrapping_add(self.b_step);
                }
            } else {
                for k in 0..self.depth {
                    for lane in fetch.clone().step_by(16) {
                        v.prefetch(ahead.wrapping_add(k * self.b_step + lane));
                    }
                    self.step::<V, F, R, C>(v, &mut sums, a, b);
                    a = a.wrapping_add(self.a_step);
                    b = b.wrapping_add(self.b_step);
                }
            }
            self.each::<V, R, C>(column, |i, c, count| {
                let y = y.wrapping_add(i * self.y_row + c * V::LEN);
                if count == V::LEN { sums[i][c].store_at(y) } else { sums[i][c].store_part_at(y, count) }
            });
        }
    }

    /// One step of k.
    ///
    /// # Safety
    /// As for `run`, of the rows from `a` on and the columns from `b` on.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    unsafe fn step<V: Lanes, F: Operands<V>, const R: usize, const C: usize>(
        &self,
        v: V,
        sums: &mut [[V; C]; R],
        a: *const f32,
        b: *const f32,
    ) {
        // SAFETY: by contract.
        unsafe {
            let mut line = [v; C];
            for c in 0..C {
                line[c] = v.load_at(b.add(c * V::LEN));
                if R == 1 && (c * V::LEN) % 16 == 0 {
                    v.prefetch(b.wrapping_add(AHEAD + c * V::LEN));
                }
            }
            for i in 0..R {
                let a = v.splat(*a.add(i * self.a_row));
                for c in 0..C {
                    sums[i][c] = F::mul_add(a, line[c], sums[i][c]);
                }
            }
        }
    }

    /// `f(row, vector, existing columns of it)` for every vector of a tile.
    #[inline(always)]
    unsafe fn each<V: Lanes, const R: usize, const C: usize>(
        &self,
        column: usize,
        mut f: impl FnMut(usize, usize, usize),
    ) {
        for i in 0..R {
            for c in 0..C {
                f(i, c, self.columns.saturating_sub(column + c * V::LEN).min(V::LEN));
            }
        }
    }
}

/// The rows of a tile, but for the last ones of a block.
pub(super) const fn tile_rows<V: Lanes, F: Operands<V>>() -> usize {
    inner::<V, F>().tile(V::LEN).rows
}

/// The columns of a tile.
pub(super) const fn tile_columns<V: Lanes, F: Operands<V>>() -> usize {
    match inner::<V, F>().tile(V::LEN).vectors {
        4.. => 4 * V::LEN,
        2.. => 2 * V::LEN,
        _ => V::LEN,
    }
}

/// Part `t` of `count`, cut into `parts` that are as equal as possible.
pub(super) fn part_of(count: usize, parts: usize, t: usize) -> Range<usize> {
    count * t / parts..count * (t + 1) / parts
}

/// How many floats a single row prefetches ahead: 2 KiB.
pub(super) const AHEAD: usize = 512;
