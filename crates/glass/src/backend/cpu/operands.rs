//! Tensors, weights, gradients and the cache as the slices that kernels take.

use glass_kernels::attend;
use glass_kernels::linear::Matrix;
use glass_kernels::rotate;

use super::Cpu;
use crate::backend::{Dense, Grads, Kv, Layout, Rotation, Tensor, Weight};

pub(super) fn matrix<'a>(weight: &Weight<'a, Cpu>) -> Matrix<'a> {
    match weight {
        Weight::Dense(d) => dense(d),
        Weight::Packed(p) => p.matrix(),
    }
}

pub(super) fn dense<'a>(d: &Dense<'a, Cpu>) -> Matrix<'a> {
    Matrix { values: &d.arena[d.span.clone()], rows: d.rows, cols: d.cols, layout: Layout::Rows }
}

pub(super) fn vector<'a>(weight: &Weight<'a, Cpu>) -> &'a [f32] {
    matrix(weight).values
}

pub(super) fn used(t: &Tensor<Cpu>) -> &[f32] {
    &t.data[..t.len()]
}

pub(super) fn used_mut(t: &mut Tensor<Cpu>) -> &mut [f32] {
    let len = t.len();
    &mut t.data[..len]
}

/// The last rows of activations: those that have gradients, `each` of them.
pub(super) fn last_rows<'a>(x: &'a Tensor<Cpu>, gradients: &Tensor<Cpu>, each: usize) -> &'a [f32] {
    assert!(gradients.rows.is_multiple_of(each), "{} gradients, {each} for each row", gradients.rows);
    &used(x)[(x.rows - gradients.rows / each) * x.cols..]
}

/// The gradients of a weight and of its bias, if it has one.
pub(super) fn weight_and_bias(grads: Grads<'_, Cpu>) -> (&mut [f32], Option<&mut [f32]>) {
    let Grads { arena, weight, bias } = grads;
    match bias {
        None => (&mut arena[weight], None),
        Some(bias) => {
            let [weight, bias] = arena.get_disjoint_mut([weight, bias]).expect("parameters do not overlap");
            (weight, Some(bias))
        }
    }
}

pub(super) fn kv(kv: &Kv<Cpu>) -> attend::Kv<'_> {
    attend::Kv { keys: &kv.keys, values: &kv.values, shape: kv.shape, table: &kv.table }
}

/// How heads of this size are rotated.
pub(super) fn rotated<'a>(size: usize, rotation: Rotation<'a, Cpu>) -> rotate::Rotation<'a> {
    let Rotation { pairs, width, cos, sin } = rotation;
    rotate::Rotation { pairs, size, width, cos: used(cos), sin: used(sin) }
}
