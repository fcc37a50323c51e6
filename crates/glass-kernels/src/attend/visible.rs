//! The visible path: attention step by step, with each step's numbers stored in full, so that they can be seen and
//! edited: scores → mask → softmax → mix.

use super::tile::cap_of;
use super::{BLOCK, Heads, Kv, Span, assert_in_order, locate, most_lines};
use crate::exp::exp;
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;
use crate::scratch::with_scratch;
use crate::small_product::{SmallProduct, multiply, shorten};
use crate::{Cores, Write};

/// The size of the pattern of `spans`, or of its scores, in floats: for each span `[query heads][rows][past +
/// rows]`, one after another.
pub fn pattern_len(heads: Heads, spans: &[Span]) -> usize {
    spans.iter().map(|s| heads.query * s.rows.len() * s.keys()).sum()
}

/// One tile of rows of one query head; not empty.
struct Tile<'a> {
    span: &'a Span,
    head: usize,
    /// Rows within the span.
    rows: std::ops::Range<usize>,
    /// Its rows of the pattern.
    pattern: std::ops::Range<usize>,
}

impl Tile<'_> {
    /// Each of its rows of a square, with the row's position.
    fn lines<'s>(&self, square: &'s mut [f32]) -> impl Iterator<Item = (usize, &'s mut [f32])> {
        let first = self.span.past + self.rows.start;
        (first..).zip(square.chunks_exact_mut(self.span.keys()))
    }

    /// The position of the first block that one of its rows sees.
    fn start(&self, heads: Heads) -> usize {
        heads.visible(self.span.past + self.rows.start).first_block() * BLOCK
    }
}

/// Runs `work` for every tile of every head of every span.
fn tiles(cores: &Cores, heads: Heads, spans: &[Span], work: impl Fn(Tile<'_>) + Sync) {
    assert_in_order(spans);
    // A row of the pattern is read once; only the queries and a block's scores are reused.
    let most = most_lines(cores, heads.size + BLOCK, heads, spans);
    let per_head = |span: &Span| span.rows.len().div_ceil(most);
    let tasks = |span: &Span| per_head(span) * heads.query;
    cores.run(spans.iter().map(tasks).sum(), &|task| {
        let (span, task) = locate(spans, task, tasks);
        let before = spans.iter().take_while(|s| !std::ptr::eq(*s, span));
        let start: usize = before.map(|s| pattern_len(heads, std::slice::from_ref(s))).sum();
        let (head, first) = (task / per_head(span), task % per_head(span) * most);
        let rows = first..span.rows.len().min(first + most);
        let line = head * span.rows.len() + rows.start;
        let pattern = start + line * span.keys()..start + (line + rows.len()) * span.keys();
        work(Tile { span, head, rows, pattern });
    });
}

/// First step: `s = q kᵀ`, unscaled, for every key of the span, including keys after the query. Keys before the query's
/// window may no longer be there: −∞.
pub fn scores(cores: &Cores, s: &mut [f32], q: &[f32], kv: Kv<'_>, heads: Heads, spans: &[Span]) {
    assert!(s.len() >= pattern_len(heads, spans));
    kv.assert_seen(heads, spans);
    let (s, size, precision) = (Parts::new(s), heads.size, kv.shape.kind.precision());
    tiles(cores, heads, spans, |tile| {
        let (span, keys, key_head) = (tile.span, tile.span.keys(), tile.head / heads.group());
        // SAFETY: no other task uses these rows.
        let s = unsafe { s.part(tile.pattern.clone()) };
        with_scratch([tile.rows.len() * BLOCK, tile.rows.len() * kv.shape.key()], |[scores, short]| {
            let left = &q[heads.query_at(span.rows.start + tile.rows.start, tile.head).start..];
            shorten(cores, precision, short, left, size, heads.query * size);
            for start in (tile.start(heads)..keys).step_by(BLOCK) {
                let count = BLOCK.min(keys - start);
                let product = SmallProduct {
                    rows: tile.rows.len(),
                    cols: BLOCK,
                    depth: kv.shape.key(),
                    left: short,
                    left_row: kv.shape.key(),
                    left_step: 1,
                    right: kv.keys(span.slot, key_head, start / BLOCK),
                    right_row: kv.shape.key_row(),
                    right_step: kv.shape.key_step(),
                };
                multiply(cores, precision, scores, BLOCK, Write::Set, product);
                for (s, scores) in s.chunks_exact_mut(keys).zip(scores.chunks_exact(BLOCK)) {
                    s[start..start + count].copy_from_slice(&scores[..count]);
                }
            }
            tile.lines(s).for_each(|(position, s)| {
                s[..heads.visible(position).first].fill(f32::NEG_INFINITY);
            });
        });
    });
}

/// Second step: scores times the heads' factor, through their cap if they have one, and −∞ for a key after the query or before
/// its window.
pub fn mask(cores: &Cores, s: &mut [f32], heads: Heads, spans: &[Span]) {
    assert!(s.len() >= pattern_len(heads, spans));
    let s = Parts::new(s);
    tiles(cores, heads, spans, |tile| {
        // SAFETY: no other task uses these rows.
        let s = unsafe { s.part(tile.pattern.clone()) };
        for (position, s) in tile.lines(s) {
            let visible = heads.visible(position);
            let (s, after) = s.split_at_mut(visible.end);
            let (before, seen) = s.split_at_mut(visible.first);
            seen.iter_mut().for_each(|s| *s *= heads.scale);
            if let Some(cap) = heads.cap {
                cap_row(cores, seen, cap);
            }
            before.fill(f32::NEG_INFINITY);
            after.fill(f32::NEG_INFINITY);
        }
    });
}

kernel!(fn cap_row(row: &mut [f32], cap: f32) = cap_body);

#[inline(always)]
fn cap_body<V: Lanes>(v: V, row: &mut [f32], cap: f32) {
    for part in row.chunks_mut(V::LEN) {
        cap_of(v, v.load_part(part), cap).store_part(part);
    }
}

/// Third step: every query's scores become its pattern, which is 0 where a score is −∞; if all are −∞, the whole
/// row is 0. `sinks`, one number for each query head, take part, so that a row sums to less than 1.
pub fn softmax(cores: &Cores, p: &mut [f32], heads: Heads, sinks: Option<&[f32]>, spans: &[Span]) {
    assert!(p.len() >= pattern_len(heads, spans));
    assert!(sinks.is_none_or(|sinks| sinks.len() == heads.query));
    let p = Parts::new(p);
    tiles(cores, heads, spans, |tile| {
        // SAFETY: no other task uses these rows.
        let p = unsafe { p.part(tile.pattern) };
        let sink = sinks.map_or(f32::NEG_INFINITY, |sinks| sinks[tile.head]);
        p.chunks_exact_mut(tile.span.keys()).for_each(|row| softmax_of_row(cores, row, sink));
    });
}

/// The first three steps.
pub fn pattern(
    cores: &Cores,
    p: &mut [f32],
    q: &[f32],
    kv: Kv<'_>,
    heads: Heads,
    sinks: Option<&[f32]>,
    spans: &[Span],
) {
    scores(cores, p, q, kv, heads, spans);
    mask(cores, p, heads, spans);
    softmax(cores, p, heads, sinks, spans);
}

kernel!(fn softmax_of_row(row: &mut [f32], sink: f32) = softmax_body);

#[inline(always)]
fn softmax_body<V: Lanes>(v: V, row: &mut [f32], sink: f32) {
    let max = row.iter().fold(sink, |max, &x| max.max(x));
    // A row with a NaN is not one of these, although a maximum ignores NaN.
    if row.iter().all(|&x| x == f32::NEG_INFINITY) {
        return row.fill(0.0);
    }
    for part in row.chunks_mut(V::LEN) {
        exp(v, v.load_part(part) - v.splat(max)).store_part(part);
    }
    // Without a sink, this adds nothing.
    let mut own = [0.0];
    exp(v, v.splat(sink - max)).store_part(&mut own);
    let sum = v.splat(row.iter().sum::<f32>() + own[0]);
    for part in row.chunks_mut(V::LEN) {
        (v.load_part(part) / sum).store_part(part);
    }
}

/// Fourth step: `z = p v`, over every key of the span that is not before the query's window.
pub fn mix(cores: &Cores, z: &mut [f32], p: &[f32], kv: Kv<'_>, heads: Heads, spans: &[Span]) {
    assert!(p.len() >= pattern_len(heads, spans));
    kv.assert_seen(heads, spans);
    let (z, width, precision) = (Parts::new(z), kv.shape.width(), kv.shape.kind.precision());
    let per_lane = kv.shape.kind.per_lane();
    tiles(cores, heads, spans, |tile| {
        let (span, keys, rows) = (tile.span, tile.span.keys(), tile.rows.len());
        let lanes = keys.div_ceil(per_lane);
        let copied = if heads.window.is_some() { rows * keys } else { 0 };
        with_scratch([rows * width, rows * lanes, copied], |[padded, short, copy]| {
            let mut p = &p[tile.pattern.clone()];
            if heads.window.is_some() {
                copy.copy_from_slice(p);
                tile.lines(copy).for_each(|(position, p)| p[..heads.visible(position).first].fill(0.0));
                p = copy;
            }
            shorten(cores, precision, short, p, keys, keys);
            let first = tile.start(heads);
            for start in (first..keys).step_by(BLOCK) {
                let seen = BLOCK.min(keys - start);
                let product = SmallProduct {
                    rows,
                    cols: width,
                    depth: seen.div_ceil(per_lane),
                    left: &short[start / per_lane..],
                    left_row: lanes,
                    left_step: 1,
                    right: kv.values(span.slot, tile.head / heads.group(), start / BLOCK, seen),
                    right_row: width,
                    right_step: 16,
                };
                let write = if start == first { Write::Set } else { Write::Add };
                multiply(cores, precision, padded, width, write, product);
            }
            for (padded, row) in padded.chunks_exact(width).zip(tile.rows.clone()) {
                // SAFETY: no other task uses this head of this row.
                let z = unsafe { z.part(heads.query_at(span.rows.start + row, tile.head)) };
                z.copy_from_slice(&padded[..heads.size]);
            }
        });
    });
}
