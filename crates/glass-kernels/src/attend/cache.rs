//! The cache of keys and values: keys in blocks of columns, so that lanes run over keys; values in rows.
//!
//! In 16 bits a row's first half stands in the lower halves of its lanes, the other in the upper. Whoever reads a block
//! makes floats of it first, where they stay near, and goes on as if it had been floats: rounding happens once, on the
//! way in, and prefill sees the rounded numbers as decoding does.

use std::ops::Range;

use super::{BLOCK, Span, padded};
use crate::Cores;
use crate::format::f32_to_bf16;
use crate::lanes::integers::Integers;
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;
use crate::scratch::with_scratch;

/// How keys and values are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CacheType {
    /// As they are.
    #[default]
    F32,
    /// Rounded to bf16: half the memory, and half of what a step of decoding reads of it.
    Bf16,
}

impl CacheType {
    /// As it is asked for and written down.
    pub fn name(self) -> &'static str {
        match self {
            CacheType::F32 => "f32",
            CacheType::Bf16 => "bf16",
        }
    }

    /// Numbers in a lane of 32 bits.
    fn per_lane(self) -> usize {
        match self {
            CacheType::F32 => 1,
            CacheType::Bf16 => 2,
        }
    }
}

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
    /// How they are kept.
    pub kind: CacheType,
}

impl KvShape {
    /// Lanes for the keys: `[slots][heads][blocks of 64 positions][size][64]`.
    pub fn keys_len(self) -> usize {
        self.slots * self.heads * self.head_keys()
    }

    /// Lanes for the values: `[slots][heads][positions][width]`.
    pub fn values_len(self) -> usize {
        self.slots * self.heads * self.head_values()
    }

    /// Keys of one head.
    fn head_keys(self) -> usize {
        self.positions.div_ceil(BLOCK) * self.block_keys()
    }

    /// Keys of one block.
    fn block_keys(self) -> usize {
        self.size * BLOCK / self.kind.per_lane()
    }

    /// Values of one head.
    fn head_values(self) -> usize {
        self.positions * self.width() / self.kind.per_lane()
    }

    /// Floats of a row of values: whole vectors, in either half of its lanes.
    pub(super) fn width(self) -> usize {
        padded(self.size).next_multiple_of(16 * self.kind.per_lane())
    }

    /// Floats that a block of keys or values is widened into; none where it can be read as it lies.
    pub(super) fn room(self, positions: usize) -> usize {
        match self.kind {
            CacheType::F32 => 0,
            CacheType::Bf16 => positions * self.width(),
        }
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

impl Kv<'_> {
    /// Block `block` of a head's keys, `[size][64]`; through `room` where they are kept in 16 bits.
    pub(super) fn keys<'s>(
        &'s self,
        cores: &Cores,
        room: &'s mut [f32],
        slot: usize,
        head: usize,
        block: usize,
    ) -> &'s [f32] {
        let (each, lanes) = (self.shape.head_keys(), self.shape.block_keys());
        let kept = &self.keys[(slot * self.shape.heads + head) * each + block * lanes..][..lanes];
        self.floats(cores, room, kept, BLOCK)
    }

    /// A head's values at some positions, rows of [`KvShape::width`]; through `room` where they are kept in 16 bits.
    pub(super) fn values<'s>(
        &'s self,
        cores: &Cores,
        room: &'s mut [f32],
        slot: usize,
        head: usize,
        positions: Range<usize>,
    ) -> &'s [f32] {
        let (each, width) = (self.shape.head_values(), self.shape.width());
        let row = width / self.shape.kind.per_lane();
        let head = &self.values[(slot * self.shape.heads + head) * each..][..each];
        self.floats(cores, room, &head[positions.start * row..positions.end * row], width)
    }

    fn floats<'s>(&'s self, cores: &Cores, room: &'s mut [f32], kept: &'s [f32], row: usize) -> &'s [f32] {
        match self.shape.kind {
            CacheType::F32 => kept,
            CacheType::Bf16 => {
                let room = &mut room[..2 * kept.len()];
                widen(cores, room, kept, row);
                room
            }
        }
    }
}

kernel!(
    /// Rows of `row` floats from rows of half as many lanes.
    fn widen(to: &mut [f32], from: &[f32], row: usize) = widen_body
);

#[inline(always)]
fn widen_body<V: Integers>(v: V, to: &mut [f32], from: &[f32], row: usize) {
    for (to, from) in to.chunks_exact_mut(row).zip(from.chunks_exact(row / 2)) {
        let (low, high) = to.split_at_mut(row / 2);
        // Half a row is whole vectors.
        let halves = low.chunks_exact_mut(V::LEN).zip(high.chunks_exact_mut(V::LEN));
        for ((low, high), from) in halves.zip(from.chunks_exact(V::LEN)) {
            let lanes = v.load(from);
            lanes.lower_bf16().store(low);
            lanes.upper_bf16().store(high);
        }
    }
}

kernel!(
    /// Columns `first..first + count` of rows of `row` floats, rounded, into rows of half as many lanes.
    fn narrow(to: &mut [f32], from: &[f32], row: usize, first: usize, count: usize) = narrow_body
);

#[inline(always)]
fn narrow_body<V: Lanes>(_: V, to: &mut [f32], from: &[f32], row: usize, first: usize, count: usize) {
    let half = row / 2;
    for (to, from) in to.chunks_exact_mut(half).zip(from.chunks_exact(row)) {
        if count == row {
            let (low, high) = from.split_at(half);
            // Half a row is whole vectors, and a loop as long as one becomes one.
            let halves = low.as_chunks::<16>().0.iter().zip(high.as_chunks::<16>().0);
            for (to, (low, high)) in to.as_chunks_mut::<16>().0.iter_mut().zip(halves) {
                for i in 0..16 {
                    let pair: [u32; 2] = [low[i], high[i]].map(|x| f32_to_bf16(x).into());
                    to[i] = f32::from_bits(pair[0] | pair[1] << 16);
                }
            }
        } else {
            for (column, from) in from.iter().enumerate().skip(first).take(count) {
                let (lane, shift) = (&mut to[column % half], 16 * (column / half));
                let other = lane.to_bits() & !(0xffff << shift);
                *lane = f32::from_bits(other | u32::from(f32_to_bf16(*from)) << shift);
            }
        }
    }
}

/// Fewer floats than this are written by the caller alone.
const ALONE: usize = 4 * 1024;

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
    let (size, stride, width) = (shape.size, shape.heads * shape.size, shape.width());
    let (lanes, row) = (shape.block_keys(), width / shape.kind.per_lane());
    let copy = |row: &mut [f32], from: usize| {
        let (value, padding) = row.split_at_mut(size);
        value.copy_from_slice(&v[from..][..size]);
        padding.fill(0.0);
    };
    let mut position = span.past;
    while position < span.keys() {
        let (block, first) = (position / BLOCK, position % BLOCK);
        let count = (BLOCK - first).min(span.keys() - position);
        let from = (span.rows.start + position - span.past) * stride + head * size;
        let keys = &mut keys[block * lanes..][..lanes];
        let rows = values[position * row..][..count * row].chunks_exact_mut(row);
        let rows = rows.enumerate().map(|(i, row)| (row, from + i * stride));
        match shape.kind {
            CacheType::F32 => {
                transpose(cores, keys, first, count, &k[from..], stride);
                rows.for_each(|(row, from)| copy(row, from));
            }
            CacheType::Bf16 => with_scratch([size * BLOCK, width], |[block, value]| {
                transpose(cores, block, first, count, &k[from..], stride);
                narrow(cores, keys, block, BLOCK, first, count);
                rows.for_each(|(row, from)| {
                    copy(value, from);
                    narrow(cores, row, value, width, 0, width);
                });
            }),
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
