//! How a training is divided among devices.

use serde::Deserialize;

/// What a backward pass computes again instead of reading what was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recompute {
    /// Nothing.
    None,
    /// The pattern of attention (Korthikanti et al. 2022).
    Selective,
    /// Everything from the input of a layer (Chen et al. 2016).
    Full,
}

impl Recompute {
    /// All, the cheapest first.
    pub const ALL: [Recompute; 3] = [Recompute::None, Recompute::Selective, Recompute::Full];

    /// As options and files call it.
    pub fn name(self) -> &'static str {
        match self {
            Recompute::None => "none",
            Recompute::Selective => "selective",
            Recompute::Full => "full",
        }
    }
}

/// How a training is divided among devices: `data × tensor × pipeline` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Devices that compute different samples.
    pub data: usize,
    /// Devices that share every matrix.
    pub tensor: usize,
    /// Devices that share the layers, in order: stages.
    pub pipeline: usize,
    /// Chunks of layers of a stage.
    pub interleave: usize,
    /// What data-parallel devices share: 0 nothing, 1 the optimiser's numbers, 2 gradients too, 3 weights too (ZeRO).
    pub zero: u8,
    /// Samples that pass through a stage together.
    pub micro_batch: usize,
    /// What is computed again.
    pub recompute: Recompute,
}

impl Layout {
    /// Devices.
    pub fn devices(&self) -> usize {
        self.data * self.tensor * self.pipeline
    }

    /// Micro-batches of a step that a device computes, for a batch of so many samples.
    pub fn micro_batches(&self, batch: usize) -> usize {
        (batch / self.data / self.micro_batch).max(1)
    }

    /// Layers of the first stage, of a middle one and of the last. The stages at the ends have one fewer where layers do not divide
    /// evenly, since they have the embedding and the logits.
    pub fn layers(&self, layers: usize) -> [usize; 3] {
        let most = layers.div_ceil(self.pipeline);
        let spare = most * self.pipeline - layers;
        let last = most - usize::from(spare >= 1 && self.pipeline > 1);
        let first = most - usize::from(spare >= 2 && self.pipeline > 1);
        [first, most, last]
    }
}
