//! A tile of the fused forward pass: some lines of one key head, and the arithmetic of a block of keys within it.

use std::ops::Range;

use super::{BLOCK, CacheType, Heads, Kv, Span};
use crate::blocks::MOST_LINES;
use crate::dropout::drop_row;
use crate::exp::exp;
use crate::lanes::{Lanes, kernel};
use crate::tanh::tanh;

/// Lines of one key head from `first` on: line `l` of all is row `l / group`, query head `l % group` of the group.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a> {
    pub heads: Heads,
    /// Query heads that share the key head.
    pub group: usize,
    pub span: &'a Span,
    /// The key head.
    pub head: usize,
    pub first: usize,
    pub count: usize,
}

impl Lines<'_> {
    /// The position of a line, counted from the first.
    pub fn position(&self, line: usize) -> usize {
        self.span.past + (self.first + line) / self.group
    }

    /// Its query head.
    pub fn query(&self, line: usize) -> usize {
        self.head * self.group + (self.first + line) % self.group
    }

    /// Its elements in a matrix of queries.
    pub fn place(&self, line: usize) -> Range<usize> {
        self.heads.query_at(self.span.rows.start + (self.first + line) / self.group, self.query(line))
    }

    /// The number of lines before this position.
    fn before(&self, position: usize) -> usize {
        let lines = position.saturating_sub(self.span.past).saturating_mul(self.group);
        lines.saturating_sub(self.first).min(self.count)
    }

    /// The blocks that some line sees.
    pub fn blocks(&self) -> Range<usize> {
        self.heads.visible(self.position(0)).first_block()..self.position(self.count - 1) / BLOCK + 1
    }

    /// The lines that see keys of a block: those that saw an earlier block, and those for which it is the first.
    pub fn seeing(&self, block: usize) -> [Range<usize>; 2] {
        let start = block * BLOCK;
        let first = self.before(start);
        let later = if start == 0 { first } else { self.before(self.heads.seen_until(start - 1)) };
        [first..later, later..self.before(self.heads.seen_until(start + BLOCK - 1))]
    }
}

/// A tile of lines during the pass over the blocks of keys. `z_sum` has the head outputs (z) before division by their sums,
/// `block_z` those of one block; rows are `width` apart.
pub(super) struct Tile<'a> {
    pub scores: &'a mut [f32],
    /// The block's pattern in lanes of two values, if the cache stores pairs.
    pub short: &'a mut [f32],
    pub z_sum: &'a mut [f32],
    pub block_z: &'a mut [f32],
    pub width: usize,
    pub max: [f32; MOST_LINES],
    pub sum: [f32; MOST_LINES],
    pub block_max: [f32; MOST_LINES],
    pub block_sum: [f32; MOST_LINES],
    /// The first key of the block that each line sees, and the end of those it sees.
    pub first: [usize; MOST_LINES],
    pub seen: [usize; MOST_LINES],
}

impl<'a> Tile<'a> {
    /// The floats needed for this many lines: their queries, queries in lanes of pairs, scores, scores in lanes of
    /// pairs, the weighted values, and the weighted values of a block.
    pub fn lens(heads: Heads, kv: Kv<'_>, lines: usize) -> [usize; 6] {
        let (key, short, width) = match kv.shape.kind {
            CacheType::F32 => (0, 0, kv.shape.width()),
            CacheType::Bf16 => (kv.shape.key(), BLOCK / kv.shape.kind.per_lane(), kv.shape.width()),
        };
        [heads.size, key, BLOCK, short, width, width].map(|len| lines * len)
    }

    pub fn new(
        scores: &'a mut [f32],
        short: &'a mut [f32],
        z_sum: &'a mut [f32],
        block_z: &'a mut [f32],
        width: usize,
    ) -> Self {
        let (max, zeros, none) = ([f32::NEG_INFINITY; MOST_LINES], [0.0; MOST_LINES], [0; MOST_LINES]);
        let (sum, block_max, block_sum, first, seen) = (zeros, zeros, zeros, none, none);
        Self { scores, short, z_sum, block_z, width, max, sum, block_max, block_sum, first, seen }
    }

    /// Writes down which keys of the block from position `start` on these lines see.
    pub fn see(&mut self, lines: &Lines<'_>, of: Range<usize>, start: usize) {
        for line in of {
            let seen = lines.heads.visible(lines.position(line)).within(start, BLOCK);
            (self.first[line], self.seen[line]) = (seen.start, seen.end);
        }
    }

    /// Whether the mask cuts through these lines, so that some see more of the block than others.
    pub fn is_cut(&self, lines: &Range<usize>) -> bool {
        let Some(last) = lines.clone().last() else { return false };
        self.seen[lines.start] < self.seen[last] || self.first[lines.start] < self.first[last]
    }

    /// The columns of the block that these lines see, in whole vectors.
    pub fn columns(&self, lines: &Range<usize>) -> Range<usize> {
        self.first[lines.start] / 16 * 16..self.seen[lines.end - 1].next_multiple_of(16)
    }
}

pub(super) fn scaled(to: &mut [f32], from: &[f32], by: f32) {
    to.iter_mut().zip(from).for_each(|(to, x)| *to = x * by);
}

kernel!(
    /// `cap × tanh(score / cap)` in place, in these columns of every line.
    pub(super) fn capped(scores: &mut [f32], columns: Range<usize>, cap: f32) = capped_body
);

#[inline(always)]
fn capped_body<V: Lanes>(v: V, scores: &mut [f32], columns: Range<usize>, cap: f32) {
    for scores in scores.chunks_exact_mut(BLOCK) {
        for part in scores[columns.clone()].chunks_exact_mut(V::LEN) {
            cap_of(v, v.load(part), cap).store(part);
        }
    }
}

/// `cap × tanh(x / cap)`.
#[inline(always)]
pub(super) fn cap_of<V: Lanes>(v: V, x: V, cap: f32) -> V {
    tanh(v, x / v.splat(cap)) * v.splat(cap)
}

/// The same, and its slope.
#[inline(always)]
pub(super) fn cap_slope<V: Lanes>(v: V, x: V, cap: f32) -> (V, V) {
    let t = tanh(v, x / v.splat(cap));
    (t * v.splat(cap), v.splat(1.0) - t * t)
}

kernel!(
    pub(super) fn powers(
        scores: &mut [f32],
        first: &[usize],
        seen: &[usize],
        columns: Range<usize>,
        max: &mut [f32],
        sum: &mut [f32],
    ) = powers_body
);

/// For each line over these columns: the maximum m of the visible keys, `e^(score − m)` in place (0 where masked),
/// and their sum.
#[inline(always)]
fn powers_body<V: Lanes>(
    v: V,
    scores: &mut [f32],
    first: &[usize],
    seen: &[usize],
    columns: Range<usize>,
    max: &mut [f32],
    sum: &mut [f32],
) {
    // Three loops over all lines each, so that no line waits for the previous one.
    for (scores, (&first, &seen)) in scores.chunks_exact_mut(BLOCK).zip(first.iter().zip(seen)) {
        if seen < columns.end {
            scores[seen..columns.end].fill(f32::NEG_INFINITY);
        }
        if columns.start < first {
            scores[columns.start..first].fill(f32::NEG_INFINITY);
        }
    }
    for (scores, max) in scores.chunks_exact(BLOCK).zip(&mut *max) {
        let mut most = v.splat(f32::NEG_INFINITY);
        for part in scores[columns.clone()].chunks_exact(V::LEN) {
            most = most.max(v.load(part));
        }
        *max = most.largest();
    }
    for ((scores, max), sum) in scores.chunks_exact_mut(BLOCK).zip(max).zip(sum) {
        let (most, mut total) = (v.splat(*max), v.splat(0.0));
        for part in scores[columns.clone()].chunks_exact_mut(V::LEN) {
            let e = exp(v, v.load(part) - most);
            e.store(part);
            total = total + e;
        }
        *sum = total.sum();
    }
}

kernel!(pub(super) fn drop_in(p: &mut [f32], row: [u32; 2], first: u32, threshold: u32) = drop_body);

/// Dropout in one line of a block; the remaining numbers are scaled at the end.
#[inline(always)]
fn drop_body<V: Lanes>(_: V, p: &mut [f32], row: [u32; 2], first: u32, threshold: u32) {
    drop_row(p, row, first, threshold, 1.0);
}

kernel!(pub(super) fn join(tile: &mut Tile<'_>, lines: Range<usize>) = join_body);

/// Joins the maxima, sums and weighted values of a block to those of the blocks before it.
#[inline(always)]
fn join_body<V: Lanes>(v: V, tile: &mut Tile<'_>, lines: Range<usize>) {
    let (mut before, mut here) = ([0.0; MOST_LINES], [0.0; MOST_LINES]);
    for at in (lines.start..lines.end).step_by(V::LEN) {
        let to = at..lines.end.min(at + V::LEN);
        let (old, new) = (v.load_part(&tile.max[to.clone()]), v.load_part(&tile.block_max[to.clone()]));
        let max = old.max(new);
        let (a, b) = (exp(v, old - max), exp(v, new - max));
        let sum = v.load_part(&tile.sum[to.clone()]) * a;
        let sum = v.load_part(&tile.block_sum[to.clone()]).mul_add(b, sum);
        max.store_part(&mut tile.max[to.clone()]);
        sum.store_part(&mut tile.sum[to.clone()]);
        a.store_part(&mut before[to.clone()]);
        b.store_part(&mut here[to]);
    }
    for line in lines {
        let row = line * tile.width..(line + 1) * tile.width;
        let (a, b) = (v.splat(before[line]), v.splat(here[line]));
        let blocks = tile.block_z[row.clone()].chunks_exact(V::LEN);
        for (z_sum, block) in tile.z_sum[row].chunks_exact_mut(V::LEN).zip(blocks) {
            v.load(block).mul_add(b, v.load(z_sum) * a).store(z_sum);
        }
    }
}
