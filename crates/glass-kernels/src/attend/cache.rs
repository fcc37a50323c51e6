//! The cache of keys and values: keys in columns, so that lanes run over positions; values in rows.
//!
//! In 16 bits, a lane holds two numbers that follow each other along the summed dimension: two elements of a key,
//! or the values of two positions. Attention multiplies such pairs as they are stored, by queries and patterns that
//! it rounds to 16 bits too, so prefill sees the same rounded numbers as decoding.

use std::ops::Range;

use super::{BLOCK, Span, padded};
use crate::lanes::integers::Integers;
use crate::lanes::{Lanes, kernel};
use crate::operands::{Operands, kernel_of_operands};
use crate::pool::Parts;
use crate::scratch::with_scratch;
use crate::small_product::shorten;
use crate::{Cores, Precision};

/// The type of stored keys and values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CacheType {
    /// Unchanged f32.
    #[default]
    F32,
    /// Rounded to bf16: half the memory, and half of what a decoding step reads of it.
    Bf16,
}

impl CacheType {
    /// Its name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            CacheType::F32 => "f32",
            CacheType::Bf16 => "bf16",
        }
    }

    /// The precision of products with the stored numbers.
    pub(super) fn precision(self) -> Precision {
        match self {
            CacheType::F32 => Precision::F32,
            CacheType::Bf16 => Precision::Mixed,
        }
    }

    /// The number of values in a lane of 32 bits.
    pub(super) fn per_lane(self) -> usize {
        self.precision().per_lane()
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
    /// The type of the stored numbers.
    pub kind: CacheType,
}

impl KvShape {
    /// Lanes for the keys: `[slots][heads][blocks of 64 positions][size][64]`, in 16 bits
    /// `[slots][heads][groups of 16 positions][size / 2][16]`.
    pub fn keys_len(self) -> usize {
        self.slots * self.heads * self.head_keys()
    }

    /// Lanes for the values: `[slots][heads][positions][width]`, in 16 bits half as many positions.
    pub fn values_len(self) -> usize {
        self.slots * self.heads * self.head_values()
    }

    /// Lanes of a head's keys.
    fn head_keys(self) -> usize {
        self.positions.div_ceil(BLOCK) * self.block_keys()
    }

    /// Lanes of a block's keys.
    fn block_keys(self) -> usize {
        self.key() * BLOCK
    }

    /// Lanes of a key.
    pub(super) fn key(self) -> usize {
        self.size.div_ceil(self.kind.per_lane())
    }

    /// Lanes from 16 positions of a block's keys to the next.
    pub(super) fn key_step(self) -> usize {
        if self.key_row() == BLOCK { 16 } else { self.key() * 16 }
    }

    /// How many positions have their keys side by side, and so the lanes from row to row: those of a block, or of a
    /// cache line, so that a short block is only read as far as it is filled.
    pub(super) fn key_row(self) -> usize {
        match self.kind {
            CacheType::F32 => BLOCK,
            CacheType::Bf16 => 16,
        }
    }

    /// Lanes of a head's values.
    fn head_values(self) -> usize {
        self.positions.div_ceil(self.kind.per_lane()) * self.width()
    }

    /// Lanes of a row of values: whole vectors.
    pub(super) fn width(self) -> usize {
        padded(self.size)
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
    /// Block `block` of a head's keys.
    pub(super) fn keys(&self, slot: usize, head: usize, block: usize) -> &[f32] {
        let (each, lanes) = (self.shape.head_keys(), self.shape.block_keys());
        &self.keys[(slot * self.shape.heads + head) * each + block * lanes..][..lanes]
    }

    /// A head's values from the start of a block on, at some positions.
    pub(super) fn values(&self, slot: usize, head: usize, positions: Range<usize>) -> &[f32] {
        let (each, width, per_lane) =
            (self.shape.head_values(), self.shape.width(), self.shape.kind.per_lane());
        let head = &self.values[(slot * self.shape.heads + head) * each..][..each];
        &head[positions.start / per_lane * width..positions.end.div_ceil(per_lane) * width]
    }

    /// Prefetches a block of a head, of which `seen` keys and values will be read soon.
    pub(super) fn fetch(&self, cores: &Cores, slot: usize, head: usize, block: usize, seen: usize) {
        let (start, seen) = (block * BLOCK, seen.min(BLOCK));
        let (row, key, keys) = (self.shape.key_row(), self.shape.key(), self.keys(slot, head, block));
        fetch(cores, keys.as_ptr(), seen.div_ceil(row) * key, row, row.min(seen));
        let values = self.values(slot, head, start..start + seen);
        fetch(cores, values.as_ptr(), 1, 0, values.len());
    }
}

kernel!(
    /// Prefetches the first `part` lanes of some rows, `row` lanes apart; any address is allowed.
    fn fetch(from: *const f32, rows: usize, row: usize, part: usize) = fetch_body
);

#[inline(always)]
fn fetch_body<V: Lanes>(v: V, from: *const f32, rows: usize, row: usize, part: usize) {
    for i in 0..rows {
        (0..part).step_by(16).for_each(|lane| v.prefetch(from.wrapping_add(i * row + lane)));
    }
}

/// Fewer floats than this are written by the caller alone.
const ALONE: usize = 4 * 1024;

/// Appends rows of k and v (`[rows, key heads × size]`) to what each span's slot holds.
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
        // SAFETY: no other task uses this head of this slot, since no two spans share a slot.
        let keys = unsafe { keys.part(at * keys_len..(at + 1) * keys_len) };
        // SAFETY: as above.
        let values = unsafe { values.part(at * values_len..(at + 1) * values_len) };
        if span.rows.len() == 1 {
            // The next key is in another cache line for every lane of it.
            let (row, key) = (shape.key_row(), shape.key());
            let place = span.past / row * row * key + span.past % row;
            fetch(cores, keys.as_ptr().wrapping_add(keys_len + place), key, row, 1);
            let value = span.past / shape.kind.per_lane() * shape.width();
            fetch(cores, values.as_ptr().wrapping_add(values_len + value), 1, 0, shape.width());
        }
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
    let (size, stride) = (shape.size, shape.heads * shape.size);
    let row = |position: usize| (span.rows.start + position - span.past) * stride + head * size;
    let (abreast, precision) = (shape.key_row(), shape.kind.precision());
    let lanes = shape.key() * abreast;
    let mut position = span.past;
    while position < span.keys() {
        let (group, first) = (position / abreast, position % abreast);
        let count = (abreast - first).min(span.keys() - position);
        let (keys, k) = (&mut keys[group * lanes..][..lanes], &k[row(position)..]);
        match shape.kind {
            CacheType::F32 => transpose(cores, keys, abreast, first, count, k, stride),
            CacheType::Bf16 => with_scratch([count * shape.key()], |[pairs]| {
                shorten(cores, precision, pairs, k, size, stride);
                transpose(cores, keys, abreast, first, count, pairs, shape.key());
            }),
        }
        position += count;
    }
    let per_lane = shape.kind.per_lane();
    let mut position = span.past;
    while position < span.keys() {
        let to = &mut values[position / per_lane * shape.width()..][..shape.width()];
        let (place, end) = (position % per_lane, span.keys().min((position / per_lane + 1) * per_lane));
        let [first, second] =
            [position, position + 1].map(|i| if i < end { &v[row(i)..][..size] } else { &[] });
        stack(cores, precision, to, place, first, second);
        position = end;
    }
}

kernel_of_operands!(
    /// Stores the values of one or two positions in a row of lanes: from its first position on, or in the second
    /// place.
    fn stack(to: &mut [f32], place: usize, first: &[f32], second: &[f32]) = stack_body
);

#[inline(always)]
fn stack_body<V: Integers, F: Operands<V>>(
    v: V,
    to: &mut [f32],
    place: usize,
    first: &[f32],
    second: &[f32],
) {
    for (i, to) in to.chunks_exact_mut(V::LEN).enumerate() {
        let part = |x: &[f32]| v.load_part(&x[x.len().min(i * V::LEN)..]);
        let lanes = match place {
            0 => F::stacked(part(first), part(second)),
            _ => F::stacked(v.load(to).lower_bf16(), part(first)),
        };
        lanes.store(to);
    }
}

kernel!(
    /// `to[e][first + i] = from[i × stride + e]` for `count` rows: rows become columns, of which `to` has `row`.
    pub(super) fn transpose(
        to: &mut [f32],
        row: usize,
        first: usize,
        count: usize,
        from: &[f32],
        stride: usize,
    ) = transpose_body
);

#[inline(always)]
fn transpose_body<V: Lanes>(
    v: V,
    to: &mut [f32],
    row: usize,
    first: usize,
    count: usize,
    from: &[f32],
    stride: usize,
) {
    let size = to.len() / row;
    assert!(count == 0 || first + count <= row && from.len() >= (count - 1) * stride + size);
    let (rows, columns) = (count / V::LEN * V::LEN, size / V::LEN * V::LEN);
    for i in (0..rows).step_by(V::LEN) {
        for e in (0..columns).step_by(V::LEN) {
            // SAFETY: a square of `LEN` rows and columns, within the asserted bounds on both sides.
            unsafe {
                let (from, to) =
                    (from.as_ptr().add(i * stride + e), to.as_mut_ptr().add(e * row + first + i));
                v.transpose_at(from, stride, to, row);
            }
        }
    }
    for (e, line) in to.chunks_exact_mut(row).enumerate() {
        let done = if e < columns { rows } else { 0 };
        for (i, to) in line[first..first + count].iter_mut().enumerate().skip(done) {
            *to = from[i * stride + e];
        }
    }
}
