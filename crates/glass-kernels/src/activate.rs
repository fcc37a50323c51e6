//! Activate: the non-linearity of the MLP.

use crate::Cores;

/// Which non-linearity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activation {
    /// GELU in its tanh form (Hendrycks & Gimpel 2016), as GPT-2 computes it.
    GeluTanh,
}

/// `y = f(x)`.
pub fn activate(cores: &Cores, y: &mut [f32], x: &[f32], kind: Activation) {
    let _ = (cores, y, x, kind);
    todo!()
}

/// `dx = f'(x) dy`, in place: `d` holds dy on entry and dx on return.
pub fn activate_backward(cores: &Cores, d: &mut [f32], x: &[f32], kind: Activation) {
    let _ = (cores, d, x, kind);
    todo!()
}
