//! Hints for common mistakes: options named as in other programs, a text without quotes, a file without its option.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Names of options in other programs, and here.
const ELSEWHERE: [(&str, &str); 47] = [
    ("--prompt", "TEXT without an option"),
    ("-p", "TEXT without an option"),
    ("-f", "--file"),
    ("-n", "--tokens"),
    ("--n-predict", "--tokens"),
    ("--max-tokens", "--tokens"),
    ("--max-new-tokens", "--tokens"),
    ("--max-length", "--tokens"),
    ("--length", "--tokens"),
    ("--n", "--samples"),
    ("--num-samples", "--samples"),
    ("--num-return-sequences", "--samples"),
    ("--temp", "--temperature"),
    ("--repeat-penalty", "--repetition-penalty"),
    ("-o", "--out"),
    ("--output", "--out"),
    ("--output-dir", "--out"),
    ("--out-dir", "--out"),
    ("--dataset", "--data"),
    ("--input", "--data"),
    ("--learning-rate", "--lr"),
    ("--max-steps", "--steps"),
    ("--max-iters", "--steps"),
    ("--batch-size", "--batch"),
    ("--n-layer", "--layers"),
    ("--n-layers", "--layers"),
    ("--n-head", "--heads"),
    ("--n-heads", "--heads"),
    ("--n-embd", "--width"),
    ("--d-model", "--width"),
    ("--hidden-size", "--width"),
    ("--block-size", "--context"),
    ("--init-from", "--from"),
    ("--tp", "--tensor"),
    ("--tensor-parallel", "--tensor"),
    ("--tensor-model-parallel-size", "--tensor"),
    ("--pp", "--pipeline"),
    ("--pipeline-parallel", "--pipeline"),
    ("--pipeline-model-parallel-size", "--pipeline"),
    ("--dp", "--data"),
    ("--data-parallel", "--data"),
    ("--gpus", "--devices"),
    ("--micro-batch-size", "--micro-batch"),
    ("--global-batch-size", "--batch"),
    ("--seq-length", "--context"),
    ("--vocab-size", "--vocab"),
    ("--num-layers", "--layers"),
];

/// A hint for an error, if there is one, and whether it replaces clap's tip.
pub fn hint(error: &clap::Error, command: &str) -> (Option<String>, bool) {
    let given = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => (given(ContextKind::InvalidSubcommand).and_then(for_command), false),
        ErrorKind::UnknownArgument => {
            let hint = given(ContextKind::InvalidArg).and_then(|word| for_argument(word, command));
            let replaces = hint.is_some();
            (hint, replaces)
        }
        _ => (None, false),
    }
}

fn for_command(word: &str) -> Option<String> {
    match word {
        "version" => Some("the version is `glass --version`".into()),
        "download" | "pull" => Some("in glass it is `glass fetch OWNER/NAME`".into()),
        _ if word.trim().contains(' ') => Some("to continue a text, `glass generate TEXT`".into()),
        _ => None,
    }
}

fn for_argument(word: &str, command: &str) -> Option<String> {
    if word.starts_with('-') {
        let name = word.replace('_', "-");
        let (_, here) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == name)?;
        let is_known = !here.starts_with("--") || takes(command, &here[2..]);
        return is_known.then(|| format!("in glass it is {here}"));
    }
    match command {
        _ if word == "help" => {
            Some(format!("help for it is `glass help{}`", command.strip_prefix("glass").unwrap_or_default()))
        }
        "glass generate" | "glass look" | "glass score" | "glass tokens" => {
            Some("a text is one argument, so put it in quotes, as in \"Hello world\"".into())
        }
        "glass train" => Some(format!("texts are given with --data, as in --data {word}")),
        "glass chat" => Some("a single question is given with --once, as in --once \"Who are you?\"".into()),
        _ => None,
    }
}

/// Whether a command has an option.
fn takes(command: &str, option: &str) -> bool {
    let mut program = super::command(80);
    let mut known = &mut program;
    for word in command.split(' ').skip(1) {
        let Some(next) = known.find_subcommand_mut(word) else { return false };
        known = next;
    }
    known.get_arguments().any(|argument| argument.get_long() == Some(option))
}
