//! A norm: every row is normalised to mean 0 and variance 1, then scaled and shifted.

use super::{Back, Pass};
use crate::backend::{Backend, Tensor};
use crate::config::{self, Config};
use crate::plan::{Param, Plan, Start};
use crate::probe::Probe;

/// A LayerNorm's parameters.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    gain: Param,
    bias: Option<Param>,
    epsilon: f32,
}

impl Norm {
    /// A norm of the residual's width.
    pub fn plan(plan: &mut Plan, config: &Config) -> Self {
        let config::Norm::Layer { epsilon } = config.norm;
        let gain = plan.vector("weight", config.width, Start::One);
        Norm { gain, bias: config.bias.then(|| plan.vector("bias", config.width, Start::Zero)), epsilon }
    }

    /// x → y; `stats` receives mean and 1/std of every row.
    pub fn forward<B: Backend, P: Probe>(
        &self,
        pass: &Pass<'_, B, P>,
        y: &mut Tensor<B>,
        stats: &mut Tensor<B>,
        x: &Tensor<B>,
    ) {
        let bias = self.bias.map(|b| pass.weight(b));
        pass.backend.norm(y, stats, x, pass.weight(self.gain), bias, self.epsilon);
    }

    /// Adds the gradient that flows back through the norm to dx.
    pub fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        dx: &mut Tensor<B>,
        dy: &Tensor<B>,
        x: &Tensor<B>,
        stats: &Tensor<B>,
    ) {
        let (backend, gain, each) = (back.backend, back.weight(self.gain), back.each);
        backend.norm_backward(dx, back.grads(self.gain, self.bias), dy, x, stats, gain, each);
    }
}
