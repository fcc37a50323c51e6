//! The backward pass for many gradients of one sequence's output: the pattern is computed once for all of them.

mod apart;
mod through;

use std::ops::Range;

use super::backward::{dot, exponentials, put_row};
use super::cache::transpose;
use super::tile::cap_slope;
use super::{Heads, padded};
use crate::aligned::AlignedBuffer;
use crate::blocks::STRIP;
use crate::exp::exp;
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;
use crate::scratch::with_scratch;
use crate::small_product::{SmallProduct, multiply};
use crate::{Cores, Precision, Write};

pub use apart::attend_backward_each_apart;
pub use through::attend_backward_each;

/// The most gradients that a task works on, in rows of a tile.
const MOST_STRIPS: usize = 4;

/// What both ways share: [`attend`](super::attend)'s operands and results, and `each` gradients of every one of `rows`.
struct Each<'a> {
    cores: &'a Cores,
    dz: &'a [f32],
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    z: &'a [f32],
    sums: &'a [f32],
    heads: Heads,
    rows: Range<usize>,
    each: usize,
    /// Positions, rounded up to whole vectors.
    seen: usize,
    /// `[query heads][rows][seen]`, zero where keys are not visible. Behind a head's pattern, if scores have a cap, the pattern
    /// times the slopes of the cap.
    patterns: AlignedBuffer,
}

/// What a task computes with, for some gradients of every row.
struct Work<'a> {
    /// How many of each.
    own: Range<usize>,
    /// `[size][seen]`.
    v_columns: &'a mut [f32],
    /// `[rows][own][size, padded]`.
    dz: &'a mut [f32],
    /// The same.
    dv: &'a mut [f32],
}

/// Zeros for what all gradients of a sequence share.
fn zeros(len: usize) -> AlignedBuffer {
    AlignedBuffer::zeros(len).expect("memory for what all gradients of a sequence share")
}

impl<'a> Each<'a> {
    fn new(
        cores: &'a Cores,
        dz: &'a [f32],
        [q, k, v, z, sums]: [&'a [f32]; 5],
        heads: Heads,
        rows: Range<usize>,
    ) -> Self {
        let (queries, keys) = (heads.query * heads.size, heads.key * heads.size);
        let each = dz.len() / (rows.len() * queries).max(1);
        assert!(rows.start <= rows.end && sums.len() >= rows.end * heads.query);
        assert!([q, z].iter().all(|x| x.len() >= rows.end * queries));
        assert!([k, v].iter().all(|x| x.len() >= rows.end * keys));
        assert_eq!(dz.len(), rows.len() * each * queries);
        let seen = rows.end.next_multiple_of(16);
        let of_head = rows.len() * seen * if heads.cap.is_some() { 2 } else { 1 };
        let (mut patterns, none) = (zeros(heads.query * of_head), zeros(0));
        let mut call = Each { cores, dz, q, k, v, z, sums, heads, rows, each, seen, patterns: none };
        if of_head > 0 {
            cores.run_parts(&mut patterns, of_head, |head, pattern| call.pattern(head, pattern));
        }
        call.patterns = patterns;
        call
    }

    /// Runs `part` for all gradients, as many at once as keep what they need, `lanes` for each, in the caches.
    fn parts(&self, lanes: usize, part: impl Fn(Range<usize>) + Sync) {
        let most = (2 * self.cores.room().lanes() / lanes).clamp(1, MOST_STRIPS) * STRIP;
        let parts = self.each.div_ceil(most);
        self.cores.run(parts, &|i| part(self.each * i / parts..self.each * (i + 1) / parts));
    }

    /// The pattern of one query head.
    fn pattern(&self, head: usize, both: &mut [f32]) {
        let (size, width, scale) = (self.heads.size, padded(self.heads.size), self.heads.scale);
        let (pattern, slopes) = both.split_at_mut(self.rows.len() * self.seen);
        with_scratch([size * self.seen, width], |[k_columns, q]| {
            self.columns(k_columns, self.k, head / self.heads.group());
            for (i, (row, p)) in self.rows.clone().zip(pattern.chunks_exact_mut(self.seen)).enumerate() {
                put_row(q, &self.q[self.heads.query_at(row, head)], scale);
                let product = product([1, self.seen, size], (q, width, 1), (k_columns, self.seen));
                multiply(self.cores, Precision::F32, p, self.seen, Write::Set, product);
                let (visible, sum) = (self.heads.visible(row), self.sums[row * self.heads.query + head]);
                let keys = visible.first..visible.end;
                match self.heads.cap {
                    Some(cap) => {
                        let slopes = &mut slopes[i * self.seen..][keys.clone()];
                        capped_exponentials(self.cores, &mut p[keys], slopes, sum, cap);
                    }
                    None => exponentials(self.cores, &mut p[keys], sum),
                }
                p[..visible.first].fill(0.0);
                p[visible.end..].fill(0.0);
            }
        });
    }

    /// A head's pattern, and what its scores' gradients are multiplied by: the pattern, or that through the cap.
    fn patterns(&self, head: usize) -> [&[f32]; 2] {
        let square = self.rows.len() * self.seen;
        let all = &self.patterns[self.patterns.len() / self.heads.query * head..];
        let sloped = if self.heads.cap.is_some() { &all[square..] } else { all };
        [&all[..square], &sloped[..square]]
    }

    /// Keys or values of a head as columns, `[size][seen]`, zero after the last position.
    fn columns(&self, columns: &mut [f32], from: &[f32], head: usize) {
        if self.rows.end < self.seen {
            columns.fill(0.0);
        }
        let stride = self.heads.key * self.heads.size;
        transpose(self.cores, columns, self.seen, 0, self.rows.end, &from[head * self.heads.size..], stride);
    }

    /// The scores' gradients of one query head.
    fn scores(&self, work: &mut Work<'_>, ds: &mut [f32], head: usize) {
        let (size, seen, count) = (self.heads.size, self.seen, work.own.len());
        let (width, [_, pattern]) = (padded(size), self.patterns(head));
        for (row, position) in self.rows.clone().enumerate() {
            let dz = &mut work.dz[row * count * width..][..count * width];
            let ds = &mut ds[row * count * seen..][..count * seen];
            for (i, dz) in dz.chunks_exact_mut(width).enumerate() {
                put_row(dz, &self.dz[self.heads.query_at(row * self.each + work.own.start + i, head)], 1.0);
            }
            let visible = self.heads.visible(position);
            // Before and after the visible keys, the pattern is zero.
            let some = visible.first / 16 * 16..visible.end.next_multiple_of(16);
            let across =
                product([count, some.len(), size], (dz, width, 1), (&work.v_columns[some.start..], seen));
            multiply(self.cores, Precision::F32, &mut ds[some.start..], seen, Write::Set, across);
            let z = &self.z[self.heads.query_at(position, head)];
            for (ds, dz) in ds.chunks_exact_mut(seen).zip(dz.chunks_exact(width)) {
                let along = dot(self.cores, &dz[..size], z);
                slopes(self.cores, &mut ds[some.clone()], &pattern[row * seen..][some.clone()], along);
            }
        }
    }

    /// A query head's part of dv.
    fn values(&self, work: &mut Work<'_>, head: usize, write: Write) {
        let (rows, seen) = (self.rows.len(), self.seen);
        let ([pattern, _], line) = (self.patterns(head), work.own.len() * padded(self.heads.size));
        for first in (0..rows).step_by(STRIP) {
            // Rows before `first` see none of these values; the pattern of those in between is zero where it must be.
            let (some, at) = (STRIP.min(rows - first), first * line);
            let depth = self.seeing(first + some - 1) - first;
            let left = &pattern[first * seen + self.rows.start + first..];
            let down = product([some, line, depth], (left, 1, seen), (&work.dz[at..], line));
            multiply(self.cores, Precision::F32, &mut work.dv[at..], line, write, down);
        }
    }

    /// The end of the rows that see the key of row `row`.
    fn seeing(&self, row: usize) -> usize {
        self.rows.end.min(self.heads.seen_until(self.rows.start + row)) - self.rows.start
    }

    /// Stores `[rows][own][size, padded]` as one head of `heads`.
    fn store(&self, to: &Parts<'_, f32>, from: &[f32], own: &Range<usize>, head: usize, heads: usize) {
        let (size, width) = (self.heads.size, padded(self.heads.size));
        for (row, from) in from.chunks_exact(own.len() * width).enumerate() {
            for (i, from) in own.clone().zip(from.chunks_exact(width)) {
                let at = ((row * self.each + i) * heads + head) * size;
                // SAFETY: no other task uses these gradients of this row.
                unsafe { to.part(at..at + size) }.copy_from_slice(&from[..size]);
            }
        }
    }
}

/// A product of `[rows, columns, depth]`: left with the distances of its rows and steps, right with that of its steps.
fn product<'a>(
    [rows, cols, depth]: [usize; 3],
    (left, left_row, left_step): (&'a [f32], usize, usize),
    (right, right_row): (&'a [f32], usize),
) -> SmallProduct<'a> {
    SmallProduct { rows, cols, depth, left, left_row, left_step, right, right_row, right_step: 16 }
}

kernel!(fn capped_exponentials(p: &mut [f32], slopes: &mut [f32], sum: f32, cap: f32) = capped_body);

/// `p = e^(cap of p − sum)`, and the same times the slope of the cap.
#[inline(always)]
fn capped_body<V: Lanes>(v: V, p: &mut [f32], slopes: &mut [f32], sum: f32, cap: f32) {
    for (p, slopes) in p.chunks_mut(V::LEN).zip(slopes.chunks_mut(V::LEN)) {
        let (score, slope) = cap_slope(v, v.load_part(p), cap);
        let e = exp(v, score - v.splat(sum));
        e.store_part(p);
        (e * slope).store_part(slopes);
    }
}

kernel!(fn slopes(ds: &mut [f32], p: &[f32], along: f32) = slopes_body);

/// `ds = p (ds − along)`, whole vectors.
#[inline(always)]
fn slopes_body<V: Lanes>(v: V, ds: &mut [f32], p: &[f32], along: f32) {
    let along = v.splat(along);
    for (ds, p) in ds.chunks_exact_mut(V::LEN).zip(p.chunks_exact(V::LEN)) {
        (v.load(p) * (v.load(ds) - along)).store(ds);
    }
}
