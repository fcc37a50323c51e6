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
    let [first, second] = [first, second].map(|layer| layer.dense(back));
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
        let (bias, is_adapted) = (self.bias.map(|b| pass.weight(b)), pass.is_adapted(self.weight));
        let fused = activation.filter(|_| !is_adapted);
        pass.backend.linear(y, x, pass.weight(self.weight), bias, fused);
        if is_adapted {
            pass.adapt(y, x, self.weight, activation, 1);
        }
    }

    /// Two layers of the same inputs, each with its outputs and its activation.
    pub fn forward_two<B: Backend, P: Probe>(
        pass: &Pass<'_, B, P>,
        x: &Tensor<B>,
        layers: [(&Linear, &mut Tensor<B>, Option<Activation>); 2],
    ) {
        let mut layers = layers;
        let is_adapted = layers.each_ref().map(|(layer, ..)| pass.is_adapted(layer.weight));
        let mut adapted = is_adapted.iter();
        pass.backend.linear_two(
            x,
            layers.each_mut().map(|(layer, y, activation)| Layer {
                y: &mut **y,
                weight: pass.weight(layer.weight),
                bias: layer.bias.map(|b| pass.weight(b)),
                activation: activation.filter(|_| adapted.next() == Some(&false)),
            }),
        );
        for ((layer, y, activation), _) in layers.into_iter().zip(is_adapted).filter(|(_, adapted)| *adapted)
        {
            pass.adapt(y, x, layer.weight, activation, 1);
        }
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
        if pass.is_adapted(self.weight) {
            // An adapter multiplies whole rows, so every part becomes a row in which the others are zero.
            let apart = Tensor::new(pass.backend, x.rows * parts, x.cols);
            let mut apart = apart.expect("memory for parts of a product");
            let size = x.cols / parts;
            for (row, values) in pass.backend.view(&x.data, 0..x.len()).chunks_exact(x.cols).enumerate() {
                for (part, values) in values.chunks_exact(size).enumerate() {
                    let at = (row * parts + part) * x.cols + part * size;
                    pass.backend.write(&mut apart.data, at, values);
                }
            }
            let outputs = y.cols / parts;
            y.reshape(outputs);
            pass.adapt(y, &apart, self.weight, None, parts);
            y.reshape(outputs * parts);
        }
    }

    /// Its weight, as a backward pass with many gradients of a row reads it.
    pub fn dense<'a, B: Backend>(&self, back: &Back<'a, B>) -> Dense<'a, B> {
        back.dense(self.weight)
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
        back.adapt(dx, dy, x, self.weight);
    }
}
