//! The product with quantised weights: inputs are rounded to 8 bits as they come, blocks of 32 are multiplied in whole
//! numbers, without error, and what a block gives, times the weights' scale, is added to the f32 sum of an output.
//!
//! The inputs' scales are one for a row times a power of two for a block. Such a power shifts a whole number, which takes
//! no turn of the multiplier; the row's scale is multiplied in once, at the end.

use std::ops::Range;

use super::PANEL;
use super::product::{MOST_ROWS, odd_lines, pieces};
use crate::Cores;
use crate::activate::{Activation, activated};
use crate::lanes::integers::{Adds, Integers, kernel_of_adds};
use crate::lanes::{Lanes, kernel};
use crate::packing::{BLOCK, Packing};
use crate::pool::Parts;
use crate::scratch::with_scratch;
use crate::tiles::{Inner, tasks, with_rows};

/// Lanes of a block of inputs that hold its quads: four bytes each.
const QUADS: usize = BLOCK / 4;

/// Behind them: what the whole sum of the block starts from (it takes back what the weights' offset adds), and how far its
/// sum is shifted; the bits of an i32 each.
const START: usize = QUADS;
const SHIFT: usize = QUADS + 1;
const LANES: usize = QUADS + 2;

/// Shift of a block with the greatest inputs of a row: 32 products of 128 and 127 still fit 31 bits.
const MOST_SHIFT: i32 = 12;

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

/// Quantised rows: input `k` is `q[k] << shift` of its block, times the scale of its row.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    /// Blocks of [`LANES`] lanes, and behind them the row's scale.
    lanes: &'a [f32],
    /// Lanes from row to row.
    row: usize,
    blocks: usize,
}

impl Product<'_> {
    pub(super) fn run(&self, cores: &Cores) {
        let blocks = self.depth.div_ceil(BLOCK);
        let row = odd_lines(blocks * LANES + 1);
        for rows in pieces(0..self.rows, MOST_ROWS) {
            with_scratch([rows.len() * row], |[lanes]| {
                let to = Parts::new(lanes);
                cores.run(rows.len(), &|r| {
                    let x = &self.x[(rows.start + r) * self.depth..][..self.depth];
                    // SAFETY: these rows are this task's alone.
                    quantise(cores, unsafe { to.part(r * row..(r + 1) * row) }, x, self.packing.offset());
                });
                let inputs = Inputs { lanes, row, blocks };
                let panels = self.columns.div_ceil(PANEL);
                // The rows of a block of floats; inputs are not cut, and rows of many are read anew for every panel.
                let tasks = tasks(rows.len(), cores.room().block().rows, panels, cores.threads());
                cores.run(tasks * panels, &|task| {
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
        if rows.len() == 1 {
            return match const { inner::<V, Q, A>().row(V::LEN) } {
                8.. => strip.tiles::<V, Q, A, 8>(v, rows),
                4.. => strip.tiles::<V, Q, A, 4>(v, rows),
                _ => strip.tiles::<V, Q, A, 2>(v, rows),
            };
        }
        match const { inner::<V, Q, A>().tile(V::LEN).vectors } {
            4.. => strip.tiles::<V, Q, A, 4>(v, rows),
            2.. => strip.tiles::<V, Q, A, 2>(v, rows),
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
    /// Lanes of the next panel that are fetched while a block is computed, and where the first of this tile stand.
    fetch: usize,
    fetched: usize,
}

/// What a block keeps in registers: of an output the whole sum of the block and the f32 sum of those before it.
const fn inner<V: Integers, Q: Quads<V>, A: Adds<V>>() -> Inner {
    Inner { registers: V::REGISTERS, sums: 2, right: Q::IN_LANE, between: A::BETWEEN }
}

impl Strip<'_> {
    /// Columns in steps of `C` vectors; rows in tiles as equal as can be.
    #[inline(always)]
    unsafe fn tiles<V: Integers, Q: Quads<V>, A: Adds<V>, const C: usize>(&self, v: V, rows: Range<usize>) {
        let tile = const { inner::<V, Q, A>().tile(V::LEN) };
        // More vectors than a tile has are of one row alone.
        let most = if C > tile.vectors { 1 } else { tile.rows };
        let tiles = rows.len().div_ceil(most);
        let columns = PANEL.min(self.product.columns - self.panel * PANEL);
        // The next panel is fetched in equal parts, one for each block of each tile.
        let passes = tiles * columns.div_ceil(C * V::LEN);
        let fetch = self.product.packing.line().div_ceil(passes).next_multiple_of(16);
        for (step, column) in (0..columns).step_by(C * V::LEN).enumerate() {
            for t in 0..tiles {
                let at = |t: usize| rows.start + rows.len() * t / tiles;
                let (row, end) = (at(t), at(t + 1));
                let fetched = (step * tiles + t) * self.inputs.blocks * fetch;
                let place = Place { row, column, columns, fetch, fetched };
                // SAFETY: by contract of the caller.
                unsafe {
                    with_rows!(R = end - row, at most most, self.tile::<V, Q, A, R, C>(v, place));
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
        let Place { row, column, columns, fetch, mut fetched } = place;
        let (line, quants) = (product.packing.line(), QUADS / Q::IN_LANE * PANEL);
        let mut sums = [[v; C]; R];
        let first = self.panel * PANEL + column;
        let y = |i: usize| product.y.start().wrapping_add((self.first + row + i) * product.columns + first);
        let count = |c: usize| columns.saturating_sub(column + c * V::LEN).min(V::LEN);
        // What is written at the end is fetched meanwhile: a store that waits for its line holds up those behind it.
        if R > 1 {
            for i in 0..R {
                (0..C * V::LEN).step_by(16).for_each(|lane| v.prefetch(y(i).wrapping_add(lane)));
            }
        }
        // SAFETY: the panel has a line for every block, the inputs have quads, a scale and a start.
        unsafe {
            let mut panel = product.panels.as_ptr().add(self.panel * inputs.blocks * line + column);
            let mut x = inputs.lanes.as_ptr().add(row * inputs.row);
            let len = inputs.blocks * line;
            let next = panel.wrapping_sub(column).wrapping_add(len);
            // Not known to the compiler: unrolled, it loads all weights of a block first, and sums have to leave registers.
            let lanes = std::hint::black_box(QUADS / Q::IN_LANE);
            for _ in 0..inputs.blocks {
                if R > 1 && fetched < len {
                    (0..fetch).step_by(16).for_each(|lane| v.prefetch(next.wrapping_add(fetched + lane)));
                    fetched += fetch;
                }
                let mut whole = [[v; C]; R];
                for i in 0..R {
                    whole[i] = [v.splat(*x.add(i * inputs.row + START)); C];
                }
                for lane in 0..lanes {
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
                            let x = v.splat(*x.add(i * inputs.row + lane * Q::IN_LANE + part));
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
                        let shift = v.splat(*x.add(i * inputs.row + SHIFT));
                        sums[i][c] = whole[i][c].shift(shift).to_floats().mul_add(scale, sums[i][c]);
                    }
                }
                panel = panel.add(line);
                x = x.add(LANES);
            }
            for c in 0..C {
                let bias = product
                    .bias
                    .map_or(v, |bias| v.load_part(&bias[product.columns.min(first + c * V::LEN)..]));
                for i in 0..R {
                    let sum = sums[i][c].mul_add(v.splat(*x.add(i * inputs.row)), bias);
                    let sum = match product.activation {
                        Some(kind) => activated(v, sum, kind),
                        None => sum,
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

kernel!(fn quantise(lanes: &mut [f32], x: &[f32], offset: i32) = quantise_body);

/// A row of inputs in blocks. The greatest of the row becomes 127 or −127, that of another block at least 64, as far as
/// shifts reach.
#[inline(always)]
fn quantise_body<V: Integers>(v: V, lanes: &mut [f32], x: &[f32], offset: i32) {
    let (blocks, scale) = lanes.split_at_mut(x.len().div_ceil(BLOCK) * LANES);
    let (whole, rest) = x.as_chunks();
    let mut last = [0.0; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    let mut most = 0.0f32;
    for (x, block) in whole.iter().chain([&last]).zip(blocks.chunks_exact_mut(LANES)) {
        // Kept where the shift will stand.
        block[SHIFT] = greatest(v, x);
        most = most.max(block[SHIFT]);
    }
    scale[0] = most / 127.0 / (1 << MOST_SHIFT) as f32;
    let by = if most > 0.0 { 127.0 / most } else { 0.0 };
    for (x, block) in whole.iter().chain([&last]).zip(blocks.chunks_exact_mut(LANES)) {
        quantise_block(v, block, x, most, by, offset);
    }
}

/// The greatest, without its sign.
#[inline(always)]
fn greatest<V: Lanes>(v: V, x: &[f32; BLOCK]) -> f32 {
    let mut most = v;
    for x in x.chunks_exact(V::LEN) {
        let x = v.load(x);
        most = most.max(x).max(-x);
    }
    most.largest()
}

#[inline(always)]
fn quantise_block<V: Integers>(v: V, lanes: &mut [f32], x: &[f32; BLOCK], most: f32, by: f32, offset: i32) {
    // As often as the block's greatest can be doubled: the exponent of how often it is contained in the row's.
    let doubled = ((most / lanes[SHIFT]).to_bits() >> 23) as i32 - 127;
    let doubled = doubled.clamp(0, MOST_SHIFT);
    let by = v.splat(by * (1 << doubled) as f32);
    let (mut bytes, mut sum) = ([0; BLOCK], v);
    for (to, x) in bytes.chunks_exact_mut(V::LEN).zip(x.chunks_exact(V::LEN)) {
        let whole = (v.load(x) * by).to_integers();
        whole.store_bytes(to);
        sum = sum + whole.to_floats();
    }
    for (quad, bytes) in lanes.iter_mut().zip(bytes.as_chunks().0) {
        *quad = f32::from_bits(u32::from_le_bytes(*bytes));
    }
    // At most 32 × 127, which floats count without error.
    lanes[START] = f32::from_bits((sum.sum() as i32).wrapping_mul(-offset) as u32);
    lanes[SHIFT] = f32::from_bits((MOST_SHIFT - doubled) as u32);
}
