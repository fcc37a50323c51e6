//! Attend: softmax(Q Kᵀ / √size) V under a causal mask, the square of the context never stored
//! (online softmax, Milakov & Gimelshein 2018; Dao et al. 2022).

use std::ops::Range;

use crate::Cores;
use crate::dropout::Dropout;

/// Keys in a block: the block's maximum, sum and mixed values are formed alone, and blocks are joined in order.
const BLOCK: usize = 64;

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
        self.slots * self.heads * self.positions.div_ceil(BLOCK) * self.size * BLOCK
    }

    /// Floats for the values.
    pub fn values_len(self) -> usize {
        self.slots * self.heads * self.positions * self.size
    }

    /// Where element `e` of a key stands.
    fn key(self, slot: usize, head: usize, position: usize, e: usize) -> usize {
        let blocks = self.positions.div_ceil(BLOCK);
        (((slot * self.heads + head) * blocks + position / BLOCK) * self.size + e) * BLOCK + position % BLOCK
    }

    /// Where a value starts.
    fn value(self, slot: usize, head: usize, position: usize) -> usize {
        ((slot * self.heads + head) * self.positions + position) * self.size
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
    cores: &Cores,
    keys: &mut [f32],
    values: &mut [f32],
    shape: KvShape,
    k: &[f32],
    v: &[f32],
    spans: &[Span],
) {
    let _ = cores;
    let size = shape.size;
    for span in spans {
        for (i, r) in span.rows.clone().enumerate() {
            for head in 0..shape.heads {
                let from = (r * shape.heads + head) * size;
                let (position, to) = (span.past + i, shape.value(span.slot, head, span.past + i));
                assert!(
                    position < shape.positions,
                    "position {position} is outside a cache of {}",
                    shape.positions
                );
                values[to..to + size].copy_from_slice(&v[from..from + size]);
                for e in 0..size {
                    keys[shape.key(span.slot, head, position, e)] = k[from + e];
                }
            }
        }
    }
}

/// `z = softmax(mask(q kᵀ / √size)) v` for every query head; q and z: `[rows, query heads × size]`. `sums`, where wanted
/// (`[rows, query heads]`), keeps each row's log-sum-exp for the backward.
pub fn attend(
    cores: &Cores,
    z: &mut [f32],
    sums: Option<&mut [f32]>,
    q: &[f32],
    kv: Kv<'_>,
    heads: Heads,
    spans: &[Span],
    dropout: Option<Dropout>,
) {
    let (size, mut sums) = (heads.size, sums);
    let mut p = vec![0.0; pattern_len(heads, spans)];
    pattern(cores, &mut p, q, kv, heads, spans);
    if let Some(sums) = &mut sums {
        log_sums(sums, q, kv, heads, spans);
    }
    if let Some(dropout) = dropout {
        drop_pattern(&mut p, heads, spans, dropout);
    }
    let _ = size;
    mix(cores, z, &p, kv, heads, spans);
}

fn drop_pattern(p: &mut [f32], heads: Heads, spans: &[Span], dropout: Dropout) {
    let mut at = 0;
    for span in spans {
        let keys = span.past + span.rows.len();
        for head in 0..heads.query {
            for i in 0..span.rows.len() {
                let row = dropout.row(span.slot, head, span.past + i);
                for (j, p) in p[at..at + keys].iter_mut().enumerate() {
                    let kept = crate::dropout::hash(row, j as u32) >= dropout.threshold();
                    *p = if kept { *p * dropout.survivors() } else { 0.0 };
                }
                at += keys;
            }
        }
    }
}

fn log_sums(sums: &mut [f32], q: &[f32], kv: Kv<'_>, heads: Heads, spans: &[Span]) {
    for span in spans {
        for (i, r) in span.rows.clone().enumerate() {
            for head in 0..heads.query {
                let scores: Vec<f32> =
                    (0..=span.past + i).map(|j| score(q, kv, heads, span, r, head, j)).collect();
                let max = scores.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
                sums[r * heads.query + head] = scores.iter().map(|x| (x - max).exp()).sum::<f32>().ln() + max;
            }
        }
    }
}

fn score(q: &[f32], kv: Kv<'_>, heads: Heads, span: &Span, r: usize, head: usize, j: usize) -> f32 {
    let (size, key_head) = (heads.size, head / (heads.query / heads.key));
    let q = &q[(r * heads.query + head) * size..][..size];
    let dot: f32 = (0..size).map(|e| q[e] * kv.keys[kv.shape.key(span.slot, key_head, j, e)]).sum();
    dot / (size as f32).sqrt()
}

/// Floats of the visible pattern of `spans`: for each span `[query heads][rows][past + rows]`, one after another.
pub fn pattern_len(heads: Heads, spans: &[Span]) -> usize {
    spans.iter().map(|s| heads.query * s.rows.len() * (s.past + s.rows.len())).sum()
}

/// The visible path, first step: the pattern itself, zero where masked.
pub fn pattern(cores: &Cores, p: &mut [f32], q: &[f32], kv: Kv<'_>, heads: Heads, spans: &[Span]) {
    let _ = cores;
    let mut at = 0;
    for span in spans {
        let keys = span.past + span.rows.len();
        for head in 0..heads.query {
            for (i, r) in span.rows.clone().enumerate() {
                let (seen, masked) = p[at..at + keys].split_at_mut(span.past + i + 1);
                for (j, p) in seen.iter_mut().enumerate() {
                    *p = score(q, kv, heads, span, r, head, j);
                }
                let max = seen.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
                seen.iter_mut().for_each(|p| *p = (*p - max).exp());
                let sum: f32 = seen.iter().sum();
                seen.iter_mut().for_each(|p| *p /= sum);
                masked.fill(0.0);
                at += keys;
            }
        }
    }
}

/// The visible path, second step: `z = p v`.
pub fn mix(cores: &Cores, z: &mut [f32], p: &[f32], kv: Kv<'_>, heads: Heads, spans: &[Span]) {
    let _ = cores;
    let size = heads.size;
    let mut at = 0;
    for span in spans {
        let keys = span.past + span.rows.len();
        for head in 0..heads.query {
            let key_head = head / (heads.query / heads.key);
            for (i, r) in span.rows.clone().enumerate() {
                let z = &mut z[(r * heads.query + head) * size..][..size];
                z.fill(0.0);
                for (j, &p) in p[at..at + keys].iter().enumerate().take(span.past + i + 1) {
                    let v = &kv.values[kv.shape.value(span.slot, key_head, j)..][..size];
                    z.iter_mut().zip(v).for_each(|(z, v)| *z += p * v);
                }
                at += keys;
            }
        }
    }
}

/// Gradients of [`attend`] for spans without a past, the pattern recomputed from `sums`; dq, dk, dv are overwritten.
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
    let _ = cores;
    let (size, scale) = (heads.size, 1.0 / (heads.size as f32).sqrt());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dq.fill(0.0);
    dk.fill(0.0);
    dv.fill(0.0);
    for span in spans {
        assert_eq!(span.past, 0, "the backward of attention is for spans without a past");
        for head in 0..heads.query {
            let key_head = head / (heads.query / heads.key);
            for (i, r) in span.rows.clone().enumerate() {
                let row = (r * heads.query + head) * size..(r * heads.query + head + 1) * size;
                let (q, dz, dq) = (&q[row.clone()], &dz[row.clone()], &mut dq[row.clone()]);
                let along = dot(dz, &z[row]);
                let sum = sums[r * heads.query + head];
                let drawn = dropout.map(|d| (d.row(span.slot, head, i), d.threshold(), d.survivors()));
                for (j, c) in span.rows.clone().enumerate().take(i + 1) {
                    let at = (c * heads.key + key_head) * size..(c * heads.key + key_head + 1) * size;
                    let p = (dot(q, &k[at.clone()]) * scale - sum).exp();
                    let mask = drawn.map_or(1.0, |(row, threshold, survivors)| {
                        if crate::dropout::hash(row, j as u32) >= threshold { survivors } else { 0.0 }
                    });
                    let ds = p * (mask * dot(dz, &v[at.clone()]) - along) * scale;
                    let (dk, dv) = (&mut dk[at.clone()], &mut dv[at.clone()]);
                    for e in 0..size {
                        dv[e] += mask * p * dz[e];
                        dk[e] += ds * q[e];
                        dq[e] += ds * k[at.start + e];
                    }
                }
            }
        }
    }
}
