//! The MLP: each vector is mapped to a wider hidden layer, through a non-linearity, and back.

use super::super::linear::{Linear, backward_pair};
use super::super::norm::Norm;
use super::super::{Back, FIRST, Pass};
use crate::backend::{Activation, Backend, Tensor};
use crate::config::Config;
use crate::memory::{MlpMemory, Scratch};
use crate::plan::{Plan, Start};
use crate::probe::{Part, Probe, Site, Want};

/// The MLP's layers.
#[derive(Clone, Debug)]
pub struct Mlp {
    layer: usize,
    activation: Activation,
    norm: Norm,
    up: Linear,
    down: Linear,
}

impl Mlp {
    /// The MLP of block `layer`.
    pub fn plan(plan: &mut Plan, config: &Config, layer: usize) -> Self {
        let (width, hidden, bias) = (config.width, config.mlp_width, config.bias);
        Mlp {
            layer,
            activation: config.activation,
            norm: plan.within("norm", |p| Norm::plan(p, config)),
            up: plan.within("up", |p| Linear::plan(p, hidden, width, bias, Start::Normal)),
            down: plan.within("down", |p| Linear::plan(p, width, hidden, bias, Start::Residual)),
        }
    }

    /// residual → `scratch.branch`, the output that is added to it, `[rows, width]`.
    pub fn forward<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        scratch: &mut Scratch<B>,
        residual: &Tensor<B>,
        m: &mut MlpMemory<B>,
    ) {
        let Scratch { normed, stats, active, branch } = scratch;
        self.norm.forward(pass, normed, stats, residual);
        pass.at(Site::Block(self.layer, Part::MlpNorm), normed);
        // Fused if nothing reads the hidden layer before the activation. The bits are the same either way.
        let mut looked_at = None;
        let hidden = match &mut m.hidden {
            None if pass.wants(Site::Block(self.layer, Part::Hidden)) != Want::No => {
                let hidden = Tensor::new(pass.backend, active.rows, active.cols);
                Some(looked_at.insert(hidden.expect("memory for a hidden layer that a probe reads")))
            }
            kept => kept.as_mut(),
        };
        if let Some(hidden) = hidden {
            self.up.forward(pass, hidden, normed, None);
            pass.at(Site::Block(self.layer, Part::Hidden), hidden);
            pass.backend.activate(active, hidden, self.activation);
        } else {
            self.up.forward(pass, active, normed, Some(self.activation));
        }
        pass.at(Site::Block(self.layer, Part::Active), active);
        self.down.forward(pass, branch, active, None);
        pass.at(Site::Block(self.layer, Part::MlpOut), branch);
    }

    /// Recomputes the hidden layer, which is all that `backward` reads.
    pub fn recompute<B: Backend>(
        &self,
        pass: &Pass<'_, B, ()>,
        scratch: &mut Scratch<B>,
        residual: &Tensor<B>,
        m: &mut MlpMemory<B>,
    ) {
        self.norm.forward(pass, &mut scratch.normed, &mut scratch.stats, residual);
        if let Some(hidden) = &mut m.hidden {
            self.up.forward(pass, hidden, &scratch.normed, None);
        }
    }

    /// The residual's gradient, without what `dropout` dropped, flows back through the hidden layer and is added to `dresidual`.
    pub fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        dresidual: &mut Tensor<B>,
        dscratch: &mut Scratch<B>,
        dropout: u64,
        residual: &Tensor<B>,
        scratch: &mut Scratch<B>,
        m: &MlpMemory<B>,
    ) {
        let Scratch { normed, stats, active, .. } = scratch;
        let Scratch { normed: dnormed, active: dactive, branch, .. } = dscratch;
        let hidden = m.hidden.as_ref().expect("a backward follows a forward that kept its activations");
        self.norm.forward(&back.pass(), normed, stats, residual);
        let dbranch = back.branch(dresidual, branch, dropout);
        if back.each > 1 {
            // The MLP acts on every position alone, so one matrix takes all gradients of a position through it.
            back.backend.slopes(active, hidden, self.activation);
            backward_pair(back, [&self.up, &self.down], dnormed, dbranch, active);
        } else {
            back.backend.activate(active, hidden, self.activation);
            self.down.backward(back, dactive, FIRST, dbranch, active);
            back.backend.activate_backward(dactive, hidden, self.activation);
            self.up.backward(back, dnormed, FIRST, dactive, normed);
        }
        self.norm.backward(back, dresidual, dnormed, residual, stats);
    }
}
