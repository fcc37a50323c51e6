//! `glass completions` and `glass man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(after_long_help = COMPLETIONS)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

const COMPLETIONS: &str = "\
Where to put the script depends on the shell; then open a new shell.

Examples:
  glass completions bash > ~/.local/share/bash-completion/completions/glass
  glass completions zsh > ~/.zfunc/_glass
  glass completions fish > ~/.config/fish/completions/glass.fish";

/// Print the manual page
#[derive(Args, Debug)]
#[command(after_long_help = MAN)]
pub struct ManArgs {
    /// A command, as in `train` or `tokenizer learn`; default: the program itself
    pub command: Vec<String>,

    /// Write a page for the program and one for every command to this folder
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub out: Option<PathBuf>,
}

const MAN: &str = "\
Examples:
  glass man | man -l -
  glass man train | man -l -
  glass man --out ~/.local/share/man/man1";
