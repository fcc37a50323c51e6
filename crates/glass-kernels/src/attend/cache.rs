//! The cache of keys and values: keys in columns, so that lanes run over positions; values in rows.
//!
//! In 16 bits, a lane holds two numbers that follow each other along the summed dimension: two elements of a key,
//! or the values of two positions. Attention multiplies such pairs as they are stored, by queries and patterns that
//! it rounds to 16 bits too, so prefill sees the same rounded numbers as decoding.

use std::ops::Range;

use super::{BLOCK, BlockTable, Heads, Span, padded};
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

/// The shape of a cache of keys and values: its memory is blocks of 64 positions, which a [`BlockTable`] gives to sequences.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KvShape {
    /// Key heads.
    pub heads: usize,
    /// Width of one head.
    pub size: usize,
    /// Blocks of 64 positions.
    pub blocks: usize,
    /// The type of the stored numbers.
    pub kind: CacheType,
}

impl KvShape {
    /// Lanes for the keys: `[blocks][heads][size][64]`, in 16 bits `[blocks][heads][groups of 16 positions][size / 2][16]`.
    pub fn keys_len(self) -> usize {
        self.blocks * self.heads * self.block_keys()
    }

    /// Lanes for the values: `[blocks][heads][64][width]`, in 16 bits half as many positions.
    pub fn values_len(self) -> usize {
        self.blocks * self.heads * self.block_values()
    }

    /// Lanes of a head's keys in a block.
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

    /// Lanes of a head's values in a block.
    fn block_values(self) -> usize {
        BLOCK / self.kind.per_lane() * self.width()
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
    /// Where the blocks of each sequence are.
    pub table: &'a BlockTable,
}

impl Kv<'_> {
    /// Asserts that there is memory for all blocks that the rows of a span see.
    pub(super) fn assert_seen(&self, heads: Heads, spans: &[Span]) {
        assert_eq!((self.shape.heads, self.shape.size), (heads.key, heads.size));
        for span in spans.iter().filter(|span| !span.rows.is_empty()) {
            let first = heads.visible(span.past).first_block();
            self.table.assert_together(&(first..span.keys().div_ceil(BLOCK)));
        }
    }

    /// Block `block` of a head's keys.
    pub(super) fn keys(&self, slot: usize, head: usize, block: usize) -> &[f32] {
        let lanes = self.shape.block_keys();
        &self.keys[(self.table.block(slot, block) * self.shape.heads + head) * lanes..][..lanes]
    }

    /// The first `count` of a head's values in block `block`.
    pub(super) fn values(&self, slot: usize, head: usize, block: usize, count: usize) -> &[f32] {
        let (lanes, per_lane) = (self.shape.block_values(), self.shape.kind.per_lane());
        let start = (self.table.block(slot, block) * self.shape.heads + head) * lanes;
        &self.values[start..start + lanes][..count.div_ceil(per_lane) * self.shape.width()]
    }

    /// Prefetches a block of a head, of which `seen` keys and values will be read soon.
    pub(super) fn fetch(&self, cores: &Cores, slot: usize, head: usize, block: usize, seen: usize) {
        let seen = seen.min(BLOCK);
        let (row, key, keys) = (self.shape.key_row(), self.shape.key(), self.keys(slot, head, block));
        fetch(cores, keys.as_ptr(), seen.div_ceil(row) * key, row, row.min(seen));
        let values = self.values(slot, head, block, seen);
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
    table: &BlockTable,
    k: &[f32],
    v: &[f32],
    spans: &[Span],
) {
    assert_eq!((keys.len(), values.len()), (shape.keys_len(), shape.values_len()));
    for (i, span) in spans.iter().enumerate() {
        assert!(spans[..i].iter().all(|other| other.slot != span.slot), "slot {} is in two spans", span.slot);
        let written = span.past / BLOCK..span.keys().div_ceil(BLOCK);
        table.assert_written(span.slot, written, shape.blocks);
    }
    let (keys, values) = (Parts::new(keys), Parts::new(values));
    let write = |span: &Span, head: usize| {
        if let Some((of, past)) = table.branched(span.slot) {
            assert_eq!(past, span.past, "a branch begins after what it goes on from");
            copy_head(&keys, &values, shape, table, [of, span.slot], past / BLOCK * BLOCK..past, head);
        }
        let mut position = span.past;
        while position < span.keys() {
            let end = span.keys().min((position / BLOCK + 1) * BLOCK);
            let place = table.block(span.slot, position / BLOCK) * shape.heads + head;
            let (keys_len, values_len) = (shape.block_keys(), shape.block_values());
            // SAFETY: no other task uses this head of this block: a block is written by one slot, and no two spans
            // share a slot.
            let keys = unsafe { keys.part(place * keys_len..(place + 1) * keys_len) };
            // SAFETY: as above.
            let values = unsafe { values.part(place * values_len..(place + 1) * values_len) };
            if span.rows.len() == 1 {
                // The next head's key is in another cache line for every lane of it.
                let (row, key, at) = (shape.key_row(), shape.key(), position % BLOCK);
                let next = keys_len + at / row * row * key + at % row;
                fetch(cores, keys.as_ptr().wrapping_add(next), key, row, 1);
                let next = values_len + at / shape.kind.per_lane() * shape.width();
                fetch(cores, values.as_ptr().wrapping_add(next), 1, 0, shape.width());
            }
            append_to_block(cores, keys, values, shape, k, v, span, head, position..end);
            position = end;
        }
    };
    // A branch copies what the slots before it have written, so a head's spans are written in order then.
    let in_order = spans.iter().any(|span| table.branched(span.slot).is_some());
    let (tasks, each) = if in_order { (1, spans.len()) } else { (spans.len(), 1) };
    let write = |task: usize| {
        let (first, head) = (task / shape.heads, task % shape.heads);
        spans[first..first + each].iter().for_each(|span| write(span, head));
    };
    let tasks = tasks * shape.heads;
    if k.len() < ALONE { (0..tasks).for_each(write) } else { cores.run(tasks, &write) }
}

/// Gives the slot that a branch goes on from what the branch has at these positions, as if it had been appended there. What
/// lies before them in the same block is copied too: it is the same.
pub fn keep_branch(
    keys: &mut [f32],
    values: &mut [f32],
    shape: KvShape,
    table: &BlockTable,
    branch: usize,
    slot: usize,
    positions: Range<usize>,
) {
    assert_eq!((keys.len(), values.len()), (shape.keys_len(), shape.values_len()));
    assert!(table.branched(branch).is_some(), "slot {branch} is no branch");
    let blocks = positions.start / BLOCK..positions.end.div_ceil(BLOCK);
    table.assert_written(slot, blocks.clone(), shape.blocks);
    let (keys, values) = (Parts::new(keys), Parts::new(values));
    for block in blocks {
        let positions = block * BLOCK..positions.end.min((block + 1) * BLOCK);
        for head in 0..shape.heads {
            copy_head(&keys, &values, shape, table, [branch, slot], positions.clone(), head);
        }
    }
}

/// Copies positions from the start of a block on to the same block of another slot, if that is another one.
fn copy_head(
    keys: &Parts<'_, f32>,
    values: &Parts<'_, f32>,
    shape: KvShape,
    table: &BlockTable,
    slots: [usize; 2],
    positions: Range<usize>,
    head: usize,
) {
    let count = positions.len();
    let [from, to] = slots.map(|slot| table.block(slot, positions.start / BLOCK));
    if count == 0 || from == to {
        return;
    }
    let [from, to] = [from, to].map(|block| block * shape.heads + head);
    let range = |place: usize, len: usize| place * len..(place + 1) * len;
    let len = shape.block_keys();
    // SAFETY: only this task uses this head of these two blocks, which are not the same.
    let (from_keys, to_keys) = unsafe { (keys.part(range(from, len)), keys.part(range(to, len))) };
    // Positions stand side by side, as many as a row of keys has.
    let row = shape.key_row();
    let copied = if row == BLOCK { count } else { row };
    let rows = shape.key() * count.div_ceil(row);
    for (to, from) in to_keys.chunks_exact_mut(row).zip(from_keys.chunks_exact(row)).take(rows) {
        to[..copied].copy_from_slice(&from[..copied]);
    }
    let len = shape.block_values();
    // SAFETY: as above.
    let (from_values, to_values) = unsafe { (values.part(range(from, len)), values.part(range(to, len))) };
    let copied = count.div_ceil(shape.kind.per_lane()) * shape.width();
    to_values[..copied].copy_from_slice(&from_values[..copied]);
}

/// Writes these positions, all of one block.
fn append_to_block(
    cores: &Cores,
    keys: &mut [f32],
    values: &mut [f32],
    shape: KvShape,
    k: &[f32],
    v: &[f32],
    span: &Span,
    head: usize,
    positions: Range<usize>,
) {
    let (size, stride) = (shape.size, shape.heads * shape.size);
    let start = positions.start / BLOCK * BLOCK;
    let row = |at: usize| (span.rows.start + start + at - span.past) * stride + head * size;
    let (first, end) = (positions.start - start, positions.end - start);
    let (abreast, precision) = (shape.key_row(), shape.kind.precision());
    let lanes = shape.key() * abreast;
    let mut at = first;
    while at < end {
        let (group, first) = (at / abreast, at % abreast);
        let count = (abreast - first).min(end - at);
        let (keys, k) = (&mut keys[group * lanes..][..lanes], &k[row(at)..]);
        match shape.kind {
            CacheType::F32 => transpose(cores, keys, abreast, first, count, k, stride),
            CacheType::Bf16 => with_scratch([count * shape.key()], |[pairs]| {
                shorten(cores, precision, pairs, k, size, stride);
                transpose(cores, keys, abreast, first, count, pairs, shape.key());
            }),
        }
        at += count;
    }
    let per_lane = shape.kind.per_lane();
    let mut at = first;
    while at < end {
        let to = &mut values[at / per_lane * shape.width()..][..shape.width()];
        let (place, last) = (at % per_lane, end.min((at / per_lane + 1) * per_lane));
        let [first, second] = [at, at + 1].map(|i| if i < last { &v[row(i)..][..size] } else { &[] });
        stack(cores, precision, to, place, first, second);
        at = last;
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
