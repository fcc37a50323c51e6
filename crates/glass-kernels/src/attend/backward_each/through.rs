//! Gradients of attention's input, through weights that made queries and keys from it.

use std::ops::Range;

use super::{Each, Work, product, zeros};
use crate::attend::backward::put_row;
use crate::attend::{Heads, padded};
use crate::linear::{Layout, Matrix};
use crate::pool::Parts;
use crate::scratch::with_scratch;
use crate::small_product::multiply;
use crate::{Cores, Precision, Write};

/// The gradient of attention's input through queries and keys, and that of the values, for `each` gradients of the
/// output of [`attend`](crate::attend::attend) at every one of `rows`, the last positions of one sequence without a past: dz is
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
    let call = Each::new(cores, dz, [q, k, v, z, sums], heads, rows);
    let (given, each) = (call.rows.len(), call.each);
    assert_eq!((dx.len(), dv.len()), (given * each * width, given * each * keys));
    assert_eq!((query.rows, key.rows, key.cols), (queries, keys, width));
    assert_eq!((query.layout, key.layout), (Layout::Rows, Layout::Rows));
    if dz.is_empty() {
        return;
    }
    let across = padded(width);
    let mut through = zeros(heads.query * 2 * call.rows.end * across);
    let both = Both { call: &call, query, key, across };
    cores.run_parts(&mut through, 2 * call.rows.end * across, |head, to| both.through(head, to));
    let (dx, dv) = (&Parts::new(dx), &Parts::new(dv));
    // For each gradient of every row: those of a head's output and value, of all scores, and of a part of the input.
    let lanes = given * (2 * padded(heads.size) + heads.query * call.seen + PART.min(across));
    call.parts(lanes, |own| both.part(&through, dx, dv, own));
}

/// Columns of the input that are summed over all heads before the next ones.
const PART: usize = 256;

struct Both<'a> {
    call: &'a Each<'a>,
    query: Matrix<'a>,
    key: Matrix<'a>,
    /// Numbers of the input, rounded up to whole vectors.
    across: usize,
}

impl Both<'_> {
    /// The scaled keys of a query head through its weight, and its scaled queries through the weight of its key head:
    /// `[2][positions][across]`.
    fn through(&self, head: usize, both: &mut [f32]) {
        let call = self.call;
        let (size, key_head) = (call.heads.size, head / call.heads.group());
        let (keys, queries) = both.split_at_mut(call.rows.end * self.across);
        with_scratch([size * self.across, size], |[weight, x]| {
            let sides = [(keys, self.query, head, call.k), (queries, self.key, key_head, call.q)];
            for (side, (to, matrix, weight_head, from)) in sides.into_iter().enumerate() {
                let rows = matrix.values[weight_head * size * matrix.cols..].chunks_exact(matrix.cols);
                weight.chunks_exact_mut(self.across).zip(rows).for_each(|(to, row)| put_row(to, row, 1.0));
                for (position, to) in to.chunks_exact_mut(self.across).enumerate() {
                    let at = match side {
                        0 => call.heads.key_at(position, key_head),
                        _ => call.heads.query_at(position, head),
                    };
                    put_row(x, &from[at], call.heads.scale);
                    let product = product([1, self.across, size], (x, size, 1), (weight, self.across));
                    multiply(call.cores, Precision::F32, to, self.across, Write::Set, product);
                }
            }
        });
    }

    /// Gradients `own` of every row.
    fn part(&self, through: &[f32], dx: &Parts<'_, f32>, dv: &Parts<'_, f32>, own: Range<usize>) {
        let call = self.call;
        let (size, rows, count) = (call.heads.size, call.rows.len(), own.len());
        let (all, scores) = (rows * count * padded(size), rows * count * call.seen);
        let of_inputs = rows * count * PART.min(self.across);
        let lens = [size * call.seen, all, all, call.heads.query * scores, of_inputs];
        with_scratch(lens, |[v_columns, dz, dv_of, ds, inputs]| {
            let mut work = Work { own, v_columns, dz, dv: dv_of };
            let group = call.heads.group();
            for key_head in 0..call.heads.key {
                call.columns(work.v_columns, call.v, key_head);
                for head in key_head * group..(key_head + 1) * group {
                    call.scores(&mut work, &mut ds[head * scores..][..scores], head);
                    let write = if head == key_head * group { Write::Set } else { Write::Add };
                    call.values(&mut work, head, write);
                }
                call.store(dv, work.dv, &work.own, key_head, call.heads.key);
            }
            for first in (0..self.across).step_by(PART) {
                let columns = first..self.across.min(first + PART);
                self.inputs(through, dx, ds, inputs, &work.own, columns);
            }
        });
    }

    /// Some columns of dx, from the scores' gradients `ds` of all heads: `[rows][own][columns]`.
    fn inputs(
        &self,
        through: &[f32],
        dx: &Parts<'_, f32>,
        ds: &[f32],
        inputs: &mut [f32],
        own: &Range<usize>,
        columns: Range<usize>,
    ) {
        let call = self.call;
        let (rows, seen, count) = (call.rows.len(), call.seen, own.len());
        let (cols, side) = (columns.len(), call.rows.end * self.across);
        for head in 0..call.heads.query {
            let ds = &ds[head * rows * count * seen..][..rows * count * seen];
            let (keys, queries) = through[head * 2 * side..][..2 * side].split_at(side);
            for (row, position) in call.rows.clone().enumerate() {
                let to = &mut inputs[row * count * cols..];
                let write = if head == 0 { Write::Set } else { Write::Add };
                let first = call.heads.visible(position).first;
                let left = (&ds[row * count * seen + first..], seen, 1);
                let right = (&keys[first * self.across + columns.start..], self.across);
                let earlier = product([count, cols, position + 1 - first], left, right);
                multiply(call.cores, Precision::F32, to, cols, write, earlier);
                // The rows from this one on see its key.
                let left = (&ds[row * count * seen + position..], seen, count * seen);
                let right = (&queries[position * self.across + columns.start..], self.across);
                let later = product([count, cols, call.seeing(row) - row], left, right);
                multiply(call.cores, Precision::F32, to, cols, Write::Add, later);
            }
        }
        let width = self.query.cols;
        let kept = columns.start..columns.end.min(width);
        for (row, from) in inputs[..rows * count * cols].chunks_exact(count * cols).enumerate() {
            for (i, from) in own.clone().zip(from.chunks_exact(cols)) {
                let line = (row * call.each + i) * width;
                // SAFETY: no other task uses these gradients of this row.
                let dx = unsafe { dx.part(line + kept.start..line + kept.end) };
                dx.copy_from_slice(&from[..kept.len()]);
            }
        }
    }
}
