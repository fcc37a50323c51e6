//! `glass look`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{MachineArgs, RunningArgs, StartArgs};

/// Show what happens inside a model, from a text to the next token
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct LookArgs {
    /// The text; - reads standard input, byte for byte
    #[arg(required_unless_present_any = ["ids", "file", "train", "circuits", "neuron", "record", "fit_lens"])]
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

    /// Read <|endoftext|> and other special tokens in TEXT as special tokens; by default they are plain text
    #[arg(long)]
    pub special: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub start: StartArgs,

    /// The names of sites and parts in results; both kinds are always accepted
    #[arg(long, value_enum, value_name = "NAMES", default_value_t = SiteNames::Glass)]
    pub names: SiteNames,

    /// The next token whose logit is explained; default: the most probable one
    #[arg(long, value_name = "TEXT")]
    pub next: Option<String>,

    /// A token that --next is compared with: the difference of the two logits is explained
    #[arg(long, value_name = "TEXT", requires = "next")]
    pub against: Option<String>,

    /// Number of lines in every list
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub top: u16,

    /// A word of TEXT whose vector is examined, with --beside or --of: the last occurrence that follows all words
    /// of --of. If it has several tokens, the mean of their vectors is used
    #[arg(long, value_name = "WORD", help_heading = "A word's vector")]
    pub word: Option<String>,

    /// Another text with the same word: how far apart the word's two vectors are, and which parts separate them;
    /// changes apply to both texts
    #[arg(long, value_name = "TEXT", requires = "word", conflicts_with_all = ["of", "sweep", "cut", "patch"],
          help_heading = "A word's vector")]
    pub beside: Option<String>,

    /// An earlier word: which heads move information from it to WORD, and how WORD changes without it; may be given
    /// several times
    #[arg(
        long,
        value_name = "WORD",
        requires = "word",
        conflicts_with_all = ["sweep", "ablate", "cut", "steer", "patch"],
        help_heading = "A word's vector"
    )]
    pub of: Vec<String>,

    /// What every head does on TEXT: how much of its attention goes to the previous position, to the first, to
    /// earlier occurrences of the same token, and to the token after those; and its entropy
    #[arg(long, conflicts_with_all = ["sweep", "word", "ablate", "cut", "steer", "patch", "record"], help_heading = "Parts")]
    pub heads: bool,

    /// What a head does according to its weights: the pairs of tokens that it links most strongly
    #[arg(long, value_name = "BLOCK.HEAD", conflicts_with_all = ["text", "ids"], help_heading = "Parts")]
    pub circuits: Option<String>,

    /// Where a neuron is most active, in the texts of --data
    #[arg(long, value_name = "BLOCK.NEURON", requires = "data", conflicts_with_all = ["text", "ids"], help_heading = "Parts")]
    pub neuron: Option<String>,

    /// Texts for --neuron and --fit-lens: a .txt file, cut into documents at <|endoftext|>, or .jsonl with "text";
    /// files of any length are read piece by piece
    #[arg(long, value_name = "F", help_heading = "Parts")]
    pub data: Option<PathBuf>,

    /// Fit the Jacobian lens of the model on the texts of --data (sample: built-in stories), and keep it beside the
    /// model as jacobian_lens.safetensors, or in --out: for every block, the average effect of its input on the
    /// output of the last block
    #[arg(long, requires = "data", conflicts_with_all = ["text", "ids", "file", "neuron", "lens", "record", "svg", "png", "html"],
          help_heading = "The Jacobian lens")]
    pub fit_lens: bool,

    /// The number of texts that --fit-lens reads at most; too short ones do not count
    #[arg(long, value_name = "N", requires = "fit_lens", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..),
          help_heading = "The Jacobian lens")]
    pub texts: u64,

    /// How many tokens of each text it reads; default: 64, or the model's context if it is shorter
    #[arg(long, value_name = "N", requires = "fit_lens", help_heading = "The Jacobian lens")]
    pub tokens: Option<usize>,

    /// How many of the first positions of each text it leaves out
    #[arg(
        long,
        value_name = "N",
        requires = "fit_lens",
        default_value_t = 16,
        help_heading = "The Jacobian lens"
    )]
    pub skip: usize,

    /// Show the lens of the tour also through the Jacobian lens: jacobian for the one beside the model, or a file of
    /// --fit-lens
    #[arg(long, value_name = "LENS", conflicts_with_all = ["svg", "png", "html"], help_heading = "The Jacobian lens")]
    pub lens: Option<String>,

    /// How the model of a run developed: for every checkpoint in DIR, the loss of each layer's logit lens on TEXT,
    /// and what heads do on repeated random tokens
    #[arg(long, value_name = "DIR", conflicts_with_all = ["model", "sweep", "word", "ablate", "cut", "steer", "patch", "record"],
          help_heading = "A run")]
    pub train: Option<PathBuf>,

    /// Set a part's output to zero: block.3.attention, block.3.attention.head.5, block.3.mlp,
    /// block.3.mlp.neuron.17; with @4 or @4-7 at these positions only
    #[arg(long, value_name = "PART", help_heading = "Change")]
    pub ablate: Vec<String>,

    /// Hide a position from later ones: KEY or KEY:QUERY, in all blocks, or block.3@KEY:QUERY in one
    #[arg(long, value_name = "EDGE", help_heading = "Change")]
    pub cut: Vec<String>,

    /// Add a direction to the residual stream: BLOCK:STRENGTH:TEXT, the unit vector that enters the block after TEXT
    #[arg(long, value_name = "STEER", help_heading = "Change")]
    pub steer: Vec<String>,

    /// Replace the numbers of a site, such as block.3.attention.z or block.3.residual@7, by those from the text of
    /// --from
    #[arg(long, value_name = "SITE", requires = "from", help_heading = "Change")]
    pub patch: Vec<String>,

    /// The text that --patch and --sweep take numbers from, with the same number of tokens (ids, if TEXT is given
    /// as --ids)
    #[arg(long, value_name = "TEXT", help_heading = "Change")]
    pub from: Option<String>,

    /// Try a change at every place: patch each head, or the residual stream before each block at each position,
    /// from the text of --from; or hide each token from later ones
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["ablate", "cut", "steer", "patch", "record"],
          help_heading = "Change")]
    pub sweep: Option<SweepKind>,

    /// Write the result as SVG; with --json, both are written. For a text: the attention of all blocks, all heads
    /// of one block, one head's steps and its output at the last token, the logit lens, the prediction, and what
    /// decided it
    #[arg(long, value_name = "F.svg", help_heading = "Results")]
    pub svg: Option<PathBuf>,

    /// The same as PNG, twice as large
    #[arg(long, value_name = "F.png", help_heading = "Results")]
    pub png: Option<PathBuf>,

    /// The same with explanations, as one self-contained HTML page
    #[arg(long, value_name = "F.html", help_heading = "Results")]
    pub html: Option<PathBuf>,

    /// The head to draw, as in 3.5; default: the one with the strongest link from the last position to another
    #[arg(long, value_name = "BLOCK.HEAD", help_heading = "Results")]
    pub head: Option<String>,

    /// Draw patterns with keys as rows
    #[arg(long, help_heading = "Results")]
    pub transpose: bool,

    /// Record sites, as in block.3.attention.pattern; * matches anything: block.*.mlp.*
    #[arg(long, value_name = "SITE", requires = "out", num_args = 1.., help_heading = "Results")]
    pub record: Vec<String>,

    /// The safetensors file to write the record, or the lens of --fit-lens, to
    #[arg(long, value_name = "F.safetensors", help_heading = "Results")]
    pub out: Option<PathBuf>,

    /// One JSON document
    #[arg(long, help_heading = "Results")]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub running: RunningArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineArgs,
}

impl LookArgs {
    /// Whether the results are to be drawn: a picture, or a page with pictures.
    pub fn has_picture(&self) -> bool {
        self.svg.is_some() || self.png.is_some() || self.html.is_some()
    }
}

/// The naming scheme of sites.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum SiteNames {
    /// block.3.attention.pattern
    Glass,
    /// blocks.3.attn.hook_pattern, as in TransformerLens; recorded shapes are also that library's
    TransformerLens,
}

impl From<SiteNames> for glass::probe::Names {
    fn from(names: SiteNames) -> Self {
        match names {
            SiteNames::Glass => Self::Glass,
            SiteNames::TransformerLens => Self::TransformerLens,
        }
    }
}

/// What a sweep changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum SweepKind {
    /// The output of each head, at all positions
    Heads,
    /// The residual stream that enters each block, one position at a time
    Residual,
    /// Each token, hidden from later ones
    Words,
}

const AFTER: &str = "\
Without options, a tour: the tokens; where attention goes from the last position, the strongest links first; what every layer would
predict if it were the last (the logit lens); the next tokens at three temperatures, including the one that generate uses; and what
decided the first of them: its logit is the sum of what the parts of the model add. The remainder is shown as rest: rounding, if
weights are quantised, and changes after the last block.

Sites are embedding.token, embedding.position, embedding, residual, norm, logits, and in every block (block.N.…) residual,
attention.norm, .query, .key, .value, .query_norm, .key_norm, .query_rotated, .key_rotated, .scores (before the scaling), .masked
(after the mask), .pattern (after the softmax), .z (each head's output), .contribution (what each head adds), .out;
residual_middle; mlp.norm, .hidden (before the activation), .up (what it is multiplied by, if gated), .active, .out. Learned positions,
rotations, norms of queries and a gate are not in every model. TransformerLens's names are accepted too (blocks.N.attn.hook_pattern,
L3H5). A recorded tensor is positions × numbers; scores, masked and pattern are heads × queries × keys. Positions count from 0.

JSON: {\"tokens\":[{\"id\",\"text\"}],\"attention\":[{\"layer\",\"head\",\"position\",\"share\"}],\"lens\":[[{\"id\",\"text\",\"logprob\"}]],
\"next\":[{\"id\",\"text\",\"logprob\"}],\"traced\":{\"id\",\"text\",\"against\",\"logit\",\"parts\":[{\"name\",\"value\"}],\"rest\",
\"positions\":[…]},\"before\":[…],\"recorded\":{\"file\",\"sites\":[{\"name\",\"shape\"}],\"numbers\"}}; lens is of the last position, layer by
layer; before, if something was changed, is next without the change. With --lens also \"jacobian\", which is like lens, with null
for the input of the first block, which has no matrix. With --fit-lens {\"file\",\"texts\",\"positions\",\"tokens\",\"skipped\",
\"too_short\",\"seconds\"}.
With --sweep {\"before\",\"clean\",\"after\":[[…]]}, block by block; with --beside {\"positions\",\"tokens\",\"cosine\":[…],\"distance\",
\"first\":{\"parts\",\"rest\",\"positions\"},\"second\"}; with --of {\"position\",\"positions\",\"carried\":[{\"layer\",\"head\",\"from\",\"to\",\"share\",
\"length\",\"part\"}],\"without\":[{\"word\",\"positions\",\"cosine\"}],\"cosine_without\":[…]}; with --train one line per checkpoint:
{\"step\",\"lens\":[…],\"norms\":[…],\"first\",\"again\",\"heads\":[[{\"previous\",\"first\",\"duplicate\",\"induction\",\"entropy\"}]]}; with --heads
only those heads; with --circuits {\"looks\":[{\"from\",\"to\",\"strength\"}],\"says\"}; with --neuron
[{\"value\",\"text\",\"position\",\"before\",\"token\"}].

Examples:
  glass look \"The dog lost the ball. The sad\"
  glass look --ablate block.3.attention.head.2 \"The dog lost the ball. The sad\"
  glass look --word model --beside \"a fashion model\" \"a machine learning model\"
  glass look --word creature --of fluffy --of blue \"a fluffy blue creature\"
  glass look --circuits 3.1
  glass look --neuron 3.17 --data stories.txt
  glass look --fit-lens --data sample --out lens.safetensors
  glass look --lens lens.safetensors \"The dog lost the ball. The sad\"
  glass look --sweep words \"The dog lost the ball. The sad\"
  glass look --train mine --svg growth.svg \"The dog lost the ball. The sad dog\"
  glass look --html inside.html \"The dog lost the ball. The sad\"
  glass look --names transformer-lens --record 'blocks.*.attn.hook_pattern' --out patterns.safetensors \"The dog lost the ball.\"";
