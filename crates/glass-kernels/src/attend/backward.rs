//! The backward pass: blocks of keys against tiles of queries, recomputing the pattern (Dao et al. 2022, algorithm
//! 4).

use std::ops::Range;

use super::cache::transpose;
use super::tile::cap_slope;
use super::{BLOCK, Heads, Span, assert_in_order, padded, strips};
use crate::dropout::{Dropout, drop_row};
use crate::exp::exp;
use crate::lanes::{Lanes, kernel};
use crate::pool::Parts;
use crate::scratch::with_scratch;
use crate::small_product::{SmallProduct, multiply};
use crate::{Cores, Precision, Write};

/// Gradients of [`attend`](super::attend) for spans without a past, with the pattern recomputed from `sums`; dq,
/// dk, dv are overwritten (in the rows of the spans). `sinks` are those of the forward pass, and what their gradients are
/// added to; a sink's gradient is summed in the order of the spans and their rows.
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
    sinks: Option<(&[f32], &mut [f32])>,
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
    if let Some((sinks, dsinks)) = sinks {
        assert!(sinks.len() == heads.query && dsinks.len() == heads.query);
        cores.run_parts(dsinks, 1, |head, dsink| {
            let own = spans.iter().flat_map(|span| call.sink(span, head, sinks[head]));
            dsink[0] += own.sum::<f64>() as f32;
        });
    }
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
    /// Scaled.
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
                put_row(&mut q[i * width..][..width], &self.q[at.clone()], self.heads.scale);
                put_row(&mut dz[i * width..][..width], &self.dz[at.clone()], 1.0);
                along[i] = dot(self.cores, &self.dz[at.clone()], &self.z[at]);
                sums[i] = self.sums[row * self.heads.query + head];
            }
            let mut queries = Queries { q, dz, dq, along, sums };
            let mut keys = Keys { k, k_columns, v_columns, dk, dv };
            for start in (0..rows).step_by(BLOCK) {
                let count = BLOCK.min(rows - start);
                self.load(&mut keys, span.rows.start + start, count, key_head);
                let end = rows.min(self.heads.seen_until(start + count - 1));
                for first in (start..end).step_by(most) {
                    let lines = first..end.min(first + most);
                    let drop = self.dropout.map(|dropout| (dropout, span.slot, head));
                    self.tile(&mut queries, &mut keys, p, ds, start, count, lines, drop);
                }
                self.store(&keys, span.rows.start + start, count, key_head, write);
            }
            for (i, row) in span.rows.clone().enumerate() {
                // SAFETY: no other task uses this head of this row.
                let dq = unsafe { self.dq.part(self.heads.query_at(row, head)) };
                put_row(dq, &queries.dq[i * width..][..size], self.heads.scale);
            }
        });
    }

    /// The gradient of a sink from every row of a span: minus its own weight in the softmax, times `Σ dz z`.
    fn sink<'s>(&'s self, span: &Span, head: usize, sink: f32) -> impl Iterator<Item = f64> + 's {
        span.rows.clone().map(move |row| {
            let (at, mut weight) = (self.heads.query_at(row, head), [sink]);
            exponentials(self.cores, &mut weight, self.sums[row * self.heads.query + head]);
            -f64::from(weight[0] * dot(self.cores, &self.dz[at.clone()], &self.z[at]))
        })
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
        let cut = lines.start + 1 < start + count || self.heads.visible(lines.end - 1).first > start;
        for strip in strips(lines.clone(), cut) {
            let at = (strip.start - lines.start) * BLOCK..(strip.end - lines.start) * BLOCK;
            self.rows(queries, keys, &mut p[at.clone()], &mut ds[at], start..start + count, strip, drop);
        }
        for strip in strips(0..count.min(lines.end - start), cut) {
            self.columns(queries, keys, p, ds, start, lines.clone(), strip);
        }
    }

    /// Some rows against a block of keys: pattern, the scores' gradient, and what flows back into dq.
    fn rows(
        &self,
        queries: &mut Queries<'_>,
        keys: &Keys<'_>,
        p: &mut [f32],
        ds: &mut [f32],
        block: Range<usize>,
        rows: Range<usize>,
        drop: Option<Drop>,
    ) {
        let (size, width) = (self.heads.size, padded(self.heads.size));
        let visible = |row: usize| self.heads.visible(row).within(block.start, block.len());
        // Before and after these keys, the pattern is zero.
        let (first, seen) = (visible(rows.start).start / 16 * 16, visible(rows.end - 1).end);
        let (q, dz) = (&queries.q[rows.start * width..], &queries.dz[rows.start * width..]);
        let across = |to: &mut [f32], left, columns: &[f32]| {
            let product = SmallProduct {
                rows: rows.len(),
                cols: seen.next_multiple_of(16) - first,
                depth: size,
                left,
                left_row: width,
                left_step: 1,
                right: &columns[first..],
                right_row: BLOCK,
                right_step: 16,
            };
            multiply(self.cores, Precision::F32, &mut to[first..], BLOCK, Write::Set, product);
        };
        across(p, q, keys.k_columns);
        across(ds, dz, keys.v_columns);
        let (sums, along) = (&queries.sums[rows.clone()], &queries.along[rows.clone()]);
        slopes(self.cores, p, ds, rows.start, block, self.heads, sums, along, drop);
        let back = SmallProduct {
            rows: rows.len(),
            cols: width,
            depth: seen - first,
            left: &ds[first..],
            left_row: BLOCK,
            left_step: 1,
            right: &keys.k[first * width..],
            right_row: width,
            right_step: 16,
        };
        let to = &mut queries.dq[rows.start * width..];
        multiply(self.cores, Precision::F32, to, width, Write::Add, back);
    }

    /// What flows back from the rows `lines` into some keys and values, counted from the first of the block.
    fn columns(
        &self,
        queries: &Queries<'_>,
        keys: &mut Keys<'_>,
        p: &[f32],
        ds: &[f32],
        start: usize,
        lines: Range<usize>,
        some: Range<usize>,
    ) {
        let width = padded(self.heads.size);
        // The rows that see some of these keys.
        let first = lines.start.max(start + some.start);
        let end = lines.end.min(self.heads.seen_until(start + some.end - 1));
        if first >= end {
            return;
        }
        let (corner, from, to) =
            ((first - lines.start) * BLOCK + some.start, first * width, some.start * width);
        for (to, left, right) in [
            (&mut keys.dv[to..], &p[corner..], &queries.dz[from..]),
            (&mut keys.dk[to..], &ds[corner..], &queries.q[from..]),
        ] {
            let down = SmallProduct {
                rows: some.len(),
                cols: width,
                depth: end - first,
                left,
                left_row: 1,
                left_step: BLOCK,
                right,
                right_row: width,
                right_step: 16,
            };
            multiply(self.cores, Precision::F32, to, width, Write::Add, down);
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

kernel!(pub(super) fn exponentials(p: &mut [f32], sum: f32) = exponentials_body);

/// `p = e^(p − sum)`.
#[inline(always)]
fn exponentials_body<V: Lanes>(v: V, p: &mut [f32], sum: f32) {
    for p in p.chunks_mut(V::LEN) {
        exp(v, v.load_part(p) - v.splat(sum)).store_part(p);
    }
}

/// What determines the mask of a head: the dropout, the slot and the head.
type Drop = (Dropout, usize, usize);

kernel!(
    fn slopes(
        p: &mut [f32],
        ds: &mut [f32],
        row: usize,
        keys: Range<usize>,
        heads: Heads,
        sums: &[f32],
        along: &[f32],
        drop: Option<Drop>,
    ) = slopes_body
);

/// Lines of [`BLOCK`] keys, the first at position `row`: `p` holds scores and becomes the (dropped) pattern; `ds`
/// holds dp and becomes the gradient `p (mask dp − along)` of the scores, through their cap. Both are 0 at keys that are not
/// visible.
#[inline(always)]
fn slopes_body<V: Lanes>(
    v: V,
    p: &mut [f32],
    ds: &mut [f32],
    row: usize,
    keys: Range<usize>,
    heads: Heads,
    sums: &[f32],
    along: &[f32],
    drop: Option<Drop>,
) {
    let lines = p.chunks_exact_mut(BLOCK).zip(ds.chunks_exact_mut(BLOCK));
    for ((row, (p, ds)), (&sum, &along)) in (row..).zip(lines).zip(sums.iter().zip(along)) {
        let seen = heads.visible(row).within(keys.start, keys.len());
        let drop = |x: &mut [f32]| {
            if let Some((dropout, slot, head)) = drop {
                let (seeds, first) = (dropout.row(slot, head, row), (keys.start + seen.start) as u32);
                drop_row(x, seeds, first, dropout.threshold(), dropout.survivors());
            }
        };
        drop(&mut ds[seen.clone()]);
        let columns = seen.start / V::LEN * V::LEN..seen.end.next_multiple_of(V::LEN);
        let parts = p[columns.clone()].chunks_exact_mut(V::LEN).zip(ds[columns].chunks_exact_mut(V::LEN));
        for (p, ds) in parts {
            let (score, slope) = match heads.cap {
                Some(cap) => cap_slope(v, v.load(p), cap),
                None => (v.load(p), v.splat(1.0)),
            };
            let e = exp(v, score - v.splat(sum));
            e.store(p);
            let gradient = e * (v.load(ds) - v.splat(along));
            if heads.cap.is_some() { gradient * slope } else { gradient }.store(ds);
        }
        drop(&mut p[seen.clone()]);
        for x in [p, ds] {
            x[..seen.start].fill(0.0);
            x[seen.end..].fill(0.0);
        }
    }
}
