//! The backward pass for many gradients of one sequence's output: the pattern is computed once for all of them.

use std::ops::Range;

use super::Heads;
use super::backward::{dot, exponentials, put_row};
use super::cache::transpose;
use super::padded;
use super::tile::cap_slope;
use crate::aligned::AlignedBuffer;
use crate::blocks::STRIP;
use crate::exp::exp;
use crate::lanes::{Lanes, kernel};
use crate::linear::{Layout, Matrix};
use crate::pool::Parts;
use crate::scratch::with_scratch;
use crate::small_product::{SmallProduct, multiply};
use crate::{Cores, Precision, Write};

/// The gradient of attention's input through queries and keys, and that of the values, for `each` gradients of the
/// output of [`attend`](super::attend) at every one of `rows`, the last positions of one sequence without a past: dz is
/// `[rows][each, heads × size]`, dx `[rows][each, width]`; q, k, v, z and `sums` are those of all positions, `query` and `key` the
/// weights that made q and k. Positions before the first of `rows` get no gradient. dx and dv are overwritten.
///
/// The gradient of a score is multiplied by a key that has been through the weight of the queries, and by a query
/// that has been through the weight of the keys. In a sequence of some 128 positions or fewer this is less work than
/// gradients of queries and keys that go through the weights themselves.
pub fn attend_backward_each(
    cores: &Cores,
    dx: &mut [f32],
    dv: &mut [f32],
    dz: &[f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    z: &[f32],
    sums: &[f32],
    [query, key]: [Matrix<'_>; 2],
    heads: Heads,
    rows: Range<usize>,
) {
    let (queries, keys, width) = (heads.query * heads.size, heads.key * heads.size, query.cols);
    let each = dz.len() / (rows.len() * queries).max(1);
    assert!(rows.start <= rows.end && sums.len() >= rows.end * heads.query);
    assert!([q, z].iter().all(|x| x.len() >= rows.end * queries));
    assert!([k, v].iter().all(|x| x.len() >= rows.end * keys));
    assert_eq!(dz.len(), rows.len() * each * queries);
    assert_eq!((dx.len(), dv.len()), (rows.len() * each * width, rows.len() * each * keys));
    assert_eq!((query.rows, key.rows, key.cols), (queries, keys, width));
    assert_eq!((query.layout, key.layout), (Layout::Rows, Layout::Rows));
    if dz.is_empty() {
        return;
    }
    let (seen, across) = (rows.end.next_multiple_of(16), padded(width));
    let zeros = |len| AlignedBuffer::zeros(len).expect("memory for what all gradients of a sequence share");
    let of_head = rows.len() * seen * if heads.cap.is_some() { 2 } else { 1 };
    let mut patterns = zeros(heads.query * of_head);
    let mut through = zeros(heads.query * 2 * rows.end * across);
    let (dx, dv) = (Parts::new(dx), Parts::new(dv));
    let (patterns_of, through_of): (&[f32], &[f32]) = (&[], &[]);
    let mut call = Call {
        cores,
        dx,
        dv,
        dz,
        q,
        k,
        v,
        z,
        sums,
        query,
        key,
        heads,
        each,
        seen,
        across,
        rows,
        patterns: patterns_of,
        through: through_of,
    };
    cores.run_parts(&mut patterns, of_head, |head, pattern| call.pattern(head, pattern));
    cores.run_parts(&mut through, 2 * call.rows.end * across, |head, both| call.through(head, both));
    call.patterns = &patterns;
    call.through = &through;
    // For each gradient of every row: those of a head's output and value, of all scores, and of a part of the input.
    let lanes = call.rows.len() * (2 * padded(heads.size) + heads.query * seen + PART.min(across));
    let most = (2 * cores.room().lanes() / lanes).clamp(1, MOST_STRIPS) * STRIP;
    let parts = each.div_ceil(most);
    cores.run(parts, &|part| call.part(each * part / parts..each * (part + 1) / parts));
}

/// The most gradients that a task works on, in rows of a tile.
const MOST_STRIPS: usize = 4;

/// Columns of the input that are summed over all heads before the next ones.
const PART: usize = 256;

struct Call<'a> {
    cores: &'a Cores,
    dx: Parts<'a, f32>,
    dv: Parts<'a, f32>,
    dz: &'a [f32],
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    z: &'a [f32],
    sums: &'a [f32],
    query: Matrix<'a>,
    key: Matrix<'a>,
    heads: Heads,
    rows: Range<usize>,
    each: usize,
    /// Positions, and numbers of the input, rounded up to whole vectors.
    seen: usize,
    across: usize,
    /// `[query heads][rows][seen]`, zero where keys are not visible. Behind a head's pattern, if scores have a cap, the pattern
    /// times the slopes of the cap.
    patterns: &'a [f32],
    /// `[query heads][2][positions][across]`: keys through the weight of the queries, queries through that of the
    /// keys.
    through: &'a [f32],
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
    /// The scores' gradients, `[query heads][rows][own][seen]`.
    ds: &'a mut [f32],
    /// `[rows][own][columns]`.
    dx: &'a mut [f32],
}

impl Call<'_> {
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

    /// The scaled keys of a query head through its weight, and its scaled queries through the weight of its key head.
    fn through(&self, head: usize, both: &mut [f32]) {
        let (size, key_head) = (self.heads.size, head / self.heads.group());
        let (keys, queries) = both.split_at_mut(self.rows.end * self.across);
        with_scratch([size * self.across, size], |[weight, x]| {
            let sides = [(keys, self.query, head, self.k), (queries, self.key, key_head, self.q)];
            for (side, (to, matrix, weight_head, from)) in sides.into_iter().enumerate() {
                let rows = matrix.values[weight_head * size * matrix.cols..].chunks_exact(matrix.cols);
                weight.chunks_exact_mut(self.across).zip(rows).for_each(|(to, row)| put_row(to, row, 1.0));
                for (position, to) in to.chunks_exact_mut(self.across).enumerate() {
                    let at = match side {
                        0 => self.heads.key_at(position, key_head),
                        _ => self.heads.query_at(position, head),
                    };
                    put_row(x, &from[at], self.heads.scale);
                    let product = product([1, self.across, size], (x, size, 1), (weight, self.across));
                    multiply(self.cores, Precision::F32, to, self.across, Write::Set, product);
                }
            }
        });
    }

    /// Keys or values of a head as columns, `[size][seen]`, zero after the last position.
    fn columns(&self, columns: &mut [f32], from: &[f32], head: usize) {
        if self.rows.end < self.seen {
            columns.fill(0.0);
        }
        let stride = self.heads.key * self.heads.size;
        transpose(self.cores, columns, self.seen, 0, self.rows.end, &from[head * self.heads.size..], stride);
    }

    /// Gradients `own` of every row.
    fn part(&self, own: Range<usize>) {
        let (size, rows, count) = (self.heads.size, self.rows.len(), own.len());
        let (all, scores) = (rows * count * padded(size), self.heads.query * rows * count * self.seen);
        let lens = [size * self.seen, all, all, scores, rows * count * PART.min(self.across)];
        with_scratch(lens, |[v_columns, dz, dv, ds, dx]| {
            let mut work = Work { own, v_columns, dz, dv, ds, dx };
            let group = self.heads.group();
            for key_head in 0..self.heads.key {
                self.columns(work.v_columns, self.v, key_head);
                for head in key_head * group..(key_head + 1) * group {
                    self.scores(&mut work, head);
                    let write = if head == key_head * group { Write::Set } else { Write::Add };
                    self.values(&mut work, head, write);
                }
                self.store_values(&work, key_head);
            }
            for first in (0..self.across).step_by(PART) {
                self.inputs(&mut work, first..self.across.min(first + PART));
            }
        });
    }

    /// The scores' gradients of one query head.
    fn scores(&self, work: &mut Work<'_>, head: usize) {
        let (size, rows, seen, count) = (self.heads.size, self.rows.len(), self.seen, work.own.len());
        let (width, [_, pattern]) = (padded(size), self.patterns(head));
        let all = &mut work.ds[head * rows * count * seen..][..rows * count * seen];
        for (row, position) in self.rows.clone().enumerate() {
            let dz = &mut work.dz[row * count * width..][..count * width];
            let ds = &mut all[row * count * seen..][..count * seen];
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

    fn store_values(&self, work: &Work<'_>, key_head: usize) {
        let width = padded(self.heads.size);
        for (row, dv) in work.dv.chunks_exact(work.own.len() * width).enumerate() {
            for (i, from) in work.own.clone().zip(dv.chunks_exact(width)) {
                // SAFETY: no other task uses these gradients of this row.
                let dv = unsafe { self.dv.part(self.heads.key_at(row * self.each + i, key_head)) };
                dv.copy_from_slice(&from[..self.heads.size]);
            }
        }
    }

    /// Some columns of dx.
    fn inputs(&self, work: &mut Work<'_>, columns: Range<usize>) {
        let (rows, seen, count) = (self.rows.len(), self.seen, work.own.len());
        let (cols, side) = (columns.len(), self.rows.end * self.across);
        for head in 0..self.heads.query {
            let ds = &work.ds[head * rows * count * seen..][..rows * count * seen];
            let (keys, queries) = self.through[head * 2 * side..][..2 * side].split_at(side);
            for (row, position) in self.rows.clone().enumerate() {
                let dx = &mut work.dx[row * count * cols..];
                let write = if head == 0 { Write::Set } else { Write::Add };
                let first = self.heads.visible(position).first;
                let left = (&ds[row * count * seen + first..], seen, 1);
                let right = (&keys[first * self.across + columns.start..], self.across);
                let own = product([count, cols, position + 1 - first], left, right);
                multiply(self.cores, Precision::F32, dx, cols, write, own);
                // The rows from this one on see its key.
                let left = (&ds[row * count * seen + position..], seen, count * seen);
                let right = (&queries[position * self.across + columns.start..], self.across);
                let later = product([count, cols, self.seeing(row) - row], left, right);
                multiply(self.cores, Precision::F32, dx, cols, Write::Add, later);
            }
        }
        let width = self.query.cols;
        let kept = columns.start..columns.end.min(width);
        for (row, dx) in work.dx[..rows * count * cols].chunks_exact(count * cols).enumerate() {
            for (i, from) in work.own.clone().zip(dx.chunks_exact(cols)) {
                let line = (row * self.each + i) * width;
                // SAFETY: no other task uses these gradients of this row.
                let dx = unsafe { self.dx.part(line + kept.start..line + kept.end) };
                dx.copy_from_slice(&from[..kept.len()]);
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
