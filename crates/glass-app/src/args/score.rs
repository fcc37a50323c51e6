//! `glass score`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::MachineArgs;

/// How probable a model finds a text: log-probability and rank of every token, loss, perplexity, bits per byte
#[derive(Args, Debug)]
#[command(after_long_help = AFTER, group = ArgGroup::new("what").required(true).args(["text", "file", "ids", "tasks"]))]
pub struct ScoreArgs {
    /// The text; - is standard input, byte for byte
    pub text: Option<OsString>,

    /// A text file, cut into documents; - is standard input
    #[arg(long, value_name = "F")]
    pub file: Option<PathBuf>,

    /// Token ids (15496,995), for models without a tokenizer too; - is standard input
    #[arg(long, value_name = "IDS")]
    pub ids: Option<String>,

    /// Tasks, one JSON object a line: multiple choice, and last words
    #[arg(long, value_name = "FILE.jsonl")]
    pub tasks: Option<PathBuf>,

    /// Stands between the documents of a file
    #[arg(long, value_name = "TEXT", default_value = "<|endoftext|>")]
    pub separator: String,

    /// The field of a JSON line (--file of .jsonl) that holds the document
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub field: String,

    /// Every token of a file too, not only the totals
    #[arg(long)]
    pub each: bool,

    /// Let <|endoftext|> and its like in TEXT be the special tokens; otherwise they are plain text
    #[arg(long)]
    pub special: bool,

    /// A model: its directory, or a checkpoint's file; without it, the model inside the program
    #[arg(long, short, value_name = "MODEL")]
    pub model: Option<String>,

    /// One JSON document
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineArgs,
}

const AFTER: &str = "\
Log-probabilities are natural logarithms of the raw logits' probabilities; rank 1 is the most probable token. loss is
nats per token, perplexity e to the loss, bits per byte the nats of all tokens / ln 2 / their bytes.

TEXT and --ids: the first token has none before it and is not scored (its logprob is null). --file: the file is cut into
documents at --separator, without the line breaks beside it; each document is scored from an end-of-text token, every
token once; separators are not counted. What is longer than the context is read in windows of the context's length that
move on by half of it.

Tasks: {\"query\",\"choices\":[…],\"gold\"} (right where the gold choice is the most probable; acc_norm: by bytes),
{\"context_options\":[…],\"continuation\",\"gold\"}, {\"context\",\"continuation\"} (right where every token of the
continuation is the most probable one).

JSON: {\"tokens\":[{\"id\",\"text\",\"logprob\",\"rank\"}],\"loss\",\"perplexity\",\"bits_per_byte\",\"scored\",\"bytes\",
\"documents\"}; of a file, tokens only with --each. bits_per_byte is null where a model has no tokenizer.
Tasks: {\"choice\":{\"items\",\"acc\",\"acc_norm\"},\"last_word\":{\"items\",\"acc\",\"perplexity\"}}

Examples:
  glass score -m mine \"To be or not to be\"
  glass score -m mine --file held_out.txt --json";
