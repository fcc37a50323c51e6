//! `glass fetch`.

use clap::Args;

use crate::hub_cache::MAIN;

/// Fetch a model from the Hugging Face Hub
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct FetchArgs {
    /// The model's name on the Hub
    #[arg(value_name = "OWNER/NAME")]
    pub repository: String,

    /// A branch, a tag or a commit; default: main
    #[arg(long, value_name = "R", default_value = MAIN, hide_default_value = true)]
    pub revision: String,

    /// Fetch this file only, for example one of several .gguf files; may be given several times
    #[arg(long = "file", value_name = "NAME")]
    pub files: Vec<String>,

    /// List the files and their sizes, and fetch nothing
    #[arg(long, visible_alias = "plan")]
    pub dry_run: bool,

    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

const AFTER: &str = "\
Only files that Glass can use are fetched: the configuration, the vocabulary, the chat template, and the weights as
safetensors, or as PyTorch's files if there are none. They go into the cache of Hugging Face's own programs, which find them
there; what these have fetched is not fetched again. Afterwards the model is called OWNER/NAME in every command.

An interrupted fetch is continued by the same command. The size and the hash of every file are checked. The last line of
output is the model's folder, or the file if one was named with --file.

Environment:
  HF_TOKEN        a token, for private and gated models; otherwise the one that `hf auth login` stored
  HF_HOME         the folder of the cache's folder `hub`; default: ~/.cache/huggingface, or in XDG_CACHE_HOME
  HF_HUB_CACHE    the cache itself
  HF_ENDPOINT     another server; default: https://huggingface.co
  HF_HUB_OFFLINE  with 1, nothing is fetched: the command only looks into the cache
  HF_HUB_DOWNLOAD_TIMEOUT   seconds without an answer after which a connection is given up; default: 30
  HTTPS_PROXY, NO_PROXY     a proxy, and hosts without one
  SSL_CERT_FILE   certificates to trust instead of the built-in ones

JSON: {\"repository\",\"revision\",\"commit\",\"path\",\"files\":[{\"name\",\"bytes\",\"cached\"}],\"bytes\",\"fetched_bytes\",\"seconds\"}
  cached          whether the file was there before
  fetched_bytes   what was transferred, or with --dry-run what would be

Examples:
  glass fetch openai-community/gpt2
  glass generate \"Once upon a time\" -m openai-community/gpt2
  glass fetch OWNER/NAME --file model-q8_0.gguf";
