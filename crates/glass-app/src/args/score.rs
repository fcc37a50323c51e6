//! `glass score`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::{MachineArgs, RunningArgs, StartArgs};

/// Measure how probable a text is to a model: log-probability and rank of every token, loss, perplexity, bits per
/// byte
#[derive(Args, Debug)]
#[command(after_long_help = AFTER, group = ArgGroup::new("what").required(true).args(["text", "file", "ids", "tasks"]))]
pub struct ScoreArgs {
    /// The text; - reads standard input, byte for byte
    pub text: Option<OsString>,

    /// A text file, cut into documents; - for standard input
    #[arg(long, value_name = "F")]
    pub file: Option<PathBuf>,

    /// Token ids (15496,995), also for models without a tokenizer; - for standard input
    #[arg(long, value_name = "IDS")]
    pub ids: Option<String>,

    /// Tasks, one JSON object per line: multiple choice, and last words
    #[arg(long, value_name = "FILE.jsonl")]
    pub tasks: Option<PathBuf>,

    /// Separator between the documents of a file
    #[arg(long, value_name = "TEXT", default_value = "<|endoftext|>")]
    pub separator: String,

    /// The field of a JSON line (--file of .jsonl) that holds the document
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub field: String,

    /// A model to compare with, token by token, such as the dense model of a packed one
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["tasks", "each"])]
    pub against: Option<String>,

    /// Print every token of a file, or every task, not only the totals
    #[arg(long)]
    pub each: bool,

    /// Read <|endoftext|> and other special tokens in TEXT as special tokens; by default they are plain text
    #[arg(long)]
    pub special: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub start: StartArgs,

    /// A model: its folder or a checkpoint file; default: the built-in model
    #[arg(long, short, value_name = "MODEL")]
    pub model: Option<String>,

    /// One JSON document
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub running: RunningArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineArgs,
}

const AFTER: &str = "\
Log-probabilities are natural logarithms of the raw logits' probabilities; rank 1 is the most probable token. loss is
nats per token, perplexity e to the loss, bits per byte the nats of all tokens / ln 2 / their bytes.

TEXT and --ids: the first token has no context and is not scored (its logprob is null). --file: the file is cut into
documents at --separator, without the line breaks next to it; each document is scored from an end-of-text token, every
token once; separators are not counted. Longer texts are read in windows of the context's length that advance by half of
it.

--against: the same for the other model, how much higher this one's perplexity is, for how many tokens the most probable
one is the same, and the mean divergence: the sum over all tokens of p ln(p / q), p the other model's probabilities, q
this one's. JSON: {\"loss\",\"perplexity\",\"bits_per_byte\",\"scored\",\"bytes\",\"documents\",\"against\":{\"loss\",\"perplexity\",
\"bits_per_byte\",\"same_top\",\"divergence\"}}.

Tasks: {\"query\",\"choices\":[…],\"gold\"} (right if the gold choice, counted from 0, is the most probable one; by
length: per character), {\"context_options\":[…],\"continuation\",\"gold\"} (right if the continuation is the most
probable after the gold context), {\"context\",\"continuation\"} (right if every token of the continuation is the
most probable one; perplexity: e to the nats of a continuation, on average). The two parts are unchanged and
joined by one space; <|endoftext|> and other special tokens are read as such. ± is one standard error. As in EleutherAI's
lm-evaluation-harness, a start token is added only if the tokenizer adds one, and a text longer than the context loses its
beginning.

JSON: {\"tokens\":[{\"id\",\"text\",\"logprob\",\"rank\"}],\"loss\",\"perplexity\",\"bits_per_byte\",\"scored\",\"bytes\",
\"documents\"}; for a file, tokens only with --each. bits_per_byte is null for a model without a tokenizer.
Tasks: {\"choice\":{\"items\",\"acc\",\"acc_stderr\",\"acc_norm\",\"acc_norm_stderr\"},\"context\":{\"items\",\"acc\",\"acc_stderr\"},
\"last_word\":{\"items\",\"acc\",\"acc_stderr\",\"perplexity\",\"perplexity_stderr\"},\"cut\"}; with --each preceded by one line per
task: {\"line\",\"logprobs\":[…],\"gold\",\"right\",\"right_by_length\"} or {\"line\",\"logprob\",\"right\"}. cut: texts that lost
their beginning.

Examples:
  glass score -m mine \"To be or not to be\"
  glass score -m mine --file held_out.txt --json
  glass score -m mine-q4 --against mine --file held_out.txt
  glass score -m mine --tasks hellaswag.jsonl";
