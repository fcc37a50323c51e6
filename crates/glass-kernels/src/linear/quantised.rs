//! The product with quantised weights. Inputs are rounded to 8 bits in blocks of 32, each with its own f32 scale. A
//! block of inputs and a block of weights are multiplied in integers, exactly, and their sum times both scales is
//! added to the f32 sum of an output.
//!
//! An integer sum starts from the bits of [`ROUNDER`], so that its bits are also a float: the sum is that float
//! minus [`ROUNDER`], exactly, and no conversion is needed. If it starts from the bits of a power of two times
//! [`ROUNDER`], it is the sum times that power, so scales that are powers of two need no multiplication
//! ([`InputScales`]).

mod inputs;
mod line;

use std::ops::Range;

use super::product::{MOST_ROWS, odd_lines, pieces};
use super::{Layer, Layout, PANEL};
use crate::Cores;
use crate::activate::{Activation, activate_in_place};
use crate::blocks::tasks;
use crate::lanes::integers::{Adds, Integers, kernel_of_adds};
use crate::packing::{BLOCK, Packing};
use crate::pool::Parts;
use crate::precision::InputScales;
use crate::scratch::with_scratch;
use crate::tiles::{Inner, with_rows};

pub(super) use inputs::quantised_scale;

use inputs::quantise;
use line::{Form, Quads, Sum};

/// Lanes of a block of inputs that hold its quads of four bytes.
const QUADS: usize = BLOCK / 4;

/// After them: the start value of the block's integer sum ([`ROUNDER`] minus the contribution of the weights'
/// offset), and the scale of its inputs. A scale that is a power of two is already part of the start value; its place
/// holds [`ROUNDER`] times the scale, which is subtracted.
const START: usize = QUADS;
const SCALE: usize = QUADS + 1;

/// After these, if weights have minima: the sum of the inputs that share one. If they have two scales and no minima: the
/// start value for the last 16.
const EXTRA: usize = QUADS + 2;

/// The lanes of a block of inputs.
const fn lanes(scales: usize, minimum: bool) -> usize {
    EXTRA + if minimum { scales } else { scales - 1 }
}

/// Floats from 2²³ to 2²⁴ are the integers, in order: adding it to a small float rounds that to the nearest integer
/// (ties to even), and adding an integer below 2²² to its bits adds it to its value.
const ROUNDER: f32 = 1.5 * 8_388_608.0;

const _: () = assert!(BLOCK * 128 * 128 < 1 << 22, "the sum of a block fits");

/// `y = activation(x Wᵀ + bias)`; see [`linear`](super::linear).
pub(super) struct QuantisedProduct<'a> {
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

/// Quantised rows: input `k` is `q[k]` times the scale of its block.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    /// Blocks of [`lanes`].
    lanes: &'a [f32],
    /// Lanes from row to row.
    row: usize,
    blocks: usize,
}

impl<'a> QuantisedProduct<'a> {
    /// The product of a layer whose weights are quantised.
    pub(super) fn of(layer: Layer<'a>, x: &'a [f32]) -> Self {
        let Layer { y, w, bias, activation } = layer;
        let Layout::Panels(packing) = w.layout else { unreachable!("rows are not quantised") };
        let rows = y.len() / w.rows.max(1);
        let (y, depth, columns) = (Parts::new(y), w.cols, w.rows);
        QuantisedProduct { x, panels: w.values, packing, y, rows, depth, columns, bias, activation }
    }

    /// Several products of the same inputs with matrices of the same packing.
    pub(super) fn run(products: &[Self], cores: &Cores) {
        let Self { x, packing, rows, depth, .. } = products[0];
        let blocks = depth.div_ceil(BLOCK);
        let format = packing.format().expect("asked by the caller");
        let row = odd_lines(blocks * lanes(format.scales, format.minimum));
        let folds = folds(packing, cores.input_scales());
        let panels = |product: &Self| product.columns.div_ceil(PANEL);
        let all: usize = products.iter().map(panels).sum();
        for rows in pieces(0..rows, MOST_ROWS) {
            with_scratch([rows.len() * row], |[lanes]| {
                let to = Parts::new(lanes);
                cores.run(rows.len(), &|r| {
                    let x = &x[(rows.start + r) * depth..][..depth];
                    // SAFETY: no other task uses these rows.
                    let lanes = unsafe { to.part(r * row..(r + 1) * row) };
                    quantise(cores, lanes, x, format, cores.input_scales(), folds);
                });
                let inputs = Inputs { lanes, row, blocks };
                // The same number of rows as in a block of floats; inputs are not cut, and many rows are read again
                // for every panel.
                let tasks = tasks(rows.len(), cores.room().block().rows, all, cores.threads());
                cores.run(tasks * all, &|task| {
                    let (mut panel, i) = (task / tasks, task % tasks);
                    let at = |i: usize| rows.len() * i / tasks;
                    let mut products = products.iter();
                    let mut product = products.next().expect("there is one");
                    while panel >= panels(product) {
                        panel -= panels(product);
                        product = products.next().expect("that has the panel");
                    }
                    let strip = QuantisedStrip { product, inputs, first: rows.start, panel };
                    strip.rows(cores, at(i)..at(i + 1));
                });
            });
        }
    }
}

/// Whether scales of inputs that are powers of two are part of the start values, for which there are kernels of their own: not
/// of packings that only files of others have.
fn folds(packing: Packing, scales: InputScales) -> bool {
    scales == InputScales::PowersOfTwo && matches!(packing, Packing::Q8 | Packing::Q4)
}

/// Some rows × one panel.
struct QuantisedStrip<'a> {
    product: &'a QuantisedProduct<'a>,
    inputs: Inputs<'a>,
    /// The row of x and y that corresponds to row 0 of the inputs.
    first: usize,
    panel: usize,
}

/// Makes the kernels of some formats, and the function that chooses between them.
macro_rules! strips {
    ($($packing:pat => $form:ty,)*) => {
        impl QuantisedStrip<'_> {
            fn rows(&self, cores: &Cores, rows: Range<usize>) {
                match (self.product.packing, cores.input_scales()) {
                    (Packing::F32 | Packing::Bf16, _) => unreachable!("these are not quantised"),
                    (Packing::Q8, InputScales::PowersOfTwo) => {
                        strips!(@ Form<8, 0, 1, false, false>, true, cores, self, rows)
                    }
                    (Packing::Q4, InputScales::PowersOfTwo) => {
                        strips!(@ Form<4, 0, 1, false, false>, true, cores, self, rows)
                    }
                    $(($packing, _) => strips!(@ $form, false, cores, self, rows),)*
                }
            }
        }
    };
    (@ $form:ty, $powers:literal, $cores:ident, $strip:expr, $rows:ident) => {{
        #[inline(always)]
        fn body<V: Integers, A: Adds<V>>(v: V, strip: &QuantisedStrip<'_>, rows: Range<usize>) {
            strip_body::<V, $form, A, $powers>(v, strip, rows);
        }
        kernel_of_adds!(fn strip(strip: &QuantisedStrip<'_>, rows: Range<usize>) = body);
        strip($cores, $strip, $rows)
    }};
}

strips! {
    Packing::Q8 => Form<8, 0, 1, false, false>,
    Packing::Q6 => Form<4, 2, 2, false, false>,
    Packing::Q5m => Form<4, 1, 1, true, false>,
    Packing::Q5 => Form<4, 1, 1, false, false>,
    Packing::Q4m => Form<4, 0, 1, true, false>,
    Packing::Q4 => Form<4, 0, 1, false, false>,
    Packing::Iq4 | Packing::Mxfp4 => Form<4, 0, 1, false, true>,
    Packing::Q3 => Form<2, 1, 2, false, false>,
    Packing::Q2m => Form<2, 0, 2, true, false>,
}

/// `POWERS`: whether the scales of inputs are powers of two.
#[inline(always)]
fn strip_body<V: Integers, Q: Quads, A: Adds<V>, const POWERS: bool>(
    v: V,
    strip: &QuantisedStrip<'_>,
    rows: Range<usize>,
) {
    // SAFETY: shapes were asserted at the entry, and no other task uses these rows × this panel of y.
    unsafe {
        if rows.len() == 1 {
            match const { inner::<V, Q, A>().row(V::LEN) } {
                8.. => strip.tiles::<V, Q, A, 8, POWERS>(v, rows.clone()),
                4.. => strip.tiles::<V, Q, A, 4, POWERS>(v, rows.clone()),
                _ => strip.tiles::<V, Q, A, 2, POWERS>(v, rows.clone()),
            };
        } else {
            match const { inner::<V, Q, A>().tile(V::LEN).vectors } {
                4.. => strip.tiles::<V, Q, A, 4, POWERS>(v, rows.clone()),
                2.. => strip.tiles::<V, Q, A, 2, POWERS>(v, rows.clone()),
                _ => strip.tiles::<V, Q, A, 1, POWERS>(v, rows.clone()),
            }
        }
        // Not in the tiles, whose sums would leave the registers for it.
        if let Some(kind) = strip.product.activation {
            let QuantisedStrip { product, first, panel, .. } = strip;
            let columns = panel * PANEL..product.columns.min((panel + 1) * PANEL);
            for row in rows {
                let start = (first + row) * product.columns;
                activate_in_place(v, product.y.part(start + columns.start..start + columns.end), kind);
            }
        }
    }
}

/// The position of a tile.
struct Place {
    row: usize,
    column: usize,
    /// Columns of the panel, at most 64.
    columns: usize,
    /// How many lanes of the next panel are prefetched while `C` vectors of a block are computed, and where those of
    /// this tile begin.
    fetch: usize,
    fetched: usize,
}

/// What a block keeps in registers: for each output the integer sum of the block, and the f32 sum of the previous
/// ones unless that is in memory.
const fn inner<V: Integers, Q: Quads, A: Adds<V>>() -> Inner {
    let sum = Sum::of::<V, Q>();
    let right = Q::IN_LANE + if Q::HIGH > 0 || matches!(sum, Sum::Magnitudes) { 1 } else { 0 };
    let between = if matches!(sum, Sum::Pairs) { 2 } else { A::BETWEEN } + if Q::TABLE { 1 } else { 0 };
    let sums = if sums_in_memory::<V, Q>() { 1 } else { 2 };
    Inner { registers: V::REGISTERS, sums, right, between }
}

/// Whether the f32 sums are in memory while a block is summed: not of formats whose lines have more parts to load.
const fn sums_in_memory<V: Integers, Q: Quads>() -> bool {
    V::SUMS_IN_MEMORY && Q::HIGH == 0 && !Q::MINIMUM
}

impl QuantisedStrip<'_> {
    /// Rows in tiles of nearly equal height; columns in steps of `C` vectors, which are part of a tile if its sums are in
    /// memory: then a panel is read from its beginning to its end.
    #[inline(always)]
    unsafe fn tiles<V: Integers, Q: Quads, A: Adds<V>, const C: usize, const POWERS: bool>(
        &self,
        v: V,
        rows: Range<usize>,
    ) {
        let tile = const { inner::<V, Q, A>().tile(V::LEN) };
        // Wider tiles have only one row.
        let most = if C > tile.vectors { 1 } else { tile.rows };
        let tiles = rows.len().div_ceil(most);
        let columns = PANEL.min(self.product.columns - self.panel * PANEL);
        let (width, step) = (if sums_in_memory::<V, Q>() { PANEL } else { C * V::LEN }, C * V::LEN);
        // The next panel is prefetched in equal parts, one for each step of each block of each tile.
        let fetch = self.product.packing.line().div_ceil(tiles * columns.div_ceil(step)).next_multiple_of(16);
        let mut fetched = 0;
        for column in (0..columns).step_by(width) {
            for t in 0..tiles {
                let at = |t: usize| rows.start + rows.len() * t / tiles;
                let (row, end) = (at(t), at(t + 1));
                let place = Place { row, column, columns, fetch, fetched };
                fetched += self.inputs.blocks * fetch * width.min(columns).div_ceil(step);
                // SAFETY: by contract of the caller.
                unsafe {
                    with_rows!(R = end - row, at most most, self.tile::<V, Q, A, R, C, POWERS>(v, place));
                }
            }
        }
    }

    /// `R` rows × `C` vectors of columns at a time, over all inputs.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    unsafe fn tile<V: Integers, Q: Quads, A: Adds<V>, const R: usize, const C: usize, const POWERS: bool>(
        &self,
        v: V,
        place: Place,
    ) {
        let Self { product, inputs, .. } = self;
        let Place { row, column, columns, fetch, mut fetched } = place;
        let line = product.packing.line();
        // Lanes of a line from the first of the higher bits, of the scales and of the minima on.
        let (uppers, scales) = (QUADS / Q::IN_LANE * PANEL, (QUADS / Q::IN_LANE + Q::HIGH) * PANEL);
        let minima = scales + Q::SCALES * PANEL / 2;
        let first = self.panel * PANEL + column;
        let all = columns.div_ceil(V::LEN).next_multiple_of(C);
        let vectors = if sums_in_memory::<V, Q>() { all } else { C };
        let mut sums = [[v; MOST_VECTORS]; R];
        if let Some(bias) = product.bias {
            for c in 0..vectors {
                let bias = v.load_part(&bias[product.columns.min(first + c * V::LEN)..]);
                for i in 0..R {
                    sums[i][c] = bias;
                }
            }
        }
        let sum = const { Sum::of::<V, Q>() };
        let (rounder, zero) = (v.splat(ROUNDER), v.splat(0.0));
        let table = if Q::TABLE { v.load(product.packing.table_lanes()) } else { v };
        let y = |i: usize| product.y.start().wrapping_add((self.first + row + i) * product.columns + first);
        let count = |c: usize| columns.saturating_sub(column + c * V::LEN).min(V::LEN);
        // The outputs are prefetched meanwhile: a store that waits for its cache line delays the following ones.
        if R > 1 {
            for i in 0..R {
                (0..vectors * V::LEN).step_by(16).for_each(|lane| v.prefetch(y(i).wrapping_add(lane)));
            }
        }
        // SAFETY: the panel has a line for every block, the inputs have quads, a scale and a start.
        unsafe {
            let mut panel = product.panels.as_ptr().add(self.panel * inputs.blocks * line + column);
            let mut x = inputs.lanes.as_ptr().add(row * inputs.row);
            let len = inputs.blocks * line;
            let next = panel.wrapping_sub(column).wrapping_add(len);
            // Hidden from the compiler: if it unrolled the loop, it would load all weights of a block first and
            // spill the sums.
            let lanes = std::hint::black_box(QUADS / Q::IN_LANE / Q::SCALES);
            for _ in 0..inputs.blocks {
                // Lines that are read at several places at once are fetched in order.
                if R == 1 && Q::HIGH > 0 && column == 0 {
                    let ahead = panel.wrapping_add(AHEAD_OF_PARTS);
                    (0..line).step_by(16).for_each(|lane| v.prefetch(ahead.wrapping_add(lane)));
                }
                let mut step = 0;
                while step < vectors {
                    if R > 1 && fetched < len {
                        (0..fetch).step_by(16).for_each(|lane| v.prefetch(next.wrapping_add(fetched + lane)));
                        fetched += fetch;
                    }
                    for part in 0..Q::SCALES {
                        let start = if part > 0 && !Q::MINIMUM { EXTRA } else { START };
                        let mut whole = [[v; C]; R];
                        for i in 0..R {
                            // With signs there is no offset of the weights to begin with.
                            let start = match sum {
                                Sum::Pairs => zero,
                                Sum::Magnitudes if !POWERS => rounder,
                                Sum::Magnitudes => v.splat(*x.add(i * inputs.row + SCALE)),
                                _ => v.splat(*x.add(i * inputs.row + start)),
                            };
                            whole[i] = [start; C];
                        }
                        for lane in part * lanes..(part + 1) * lanes {
                            let mut low = [v; C];
                            let mut high = [v; C];
                            // The bit of the first quad in the lanes of higher bits.
                            let bit = lane * Q::IN_LANE * Q::HIGH;
                            for c in 0..C {
                                let from = panel.add(lane * PANEL + (step + c) * V::LEN);
                                if R == 1 && Q::HIGH == 0 && (c * V::LEN) % 16 == 0 {
                                    v.prefetch(from.wrapping_add(AHEAD));
                                }
                                low[c] = v.load_at(from);
                                if Q::HIGH > 0 {
                                    let from = panel.add(uppers + bit / 8 * PANEL + (step + c) * V::LEN);
                                    high[c] = v.load_at(from).shift_right(bit as u32 % 8);
                                }
                            }
                            for part in 0..Q::IN_LANE {
                                let mut quad = [v; C];
                                for c in 0..C {
                                    quad[c] = Q::quad(low[c], part, high[c], table);
                                }
                                let mut signs = [v; C];
                                if sum == Sum::Magnitudes {
                                    for c in 0..C {
                                        signs[c] = quad[c].less_128();
                                        quad[c] = signs[c].magnitudes();
                                    }
                                }
                                for i in 0..R {
                                    let x = v.splat(*x.add(i * inputs.row + lane * Q::IN_LANE + part));
                                    for c in 0..C {
                                        let (so_far, quad) = (whole[i][c], quad[c]);
                                        whole[i][c] = match sum {
                                            Sum::Quads => A::add_quads(so_far, quad, x),
                                            Sum::Pairs => so_far.add_pairs(quad, x),
                                            Sum::PairsOfQuads => so_far.add_halves(zero.add_pairs(quad, x)),
                                            Sum::Magnitudes => {
                                                let x = x.times_sign_of(signs[c]);
                                                so_far.add_halves(zero.add_pairs(quad, x))
                                            }
                                        };
                                    }
                                }
                            }
                        }
                        if sum == Sum::Pairs {
                            for i in 0..R {
                                let start = v.splat(*x.add(i * inputs.row + start));
                                for c in 0..C {
                                    whole[i][c] = start.add_halves(whole[i][c]);
                                }
                            }
                        }
                        // Of this line, two per lane.
                        let half = |first: usize| {
                            let lanes = panel.sub(column).add(first + part * PANEL / 2);
                            lanes.cast::<u16>().add(column + step * V::LEN)
                        };
                        for c in 0..C {
                            let scale = v.load_f16_at(half(scales).add(c * V::LEN));
                            for i in 0..R {
                                let of_inputs = v.splat(*x.add(i * inputs.row + SCALE));
                                let (sum, scale) = match POWERS {
                                    true => (whole[i][c] - of_inputs, scale),
                                    false => (whole[i][c] - rounder, scale * of_inputs),
                                };
                                sums[i][step + c] = sum.mul_add(scale, sums[i][step + c]);
                            }
                            if Q::MINIMUM {
                                let minimum = v.load_f16_at(half(minima).add(c * V::LEN));
                                for i in 0..R {
                                    let inputs = v.splat(*x.add(i * inputs.row + EXTRA + part));
                                    sums[i][step + c] = minimum.mul_add(inputs, sums[i][step + c]);
                                }
                            }
                        }
                    }
                    step += C;
                }
                // After the last line this points one column past the end of the panel, which is not read.
                panel = panel.wrapping_add(line);
                x = x.wrapping_add(Q::LANES);
            }
            for i in 0..R {
                for c in 0..vectors {
                    let y = y(i).wrapping_add(c * V::LEN);
                    if count(c) == V::LEN {
                        sums[i][c].store_at(y);
                    } else {
                        sums[i][c].store_part_at(y, count(c));
                    }
                }
            }
        }
    }
}

/// The most vectors of columns of a tile.
const MOST_VECTORS: usize = 8;

/// How many lanes a single row prefetches ahead: 2 KiB.
const AHEAD: usize = 512;
/// The same for lines with higher bits: 4 KiB, more than a line.
const AHEAD_OF_PARTS: usize = 1024;
