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
    let _ = (cores, w, g, m, v, step);
    todo!()
}

/// The sum of squares, in f64, in blocks added in index order. Not finite if any element is not.
pub fn square_sum(cores: &Cores, g: &[f32]) -> f64 {
    let _ = (cores, g);
    todo!()
}
