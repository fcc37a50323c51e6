//! `glass chat`.

use std::ffi::OsString;

use clap::Args;

use super::{GuessArgs, MachineArgs, RunningArgs, SamplingArgs, StartArgs};

/// Talk to a model
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct ChatArgs {
    /// A model with a chat template; default: the built-in model
    #[arg(long, short, value_name = "MODEL")]
    pub model: Option<String>,

    /// The system prompt: instructions that the model reads before every answer
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,

    /// Answer this question and exit; - reads it from standard input
    #[arg(long, value_name = "QUESTION")]
    pub once: Option<OsString>,

    /// Longest answer, in tokens; this many are reserved in the context. Default: half the context
    #[arg(long, value_name = "N")]
    pub tokens: Option<usize>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub start: StartArgs,

    /// With --once: one JSON document
    #[arg(long, requires = "once")]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub sampling: SamplingArgs,

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

const AFTER: &str = "\
Commands in the chat: /help, /system TEXT, /temperature T, /retry, /save FILE, /quit. Ctrl-C stops an answer, Ctrl-D ends \
the chat. If standard input is not a terminal, every line is a question.

When the context is full, the oldest questions and answers are left out, which is reported; the system prompt stays. A \
system prompt that does not fit is refused. /save writes {\"messages\":[{\"role\",\"content\"}]}, which glass train --chat \
reads. Templates that ask for the date get the local time.

JSON: {\"answer\",\"ids\",\"finish\",\"seed\",\"prompt_tokens\",\"context\"}; finish as in glass generate

Examples:
  glass chat
  glass chat --once \"Tell me a story about a dog and a lost ball\"
  glass chat -m mine --system \"You are brief.\" --temperature 0.7";
