//! The MLP: each vector by itself is brought to a wider hidden layer, through a non-linearity, and back.

use super::super::linear::Linear;
use super::super::norm::Norm;
use super::super::{Back, FIRST, Pass};
use crate::backend::{Activation, Backend, Tensor};
use crate::config::Config;
use crate::memory::{Keep, MlpMemory};
use crate::plan::{Plan, Start};
use crate::probe::{Probe, Site, Want};

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
        let (width, hidden, bias) = (config.width, config.hidden, config.bias);
        Mlp {
            layer,
            activation: config.activation,
            norm: plan.within("norm", |p| Norm::plan(p, config)),
            up: plan.within("up", |p| Linear::plan(p, hidden, width, bias, Start::Normal)),
            down: plan.within("down", |p| Linear::plan(p, width, hidden, bias, Start::Residual)),
        }
    }

    /// residual → `out`, what the MLP adds to it, `[rows, width]`.
    pub fn forward<B: Backend, P: Probe>(
        &self,
        pass: &mut Pass<'_, B, P>,
        out: &mut Tensor<B>,
        residual: &Tensor<B>,
        m: &mut MlpMemory<B>,
    ) {
        self.norm.forward(pass, &mut m.normed, &mut m.stats, residual);
        pass.at(Site::MlpNorm(self.layer), &mut m.normed);
        // Fused where nobody wants the hidden layer as it was before the activation: the same bits either way.
        if m.keep == Keep::All || pass.wants(Site::MlpHidden(self.layer)) != Want::No {
            self.up.forward(pass, &mut m.hidden, &m.normed, None);
            pass.at(Site::MlpHidden(self.layer), &mut m.hidden);
            pass.backend.activate(&mut m.active, &m.hidden, self.activation);
        } else {
            self.up.forward(pass, &mut m.active, &m.normed, Some(self.activation));
        }
        pass.at(Site::MlpActive(self.layer), &mut m.active);
        self.down.forward(pass, out, &m.active, None);
        pass.at(Site::MlpOut(self.layer), out);
    }

    /// `dout` flows back through the hidden layer and is added to `dresidual`.
    pub fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        dresidual: &mut Tensor<B>,
        dout: &Tensor<B>,
        residual: &Tensor<B>,
        m: &MlpMemory<B>,
        d: &mut MlpMemory<B>,
    ) {
        self.down.backward(back, &mut d.active, FIRST, dout, &m.active);
        back.backend.activate_backward(&mut d.active, &m.hidden, self.activation);
        self.up.backward(back, &mut d.normed, FIRST, &d.active, &m.normed);
        self.norm.backward(back, dresidual, &d.normed, residual, &m.stats);
    }
}
