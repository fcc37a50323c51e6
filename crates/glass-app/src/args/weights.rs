//! `glass weights`.

use std::path::PathBuf;

use clap::Args;

/// Every group of weight matrices, the totals, and what a context costs
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct WeightsArgs {
    /// A preset, a model's directory, or a checkpoint's file; without it, the model inside the program
    pub model: Option<String>,

    /// Tokens of the context that is counted with; the model's own where it is left out
    #[arg(long, value_name = "T")]
    pub context: Option<usize>,

    /// Draw the groups, and T² over the context
    #[arg(long, value_name = "F.svg")]
    pub svg: Option<PathBuf>,

    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

const AFTER: &str = "\
Everything is read off the plan; no weight is loaded, nothing is allocated.

Presets: gpt2, gpt2-medium, gpt2-large, gpt2-xl, gpt3-small, gpt3-medium, gpt3-large, gpt3-xl, gpt3-2.7b, gpt3-6.7b,
gpt3-13b, gpt3-175b. The GPT-3s are those of the paper's table 2.1. Two of its rows do not divide: XL is printed with 24
heads of 128 in a width of 2,048, and 13B with a width of 5,140 under 40 heads of 128; here XL has 16 heads and 13B a
width of 5,120. GPT-3 alternates dense and locally banded attention; the paper does not give the band's width, 256
positions are taken.

How it is counted: queries, keys and value_downs one matrix for every head, value_up (the attention's output matrix) and
the two of the MLP one for every layer, embedding and unembedding both. rows × cols are inputs × outputs of one matrix. A
file stores a tied unembedding once, and positions, biases and norms besides; the two counts are reconciled line by line.

A context of T tokens, f32 (4 bytes a number):
  pattern           T², for every head of every layer
  kv_cache_bytes    2 × layers × T × heads × head size × 4
  activation_bytes  what learning from one sequence keeps for the way back:
                    T × (layers × (6 width + MLP width + heads) + 2 width + 2) × 4
                    (where keys are shared by groups of heads, less)
  flops_per_token   one token forward behind a full context: 2 × weights of all matrices but the embedding
                    + 4 × positions seen × width, summed over layers; learning takes three times as many

JSON: {\"model\", \"groups\":[{\"name\",\"rows\",\"cols\",\"matrices\",\"weights\",\"share\"}], \"matrices\", \"weights\",
\"attention\":{\"weights\",\"share\"}, \"reconciliation\":[{\"what\",\"weights\"}], \"stored\",
\"value_matrix\":{\"rows\",\"cols\",\"weights\",\"halves\":[{\"name\",\"rows\",\"cols\",\"weights\"}]},
\"context\":{\"tokens\",\"pattern\",\"patterns\",\"kv_cache_bytes\",\"activation_bytes\",\"flops_per_token\"}}
share is from 0 to 1.

Examples:
  glass weights gpt3-175b
  glass weights gpt2 --context 256 --json";
