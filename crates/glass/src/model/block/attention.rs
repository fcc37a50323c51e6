//! Attention: the query of a position is compared with the keys of the positions up to it, and their values are summed with
//! weights that say how well query and key match (Vaswani et al. 2017).
//!
//! A head's value matrix would be width × width. It is stored as two factors: `value_down` (W_V, width → head size) for every
//! head, and `value_up` (W_O, all heads → width), also called the output projection.

use glass_kernels::attend::pattern_len;

use super::super::linear::Linear;
use super::super::norm::Norm;
use super::super::{Back, FIRST, Pass, THEN};
use crate::backend::{Attended, Backend, Heads, Kv, Span, Tensor};
use crate::config::Config;
use crate::memory::{AttentionMemory, Scratch};
use crate::plan::{Plan, Start};
use crate::probe::{Did, Part, Probe, Site, View, Want};

/// The steps from queries and keys to the pattern, a square for every head.
const SQUARES: [Part; 3] = [Part::Scores, Part::Masked, Part::Pattern];

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
        let (heads, width, bias) = (config.heads_of(layer), config.width, config.bias);
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

    /// First half: residual `[rows, width]` → `scratch.normed`, from which keys and values of all rows are appended to `kv`.
    pub fn keys_and_values<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        scratch: &mut Scratch<B>,
        residual: &Tensor<B>,
        m: &mut AttentionMemory<B>,
        kv: &mut Kv<B>,
    ) {
        let Scratch { normed, stats, .. } = scratch;
        self.norm.forward(pass, normed, stats, residual);
        pass.at(self.site(Part::AttentionNorm), normed);
        self.key.forward(pass, &mut m.key, normed, None);
        pass.at(self.site(Part::Key), &mut m.key);
        self.value_down.forward(pass, &mut m.value, normed, None);
        pass.at(self.site(Part::Value), &mut m.value);
        pass.backend.append(kv, &m.key, &m.value, pass.spans);
    }

    /// Second half: `scratch.normed` → queries, which attend to `kv` → `scratch.branch`, the output that is added to the
    /// residual, `[rows, width]`. It may have fewer rows than the first half.
    pub fn forward<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        scratch: &mut Scratch<B>,
        m: &mut AttentionMemory<B>,
        kv: &Kv<B>,
    ) {
        let Scratch { normed, branch, .. } = scratch;
        self.query.forward(pass, &mut m.query, normed, None);
        pass.at(self.site(Part::Query), &mut m.query);

        let dropout = pass.dropout(self.dropout());
        pass.backend.attend(&mut m.z, m.sums.as_mut(), &m.query, kv, self.heads, pass.spans, dropout);
        if SQUARES.iter().any(|&square| pass.wants(self.site(square)) != Want::No) {
            pass.spans.iter().for_each(|span| self.show_squares(pass, span, m, kv));
        }
        pass.at(self.site(Part::Z), &mut m.z);
        if pass.wants(self.site(Part::Contribution)) != Want::No {
            self.show_contributions(pass, &m.z, branch.cols);
        }
        self.value_up.forward(pass, branch, &m.z, None);
        pass.at(self.site(Part::AttentionOut), branch);
    }

    fn site(&self, part: Part) -> Site {
        Site::Block(self.layer, part)
    }

    /// The fused operation never stores the pattern, so it is computed separately for a probe, step by step. If the probe edited
    /// a step, the sequence continues with the edited numbers.
    fn show_squares<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        span: &Span,
        m: &mut AttentionMemory<B>,
        kv: &Kv<B>,
    ) {
        if SQUARES.iter().all(|&square| pass.probe.wants(self.site(square), span.slot) == Want::No) {
            return;
        }
        let (backend, spans) = (pass.backend, std::slice::from_ref(span));
        let len = pattern_len(self.heads, spans);
        let rows = self.heads.query * span.rows.len();
        let mut square = Tensor::new(backend, 1, len).expect("memory for a pattern that a probe reads");
        let mut edited = false;
        for part in SQUARES {
            match part {
                Part::Scores => backend.scores(&mut square, &m.query, kv, self.heads, spans),
                Part::Masked => backend.mask(&mut square, self.heads, spans),
                _ => backend.softmax(&mut square, self.heads, spans),
            }
            let (site, position) = (self.site(part), span.past);
            let view = View { site, slot: span.slot, position, rows, cols: len / rows.max(1) };
            edited |= pass.show_values(view, &mut square.data, 0..len) == Did::Edited;
        }
        if edited {
            backend.mix(&mut m.z, &square, kv, self.heads, spans);
        }
    }

    /// The contribution of each head, computed separately, since the product over all heads does not have them.
    fn show_contributions<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        z: &Tensor<B>,
        width: usize,
    ) {
        let (site, cols) = (self.site(Part::Contribution), self.heads.query * width);
        for span in pass.spans {
            if pass.probe.wants(site, span.slot) == Want::No {
                continue;
            }
            let rows = span.rows.len();
            let tensor = |cols| Tensor::new(pass.backend, rows, cols);
            let (mut own, mut contribution) = (tensor(z.cols), tensor(cols));
            let memory = "memory for contributions that a probe reads";
            let (own, contribution) = (own.as_mut().expect(memory), contribution.as_mut().expect(memory));
            pass.backend.take(own, z, &span.rows.clone().map(|row| row as u32).collect::<Vec<_>>());
            self.value_up.forward_in_parts(pass, contribution, own, self.heads.query);
            let view = View { site, slot: span.slot, position: span.past, rows, cols };
            let values = pass.backend.view(&contribution.data, 0..rows * cols);
            pass.probe.look(view, &values);
        }
    }

    /// The residual's gradient, without what `dropout` dropped, flows back through values, pattern, keys and queries and is added to
    /// `dresidual`.
    pub fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        dresidual: &mut Tensor<B>,
        dscratch: &mut Scratch<B>,
        dropout: u64,
        d: &mut AttentionMemory<B>,
        residual: &Tensor<B>,
        scratch: &mut Scratch<B>,
        m: &AttentionMemory<B>,
    ) {
        let Scratch { normed, stats, .. } = scratch;
        let Scratch { normed: dnormed, branch, .. } = dscratch;
        let dbranch = back.branch(dresidual, branch, dropout);
        self.value_up.backward(back, &mut d.z, FIRST, dbranch, &m.z);
        let sums = m.sums.as_ref().expect("a backward follows a forward that kept its activations");
        let kept = Attended { query: &m.query, key: &m.key, value: &m.value, z: &m.z, sums };
        let (dq, dk, dv) = (&mut d.query, &mut d.key, &mut d.value);
        let (heads, dropout) = (self.heads, back.dropout(self.dropout()));
        self.norm.forward(&back.pass(), normed, stats, residual);
        if back.each > 1 {
            let weights = [self.query.weight(back), self.key.weight(back)];
            back.backend.attend_backward_each(dnormed, dv, &d.z, kept, weights, heads, back.each);
        } else {
            back.backend.attend_backward(dq, dk, dv, &d.z, kept, heads, back.spans, dropout);
            self.query.backward(back, dnormed, FIRST, &d.query, normed);
            self.key.backward(back, dnormed, THEN, &d.key, normed);
        }
        self.value_down.backward(back, dnormed, THEN, &d.value, normed);
        self.norm.backward(back, dresidual, dnormed, residual, stats);
    }

    fn dropout(&self) -> u64 {
        1 + 3 * self.layer as u64
    }
}
