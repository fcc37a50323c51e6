//! `glass weights`.

use std::path::PathBuf;

use clap::Args;

/// Count a model's weights, and what a context costs
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct WeightsArgs {
    /// A preset, a model's folder, or a checkpoint file; default: the built-in model
    pub model: Option<String>,

    /// Length of the context, in tokens; default: the model's own
    #[arg(long, value_name = "T")]
    pub context: Option<usize>,

    /// Draw the groups, and how T² grows with the context; as PNG if the file name ends in .png
    #[arg(long, value_name = "F.svg")]
    pub svg: Option<PathBuf>,

    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

const AFTER: &str = "\
Everything is computed from the model's sizes; no weights are loaded or allocated.

Presets: gpt2, gpt2-medium, gpt2-large, gpt2-xl, gpt3-small, gpt3-medium, gpt3-large, gpt3-xl, gpt3-2.7b, gpt3-6.7b,
gpt3-13b, gpt3-175b. The GPT-3 presets are those of table 2.1 of the paper, with two corrections. The paper gives XL 24 heads
of size 128 in a width of 2,048, and 13B 40 heads of size 128 in a width of 5,140; here XL has 16 heads and 13B a width of
5,120. GPT-3 alternates dense and locally banded attention; the paper does not state the width of the band, here it is 256
positions.

How matrices are counted: one query, key and value_down matrix for every head; one value_up (the attention's output matrix)
and two MLP matrices for every layer; the embedding and the unembedding. rows × cols are the inputs × outputs of one
matrix. A file stores a tied unembedding once, and also positions, biases and norms; the difference between the two counts
is listed.

The cost of a context of T tokens, in f32 (4 bytes per number):
  pattern           T², for every head of every layer
  kv_cache_bytes    2 × layers × T × key heads × head size × 4; a layer whose queries see a window keeps the window
                    and a pass (at most 512 tokens) in blocks of 64 instead of T
  activation_bytes  what training on one sequence keeps for the backward pass:
                    T × (layers × (6 width + MLP width + heads) + 2 width + 2) × 4
                    (less if several heads share keys)
  flops_per_token   one token forward after a full context: 2 × weights of all matrices except the embedding
                    + 4 × positions seen × width, summed over layers; training takes three times as many

JSON: {\"model\",\"groups\":[{\"name\",\"rows\",\"cols\",\"matrices\",\"weights\",\"share\"}],\"matrices\",\"weights\",
\"attention\":{\"weights\",\"share\"},\"reconciliation\":[{\"what\",\"weights\"}],\"stored\",
\"value_matrix\":{\"rows\",\"cols\",\"weights\",\"halves\":[{\"name\",\"rows\",\"cols\",\"weights\"}]},
\"context\":{\"tokens\",\"pattern\",\"patterns\",\"kv_cache_bytes\",\"activation_bytes\",\"flops_per_token\"}}
  share  from 0 to 1

Examples:
  glass weights gpt3-175b
  glass weights gpt2 --context 256 --json";
