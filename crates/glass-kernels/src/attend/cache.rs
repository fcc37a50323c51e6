//! The cache of keys and values: keys in blocks of columns, so that lanes run over keys; values in rows.
//!
//! In 16 bits a row's first half stands in the lower halves of its lanes, the other in the upper; a row of keys is half a
//! block, which fills a cache line. Whoever reads a block makes floats of it first, where they stay near, and goes on as if
//! it had been floats: rounding happens once, on the way in, and prefill sees the rounded numbers as decoding does.

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
    /// Lanes for the keys: `[slots][heads][blocks of 64 positions][size][64]`, in 16 bits `[…][2][size][32]`.
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

    /// Positions whose keys stand side by side.
    fn abreast(self) -> usize {
        BLOCK / self.kind.per_lane()
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
    /// Block `block` of a head's keys, `[size][64]`, of which `seen` are wanted; through `room` where they are kept in 16
    /// bits.
    pub(super) fn keys<'s>(
        &'s self,
        cores: &Cores,
        room: &'s mut [f32],
        slot: usize,
        head: usize,
        block: usize,
        seen: usize,
    ) -> &'s [f32] {
        let kept = self.block(slot, head, block);
        match self.shape.kind {
            CacheType::F32 => kept,
            CacheType::Bf16 => {
                let abreast = self.shape.abreast();
                let halves = kept.chunks_exact(kept.len() / 2).take(seen.div_ceil(abreast));
                for (half, kept) in halves.enumerate() {
                    widen(cores, &mut room[half * abreast..], BLOCK, kept, abreast);
                }
                &room[..self.shape.size * BLOCK]
            }
        }
    }

    fn block(&self, slot: usize, head: usize, block: usize) -> &[f32] {
        let (each, lanes) = (self.shape.head_keys(), self.shape.block_keys());
        &self.keys[(slot * self.shape.heads + head) * each + block * lanes..][..lanes]
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
        let (kept, width) = (self.rows(slot, head, positions), self.shape.width());
        match self.shape.kind {
            CacheType::F32 => kept,
            CacheType::Bf16 => {
                widen(cores, room, width, kept, width);
                &room[..2 * kept.len()]
            }
        }
    }

    fn rows(&self, slot: usize, head: usize, positions: Range<usize>) -> &[f32] {
        let each = self.shape.head_values();
        let row = self.shape.width() / self.shape.kind.per_lane();
        let head = &self.values[(slot * self.shape.heads + head) * each..][..each];
        &head[positions.start * row..positions.end * row]
    }

    /// Asks for a block of a head, of which `seen` keys and values are read soon.
    pub(super) fn fetch(&self, cores: &Cores, slot: usize, head: usize, block: usize, seen: usize) {
        let (start, seen) = (block * BLOCK, seen.min(BLOCK));
        let row = self.shape.abreast() / self.shape.kind.per_lane();
        let rows = seen.div_ceil(self.shape.abreast()) * self.shape.size;
        fetch(cores, self.block(slot, head, block).as_ptr(), rows, row, row.min(seen));
        let values = self.rows(slot, head, start..start + seen);
        fetch(cores, values.as_ptr(), 1, 0, values.len());
    }
}

kernel!(
    /// Asks for the first `part` lanes of some rows, `row` lanes apart; any address will do.
    fn fetch(from: *const f32, rows: usize, row: usize, part: usize) = fetch_body
);

#[inline(always)]
fn fetch_body<V: Lanes>(v: V, from: *const f32, rows: usize, row: usize, part: usize) {
    for i in 0..rows {
        (0..part).step_by(16).for_each(|lane| v.prefetch(from.wrapping_add(i * row + lane)));
    }
}

kernel!(
    /// Rows of `row` floats, `to_row` apart, from rows of half as many lanes.
    fn widen(to: &mut [f32], to_row: usize, from: &[f32], row: usize) = widen_body
);

#[inline(always)]
fn widen_body<V: Integers>(v: V, to: &mut [f32], to_row: usize, from: &[f32], row: usize) {
    for (to, from) in to.chunks_mut(to_row).zip(from.chunks_exact(row / 2)) {
        let (low, high) = to[..row].split_at_mut(row / 2);
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
        if span.rows.len() == 1 {
            // Its neighbour's key goes into as many cache lines as a head is wide.
            let (row, lane) = (shape.abreast() / shape.kind.per_lane(), span.past % BLOCK);
            let block = span.past / shape.abreast() * row * shape.size;
            fetch(cores, keys.as_ptr().wrapping_add(keys_len + block + lane % row), shape.size, row, 1);
        }
        append_head(cores, keys, values, shape, k, v, span, head);
    };
    if k.len() < ALONE { (0..tasks).for_each(write) } else { cores.run_neighbours(tasks, &write) }
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
    let (abreast, row) = (shape.abreast(), width / shape.kind.per_lane());
    let lanes = size * abreast / shape.kind.per_lane();
    let copy = |row: &mut [f32], from: usize| {
        let (value, padding) = row.split_at_mut(size);
        value.copy_from_slice(&v[from..][..size]);
        padding.fill(0.0);
    };
    let mut position = span.past;
    while position < span.keys() {
        let (block, first) = (position / abreast, position % abreast);
        let count = (abreast - first).min(span.keys() - position);
        let from = (span.rows.start + position - span.past) * stride + head * size;
        let keys = &mut keys[block * lanes..][..lanes];
        let rows = values[position * row..][..count * row].chunks_exact_mut(row);
        let rows = rows.enumerate().map(|(i, row)| (row, from + i * stride));
        match shape.kind {
            CacheType::F32 => {
                transpose(cores, keys, abreast, first, count, &k[from..], stride);
                rows.for_each(|(row, from)| copy(row, from));
            }
            CacheType::Bf16 => with_scratch([size * abreast, width], |[columns, value]| {
                transpose(cores, columns, abreast, first, count, &k[from..], stride);
                narrow(cores, keys, columns, abreast, first, count);
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
            // SAFETY: a square of `LEN` rows and columns, inside what is asserted on both sides.
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
