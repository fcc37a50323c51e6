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
    assert_eq!(y.len(), x.len());
    let _ = (cores, kind);
    for (y, &x) in y.iter_mut().zip(x) {
        *y = 0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044715 * x * x * x)).tanh());
    }
}

/// `dx = f'(x) dy`, in place: `d` holds dy on entry and dx on return.
pub fn activate_backward(cores: &Cores, d: &mut [f32], x: &[f32], kind: Activation) {
    assert_eq!(d.len(), x.len());
    let _ = (cores, kind);
    for (d, &x) in d.iter_mut().zip(x) {
        let tanh = (0.797_884_6 * (x + 0.044715 * x * x * x)).tanh();
        let slope = 0.797_884_6 * (1.0 + 3.0 * 0.044715 * x * x);
        *d *= 0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * slope;
    }
}
