//! `glass tokenizer`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to do with a vocabulary.
#[derive(Subcommand, Debug)]
pub enum TokenizerCommand {
    /// Learn byte-pair merges from text
    Learn(LearnArgs),
    /// Report how well a vocabulary fits a text: bytes per token compared with GPT-2's, the longest tokens, unused
    /// tokens
    Report(ReportArgs),
}

/// Learn byte-pair merges from text
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct LearnArgs {
    /// Text files, JSON lines (.jsonl) and folders of them; - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Size of the vocabulary: 256 bytes, the merges, and the special tokens
    #[arg(long, value_name = "N")]
    pub vocab: usize,

    /// Where to write tokenizer.json
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// A special token; may be given several times. Texts are cut at special tokens
    #[arg(long, value_name = "TEXT", default_value = "<|endoftext|>")]
    pub special: Vec<String>,

    /// The field of a JSON line that holds the text
    #[arg(long, default_value = "text")]
    pub field: String,

    /// Limit of memory, besides the text itself: 512M, 2G. When it is reached, the least frequent words are
    /// dropped, which is reported
    #[arg(long, value_name = "SIZE", default_value = "2G")]
    pub memory: String,

    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

const AFTER: &str = "\
The result depends on the texts only: of equally frequent pairs the lexicographically greater is merged first. If the
texts run out of pairs, the vocabulary is smaller than requested, and a remark says so.

JSON: {\"file\",\"vocabulary\",\"merges\",\"bytes\",\"words\",\"forgotten\"}
  bytes      of text read
  words      distinct words counted
  forgotten  distinct words dropped because the memory was full

Example:
  glass tokenizer learn --vocab 4096 --out mine stories.txt";

/// Report how well a vocabulary fits a text: bytes per token compared with GPT-2's, the longest tokens, unused
/// tokens
#[derive(Args, Debug)]
#[command(after_long_help = AFTER_REPORT)]
pub struct ReportArgs {
    /// Text files, JSON lines (.jsonl) and folders of them; - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// The model whose vocabulary is used; default: the built-in model
    #[arg(long, short, value_name = "MODEL")]
    pub model: Option<String>,

    /// A vocabulary instead of a model: gpt2, a folder, a tokenizer.json, a vocab.json (with merges.txt in the same
    /// folder), or tiktoken's ranks (.tiktoken)
    #[arg(long, value_name = "VOCABULARY", conflicts_with = "model")]
    pub vocab: Option<String>,

    /// The field of a JSON line that holds the text
    #[arg(long, default_value = "text")]
    pub field: String,

    /// Number of tokens shown in each list
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,

    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

const AFTER_REPORT: &str = "\
Special tokens in the text (<|endoftext|>) count as one token each, in both vocabularies. A text file is
read in portions, so a large one needs no more memory than a small one.

JSON: {\"vocabulary\",\"files\",\"bytes\",\"tokens\",\"bytes_per_token\",\"gpt2\":{\"tokens\",\"bytes_per_token\"},
\"ids\":{\"bytes\":{\"ids\",\"used\",\"tokens\",\"share\"},\"merged\",\"special\"},\"covering\":[{\"share\",\"ids\"}],
\"most_frequent\":[{\"id\",\"text\",\"bytes\",\"count\",\"share\"}],\"longest\",\"never_used\":{\"ids\",\"examples\"}}
  covering    the smallest number of ids that make up 50 %, 90 % and 99 % of the text's tokens
  never_used  how many tokens never occur in the text; examples, merged ones first
  share       share of the text's tokens, from 0 to 1

Examples:
  glass tokenizer report stories.txt
  glass tokenizer report --vocab mine/tokenizer.json --json book.txt
  cat book.txt | glass tokenizer report --vocab gpt2 -";
