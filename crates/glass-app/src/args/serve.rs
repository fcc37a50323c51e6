//! `glass serve`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{GuessArgs, MachineArgs, RunningArgs, StartArgs};

/// A name and a folder.
fn adapter(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, dir)) if !name.is_empty() && !dir.is_empty() => Ok((name.into(), dir.into())),
        _ => Err("a name and a folder are needed, as in --adapter poet=tuned/poet".into()),
    }
}

/// Serve a model over HTTP, with a page to chat
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct ServeArgs {
    /// A model: its folder or a checkpoint file; default: the built-in model
    #[arg(value_name = "MODEL")]
    pub model: Option<String>,

    /// Address to listen on; another than this machine's own needs a key
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: String,

    /// Port to listen on; 0 takes a free one, which is printed
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub port: u16,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub access: AccessArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub limits: LimitArgs,

    /// Serve the model with this adapter too, under this name: requests choose it as their `model`. May be given several times; the
    /// weights are in memory once
    #[arg(long, value_name = "NAME=DIR", value_parser = adapter)]
    pub adapter: Vec<(String, PathBuf)>,

    /// Show this run in the page, also while glass train goes on; default: MODEL, if it is the folder of a run
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,

    /// What is logged to standard error: one line per request
    #[arg(long, value_enum, value_name = "FORM", default_value_t = LogForm::Text)]
    pub log: LogForm,

    /// Log the prompts of chats and completions too; by default no text of a request is logged
    #[arg(long)]
    pub log_prompts: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub start: StartArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub running: RunningArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub guess: GuessArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineArgs,
}

/// Who may use the service.
#[derive(Args, Debug)]
#[command(next_help_heading = "Access")]
pub struct AccessArgs {
    /// Requests must carry this key (Authorization: Bearer KEY); may be given several times. Also read from
    /// GLASS_API_KEY, which other users of this machine cannot see
    #[arg(long, value_name = "KEY")]
    pub api_key: Vec<String>,

    /// A file of keys, one a line; lines that begin with # are left out
    #[arg(long, value_name = "FILE")]
    pub api_keys: Option<PathBuf>,

    /// Pages from this origin, as in `https://example.org`, may use the service; may be given several times
    #[arg(long, value_name = "ORIGIN")]
    pub cors: Vec<String>,

    /// Certificates for HTTPS, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Their private key, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

/// How much is done at a time.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Answers generated at the same time, one token of each per pass
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub batch: u16,

    /// Answers that may wait; more are refused with status 429
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub queue: u16,

    /// Memory for keys and values, in MiB: of running answers, and, in what they leave free, of earlier ones, for prompts with the
    /// same beginning. Default: what --batch answers of the whole context take, but 256 to 4096
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    pub cache_memory: Option<u64>,

    /// Longest time for one request, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,

    /// Time that running requests get when the service is stopped, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub grace: u64,

    /// Largest body of a request, in KiB; larger ones are refused with status 413
    #[arg(long, value_name = "KIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub max_body: u64,

    /// Connections at the same time; further ones wait until one is closed
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub connections: u32,
}

/// Forms of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LogForm {
    /// Lines for people
    Text,
    /// One JSON document for each request; what the program says about itself stays text
    Json,
    /// Nothing
    Off,
}

const AFTER: &str = "\
When the service can answer, its address is written to standard output. It speaks OpenAI's API at /v1, and shows a page to \
chat at /, a description of every request at /docs. /health and /metrics are for monitoring.

On this machine's own address no key is needed, and requests from pages of other sites are refused. Ctrl-C or SIGTERM ends \
the service once running answers are done, at the latest after --grace; a second one ends it at once.

A model's files are replaced by renaming new ones into their place, never by writing into them while they are served.

Examples:
  glass serve
  glass serve mine --port 9000
  GLASS_API_KEY=secret glass serve mine --host 0.0.0.0
  curl http://127.0.0.1:8080/v1/models";
