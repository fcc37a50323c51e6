//! `glass page`.

use std::path::PathBuf;

use clap::Args;

/// Write a page with a model inside: chat and explanation without a server
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct PageArgs {
    /// A model's folder or checkpoint file; default: the built-in model
    pub model: Option<String>,

    /// Where to write it: a file that ends in .html, or a folder that gets an index.html
    #[arg(long, value_name = "F.html|DIR")]
    pub out: PathBuf,

    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

const AFTER: &str = "\
The page is that of `glass serve`, in one file, with the model's files and the program, as WebAssembly, inside. It opens from a
disk and from any web server, needs no network and sends nothing: its policy allows the browser no request at all. A browser
from 2023 or later is needed (Chromium, Firefox or Safari).

The model runs on one processor of the reader. An existing file is replaced. A model takes a third more space than its files,
and browsers open at most 1.5 GB of it; `glass quantise` makes models smaller.

JSON: {\"out\",\"bytes\",\"model\",\"model_bytes\",\"files\":[{\"name\",\"bytes\"}]}

Examples:
  glass page --out glass.html
  glass page my-model-q8 --out public";
