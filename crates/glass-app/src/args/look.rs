//! `glass look`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::MachineArgs;

/// What happened inside: from the words to the next word
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct LookArgs {
    /// The text; - is standard input, byte for byte
    #[arg(required_unless_present_any = ["ids", "train", "circuits", "neuron"])]
    pub text: Option<OsString>,

    /// Token ids instead of a text (15496,995), for models without a tokenizer too; - is standard input
    #[arg(long, value_name = "IDS", conflicts_with = "text")]
    pub ids: Option<String>,

    /// A model: its directory, or a checkpoint's file; without it, the model inside the program
    #[arg(long, short, value_name = "MODEL")]
    pub model: Option<String>,

    /// Let <|endoftext|> and its like in TEXT be the special tokens; otherwise they are plain text
    #[arg(long)]
    pub special: bool,

    /// The next token that is traced back; without it, the most probable one
    #[arg(long, value_name = "TEXT")]
    pub next: Option<String>,

    /// A token that --next is measured against: the difference of the two logits is traced
    #[arg(long, value_name = "TEXT", requires = "next")]
    pub against: Option<String>,

    /// Lines of every list
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub top: u16,

    /// A word of TEXT whose vector is looked at, with --beside or --of: its last occurrence
    #[arg(long, value_name = "WORD", help_heading = "A word's vector")]
    pub word: Option<String>,

    /// Another text with the same word: how far its two vectors drift apart, and what moved them; with a change, in both texts
    #[arg(long, value_name = "TEXT", requires = "word", conflicts_with_all = ["of", "sweep", "cut", "patch"],
          help_heading = "A word's vector")]
    pub beside: Option<String>,

    /// A word before it: which heads carry it into WORD, and what WORD is without it. May be given several times
    #[arg(
        long,
        value_name = "WORD",
        requires = "word",
        conflicts_with_all = ["sweep", "ablate", "cut", "steer", "patch"],
        help_heading = "A word's vector"
    )]
    pub of: Vec<String>,

    /// What every head does on TEXT: shares of its attention to the position before, to the first, to the same token before, and to
    /// what came behind it; and how widely it looks
    #[arg(long, conflicts_with_all = ["sweep", "word", "ablate", "cut", "steer", "patch", "record"], help_heading = "Parts")]
    pub heads: bool,

    /// What a head is made to do, from its weights alone: the tokens that it joins most strongly
    #[arg(long, value_name = "BLOCK.HEAD", conflicts_with_all = ["text", "ids"], help_heading = "Parts")]
    pub circuits: Option<String>,

    /// Where a neuron fires the most, in the texts of --data
    #[arg(long, value_name = "BLOCK.NEURON", requires = "data", conflicts_with_all = ["text", "ids"], help_heading = "Parts")]
    pub neuron: Option<String>,

    /// Texts: a .txt, cut into documents at <|endoftext|>, or .jsonl with "text"; however long, they are read piece by piece
    #[arg(long, value_name = "F", requires = "neuron", help_heading = "Parts")]
    pub data: Option<PathBuf>,

    /// How the model of a run grew: every checkpoint in DIR, the loss of each layer's lens on TEXT, and what heads do on random
    /// tokens that stand twice
    #[arg(long, value_name = "DIR", conflicts_with_all = ["model", "sweep", "word", "ablate", "cut", "steer", "patch", "record"],
          help_heading = "A run")]
    pub train: Option<PathBuf>,

    /// Silence a part: block.3.attention, block.3.attention.head.5, block.3.mlp, block.3.mlp.neuron.17; with @4 or @4-7 at these
    /// positions only
    #[arg(long, value_name = "PART", help_heading = "Change")]
    pub ablate: Vec<String>,

    /// Cut the way from a position to later ones: KEY or KEY:QUERY, in all blocks, or block.3@KEY:QUERY in one
    #[arg(long, value_name = "EDGE", help_heading = "Change")]
    pub cut: Vec<String>,

    /// Add a direction to the residual stream: BLOCK:STRENGTH:TEXT, the unit vector that enters the block behind TEXT
    #[arg(long, value_name = "STEER", help_heading = "Change")]
    pub steer: Vec<String>,

    /// Take what stands at a site, as in block.3.attention.mixed or block.3.residual@7, from the text of --from
    #[arg(long, value_name = "SITE", requires = "from", help_heading = "Change")]
    pub patch: Vec<String>,

    /// Where --patch and --sweep take it: a text of as many tokens (ids, where TEXT is --ids)
    #[arg(long, value_name = "TEXT", help_heading = "Change")]
    pub from: Option<String>,

    /// Try a change in every place: patch each head, or the residual stream before each block at each position, from the text of
    /// --from; or hide each word from those behind it
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["ablate", "cut", "steer", "patch", "record"],
          help_heading = "Change")]
    pub sweep: Option<SweepKind>,

    /// Draw it: all heads of a block, one head's steps, what it adds to the last word, the lens, the answer
    #[arg(long, value_name = "F.svg", help_heading = "Results")]
    pub svg: Option<PathBuf>,

    /// The same as PNG, twice as large
    #[arg(long, value_name = "F.png", help_heading = "Results")]
    pub png: Option<PathBuf>,

    /// The same, explained, as one page that needs nothing beside it
    #[arg(long, value_name = "F.html", help_heading = "Results")]
    pub html: Option<PathBuf>,

    /// The head that is drawn, as in 3.5; without it, the one with the strongest link from the last position to another
    #[arg(long, value_name = "BLOCK.HEAD", help_heading = "Results")]
    pub head: Option<String>,

    /// Draw patterns with keys as rows
    #[arg(long, help_heading = "Results")]
    pub transpose: bool,

    /// Record sites, as in block.3.attention.pattern; * stands for any part: block.*.mlp.*
    #[arg(long, value_name = "SITE", requires = "out", num_args = 1.., help_heading = "Results")]
    pub record: Vec<String>,

    /// The safetensors file that is recorded to
    #[arg(long, value_name = "F.safetensors", requires = "record", help_heading = "Results")]
    pub out: Option<PathBuf>,

    /// One JSON document
    #[arg(long, help_heading = "Results")]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineArgs,
}

/// What a sweep changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum SweepKind {
    /// What each head says, at all positions
    Heads,
    /// The residual stream that enters each block, at one position after another
    Residual,
    /// Each word, hidden from those behind it
    Words,
}

const AFTER: &str = "\
Without more, a tour: the tokens; where attention goes from the last position, the strongest links first; what every layer would
say if it were the last (the logit lens); the next tokens at three temperatures; and what decided for the first of them: the
logit is a sum, so each part of the model and each word has its share of it.

Sites are embedding.token, embedding.position, embedding, residual, norm, logits, and in every block (block.N.…) residual,
attention.norm, .query, .key, .value, .scores (before the scaling), .masked (after the mask), .pattern (after the softmax),
.mixed (each head's mixed values), .contribution (what each head adds), .out; residual_middle; mlp.norm, .hidden (before the
activation), .active, .out. A recorded tensor is positions × numbers; scores, masked and pattern are heads × queries × keys.
Positions count from 0.

JSON: {\"tokens\":[{\"id\",\"text\"}],\"attention\":[{\"layer\",\"head\",\"position\",\"share\"}],\"lens\":[[{\"id\",\"text\",\"logprob\"}]],
\"next\":[{\"id\",\"text\",\"logprob\"}],\"traced\":{\"id\",\"text\",\"against\",\"logit\",\"parts\":[{\"name\",\"value\"}],\"positions\":[…]},
\"before\":[…]}; with --sweep {\"before\",\"clean\",\"after\":[[…]]}, block by block;
with --beside {\"positions\",\"cosine\":[…],\"distance\",\"first\":{\"parts\",\"positions\"},\"second\"}; with --of {\"position\",\"carried\":
[{\"layer\",\"head\",\"from\",\"share\",\"length\",\"part\"}],\"cosine_without\":[…]}; with --train a line for every checkpoint: {\"step\",\"lens\":[…],\"norms\":[…],\"first\",\"again\",
\"heads\":[[{\"previous\",\"first\",\"duplicate\",\"induction\",\"entropy\"}]]}; with --heads only those heads;
with --circuits {\"looks\":[{\"from\",\"to\",\"strength\"}],\"says\"}; with --neuron [{\"value\",\"text\",\"position\",\"before\",\"token\"}]; lens is of the last position, layer by layer; before, where something was changed, is next without it.

Examples:
  glass look \"The dog lost the ball. The sad\"
  glass look --ablate block.3.attention.head.2 \"The dog lost the ball. The sad\"
  glass look --word model --beside \"a fashion model\" \"a machine learning model\"
  glass look --word creature --of fluffy --of blue \"a fluffy blue creature\"
  glass look --circuits 3.1
  glass look --neuron 3.17 --data stories.txt
  glass look --sweep words \"The dog lost the ball. The sad\"
  glass look --train mine --svg growth.svg \"The dog lost the ball. The sad dog\"
  glass look --html inside.html \"The dog lost the ball. The sad\"
  glass look --record 'block.*.attention.pattern' --out patterns.safetensors \"The dog lost the ball.\"";
