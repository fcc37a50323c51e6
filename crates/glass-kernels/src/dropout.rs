//! Counter-based dropout: the mask of an element depends on its coordinates, not on when or where it is computed.

use crate::Cores;
use crate::attend::Span;
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;
use crate::random;

/// Rows per task.
const ROWS: usize = 16;

/// One use of dropout in one step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Dropout {
    /// The share that is dropped, `0 ≤ rate < 1`; the rest is scaled by `1 / (1 − rate)`.
    pub rate: f32,
    /// Seed, step and site, mixed.
    pub key: u64,
    /// The index, within the step, of the sample in slot 0 of this batch; it differs between accumulated batches.
    pub first_sample: u32,
}

impl Dropout {
    /// The key of one site in one step.
    pub fn key(seed: u64, step: u64, site: u64) -> u64 {
        mix(mix(mix(seed).wrapping_add(step)).wrapping_add(site))
    }

    /// The factor of the elements that are kept.
    pub(crate) fn survivors(&self) -> f32 {
        1.0 / (1.0 - self.rate)
    }

    /// Two 32-bit numbers that seed one row of the mask: a position of a sample, and a head if there is one.
    pub(crate) fn row(&self, slot: usize, head: usize, position: usize) -> [u32; 2] {
        let sample = u64::from(self.first_sample) + slot as u64;
        let h = mix(mix(mix(self.key ^ sample).wrapping_add(head as u64)).wrapping_add(position as u64));
        [h as u32, (h >> 32) as u32]
    }

    /// An element is kept if its hash is at least this.
    pub(crate) fn threshold(&self) -> u32 {
        (f64::from(self.rate) * 4_294_967_296.0) as u32
    }
}

/// SplitMix64: one step of the counter `x`, then its finaliser.
fn mix(x: u64) -> u64 {
    random::next(&mut { x })
}

/// The hash of one column in a row of the mask: only 32-bit multiplications, so that it can be vectorised. The
/// second number is added after the first multiplication, so that two rows are never shifts of each other.
#[inline(always)]
pub(crate) fn hash(row: [u32; 2], column: u32) -> u32 {
    let x = column.wrapping_add(row[0]).wrapping_mul(0x9e37_79b1);
    let x = ((x ^ (x >> 16)) ^ row[1]).wrapping_mul(0x85eb_ca6b);
    let x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

/// Zeroes the dropped elements of a row that starts at column `first`, and multiplies the rest by `by`. Plain loops
/// over integers: within a kernel the compiler vectorises them.
#[inline(always)]
pub(crate) fn drop_row(y: &mut [f32], row: [u32; 2], first: u32, threshold: u32, by: f32) {
    for (j, y) in y.iter_mut().enumerate() {
        let kept = hash(row, first.wrapping_add(j as u32)) >= threshold;
        *y = if kept { *y * by } else { 0.0 };
    }
}

/// `y *= mask / (1 − rate)` in place; the mask depends on the sample (`first_sample + slot`), position and column.
/// It is its own backward: the same call is applied to the gradient.
pub fn dropout(cores: &Cores, y: &mut [f32], cols: usize, spans: &[Span], dropout: Dropout) {
    if dropout.rate == 0.0 {
        return;
    }
    assert!((0.0..1.0).contains(&dropout.rate), "a dropout rate of {}", dropout.rate);
    let y = Parts::new(y);
    for span in spans {
        cores.run(span.rows.len().div_ceil(ROWS), &|task| {
            for i in task * ROWS..span.rows.len().min((task + 1) * ROWS) {
                let r = span.rows.start + i;
                // SAFETY: no other task uses row r.
                let y = unsafe { y.part(r * cols..(r + 1) * cols) };
                drop_whole_row(cores, y, dropout.row(span.slot, 0, span.past + i), dropout);
            }
        });
    }
}

kernel!(fn drop_whole_row(y: &mut [f32], row: [u32; 2], dropout: Dropout) = drop_body);

#[inline(always)]
fn drop_body<V: Lanes>(_: V, y: &mut [f32], row: [u32; 2], dropout: Dropout) {
    drop_row(y, row, 0, dropout.threshold(), dropout.survivors());
}
