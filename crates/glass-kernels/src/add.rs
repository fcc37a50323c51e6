//! Addition: adds the output of a branch to the residual; and multiplication by one number.

use crate::Cores;
use crate::lanes::{Lanes, kernel};

/// Elements per task.
const PIECE: usize = 32 * 1024;

/// `y += x`.
pub fn add(cores: &Cores, y: &mut [f32], x: &[f32]) {
    assert_eq!(y.len(), x.len());
    cores.run_parts(y, PIECE, |i, y| add_to(cores, y, &x[i * PIECE..][..y.len()]));
}

kernel!(pub(crate) fn add_to(y: &mut [f32], x: &[f32]) = add_body);

#[inline(always)]
pub(crate) fn add_body<V: Lanes>(v: V, y: &mut [f32], x: &[f32]) {
    for (y, x) in y.chunks_mut(V::LEN).zip(x.chunks(V::LEN)) {
        if x.len() == V::LEN {
            (v.load(y) + v.load(x)).store(y);
        } else {
            (v.load_part(y) + v.load_part(x)).store_part(y);
        }
    }
}

/// `y = by · y`.
pub fn scale(cores: &Cores, y: &mut [f32], by: f32) {
    cores.run_parts(y, PIECE, |_, y| scale_this(cores, y, by));
}

kernel!(fn scale_this(y: &mut [f32], by: f32) = scale_body);

#[inline(always)]
fn scale_body<V: Lanes>(v: V, y: &mut [f32], by: f32) {
    let by = v.splat(by);
    for y in y.chunks_mut(V::LEN) {
        (v.load_some(y) * by).store_some(y);
    }
}

/// `y *= x`.
pub fn multiply(cores: &Cores, y: &mut [f32], x: &[f32]) {
    assert_eq!(y.len(), x.len());
    cores.run_parts(y, PIECE, |i, y| multiply_by(cores, y, &x[i * PIECE..][..y.len()]));
}

kernel!(fn multiply_by(y: &mut [f32], x: &[f32]) = multiply_body);

#[inline(always)]
fn multiply_body<V: Lanes>(v: V, y: &mut [f32], x: &[f32]) {
    for (y, x) in y.chunks_mut(V::LEN).zip(x.chunks(V::LEN)) {
        (v.load_some(y) * v.load_some(x)).store_some(y);
    }
}
