//! Loss: softmax with cross-entropy, and its gradient.

use crate::Cores;
use crate::exp::exp;
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;

/// A target that is not counted: its loss and its gradient are zero.
pub const IGNORE: u32 = u32::MAX;

/// `losses[r] = -log softmax(logits[r])[targets[r]]`, in nats. With `scale`, `logits` become their gradient
/// `scale × (softmax − one-hot)` in place; without, they are left as they are. logits: `[targets, cols]`. A logit that is
/// NaN or +∞ makes the loss of its row NaN. Panics on a target outside the columns, unless it is [`IGNORE`].
pub fn loss(
    cores: &Cores,
    logits: &mut [f32],
    losses: &mut [f32],
    targets: &[u32],
    cols: usize,
    scale: Option<f32>,
) {
    assert_eq!(logits.len(), targets.len() * cols);
    assert_eq!(losses.len(), targets.len());
    let logits = Parts::new(logits);
    cores.run_parts(losses, 1, |r, loss| {
        // SAFETY: row r is task r's alone.
        let row = unsafe { logits.part(r * cols..(r + 1) * cols) };
        loss[0] = row_loss(cores, row, targets[r], scale);
    });
}

fn row_loss(cores: &Cores, row: &mut [f32], target: u32, scale: Option<f32>) -> f32 {
    if target == IGNORE {
        if scale.is_some() {
            row.fill(0.0);
        }
        return 0.0;
    }
    let (target, cols) = (target as usize, row.len());
    assert!(target < cols, "target {target} is outside {cols} logits");
    let max = greatest(cores, row);
    let ahead = row[target] - max;
    let sum = match scale {
        None => sum_of_powers(cores, row, max),
        Some(scale) => {
            let sum = powers(cores, row, max);
            scale_row(cores, row, scale / sum);
            row[target] -= scale;
            sum
        }
    };
    sum.ln() - ahead
}

kernel!(fn greatest(row: &[f32]) -> f32 = greatest_body);

/// The greatest element. Which, where some are NaN, is not said: the sum that follows is NaN all the same.
#[inline(always)]
fn greatest_body<V: Lanes>(v: V, row: &[f32]) -> f32 {
    let least = v.splat(f32::NEG_INFINITY);
    let mut most = [least; 4];
    let mut chunks = row.chunks_exact(4 * V::LEN);
    for chunk in &mut chunks {
        for (i, most) in most.iter_mut().enumerate() {
            *most = most.max(v.load(&chunk[i * V::LEN..]));
        }
    }
    let most = most[0].max(most[1]).max(most[2].max(most[3])).largest();
    chunks.remainder().iter().fold(most, |most, &x| most.max(x))
}

kernel!(fn sum_of_powers(row: &[f32], max: f32) -> f32 = sum_of_powers_body);
kernel!(fn powers(row: &mut [f32], max: f32) -> f32 = powers_body);

/// `Σ e^(x - max)`.
#[inline(always)]
fn sum_of_powers_body<V: Lanes>(v: V, row: &[f32], max: f32) -> f32 {
    let max = v.splat(max);
    let mut sum = Sum::new(v);
    for chunk in row.chunks(V::LEN) {
        if chunk.len() == V::LEN {
            sum.add(exp(v, v.load(chunk) - max));
        } else {
            sum.add_part(v, exp(v, v.load_part(chunk) - max), chunk.len());
        }
    }
    sum.total()
}

/// `x = e^(x - max)` in place, and the sum: the same bits as above.
#[inline(always)]
fn powers_body<V: Lanes>(v: V, row: &mut [f32], max: f32) -> f32 {
    let max = v.splat(max);
    let mut sum = Sum::new(v);
    for chunk in row.chunks_mut(V::LEN) {
        if chunk.len() == V::LEN {
            let e = exp(v, v.load(chunk) - max);
            e.store(chunk);
            sum.add(e);
        } else {
            let e = exp(v, v.load_part(chunk) - max);
            e.store_part(chunk);
            sum.add_part(v, e, chunk.len());
        }
    }
    sum.total()
}

/// A long sum: lanes are summed in sections, so that a vocabulary of terms loses no more digits than a few hundred.
struct Sum<V> {
    total: V,
    section: V,
    terms: usize,
}

impl<V: Lanes> Sum<V> {
    #[inline(always)]
    fn new(v: V) -> Self {
        Self { total: v.splat(0.0), section: v.splat(0.0), terms: 0 }
    }

    #[inline(always)]
    fn add(&mut self, x: V) {
        self.section = self.section + x;
        self.terms += 1;
        if self.terms.is_multiple_of(64) {
            self.total = self.total + self.section;
            self.section = self.section.splat(0.0);
        }
    }

    /// The last, of which only `count` lanes are meant.
    #[inline(always)]
    fn add_part(&mut self, v: V, x: V, count: usize) {
        let mut lanes = [0.0; 16];
        x.store_part(&mut lanes[..count]);
        self.add(v.load(&lanes));
    }

    #[inline(always)]
    fn total(self) -> f32 {
        (self.total + self.section).sum()
    }
}

kernel!(fn scale_row(row: &mut [f32], by: f32) = scale_body);

#[inline(always)]
fn scale_body<V: Lanes>(v: V, row: &mut [f32], by: f32) {
    let by = v.splat(by);
    for chunk in row.chunks_mut(V::LEN) {
        if chunk.len() == V::LEN {
            (v.load(chunk) * by).store(chunk);
        } else {
            (v.load_part(chunk) * by).store_part(chunk);
        }
    }
}
