//! Gates of the MLP (Shazeer 2020): one product, after an activation, multiplies another one.

use crate::Cores;
use crate::activate::{Activation, activated, value_and_slope};
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;

/// Elements per task.
const PIECE: usize = 16 * 1024;

/// `y = f(gate) · up`. f has the error of [`activate`](crate::activate::activate), and the product half an ULP.
pub fn gate(cores: &Cores, y: &mut [f32], gate: &[f32], up: &[f32], kind: Activation) {
    assert!(y.len() == gate.len() && y.len() == up.len());
    cores.run_parts(y, PIECE, |i, y| {
        let from = i * PIECE;
        forward(cores, y, &gate[from..][..y.len()], &up[from..][..y.len()], kind);
    });
}

kernel!(fn forward(y: &mut [f32], gate: &[f32], up: &[f32], kind: Activation) = forward_body);

#[inline(always)]
fn forward_body<V: Lanes>(v: V, y: &mut [f32], gate: &[f32], up: &[f32], kind: Activation) {
    for (y, (gate, up)) in y.chunks_mut(V::LEN).zip(gate.chunks(V::LEN).zip(up.chunks(V::LEN))) {
        (activated(v, v.load_some(gate), kind) * v.load_some(up)).store_some(y);
    }
}

/// `dgate = dy · up · f'(gate)` and `dup = dy · f(gate)`, with f within an ULP of the forward pass's: `d` holds dy on entry and dup on return.
pub fn gate_backward(
    cores: &Cores,
    dgate: &mut [f32],
    d: &mut [f32],
    gate: &[f32],
    up: &[f32],
    kind: Activation,
) {
    both(cores, dgate, d, gate, up, |dgate, d, gate, up| backward(cores, dgate, d, gate, up, kind));
}

kernel!(fn backward(dgate: &mut [f32], d: &mut [f32], gate: &[f32], up: &[f32], kind: Activation) = backward_body);

#[inline(always)]
fn backward_body<V: Lanes>(
    v: V,
    dgate: &mut [f32],
    d: &mut [f32],
    gate: &[f32],
    up: &[f32],
    kind: Activation,
) {
    let to = dgate.chunks_mut(V::LEN).zip(d.chunks_mut(V::LEN));
    for ((dgate, d), (gate, up)) in to.zip(gate.chunks(V::LEN).zip(up.chunks(V::LEN))) {
        let (gate, up, dy) = (v.load_some(gate), v.load_some(up), v.load_some(d));
        let (value, slope) = value_and_slope(v, gate, kind);
        (dy * up * slope).store_some(dgate);
        (dy * value).store_some(d);
    }
}

/// The slopes of [`gate`]: `dgate = up · f'(gate)` and `dup = f(gate)`.
pub fn gate_slopes(
    cores: &Cores,
    dgate: &mut [f32],
    dup: &mut [f32],
    gate: &[f32],
    up: &[f32],
    kind: Activation,
) {
    both(cores, dgate, dup, gate, up, |dgate, dup, gate, up| slopes(cores, dgate, dup, gate, up, kind));
}

kernel!(fn slopes(dgate: &mut [f32], dup: &mut [f32], gate: &[f32], up: &[f32], kind: Activation) = slopes_body);

#[inline(always)]
fn slopes_body<V: Lanes>(
    v: V,
    dgate: &mut [f32],
    dup: &mut [f32],
    gate: &[f32],
    up: &[f32],
    kind: Activation,
) {
    let to = dgate.chunks_mut(V::LEN).zip(dup.chunks_mut(V::LEN));
    for ((dgate, dup), (gate, up)) in to.zip(gate.chunks(V::LEN).zip(up.chunks(V::LEN))) {
        let (gate, up) = (v.load_some(gate), v.load_some(up));
        let (value, slope) = value_and_slope(v, gate, kind);
        (up * slope).store_some(dgate);
        value.store_some(dup);
    }
}

/// Runs `task` for the same piece of each.
fn both(
    cores: &Cores,
    dgate: &mut [f32],
    dup: &mut [f32],
    gate: &[f32],
    up: &[f32],
    task: impl Fn(&mut [f32], &mut [f32], &[f32], &[f32]) + Sync,
) {
    let len = dgate.len();
    assert!([dup.len(), gate.len(), up.len()] == [len; 3]);
    let dup = Parts::new(dup);
    cores.run_parts(dgate, PIECE, |i, dgate| {
        let piece = i * PIECE..i * PIECE + dgate.len();
        // SAFETY: no other task uses this piece.
        task(dgate, unsafe { dup.part(piece.clone()) }, &gate[piece.clone()], &up[piece]);
    });
}
