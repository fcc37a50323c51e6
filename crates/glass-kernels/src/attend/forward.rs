//! The fused forward pass: tiles of queries against blocks of keys.

use super::{BLOCK, CacheType, Heads, Kv, Span, assert_in_order, locate, most_lines, strips};
use crate::blocks::MOST_LINES;
use crate::dropout::{Dropout, drop_row};
use crate::exp::exp;
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;
use crate::scratch::with_scratch;
use crate::small_product::{SmallProduct, multiply, shorten};
use crate::{Cores, Precision, Write};

/// `z = softmax(mask(q kᵀ / √size)) v` for every query head; q and z: `[rows, query heads × size]`. `sums`, if
/// given (`[rows, query heads]`), receives each row's log-sum-exp for the backward pass. Dropout applies to the
/// pattern after the softmax. Keys and values of the spans' own rows must already be in the cache and should be
/// finite.
pub fn attend(
    cores: &Cores,
    z: &mut [f32],
    sums: Option<&mut [f32]>,
    q: &[f32],
    kv: Kv<'_>,
    heads: Heads,
    spans: &[Span],
    dropout: Option<Dropout>,
) {
    assert_eq!(z.len(), q.len());
    assert_in_order(spans);
    assert_eq!((kv.shape.heads, kv.shape.size), (heads.key, heads.size));
    assert!(sums.as_deref().is_none_or(|sums| sums.len() * heads.size == q.len()));
    let (z, sums) = (Parts::new(z), sums.map(Parts::new));
    let dropout = dropout.filter(|dropout| dropout.rate > 0.0);
    let most = most_lines(cores, Tile::lens(heads, kv, 1).iter().sum(), heads, spans);
    let call = Call { cores, z: &z, sums: sums.as_ref(), q, kv, heads, dropout, most };
    let tiles = |span: &Span| (span.rows.len() * heads.group()).div_ceil(call.most);
    let tasks = spans.iter().map(tiles).sum::<usize>() * heads.key;
    // Decoding is limited by memory, so a thread prefetches its next head.
    let decoding = spans.iter().all(|span| span.rows.len() == 1);
    cores.run(tasks, &|task| {
        let (span, task) = locate(spans, task, |span| tiles(span) * heads.key);
        let head = task / tiles(span);
        if decoding && head + 1 < heads.key {
            kv.fetch(cores, span.slot, head + 1, 0, span.keys());
        }
        // The last tile of a head first: it sees the most keys.
        let tile = tiles(span) - 1 - task % tiles(span);
        call.tile(span, head, tile * most);
    });
}

/// The arguments of one call of [`attend`].
struct Call<'a> {
    cores: &'a Cores,
    z: &'a Parts<'a, f32>,
    sums: Option<&'a Parts<'a, f32>>,
    q: &'a [f32],
    kv: Kv<'a>,
    heads: Heads,
    dropout: Option<Dropout>,
    /// Lines per task: a line is one query head in one row.
    most: usize,
}

/// A tile of lines during the pass over the blocks of keys. `z_sum` has the head outputs (z) before division by their sums,
/// `block_z` those of one block; rows are `width` apart.
struct Tile<'a> {
    scores: &'a mut [f32],
    /// The block's pattern in lanes of two values, if the cache stores pairs.
    short: &'a mut [f32],
    z_sum: &'a mut [f32],
    block_z: &'a mut [f32],
    width: usize,
    max: [f32; MOST_LINES],
    sum: [f32; MOST_LINES],
    block_max: [f32; MOST_LINES],
    block_sum: [f32; MOST_LINES],
    /// How many keys of the block each line sees.
    seen: [usize; MOST_LINES],
}

impl Call<'_> {
    fn precision(&self) -> Precision {
        self.kv.shape.kind.precision()
    }

    /// The lines from `first` on of one key head: line `l` is row `l / group`, query head `l % group` of the group.
    fn tile(&self, span: &Span, head: usize, first: usize) {
        let (size, group, width) = (self.heads.size, self.heads.group(), self.kv.shape.width());
        let key = self.kv.shape.key();
        let lines = self.most.min(span.rows.len() * group - first);
        let position = |line: usize| span.past + (first + line) / group;
        let place = |line: usize| {
            self.heads
                .query_at(span.rows.start + (first + line) / group, head * group + (first + line) % group)
        };
        with_scratch(
            Tile::lens(self.heads, self.kv, lines),
            |[q, q_short, scores, short, z_sum, block_z]| {
                for (line, q) in q.chunks_exact_mut(size).take(lines).enumerate() {
                    scaled(q, &self.q[place(line)], self.heads.scale());
                }
                let q = match self.kv.shape.kind {
                    CacheType::F32 => q,
                    CacheType::Bf16 => {
                        shorten(self.cores, self.precision(), q_short, &q[..lines * size], size, size);
                        q_short
                    }
                };
                let mut tile = Tile::new(scores, short, z_sum, block_z, width);
                for block in 0..=position(lines - 1) / BLOCK {
                    let start = block * BLOCK;
                    if lines == group && position(0) >= start + BLOCK {
                        let seen = position(0) + 1 - start - BLOCK;
                        self.kv.fetch(self.cores, span.slot, head, block + 1, seen);
                    }
                    let from = (start.saturating_sub(span.past) * group).saturating_sub(first);
                    for line in from..lines {
                        tile.seen[line] = (position(line) + 1 - start).min(BLOCK);
                    }
                    for lines in strips(from..lines, tile.seen[from] < tile.seen[lines - 1]) {
                        self.block(&mut tile, &q[lines.start * key..], lines.clone(), span.slot, head, block);
                        if let Some(dropout) = self.dropout {
                            for line in lines.clone() {
                                let head = head * group + (first + line) % group;
                                let row = dropout.row(span.slot, head, position(line));
                                let p = &mut tile.scores[line * BLOCK..][..tile.seen[line]];
                                drop_in(self.cores, p, row, start as u32, dropout.threshold());
                            }
                        }
                        self.mix(&mut tile, lines, span.slot, head, start);
                    }
                }
                let survivors = self.dropout.map_or(1.0, |dropout| dropout.survivors());
                for line in 0..lines {
                    let range = place(line);
                    if let Some(sums) = self.sums {
                        let at = range.start / size;
                        // SAFETY: no other task uses this line.
                        let sum = unsafe { sums.part(at..at + 1) };
                        sum[0] = tile.max[line] + tile.sum[line].ln();
                    }
                    // SAFETY: no other task uses this line.
                    let z = unsafe { self.z.part(range) };
                    scaled(z, &tile.z_sum[line * width..][..size], survivors / tile.sum[line]);
                }
            },
        );
    }

    /// The scores of one block of keys, and their softmax within the block, not yet divided.
    fn block(
        &self,
        tile: &mut Tile<'_>,
        q: &[f32],
        lines: std::ops::Range<usize>,
        slot: usize,
        head: usize,
        block: usize,
    ) {
        let seen = tile.seen[lines.end - 1];
        let cols = seen.next_multiple_of(16);
        let scores = &mut tile.scores[lines.start * BLOCK..lines.end * BLOCK];
        let shape = self.kv.shape;
        let product = SmallProduct {
            rows: lines.len(),
            cols,
            depth: shape.key(),
            left: q,
            left_row: shape.key(),
            left_step: 1,
            right: self.kv.keys(slot, head, block),
            right_row: shape.key_row(),
            right_step: shape.key_step(),
        };
        multiply(self.cores, self.precision(), scores, BLOCK, Write::Set, product);
        let (max, sum) = (&mut tile.block_max[lines.clone()], &mut tile.block_sum[lines.clone()]);
        powers(self.cores, scores, &tile.seen[lines], cols, max, sum);
    }

    /// Sums the weighted values of one block from zero, and joins them to the result of earlier blocks; the first
    /// block is the result itself.
    fn mix(
        &self,
        tile: &mut Tile<'_>,
        lines: std::ops::Range<usize>,
        slot: usize,
        head: usize,
        start: usize,
    ) {
        let (seen, width, precision) = (tile.seen[lines.end - 1], tile.width, self.precision());
        let pattern = &tile.scores[lines.start * BLOCK..lines.end * BLOCK];
        let (left, per_lane) = match self.kv.shape.kind {
            CacheType::F32 => (pattern, 1),
            CacheType::Bf16 => {
                shorten(self.cores, precision, tile.short, pattern, BLOCK, BLOCK);
                (&*tile.short, precision.per_lane())
            }
        };
        let product = SmallProduct {
            rows: lines.len(),
            cols: width,
            depth: seen.div_ceil(per_lane),
            left,
            left_row: BLOCK / per_lane,
            left_step: 1,
            right: self.kv.values(slot, head, start / BLOCK, seen),
            right_row: width,
            right_step: 16,
        };
        let at = lines.start * width;
        if start == 0 {
            multiply(self.cores, precision, &mut tile.z_sum[at..], width, Write::Set, product);
            tile.max[lines.clone()].copy_from_slice(&tile.block_max[lines.clone()]);
            tile.sum[lines.clone()].copy_from_slice(&tile.block_sum[lines]);
        } else {
            multiply(self.cores, precision, &mut tile.block_z[at..], width, Write::Set, product);
            join(self.cores, tile, lines);
        }
    }
}

impl<'a> Tile<'a> {
    /// The floats needed for this many lines: their queries, queries in lanes of pairs, scores, scores in lanes of
    /// pairs, the weighted values, and the weighted values of a block.
    fn lens(heads: Heads, kv: Kv<'_>, lines: usize) -> [usize; 6] {
        let (key, short, width) = match kv.shape.kind {
            CacheType::F32 => (0, 0, kv.shape.width()),
            CacheType::Bf16 => (kv.shape.key(), BLOCK / kv.shape.kind.per_lane(), kv.shape.width()),
        };
        [heads.size, key, BLOCK, short, width, width].map(|len| lines * len)
    }

    fn new(
        scores: &'a mut [f32],
        short: &'a mut [f32],
        z_sum: &'a mut [f32],
        block_z: &'a mut [f32],
        width: usize,
    ) -> Self {
        let (max, zeros) = ([f32::NEG_INFINITY; MOST_LINES], [0.0; MOST_LINES]);
        let (sum, block_max, block_sum) = (zeros, zeros, zeros);
        Self { scores, short, z_sum, block_z, width, max, sum, block_max, block_sum, seen: [0; MOST_LINES] }
    }
}

fn scaled(to: &mut [f32], from: &[f32], by: f32) {
    to.iter_mut().zip(from).for_each(|(to, x)| *to = x * by);
}

kernel!(
    fn powers(scores: &mut [f32], seen: &[usize], cols: usize, max: &mut [f32], sum: &mut [f32]) = powers_body
);

/// For each line over `cols` columns: the maximum m of the visible keys, `e^(score − m)` in place (0 where masked),
/// and their sum.
#[inline(always)]
fn powers_body<V: Lanes>(
    v: V,
    scores: &mut [f32],
    seen: &[usize],
    cols: usize,
    max: &mut [f32],
    sum: &mut [f32],
) {
    // Three loops over all lines each, so that no line waits for the previous one.
    for (scores, &seen) in scores.chunks_exact_mut(BLOCK).zip(seen) {
        if seen < cols {
            scores[seen..cols].fill(f32::NEG_INFINITY);
        }
    }
    for (scores, max) in scores.chunks_exact(BLOCK).zip(&mut *max) {
        let mut most = v.splat(f32::NEG_INFINITY);
        for part in scores[..cols].chunks_exact(V::LEN) {
            most = most.max(v.load(part));
        }
        *max = most.largest();
    }
    for ((scores, max), sum) in scores.chunks_exact_mut(BLOCK).zip(max).zip(sum) {
        let (most, mut total) = (v.splat(*max), v.splat(0.0));
        for part in scores[..cols].chunks_exact_mut(V::LEN) {
            let e = exp(v, v.load(part) - most);
            e.store(part);
            total = total + e;
        }
        *sum = total.sum();
    }
}

kernel!(fn drop_in(p: &mut [f32], row: [u32; 2], first: u32, threshold: u32) = drop_body);

/// Dropout in one line of a block; the remaining numbers are scaled at the end.
#[inline(always)]
fn drop_body<V: Lanes>(_: V, p: &mut [f32], row: [u32; 2], first: u32, threshold: u32) {
    drop_row(p, row, first, threshold, 1.0);
}

kernel!(fn join(tile: &mut Tile<'_>, lines: std::ops::Range<usize>) = join_body);

/// Joins the maxima, sums and weighted values of a block to those of the blocks before it.
#[inline(always)]
fn join_body<V: Lanes>(v: V, tile: &mut Tile<'_>, lines: std::ops::Range<usize>) {
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
