//! The program `glass`: the library on the command line.
//!
//! Results go to standard output, progress and remarks to standard error. Exit status: 0 success, 1 failure, 2 wrong usage.

#![forbid(unsafe_code)]

mod args;
mod bench;
mod chat;
mod draw;
mod embedded;
mod fail;
#[cfg(feature = "fetch")]
mod fetch;
mod generate;
mod hub_cache;
mod input;
mod layout;
mod look;
mod manual;
mod model_arg;
mod out;
mod page;
mod plan;
mod printable;
mod progress;
mod quantise;
mod score;
mod screen;
mod serve;
mod stream;
mod tokenizer;
mod tokens;
mod train;
mod verify;
mod weights;
mod welcome;
mod wrapped;

use std::process::ExitCode;

use args::{Cli, Command, TokenizerCommand};
use fail::Fail;

fn main() -> ExitCode {
    fail::say_panics_in_a_sentence();
    let done = args::parse().and_then(run);
    fail::status(done)
}

fn run(cli: Cli) -> Result<(), Fail> {
    match cli.command {
        None => welcome::show(),
        Some(Command::Tokens(args)) => tokens::run(&args),
        Some(Command::Tokenizer { command: TokenizerCommand::Learn(args) }) => tokenizer::learn(&args),
        Some(Command::Tokenizer { command: TokenizerCommand::Report(args) }) => tokenizer::report::run(&args),
        Some(Command::Weights(args)) => weights::run(&args),
        Some(Command::Train(args)) => train::run(&args),
        Some(Command::Plan(args)) => plan::run(&args),
        Some(Command::Generate(args)) => generate::run(&args),
        Some(Command::Chat(args)) => chat::run(&args),
        Some(Command::Look(args)) => look::run(&args),
        Some(Command::Score(args)) => score::run(&args),
        Some(Command::Serve(args)) => serve::run(&args),
        Some(Command::Page(args)) => page::run(&args),
        Some(Command::Quantise(args)) => quantise::run(&args),
        Some(Command::Convert(args)) => quantise::convert(&args),
        #[cfg(feature = "fetch")]
        Some(Command::Fetch(args)) => fetch::run(&args),
        Some(Command::Verify(args)) => verify::run(&args),
        Some(Command::Bench(args)) => bench::run(&args),
        Some(Command::Completions(args)) => manual::completions(&args),
        Some(Command::Man(args)) => manual::man(&args),
    }
}
