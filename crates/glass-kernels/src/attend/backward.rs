//! The backward pass: blocks of keys against tiles of queries, recomputing the pattern (Dao et al. 2022, algorithm
//! 4).

use std::ops::Range;

use super::cache::transpose;
use super::{BLOCK, Heads, Span, assert_in_order, padded, strips};
use crate::dropout::{Dropout, drop_row};
use crate::exp::exp;
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;
use crate::scratch::with_scratch;
use crate::small_product::{SmallProduct, multiply};
use crate::{Cores, Precision, Write};

/// Gradients of [`attend`](super::attend) for spans without a past, with the pattern recomputed from `sums`; dq,
/// dk, dv are overwritten (in the rows of the spans).
pub fn attend_backward(
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
    spans: &[Span],
    dropout: Option<Dropout>,
) {
    assert!(
        dq.len() == q.len()
            && dz.len() == q.len()
            && z.len() == q.len()
            && sums.len() * heads.size == q.len()
    );
    assert!(dk.len() == k.len() && dv.len() == v.len() && k.len() == v.len());
    assert_in_order(spans);
    assert!(
        spans.iter().all(|span| span.past == 0),
        "the backward pass of attention requires spans without a past"
    );
    let (dq, dk, dv) = (&Parts::new(dq), &Parts::new(dk), &Parts::new(dv));
    let dropout = dropout.filter(|dropout| dropout.rate > 0.0);
    let call = Call { cores, dq, dk, dv, dz, q, k, v, z, sums, heads, dropout };
    cores.run(spans.len() * heads.key, &|task| {
        let (span, key_head) = (&spans[task / heads.key], task % heads.key);
        for head in key_head * heads.group()..(key_head + 1) * heads.group() {
            let write = if head % heads.group() == 0 { Write::Set } else { Write::Add };
            call.head(span, head, key_head, write);
        }
    });
}

/// The arguments of one call of [`attend_backward`].
struct Call<'a> {
    cores: &'a Cores,
    dq: &'a Parts<'a, f32>,
    dk: &'a Parts<'a, f32>,
    dv: &'a Parts<'a, f32>,
    dz: &'a [f32],
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    z: &'a [f32],
    sums: &'a [f32],
    heads: Heads,
    dropout: Option<Dropout>,
}

/// The rows of one query head, `padded(size)` apart.
struct Queries<'a> {
    /// Scaled by 1/√size.
    q: &'a [f32],
    dz: &'a [f32],
    /// The gradient of the scaled query, to be scaled at the end.
    dq: &'a mut [f32],
    /// `Σ dz z` for every row.
    along: &'a [f32],
    sums: &'a [f32],
}

/// One block of keys and values, as rows and as columns, and its gradients.
struct Keys<'a> {
    k: &'a mut [f32],
    k_columns: &'a mut [f32],
    v_columns: &'a mut [f32],
    dk: &'a mut [f32],
    dv: &'a mut [f32],
}

impl Call<'_> {
    /// One query head of one span: all of dq, and its part of dk and dv.
    fn head(&self, span: &Span, head: usize, key_head: usize, write: Write) {
        let (size, rows) = (self.heads.size, span.rows.len());
        let width = padded(size);
        // For each row: query, gradients of output and query; pattern and its gradient.
        let most = self.cores.room().lines(3 * width + 2 * BLOCK, rows, 1);
        let (all, block, columns, tile) = (rows * width, BLOCK * width, size * BLOCK, most * BLOCK);
        let lens = [all, all, all, rows, rows, block, columns, columns, block, block, tile, tile];
        with_scratch(lens, |[q, dz, dq, along, sums, k, k_columns, v_columns, dk, dv, p, ds]| {
            dq.fill(0.0);
            for (i, row) in span.rows.clone().enumerate() {
                let at = self.heads.query_at(row, head);
                put_row(&mut q[i * width..][..width], &self.q[at.clone()], self.heads.scale());
                put_row(&mut dz[i * width..][..width], &self.dz[at.clone()], 1.0);
                along[i] = dot(self.cores, &self.dz[at.clone()], &self.z[at]);
                sums[i] = self.sums[row * self.heads.query + head];
            }
            let mut queries = Queries { q, dz, dq, along, sums };
            let mut keys = Keys { k, k_columns, v_columns, dk, dv };
            for start in (0..rows).step_by(BLOCK) {
                let count = BLOCK.min(rows - start);
                self.load(&mut keys, span.rows.start + start, count, key_head);
                for first in (start..rows).step_by(most) {
                    let lines = first..rows.min(first + most);
                    let drop = self.dropout.map(|dropout| (dropout, span.slot, head));
                    self.tile(&mut queries, &mut keys, p, ds, start, count, lines, drop);
                }
                self.store(&keys, span.rows.start + start, count, key_head, write);
            }
            for (i, row) in span.rows.clone().enumerate() {
                // SAFETY: no other task uses this head of this row.
                let dq = unsafe { self.dq.part(self.heads.query_at(row, head)) };
                put_row(dq, &queries.dq[i * width..][..size], self.heads.scale());
            }
        });
    }

    /// Loads keys and values of the rows from `row` on.
    fn load(&self, keys: &mut Keys<'_>, row: usize, count: usize, head: usize) {
        let (size, stride) = (self.heads.size, self.heads.key * self.heads.size);
        let from = self.heads.key_at(row, head).start;
        if count < BLOCK {
            keys.k_columns.fill(0.0);
            keys.v_columns.fill(0.0);
        }
        transpose(self.cores, keys.k_columns, BLOCK, 0, count, &self.k[from..], stride);
        transpose(self.cores, keys.v_columns, BLOCK, 0, count, &self.v[from..], stride);
        for (i, k) in keys.k.chunks_exact_mut(padded(size)).take(count).enumerate() {
            put_row(k, &self.k[self.heads.key_at(row + i, head)], 1.0);
        }
        keys.dk.fill(0.0);
        keys.dv.fill(0.0);
    }

    /// Stores their gradients.
    fn store(&self, keys: &Keys<'_>, row: usize, count: usize, head: usize, write: Write) {
        let width = padded(self.heads.size);
        for i in 0..count {
            let range = self.heads.key_at(row + i, head);
            // SAFETY: no other task uses this key head of this row.
            let (dk, dv) = unsafe { (self.dk.part(range.clone()), self.dv.part(range)) };
            for (to, from) in [(dk, &keys.dk[i * width..]), (dv, &keys.dv[i * width..])] {
                match write {
                    Write::Set => to.iter_mut().zip(from).for_each(|(to, d)| *to = *d),
                    Write::Add => to.iter_mut().zip(from).for_each(|(to, d)| *to += *d),
                }
            }
        }
    }

    /// Query rows `lines` against the `count` keys from position `start` on: five products.
    fn tile(
        &self,
        queries: &mut Queries<'_>,
        keys: &mut Keys<'_>,
        p: &mut [f32],
        ds: &mut [f32],
        start: usize,
        count: usize,
        lines: Range<usize>,
        drop: Option<Drop>,
    ) {
        let (size, width) = (self.heads.size, padded(self.heads.size));
        let (q, dz) = (&queries.q[lines.start * width..], &queries.dz[lines.start * width..]);
        // From here on, lines and keys are counted from the first of the tile and the block.
        let ahead = lines.start - start;
        let cut = ahead + 1 < count;
        for strip in strips(0..lines.len(), cut) {
            let seen = count.min(ahead + strip.end);
            let at = strip.start * BLOCK..strip.end * BLOCK;
            let (p, ds) = (&mut p[at.clone()], &mut ds[at]);
            let across = |left, right| SmallProduct {
                rows: strip.len(),
                cols: seen.next_multiple_of(16),
                depth: size,
                left,
                left_row: width,
                left_step: 1,
                right,
                right_row: BLOCK,
                right_step: 16,
            };
            multiply(
                self.cores,
                Precision::F32,
                p,
                BLOCK,
                Write::Set,
                across(&q[strip.start * width..], keys.k_columns),
            );
            multiply(
                self.cores,
                Precision::F32,
                ds,
                BLOCK,
                Write::Set,
                across(&dz[strip.start * width..], keys.v_columns),
            );
            let rows = lines.start + strip.start..lines.start + strip.end;
            let (sums, along) = (&queries.sums[rows.clone()], &queries.along[rows.clone()]);
            slopes(self.cores, p, ds, rows.start, start..start + count, sums, along, drop);
            let back = SmallProduct {
                rows: strip.len(),
                cols: width,
                depth: seen,
                left: ds,
                left_row: BLOCK,
                left_step: 1,
                right: keys.k,
                right_row: width,
                right_step: 16,
            };
            multiply(
                self.cores,
                Precision::F32,
                &mut queries.dq[rows.start * width..],
                width,
                Write::Add,
                back,
            );
        }
        for strip in strips(0..count.min(ahead + lines.len()), cut) {
            // The first line that sees the first of these keys.
            let first = strip.start.saturating_sub(ahead);
            let down = |left, right| SmallProduct {
                rows: strip.len(),
                cols: width,
                depth: lines.len() - first,
                left,
                left_row: 1,
                left_step: BLOCK,
                right,
                right_row: width,
                right_step: 16,
            };
            let (corner, from, to) = (first * BLOCK + strip.start, first * width, strip.start * width);
            multiply(
                self.cores,
                Precision::F32,
                &mut keys.dv[to..],
                width,
                Write::Add,
                down(&p[corner..], &dz[from..]),
            );
            multiply(
                self.cores,
                Precision::F32,
                &mut keys.dk[to..],
                width,
                Write::Add,
                down(&ds[corner..], &q[from..]),
            );
        }
    }
}

/// `to = from × by`, padded with zeros.
pub(super) fn put_row(to: &mut [f32], from: &[f32], by: f32) {
    let (to, padding) = to.split_at_mut(from.len());
    to.iter_mut().zip(from).for_each(|(to, x)| *to = x * by);
    padding.fill(0.0);
}

kernel!(pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 = dot_body);

#[inline(always)]
fn dot_body<V: Lanes>(v: V, a: &[f32], b: &[f32]) -> f32 {
    let mut sum = v.splat(0.0);
    for (a, b) in a.chunks(V::LEN).zip(b.chunks(V::LEN)) {
        sum = v.load_part(a).mul_add(v.load_part(b), sum);
    }
    sum.sum()
}

/// What determines the mask of a head: the dropout, the slot and the head.
type Drop = (Dropout, usize, usize);

kernel!(
    fn slopes(
        p: &mut [f32],
        ds: &mut [f32],
        row: usize,
        keys: Range<usize>,
        sums: &[f32],
        along: &[f32],
        drop: Option<Drop>,
    ) = slopes_body
);

/// Lines of [`BLOCK`] keys, the first at position `row`: `p` holds scores and becomes the (dropped) pattern; `ds`
/// holds dp and becomes the scores' gradient `p (mask dp − along)`. Both are 0 after the visible keys.
#[inline(always)]
fn slopes_body<V: Lanes>(
    v: V,
    p: &mut [f32],
    ds: &mut [f32],
    row: usize,
    keys: Range<usize>,
    sums: &[f32],
    along: &[f32],
    drop: Option<Drop>,
) {
    let lines = p.chunks_exact_mut(BLOCK).zip(ds.chunks_exact_mut(BLOCK));
    for ((row, (p, ds)), (&sum, &along)) in (row..).zip(lines).zip(sums.iter().zip(along)) {
        let seen = keys.len().min(row + 1 - keys.start);
        let drop = |x: &mut [f32]| {
            if let Some((dropout, slot, head)) = drop {
                let seeds = dropout.row(slot, head, row);
                drop_row(x, seeds, keys.start as u32, dropout.threshold(), dropout.survivors());
            }
        };
        drop(&mut ds[..seen]);
        let cols = seen.next_multiple_of(V::LEN);
        for (p, ds) in p[..cols].chunks_exact_mut(V::LEN).zip(ds[..cols].chunks_exact_mut(V::LEN)) {
            let e = exp(v, v.load(p) - v.splat(sum));
            e.store(p);
            (e * (v.load(ds) - v.splat(along))).store(ds);
        }
        drop(&mut p[..seen]);
        p[seen..].fill(0.0);
        ds[seen..].fill(0.0);
    }
}
