//! AdamW (Loshchilov & Hutter 2019), and the global norm used for clipping gradients.

use crate::Cores;
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;

/// The constants of one step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdamW {
    /// Learning rate of this step.
    pub rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled weight decay.
    pub decay: f32,
    /// Number of this step, from 1; used for the bias correction of the moments.
    pub step: u64,
    /// Gradients are multiplied by this first (clipping).
    pub scale: f32,
}

/// Elements per task.
const PIECE: usize = 16 * 1024;

/// Updates weights and both moments in place, in PyTorch's order of operations:
/// `w -= rate decay w; m = β₁ m + (1 - β₁) g; v = β₂ v + (1 - β₂) g²; w -= rate (m / (1 - β₁ᵗ)) / (√v / √(1 - β₂ᵗ) + ε)`.
pub fn adamw(cores: &Cores, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], step: &AdamW) {
    let n = w.len();
    assert!(g.len() == n && m.len() == n && v.len() == n);
    let constants = Constants::of(step);
    let (m, v) = (Parts::new(m), Parts::new(v));
    cores.run_parts(w, PIECE, |i, w| {
        let range = i * PIECE..i * PIECE + w.len();
        // SAFETY: no other task uses this piece.
        let (m, v) = unsafe { (m.part(range.clone()), v.part(range.clone())) };
        update(cores, w, &g[range], m, v, &constants);
    });
}

/// Factors that are the same for all elements, computed in f64.
struct Constants {
    keep: f32,
    rate: f32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    root: f32,
    epsilon: f32,
    scale: f32,
}

impl Constants {
    fn of(step: &AdamW) -> Self {
        let (beta1, beta2, t) = (f64::from(step.beta1), f64::from(step.beta2), step.step as f64);
        Self {
            keep: (1.0 - f64::from(step.rate) * f64::from(step.decay)) as f32,
            rate: (f64::from(step.rate) / (1.0 - beta1.powf(t))) as f32,
            beta1: step.beta1,
            rest1: (1.0 - beta1) as f32,
            beta2: step.beta2,
            rest2: (1.0 - beta2) as f32,
            root: (1.0 / (1.0 - beta2.powf(t)).sqrt()) as f32,
            epsilon: step.epsilon,
            scale: step.scale,
        }
    }
}

kernel!(fn update(w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], constants: &Constants) = update_body);

#[inline(always)]
fn update_body<V: Lanes>(
    lanes: V,
    w: &mut [f32],
    g: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    constants: &Constants,
) {
    let whole = w.len() / V::LEN * V::LEN;
    for at in (0..whole).step_by(V::LEN) {
        let to = at..at + V::LEN;
        let (w, m, v) = (&mut w[to.clone()], &mut m[to.clone()], &mut v[to.clone()]);
        let (a, b, c) =
            updated(lanes, lanes.load(w), lanes.load(&g[to]), lanes.load(m), lanes.load(v), constants);
        a.store(w);
        b.store(m);
        c.store(v);
    }
    let (w, g, m, v) = (&mut w[whole..], &g[whole..], &mut m[whole..], &mut v[whole..]);
    let part = |x: &[f32]| lanes.load_part(x);
    let (a, b, c) = updated(lanes, part(w), part(g), part(m), part(v), constants);
    a.store_part(w);
    b.store_part(m);
    c.store_part(v);
}

/// New weights and moments of one vector.
#[inline(always)]
fn updated<V: Lanes>(lanes: V, w: V, g: V, m: V, v: V, constants: &Constants) -> (V, V, V) {
    let c = |x: f32| lanes.splat(x);
    let g = g * c(constants.scale);
    let m = c(constants.beta1).mul_add(m, c(constants.rest1) * g);
    let v = c(constants.beta2).mul_add(v, c(constants.rest2) * g * g);
    let root = v.sqrt().mul_add(c(constants.root), c(constants.epsilon));
    let w = w * c(constants.keep) - c(constants.rate) * m / root;
    (w, m, v)
}

/// The sum of squares, in f64, in blocks added in index order. Not finite if any element is not.
pub fn square_sum(cores: &Cores, g: &[f32]) -> f64 {
    let mut sums = vec![0.0; g.len().div_ceil(PIECE)];
    cores.run_parts(&mut sums, 1, |i, sum| {
        squares(cores, &g[i * PIECE..((i + 1) * PIECE).min(g.len())], &mut sum[0]);
    });
    sums.iter().sum()
}

kernel!(fn squares(g: &[f32], sum: &mut f64) = squares_body);

/// Sixteen independent sums, so that the compiler puts them into lanes; then added from left to right.
#[inline(always)]
fn squares_body<V: Lanes>(_: V, g: &[f32], sum: &mut f64) {
    let mut sums = [0.0f64; 16];
    let mut chunks = g.chunks_exact(16);
    for chunk in &mut chunks {
        for (sum, &g) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(g) * f64::from(g);
        }
    }
    for (sum, &g) in sums.iter_mut().zip(chunks.remainder()) {
        *sum += f64::from(g) * f64::from(g);
    }
    *sum = sums.iter().sum();
}
