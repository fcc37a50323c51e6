//! AdamW (Loshchilov & Hutter 2019), and the global norm that gradients are clipped by.

use crate::Cores;

/// One step's constants.
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
    /// Number of this step, from 1: the moments' bias is corrected by it.
    pub step: u64,
    /// What gradients are multiplied by first (clipping).
    pub scale: f32,
}

/// Updates weights and both moments in place, in PyTorch's order of operations.
pub fn adamw(cores: &Cores, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], step: &AdamW) {
    let n = w.len();
    assert!(g.len() == n && m.len() == n && v.len() == n);
    let _ = cores;
    let (beta1, beta2, t) = (f64::from(step.beta1), f64::from(step.beta2), step.step as f64);
    let keep = (1.0 - f64::from(step.rate) * f64::from(step.decay)) as f32;
    let rate = (f64::from(step.rate) / (1.0 - beta1.powf(t))) as f32;
    let root = (1.0 / (1.0 - beta2.powf(t)).sqrt()) as f32;
    let (beta1, beta2, rest1, rest2) = (step.beta1, step.beta2, (1.0 - beta1) as f32, (1.0 - beta2) as f32);
    for i in 0..n {
        let g = g[i] * step.scale;
        m[i] = beta1 * m[i] + rest1 * g;
        v[i] = beta2 * v[i] + rest2 * g * g;
        w[i] = w[i] * keep - rate * m[i] / (v[i].sqrt() * root + step.epsilon);
    }
}

/// The sum of squares, in f64, in blocks added in index order. Not finite if any element is not.
pub fn square_sum(cores: &Cores, g: &[f32]) -> f64 {
    let _ = cores;
    g.iter().map(|&g| f64::from(g) * f64::from(g)).sum()
}
