//! The time of a step.

use super::links::{Ring, send};
use super::{Cluster, Layout, Recompute, Training, Work};
use crate::error::Result;

/// Times that every kept number goes to memory or comes from it: written and read forward; read, and its gradient written and
/// read, backward.
const PASSES_OF_KEPT: f64 = 5.0;

/// The same for numbers that are computed a second time: written and read.
const PASSES_AGAIN: f64 = 2.0;

/// Seconds of a step, part by part. The parts of passes are those of the slowest stage, over all of its micro-batches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Time {
    /// Products of matrices.
    pub products: f64,
    /// Everything between them, which memory bandwidth limits.
    pub between: f64,
    /// Sums over tensor-parallel devices.
    pub tensor: f64,
    /// Sending activations and their gradients from stage to stage.
    pub stages: f64,
    /// Waiting for the first micro-batch to come and the last to return.
    pub bubble: f64,
    /// Exchange among data-parallel devices: all of it.
    pub data: f64,
    /// The part of it that goes on during passes.
    pub hidden: f64,
    /// The optimiser's reading and writing.
    pub optimiser: f64,
    /// Operations that all devices do in a step, those done twice too.
    pub flops: f64,
}

impl Time {
    /// The time that a layout takes.
    ///
    /// # Errors
    /// If the machines do not say how fast they are in the precision.
    pub fn of(work: &Work, training: &Training, cluster: &Cluster, layout: &Layout) -> Result<Time> {
        let software = &cluster.software;
        let bytes = cluster.bytes(training.precision);
        let (d, t, p) = (layout.data as f64, layout.tensor as f64, layout.pipeline as f64);
        let m = layout.micro_batches(training.batch) as f64;
        let rows = layout.micro_batch as f64 * training.context as f64;
        let speed = cluster.peak(training.precision)? * software.efficiency;
        let bandwidth = cluster.memory_bandwidth(layout.devices());

        // A layer and a micro-batch: forward, and twice as much backward.
        let forward = work.layer_products + work.layer_attention;
        let again = match layout.recompute {
            Recompute::None => 0.0,
            Recompute::Selective => work.layer_attention,
            Recompute::Full => forward,
        };
        let flops = 3.0 * forward + again;
        let pattern = work.pattern / t;
        let kept = work.kept(bytes.activations, t, software.sequence_parallel) + pattern;
        let moved = PASSES_OF_KEPT * kept
            + match layout.recompute {
                Recompute::None => 0.0,
                Recompute::Selective => PASSES_AGAIN * pattern,
                Recompute::Full => PASSES_AGAIN * kept,
            };
        let products = rows * flops / t / speed;
        let between = rows * moved / bandwidth;
        // Two sums forward and two backward (Shoeybi et al. 2019); two more where the forward pass is done again.
        let sums = if layout.recompute == Recompute::Full { 6.0 } else { 4.0 };
        let ring = Ring::of(cluster, layout.tensor, 1);
        let tensor = sums * ring.all_reduce(rows * work.width * bytes.activations);

        let [_, most, last] = layout.layers(work.layers);
        let logits = rows * 3.0 * work.logits / t / speed;
        let layer = products + between + tensor;
        let (layers, logits) = match last as f64 * layer + logits > most as f64 * layer {
            true => (last as f64, logits),
            false => (most as f64, 0.0),
        };
        let v = layout.interleave as f64;
        let stages = match layout.pipeline {
            1 => 0.0,
            _ => {
                let sent = rows * work.width * bytes.activations / t;
                2.0 * v * send(cluster, sent, layout.tensor * layout.data, layout.devices())
            }
        };
        let stage = layers * layer + logits;
        let bubble = (p - 1.0) / v * (stage + stages);

        // Data parallelism, for the weights of the fullest stage.
        let ends = if layout.pipeline == 1 {
            work.weights - work.layer_weights * work.layers as f64
        } else {
            work.first_weights.max(work.last_weights)
        };
        let weights = (most as f64 * work.layer_weights + ends) / t;
        let ring = Ring::of(cluster, layout.data, layout.tensor);
        let (reduce, gather) = (ring.half(weights * bytes.gradients), ring.half(weights * bytes.weights));
        let backward = stage * (1.0 - 1.0 / (3.0 + again / forward));
        let (reduce, gather, reductions, gatherings) = match layout.zero {
            0 => (2.0 * reduce, 0.0, 1.0, 0.0),
            1 => (reduce, gather, 1.0, 1.0),
            2 => (reduce, gather, m, 1.0),
            _ => (reduce, gather, m, 2.0 * m),
        };
        // Gradients can go while a backward pass goes on: the last of the step, or every one where each is reduced for itself. Weights
        // can come while a forward pass goes on: the first of the step, or every one and every backward pass, beside gradients.
        let in_backward = software.overlap_gradients * reduce.min(backward);
        let in_forward = software.overlap_weights * gather.min(stage - backward);
        let beside = software.overlap_weights * gather.min(backward - in_backward);
        let hidden = match layout.zero {
            3 => m * (in_backward + in_forward + beside),
            _ => reductions * in_backward + gatherings * in_forward,
        };

        let owned = if layout.zero > 0 { weights / d } else { weights };
        let optimiser = owned * (2.0 * (bytes.optimiser + bytes.weights) + bytes.gradients) / bandwidth;
        let all = training.tokens_a_step() * (work.layers as f64 * flops + 3.0 * work.logits);
        Ok(Time {
            products: m * (layers * products + logits),
            between: m * layers * between,
            tensor: m * layers * tensor,
            stages: m * stages,
            bubble,
            data: reductions * reduce + gatherings * gather,
            hidden,
            optimiser,
            flops: all,
        })
    }

    /// Seconds of a step.
    pub fn total(&self) -> f64 {
        self.products + self.between + self.tensor + self.stages + self.bubble + self.data - self.hidden
            + self.optimiser
    }
}
