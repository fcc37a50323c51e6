//! The product that all of linear is made of: `y[r, c] (+)= Σ a[r, k] b[k, c]`, columns of b taken in panels.
//!
//! Every output is one chain of multiply-adds in ascending k: a block of k ends by storing its sums and the next goes on
//! from them. One row or a thousand, one thread or four: the same chain.

use std::cell::RefCell;

use super::PANEL;
use crate::activate::{Activation, activated};
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;
use crate::{Cores, Write};

/// Rows of one task: so many share a panel that was packed for them.
const ROWS: usize = 256;
/// Steps of k in one block: a panel's block is 128 KB and stays in the second-level cache.
const DEPTH: usize = 512;
/// Rows of one tile.
const TILE: usize = 6;

/// Where the columns of b come from.
#[derive(Clone, Copy)]
pub(super) enum Columns<'a> {
    /// Panels as they lie in memory, `[panel][depth][PANEL]`.
    Panels(&'a [f32]),
    /// Rows of `depth` numbers, each a column of b: a weight matrix read across.
    Rows(&'a [f32]),
    /// Row-major `[depth, columns]`: a matrix read as it lies.
    Natural(&'a [f32]),
}

/// One product. a: `[rows, depth]`, y: `[rows, columns]`.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) depth: usize,
    pub(super) a: &'a [f32],
    /// Floats from one row of a to the next.
    pub(super) stride: usize,
    pub(super) b: Columns<'a>,
    pub(super) write: Write,
    /// Added to every row when its sums are complete.
    pub(super) bias: Option<&'a [f32]>,
    /// Applied last.
    pub(super) activation: Option<Activation>,
}

thread_local! {
    /// A block of a panel, packed for the task at hand.
    static PACKED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// `y = a b` and what follows it, as `product` says.
pub(super) fn product(cores: &Cores, y: &mut [f32], product: Product<'_>) {
    let p = product;
    assert_eq!(y.len(), p.rows * p.columns);
    assert!(p.rows == 0 || p.a.len() >= (p.rows - 1) * p.stride + p.depth);
    let (panels, blocks) = (p.columns.div_ceil(PANEL), p.rows.div_ceil(ROWS));
    let y = Parts::new(y);
    cores.run(panels * blocks, &|task| {
        let (panel, block) = (task / blocks, task % blocks);
        let rows = block * ROWS..p.rows.min((block + 1) * ROWS);
        PACKED.with_borrow_mut(|packed| {
            for start in (0..p.depth.max(1)).step_by(DEPTH) {
                let depth = start..p.depth.min(start + DEPTH);
                let b = block_of(&p, panel, depth.clone(), packed);
                // SAFETY: y has `columns` columns and no other task has these rows of this panel.
                let place = unsafe { y.start().add(rows.start * p.columns + panel * PANEL) };
                let at = Place { y: place, rows: rows.clone(), panel, depth };
                tiles(cores, &p, b, at);
            }
        });
    });
}

/// A block of rows × one panel of columns × a block of k.
struct Place {
    y: *mut f32,
    rows: std::ops::Range<usize>,
    panel: usize,
    depth: std::ops::Range<usize>,
}

/// The block's part of a panel, `[depth][PANEL]`: where it lies, or packed.
fn block_of<'b>(
    p: &Product<'b>,
    panel: usize,
    depth: std::ops::Range<usize>,
    packed: &'b mut Vec<f32>,
) -> &'b [f32] {
    let columns = panel * PANEL..p.columns.min((panel + 1) * PANEL);
    let len = depth.len() * PANEL;
    if let Columns::Panels(all) = p.b {
        return &all[(panel * p.depth + depth.start) * PANEL..][..len];
    }
    if packed.len() < DEPTH * PANEL {
        packed.resize(DEPTH * PANEL, 0.0);
    }
    let packed = &mut packed[..len];
    match p.b {
        Columns::Natural(all) => {
            for (line, k) in packed.chunks_exact_mut(PANEL).zip(depth) {
                let from = &all[k * p.columns..][columns.clone()];
                line[..from.len()].copy_from_slice(from);
                line[from.len()..].fill(0.0);
            }
        }
        Columns::Rows(all) => transpose(packed, all, p.depth, columns, depth),
        Columns::Panels(_) => unreachable!("returned above"),
    }
    packed
}

/// Rows `columns` of a row-major matrix, from `depth`, into columns of `packed`.
pub(super) fn transpose(
    packed: &mut [f32],
    all: &[f32],
    stride: usize,
    columns: std::ops::Range<usize>,
    depth: std::ops::Range<usize>,
) {
    const SQUARE: usize = 16;
    if columns.len() < PANEL {
        packed.fill(0.0);
    }
    for (across, k) in (0..depth.len()).step_by(SQUARE).zip(depth.clone().step_by(SQUARE)) {
        let wide = SQUARE.min(depth.end - k);
        for (to, row) in columns.clone().enumerate() {
            let from = &all[row * stride + k..][..wide];
            for (i, value) in from.iter().enumerate() {
                packed[(across + i) * PANEL + to] = *value;
            }
        }
    }
}

kernel!(fn tiles(p: &Product<'_>, b: &[f32], at: Place) = tiles_body);

#[inline(always)]
fn tiles_body<V: Lanes>(v: V, p: &Product<'_>, b: &[f32], at: Place) {
    let width = PANEL.min(p.columns - at.panel * PANEL);
    let last = at.depth.end == p.depth;
    let fresh = at.depth.start == 0 && p.write == Write::Set;
    for start in (0..at.rows.len()).step_by(TILE) {
        let count = TILE.min(at.rows.len() - start);
        // SAFETY: the row holds `depth`, by the assertion in `product`.
        let a = unsafe { p.a.as_ptr().add((at.rows.start + start) * p.stride + at.depth.start) };
        // SAFETY: the row is one of this task's.
        let y = unsafe { at.y.add(start * p.columns) };
        let tile = Tile { a, stride: p.stride, y, columns: p.columns, width, fresh };
        match count {
            6 => tile.run::<V, 6>(v, b),
            5 => tile.run::<V, 5>(v, b),
            4 => tile.run::<V, 4>(v, b),
            3 => tile.run::<V, 3>(v, b),
            2 => tile.run::<V, 2>(v, b),
            _ => tile.run::<V, 1>(v, b),
        }
        if last && (p.bias.is_some() || p.activation.is_some()) {
            for row in 0..count {
                // SAFETY: `width` columns of this row are the task's.
                let y = unsafe { std::slice::from_raw_parts_mut(y.add(row * p.columns), width) };
                finish(v, y, p.bias.map(|bias| &bias[at.panel * PANEL..][..width]), p.activation);
            }
        }
    }
}

/// What follows complete sums: bias, then activation.
#[inline(always)]
fn finish<V: Lanes>(v: V, y: &mut [f32], bias: Option<&[f32]>, activation: Option<Activation>) {
    for start in (0..y.len()).step_by(V::LEN) {
        let y = &mut y[start..];
        let mut sum = v.load_part(y);
        if let Some(bias) = bias {
            sum = sum + v.load_part(&bias[start..]);
        }
        if let Some(kind) = activation {
            sum = activated(v, sum, kind);
        }
        sum.store_part(y);
    }
}

/// A few rows × one panel.
struct Tile {
    a: *const f32,
    stride: usize,
    y: *mut f32,
    columns: usize,
    /// Columns of the panel that there are.
    width: usize,
    /// Whether sums start from zero.
    fresh: bool,
}

impl Tile {
    /// All columns, as many vectors at once as the registers hold: 32 hold the sums of 6 × 4, 16 of 6 × 2.
    #[inline(always)]
    fn run<V: Lanes, const R: usize>(&self, v: V, b: &[f32]) {
        let mut start = 0;
        while start < self.width {
            if V::WIDE {
                self.vectors::<V, R, 4>(v, b, start);
                start += 4 * V::LEN;
            } else {
                self.vectors::<V, R, 2>(v, b, start);
                start += 2 * V::LEN;
            }
        }
    }

    #[inline(always)]
    fn vectors<V: Lanes, const R: usize, const C: usize>(&self, v: V, b: &[f32], start: usize) {
        let mut sums = [[v.splat(0.0); C]; R];
        if !self.fresh {
            for r in 0..R {
                for c in 0..C {
                    let (y, count) = self.place::<V>(r, start + c * V::LEN);
                    // SAFETY: `count` columns of this row are the task's.
                    sums[r][c] = unsafe { v.load_part_at(y, count) };
                }
            }
        }
        // Legend: line, one k of the panel; r and c, row and vector of the tile.
        let mut line = b[start..].as_ptr();
        for k in 0..b.len() / PANEL {
            let mut b = [v.splat(0.0); C];
            for c in 0..C {
                // SAFETY: a line has PANEL floats, and C vectors from `start` stay within it.
                b[c] = unsafe { v.load_at(line.add(c * V::LEN)) };
            }
            for r in 0..R {
                // SAFETY: row r of a holds k.
                let a = v.splat(unsafe { *self.a.add(r * self.stride + k) });
                for c in 0..C {
                    sums[r][c] = a.mul_add(b[c], sums[r][c]);
                }
            }
            line = line.wrapping_add(PANEL);
        }
        for r in 0..R {
            for c in 0..C {
                let (y, count) = self.place::<V>(r, start + c * V::LEN);
                // SAFETY: `count` columns of this row are the task's.
                unsafe { sums[r][c].store_part_at(y, count) };
            }
        }
    }

    /// Where in y a vector of the tile stands, and how many of its columns there are.
    #[inline(always)]
    fn place<V: Lanes>(&self, row: usize, column: usize) -> (*mut f32, usize) {
        let count = self.width.saturating_sub(column).min(V::LEN);
        (self.y.wrapping_add(row * self.columns + column), count)
    }
}
