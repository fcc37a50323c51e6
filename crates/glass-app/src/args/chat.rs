//! `glass chat`.

use std::ffi::OsString;

use clap::Args;

use super::{CacheArgs, LookupArgs, MachineArgs, SamplingArgs};

/// Talk to a model
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub struct ChatArgs {
    /// A model with a chat template; without it, the model inside the program
    #[arg(long, short, value_name = "MODEL")]
    pub model: Option<String>,

    /// The system prompt: what the model is told before anything else, and keeps
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,

    /// Answer this question and end; - is standard input
    #[arg(long, value_name = "QUESTION")]
    pub once: Option<OsString>,

    /// At most so many tokens of an answer, for which room is kept; half the context where it is left out
    #[arg(long, value_name = "N")]
    pub tokens: Option<usize>,

    /// With --once: one JSON document
    #[arg(long, requires = "once")]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub sampling: SamplingArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub cache: CacheArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub lookup: LookupArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub machine: MachineArgs,
}

const AFTER: &str = "\
Inside: /help, /system TEXT, /temperature T, /save FILE, /retry, /quit. Ctrl-C ends an answer, Ctrl-D the chat. Where
standard input is no terminal, every line is a question.

When the context is full, the system prompt stays, the oldest turns are left out, and it is said. A system prompt that
alone is too long is refused. /save writes {\"messages\":[{\"role\",\"content\"}]}, which glass train --chat reads.

JSON: {\"answer\",\"ids\",\"finish\",\"seed\",\"prompt_tokens\",\"context\"}; finish as in glass generate

Examples:
  glass chat
  glass chat --once \"Tell me a story about a dog and a lost ball\"
  glass chat -m mine --system \"You are brief.\" --temperature 0.7";
