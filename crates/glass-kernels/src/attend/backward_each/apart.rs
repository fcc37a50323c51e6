//! Gradients of queries, keys and values, each by itself.

use std::ops::Range;

use super::{Each, Work, product};
use crate::attend::backward::put_row;
use crate::attend::{Heads, padded};
use crate::pool::Parts;
use crate::scratch::with_scratch;
use crate::small_product::multiply;
use crate::{Cores, Precision, Write};

/// The gradients of queries, keys and values for `each` gradients of the output of [`attend`](crate::attend::attend) at
/// every one of `rows`, the last positions of one sequence without a past: dz and dq are `[rows][each, heads × size]`, dk
/// and dv `[rows][each, key heads × size]`; q, k, v, z and `sums` are those of all positions. Positions before the first of
/// `rows` get no gradient. dq, dk and dv are overwritten.
pub fn attend_backward_each_apart(
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
    let call = &Each::new(cores, dz, [q, k, v, z, sums], heads, rows);
    let keys = call.rows.len() * call.each * heads.key * heads.size;
    assert_eq!((dq.len(), dk.len(), dv.len()), (dz.len(), keys, keys));
    if dz.is_empty() {
        return;
    }
    let to = &[dq, dk, dv].map(Parts::new);
    // For each gradient of every row: those of a head's output, query, key, value and scores.
    let lanes = call.rows.len() * (4 * padded(heads.size) + call.seen);
    call.parts(lanes, |own| part(call, to, own));
}

/// Gradients `own` of every row.
fn part(call: &Each<'_>, [to_q, to_k, to_v]: &[Parts<'_, f32>; 3], own: Range<usize>) {
    let (heads, rows, seen, count) = (call.heads, call.rows.len(), call.seen, own.len());
    let (width, group) = (padded(heads.size), heads.group());
    let all = rows * count * width;
    let lens = [heads.size * seen, all, all, all, all, rows * count * seen, seen * width, rows * width];
    with_scratch(lens, |[v_columns, dz, dv, dq, dk, ds, k, q]| {
        let mut work = Work { own, v_columns, dz, dv };
        for key_head in 0..heads.key {
            call.columns(work.v_columns, call.v, key_head);
            for (position, k) in k.chunks_exact_mut(width).take(call.rows.end).enumerate() {
                put_row(k, &call.k[heads.key_at(position, key_head)], heads.scale);
            }
            for head in key_head * group..(key_head + 1) * group {
                for (position, q) in call.rows.clone().zip(q.chunks_exact_mut(width)) {
                    put_row(q, &call.q[heads.query_at(position, head)], heads.scale);
                }
                call.scores(&mut work, ds, head);
                let write = if head == key_head * group { Write::Set } else { Write::Add };
                call.values(&mut work, head, write);
                queries_and_keys(call, dq, dk, ds, q, k, count, write);
                call.store(to_q, dq, &work.own, head, heads.query);
            }
            call.store(to_k, dk, &work.own, key_head, heads.key);
            call.store(to_v, work.dv, &work.own, key_head, heads.key);
        }
    });
}

/// dq of one query head, and its part of dk, from the gradients of its scores.
fn queries_and_keys(
    call: &Each<'_>,
    dq: &mut [f32],
    dk: &mut [f32],
    ds: &[f32],
    q: &[f32],
    k: &[f32],
    count: usize,
    write: Write,
) {
    let (seen, width) = (call.seen, padded(call.heads.size));
    for (row, position) in call.rows.clone().enumerate() {
        let to = row * count * width;
        let first = call.heads.visible(position).first;
        let left = (&ds[row * count * seen + first..], seen, 1);
        let earlier = product([count, width, position + 1 - first], left, (&k[first * width..], width));
        multiply(call.cores, Precision::F32, &mut dq[to..], width, Write::Set, earlier);
        // The rows from this one on see its key.
        let left = (&ds[row * count * seen + position..], seen, count * seen);
        let later = product([count, width, call.seeing(row) - row], left, (&q[row * width..], width));
        multiply(call.cores, Precision::F32, &mut dk[to..], width, write, later);
    }
}
