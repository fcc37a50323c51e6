//! `glass generate`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::{GuessArgs, MachineArgs, RunningArgs, SamplingArgs, StartArgs};

/// Continue a text
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct GenerateArgs {
    /// The text; - reads standard input, byte for byte. By default the model begins a text of its own
    pub text: Option<OsString>,

    /// Read the text from this file; - for standard input
    #[arg(long, value_name = "F", conflicts_with_all = ["text", "ids"])]
    pub file: Option<PathBuf>,

    /// Token ids instead of a text (15496,995), also for models without a tokenizer; - for standard input
    #[arg(long, value_name = "IDS", conflicts_with = "text")]
    pub ids: Option<String>,

    /// A model: its folder or a checkpoint file; default: the built-in model
    #[arg(long, short, value_name = "MODEL")]
    pub model: Option<String>,

    /// Generate at most N tokens [default: from the model's generation_config.json, otherwise 200]
    #[arg(long, value_name = "N")]
    pub tokens: Option<usize>,

    /// Stop before this text; may be given several times
    #[arg(long, value_name = "S")]
    pub stop: Vec<String>,

    /// Continue after the end-of-text token
    #[arg(long)]
    pub ignore_end: bool,

    /// Read <|endoftext|> and other special tokens in the text as special tokens; by default they are plain text
    #[arg(long)]
    pub special: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub start: StartArgs,

    /// Number of continuations, each drawn independently from the same seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub samples: u64,

    /// Generate this many samples together, one token of each per pass: the same texts, shown when they are done
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with_all = ["show", "lookup", "draft"],
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub batch: u16,

    /// Show each token with its probability and the most probable alternatives
    #[arg(long)]
    pub show: bool,

    /// One line of JSON per sample
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub sampling: SamplingArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub running: RunningArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub guess: GuessArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineArgs,
}

const AFTER: &str = "\
The text and its continuation are written token by token. If the context is full, generation stops with a remark.

JSON: {\"text\",\"ids\",\"finish\",\"seed\",\"sample\"}, of the continuation only
  sample  its number, from 1
  finish  length (the requested number of tokens, or the context is full), stop (a stop text), end (the end-of-text token)
  tokens  with --show: [{\"id\",\"text\",\"logprob\",\"top\":[{\"id\",\"text\",\"logprob\"}]}]; logarithms (nats) of the raw
          probabilities, before any bias, penalty or temperature

Examples:
  glass generate \"Once upon a time\"
  glass generate -m mine --temperature 0.8 --top-k 40 --seed 1 --tokens 100 \"The\"
  glass generate -m mine --show --temperature 0 \"To be or\"";
