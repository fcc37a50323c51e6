//! `glass tokenizer`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What is done with a vocabulary.
#[derive(Subcommand, Debug)]
pub enum TokenizerCommand {
    /// Learn byte-pair merges from text
    Learn(LearnArgs),
}

/// Learn byte-pair merges from text
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct LearnArgs {
    /// Text files, JSON lines (.jsonl) and folders of them; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Tokens in all: 256 bytes, the merges, and the special tokens
    #[arg(long, value_name = "N")]
    pub vocab: usize,

    /// Where tokenizer.json is written
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// A special token; may be given several times. Texts are cut where one stands
    #[arg(long, value_name = "TEXT", default_value = "<|endoftext|>")]
    pub special: Vec<String>,

    /// The field of a JSON line that holds the text
    #[arg(long, default_value = "text")]
    pub field: String,

    /// How much may be held at once, besides the text at hand: 512M, 2G. When it is full, the words seen least are
    /// forgotten, and it is said
    #[arg(long, value_name = "SIZE", default_value = "2G")]
    pub memory: String,

    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

const AFTER: &str = "\
The result depends on the texts only: of equally frequent pairs the lexicographically greater is merged first. Where the
texts run out of pairs, the vocabulary is smaller than was asked, and it is said.

JSON: {\"file\",\"vocabulary\",\"merges\",\"bytes\",\"words\",\"forgotten\"}
  bytes      of text read
  words      distinct words counted
  forgotten  distinct words forgotten because the memory was full

Example:
  glass tokenizer learn --vocab 4096 --out mine stories.txt";
