//! The fused forward pass: tiles of queries against blocks of keys.

use std::ops::Range;

use super::tile::{Lines, Tile, capped, drop_in, join, powers, scaled};
use super::{BLOCK, CacheType, Heads, Kv, Span, assert_in_order, locate, most_lines, strips};
use crate::dropout::Dropout;
use crate::pool::Parts;
use crate::scratch::with_scratch;
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
            let mut tile = Tile::new(scores, short, z_sum, block_z, width);
            for block in lines.blocks() {
                self.block(&mut tile, q, &lines, block);
            }
            self.finish(&mut tile, &lines);
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
