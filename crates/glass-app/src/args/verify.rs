//! `glass verify`.

use clap::Args;

use super::Packings;

/// Check on this machine that the same seed gives the same bits
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct VerifyArgs {
    /// A model: its folder, a checkpoint file, or a preset, which gets random weights; default: the built-in model
    pub model: Option<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub packings: Packings,

    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

const AFTER: &str = "\
A text is read in one pass, and then in other ways: on 1 to 4 threads, token by token, in pieces, after a cached prefix, and
in a batch with 15 other texts. It is then continued by sampling: each sample alone, sixteen together, and with tokens
guessed ahead. Half of the samples are drawn from two tokens alone, so that they repeat themselves and some guesses are right. All
logits, tokens and log-probabilities are compared bit for bit. The exit status is 1 if any of them differ.

The same program on the same machine gives the same bits. Other instruction sets round differently.

JSON: {\"model\",\"same\",\"seconds\",\"packings\":[{\"packing\",\"ways\":[{\"way\",\"numbers\",\"differs\",\"guessed\",\"right\"}]}]}
  differs  null, or a sentence that says where the first difference is

Examples:
  glass verify
  glass verify gpt2
  glass verify my-model --packing q8";
