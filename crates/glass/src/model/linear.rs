//! A linear layer: `y = x Wᵀ + b`.

use super::{Back, Pass};
use crate::backend::{Activation, Backend, Dense, Layer, Tensor, Write};
use crate::plan::{Param, Plan, Start};
use crate::probe::Probe;

/// Goes back through two layers and what lies between them: dy → dx (overwritten or added to). `slopes` are the derivatives of what lies
/// between, one row for `back.each` rows of dy. Gradients of weights are not computed.
pub fn backward_pair<B: Backend>(
    back: &Back<'_, B>,
    [first, second]: [&Linear; 2],
    dx: &mut Tensor<B>,
    write: Write,
    dy: &Tensor<B>,
    slopes: &Tensor<B>,
) {
    let [first, second] = [first, second].map(|layer| layer.weight(back));
    back.backend.linear_pair_backward_input(dx, write, dy, second, slopes, first, back.each);
}

/// A linear layer's parameters.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    weight: Param,
    bias: Option<Param>,
}

impl Linear {
    /// A layer with this many outputs and inputs.
    pub fn plan(plan: &mut Plan, outputs: usize, inputs: usize, bias: bool, start: Start) -> Self {
        let weight = plan.matrix("weight", outputs, inputs, start);
        Linear { weight, bias: bias.then(|| plan.vector("bias", outputs, Start::Zero)) }
    }

    /// x `[rows, inputs]` → y `[rows, outputs]`, with an activation if one is given.
    pub fn forward<B: Backend, P: Probe>(
        &self,
        pass: &Pass<'_, B, P>,
        y: &mut Tensor<B>,
        x: &Tensor<B>,
        activation: Option<Activation>,
    ) {
        let bias = self.bias.map(|b| pass.weight(b));
        pass.backend.linear(y, x, pass.weight(self.weight), bias, activation);
    }

    /// Two layers of the same inputs, each with its outputs and its activation.
    pub fn forward_two<B: Backend, P: Probe>(
        pass: &Pass<'_, B, P>,
        x: &Tensor<B>,
        layers: [(&Linear, &mut Tensor<B>, Option<Activation>); 2],
    ) {
        let layers = layers.map(|(layer, y, activation)| Layer {
            y,
            weight: pass.weight(layer.weight),
            bias: layer.bias.map(|b| pass.weight(b)),
            activation,
        });
        pass.backend.linear_two(x, layers);
    }

    /// The contribution of each of `parts` equal parts of the inputs: x `[rows, inputs]` → y `[rows, parts × outputs]`, without the
    /// bias.
    pub fn forward_in_parts<B: Backend, P: Probe>(
        &self,
        pass: &Pass<'_, B, P>,
        y: &mut Tensor<B>,
        x: &Tensor<B>,
        parts: usize,
    ) {
        pass.backend.linear_in_parts(y, x, pass.weight(self.weight), parts);
    }

    /// Its weight, as a backward pass reads it.
    pub fn weight<'a, B: Backend>(&self, back: &Back<'a, B>) -> Dense<'a, B> {
        back.weight(self.weight)
    }

    /// dy → dx (overwritten or added to), and the gradients of weight and bias, if they are wanted.
    pub fn backward<B: Backend>(
        &self,
        back: &mut Back<'_, B>,
        dx: &mut Tensor<B>,
        write: Write,
        dy: &Tensor<B>,
        x: &Tensor<B>,
    ) {
        back.backend.linear_backward_input(dx, write, dy, back.weight(self.weight));
        let (backend, gradient) = (back.backend, back.gradient);
        if let Some(grads) = back.grads(self.weight, self.bias) {
            backend.linear_backward_weight(grads, gradient, dy, x);
        }
    }
}
