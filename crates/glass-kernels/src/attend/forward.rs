//! The fused forward pass: tiles of queries against blocks of keys.

use std::ops::Range;

use super::tile::{Lines, Tile, capped, drop_in, join, powers, scaled};
use super::{BLOCK, CacheType, Heads, Kv, Span, assert_in_order, locate, most_lines, strips};
use crate::dropout::Dropout;
use crate::pool::Parts;
use crate::scratch::{with_common_scratch, with_scratch};
use crate::small_product::{SmallProduct, multiply, shorten};
use crate::{Cores, Precision, Write};

/// `z = softmax(mask(q kᵀ / √size)) v` for every query head; q and z: `[rows, query heads × size]`. `sums`, if
/// given (`[rows, query heads]`), receives each row's log-sum-exp for the backward pass. `sinks`, one number for each query
/// head, take part in the softmax (and in `sums`). Dropout applies to the pattern after the softmax. Keys and values of
/// the spans' own rows must already be in the cache and should be finite.
pub fn attend(
    cores: &Cores,
    z: &mut [f32],
    sums: Option<&mut [f32]>,
    q: &[f32],
    kv: Kv<'_>,
    heads: Heads,
    sinks: Option<&[f32]>,
    spans: &[Span],
    dropout: Option<Dropout>,
) {
    assert_eq!(z.len(), q.len());
    assert_in_order(spans);
    kv.assert_seen(heads, spans);
    assert!(sums.as_deref().is_none_or(|sums| sums.len() * heads.size == q.len()));
    assert!(sinks.is_none_or(|sinks| sinks.len() == heads.query));
    let (z, sums) = (Parts::new(z), sums.map(Parts::new));
    let dropout = dropout.filter(|dropout| dropout.rate > 0.0);
    let most = most_lines(cores, Tile::lens(heads, kv, 1).iter().sum(), heads, spans);
    let call = Call { cores, z: &z, sums: sums.as_ref(), q, kv, heads, sinks, dropout };
    let group = heads.group();
    let tiles = |span: &Span| (span.rows.len() * group).div_ceil(most);
    let tasks = spans.iter().map(tiles).sum::<usize>() * heads.key;
    // Decoding is limited by memory, so a thread prefetches its next head.
    let decoding = spans.iter().all(|span| span.rows.len() == 1);
    if decoding && group <= most && dropout.is_none() && is_split(cores, heads, kv, spans) {
        return spans.iter().for_each(|span| call.in_parts(span));
    }
    cores.run(tasks, &|task| {
        let (span, task) = locate(spans, task, |span| tiles(span) * heads.key);
        let head = task / tiles(span);
        if decoding && head + 1 < heads.key {
            let block = heads.visible(span.past).first_block();
            kv.fetch(cores, span.slot, head + 1, block, span.keys() - block * BLOCK);
        }
        // The last tile of a head first: it sees the most keys.
        let first = (tiles(span) - 1 - task % tiles(span)) * most;
        let count = most.min(span.rows.len() * group - first);
        call.tile(Lines { heads, group, span, head, first, count });
    });
}

/// Units of work for each thread below which the blocks of a head are shared out too.
const UNITS: usize = 4;

/// Fewer floats of keys and values are read by one thread for each head.
const SPLIT_FLOATS: usize = 16 * 1024;

/// Blocks whose results are in memory at once.
const TOGETHER: usize = 16;

/// Whether there are so few heads that threads would wait for each other, and enough keys to share out.
fn is_split(cores: &Cores, heads: Heads, kv: Kv<'_>, spans: &[Span]) -> bool {
    let blocks = |span: &Span| heads.visible(span.past).blocks().len();
    let threads = cores.threads();
    let lanes = kv.shape.key() + kv.shape.width() / kv.shape.kind.per_lane();
    let read = heads.key * lanes * BLOCK * spans.iter().map(blocks).sum::<usize>();
    threads > 1 && spans.len() * heads.key < UNITS * threads && read >= SPLIT_FLOATS
}

/// The arguments of one call of [`attend`].
struct Call<'a> {
    cores: &'a Cores,
    z: &'a Parts<'a, f32>,
    sums: Option<&'a Parts<'a, f32>>,
    q: &'a [f32],
    kv: Kv<'a>,
    heads: Heads,
    sinks: Option<&'a [f32]>,
    dropout: Option<Dropout>,
}

impl Call<'_> {
    fn precision(&self) -> Precision {
        self.kv.shape.kind.precision()
    }

    /// Some lines of one key head, over all blocks that they see.
    fn tile(&self, lines: Lines<'_>) {
        self.with_tile(&lines, |q, tile| {
            for block in lines.blocks() {
                self.block(tile, q, &lines, block);
            }
            self.finish(tile, &lines);
        });
    }

    /// Runs `work` with the scaled queries of some lines and memory for them.
    fn with_tile(&self, lines: &Lines<'_>, work: impl FnOnce(&[f32], &mut Tile<'_>)) {
        let (size, width) = (self.heads.size, self.kv.shape.width());
        let lens = Tile::lens(self.heads, self.kv, lines.count);
        with_scratch(lens, |[q, q_short, scores, short, z_sum, block_z]| {
            for (line, q) in q.chunks_exact_mut(size).take(lines.count).enumerate() {
                scaled(q, &self.q[lines.place(line)], self.heads.scale);
            }
            let q = match self.kv.shape.kind {
                CacheType::F32 => q,
                CacheType::Bf16 => {
                    shorten(self.cores, self.precision(), q_short, &q[..lines.count * size], size, size);
                    q_short
                }
            };
            work(q, &mut Tile::new(scores, short, z_sum, block_z, width));
        });
    }

    /// One row: its blocks are shared out to the threads, and then joined in their order, so that the bits are those of
    /// [`tile`](Self::tile).
    fn in_parts(&self, span: &Span) {
        let (heads, group, width) = (self.heads, self.heads.group(), self.kv.shape.width());
        let lines = |head| Lines { heads, group, span, head, first: 0, count: group };
        let all = heads.visible(span.past).blocks();
        // Of each block: the maxima, the sums and the weighted values of a group.
        let len = group * (2 + width);
        let state = heads.key * len;
        with_common_scratch([state, state * TOGETHER], |[joined, parts]| {
            for start in all.clone().step_by(TOGETHER) {
                let blocks = start..all.end.min(start + TOGETHER);
                let each = (heads.key * blocks.len()).div_ceil(UNITS * self.cores.threads());
                let units = blocks.len().div_ceil(each);
                let of_head = blocks.len() * len;
                let shared = Parts::new(&mut *parts);
                self.cores.run(heads.key * units, &|unit| {
                    let (head, from) = (unit / units, unit % units * each);
                    let to = blocks.len().min(from + each);
                    // SAFETY: no other task uses these blocks of this head.
                    let out = unsafe { shared.part(head * of_head + from * len..head * of_head + to * len) };
                    self.each_block(lines(head), blocks.start + from..blocks.start + to, out);
                });
                for (head, joined) in joined.chunks_exact_mut(len).enumerate() {
                    let is_last = blocks.end == all.end;
                    self.join(
                        lines(head),
                        joined,
                        &parts[head * of_head..][..of_head],
                        start == all.start,
                        is_last,
                    );
                }
            }
        });
    }

    /// The maxima, sums and weighted values of each of these blocks by itself.
    fn each_block(&self, lines: Lines<'_>, blocks: Range<usize>, out: &mut [f32]) {
        let of_block = out.len() / blocks.len();
        self.with_tile(&lines, |q, tile| {
            for (block, out) in blocks.zip(out.chunks_exact_mut(of_block)) {
                tile.see(&lines, 0..lines.count, block * BLOCK);
                self.scores(tile, q, &lines, 0..lines.count, block);
                self.mix(tile, &lines, 0..lines.count, block, true);
                let (max, rest) = out.split_at_mut(lines.count);
                let (sum, z) = rest.split_at_mut(lines.count);
                max.copy_from_slice(&tile.max[..lines.count]);
                sum.copy_from_slice(&tile.sum[..lines.count]);
                z.copy_from_slice(&tile.z_sum[..lines.count * tile.width]);
            }
        });
    }

    /// Joins such results in their order to those of the blocks before them; after the last block, stores z.
    fn join(&self, lines: Lines<'_>, joined: &mut [f32], parts: &[f32], is_first: bool, is_last: bool) {
        let (count, width) = (lines.count, self.kv.shape.width());
        with_scratch([count * width], |[block_z]| {
            let (max, rest) = joined.split_at_mut(count);
            let (sum, z_sum) = rest.split_at_mut(count);
            let mut tile = Tile::new(&mut [], &mut [], z_sum, block_z, width);
            tile.max[..count].copy_from_slice(max);
            tile.sum[..count].copy_from_slice(sum);
            for (number, part) in parts.chunks_exact(count * (2 + width)).enumerate() {
                let (block_max, rest) = part.split_at(count);
                let (block_sum, block_z) = rest.split_at(count);
                if is_first && number == 0 {
                    tile.max[..count].copy_from_slice(block_max);
                    tile.sum[..count].copy_from_slice(block_sum);
                    tile.z_sum.copy_from_slice(block_z);
                } else {
                    tile.block_max[..count].copy_from_slice(block_max);
                    tile.block_sum[..count].copy_from_slice(block_sum);
                    tile.block_z.copy_from_slice(block_z);
                    join(self.cores, &mut tile, 0..count);
                }
            }
            max.copy_from_slice(&tile.max[..count]);
            sum.copy_from_slice(&tile.sum[..count]);
            if is_last {
                self.finish(&mut tile, &lines);
            }
        });
    }

    /// One block of keys: its pattern, and the values weighted with it.
    fn block(&self, tile: &mut Tile<'_>, q: &[f32], lines: &Lines<'_>, block: usize) {
        let (start, position) = (block * BLOCK, lines.position(0));
        if lines.count == lines.group && position >= start + BLOCK {
            let seen = position + 1 - start - BLOCK;
            self.kv.fetch(self.cores, lines.span.slot, lines.head, block + 1, seen);
        }
        let [later, first] = lines.seeing(block);
        tile.see(lines, later.start..first.end, start);
        for (some, is_first) in [(later, false), (first, true)] {
            for some in strips(some.clone(), tile.is_cut(&some)) {
                self.scores(tile, q, lines, some.clone(), block);
                if let Some(dropout) = self.dropout {
                    for line in some.clone() {
                        let row = dropout.row(lines.span.slot, lines.query(line), lines.position(line));
                        let p = &mut tile.scores[line * BLOCK..][..tile.seen[line]];
                        drop_in(self.cores, p, row, start as u32, dropout.threshold());
                    }
                }
                self.mix(tile, lines, some, block, is_first);
            }
        }
    }

    /// The scores of one block of keys, and their softmax within the block, not yet divided.
    fn scores(&self, tile: &mut Tile<'_>, q: &[f32], lines: &Lines<'_>, some: Range<usize>, block: usize) {
        let columns = tile.columns(&some);
        let scores = &mut tile.scores[some.start * BLOCK..some.end * BLOCK];
        let shape = self.kv.shape;
        let product = SmallProduct {
            rows: some.len(),
            cols: columns.len(),
            depth: shape.key(),
            left: &q[some.start * shape.key()..],
            left_row: shape.key(),
            left_step: 1,
            right: &self.kv.keys(lines.span.slot, lines.head, block)[columns.start / 16 * shape.key_step()..],
            right_row: shape.key_row(),
            right_step: shape.key_step(),
        };
        let to = &mut scores[columns.start..];
        multiply(self.cores, self.precision(), to, BLOCK, Write::Set, product);
        if let Some(cap) = self.heads.cap {
            capped(self.cores, scores, columns.clone(), cap);
        }
        let (max, sum) = (&mut tile.block_max[some.clone()], &mut tile.block_sum[some.clone()]);
        powers(self.cores, scores, &tile.first[some.clone()], &tile.seen[some], columns, max, sum);
    }

    /// Sums the weighted values of one block from zero, and joins them to the result of earlier blocks; the first
    /// block is the result itself.
    fn mix(&self, tile: &mut Tile<'_>, lines: &Lines<'_>, some: Range<usize>, block: usize, is_first: bool) {
        let (width, precision) = (tile.width, self.precision());
        let (from, seen) = (tile.columns(&some).start, tile.seen[some.end - 1]);
        let pattern = &tile.scores[some.start * BLOCK..some.end * BLOCK];
        let (left, per_lane) = match self.kv.shape.kind {
            CacheType::F32 => (pattern, 1),
            CacheType::Bf16 => {
                shorten(self.cores, precision, tile.short, pattern, BLOCK, BLOCK);
                (&*tile.short, precision.per_lane())
            }
        };
        let product = SmallProduct {
            rows: some.len(),
            cols: width,
            depth: (seen - from).div_ceil(per_lane),
            left: &left[from / per_lane..],
            left_row: BLOCK / per_lane,
            left_step: 1,
            right: &self.kv.values(lines.span.slot, lines.head, block, seen)[from / per_lane * width..],
            right_row: width,
            right_step: 16,
        };
        let at = some.start * width;
        if is_first {
            multiply(self.cores, precision, &mut tile.z_sum[at..], width, Write::Set, product);
            tile.max[some.clone()].copy_from_slice(&tile.block_max[some.clone()]);
            tile.sum[some.clone()].copy_from_slice(&tile.block_sum[some]);
        } else {
            multiply(self.cores, precision, &mut tile.block_z[at..], width, Write::Set, product);
            join(self.cores, tile, some);
        }
    }

    /// Joins the sinks, divides, and stores z and `sums`.
    fn finish(&self, tile: &mut Tile<'_>, lines: &Lines<'_>) {
        let (size, width) = (self.heads.size, tile.width);
        if let Some(sinks) = self.sinks {
            for line in 0..lines.count {
                (tile.block_max[line], tile.block_sum[line]) = (sinks[lines.query(line)], 1.0);
            }
            tile.block_z[..lines.count * width].fill(0.0);
            join(self.cores, tile, 0..lines.count);
        }
        let survivors = self.dropout.map_or(1.0, |dropout| dropout.survivors());
        for line in 0..lines.count {
            let range = lines.place(line);
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
    }
}
