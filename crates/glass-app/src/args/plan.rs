//! `glass plan`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use glass::train::machines::{Precision, Recompute};

/// Plan a training on many machines: parallelism, memory, time, energy, money
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct PlanArgs {
    /// A preset, a model's folder, or a checkpoint file; default: the built-in model. Or give sizes: --layers, --heads, --width, --vocab
    #[arg(conflicts_with_all = ["layers", "heads", "width", "vocab"])]
    pub model: Option<String>,

    /// The machines and the program that trains on them, in TOML; see below
    #[arg(long, value_name = "FILE.toml")]
    pub machines: PathBuf,

    /// Nodes, in place of the file's
    #[arg(long, value_name = "N")]
    pub nodes: Option<usize>,

    /// Tokens to learn from, as in 300e9; default: 300e9 for gpt3 presets, otherwise 20 for each weight (Hoffmann et al. 2022)
    #[arg(long, value_name = "N")]
    pub tokens: Option<f64>,

    /// Samples of a step, each as long as the context; default: as GPT-3 of this size (Brown et al. 2020, table 2.1)
    #[arg(long, value_name = "N", conflicts_with = "batch_tokens")]
    pub batch: Option<usize>,

    /// The same in tokens, as in 3.2e6
    #[arg(long, value_name = "N")]
    pub batch_tokens: Option<f64>,

    /// Tokens of a sample; default: the model's context
    #[arg(long, value_name = "T")]
    pub context: Option<usize>,

    /// Precision of matrix products: f32, or mixed (16 bits, sums in 32); default: what is faster there
    #[arg(long, value_enum, value_name = "KIND")]
    pub precision: Option<PrecisionChoice>,

    /// One JSON document
    #[arg(long)]
    pub json: bool,

    /// Also every equation with its numbers, and where it is from
    #[arg(long)]
    pub equations: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub layout: LayoutArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub sizes: SizeArgs,
}

/// What of the layout is given; the rest is looked for.
#[derive(Args, Debug)]
#[command(next_help_heading = "Layout (the rest is looked for)")]
pub struct LayoutArgs {
    /// Devices that may be used; default: all
    #[arg(long, value_name = "N")]
    pub devices: Option<usize>,

    /// Devices that compute different samples
    #[arg(long, value_name = "N")]
    pub data: Option<usize>,

    /// Devices that share every matrix
    #[arg(long, value_name = "N")]
    pub tensor: Option<usize>,

    /// Stages: devices that share the layers
    #[arg(long, value_name = "N")]
    pub pipeline: Option<usize>,

    /// Chunks of layers of a stage
    #[arg(long, value_name = "N")]
    pub interleave: Option<usize>,

    /// What data-parallel devices share: 0 nothing, 1 the optimiser's numbers, 2 gradients too, 3 weights too (ZeRO)
    #[arg(long, value_name = "STAGE", value_parser = clap::value_parser!(u8).range(0..=3))]
    pub zero: Option<u8>,

    /// Samples that are computed together
    #[arg(long, value_name = "N")]
    pub micro_batch: Option<usize>,

    /// What a backward pass computes again in place of keeping it
    #[arg(long, value_enum, value_name = "WHAT")]
    pub recompute: Option<RecomputeChoice>,
}

/// A model by its sizes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Model by its sizes")]
pub struct SizeArgs {
    /// Blocks
    #[arg(long, value_name = "N", requires_all = ["heads", "width", "vocab"])]
    pub layers: Option<usize>,

    /// Attention heads of a block
    #[arg(long, value_name = "N", requires = "layers")]
    pub heads: Option<usize>,

    /// Width of the residual stream, a multiple of the heads
    #[arg(long, value_name = "N", requires = "layers")]
    pub width: Option<usize>,

    /// Tokens in the vocabulary
    #[arg(long, value_name = "N", requires = "layers")]
    pub vocab: Option<usize>,

    /// The family whose choices the model has: gpt2, llama, qwen3, nanochat and others (an unknown name lists them); default: gpt2
    #[arg(long, value_name = "NAME", requires = "layers")]
    pub family: Option<String>,

    /// Heads of keys and values, which groups of query heads share; default: as many as query heads
    #[arg(long, value_name = "N", requires = "layers")]
    pub key_heads: Option<usize>,

    /// Width of the MLP's hidden layer; default: the family's
    #[arg(long, value_name = "N", requires = "layers")]
    pub mlp_width: Option<usize>,
}

/// A precision.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum PrecisionChoice {
    /// 32 bits
    #[value(aliases = ["fp32", "float32"])]
    F32,
    /// Products of 16-bit numbers, sums in 32 bits
    #[value(aliases = ["bf16", "fp16", "bfloat16", "float16"])]
    Mixed,
}

impl PrecisionChoice {
    /// The library's value.
    pub fn precision(self) -> Precision {
        match self {
            PrecisionChoice::F32 => Precision::F32,
            PrecisionChoice::Mixed => Precision::Mixed,
        }
    }
}

/// What is computed again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum RecomputeChoice {
    /// Nothing
    None,
    /// The pattern of attention
    Selective,
    /// Everything from the input of a layer
    Full,
}

impl RecomputeChoice {
    /// The library's value.
    pub fn recompute(self) -> Recompute {
        match self {
            RecomputeChoice::None => Recompute::None,
            RecomputeChoice::Selective => Recompute::Selective,
            RecomputeChoice::Full => Recompute::Full,
        }
    }
}

const AFTER: &str = "\
Nothing is measured or loaded: a plan is arithmetic over sizes, and the same on every machine. Of all layouts that fit into the
memory of a device, the fastest is shown. How close such plans are to published runs is in docs/plans.md; files for several
machines are in docs/machines.

The file, with SI units (bytes, seconds, operations and bytes a second, watts):
  name, nodes, pue = 1, available = 1 (share of the time in which training goes on), currency = \"$\"
  [device]    per_node, flops = { f32, mixed }, memory, memory_bandwidth, reserved = 0, watts = 0, price (an hour)
  [node]      bandwidth (a device sends to its neighbour in a ring), latency = 0, watts = 0 besides devices,
              memory_bandwidth (if the devices share one memory)
  [network]   bandwidth (a node sends for each device), latency = 0; not needed for one node
  [software]  name, efficiency (share of the peak that its products of matrices reach), attention = \"fused\" (or
              \"stored\", \"glass\"), dropout = false, sequence_parallel = false, overlap_gradients = 0, overlap_weights = 0
              (shares of their exchange that go on during passes), tensor = true, pipeline = true, interleave = true,
              zero = [0, 1, 2, 3], recompute = [\"none\", \"selective\", \"full\"], sums = \"one\" (or \"tree\"),
              chunked_loss = false, bytes = { weights, gradients, optimiser, activations }

JSON: {\"model\",\"machines\",\"weights\",\"tokens\",\"batch\",\"context\",\"precision\",
\"layout\":{\"devices\",\"data\",\"tensor\",\"pipeline\",\"interleave\",\"zero\",\"micro_batch\",\"micro_batches\",\"recompute\"},
\"layouts\",\"fitting\",
\"memory_bytes\":{\"weights\",\"gradients\",\"optimiser\",\"activations\",\"logits\",\"total\",\"limit\",\"short\"},
\"seconds\":{\"products\",\"between\",\"tensor\",\"stages\",\"bubble\",\"data\",\"hidden\",\"optimiser\",\"step\",\"all\"},
\"flops_per_token\",\"flops\",\"mfu\",\"hfu\",\"tokens_per_second\",\"steps\",\"days\",\"device_hours\",\"kwh\",\"money\",\"currency\",
\"equations\":[{\"what\",\"formula\",\"numbers\",\"source\"}]}
  money   null if the file has no price
  hidden  the part of data that goes on during passes; step is the sum of all others, minus hidden

Examples:
  glass plan gpt3-175b --machines docs/machines/a100.toml --nodes 128
  glass plan gpt2 --machines docs/machines/laptops.toml --equations
  glass plan --layers 80 --heads 96 --width 12288 --vocab 51200 --batch 2304 --tensor 8 --machines docs/machines/a100.toml";
