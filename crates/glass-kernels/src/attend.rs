//! Attend: softmax(Q Kᵀ / √size) V under a causal mask, the square of the context never stored
//! (online softmax, Milakov & Gimelshein 2018; Dao et al. 2022).

use std::ops::Range;

use crate::Cores;
use crate::dropout::Dropout;

/// The heads of an attention layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key and value heads; fewer than `query` when groups of queries share them.
    pub key: usize,
    /// Width of one head.
    pub size: usize,
}

/// Which rows of the matrix are one sequence's, and how many keys it already has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    /// Rows of the batch.
    pub rows: Range<usize>,
    /// The sequence's place in the cache.
    pub slot: usize,
    /// Positions already in the cache: row `rows.start` is position `past`.
    pub past: usize,
}

/// The shape of a cache of keys and values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KvShape {
    /// Key heads.
    pub heads: usize,
    /// Width of one head.
    pub size: usize,
    /// Sequences.
    pub slots: usize,
    /// Positions a sequence can hold.
    pub positions: usize,
}

impl KvShape {
    /// Floats for the keys (the layout is this file's own: columns of keys side by side, so that lanes run over keys).
    pub fn keys_len(self) -> usize {
        todo!()
    }

    /// Floats for the values.
    pub fn values_len(self) -> usize {
        todo!()
    }
}

/// Keys and values of every sequence, as [`append`] wrote them.
#[derive(Clone, Copy, Debug)]
pub struct Kv<'a> {
    /// Keys.
    pub keys: &'a [f32],
    /// Values.
    pub values: &'a [f32],
    /// Their shape.
    pub shape: KvShape,
}

/// Writes rows of k and v (`[rows, key heads × size]`) behind what each span's slot holds.
pub fn append(
    cores: &Cores, keys: &mut [f32], values: &mut [f32], shape: KvShape, k: &[f32], v: &[f32], spans: &[Span],
) {
    let _ = (cores, keys, values, shape, k, v, spans);
    todo!()
}

/// `z = softmax(mask(q kᵀ / √size)) v` for every query head; q and z: `[rows, query heads × size]`. `sums`, where wanted
/// (`[rows, query heads]`), keeps each row's log-sum-exp for the backward.
pub fn attend(
    cores: &Cores, z: &mut [f32], sums: Option<&mut [f32]>, q: &[f32], kv: Kv<'_>, heads: Heads, spans: &[Span],
    dropout: Option<Dropout>,
) {
    let _ = (cores, z, sums, q, kv, heads, spans, dropout);
    todo!()
}

/// Floats of the visible pattern of `spans`: for each span `[query heads][rows][past + rows]`, one after another.
pub fn pattern_len(heads: Heads, spans: &[Span]) -> usize {
    spans.iter().map(|s| heads.query * s.rows.len() * (s.past + s.rows.len())).sum()
}

/// The visible path, first step: the pattern itself, zero where masked.
pub fn pattern(cores: &Cores, p: &mut [f32], q: &[f32], kv: Kv<'_>, heads: Heads, spans: &[Span]) {
    let _ = (cores, p, q, kv, heads, spans);
    todo!()
}

/// The visible path, second step: `z = p v`.
pub fn mix(cores: &Cores, z: &mut [f32], p: &[f32], kv: Kv<'_>, heads: Heads, spans: &[Span]) {
    let _ = (cores, z, p, kv, heads, spans);
    todo!()
}

/// Gradients of [`attend`] for spans without a past, the pattern recomputed from `sums`; dq, dk, dv are overwritten.
pub fn attend_backward(
    cores: &Cores, dq: &mut [f32], dk: &mut [f32], dv: &mut [f32], dz: &[f32], q: &[f32], k: &[f32], v: &[f32],
    z: &[f32], sums: &[f32], heads: Heads, spans: &[Span], dropout: Option<Dropout>,
) {
    let _ = (cores, dq, dk, dv, dz, q, k, v, z, sums, heads, spans, dropout);
    todo!()
}
