//! The backward pass for many gradients of one sequence's output: the pattern is computed once for all of them.

use std::ops::Range;

use super::Heads;
use super::backward::{dot, put_row};
use super::cache::transpose;
use super::padded;
use crate::aligned::AlignedBuffer;
use crate::blocks::STRIP;
use crate::exp::exp;
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;
use crate::scratch::with_scratch;
use crate::small_product::{SmallProduct, multiply};
use crate::{Cores, Precision, Write};

/// Gradients of [`attend`](super::attend) over one sequence without a past, for `each` gradients of the output of
/// every one of `rows`, its last positions: dz, dq, dk, dv are `[rows][each, heads × size]`; q, k, v, z and `sums` are
/// those of all positions. Keys and values before the first of `rows` get no gradient. dq, dk, dv are overwritten.
pub fn attend_backward_each(
    cores: &Cores,
    dq: &mut [f32],
    dk: &mut [f32],
    dv: &mut [f32],
    dz: &[f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    z: &[f32],
    sums: &[f32],
    heads: Heads,
    rows: Range<usize>,
) {
    let (queries, keys) = (heads.query * heads.size, heads.key * heads.size);
    let each = dz.len() / (rows.len() * queries).max(1);
    assert!(rows.start <= rows.end && sums.len() >= rows.end * heads.query);
    assert!([q, z].iter().all(|x| x.len() >= rows.end * queries));
    assert!([k, v].iter().all(|x| x.len() >= rows.end * keys));
    assert_eq!((dq.len(), dz.len()), (rows.len() * each * queries, rows.len() * each * queries));
    assert_eq!((dk.len(), dv.len()), (rows.len() * each * keys, rows.len() * each * keys));
    if dz.is_empty() {
        return;
    }
    let seen = rows.end.next_multiple_of(16);
    let mut patterns =
        AlignedBuffer::zeros(heads.query * rows.len() * seen).expect("memory for the patterns of a sequence");
    let mut call = Call {
        cores,
        dq: Parts::new(dq),
        dk: Parts::new(dk),
        dv: Parts::new(dv),
        dz,
        q,
        k,
        v,
        z,
        sums,
        heads,
        each,
        seen,
        patterns: &[],
        rows,
    };
    cores.run_parts(&mut patterns, call.rows.len() * seen, |head, pattern| call.pattern(head, pattern));
    call.patterns = &patterns;
    // For each gradient of every row: those of output, key and value, and that of the scores.
    let lanes = call.rows.len() * (3 * padded(heads.size) + seen);
    let most = (cores.room().lanes() / lanes).clamp(1, MOST_STRIPS) * STRIP;
    let parts = each.div_ceil(most);
    cores.run(heads.key * parts, &|task| {
        let (head, part) = (task / parts, task % parts);
        call.part(head, each * part / parts..each * (part + 1) / parts);
    });
}

/// The most gradients that a task works on, in rows of a tile.
const MOST_STRIPS: usize = 4;

struct Call<'a> {
    cores: &'a Cores,
    dq: Parts<'a, f32>,
    dk: Parts<'a, f32>,
    dv: Parts<'a, f32>,
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
    /// `[query heads][rows][seen]`, zero after the visible keys.
    patterns: &'a [f32],
}

/// What a task computes with, for gradients `own` of every row.
struct Work<'a> {
    /// Gradients of this task.
    count: usize,
    /// `[seen][width]`, scaled.
    k: &'a mut [f32],
    /// `[size][seen]`.
    v_columns: &'a mut [f32],
    /// `[rows][width]`, scaled.
    q: &'a mut [f32],
    /// `[rows][count][width]`.
    dz: &'a mut [f32],
    /// `[count][width]`, of one row.
    dq: &'a mut [f32],
    /// The scores' gradients, `[rows][count][seen]`.
    ds: &'a mut [f32],
    /// `[rows][count][width]`.
    dk: &'a mut [f32],
    /// `[rows][count][width]`.
    dv: &'a mut [f32],
}

impl Call<'_> {
    /// The pattern of one query head.
    fn pattern(&self, head: usize, pattern: &mut [f32]) {
        let (size, width, scale) = (self.heads.size, padded(self.heads.size), self.heads.scale());
        with_scratch([size * self.seen, width], |[k_columns, q]| {
            self.columns(k_columns, self.k, head / self.heads.group());
            for (row, p) in self.rows.clone().zip(pattern.chunks_exact_mut(self.seen)) {
                put_row(q, &self.q[self.heads.query_at(row, head)], scale);
                let product = product([1, self.seen, size], (q, width, 1), (k_columns, self.seen));
                multiply(self.cores, Precision::F32, p, self.seen, Write::Set, product);
                exponentials(self.cores, &mut p[..=row], self.sums[row * self.heads.query + head]);
                p[row + 1..].fill(0.0);
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

    /// Gradients `own` of every row, of the query heads that share one key head.
    fn part(&self, key_head: usize, own: Range<usize>) {
        let (size, rows, count) = (self.heads.size, self.rows.len(), own.len());
        let width = padded(size);
        let all = rows * count * width;
        let lens = [
            self.seen * width,
            size * self.seen,
            rows * width,
            all,
            count * width,
            rows * count * self.seen,
            all,
            all,
        ];
        with_scratch(lens, |[k, v_columns, q, dz, dq, ds, dk, dv]| {
            let mut work = Work { count, k, v_columns, q, dz, dq, ds, dk, dv };
            for (position, k) in work.k.chunks_exact_mut(width).enumerate() {
                match position < self.rows.end {
                    true => put_row(k, &self.k[self.heads.key_at(position, key_head)], self.heads.scale()),
                    false => k.fill(0.0),
                }
            }
            self.columns(work.v_columns, self.v, key_head);
            let group = self.heads.group();
            for head in key_head * group..(key_head + 1) * group {
                let write = if head == key_head * group { Write::Set } else { Write::Add };
                self.head(&mut work, head, own.clone(), write);
            }
            for (row, (dk, dv)) in
                work.dk.chunks_exact(count * width).zip(work.dv.chunks_exact(count * width)).enumerate()
            {
                for (i, (from_k, from_v)) in dk.chunks_exact(width).zip(dv.chunks_exact(width)).enumerate() {
                    let to = self.heads.key_at(row * self.each + own.start + i, key_head);
                    // SAFETY: no other task uses this key head of this row.
                    let (dk, dv) = unsafe { (self.dk.part(to.clone()), self.dv.part(to)) };
                    dk.copy_from_slice(&from_k[..size]);
                    dv.copy_from_slice(&from_v[..size]);
                }
            }
        });
    }

    /// One query head: all of dq, and its part of dk and dv.
    fn head(&self, work: &mut Work<'_>, head: usize, own: Range<usize>, write: Write) {
        let (size, rows, seen, count) = (self.heads.size, self.rows.len(), self.seen, work.count);
        let width = padded(size);
        let pattern = &self.patterns[head * rows * seen..][..rows * seen];
        for (row, position) in self.rows.clone().enumerate() {
            put_row(
                &mut work.q[row * width..][..width],
                &self.q[self.heads.query_at(position, head)],
                self.heads.scale(),
            );
            let dz = &mut work.dz[row * count * width..][..count * width];
            let ds = &mut work.ds[row * count * seen..][..count * seen];
            for (i, dz) in dz.chunks_exact_mut(width).enumerate() {
                put_row(dz, &self.dz[self.heads.query_at(row * self.each + own.start + i, head)], 1.0);
            }
            let cols = (position + 1).next_multiple_of(16);
            let across = product([count, cols, size], (dz, width, 1), (work.v_columns, seen));
            multiply(self.cores, Precision::F32, ds, seen, Write::Set, across);
            let z = &self.z[self.heads.query_at(position, head)];
            for (ds, dz) in ds.chunks_exact_mut(seen).zip(dz.chunks_exact(width)) {
                slopes(
                    self.cores,
                    &mut ds[..cols],
                    &pattern[row * seen..][..cols],
                    dot(self.cores, &dz[..size], z),
                );
            }
            let back = product([count, width, position + 1], (ds, seen, 1), (work.k, width));
            multiply(self.cores, Precision::F32, work.dq, width, Write::Set, back);
            for (i, from) in work.dq.chunks_exact(width).enumerate() {
                // SAFETY: no other task uses this head of this row.
                let dq = unsafe { self.dq.part(self.heads.query_at(row * self.each + own.start + i, head)) };
                dq.copy_from_slice(&from[..size]);
            }
        }
        for row in 0..rows {
            // The rows from this one on see its key.
            let (depth, at) = (rows - row, row * count * width);
            let left = &work.ds[row * count * seen + self.rows.start + row..];
            let down =
                product([count, width, depth], (left, seen, count * seen), (&work.q[row * width..], width));
            multiply(self.cores, Precision::F32, &mut work.dk[at..], width, write, down);
        }
        for first in (0..rows).step_by(STRIP) {
            // Rows before `first` see none of these values; the pattern of those in between is zero where it must be.
            let (some, depth, at) = (STRIP.min(rows - first), rows - first, first * count * width);
            let left = &pattern[first * seen + self.rows.start + first..];
            let right = (&work.dz[at..], count * width);
            let down = product([some, count * width, depth], (left, 1, seen), right);
            multiply(self.cores, Precision::F32, &mut work.dv[at..], count * width, write, down);
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

kernel!(fn exponentials(p: &mut [f32], sum: f32) = exponentials_body);

/// `p = e^(p − sum)`.
#[inline(always)]
fn exponentials_body<V: Lanes>(v: V, p: &mut [f32], sum: f32) {
    for p in p.chunks_mut(V::LEN) {
        exp(v, v.load_part(p) - v.splat(sum)).store_part(p);
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
