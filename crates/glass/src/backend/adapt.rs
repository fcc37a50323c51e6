//! The operations of low-rank adapters.

use std::ops::Range;

use super::{Activation, Dense, Device, Dropout, Span, Tensor, Write};

/// A low-rank change of a matrix, `scale · B A`.
pub struct LowRank<'a, B: Device + ?Sized> {
    /// A, `[rank, inputs]`.
    pub a: Dense<'a, B>,
    /// B transposed, `[rank, outputs]`.
    pub b: Dense<'a, B>,
    /// What their product is multiplied by.
    pub scale: f32,
}

/// The operations of adapters. Shapes are those of the kernels.
pub trait Adapt: Device {
    /// `y += scale (x Aᵀ) B` in some rows; with dropout of the inputs, in all.
    fn low_rank(
        &self,
        y: &mut Tensor<Self>,
        x: &Tensor<Self>,
        rows: Range<usize>,
        change: LowRank<'_, Self>,
        dropout: Option<(Dropout, &[Span])>,
    );
    /// `dx += …`, and the gradients of A and B (overwritten or added to).
    fn low_rank_backward(
        &self,
        dx: &mut Tensor<Self>,
        grads: (&mut Self::Buffer, Write),
        dy: &Tensor<Self>,
        x: &Tensor<Self>,
        change: LowRank<'_, Self>,
        dropout: Option<(Dropout, &[Span])>,
    );
    /// `y = f(y)`: what a product did not do, since its outputs were changed first.
    fn activate_in_place(&self, y: &mut Tensor<Self>, kind: Activation);
}
