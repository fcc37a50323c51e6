//! A norm: every row, or every head of a row, is normalised, then scaled and shifted.

use super::{Back, Pass};
use crate::backend::{self, Backend, Tensor};
use crate::config::{self, Config, Gain, NormOver};
use crate::plan::{Param, Plan, Start};
use crate::probe::Probe;

/// A norm's parameters.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    gain: Option<Param>,
    bias: Option<Param>,
    /// Equal parts of a row that are normalised for themselves.
    groups: usize,
    norm: backend::Norm,
}

impl Norm {
    /// A norm of the residual's width.
    pub fn plan(plan: &mut Plan, config: &Config) -> Self {
        Norm::of_width(plan, config.norm, config.width, config.bias.norm)
    }

    /// A norm of queries or keys: of every one of `heads`, or of all of them together.
    pub fn of_heads(plan: &mut Plan, config: &Config, over: NormOver, heads: usize) -> Self {
        let size = config.heads.size;
        match over {
            NormOver::Head => Norm { groups: heads, ..Norm::of_width(plan, config.norm, size, false) },
            NormOver::Width => Norm::of_width(plan, config.norm, heads * size, false),
        }
    }

    /// A norm without parameters.
    pub fn plain(config: &Config) -> Self {
        let config::Norm { kind, epsilon, .. } = config.norm;
        Norm { gain: None, bias: None, groups: 1, norm: backend::Norm { kind, epsilon, offset: 0.0 } }
    }

    fn of_width(plan: &mut Plan, norm: config::Norm, width: usize, bias: bool) -> Self {
        // What is added to a weight that starts as 0 is 1 in the beginning, too.
        let (start, offset) = match norm.gain {
            Gain::OnePlusWeight => (Start::Zero, 1.0),
            Gain::Weight | Gain::None => (Start::One, 0.0),
        };
        let gain = (norm.gain != Gain::None).then(|| plan.vector("weight", width, start));
        let bias = bias.then(|| plan.vector("bias", width, Start::Zero));
        let norm = backend::Norm { kind: norm.kind, epsilon: norm.epsilon, offset };
        Norm { gain, bias, groups: 1, norm }
    }

    /// x → y; `stats` receives mean and 1/std of every row, or of every head.
    pub fn forward<B: Backend, P: Probe>(
        &self,
        pass: &Pass<'_, B, P>,
        y: &mut Tensor<B>,
        stats: &mut Tensor<B>,
        x: &Tensor<B>,
    ) {
        let [gain, bias] = [self.gain, self.bias].map(|param| param.map(|param| pass.weight(param)));
        pass.backend.norm(y, stats, x, self.groups, gain, bias, self.norm);
    }

    /// What each of `parts` parts of a row adds to the normalised row, in place; see
    /// [`norm_in_parts`](Backend::norm_in_parts).
    pub fn forward_in_parts<B: Backend, P: Probe>(
        &self,
        pass: &Pass<'_, B, P>,
        x: &mut Tensor<B>,
        parts: usize,
        stats: &Tensor<B>,
    ) {
        let gain = self.gain.map(|param| pass.weight(param));
        pass.backend.norm_in_parts(x, parts, stats, gain, self.norm);
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
        let (backend, each) = (back.backend, back.each);
        let gain = self.gain.map(|gain| back.weight(gain));
        let grads = self.gain.and_then(|gain| back.grads(gain, self.bias));
        backend.norm_backward(dx, grads, dy, x, stats, self.groups, gain, self.norm, each);
    }
}
