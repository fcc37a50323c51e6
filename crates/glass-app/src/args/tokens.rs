//! `glass tokens`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::StartArgs;

/// Split a text into tokens with their ids and bytes, or join tokens into a text
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct TokensArgs {
    /// The text; - reads standard input, byte for byte
    #[arg(required_unless_present_any = ["decode", "file"])]
    pub text: Option<OsString>,

    /// Read the text from this file; - for standard input
    #[arg(long, value_name = "F", conflicts_with_all = ["text", "decode"])]
    pub file: Option<PathBuf>,

    /// The model whose vocabulary is used; default: the built-in model
    #[arg(long, short, value_name = "MODEL")]
    pub model: Option<String>,

    /// A vocabulary instead of a model: gpt2, a folder, a tokenizer.json, a vocab.json (with merges.txt in the same
    /// folder), or tiktoken's ranks (.tiktoken)
    #[arg(long, value_name = "VOCABULARY", conflicts_with = "model")]
    pub vocab: Option<String>,

    /// Decode: print the text of these ids (15496,995); - for standard input
    #[arg(long, value_name = "IDS", conflicts_with_all = ["text", "merges"])]
    pub decode: Option<String>,

    /// Show how every word was merged, step by step
    #[arg(long)]
    pub merges: bool,

    /// Read <|endoftext|> and other special tokens in the text as special tokens; by default they are plain text
    #[arg(long)]
    pub special: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub start: StartArgs,

    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

const AFTER: &str = "\
JSON: {\"tokens\":[{\"id\":15496,\"text\":\"Hello\",\"bytes\":[72,101,108,108,111]}],\"count\":1}
  text    the token's bytes as text; bytes that are not complete characters become U+FFFD
  bytes   the token's bytes
  merges  with --merges: [{\"word\",\"steps\":[[\"H\",\"e\",…],…]}]; the last step holds the word's tokens
With --decode: {\"text\",\"bytes\",\"count\"}

Examples:
  glass tokens --vocab gpt2 \"Hello, world\"
  glass tokens --vocab gpt2 --merges \"unbelievable\"
  glass tokens --vocab gpt2 --decode 15496,11,995
  cat book.txt | glass tokens --vocab gpt2 --json -";
