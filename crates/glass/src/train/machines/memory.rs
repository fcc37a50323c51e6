//! The memory of a device.

use super::{Attention, Cluster, Layout, Recompute, Sums, Training, Work};

/// Bytes of the fullest device, part by part.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// Weights that it computes with.
    pub weights: f64,
    /// Gradients.
    pub gradients: f64,
    /// What the optimiser keeps.
    pub optimiser: f64,
    /// Activations kept for backward passes.
    pub activations: f64,
    /// Logits and their gradients.
    pub logits: f64,
}

impl Memory {
    /// The memory that a layout needs on its fullest device: in the first stage, which has the most micro-batches under way, or in the last,
    /// which has the logits.
    pub fn of(work: &Work, training: &Training, cluster: &Cluster, layout: &Layout) -> Memory {
        let [first, _, last] = layout.layers(work.layers);
        let (p, v) = (layout.pipeline as f64, layout.interleave as f64);
        let micro_batches = layout.micro_batches(training.batch) as f64;
        // 1F1B keeps as many as there are stages from here to the last; interleaved, a part of a stage more (Narayanan et al. 2021).
        let under_way = if v > 1.0 { p + (p - 1.0) / v } else { p };
        let one = layout.pipeline == 1;
        let begins = work.first_weights + if one { without_tied(work) } else { 0.0 };
        let at_first =
            part(work, training, cluster, layout, first as f64, begins, under_way.min(micro_batches), one);
        if one {
            return at_first;
        }
        let after = if v > 1.0 { 1.0 + (p - 1.0) / v } else { 1.0 };
        let at_last = part(
            work,
            training,
            cluster,
            layout,
            last as f64,
            work.last_weights,
            after.min(micro_batches),
            true,
        );
        if at_last.total() > at_first.total() { at_last } else { at_first }
    }

    /// The sum.
    pub fn total(&self) -> f64 {
        self.weights + self.gradients + self.optimiser + self.activations + self.logits
    }
}

/// The weights besides layers and embedding; a tied unembedding is stored once.
fn without_tied(work: &Work) -> f64 {
    work.weights - work.first_weights - work.layer_weights * work.layers as f64
}

fn part(
    work: &Work,
    training: &Training,
    cluster: &Cluster,
    layout: &Layout,
    layers: f64,
    ends: f64,
    under_way: f64,
    has_logits: bool,
) -> Memory {
    let (software, bytes) = (&cluster.software, cluster.bytes(training.precision));
    let (d, t) = (layout.data as f64, layout.tensor as f64);
    let weights = (layers * work.layer_weights + ends) / t;
    // What is gathered, or not yet given away, while a layer is computed.
    let layer = work.layer_weights / t;
    let shared = |from: u8, bytes: f64, whole: f64| {
        if layout.zero >= from { (weights / d + whole) * bytes } else { weights * bytes }
    };
    let sums = match software.sums {
        Sums::One => 1.0,
        Sums::Tree => 1.0 + (layout.micro_batches(training.batch) as f64).log2().floor(),
    };
    let rows = layout.micro_batch as f64 * training.context as f64;
    let kept = work.kept(bytes.activations, t, software.sequence_parallel);
    let inputs = work.width * bytes.activations / if software.sequence_parallel { t } else { 1.0 };
    let pattern = work.pattern / t;
    let activations = match layout.recompute {
        Recompute::None => layers * under_way * (kept + pattern),
        Recompute::Selective => layers * under_way * kept + pattern,
        Recompute::Full => layers * under_way * inputs + kept + pattern,
    };
    // Logits in the precision of activations and their gradients in 32 bits.
    let logits = match has_logits && !software.chunked_loss && software.attention != Attention::Glass {
        true => rows * work.vocabulary / t * (bytes.activations + 4.0),
        false => 0.0,
    };
    Memory {
        weights: shared(3, bytes.weights, layer),
        gradients: sums * shared(2, bytes.gradients, layer),
        optimiser: shared(1, bytes.optimiser, 0.0),
        activations: rows * activations,
        logits,
    }
}
