//! The MLP: each vector is mapped to a wider hidden layer, through a non-linearity, and back. The hidden layer may be gated: one
//! product goes through the non-linearity and multiplies another one.

use super::super::linear::{Linear, backward_pair};
use super::super::norm::Norm;
use super::super::{Back, FIRST, Pass, THEN};
use super::ends::Ends;
use crate::backend::{Activation, Backend, Tensor};
use crate::config::{Branches, Config};
use crate::memory::{MlpMemory, Scratch};
use crate::plan::{Plan, Start};
use crate::probe::{Part, Probe, Site, Want};

/// The MLP's layers.
#[derive(Clone, Debug)]
pub struct Mlp {
    layer: usize,
    activation: Activation,
    ends: Ends,
    /// What goes through the non-linearity, if the hidden layer is gated.
    gate: Option<Linear>,
    up: Linear,
    down: Linear,
}

impl Mlp {
    /// The MLP of block `layer`; `shared` is the norm before attention.
    pub fn plan(plan: &mut Plan, config: &Config, layer: usize, shared: Option<Norm>) -> Self {
        let (width, hidden, bias) = (config.width, config.mlp_width, config.bias.mlp);
        let norm = match config.branches {
            Branches::Together { one_norm: true } => shared,
            _ => Ends::plan_before(plan, config),
        };
        let wider = |plan: &mut Plan, name: &str| {
            plan.within(name, |p| Linear::plan(p, hidden, width, bias, Start::Normal))
        };
        let gate = config.gated.then(|| wider(plan, "gate"));
        let up = wider(plan, "up");
        let down = plan.within("down", |p| Linear::plan(p, width, hidden, bias, Start::Residual));
        let ends = Ends::plan(plan, config, norm);
        Mlp { layer, activation: config.activation, ends, gate, up, down }
    }

    /// The layer that goes through the non-linearity.
    fn hidden(&self) -> &Linear {
        self.gate.as_ref().unwrap_or(&self.up)
    }

    /// residual → `scratch.branch`, the output that is added to it, `[rows, width]`.
    pub fn forward<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        scratch: &mut Scratch<B>,
        residual: &Tensor<B>,
        m: &mut MlpMemory<B>,
    ) {
        let Scratch { normed, stats, active, up, branch, .. } = scratch;
        self.ends.enter(pass, normed, stats, residual);
        pass.at(self.site(Part::MlpNorm), normed);
        // Fused if nothing reads the hidden layer before the activation. The bits are the same either way.
        let mut looked_at = None;
        let mut hidden = match &mut m.hidden {
            None if pass.wants(self.site(Part::Hidden)) != Want::No => {
                let hidden = Tensor::new(pass.backend, active.rows, active.cols);
                Some(looked_at.insert(hidden.expect("memory for a hidden layer that a probe reads")))
            }
            kept => kept.as_mut(),
        };
        let up = m.up.as_mut().unwrap_or(up);
        let (first, activation) = match hidden {
            Some(ref mut hidden) => (&mut **hidden, None),
            None => (&mut *active, Some(self.activation)),
        };
        match &self.gate {
            None => self.up.forward(pass, first, normed, activation),
            Some(gate) => {
                let layers = [(gate, first, activation), (&self.up, &mut *up, None)];
                Linear::forward_two(pass, normed, layers);
            }
        }
        if let Some(hidden) = hidden {
            pass.at(self.site(Part::Hidden), hidden);
            pass.backend.activate(active, hidden, self.activation);
        }
        if self.gate.is_some() {
            pass.at(self.site(Part::Up), up);
            pass.backend.multiply(active, up);
        }
        pass.at(self.site(Part::Active), active);
        self.down.forward(pass, m.unnormed.as_mut().unwrap_or(&mut *branch), active, None);
        if let Some(unnormed) = &mut m.unnormed {
            pass.at(self.site(Part::MlpUnnormed), unnormed);
        }
        self.ends.leave(pass, branch, stats, m.unnormed.as_ref());
        pass.at(self.site(Part::MlpOut), branch);
    }

    fn site(&self, part: Part) -> Site {
        Site::Block(self.layer, part)
    }

    /// Recomputes the hidden layers, and what a norm on the output reads, which is all that `backward` reads.
    pub fn recompute<B: Backend>(
        &self,
        pass: &Pass<'_, B, ()>,
        scratch: &mut Scratch<B>,
        residual: &Tensor<B>,
        m: &mut MlpMemory<B>,
    ) {
        let Scratch { normed, stats, active, .. } = scratch;
        self.ends.enter(pass, normed, stats, residual);
        let Some(hidden) = &mut m.hidden else { return };
        self.hidden().forward(pass, hidden, normed, None);
        if let (Some(_), Some(up)) = (&self.gate, &mut m.up) {
            self.up.forward(pass, up, normed, None);
        }
        if let Some(unnormed) = &mut m.unnormed {
            self.activate(pass, active, hidden, m.up.as_ref());
            self.down.forward(pass, unnormed, active, None);
        }
    }

    fn activate<B: Backend>(
        &self,
        pass: &Pass<'_, B, ()>,
        active: &mut Tensor<B>,
        hidden: &Tensor<B>,
        up: Option<&Tensor<B>>,
    ) {
        match up {
            Some(up) => pass.backend.gate(active, hidden, up, self.activation),
            None => pass.backend.activate(active, hidden, self.activation),
        }
    }

    /// The gradient of what the MLP added to the residual, without what `dropout` dropped, flows back through the hidden layer
    /// and is added to `dresidual`. It is that of `dresidual`, or of `dscratch.input` where attention reads the same residual.
    pub fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        dresidual: &mut Tensor<B>,
        dscratch: &mut Scratch<B>,
        dropout: u64,
        d: &mut MlpMemory<B>,
        residual: &Tensor<B>,
        scratch: &mut Scratch<B>,
        m: &MlpMemory<B>,
    ) {
        let Scratch { normed, stats, active, up: slopes, .. } = scratch;
        let Scratch { normed: dnormed, active: dactive, up: dgate, branch, input, .. } = dscratch;
        let hidden = m.hidden.as_ref().expect("a backward follows a forward that kept its activations");
        let up = m.up.as_ref();
        let dsum = input.as_ref().unwrap_or(dresidual);
        let dbranch = self.ends.branch(back, dsum, branch, dropout);
        let unnormed = m.unnormed.as_ref().zip(d.unnormed.as_mut());
        let dbranch = self.ends.back_in(back, dbranch, unnormed, normed, stats);
        self.ends.enter(&back.pass(), normed, stats, residual);
        match (up, back.each > 1) {
            // The MLP acts on every position alone, so one matrix takes all gradients of a position through it.
            (None, true) => {
                back.backend.slopes(active, hidden, self.activation);
                backward_pair(back, [&self.up, &self.down], dnormed, FIRST, dbranch, active);
            }
            (Some(up), true) => {
                back.backend.gate_slopes(active, slopes, hidden, up, self.activation);
                backward_pair(back, [self.hidden(), &self.down], dnormed, FIRST, dbranch, active);
                backward_pair(back, [&self.up, &self.down], dnormed, THEN, dbranch, slopes);
            }
            (None, false) => {
                self.activate(&back.pass(), active, hidden, None);
                self.down.backward(back, dactive, FIRST, dbranch, active);
                back.backend.activate_backward(dactive, hidden, self.activation);
                self.up.backward(back, dnormed, FIRST, dactive, normed);
            }
            (Some(up), false) => {
                self.activate(&back.pass(), active, hidden, Some(up));
                self.down.backward(back, dactive, FIRST, dbranch, active);
                back.backend.gate_backward(dgate, dactive, hidden, up, self.activation);
                self.hidden().backward(back, dnormed, FIRST, dgate, normed);
                self.up.backward(back, dnormed, THEN, dactive, normed);
            }
        }
        self.ends.back_out(back, dresidual, dnormed, residual, stats);
    }
}
