//! Attention: the query of a position is compared with the keys of the positions up to it, and their values are summed with
//! weights that say how well query and key match (Vaswani et al. 2017).
//!
//! A head's value matrix would be width × width. It is stored as two factors: `value_down` (W_V, width → head size) for every
//! head, and `value_up` (W_O, all heads → width), also called the output projection.

use glass_kernels::attend::pattern_len;

use super::super::linear::Linear;
use super::super::norm::Norm;
use super::super::{Back, DropoutState, FIRST, Pass, THEN};
use super::ends::Ends;
use super::turned::Turned;
use crate::backend::{Attended, Backend, Heads, Kv, Span, Tensor, Weight};
use crate::config::Config;
use crate::memory::{AttentionMemory, KeyMemory, Scratch, Turns};
use crate::plan::{Param, Plan, Start};
use crate::probe::{Did, Part, Probe, Site, View, Want};

/// The steps from queries and keys to the pattern, a square for every head.
const SQUARES: [Part; 3] = [Part::Scores, Part::Masked, Part::Pattern];

/// Attention's layers.
#[derive(Clone, Debug)]
pub struct Attention {
    layer: usize,
    heads: Heads,
    ends: Ends,
    query: Turned,
    /// None if it reads those of a layer before it.
    keys: Option<Keys>,
    value_up: Linear,
    sinks: Option<Param>,
}

/// The layers of keys and values.
#[derive(Clone, Debug)]
struct Keys {
    key: Turned,
    value_down: Linear,
}

impl Attention {
    /// Attention of block `layer`.
    pub fn plan(plan: &mut Plan, config: &Config, layer: usize) -> Self {
        let (heads, width, bias) = (config.heads_of(layer), config.width, config.bias);
        let (queries, keys) = (heads.query * heads.size, heads.key * heads.size);
        let norm = Ends::plan_before(plan, config);
        let down = |plan: &mut Plan, name: &str, outputs| {
            plan.within(name, |p| Linear::plan(p, outputs, width, bias.query_key_value, Start::Normal))
        };
        let query = down(plan, "query", queries);
        let own = config.has_keys(layer).then(|| ["key", "value_down"].map(|name| down(plan, name, keys)));
        let value_up =
            plan.within("value_up", |p| Linear::plan(p, width, queries, bias.value_up, Start::Residual));
        let turns = Turns::of(config, layer);
        let query_parts = [Part::Query, Part::QueryNorm, Part::QueryRotated];
        let key_parts = [Part::Key, Part::KeyNorm, Part::KeyRotated];
        let query = Turned::plan(plan, config, "query_norm", query, heads.query, turns.map(|t| t.query))
            .shown_at(query_parts.map(|part| Site::Block(layer, part)));
        let keys = own.map(|[key, value_down]| {
            let key = Turned::plan(plan, config, "key_norm", key, heads.key, turns.map(|t| t.key))
                .shown_at(key_parts.map(|part| Site::Block(layer, part)));
            Keys { key, value_down }
        });
        let sinks = config.sinks.then(|| plan.vector("sinks", heads.query, Start::Zero));
        let ends = Ends::plan(plan, config, norm);
        Attention { layer, heads, ends, query, keys, value_up, sinks }
    }

    /// The norm before it, if there is one.
    pub fn norm(&self) -> Option<Norm> {
        self.ends.before
    }

    /// First half: residual `[rows, width]` → `scratch.normed`, from which keys and values of all rows are appended to `kv`, unless
    /// it reads those of a layer before it.
    pub fn keys_and_values<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        scratch: &mut Scratch<B>,
        residual: &Tensor<B>,
        m: &mut AttentionMemory<B>,
        made: &mut KeyMemory<B>,
        kv: &mut Kv<B>,
    ) {
        let Scratch { normed, stats, angles, .. } = scratch;
        self.ends.enter(pass, normed, stats, residual);
        pass.at(self.site(Part::AttentionNorm), normed);
        let Some(Keys { key, value_down }) = &self.keys else { return };
        let mut unnormed = m.key_norm.as_mut();
        let keys = key.linear_output(&mut made.key, &mut unnormed);
        let layers = [(&key.linear, keys, None), (value_down, &mut made.value, None)];
        Linear::forward_two(pass, normed, layers);
        key.turn(pass, &mut made.key, unnormed, angles);
        pass.at(self.site(Part::Value), &mut made.value);
        pass.backend.append(kv, &made.key, &made.value, pass.spans);
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
        let Scratch { normed, stats, branch, angles, .. } = scratch;
        self.query.forward(pass, &mut m.query, m.query_norm.as_mut(), normed, angles);
        let dropout = pass.dropout(self.dropout());
        let sums = m.sums.as_mut();
        pass.backend.attend(&mut m.z, sums, &m.query, kv, self.heads, self.sinks(pass), pass.spans, dropout);
        if SQUARES.iter().any(|&square| pass.wants(self.site(square)) != Want::No) {
            pass.spans.iter().for_each(|span| self.show_squares(pass, span, m, kv));
        }
        pass.at(self.site(Part::Z), &mut m.z);
        let to = m.unnormed.as_mut().unwrap_or(&mut *branch);
        self.value_up.forward(pass, to, &m.z, None);
        if let Some(unnormed) = &mut m.unnormed {
            pass.at(self.site(Part::AttentionUnnormed), unnormed);
        }
        self.ends.leave(pass, branch, stats, m.unnormed.as_ref());
        if pass.wants(self.site(Part::Contribution)) != Want::No {
            self.show_contributions(pass, &m.z, stats, branch.cols);
        }
        pass.at(self.site(Part::AttentionOut), branch);
    }

    fn sinks<'a, B: Backend, P: Probe>(&self, pass: &Pass<'a, B, P>) -> Option<Weight<'a, B>> {
        self.sinks.map(|sinks| pass.weight(sinks))
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
                _ => backend.softmax(&mut square, self.heads, self.sinks(pass), spans),
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
        stats: &Tensor<B>,
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
            let of_span: Vec<u32> = span.rows.clone().map(|row| row as u32).collect();
            pass.backend.take(own, z, &of_span);
            let spans = [Span { rows: 0..rows, slot: span.slot, past: span.past }];
            let (backend, weights) = (pass.backend, pass.weights);
            let alone = Pass { backend, weights, spans: &spans, output_rows: None, dropout: None, probe: () };
            self.value_up.forward_in_parts(&alone, contribution, own, self.heads.query);
            self.ends.leave_in_parts(pass, contribution, self.heads.query, stats, &of_span);
            let view = View { site, slot: span.slot, position: span.past, rows, cols };
            let values = pass.backend.view(&contribution.data, 0..rows * cols);
            pass.probe.look(view, &values);
        }
    }

    /// The gradient of what attention added to the residual, without what `dropout` dropped, flows back through values, pattern,
    /// keys and queries and is added to `dresidual`. It is that of `dresidual`, or of `dscratch.input` where the MLP reads
    /// the same residual. Of keys and values that several layers read, the gradients are added up, until the layer is reached whose own
    /// they are.
    pub fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        dresidual: &mut Tensor<B>,
        dscratch: &mut Scratch<B>,
        dropout: u64,
        d: &mut AttentionMemory<B>,
        (dkeys, sum): (&mut KeyMemory<B>, Option<&mut KeyMemory<B>>),
        residual: &Tensor<B>,
        scratch: &mut Scratch<B>,
        (m, keys): (&AttentionMemory<B>, &KeyMemory<B>),
    ) {
        let Scratch { normed, stats, angles, .. } = scratch;
        let Scratch { normed: dnormed, branch, input, .. } = dscratch;
        let dsum = input.as_ref().unwrap_or(dresidual);
        let dbranch = self.ends.branch(back, dsum, branch, dropout);
        let unnormed = m.unnormed.as_ref().zip(d.unnormed.as_mut());
        let dbranch = self.ends.back_in(back, dbranch, unnormed, normed, stats);
        self.value_up.backward(back, &mut d.z, FIRST, dbranch, &m.z);
        let sums = m.sums.as_ref().expect("a backward follows a forward that kept its activations");
        let kept = Attended { query: &m.query, key: &keys.key, value: &keys.value, z: &m.z, sums };
        let (dq, KeyMemory { key: dk, value: dv }) = (&mut d.query, dkeys);
        self.ends.enter(&back.pass(), normed, stats, residual);
        let linear = self.keys.as_ref().filter(|own| self.query.is_linear() && own.key.is_linear());
        if let Some(own) = linear.filter(|_| back.each > 1 && sum.is_none()) {
            // Multiplied by the weights of queries and keys already.
            let weights = [self.query.linear.dense(back), own.key.linear.dense(back)];
            back.backend.attend_backward_each(dnormed, dv, &d.z, kept, weights, self.heads, back.each);
        } else {
            if back.each > 1 {
                back.backend.attend_backward_each_apart(dq, dk, dv, &d.z, kept, self.heads, back.each);
            } else {
                let dropout = DropoutState::at(back.dropout, self.dropout());
                let (heads, spans, backend) = (self.heads, back.spans, back.backend);
                let sinks = self.sinks.map(|sinks| (back.weight(sinks), back.grads(sinks, None)));
                backend.attend_backward(dq, dk, dv, &d.z, kept, heads, sinks, spans, dropout);
            }
            self.query.backward(
                back,
                dnormed,
                FIRST,
                dq,
                d.query_norm.as_mut(),
                m.query_norm.as_ref(),
                normed,
                angles,
            );
            match (&self.keys, sum) {
                (None, sum) => {
                    let sum = sum.expect("keys and values that several layers read");
                    back.backend.add(&mut sum.key, dk);
                    back.backend.add(&mut sum.value, dv);
                }
                (Some(own), sum) => {
                    if let Some(sum) = sum {
                        back.backend.add(dk, &sum.key);
                        back.backend.add(dv, &sum.value);
                    }
                    let (d, m) = (d.key_norm.as_mut(), m.key_norm.as_ref());
                    own.key.backward(back, dnormed, THEN, dk, d, m, normed, angles);
                }
            }
        }
        if let Some(own) = &self.keys {
            own.value_down.backward(back, dnormed, THEN, dv, normed);
        }
        self.ends.back_out(back, dresidual, dnormed, residual, stats);
    }

    fn dropout(&self) -> u64 {
        1 + 3 * self.layer as u64
    }
}
