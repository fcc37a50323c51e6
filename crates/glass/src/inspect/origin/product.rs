//! The linear layers, the unembedding, and the activation between two of them.

use super::{Factor, Input, Kind, Number, Origin, Rows, Tracer, largest};
use crate::Result;
use crate::backend::{Activation, Backend, InputRounding, InputScales};
use crate::probe::{Part, Site};
use glass_kernels::format::{bf16_to_f32, f32_to_bf16};

/// What a sum of products is made of.
pub(super) struct Products<'s> {
    /// The site of the inputs, and the first column that is read.
    pub site: Site,
    pub position: usize,
    pub first: usize,
    /// The inputs, and as they are multiplied.
    pub inputs: &'s [f32],
    pub used: &'s [f64],
    pub parameter: &'s str,
    pub output: usize,
    /// The weights, from the first column on, and as they are multiplied.
    pub weights: &'s [f32],
    pub used_weights: &'s [f64],
}

impl<B: Backend> Tracer<'_, B> {
    /// The layer whose output a site is, its inputs' site, and whether it has a bias.
    fn layer(&self, layer: usize, part: Part) -> (String, Site, bool) {
        let has = self.config().bias;
        let (name, from, bias) = match part {
            Part::Query => ("attention.query", Part::AttentionNorm, has.query_key_value),
            Part::Key => ("attention.key", Part::AttentionNorm, has.query_key_value),
            Part::Value => ("attention.value_down", Part::AttentionNorm, has.query_key_value),
            Part::AttentionOut | Part::AttentionUnnormed => ("attention.value_up", Part::Z, has.value_up),
            Part::Hidden if self.config().gated => ("mlp.gate", Part::MlpNorm, has.mlp),
            Part::Hidden | Part::Up => ("mlp.up", Part::MlpNorm, has.mlp),
            _ => ("mlp.down", Part::Active, has.mlp),
        };
        (format!("block.{layer}.{name}"), Site::Block(layer, from), bias)
    }

    /// How a product with a parameter rounds its inputs.
    fn rounding_of(&self, parameter: &str) -> InputRounding {
        let index = self.plan.specs.iter().position(|spec| spec.name == parameter).expect("a parameter");
        self.model.backend().input_rounding(self.model.weights().get(index))
    }

    /// An output of a linear layer.
    pub(super) fn product(
        &self,
        value: f64,
        site: Site,
        position: usize,
        output: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        let Site::Block(layer, part) = site else { unreachable!("a linear layer of a block") };
        let (name, from, bias) = self.layer(layer, part);
        let bias = bias.then(|| format!("{name}.bias"));
        let origin = self.linear(value, (&format!("{name}.weight"), bias), from, position, output, rows)?;
        // What is added to the residual without a norm.
        let is_added = matches!(part, Part::AttentionOut | Part::MlpOut);
        Ok(origin.times(if is_added { self.config().factors.branch } else { 1.0 }))
    }

    /// A logit.
    pub(super) fn logit(
        &self,
        value: f64,
        position: usize,
        token: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        let config = self.config();
        let table = if config.tied { "embedding.token.weight" } else { "unembedding.weight" };
        let bias = config.bias.unembedding.then(|| "unembedding.bias".to_string());
        let origin = self.linear(value, (table, bias), Site::Norm, position, token, rows)?;
        Ok(origin.times(config.factors.logits).capped(config.factors.logit_cap))
    }

    /// The sum of inputs times weights, and the bias.
    fn linear(
        &self,
        value: f64,
        (parameter, bias): (&str, Option<String>),
        from: Site,
        position: usize,
        output: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        let rounding = self.rounding_of(parameter);
        let (inputs, weights) = (rows(from, 0, position)?, self.rows(parameter, &[output as u32])?.values);
        let used_weights = match rounding {
            InputRounding::Bf16 => rounding.rounded(&weights),
            _ => InputRounding::None.rounded(&weights),
        };
        let mut origin = self.products(Products {
            site: from,
            position,
            first: 0,
            inputs: &inputs,
            used: &rounding.rounded(&inputs),
            parameter,
            output,
            weights: &weights,
            used_weights: &used_weights,
        });
        if let Some(bias) = &bias {
            let bias = self.weight(bias, 0, output)?;
            let part = bias.factor.value;
            origin.inputs.insert(0, Input { part: Some(part), ..bias });
            origin.sum += part;
        }
        let equation = match bias {
            Some(_) => format!("the bias + the sum of input × weight over {} inputs", inputs.len()),
            None => format!("the sum of input × weight over {} inputs", inputs.len()),
        };
        Ok(Origin { value, equation: equation + rounding_in_words(rounding), ..origin })
    }

    /// The sum of products, the largest ones listed.
    pub(super) fn products(&self, of: Products<'_>) -> Origin {
        let parts: Vec<f64> = of.used.iter().zip(of.used_weights).map(|(x, w)| x * w).collect();
        let (listed, more, more_sum) = largest(&parts, self.listed);
        let differs = |used: f64, exact: f32| (used != f64::from(exact)).then_some(used);
        let input = |at: usize| {
            let number = Number::At { site: of.site, position: of.position, head: 0, index: of.first + at };
            let mut input = self.input(number, Kind::Data, of.inputs[at].into());
            input.factor.rounded = differs(of.used[at], of.inputs[at]);
            let (parameter, row, column) = (of.parameter.to_string(), of.output, of.first + at);
            input.times = Some(Factor {
                number: Some(Number::Weight { parameter, row, column }),
                kind: Kind::Weight,
                value: of.weights[at].into(),
                rounded: differs(of.used_weights[at], of.weights[at]),
            });
            input.part = Some(parts[at]);
            input
        };
        let inputs = listed.into_iter().map(input).collect();
        let origin = Origin::of(0.0, String::new());
        Origin { sum: parts.iter().sum(), inputs, more, more_sum, ..origin }
    }

    /// A hidden neuron after the activation, times its factor if it is gated.
    pub(super) fn activated(
        &self,
        value: f64,
        layer: usize,
        position: usize,
        index: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Origin> {
        let mut of = |part: Part| -> Result<(f64, Input)> {
            let site = Site::Block(layer, part);
            let x = f64::from(rows(site, 0, position)?[index]);
            Ok((x, self.input(Number::At { site, position, head: 0, index }, Kind::Data, x)))
        };
        let (x, input) = of(Part::Hidden)?;
        let (mut sum, words) = activation(self.config().activation, x);
        let (mut inputs, mut equation) = (vec![input], words.to_string());
        if self.config().gated {
            let (up, input) = of(Part::Up)?;
            sum *= up;
            inputs.push(input);
            equation = format!("y × the neuron's factor, where y is {words}");
        }
        Ok(Origin { sum, inputs, ..Origin::of(value, equation) })
    }
}

/// A number as a product of 16-bit floats reads it.
pub(super) fn bf16(x: f32) -> f64 {
    bf16_to_f32(f32_to_bf16(x)).into()
}

fn rounding_in_words(rounding: InputRounding) -> &'static str {
    match rounding {
        InputRounding::None => "",
        InputRounding::Bf16 => "; the product rounds inputs and weights to 16 bits (bf16)",
        InputRounding::Blocks(InputScales::Exact) => {
            "; the product rounds the inputs to 8 bits, with one scale for every 32 of them"
        }
        InputRounding::Blocks(InputScales::PowersOfTwo) => {
            "; the product rounds the inputs to 8 bits, with one scale, a power of two, for every 32 of them"
        }
    }
}

/// An activation in 64 bits, by the formula that the kernel computes.
fn activation(kind: Activation, x: f64) -> (f64, &'static str) {
    let positive = x.max(0.0);
    match kind {
        Activation::Gelu => {
            (x * normal(x), "GELU: x × Φ(x), where Φ(x) is the share of a normal distribution below x")
        }
        Activation::GeluTanh => {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            (0.5 * x * (1.0 + u.tanh()), "GELU: ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))")
        }
        Activation::GeluSigmoid => (x / (1.0 + (-1.702 * x).exp()), "GELU: x / (1 + e^(−1.702 x))"),
        Activation::Silu => (x / (1.0 + (-x).exp()), "SiLU: x / (1 + e^(−x))"),
        Activation::Relu => (positive, "ReLU: x if it is positive, otherwise 0"),
        Activation::SquaredRelu => (positive * positive, "squared ReLU: x² if x is positive, otherwise 0"),
    }
}

/// Φ(x) as the kernel approximates it (Abramowitz & Stegun 1964, 7.1.26), within 1e-7.
fn normal(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let q = [0.530_702_7, -0.726_576, 0.710_706_9, -0.142_248_37, 0.127_414_8];
    let tail = q.iter().fold(0.0, |sum, q| sum * t + q) * t * (-0.5 * x * x).exp();
    if x < 0.0 { tail } else { 1.0 - tail }
}
