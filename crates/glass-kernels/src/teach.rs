//! The loss of a model that learns from a text and from another model's distributions, and its gradient.

use crate::Cores;
use crate::cap::slope;
use crate::exp::exp;
use crate::lanes::{Lanes, kernel};
use crate::loss::{IGNORE, log_sum, maxima_of, row_loss_with, some};
use crate::pool::Parts;
use crate::scratch::with_scratch;

/// How much a teacher counts, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Teaching {
    /// The share of the teacher's distribution in the loss, from 0 to 1.
    pub share: f32,
    /// What the logits of both are divided by before their distributions are compared.
    pub temperature: f32,
    /// Only so many of the teacher's largest logits are a distribution; `None` for all.
    pub top: Option<usize>,
}

/// In nats, of every row: `losses[2r] = −log softmax(logits[r])[targets[r]]`, and `losses[2r + 1] = KL(p ‖ q)` with
/// `p = softmax(teacher[r] / T)` over the teacher's top logits and `q = softmax(logits[r] / T)` over all (Hinton et al. 2015). With
/// `scale`, `logits` become the gradient of `scale × ((1 − share) losses[2r] + share T² losses[2r + 1])` in place; without, they are
/// left as they are. logits and teacher: `[targets, cols]`; what `teacher` holds afterwards is unspecified. With `cap`, the logits
/// have been through [`cap`](crate::cap::cap()), and the gradient is that of what they were before. Of equal logits of the teacher,
/// those of smaller ids are kept. Where the target is [`IGNORE`], losses and gradient are zero. A logit that is NaN makes a loss of
/// its row NaN.
///
/// Panics on a target outside the columns.
pub fn teach(
    cores: &Cores,
    logits: &mut [f32],
    teacher: &mut [f32],
    losses: &mut [f32],
    targets: &[u32],
    cols: usize,
    teaching: &Teaching,
    scale: Option<f32>,
    cap: Option<f32>,
) {
    assert!(logits.len() == targets.len() * cols && teacher.len() == logits.len());
    assert_eq!(losses.len(), 2 * targets.len());
    let (logits, teacher) = (Parts::new(logits), Parts::new(teacher));
    cores.run_parts(losses, 2, |r, losses| {
        // SAFETY: only task r uses row r.
        let row = unsafe { logits.part(r * cols..(r + 1) * cols) };
        // SAFETY: as above.
        let teacher = unsafe { teacher.part(r * cols..(r + 1) * cols) };
        losses.copy_from_slice(&taught(cores, row, teacher, targets[r], teaching, scale, cap));
    });
}

fn taught(
    cores: &Cores,
    row: &mut [f32],
    teacher: &mut [f32],
    target: u32,
    teaching: &Teaching,
    scale: Option<f32>,
    cap: Option<f32>,
) -> [f32; 2] {
    if target == IGNORE {
        if scale.is_some() {
            row.fill(0.0);
        }
        return [0.0; 2];
    }
    let Teaching { share, temperature, top } = *teaching;
    if let Some(top) = top.filter(|top| *top < teacher.len()) {
        keep_largest(teacher, top);
    }
    with_scratch([maxima_of(row.len()), row.len()], |[maxima, soft]| {
        soft.copy_from_slice(row);
        for logits in [&mut *teacher, &mut *soft] {
            divide(cores, logits, temperature);
        }
        let [of_teacher, own] = [&mut *teacher, &mut *soft].map(|logits| log_sum(cores, logits, maxima));
        let divergence = diverge(cores, soft, teacher, own, of_teacher);
        // The derivative of T² KL with respect to the logits is T (q − p).
        let by = scale.map(|scale| scale * share * temperature).filter(|_| share > 0.0);
        if let Some(by) = by {
            weigh(cores, soft, row, by, cap.unwrap_or(f32::INFINITY));
        }
        let scale = scale.map(|scale| scale * (1.0 - share));
        let entropy = row_loss_with(cores, row, maxima, target, scale, cap);
        if by.is_some() {
            add(cores, row, soft);
        }
        [entropy, divergence]
    })
}

/// All but the largest logits become −∞.
fn keep_largest(logits: &mut [f32], top: usize) {
    largest_first(logits, top)[top..].iter().for_each(|&id| logits[id as usize] = f32::NEG_INFINITY);
}

/// All ids, those of the `top` largest logits first, in no order; fewer than there are. Of equal ones, those of smaller ids are larger.
pub fn largest_first(logits: &[f32], top: usize) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
    let key = |&id: &u32| logits[id as usize];
    ids.select_nth_unstable_by(top, |a, b| key(b).total_cmp(&key(a)).then(a.cmp(b)));
    ids
}

kernel!(fn divide(x: &mut [f32], by: f32) = divide_body);

#[inline(always)]
fn divide_body<V: Lanes>(v: V, x: &mut [f32], by: f32) {
    let by = v.splat(by);
    for x in x.chunks_mut(V::LEN) {
        (v.load_some(x) / by).store_some(x);
    }
}

/// Stands for the logarithm of zero, so that its product with zero is zero.
const LEAST: f32 = -1e30;

kernel!(fn diverge(x: &mut [f32], y: &[f32], own: f32, other: f32) -> f32 = diverge_body);

/// `Σ p (log p − log q)` with `log q = x − own` and `log p = y − other`; x becomes `q − p`.
#[inline(always)]
fn diverge_body<V: Lanes>(v: V, x: &mut [f32], y: &[f32], own: f32, other: f32) -> f32 {
    let (own, other, least, mut sum) = (v.splat(own), v.splat(other), v.splat(LEAST), v.splat(0.0));
    for (x, y) in x.chunks_mut(V::LEN).zip(y.chunks(V::LEN)) {
        let (log_q, log_p) = (some(v, x) - own, some(v, y) - other);
        let (log_q, log_p) = (log_q.if_less(least, least, log_q), log_p.if_less(least, least, log_p));
        let (q, p) = (exp(v, log_q), exp(v, log_p));
        sum = sum + p * (log_p - log_q);
        (q - p).store_some(x);
    }
    sum.sum()
}

kernel!(fn weigh(x: &mut [f32], logits: &[f32], by: f32, cap: f32) = weigh_body);

/// `x *= by`, times the slope of the cap at the logits.
#[inline(always)]
fn weigh_body<V: Lanes>(v: V, x: &mut [f32], logits: &[f32], by: f32, cap: f32) {
    let (by, cap) = (v.splat(by), v.splat(cap));
    for (x, y) in x.chunks_mut(V::LEN).zip(logits.chunks(V::LEN)) {
        (v.load_some(x) * by * slope(v, v.load_some(y), cap)).store_some(x);
    }
}

kernel!(fn add(x: &mut [f32], y: &[f32]) = add_body);

#[inline(always)]
fn add_body<V: Lanes>(v: V, x: &mut [f32], y: &[f32]) {
    for (x, y) in x.chunks_mut(V::LEN).zip(y.chunks(V::LEN)) {
        (v.load_some(x) + v.load_some(y)).store_some(x);
    }
}
