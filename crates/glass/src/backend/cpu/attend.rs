//! Attention's operations on a CPU.

use std::ops::Range;

use glass_kernels::attend;

use super::Cpu;
use super::operands::{dense, kv, used, used_mut, vector};
use crate::backend::{Attend, Attended, Dense, Dropout, Grads, Heads, Kv, Span, Tensor, Weight};

impl Attend for Cpu {
    fn append(&self, kv: &mut Kv<Self>, key: &Tensor<Self>, value: &Tensor<Self>, spans: &[Span]) {
        let Kv { keys, values, shape, table } = kv;
        attend::append(&self.cores, keys, values, *shape, table, used(key), used(value), spans);
    }

    fn keep_branch(&self, kv: &mut Kv<Self>, branch: usize, slot: usize, positions: Range<usize>) {
        let Kv { keys, values, shape, table } = kv;
        attend::keep_branch(keys, values, *shape, table, branch, slot, positions);
    }

    fn attend(
        &self,
        z: &mut Tensor<Self>,
        sums: Option<&mut Tensor<Self>>,
        query: &Tensor<Self>,
        cache: &Kv<Self>,
        heads: Heads,
        sinks: Option<Weight<'_, Self>>,
        spans: &[Span],
        dropout: Option<Dropout>,
    ) {
        let (z, sums, query, sinks) =
            (used_mut(z), sums.map(used_mut), used(query), sinks.as_ref().map(vector));
        attend::attend(&self.cores, z, sums, query, kv(cache), heads, sinks, spans, dropout);
    }

    fn scores(
        &self,
        scores: &mut Tensor<Self>,
        query: &Tensor<Self>,
        cache: &Kv<Self>,
        heads: Heads,
        spans: &[Span],
    ) {
        attend::scores(&self.cores, used_mut(scores), used(query), kv(cache), heads, spans);
    }

    fn mask(&self, scores: &mut Tensor<Self>, heads: Heads, spans: &[Span]) {
        attend::mask(&self.cores, used_mut(scores), heads, spans);
    }

    fn softmax(
        &self,
        scores: &mut Tensor<Self>,
        heads: Heads,
        sinks: Option<Weight<'_, Self>>,
        spans: &[Span],
    ) {
        attend::softmax(&self.cores, used_mut(scores), heads, sinks.as_ref().map(vector), spans);
    }

    fn mix(
        &self,
        z: &mut Tensor<Self>,
        pattern: &Tensor<Self>,
        cache: &Kv<Self>,
        heads: Heads,
        spans: &[Span],
    ) {
        attend::mix(&self.cores, used_mut(z), used(pattern), kv(cache), heads, spans);
    }

    fn attend_backward(
        &self,
        dquery: &mut Tensor<Self>,
        dkey: &mut Tensor<Self>,
        dvalue: &mut Tensor<Self>,
        dmixed: &Tensor<Self>,
        kept: Attended<'_, Self>,
        heads: Heads,
        sinks: Option<(Weight<'_, Self>, Option<Grads<'_, Self>>)>,
        spans: &[Span],
        dropout: Option<Dropout>,
    ) {
        let (mut sinks, mut unwanted) = (sinks, vec![0.0; heads.query]);
        let sinks = sinks.as_mut().map(|(sinks, grads)| {
            let dsinks = grads.as_mut().map(|grads| &mut grads.arena[grads.weight.clone()]);
            (vector(sinks), dsinks.unwrap_or(&mut unwanted))
        });
        attend::attend_backward(
            &self.cores,
            used_mut(dquery),
            used_mut(dkey),
            used_mut(dvalue),
            used(dmixed),
            used(kept.query),
            used(kept.key),
            used(kept.value),
            used(kept.z),
            used(kept.sums),
            heads,
            sinks,
            spans,
            dropout,
        );
    }

    fn attend_backward_each(
        &self,
        dx: &mut Tensor<Self>,
        dvalue: &mut Tensor<Self>,
        dz: &Tensor<Self>,
        kept: Attended<'_, Self>,
        weights: [Dense<'_, Self>; 2],
        heads: Heads,
        each: usize,
    ) {
        let rows = kept.query.rows - dz.rows / each..kept.query.rows;
        attend::attend_backward_each(
            &self.cores,
            used_mut(dx),
            used_mut(dvalue),
            used(dz),
            used(kept.query),
            used(kept.key),
            used(kept.value),
            used(kept.z),
            used(kept.sums),
            weights.each_ref().map(dense),
            heads,
            rows,
        );
    }

    fn attend_backward_each_apart(
        &self,
        dquery: &mut Tensor<Self>,
        dkey: &mut Tensor<Self>,
        dvalue: &mut Tensor<Self>,
        dz: &Tensor<Self>,
        kept: Attended<'_, Self>,
        heads: Heads,
        each: usize,
    ) {
        let rows = kept.query.rows - dz.rows / each..kept.query.rows;
        attend::attend_backward_each_apart(
            &self.cores,
            used_mut(dquery),
            used_mut(dkey),
            used_mut(dvalue),
            used(dz),
            used(kept.query),
            used(kept.key),
            used(kept.value),
            used(kept.z),
            used(kept.sums),
            heads,
            rows,
        );
    }
}
