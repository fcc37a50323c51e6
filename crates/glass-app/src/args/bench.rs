//! `glass bench`.

use clap::Args;

use super::{MachineArgs, Packings};

/// How fast a model runs here, against what this machine can do at most
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct BenchArgs {
    /// A model: its directory, a checkpoint's file, or a preset, which gets random weights; without it, the model inside
    pub model: Option<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub packings: Packings,

    /// Tokens of the prompt, and of the context behind which tokens are decoded; at most the model's context less 32
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub tokens: usize,

    /// Measure steps of training too: GPT-2 124M takes 2.6 GB for them
    #[arg(long)]
    pub train: bool,

    /// One JSON document
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineArgs,
}

const AFTER: &str = "\
Medians of some turns, in tokens per second: prefill (a prompt in one pass), decode (one token after another, from an empty
context and behind the prompt), batches (so many sequences, a token of each in one pass, behind the prompt where it is short
enough). % is of what the machine can do at most, measured in the same run: of its multiply-adds for prefill, of reading memory for
decode, where weights and cache count as read once a token. Weights that stay in a cache can be read faster than memory.

Products: the model's own shapes, [inputs → outputs], by rows; one row is compared with reading, many with multiply-adds.

JSON: {\"model\",\"threads\",\"isa\",\"roof\":{\"f32\",\"bf16\",\"bytes\",\"read\"},\"packings\":[{\"packing\",\"bytes\",\"prefill\",\"decode\",
\"decode_behind\",\"batches\":[{\"sequences\",\"rate\"}],\"products\":[{\"inputs\",\"outputs\",\"rows\",\"rate\",\"share\"}]}],\"train\"}
  roof   operations per second (two to a multiply-add), of f32, of pairs of bf16 (null where there are none) and of quads of
         bytes; read: bytes per second
  rate   tokens per second; of products, operations per second

Examples:
  glass bench
  glass bench gpt2 --packing bf16,q8
  glass bench my-model --threads 1 --train";
