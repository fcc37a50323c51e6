//! `glass bench`.

use clap::Args;

use super::{GuessArgs, InputArgs, MachineArgs, Packings};

/// Measure how fast a model runs, as a share of this machine's peak
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct BenchArgs {
    /// A model: its folder, a checkpoint file, or a preset, which gets random weights; default: the built-in model
    pub model: Option<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub packings: Packings,

    /// Tokens of the prompt, which is also the context of the tokens decoded after it; at most the model's context minus 32
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub tokens: usize,

    /// Measure training steps too; for GPT-2 124M they take 2.6 GB
    #[arg(long)]
    pub train: bool,

    /// One JSON document
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub inputs: InputArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub guess: GuessArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineArgs,
}

const AFTER: &str = "\
Each number is the median of several runs, in tokens per second: prefill (a prompt in one pass), decode (one token after
another, from an empty context and after the prompt), batches (several sequences, one token of each per pass, after a prompt
of at most 64 tokens). The percentages are shares of the machine's peak, measured in the same run: its multiply-adds for
prefill; its memory bandwidth for decode, counting weights and cache as read once per token. Weights that stay in the
processor's cache can be read faster than memory.

Generated: up to four texts, each with guesses and without, in turns, from the same seed, as the model's authors advise to draw. They
must be the same texts. Models that chat answer questions, others continue beginnings; in some of them much can be guessed, in
others little. Not measured for a preset, a model without a vocabulary, or with --lookup 0 --draft none.

Matrix products: those of the model, [inputs → outputs] × rows. One row is compared with the memory bandwidth, more rows
with the multiply-adds.

JSON: {\"model\",\"threads\",\"isa\",\"peak\":{\"f32\",\"bf16\",\"bytes\",\"read\"},\"packings\":[{\"packing\",\"bytes\",\"prefill\",\"decode\",
\"decode_after\",\"batches\":[{\"sequences\",\"rate\"}],\"guesses\":{\"texts\",\"tokens\",\"without\",\"with\",
\"tokens_a_pass\",\"all\",\"right\"},\"products\":[{\"inputs\",\"outputs\",\"rows\",\"rate\",\"share\"}]}],\"train\"}
  peak   operations per second (a multiply-add is two) in f32, in pairs of bf16 (null if the processor has none) and in quads
         of bytes; read: bytes per second
  guesses  without, with: tokens per second; all: tokens that were guessed; right: how many were; null if not measured
  rate   tokens per second; of products, operations per second

Examples:
  glass bench
  glass bench gpt2 --packing bf16,q8
  glass bench my-model --threads 1 --train";
