//! Activations: the non-linearities of the MLP.

use crate::Cores;
use crate::exp::exp;
use crate::lanes::{Lanes, kernel};

/// The kind of non-linearity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activation {
    /// GELU, `x Φ(x)` with the normal distribution's Φ (Hendrycks & Gimpel 2016), as nanoGPT computes it.
    Gelu,
    /// GELU in its tanh form (same paper), as GPT-2 computes it.
    GeluTanh,
    /// GELU as `x σ(1.702 x)` (same paper).
    GeluSigmoid,
    /// `x σ(x)`, also called swish (Elfwing et al. 2018).
    Silu,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)²` (So et al. 2021).
    SquaredRelu,
}

impl Activation {
    /// All kinds.
    pub const ALL: [Activation; 6] = [
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::GeluSigmoid,
        Activation::Silu,
        Activation::Relu,
        Activation::SquaredRelu,
    ];
}

/// Elements per task.
const PIECE: usize = 16 * 1024;

/// `y = f(x)`. NaN stays NaN; large `|x|` gives x or 0 (squared ReLU: x² or 0). GELU is within 8 × 2⁻²⁴ × |x| of the true
/// value, the others within 4.
pub fn activate(cores: &Cores, y: &mut [f32], x: &[f32], kind: Activation) {
    assert_eq!(y.len(), x.len());
    cores.run_parts(y, PIECE, |i, y| forward(cores, y, &x[i * PIECE..][..y.len()], kind));
}

kernel!(fn forward(y: &mut [f32], x: &[f32], kind: Activation) = forward_body);

#[inline(always)]
fn forward_body<V: Lanes>(v: V, y: &mut [f32], x: &[f32], kind: Activation) {
    for (y, x) in y.chunks_mut(V::LEN).zip(x.chunks(V::LEN)) {
        if x.len() == V::LEN {
            activated(v, v.load(x), kind).store(y);
        } else {
            activated(v, v.load_part(x), kind).store_part(y);
        }
    }
}

/// The same in place: `x = f(x)`.
pub fn activate_all(cores: &Cores, x: &mut [f32], kind: Activation) {
    cores.run_parts(x, PIECE, |_, x| in_place(cores, x, kind));
}

kernel!(fn in_place(x: &mut [f32], kind: Activation) = activate_in_place);

/// `y = f(y)` within a kernel that ends with an activation: the same bits as [`activate`].
#[inline(always)]
pub(crate) fn activate_in_place<V: Lanes>(v: V, y: &mut [f32], kind: Activation) {
    for y in y.chunks_mut(V::LEN) {
        activated(v, v.load_part(y), kind).store_part(y);
    }
}

/// One vector of [`activate`].
#[inline(always)]
pub(crate) fn activated<V: Lanes>(v: V, x: V, kind: Activation) -> V {
    match kind {
        Activation::Gelu => x * normal(v, x).0,
        Activation::GeluTanh => x / (v.splat(1.0) + exp(v, twice_negated(v, x * x, x))),
        Activation::GeluSigmoid => x / (v.splat(1.0) + exp(v, x * v.splat(-SIGMOID))),
        Activation::Silu => x / (v.splat(1.0) + exp(v, x * v.splat(-1.0))),
        Activation::Relu => positive(v, x),
        Activation::SquaredRelu => positive(v, x) * positive(v, x),
    }
}

/// The factor of GELU's sigmoid form.
const SIGMOID: f32 = 1.702;

/// max(x, 0); NaN stays NaN.
#[inline(always)]
fn positive<V: Lanes>(v: V, x: V) -> V {
    let zero = v.splat(0.0);
    x.if_less(zero, zero, x)
}

/// `1 / √(2π)`.
const DENSITY: f32 = 0.398_942_3;

/// `2 √(2/π)`.
const TWICE_FIRST: f32 = 1.595_769_2;

/// `2 √(2/π) × 0.044715`.
const TWICE_THIRD: f32 = 0.071_354_814;

/// The exponent of `0.5 (1 + tanh u) = 1 / (1 + e^-2u)`: `-2u = -2 √(2/π) (x + 0.044715 x³)`.
#[inline(always)]
fn twice_negated<V: Lanes>(v: V, square: V, x: V) -> V {
    let (first, third) = (-TWICE_FIRST, -TWICE_THIRD);
    square.mul_add(v.splat(third), v.splat(first)) * x
}

/// Φ(x) and `e^(-x²/2)`. Beyond 0, Φ is `erfc(|x| / √2) / 2`, within 1e-7: the polynomial in `1 / (1 + p |x| / √2)` of
/// Abramowitz & Stegun 1964, 7.1.26, halved.
#[inline(always)]
fn normal<V: Lanes>(v: V, x: V) -> (V, V) {
    let (zero, one) = (v.splat(0.0), v.splat(1.0));
    let e = exp(v, x * x * v.splat(-0.5));
    let t = one / x.max(zero - x).mul_add(v.splat(0.231_641_9), one);
    let q = v.splat(0.530_702_7).mul_add(t, v.splat(-0.726_576));
    let q = q.mul_add(t, v.splat(0.710_706_9));
    let q = q.mul_add(t, v.splat(-0.142_248_37));
    let q = q.mul_add(t, v.splat(0.127_414_8));
    let tail = q * t * e;
    (x.if_less(zero, tail, one - tail), e)
}

/// `dx = f'(x) dy`, in place: `d` holds dy on entry and dx on return.
pub fn activate_backward(cores: &Cores, d: &mut [f32], x: &[f32], kind: Activation) {
    assert_eq!(d.len(), x.len());
    cores.run_parts(d, PIECE, |i, d| backward(cores, d, &x[i * PIECE..][..d.len()], kind));
}

kernel!(fn backward(d: &mut [f32], x: &[f32], kind: Activation) = backward_body);

#[inline(always)]
fn backward_body<V: Lanes>(v: V, d: &mut [f32], x: &[f32], kind: Activation) {
    for (d, x) in d.chunks_mut(V::LEN).zip(x.chunks(V::LEN)) {
        if x.len() == V::LEN {
            (v.load(d) * slope(v, v.load(x), kind)).store(d);
        } else {
            (v.load_part(d) * slope(v, v.load_part(x), kind)).store_part(d);
        }
    }
}

/// `f'(x)`.
#[inline(always)]
fn slope<V: Lanes>(v: V, x: V, kind: Activation) -> V {
    value_and_slope(v, x, kind).1
}

/// `f(x)` and `f'(x)`, from one exponential; f(x) may differ from that of [`activated`] in the last place. ReLU's derivative
/// is 0 at 0, as in PyTorch. GELU beyond ±9 is a straight line to 30 digits: x is clamped there, so that nothing overflows.
#[inline(always)]
pub(crate) fn value_and_slope<V: Lanes>(v: V, x: V, kind: Activation) -> (V, V) {
    let (zero, one) = (v.splat(0.0), v.splat(1.0));
    match kind {
        Activation::Gelu => {
            let held = clamped(v, x, 9.0);
            let (below, e) = normal(v, held);
            (from_below(x, held) * below, (held * v.splat(DENSITY)).mul_add(e, below))
        }
        Activation::GeluTanh => {
            let held = clamped(v, x, 9.0);
            let square = held * held;
            let e = exp(v, twice_negated(v, square, held));
            let s = one / (one + e);
            let twice_du = square.mul_add(v.splat(3.0 * TWICE_THIRD), v.splat(TWICE_FIRST));
            (from_below(x, held) * s, (held * twice_du).mul_add(s * (e * s), s))
        }
        Activation::GeluSigmoid => sigmoid(v, x, 40.0, SIGMOID),
        Activation::Silu => sigmoid(v, x, 80.0, 1.0),
        Activation::Relu => (positive(v, x), x.if_less(zero, zero, zero.if_less(x, one, x * zero))),
        Activation::SquaredRelu => {
            let x = positive(v, x);
            (x * x, x * v.splat(2.0))
        }
    }
}

/// x, clamped only where it is too low: a factor of it is zero there, except for infinity.
#[inline(always)]
fn from_below<V: Lanes>(x: V, held: V) -> V {
    x.if_less(held, held, x)
}

/// x clamped to ±`most`; NaN stays NaN.
#[inline(always)]
fn clamped<V: Lanes>(v: V, x: V, most: f32) -> V {
    let (low, high) = (v.splat(-most), v.splat(most));
    let x = x.if_less(low, low, x);
    high.if_less(x, high, x)
}

/// `x σ(c x)` and its derivative, `s + c x s (1 - s)` with `s = σ(c x)`, for x clamped to ±`most`.
#[inline(always)]
fn sigmoid<V: Lanes>(v: V, x: V, most: f32, c: f32) -> (V, V) {
    let (one, held) = (v.splat(1.0), clamped(v, x, most));
    let e = exp(v, held * v.splat(-c));
    let s = one / (one + e);
    (from_below(x, held) * s, (held * v.splat(c)).mul_add(s * (e * s), s))
}
