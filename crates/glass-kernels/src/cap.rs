//! Caps: a hyperbolic tangent holds scores or logits between −c and c.

use crate::Cores;
use crate::exp::exp_minus_one;
use crate::lanes::{Lanes, kernel};

/// Elements per task.
const PIECE: usize = 16 * 1024;

/// `y = c tanh(y / c)`, in place, within 4 ULP of the true value, also for small y (where `y / c` is a normal number), and
/// never beyond ±c. NaN stays NaN.
pub fn cap(cores: &Cores, y: &mut [f32], c: f32) {
    assert!(c > 0.0, "a cap is above zero");
    cores.run_parts(y, PIECE, |_, y| forward(cores, y, c));
}

kernel!(fn forward(y: &mut [f32], c: f32) = forward_body);

#[inline(always)]
fn forward_body<V: Lanes>(v: V, y: &mut [f32], c: f32) {
    let c = v.splat(c);
    for y in y.chunks_mut(V::LEN) {
        capped(v, v.load_some(y), c).store_some(y);
    }
}

/// From here on, `tanh u` rounds to 1 (u > 9.02).
const FLAT: f32 = 10.0;

/// One vector of [`cap`]: with `m = e^2u − 1`, `tanh u = m / (m + 2)`.
#[inline(always)]
pub(crate) fn capped<V: Lanes>(v: V, y: V, c: V) -> V {
    let (low, high, u) = (v.splat(-FLAT), v.splat(FLAT), y / c);
    let u = u.if_less(low, low, u);
    let u = high.if_less(u, high, u);
    let m = exp_minus_one(v, u + u);
    c * (m / (m + v.splat(2.0)))
}

/// `1 − (y / c)²`, for y between ±c.
#[inline(always)]
pub(crate) fn slope<V: Lanes>(v: V, y: V, c: V) -> V {
    let part = y / c;
    part.mul_add(-part, v.splat(1.0))
}
