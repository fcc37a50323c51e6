//! How the program ends: a status, and one sentence on standard error.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::layout::wrap;
use crate::screen::columns_of_errors;

/// Why a command ended before it was done.
#[derive(Debug)]
pub enum Fail {
    /// Wrong usage: status 2.
    Asked(String),
    /// It failed: status 1.
    Failed(String),
    /// Standard output was closed by its reader (a closed pipe): ends quietly with status 0.
    Closed,
}

impl Fail {
    /// Wrong usage.
    pub fn asked(sentence: impl Into<String>) -> Fail {
        Fail::Asked(sentence.into())
    }

    /// A failure.
    pub fn failed(sentence: impl Into<String>) -> Fail {
        Fail::Failed(sentence.into())
    }
}

/// Settings of the library that are options of the command line, with `-` for `_`.
const SETTINGS: [&str; 36] = [
    "accumulate",
    "batch",
    "beta",
    "beta1",
    "beta2",
    "clip",
    "data",
    "distil_share",
    "distil_temperature",
    "distil_top",
    "dropout",
    "early_blocks",
    "early_steps",
    "epochs",
    "eval_samples",
    "from",
    "gamma",
    "heads",
    "keep",
    "label_smoothing",
    "layers",
    "lr",
    "matrix_lr",
    "min_lr",
    "momentum",
    "muon_every",
    "precision",
    "preference_loss",
    "preferences",
    "steps",
    "teacher",
    "val",
    "val_fraction",
    "warmup",
    "weight_decay",
    "width",
];

/// Other fields that its messages name in backquotes and that are options too.
const FIELDS: [&str; 6] = ["bin", "chat", "context", "field", "out", "resume"];

/// The option that sets a field.
fn option(field: &str) -> String {
    format!("--{}", field.replace('_', "-"))
}

/// A message of the library, with options in place of the fields that it names in backquotes.
fn with_options(message: &str) -> String {
    SETTINGS
        .iter()
        .chain(&FIELDS)
        .fold(message.to_string(), |message, field| message.replace(&format!("`{field}`"), &option(field)))
}

impl From<glass::Error> for Fail {
    fn from(error: glass::Error) -> Fail {
        match error {
            glass::Error::InvalidArgument { what, why } => {
                let what = if SETTINGS.contains(&what.as_str()) { option(&what) } else { what };
                Fail::Asked(format!("{what}: {}", with_options(&why)))
            }
            other => Fail::Failed(with_options(&other.to_string())),
        }
    }
}

/// A bare `io::Error` comes from standard output only; errors about a file are a `glass::Error` with its name.
impl From<io::Error> for Fail {
    fn from(error: io::Error) -> Fail {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Fail::Closed,
            _ => Fail::Failed(format!("cannot write standard output: {}", glass::reason(&error))),
        }
    }
}

/// The program's exit status; an error is printed.
pub fn status(done: Result<(), Fail>) -> ExitCode {
    let (status, sentence) = match done {
        Ok(()) | Err(Fail::Closed) => return ExitCode::SUCCESS,
        Err(Fail::Failed(sentence)) => (1, sentence),
        Err(Fail::Asked(sentence)) => (2, sentence),
    };
    say(&sentence);
    ExitCode::from(status)
}

/// Whether this process says nothing, because another one says the same.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on this process says nothing, except [`say_aloud`].
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether this process says nothing.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// A remark on standard error: one line, wrapped at words on a terminal. A closed standard error is not an error.
pub fn say(sentence: &str) {
    if !is_quiet() {
        say_aloud(sentence);
    }
}

/// The same, whoever else says it.
pub fn say_aloud(sentence: &str) {
    let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = format!("glass: {sentence}");
    let line = columns_of_errors().map_or(line.clone(), |columns| wrap(&line, columns, 2));
    let _ = writeln!(io::stderr(), "{line}");
}

/// A panic is a bug in the program. It is reported in one sentence; `RUST_BACKTRACE=1` shows a backtrace instead.
pub fn say_panics_in_a_sentence() {
    if std::env::var_os("RUST_BACKTRACE").is_some() {
        return;
    }
    std::panic::set_hook(Box::new(|panic| {
        let what = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        let place = place.unwrap_or_default();
        say_aloud(&format!(
            "this is a bug in the program, not in your input ({what}, {place}); please report it"
        ));
        std::process::exit(1);
    }));
}

impl std::fmt::Display for Fail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fail::Asked(sentence) | Fail::Failed(sentence) => f.write_str(sentence),
            Fail::Closed => f.write_str("standard output was closed"),
        }
    }
}
