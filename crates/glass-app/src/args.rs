//! The command line: what can be asked, and how it is explained.

mod bench;
mod chat;
mod generate;
mod look;
mod machine;
mod quantise;
mod running;
mod sampling;
mod score;
mod tokenizer;
mod tokens;
mod train;
mod verify;
mod weights;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::fail::Fail;

pub use bench::BenchArgs;
pub use chat::ChatArgs;
pub use generate::GenerateArgs;
pub use look::{LookArgs, SweepKind};
pub use machine::MachineArgs;
pub use quantise::{ConvertArgs, Packings, QuantiseArgs};
pub use running::{CacheArgs, LookupArgs};
pub use sampling::SamplingArgs;
pub use score::ScoreArgs;
pub use tokenizer::{LearnArgs, ReportArgs, TokenizerCommand};
pub use tokens::TokensArgs;
pub use train::{DataArgs, RunArgs, ShapeArgs, TrainArgs, Width};
pub use verify::VerifyArgs;
pub use weights::WeightsArgs;

/// A GPT you can see through: it tokenises, trains, generates, chats, and shows every number on the way.
#[derive(Parser, Debug)]
#[command(name = "glass", version, disable_help_subcommand = true, after_help = AFTER)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const AFTER: &str = "\
MODEL is a directory in the Hugging Face layout, a .gguf, or a checkpoint's file: llm.c's (.bin) or nanoGPT's (.pt, read
without running anything in it). Beside such a file may lie what belongs to it: a vocabulary (tokenizer.json, or vocab.json and
merges.txt), a chat template, generation_config.json. Where no vocabulary does and its size is GPT-2's, GPT-2's is taken.

Results go to standard output, progress and remarks to standard error. `-` is standard input, byte for byte.
Exit status: 0 done, 1 it failed, 2 it was asked wrongly. NO_COLOR turns colours off.";

/// The commands, in the order of the flow.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Text to tokens: pieces, ids, bytes; and back
    Tokens(TokensArgs),
    /// A vocabulary of your own, and how well one fits a text
    Tokenizer {
        /// What to do with it.
        #[command(subcommand)]
        command: TokenizerCommand,
    },
    /// Every group of weight matrices, the totals, and what a context costs
    Weights(WeightsArgs),
    /// Learn from text
    Train(Box<TrainArgs>),
    /// Continue a text
    Generate(GenerateArgs),
    /// Talk to a model
    Chat(ChatArgs),
    /// What happened inside, from the words to the next word
    Look(Box<LookArgs>),
    /// How probable a model finds a text
    Score(ScoreArgs),
    /// Pack a model's weights in fewer bits
    Quantise(QuantiseArgs),
    /// Between a model's folder and GGUF, loss-free
    Convert(ConvertArgs),
    /// Prove on this machine that the same seed gives the same bytes
    Verify(VerifyArgs),
    /// How fast a model runs here, against what this machine can do at most
    Bench(BenchArgs),
}

/// Reads the command line. Help and version are shown here, and end the program.
pub fn parse() -> Result<Cli, Fail> {
    let parsed = with_negatives(Cli::command()).try_get_matches();
    let parsed = parsed.and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match error.print() {
            Ok(()) => Fail::Closed,
            Err(failed) => Fail::from(failed),
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => missing(&error),
        _ => sentence(&error),
    })
}

/// `-1` is a value, so that where it is none, the refusal names the option and not an unknown `-1`.
fn with_negatives(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| match argument.get_action().takes_values() {
        true => argument.allow_negative_numbers(true),
        false => argument,
    });
    command.mut_subcommands(with_negatives)
}

fn missing(error: &clap::Error) -> Fail {
    let usage = error.to_string();
    let usage = usage.lines().find_map(|line| line.trim().strip_prefix("Usage: ").map(str::to_string));
    Fail::asked(format!("a subcommand is missing: {}", usage.unwrap_or_default()))
}

/// Clap's refusal as one sentence: what it says and its tip, without usage and without line breaks.
fn sentence(error: &clap::Error) -> Fail {
    let text = error.to_string();
    let kept: Vec<&str> = text
        .split("\n\n")
        .map(str::trim)
        .filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more information"))
        .collect();
    let said = kept.join("; ");
    let said = said.strip_prefix("error: ").unwrap_or(&said);
    let said: Vec<&str> = said.split_whitespace().collect();
    Fail::asked(format!("{}; see `{} --help`", said.join(" "), command()))
}

/// The command that was asked for, as far as it is known: `glass tokenizer learn`.
fn command() -> String {
    let mut known = &mut Cli::command();
    let mut names = vec!["glass".to_string()];
    for word in std::env::args().skip(1) {
        let Some(next) = known.find_subcommand_mut(&word) else { break };
        names.push(next.get_name().to_string());
        known = next;
    }
    names.join(" ")
}
