//! The cache of keys and values: keys in blocks of columns, so that lanes run over keys; values in rows.

use std::ops::Range;

use super::{BLOCK, Span, padded};
use crate::Cores;
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;

/// The shape of a cache of keys and values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KvShape {
    /// Key heads.
    pub heads: usize,
    /// Width of one head.
    pub size: usize,
    /// Sequences.
    pub slots: usize,
    /// Positions a sequence can hold.
    pub positions: usize,
}

impl KvShape {
    /// Floats for the keys: `[slots][heads][blocks of 64 positions][size][64]`.
    pub fn keys_len(self) -> usize {
        self.slots * self.heads * self.head_keys()
    }

    /// Floats for the values: `[slots][heads][positions][size rounded up to 16]`.
    pub fn values_len(self) -> usize {
        self.slots * self.heads * self.head_values()
    }

    /// Keys of one head.
    fn head_keys(self) -> usize {
        self.positions.div_ceil(BLOCK) * self.size * BLOCK
    }

    /// Values of one head.
    fn head_values(self) -> usize {
        self.positions * padded(self.size)
    }
}

/// Keys and values of every sequence, as [`append`] wrote them.
#[derive(Clone, Copy, Debug)]
pub struct Kv<'a> {
    /// Keys.
    pub keys: &'a [f32],
    /// Values.
    pub values: &'a [f32],
    /// Their shape.
    pub shape: KvShape,
}

impl<'a> Kv<'a> {
    /// Block `block` of a head's keys, `[size][64]`.
    pub(super) fn keys(&self, slot: usize, head: usize, block: usize) -> &'a [f32] {
        let (each, size) = (self.shape.head_keys(), self.shape.size * BLOCK);
        &self.keys[(slot * self.shape.heads + head) * each + block * size..][..size]
    }

    /// A head's values at some positions, rows of `padded(size)`.
    pub(super) fn values(&self, slot: usize, head: usize, positions: Range<usize>) -> &'a [f32] {
        let (each, width) = (self.shape.head_values(), padded(self.shape.size));
        let head = &self.values[(slot * self.shape.heads + head) * each..][..each];
        &head[positions.start * width..positions.end * width]
    }
}

/// Fewer floats than this are written by the caller alone.
const ALONE: usize = 16 * 1024;

/// Writes rows of k and v (`[rows, key heads × size]`) behind what each span's slot holds.
pub fn append(
    cores: &Cores,
    keys: &mut [f32],
    values: &mut [f32],
    shape: KvShape,
    k: &[f32],
    v: &[f32],
    spans: &[Span],
) {
    assert_eq!((keys.len(), values.len()), (shape.keys_len(), shape.values_len()));
    for (i, span) in spans.iter().enumerate() {
        assert!(spans[..i].iter().all(|other| other.slot != span.slot), "slot {} is in two spans", span.slot);
        let (slot, has) = (span.slot, shape.positions);
        assert!(slot < shape.slots, "slot {slot} is outside a cache of {}", shape.slots);
        assert!(span.keys() <= has, "position {} is outside a cache of {has}", span.keys());
    }
    let (keys, values) = (Parts::new(keys), Parts::new(values));
    let tasks = spans.len() * shape.heads;
    let write = |task: usize| {
        let (span, head) = (&spans[task / shape.heads], task % shape.heads);
        let at = span.slot * shape.heads + head;
        let (keys_len, values_len) = (shape.head_keys(), shape.head_values());
        // SAFETY: this head of this slot is this task's alone, as no two spans share a slot.
        let keys = unsafe { keys.part(at * keys_len..(at + 1) * keys_len) };
        // SAFETY: as above.
        let values = unsafe { values.part(at * values_len..(at + 1) * values_len) };
        append_head(cores, keys, values, shape, k, v, span, head);
    };
    if k.len() < ALONE { (0..tasks).for_each(write) } else { cores.run(tasks, &write) }
}

fn append_head(
    cores: &Cores,
    keys: &mut [f32],
    values: &mut [f32],
    shape: KvShape,
    k: &[f32],
    v: &[f32],
    span: &Span,
    head: usize,
) {
    let (size, stride, width) = (shape.size, shape.heads * shape.size, padded(shape.size));
    let mut position = span.past;
    while position < span.keys() {
        let (block, first) = (position / BLOCK, position % BLOCK);
        let count = (BLOCK - first).min(span.keys() - position);
        let from = (span.rows.start + position - span.past) * stride + head * size;
        transpose(cores, &mut keys[block * size * BLOCK..][..size * BLOCK], first, count, &k[from..], stride);
        for i in 0..count {
            let (value, padding) = values[(position + i) * width..][..width].split_at_mut(size);
            value.copy_from_slice(&v[from + i * stride..][..size]);
            padding.fill(0.0);
        }
        position += count;
    }
}

kernel!(
    /// `to[e][first + i] = from[i × stride + e]` for `count` rows: rows become columns of a block.
    pub(super) fn transpose(to: &mut [f32], first: usize, count: usize, from: &[f32], stride: usize) =
        transpose_body
);

#[inline(always)]
fn transpose_body<V: Lanes>(v: V, to: &mut [f32], first: usize, count: usize, from: &[f32], stride: usize) {
    let size = to.len() / BLOCK;
    assert!(count == 0 || first + count <= BLOCK && from.len() >= (count - 1) * stride + size);
    let (rows, columns) = (count / V::LEN * V::LEN, size / V::LEN * V::LEN);
    for i in (0..rows).step_by(V::LEN) {
        for e in (0..columns).step_by(V::LEN) {
            // SAFETY: a square of `LEN` rows and columns, inside what is asserted on both sides.
            unsafe {
                let (from, to) =
                    (from.as_ptr().add(i * stride + e), to.as_mut_ptr().add(e * BLOCK + first + i));
                v.transpose_at(from, stride, to, BLOCK);
            }
        }
    }
    for (e, line) in to.chunks_exact_mut(BLOCK).enumerate() {
        let done = if e < columns { rows } else { 0 };
        for (i, to) in line[first..first + count].iter_mut().enumerate().skip(done) {
            *to = from[i * stride + e];
        }
    }
}
