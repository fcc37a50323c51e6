//! The description of machines and of the program that trains on them: what a file holds.

use serde::Deserialize;

use super::Precision;
use crate::error::{Error, Result};

/// Machines that train one model together.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// A name for messages.
    pub name: String,
    /// Nodes: machines with memory of their own.
    pub nodes: usize,
    /// Power usage effectiveness: power of the building over power of the machines.
    #[serde(default = "one")]
    pub pue: f64,
    /// The share of the time in which training goes on: 1 minus stops, restarts and what is computed again after them.
    #[serde(default = "one")]
    pub available: f64,
    /// The currency of prices.
    #[serde(default = "currency")]
    pub currency: String,
    /// What a rank runs on.
    pub device: Device,
    /// A node, besides its devices.
    pub node: Node,
    /// Between nodes; not needed for a single one.
    pub network: Option<Network>,
    /// The program.
    pub software: Software,
}

/// A GPU, or some cores.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// How many a node has.
    pub per_node: usize,
    /// Operations a second at most; a multiply-add is two.
    pub flops: Flops,
    /// Bytes of memory.
    pub memory: f64,
    /// Bytes of it that no training can have: driver, libraries, fragments.
    #[serde(default)]
    pub reserved: f64,
    /// Bytes a second between its memory and its arithmetic.
    pub memory_bandwidth: f64,
    /// Watts while training.
    #[serde(default)]
    pub watts: f64,
    /// What an hour of it costs.
    pub price: Option<f64>,
}

/// Operations a second at most.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flops {
    /// Products of 32-bit numbers.
    pub f32: Option<f64>,
    /// Products of 16-bit numbers with sums in 32 bits.
    pub mixed: Option<f64>,
}

/// A node, besides its devices.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Bytes a second that a device sends to its neighbour in a ring inside the node, while it receives as many.
    pub bandwidth: f64,
    /// Seconds that a message takes besides.
    #[serde(default)]
    pub latency: f64,
    /// Bytes a second of a memory that all devices share, if they do: cores of one processor.
    pub memory_bandwidth: Option<f64>,
    /// Watts besides the devices'.
    #[serde(default)]
    pub watts: f64,
}

/// Between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Bytes a second that a node sends for each of its devices, while it receives as many.
    pub bandwidth: f64,
    /// Seconds that a message takes besides.
    #[serde(default)]
    pub latency: f64,
}

/// The program that trains.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Software {
    /// Its name.
    pub name: String,
    /// The share of a device's peak that its products of matrices reach.
    pub efficiency: f64,
    /// How its attention computes.
    #[serde(default)]
    pub attention: Attention,
    /// Whether it drops activations, and so keeps their masks.
    #[serde(default)]
    pub dropout: bool,
    /// Whether what tensor parallelism does not divide is divided by positions (Korthikanti et al. 2022).
    #[serde(default)]
    pub sequence_parallel: bool,
    /// The share of the exchange of gradients that goes on during a backward pass.
    #[serde(default)]
    pub overlap_gradients: f64,
    /// The share of the gathering of weights that goes on during a pass.
    #[serde(default)]
    pub overlap_weights: f64,
    /// Whether it can divide matrices among devices.
    #[serde(default = "yes")]
    pub tensor: bool,
    /// Whether it can divide layers among devices.
    #[serde(default = "yes")]
    pub pipeline: bool,
    /// Whether a device of its pipelines can have several chunks of layers (interleaved schedule).
    #[serde(default = "yes")]
    pub interleave: bool,
    /// The stages of ZeRO that it has; 0 is none.
    #[serde(default = "stages")]
    pub zero: Vec<u8>,
    /// What it can compute again in place of keeping it.
    #[serde(default = "recompute")]
    pub recompute: Vec<super::Recompute>,
    /// How it adds up the gradients of a step's micro-batches.
    #[serde(default)]
    pub sums: Sums,
    /// Whether logits are computed in parts, and never in memory together.
    #[serde(default)]
    pub chunked_loss: bool,
    /// Bytes of numbers, if they are not the usual ones of the precision.
    pub bytes: Option<Bytes>,
}

/// How attention computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attention {
    /// The whole pattern is computed and kept, masked entries too.
    Stored,
    /// No pattern is in memory, and masked blocks are not computed (Dao et al. 2022).
    #[default]
    Fused,
    /// As in Glass, which also computes norms and the MLP's non-linearity again instead of keeping them.
    Glass,
}

/// How the gradients of a step's micro-batches are added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sums {
    /// One after another in the same memory.
    #[default]
    One,
    /// In a binary tree, which keeps 1 + ⌊log₂ m⌋ sums.
    Tree,
}

/// Bytes a weight.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bytes {
    /// Of a weight that is computed with.
    pub weights: f64,
    /// Of its gradient.
    pub gradients: f64,
    /// Of what the optimiser keeps for it.
    pub optimiser: f64,
    /// Of an activation.
    pub activations: f64,
}

fn one() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

fn currency() -> String {
    "$".into()
}

fn stages() -> Vec<u8> {
    vec![0, 1, 2, 3]
}

fn recompute() -> Vec<super::Recompute> {
    super::Recompute::ALL.to_vec()
}

impl Cluster {
    /// Checks what a type cannot: signs, shares, what belongs together. The name of what is wrong, as a file has it, is in the error.
    pub fn check(&self) -> Result<()> {
        let Cluster { device, node, network, software, .. } = self;
        let whole = [("nodes", self.nodes), ("device.per_node", device.per_node)];
        for (what, value) in whole {
            if value == 0 || value > 1 << 24 {
                return Err(Error::invalid(
                    what,
                    format!("{value} was found, but it must be from 1 to 16,777,216"),
                ));
            }
        }
        let optional = |value: Option<f64>| value.unwrap_or(1.0);
        let positive = [
            ("device.flops.f32", optional(device.flops.f32)),
            ("device.flops.mixed", optional(device.flops.mixed)),
            ("device.memory", device.memory),
            ("device.memory_bandwidth", device.memory_bandwidth),
            ("node.bandwidth", node.bandwidth),
            ("node.memory_bandwidth", optional(node.memory_bandwidth)),
            ("network.bandwidth", network.map_or(1.0, |network| network.bandwidth)),
            ("software.bytes.weights", software.bytes.map_or(1.0, |bytes| bytes.weights)),
            ("software.bytes.gradients", software.bytes.map_or(1.0, |bytes| bytes.gradients)),
            ("software.bytes.optimiser", software.bytes.map_or(1.0, |bytes| bytes.optimiser)),
            ("software.bytes.activations", software.bytes.map_or(1.0, |bytes| bytes.activations)),
        ];
        for (what, value) in positive {
            if !value.is_finite() || value <= 0.0 {
                return Err(Error::invalid(
                    what,
                    format!("{value} was found, but it must be greater than 0"),
                ));
            }
        }
        let not_negative = [
            ("device.reserved", device.reserved),
            ("device.watts", device.watts),
            ("device.price", optional(device.price)),
            ("node.latency", node.latency),
            ("node.watts", node.watts),
            ("network.latency", network.map_or(0.0, |network| network.latency)),
        ];
        for (what, value) in not_negative {
            if !value.is_finite() || value < 0.0 {
                return Err(Error::invalid(what, format!("{value} was found, but it must be at least 0")));
            }
        }
        let shares = [
            ("available", self.available, false),
            ("software.efficiency", software.efficiency, false),
            ("software.overlap_gradients", software.overlap_gradients, true),
            ("software.overlap_weights", software.overlap_weights, true),
        ];
        for (what, value, may_be_zero) in shares {
            if !(0.0..=1.0).contains(&value) || (value == 0.0 && !may_be_zero) {
                let from = if may_be_zero { "from 0" } else { "above 0, up" };
                return Err(Error::invalid(
                    what,
                    format!("{value} was found, but it is a share {from} to 1"),
                ));
            }
        }
        if !self.pue.is_finite() || self.pue < 1.0 {
            let why = format!(
                "{} was found, but a building takes at least the power of its machines: 1 or more",
                self.pue
            );
            return Err(Error::invalid("pue", why));
        }
        if self.nodes > 1 && network.is_none() {
            return Err(Error::invalid(
                "network",
                format!("it is missing, but there are {} nodes; give its bandwidth", self.nodes),
            ));
        }
        if let Some(stage) = software.zero.iter().find(|&&stage| stage > 3) {
            return Err(Error::invalid(
                "software.zero",
                format!("{stage} was found, but ZeRO has stages 1 to 3, and 0 for none"),
            ));
        }
        for (what, is_empty) in [
            ("software.zero", software.zero.is_empty()),
            ("software.recompute", software.recompute.is_empty()),
        ] {
            if is_empty {
                return Err(Error::invalid(
                    what,
                    "the list is empty, so nothing is possible; leave it out, or give one",
                ));
            }
        }
        if device.flops.f32.is_none() && device.flops.mixed.is_none() {
            return Err(Error::invalid(
                "device.flops",
                "it is empty; give f32, mixed, or both, in operations a second",
            ));
        }
        Ok(())
    }

    /// All devices.
    pub fn devices(&self) -> usize {
        self.nodes * self.device.per_node
    }

    /// The highest precision's opposite: the one that is faster here, and its operations a second.
    pub fn fastest(&self) -> Precision {
        let Flops { f32, mixed } = self.device.flops;
        if mixed.unwrap_or(0.0) >= f32.unwrap_or(0.0) { Precision::Mixed } else { Precision::F32 }
    }

    /// A device's operations a second at most.
    pub fn peak(&self, precision: Precision) -> Result<f64> {
        let (name, peak) = match precision {
            Precision::F32 => ("f32", self.device.flops.f32),
            Precision::Mixed => ("mixed", self.device.flops.mixed),
        };
        peak.ok_or_else(|| {
            let why = format!(
                "{} does not say how fast it is in this precision; add {name} to device.flops",
                self.name
            );
            Error::invalid_argument("precision", why)
        })
    }

    /// Bytes of numbers.
    pub fn bytes(&self, precision: Precision) -> Bytes {
        self.software.bytes.unwrap_or(match precision {
            // Weights, gradients; moments.
            Precision::F32 => Bytes { weights: 4.0, gradients: 4.0, optimiser: 8.0, activations: 4.0 },
            // 16 bits of weights and gradients; weights and moments in 32 bits (Rajbhandari et al. 2020, section 3.1).
            Precision::Mixed => Bytes { weights: 2.0, gradients: 2.0, optimiser: 12.0, activations: 2.0 },
        })
    }

    /// Bytes a second of a device's memory while this many in a node compute.
    pub fn memory_bandwidth(&self, devices: usize) -> f64 {
        let together = devices.min(self.device.per_node).max(1) as f64;
        let share = self.node.memory_bandwidth.map_or(f64::INFINITY, |shared| shared / together);
        self.device.memory_bandwidth.min(share)
    }
}
