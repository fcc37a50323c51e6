//! `glass quantise` and `glass convert`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use glass::backend::Packing;

use super::MachineArgs;

/// Store a model's weights in fewer bits
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct QuantiseArgs {
    /// A model's folder or checkpoint file; default: the built-in model
    pub model: Option<String>,

    /// The number of bits
    #[arg(long, value_enum, value_name = "BITS")]
    pub to: Bits,

    /// Where to write the packed model: a new folder, or a file for llama.cpp (.gguf)
    #[arg(long, value_name = "PATH")]
    pub out: PathBuf,

    /// One JSON document
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Convert between a model's folder and GGUF, or merge an adapter
#[derive(Args, Debug)]
#[command(after_long_help = CONVERT)]
pub struct ConvertArgs {
    /// A model's folder, checkpoint file or .gguf file
    pub model: String,

    /// A new folder in the Hugging Face layout, or a .gguf file
    pub out: PathBuf,

    /// Keep quantised weights as they are, in a folder that is mapped at the start
    #[arg(long)]
    pub packed: bool,

    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

const CONVERT: &str = "\
An adapter (glass train --lora) is merged: OUT is a model of its own, with the changes in its weights.

Weights keep their type, f32, f16 or bf16; quantised weights, and mixtures of types, are written as f32. The vocabulary, the chat
template and the end tokens are written too.

With --packed, quantised weights stay number for number what they are: each matrix is written in the packing that it is computed
with, and the model gives the same bits. A .gguf is packed at every start; such a folder is mapped, like those of `glass quantise`.

JSON: {\"out\",\"weights\",\"dtype\"}; with --packed {\"out\",\"packings\",\"weights\",\"bytes\",\"bits_per_weight\"}

Examples:
  glass convert my-model my-model.gguf
  glass convert gpt2.gguf gpt2
  glass convert manner manner-merged
  glass convert gpt2-q4_k_m.gguf gpt2-q4_k_m --packed";

/// The format that weights are packed in.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Bits {
    /// 16 bits, the upper half of an f32
    #[value(alias = "bfloat16")]
    Bf16,
    /// 8 bits, and a scale for every 32 weights: 8.5 bits per weight
    #[value(aliases = ["q8_0", "int8"])]
    Q8,
    /// 4 bits, and a scale for every 32 weights: 4.5 bits per weight; the token embedding takes 8.5
    #[value(aliases = ["q4_0", "int4"])]
    Q4,
}

impl Bits {
    /// The library's value.
    pub fn packing(self) -> Packing {
        match self {
            Bits::Bf16 => Packing::Bf16,
            Bits::Q8 => Packing::Q8,
            Bits::Q4 => Packing::Q4,
        }
    }
}

/// The precisions in which a model's weights are run.
#[derive(Args, Debug)]
pub struct Packings {
    /// The precisions to run the weights in, separated by commas; default: all. A packed model has its own
    #[arg(long = "packing", value_enum, value_name = "BITS", value_delimiter = ',')]
    pub asked: Vec<Width>,
}

/// Unchanged or packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Width {
    /// 32 bits, as in training
    F32,
    /// 16 bits
    #[value(alias = "bfloat16")]
    Bf16,
    /// 8 bits
    #[value(aliases = ["q8_0", "int8"])]
    Q8,
    /// 4 bits
    #[value(aliases = ["q4_0", "int4"])]
    Q4,
}

impl Packings {
    /// The library's values.
    pub fn of(&self) -> Vec<Packing> {
        let named = |packing: &Packing| {
            let named = |width: &Width| {
                width.to_possible_value().expect("none is hidden").get_name() == packing.name()
            };
            self.asked.iter().any(named)
        };
        Packing::OFFERED.into_iter().filter(|packing| self.asked.is_empty() || named(packing)).collect()
    }
}

const AFTER: &str = "\
A packed model is an ordinary model folder and can be used everywhere (-m DIR). Its matrices are stored in the layout used for
computing: the file is mapped, and nothing is converted at the start. Vectors and positions stay f32. Packing cannot be undone;
keep the original model.

A .gguf holds the same weights in llama.cpp's order (bf16, Q8_0; Q4_0 with Q8_0 for the token embedding), the vocabulary and the
chat template; it is packed again when it is opened.

Measure the loss of quality on your own text:
  glass score -m MODEL --file TEXT
  glass score -m DIR --file TEXT

JSON: {\"out\",\"packing\",\"weights\",\"bytes\",\"bits_per_weight\",\"from_bytes\"}
  bytes, from_bytes   the size of the weights in the file, packed and original

Example:
  glass quantise my-model --to q8 --out my-model-q8";
