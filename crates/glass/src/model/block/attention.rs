//! Attention: every position asks (query), every position before it answers (key), and what it has to say (value) is
//! mixed in by how well the two fit (Vaswani et al. 2017).
//!
//! A head's value matrix would be width × width; it is kept as two halves, `value_down` (width → head) for every head
//! and `value_up` (all heads → width), which others call the output projection.

use super::super::linear::Linear;
use super::super::norm::Norm;
use super::super::{Back, FIRST, Pass, THEN};
use crate::backend::{Attended, Backend, Heads, Kv, Tensor};
use crate::config::Config;
use crate::memory::{AttentionMemory, Scratch};
use crate::plan::{Plan, Start};
use crate::probe::{Probe, Site, Want};

/// Attention's layers.
#[derive(Clone, Debug)]
pub struct Attention {
    layer: usize,
    heads: Heads,
    norm: Norm,
    query: Linear,
    key: Linear,
    value_down: Linear,
    value_up: Linear,
}

impl Attention {
    /// Attention of block `layer`.
    pub fn plan(plan: &mut Plan, config: &Config, layer: usize) -> Self {
        let (heads, width, bias) = (config.heads, config.width, config.bias);
        let (queries, keys) = (heads.query * heads.size, heads.key * heads.size);
        Attention {
            layer,
            heads,
            norm: plan.within("norm", |p| Norm::plan(p, config)),
            query: plan.within("query", |p| Linear::plan(p, queries, width, bias, Start::Normal)),
            key: plan.within("key", |p| Linear::plan(p, keys, width, bias, Start::Normal)),
            value_down: plan.within("value_down", |p| Linear::plan(p, keys, width, bias, Start::Normal)),
            value_up: plan.within("value_up", |p| Linear::plan(p, width, queries, bias, Start::Residual)),
        }
    }

    /// residual → `scratch.branch`, what attention adds to it, `[rows, width]`.
    pub fn forward<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        scratch: &mut Scratch<B>,
        residual: &Tensor<B>,
        m: &mut AttentionMemory<B>,
        kv: &mut Kv<B>,
    ) {
        let Scratch { normed, stats, branch, .. } = scratch;
        self.norm.forward(pass, normed, stats, residual);
        pass.at(Site::AttentionNorm(self.layer), normed);
        self.query.forward(pass, &mut m.query, normed, None);
        pass.at(Site::Query(self.layer), &mut m.query);
        self.key.forward(pass, &mut m.key, normed, None);
        pass.at(Site::Key(self.layer), &mut m.key);
        self.value_down.forward(pass, &mut m.value, normed, None);
        pass.at(Site::Value(self.layer), &mut m.value);
        pass.backend.append(kv, &m.key, &m.value, pass.spans);

        let want = pass.wants(Site::Pattern(self.layer));
        if want != Want::Edit {
            let dropout = pass.dropout(self.dropout());
            pass.backend.attend(&mut m.mixed, m.sums.as_mut(), &m.query, kv, self.heads, pass.spans, dropout);
        }
        if want != Want::No {
            self.show_pattern(pass, want, m, kv);
        }
        pass.at(Site::Mixed(self.layer), &mut m.mixed);
        self.value_up.forward(pass, branch, &m.mixed, None);
        pass.at(Site::AttentionOut(self.layer), branch);
    }

    /// The fused word never holds the pattern, so a look computes it beside; an edit goes on from what it left.
    fn show_pattern<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        want: Want,
        m: &mut AttentionMemory<B>,
        kv: &Kv<B>,
    ) {
        let len = glass_kernels::attend::pattern_len(self.heads, pass.spans);
        let mut pattern =
            Tensor::new(pass.backend, 1, len).expect("memory for a pattern that someone looks at");
        pass.backend.pattern(&mut pattern, &m.query, kv, self.heads, pass.spans);
        pass.at(Site::Pattern(self.layer), &mut pattern);
        if want == Want::Edit {
            pass.backend.mix(&mut m.mixed, &pattern, kv, self.heads, pass.spans);
        }
    }

    /// `dscratch.branch` flows back through values, pattern, keys and queries and is added to `dresidual`.
    pub fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        dresidual: &mut Tensor<B>,
        dscratch: &mut Scratch<B>,
        d: &mut AttentionMemory<B>,
        residual: &Tensor<B>,
        scratch: &mut Scratch<B>,
        m: &AttentionMemory<B>,
    ) {
        let Scratch { normed, stats, .. } = scratch;
        let Scratch { normed: dnormed, branch: dbranch, .. } = dscratch;
        self.value_up.backward(back, &mut d.mixed, FIRST, dbranch, &m.mixed);
        let sums = m.sums.as_ref().expect("a backward follows a forward that kept its activations");
        let kept = Attended { query: &m.query, key: &m.key, value: &m.value, mixed: &m.mixed, sums };
        let (dq, dk, dv) = (&mut d.query, &mut d.key, &mut d.value);
        back.backend.attend_backward(
            dq,
            dk,
            dv,
            &d.mixed,
            kept,
            self.heads,
            back.spans,
            back.dropout(self.dropout()),
        );
        self.norm.forward(&back.pass(), normed, stats, residual);
        self.query.backward(back, dnormed, FIRST, &d.query, normed);
        self.key.backward(back, dnormed, THEN, &d.key, normed);
        self.value_down.backward(back, dnormed, THEN, &d.value, normed);
        self.norm.backward(back, dresidual, dnormed, residual, stats);
    }

    fn dropout(&self) -> u64 {
        1 + 3 * self.layer as u64
    }
}
