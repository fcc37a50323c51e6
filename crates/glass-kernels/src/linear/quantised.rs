//! The product with quantised weights: inputs are rounded to 8 bits as they come, blocks of 32 are multiplied in whole
//! numbers, without error, and what a block gives, times both scales, is added to the f32 sum of an output.

use std::ops::Range;

use super::PANEL;
use super::product::pieces;
use crate::Cores;
use crate::activate::{Activation, activated};
use crate::lanes::integers::{Adds, Integers, kernel_of_adds};
use crate::lanes::kernel;
use crate::packing::{BLOCK, Packing};
use crate::pool::Parts;
use crate::scratch::with_scratch;

/// Rows of a task, at most.
const ROWS: usize = 264;

/// Rows that are quantised at once, at most.
const MOST_ROWS: usize = 16 * ROWS;

/// Lanes of a block of inputs: four bytes each.
const QUADS: usize = BLOCK / 4;

/// Floats behind a row of quantised inputs, so that rows do not meet in the same sets of the cache.
const BEHIND: usize = 16;

/// `y = activation(x Wᵀ + bias)`; see [`linear`](super::linear).
pub(super) struct Product<'a> {
    pub x: &'a [f32],
    pub panels: &'a [f32],
    pub packing: Packing,
    pub y: Parts<'a, f32>,
    pub rows: usize,
    pub depth: usize,
    pub columns: usize,
    pub bias: Option<&'a [f32]>,
    pub activation: Option<Activation>,
}

/// Quantised rows: input `k` is `q[k] × scales[k / BLOCK]`.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    quads: &'a [f32],
    /// Lanes from row to row of `quads`.
    row: usize,
    /// `[blocks][rows]`, so that those of a tile are neighbours.
    scales: &'a [f32],
    /// What the whole sum of a block starts from: it takes back what the weights' offset adds. Bits of an i32; as `scales`.
    starts: &'a [f32],
    blocks: usize,
    rows: usize,
}

impl Product<'_> {
    pub(super) fn run(&self, cores: &Cores) {
        let blocks = self.depth.div_ceil(BLOCK);
        let row = blocks * QUADS + BEHIND;
        for rows in pieces(0..self.rows, MOST_ROWS) {
            let lens = [rows.len() * row, rows.len() * blocks, rows.len() * blocks];
            with_scratch(lens, |[quads, scales, starts]| {
                let to = (Parts::new(quads), Parts::new(scales), Parts::new(starts));
                cores.run(rows.len(), &|r| {
                    let x = &self.x[(rows.start + r) * self.depth..][..self.depth];
                    // SAFETY: these rows are this task's alone.
                    let quads = unsafe { to.0.part(r * row..(r + 1) * row) };
                    let mut each = |block: usize, scale: f32, start: i32| {
                        let at = block * rows.len() + r;
                        // SAFETY: as above, and every block comes once.
                        unsafe {
                            to.1.part(at..at + 1)[0] = scale;
                            to.2.part(at..at + 1)[0] = f32::from_bits(start as u32);
                        }
                    };
                    quantise(cores, quads, x, self.packing.offset(), &mut each);
                });
                let inputs = Inputs { quads, row, scales, starts, blocks, rows: rows.len() };
                let tasks = rows.len().div_ceil(ROWS);
                cores.run_neighbours(tasks * self.columns.div_ceil(PANEL), &|task| {
                    let (panel, i) = (task / tasks, task % tasks);
                    let at = |i: usize| rows.len() * i / tasks;
                    let strip = Strip { product: self, inputs, first: rows.start, panel };
                    strip.rows(cores, at(i)..at(i + 1));
                });
            });
        }
    }
}

/// Some rows × one panel.
struct Strip<'a> {
    product: &'a Product<'a>,
    inputs: Inputs<'a>,
    /// The row of x and y that is row 0 of the inputs.
    first: usize,
    panel: usize,
}

impl Strip<'_> {
    fn rows(&self, cores: &Cores, rows: Range<usize>) {
        match self.product.packing {
            Packing::Q4 => strip_of_nibbles(cores, self, rows),
            _ => strip_of_bytes(cores, self, rows),
        }
    }
}

/// How the quads of a panel's line are unpacked.
trait Quads<V: Integers> {
    /// Quads in a lane.
    const IN_LANE: usize;

    /// Quad `part` of every lane, bytes as they are stored.
    fn quad(lanes: V, part: usize) -> V;
}

/// One to a lane.
struct Bytes;

impl<V: Integers> Quads<V> for Bytes {
    const IN_LANE: usize = 1;

    #[inline(always)]
    fn quad(lanes: V, _: usize) -> V {
        lanes
    }
}

/// Two to a lane.
struct Nibbles;

impl<V: Integers> Quads<V> for Nibbles {
    const IN_LANE: usize = 2;

    #[inline(always)]
    fn quad(lanes: V, part: usize) -> V {
        if part == 0 { lanes.lower_nibbles() } else { lanes.upper_nibbles() }
    }
}

kernel_of_adds!(fn strip_of_bytes(strip: &Strip<'_>, rows: Range<usize>) = bytes_body);
kernel_of_adds!(fn strip_of_nibbles(strip: &Strip<'_>, rows: Range<usize>) = nibbles_body);

#[inline(always)]
fn bytes_body<V: Integers, A: Adds<V>>(v: V, strip: &Strip<'_>, rows: Range<usize>) {
    strip_body::<V, Bytes, A>(v, strip, rows);
}

#[inline(always)]
fn nibbles_body<V: Integers, A: Adds<V>>(v: V, strip: &Strip<'_>, rows: Range<usize>) {
    strip_body::<V, Nibbles, A>(v, strip, rows);
}

#[inline(always)]
fn strip_body<V: Integers, Q: Quads<V>, A: Adds<V>>(v: V, strip: &Strip<'_>, rows: Range<usize>) {
    // SAFETY: shapes were asserted at the door, and these rows × this panel of y are this task's alone.
    unsafe {
        match (rows.len(), V::LEN) {
            (1, 16) => strip.tiles::<V, Q, A, 4>(v, rows),
            (1, 8) => strip.tiles::<V, Q, A, 4>(v, rows),
            (1, _) => strip.tiles::<V, Q, A, 8>(v, rows),
            (_, 16) => strip.tiles::<V, Q, A, 2>(v, rows),
            _ => strip.tiles::<V, Q, A, 1>(v, rows),
        }
    }
}

/// Where a tile lies.
struct Place {
    row: usize,
    column: usize,
    /// Of the panel, at most 64.
    columns: usize,
    /// The lines of the panel at which the same lines of the next are fetched.
    fetches: Range<usize>,
}

/// Rows of a tile: with two vectors of columns, twelve whole sums and twelve in f32.
const TILE: usize = 6;

impl Strip<'_> {
    /// Columns in steps of `C` vectors; rows in tiles as equal as can be.
    #[inline(always)]
    unsafe fn tiles<V: Integers, Q: Quads<V>, A: Adds<V>, const C: usize>(&self, v: V, rows: Range<usize>) {
        let tiles = rows.len().div_ceil(TILE);
        let columns = PANEL.min(self.product.columns - self.panel * PANEL);
        for (step, column) in (0..columns).step_by(C * V::LEN).enumerate() {
            for t in 0..tiles {
                let at = |t: usize| rows.start + rows.len() * t / tiles;
                let (row, end) = (at(t), at(t + 1));
                // The next panel is fetched in equal parts.
                let (pass, passes) = (step * tiles + t, tiles * columns.div_ceil(C * V::LEN));
                let part = |pass: usize| (self.inputs.blocks * pass).div_ceil(passes);
                let place = Place { row, column, columns, fetches: part(pass)..part(pass + 1) };
                // SAFETY: by contract of the caller.
                unsafe {
                    match end - row {
                        6 => self.tile::<V, Q, A, 6, C>(v, place),
                        5 => self.tile::<V, Q, A, 5, C>(v, place),
                        4 => self.tile::<V, Q, A, 4, C>(v, place),
                        3 => self.tile::<V, Q, A, 3, C>(v, place),
                        2 => self.tile::<V, Q, A, 2, C>(v, place),
                        _ => self.tile::<V, Q, A, 1, C>(v, place),
                    }
                }
            }
        }
    }

    /// `R` rows × `C` vectors of columns, over all inputs.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    unsafe fn tile<V: Integers, Q: Quads<V>, A: Adds<V>, const R: usize, const C: usize>(
        &self,
        v: V,
        place: Place,
    ) {
        let Self { product, inputs, .. } = self;
        let Place { row, column, columns, fetches } = place;
        let (line, quants) = (product.packing.line(), QUADS / Q::IN_LANE * PANEL);
        let mut sums = [[v; C]; R];
        let first = self.panel * PANEL + column;
        let y = |i: usize| product.y.start().wrapping_add((self.first + row + i) * product.columns + first);
        let count = |c: usize| columns.saturating_sub(column + c * V::LEN).min(V::LEN);
        if let Some(bias) = product.bias {
            for c in 0..C {
                let start = v.load_part(&bias[product.columns.min(first + c * V::LEN)..]);
                for sums in &mut sums {
                    sums[c] = start;
                }
            }
        }
        // SAFETY: the panel has a line for every block, the inputs have quads, a scale and a start.
        unsafe {
            let mut panel = product.panels.as_ptr().add(self.panel * inputs.blocks * line + column);
            let mut quads = inputs.quads.as_ptr().add(row * inputs.row);
            for block in 0..inputs.blocks {
                let at = |i: usize| block * inputs.rows + row + i;
                if R > 1 && fetches.contains(&block) {
                    let next = panel.wrapping_sub(column).wrapping_add(inputs.blocks * line);
                    (0..line).step_by(16).for_each(|lane| v.prefetch(next.wrapping_add(lane)));
                }
                let mut whole = [[v; C]; R];
                for i in 0..R {
                    whole[i] = [v.splat(*inputs.starts.as_ptr().add(at(i))); C];
                }
                for lane in 0..QUADS / Q::IN_LANE {
                    let mut weights = [v; C];
                    for c in 0..C {
                        let from = panel.add(lane * PANEL + c * V::LEN);
                        if R == 1 && (c * V::LEN) % 16 == 0 {
                            v.prefetch(from.wrapping_add(AHEAD));
                        }
                        weights[c] = v.load_at(from);
                    }
                    for part in 0..Q::IN_LANE {
                        let mut quad = [v; C];
                        for c in 0..C {
                            quad[c] = Q::quad(weights[c], part);
                        }
                        for i in 0..R {
                            let x = v.splat(*quads.add(i * inputs.row + lane * Q::IN_LANE + part));
                            for c in 0..C {
                                whole[i][c] = A::add_quads(whole[i][c], quad[c], x);
                            }
                        }
                    }
                }
                // The scales of this line, two to a lane.
                let scales = panel.sub(column).add(quants).cast::<u16>().add(column);
                for c in 0..C {
                    let scale = v.load_f16_at(scales.add(c * V::LEN));
                    for i in 0..R {
                        let scale = scale * v.splat(*inputs.scales.as_ptr().add(at(i)));
                        sums[i][c] = whole[i][c].to_floats().mul_add(scale, sums[i][c]);
                    }
                }
                panel = panel.add(line);
                quads = quads.add(QUADS);
            }
            for i in 0..R {
                for c in 0..C {
                    let sum = match product.activation {
                        Some(kind) => activated(v, sums[i][c], kind),
                        None => sums[i][c],
                    };
                    if count(c) == V::LEN {
                        sum.store_at(y(i).add(c * V::LEN));
                    } else {
                        sum.store_part_at(y(i).wrapping_add(c * V::LEN), count(c));
                    }
                }
            }
        }
    }
}

/// Lanes that a single row prefetches ahead: 2 KiB.
const AHEAD: usize = 512;

kernel!(
    fn quantise(quads: &mut [f32], x: &[f32], offset: i32, each: &mut dyn FnMut(usize, f32, i32)) =
        quantise_body
);

/// A row of inputs in blocks: the greatest becomes 127 or −127. `each(block, scale, start)`.
#[inline(always)]
fn quantise_body<V: Integers>(
    v: V,
    quads: &mut [f32],
    x: &[f32],
    offset: i32,
    each: &mut dyn FnMut(usize, f32, i32),
) {
    for (block, (x, quads)) in x.chunks(BLOCK).zip(quads.chunks_exact_mut(QUADS)).enumerate() {
        let mut most = v.splat(0.0);
        for x in x.chunks(V::LEN) {
            let x = v.load_part(x);
            most = most.max(x).max(-x);
        }
        let most = most.largest();
        let by = v.splat(if most > 0.0 { 127.0 / most } else { 0.0 });
        let mut bytes = [0; BLOCK];
        for (to, x) in bytes.chunks_exact_mut(V::LEN).zip(x.chunks(V::LEN)) {
            (v.load_part(x) * by).to_integers().store_bytes(to);
        }
        let sum: i32 = bytes.iter().map(|&byte| i32::from(byte as i8)).sum();
        each(block, most / 127.0, -offset * sum);
        for (quad, bytes) in quads.iter_mut().zip(bytes.as_chunks().0) {
            *quad = f32::from_bits(u32::from_le_bytes(*bytes));
        }
    }
}
