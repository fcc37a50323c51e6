//! `glass verify`.

use clap::Args;

use super::Packings;

/// Prove on this machine that the same seed gives the same bytes
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct VerifyArgs {
    /// A model: its directory, a checkpoint's file, or a preset, which gets random weights; without it, the model inside
    pub model: Option<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub packings: Packings,

    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

const AFTER: &str = "\
One text is read in one pass, and then on 1 to 4 threads, token by token, in pieces, behind a part that was read before, and
among 15 other texts; it is gone on from by draws, each alone, sixteen together, and with tokens guessed ahead. All logits and
all tokens are compared, bit for bit. Exit status 1 if one differs.

What is promised is the same bits from the same program on one machine; other instruction sets round differently.

JSON: {\"model\",\"same\",\"seconds\",\"packings\":[{\"packing\",\"ways\":[{\"way\",\"numbers\",\"differs\"}]}]}
  differs  null, or where, in words

Examples:
  glass verify
  glass verify gpt2
  glass verify my-model --packing q8";
