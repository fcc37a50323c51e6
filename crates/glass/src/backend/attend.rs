//! Attention's operations.

use std::ops::Range;

use super::{Attended, Dense, Device, Dropout, Grads, Heads, Kv, Span, Tensor, Weight};

/// The operations of attention. Shapes are those of the kernels.
pub trait Attend: Device {
    /// Appends keys and values to the slot of each span.
    fn append(&self, kv: &mut Kv<Self>, key: &Tensor<Self>, value: &Tensor<Self>, spans: &[Span]);
    /// Gives a slot what a branch of it has at these positions.
    fn keep_branch(&self, kv: &mut Kv<Self>, branch: usize, slot: usize, positions: Range<usize>);
    /// Every head's output, without storing the pattern; `sums` is written for a backward if given.
    fn attend(
        &self,
        z: &mut Tensor<Self>,
        sums: Option<&mut Tensor<Self>>,
        query: &Tensor<Self>,
        kv: &Kv<Self>,
        heads: Heads,
        sinks: Option<Weight<'_, Self>>,
        spans: &[Span],
        dropout: Option<Dropout>,
    );
    /// First step of attention with a stored pattern: every query times every key, for the spans that [`append`](Self::append) was
    /// given.
    fn scores(
        &self,
        scores: &mut Tensor<Self>,
        query: &Tensor<Self>,
        kv: &Kv<Self>,
        heads: Heads,
        spans: &[Span],
    );
    /// Second step: scales, caps, and sets −∞ where the query does not see the key.
    fn mask(&self, scores: &mut Tensor<Self>, heads: Heads, spans: &[Span]);
    /// Third step: turns scores into the pattern; a sink takes a share of every row.
    fn softmax(
        &self,
        scores: &mut Tensor<Self>,
        heads: Heads,
        sinks: Option<Weight<'_, Self>>,
        spans: &[Span],
    );
    /// Fourth step: multiplies the pattern by the values, into the rows of `spans`.
    fn mix(&self, z: &mut Tensor<Self>, pattern: &Tensor<Self>, kv: &Kv<Self>, heads: Heads, spans: &[Span]);
    /// Gradients of queries, keys and values; they are overwritten. That of the sinks is added to theirs, if it is wanted.
    fn attend_backward(
        &self,
        dquery: &mut Tensor<Self>,
        dkey: &mut Tensor<Self>,
        dvalue: &mut Tensor<Self>,
        dz: &Tensor<Self>,
        kept: Attended<'_, Self>,
        heads: Heads,
        sinks: Option<(Weight<'_, Self>, Option<Grads<'_, Self>>)>,
        spans: &[Span],
        dropout: Option<Dropout>,
    );

    /// For `each` gradients of every one of the last positions of one sequence, dz `[positions][each, …]`: the gradient of what queries and keys
    /// were made from by these weights (of queries, then of keys), and that of the values; both are overwritten. Positions before get
    /// none.
    fn attend_backward_each(
        &self,
        dx: &mut Tensor<Self>,
        dvalue: &mut Tensor<Self>,
        dz: &Tensor<Self>,
        kept: Attended<'_, Self>,
        weights: [Dense<'_, Self>; 2],
        heads: Heads,
        each: usize,
    );

    /// The same without weights: gradients of queries, keys and values, each for itself, `[positions][each, …]`; all are overwritten.
    fn attend_backward_each_apart(
        &self,
        dquery: &mut Tensor<Self>,
        dkey: &mut Tensor<Self>,
        dvalue: &mut Tensor<Self>,
        dz: &Tensor<Self>,
        kept: Attended<'_, Self>,
        heads: Heads,
        each: usize,
    );
}
