//! The command line: commands, options and help.

mod bench;
mod chat;
mod config;
mod data_path;
mod distil;
mod draft;
#[cfg(feature = "fetch")]
mod fetch;
mod generate;
mod growth;
mod hints;
mod look;
mod lora;
mod machine;
mod manual;
mod page;
mod plan;
mod preference;
mod quantise;
mod ranks;
mod rule;
mod running;
mod sampling;
mod score;
mod serve;
mod similar;
mod start;
mod stored;
mod tokenizer;
mod tokens;
pub mod switches;
mod train;
mod verify;
mod weights;
mod width;

use std::io::Write as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::fail::Fail;
use crate::layout;
use crate::out::Out;
use crate::screen;

pub use bench::BenchArgs;
pub use chat::ChatArgs;
pub use config::{Options, SAMPLE, is_sample};
pub use data_path::DataPath;
pub use distil::DistilArgs;
pub use draft::DraftArgs;
#[cfg(feature = "fetch")]
pub use fetch::FetchArgs;
pub use generate::GenerateArgs;
pub use growth::GrowthArgs;
pub use look::{LookArgs, SweepKind};
pub use lora::{LoraArgs, Matrices};
pub use machine::MachineArgs;
pub use manual::{CompletionsArgs, ManArgs};
pub use page::PageArgs;
pub use plan::PlanArgs;
pub use preference::PreferenceArgs;
pub use quantise::{ConvertArgs, Packings, QuantiseArgs};
pub use ranks::{Dividing, RanksArgs};
pub use rule::RuleArgs;
pub use running::{GuessArgs, InputArgs, RunningArgs};
pub use sampling::SamplingArgs;
pub use score::ScoreArgs;
pub use serve::{AccessArgs, LogForm, ServeArgs};
pub use similar::Similar;
pub use start::StartArgs;
pub use stored::Stored;
pub use tokenizer::{LearnArgs, ReportArgs, TokenizerCommand};
pub use tokens::TokensArgs;
pub use train::{DataArgs, NO_FOLDER, RunArgs, ShapeArgs, TrainArgs};
pub use verify::VerifyArgs;
pub use weights::WeightsArgs;
pub use width::Width;

/// A GPT you can see through: it tokenises, trains, generates, chats, and shows every number on the way.
#[derive(Parser, Debug)]
#[command(name = "glass", version, after_help = AFTER)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const AFTER: &str = "\
MODEL is a folder in the Hugging Face layout, a .gguf file, a checkpoint of llm.c (.bin) or PyTorch (.pt, read without
running any code in it), or the OWNER/NAME of a model that `glass fetch` or a Python program put into Hugging Face's cache.
Other files are read from the same folder: a vocabulary (tokenizer.json, or vocab.json and
merges.txt), a chat template, generation_config.json. If there is no vocabulary and the model's size is GPT-2's, GPT-2's is
used. Without MODEL, commands use the small built-in model.

Results go to standard output, progress and remarks to standard error. `-` means standard input, byte for byte. NO_COLOR
turns colours off.

Exit status: 0 success, 1 failure, 2 wrong usage.

Start here:
  glass chat                                     talk to the built-in model
  glass look \"The dog lost the ball. The sad\"    see what happens inside
  glass train --data sample --out first          train your own model in half a minute
  glass help train                               everything about a command";

/// The commands, in the order of the flow.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Split a text into tokens, or join tokens into a text
    #[command(visible_aliases = ["tokenize", "tokenise"])]
    Tokens(TokensArgs),
    /// Learn a vocabulary, or measure how well one fits a text
    #[command(alias = "tokeniser")]
    Tokenizer {
        /// What to do.
        #[command(subcommand)]
        command: TokenizerCommand,
    },
    /// Count a model's weights, and what a context costs
    Weights(WeightsArgs),
    /// Train a model on text
    Train(Box<TrainArgs>),
    /// Plan a training on many machines: parallelism, memory, time, energy, money
    Plan(Box<PlanArgs>),
    /// Continue a text
    Generate(GenerateArgs),
    /// Chat with a model
    Chat(ChatArgs),
    /// Show what happens inside a model, from a text to the next token
    Look(Box<LookArgs>),
    /// Measure how probable a text is to a model: loss, perplexity, tasks
    Score(ScoreArgs),
    /// Serve a model over HTTP, in OpenAI's shapes, with a page to chat
    Serve(Box<ServeArgs>),
    /// Write the page of `glass serve` as one file with a model inside, which needs no server
    Page(PageArgs),
    /// Store a model's weights in fewer bits
    #[command(visible_alias = "quantize")]
    Quantise(QuantiseArgs),
    /// Convert between a model's folder and GGUF, or merge an adapter
    Convert(ConvertArgs),
    /// Fetch a model from the Hugging Face Hub
    #[cfg(feature = "fetch")]
    Fetch(FetchArgs),
    /// Check on this machine that the same seed gives the same bits
    Verify(VerifyArgs),
    /// Measure how fast a model runs, as a share of this machine's peak
    Bench(BenchArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
}

/// Reads the command line. Help and version are shown here, and end the program.
pub fn parse() -> Result<Cli, Fail> {
    let typed: Vec<_> = std::env::args_os().collect();
    let expanded = config::expanded(typed.clone())?;
    let parsed = command(screen::columns()).try_get_matches_from(&expanded.arguments);
    let parsed = parsed.and_then(|matches| {
        let mut cli = Cli::from_arg_matches(&matches)?;
        if let (Some(Command::Train(train)), Some((_, of_train))) = (&mut cli.command, matches.subcommand()) {
            train.options = Options::of(of_train, &typed);
        }
        Ok(cli)
    });
    parsed.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match show(&error) {
            Ok(()) => Fail::Closed,
            Err(failed) => failed,
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => missing(&error),
        _ => placed(sentence(&error), &error, &expanded),
    })
}

/// Shows help, with no line wider than the terminal.
fn show(error: &clap::Error) -> Result<(), Fail> {
    let mut out = Out::new();
    let help = error.render();
    let help = if out.has_colours() { help.ansi().to_string() } else { help.to_string() };
    writeln!(out, "{}", layout::fit(help.trim_end(), out.columns()))?;
    out.done()
}

/// Every command and option, with help laid out for a terminal with this many columns.
pub fn command(columns: usize) -> clap::Command {
    adapted(Cli::command(), columns)
}

/// Applies what holds for all commands. `-1` is accepted as a value, so that an error names the option and not an
/// unknown option `-1`. Values that are names are case-insensitive. Help is laid out.
fn adapted(mut command: clap::Command, columns: usize) -> clap::Command {
    let laid_out = |text: &clap::builder::StyledStr| layout::lay_out(&text.to_string(), columns);
    if let Some(text) = command.get_after_long_help().map(laid_out) {
        command = command.after_long_help(text);
    }
    if let Some(text) = command.get_after_help().map(laid_out) {
        command = command.after_help(text);
    }
    let command = command.term_width(columns).mut_args(|argument| {
        let takes_values = argument.get_action().takes_values();
        let takes_names = takes_values && !argument.get_possible_values().is_empty();
        argument.allow_negative_numbers(takes_values).ignore_case(takes_names)
    });
    command.mut_subcommands(|command| adapted(command, columns))
}

fn missing(error: &clap::Error) -> Fail {
    let usage = error.to_string();
    let usage = usage.lines().find_map(|line| line.trim().strip_prefix("Usage: ").map(str::to_string));
    Fail::asked(format!(
        "a subcommand is missing: {}; see `{} --help`",
        usage.unwrap_or_default(),
        asked_for()
    ))
}

/// A refusal of an option that is in a file, which is named too.
fn placed(fail: Fail, error: &clap::Error, arguments: &config::Expanded) -> Fail {
    let option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) => option.split([' ', '=']).next().unwrap_or_default(),
        _ => "",
    };
    let file = option.strip_prefix("--").and_then(|option| arguments.file_of(option));
    match (fail, file) {
        (Fail::Asked(why), Some(file)) => Fail::asked(format!("{file}: {why}")),
        (fail, _) => fail,
    }
}

/// Clap's refusal as one sentence: what it says and its tip, without usage and without line breaks.
fn sentence(error: &clap::Error) -> Fail {
    let text = error.to_string();
    let kept: Vec<&str> = text
        .split("\n\n")
        .map(str::trim)
        .filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more information"))
        .collect();
    let (hint, replaces_tips) = hints::hint(error, &asked_for());
    let kept = kept.into_iter().filter(|part| {
        let as_a_value = part.starts_with("tip: to pass '");
        !part.starts_with("tip: ") || !(replaces_tips || as_a_value)
    });
    let said = kept.collect::<Vec<_>>().join("; ");
    let said = said.strip_prefix("error: ").unwrap_or(&said);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = said
        .replace("invalid float literal", "a number is expected")
        .replace("invalid digit found in string", "a whole number of at least 0 is expected")
        .replace(" is not in ", " is not in the range ")
        .replace("..=", " to ")
        .replace("cannot parse integer from empty string", "a whole number is expected");
    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    Fail::asked(format!("{said}{hint}; see `{} --help`", asked_for()))
}

/// The command as far as it was recognised: `glass tokenizer learn`.
fn asked_for() -> String {
    let mut known = &mut Cli::command();
    let mut names = vec!["glass".to_string()];
    for word in std::env::args_os().skip(1) {
        let Some(next) = known.find_subcommand_mut(&word) else { break };
        names.push(next.get_name().to_string());
        known = next;
    }
    names.join(" ")
}
