//! Loss: softmax with cross-entropy, and its gradient.

use crate::Cores;
use crate::cap::slope;
use crate::exp::exp;
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;
use crate::scratch::with_scratch;

/// A target that is not counted: its loss and its gradient are zero.
pub const IGNORE: u32 = u32::MAX;

/// `losses[r] = -log softmax(logits[r])[targets[r]]`, in nats. With `scales`, one for each row, `logits` become their gradient
/// `scales[r] × (softmax − one-hot)` in place; without, they are left as they are. logits: `[targets, cols]`. A logit that is
/// NaN or +∞ makes the loss of its row NaN. With `cap`, the logits have been through [`cap`](crate::cap::cap()), and the gradient is
/// that of what they were before. Panics on a target outside the columns, unless it is [`IGNORE`].
pub fn loss(
    cores: &Cores,
    logits: &mut [f32],
    losses: &mut [f32],
    targets: &[u32],
    cols: usize,
    scales: Option<&[f32]>,
    cap: Option<f32>,
) {
    assert_eq!(logits.len(), targets.len() * cols);
    assert_eq!(losses.len(), targets.len());
    assert!(scales.is_none_or(|scales| scales.len() == targets.len()));
    let logits = Parts::new(logits);
    cores.run_parts(losses, 1, |r, loss| {
        // SAFETY: only task r uses row r.
        let row = unsafe { logits.part(r * cols..(r + 1) * cols) };
        loss[0] = row_loss(cores, row, targets[r], scales.map(|scales| scales[r]), cap);
    });
}

fn row_loss(cores: &Cores, row: &mut [f32], target: u32, scale: Option<f32>, cap: Option<f32>) -> f32 {
    if target == IGNORE {
        if scale.is_some() {
            row.fill(0.0);
        }
        return 0.0;
    }
    with_scratch([maxima_of(row.len())], |[maxima]| row_loss_with(cores, row, maxima, target, scale, cap))
}

/// How many maxima [`powers`] keeps of a row.
pub(crate) fn maxima_of(cols: usize) -> usize {
    cols.div_ceil(CHUNK)
}

/// The loss of a row that is counted.
pub(crate) fn row_loss_with(
    cores: &Cores,
    row: &mut [f32],
    maxima: &mut [f32],
    target: u32,
    scale: Option<f32>,
    cap: Option<f32>,
) -> f32 {
    let (target, cols) = (target as usize, row.len());
    assert!(target < cols, "target {target} is outside {cols} logits");
    let own = row[target];
    let (max, sum) = powers(cores, row, maxima, scale.is_some() && cap.is_none());
    match (scale, cap) {
        (None, _) => {}
        (Some(scale), None) => {
            rescale(cores, row, maxima, max, scale / sum);
            row[target] -= scale;
        }
        (Some(scale), Some(cap)) => {
            uncap(cores, row, max, scale / sum, cap);
            row[target] -= scale * (1.0 - (own / cap) * (own / cap));
        }
    }
    sum.ln() - (own - max)
}

/// The logarithm of `Σ e^x` of a row.
pub(crate) fn log_sum(cores: &Cores, row: &mut [f32], maxima: &mut [f32]) -> f32 {
    let (max, sum) = powers(cores, row, maxima, false);
    sum.ln() + max
}

/// How many logits stay in the L1 cache between their maximum and their powers.
const CHUNK: usize = 2048;

kernel!(fn powers(row: &mut [f32], maxima: &mut [f32], keep: bool) -> (f32, f32) = powers_body);

/// The maximum m of a row and `Σ e^(x − m)`, reading the row once: chunk by chunk, with the sum so far rescaled
/// whenever the maximum grows (Milakov & Gimelshein 2018). `maxima` receives the maximum up to and including each
/// chunk; with `keep`, the chunk becomes its `e^(x − that maximum)`.
#[inline(always)]
fn powers_body<V: Lanes>(v: V, row: &mut [f32], maxima: &mut [f32], keep: bool) -> (f32, f32) {
    // Not −∞, so that a chunk of only −∞ becomes zeros.
    let (mut max, mut sum) = (f32::MIN, 0.0);
    for (chunk, maximum) in row.chunks_mut(CHUNK).zip(maxima) {
        let mut most = [v.splat(max); 2];
        for (i, part) in chunk.chunks(V::LEN).enumerate() {
            most[i % 2] = most[i % 2].max(some(v, part));
        }
        *maximum = most[0].max(most[1]).largest();
        let (most, mut total) = (v.splat(*maximum), v.splat(0.0));
        for part in chunk.chunks_mut(V::LEN) {
            v.prefetch(part.as_ptr().wrapping_add(CHUNK));
            let e = exp(v, some(v, part) - most);
            total = total + e;
            if keep {
                if part.len() == V::LEN { e.store(part) } else { e.store_part(part) }
            }
        }
        sum = sum * power(v, max - *maximum) + total.sum();
        max = *maximum;
    }
    (max, sum)
}

/// A vector, or the rest of one padded with −∞.
#[inline(always)]
pub(crate) fn some<V: Lanes>(v: V, part: &[f32]) -> V {
    if part.len() == V::LEN {
        return v.load(part);
    }
    let mut lanes = [f32::NEG_INFINITY; 16];
    lanes[..part.len()].copy_from_slice(part);
    v.load(&lanes)
}

/// `e^x` of one number.
#[inline(always)]
fn power<V: Lanes>(v: V, x: f32) -> f32 {
    exp(v, v.splat(x)).largest()
}

kernel!(fn rescale(row: &mut [f32], maxima: &[f32], max: f32, by: f32) = rescale_body);

/// Rescales powers relative to the maxima of their chunks to the row's maximum, times `by`.
#[inline(always)]
fn rescale_body<V: Lanes>(v: V, row: &mut [f32], maxima: &[f32], max: f32, by: f32) {
    for (chunk, maximum) in row.chunks_mut(CHUNK).zip(maxima) {
        let by = v.splat(by * power(v, maximum - max));
        for part in chunk.chunks_mut(V::LEN) {
            if part.len() == V::LEN {
                (v.load(part) * by).store(part);
            } else {
                (v.load_part(part) * by).store_part(part);
            }
        }
    }
}

kernel!(fn uncap(row: &mut [f32], max: f32, by: f32, cap: f32) = uncap_body);

/// Capped logits become their powers relative to the maximum, times `by`, times the slope of the cap.
#[inline(always)]
fn uncap_body<V: Lanes>(v: V, row: &mut [f32], max: f32, by: f32, cap: f32) {
    let (max, by, cap) = (v.splat(max), v.splat(by), v.splat(cap));
    for part in row.chunks_mut(V::LEN) {
        let y = v.load_some(part);
        (exp(v, y - max) * by * slope(v, y, cap)).store_some(part);
    }
}

/// Cross-entropy with whole distributions as targets (Hinton et al. 2015): `losses[r] = −Σ targets[r] · log softmax(logits[r])`, in
/// nats. With `scale`, `logits` become their gradient `scale × (softmax · Σ targets[r] − targets[r])` in place. logits and targets:
/// `[losses, cols]`.
pub fn distil(
    cores: &Cores,
    logits: &mut [f32],
    losses: &mut [f32],
    targets: &[f32],
    cols: usize,
    scale: Option<f32>,
) {
    assert_eq!(logits.len(), losses.len() * cols);
    assert_eq!(logits.len(), targets.len());
    let logits = Parts::new(logits);
    cores.run_parts(losses, 1, |r, loss| {
        // SAFETY: only task r uses row r.
        let row = unsafe { logits.part(r * cols..(r + 1) * cols) };
        let targets = &targets[r * cols..][..cols];
        let (all, own) = (targets.iter().sum::<f32>(), dot(cores, targets, row));
        with_scratch([cols.div_ceil(CHUNK)], |[maxima]| {
            let (max, sum) = powers(cores, row, maxima, scale.is_some());
            if let Some(scale) = scale {
                rescale(cores, row, maxima, max, scale * all / sum);
                subtract(cores, row, targets, scale);
            }
            loss[0] = all * (sum.ln() + max) - own;
        });
    });
}

kernel!(fn dot(x: &[f32], y: &[f32]) -> f32 = dot_body);

#[inline(always)]
fn dot_body<V: Lanes>(v: V, x: &[f32], y: &[f32]) -> f32 {
    let mut sum = v.splat(0.0);
    for (x, y) in x.chunks(V::LEN).zip(y.chunks(V::LEN)) {
        sum = sum + v.load_some(x) * v.load_some(y);
    }
    sum.sum()
}

kernel!(fn subtract(x: &mut [f32], y: &[f32], by: f32) = subtract_body);

/// `x −= by · y`.
#[inline(always)]
fn subtract_body<V: Lanes>(v: V, x: &mut [f32], y: &[f32], by: f32) {
    let by = v.splat(by);
    for (x, y) in x.chunks_mut(V::LEN).zip(y.chunks(V::LEN)) {
        (v.load_some(x) - by * v.load_some(y)).store_some(x);
    }
}
