//! How the program ends: a status, and one sentence on standard error.

use std::io::{self, Write as _};
use std::process::ExitCode;

/// Why a command ended before it was done.
#[derive(Debug)]
pub enum Fail {
    /// It was asked wrongly: status 2.
    Asked(String),
    /// It failed: status 1.
    Failed(String),
    /// Nobody reads standard output any more (a closed pipe): quietly done.
    Closed,
}

impl Fail {
    /// The caller asked for what cannot be.
    pub fn asked(sentence: impl Into<String>) -> Fail {
        Fail::Asked(sentence.into())
    }

    /// It failed.
    pub fn failed(sentence: impl Into<String>) -> Fail {
        Fail::Failed(sentence.into())
    }
}

impl From<glass::Error> for Fail {
    fn from(error: glass::Error) -> Fail {
        match error {
            glass::Error::Asked { .. } => Fail::Asked(error.to_string()),
            other => Fail::Failed(other.to_string()),
        }
    }
}

/// Only what is written to standard output is handed on as a bare `io::Error`; a file's has its name in it.
impl From<io::Error> for Fail {
    fn from(error: io::Error) -> Fail {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Fail::Closed,
            _ => Fail::Failed(format!("cannot write standard output: {error}")),
        }
    }
}

/// The program's exit status; what went wrong is said.
pub fn status(done: Result<(), Fail>) -> ExitCode {
    let (status, sentence) = match done {
        Ok(()) | Err(Fail::Closed) => return ExitCode::SUCCESS,
        Err(Fail::Failed(sentence)) => (1, sentence),
        Err(Fail::Asked(sentence)) => (2, sentence),
    };
    say(&sentence);
    ExitCode::from(status)
}

/// A remark on standard error. That nobody may be listening there is no reason to fail.
pub fn say(sentence: &str) {
    let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    let _ = writeln!(io::stderr(), "glass: {sentence}");
}

/// A panic is a fault of the program. It is said in one sentence; `RUST_BACKTRACE=1` shows where.
pub fn say_panics_in_a_sentence() {
    if std::env::var_os("RUST_BACKTRACE").is_some() {
        return;
    }
    std::panic::set_hook(Box::new(|panic| {
        let what = panic.payload_as_str().unwrap_or("no word of why");
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        let place = place.unwrap_or_default();
        say(&format!(
            "a fault in this program, not in what it was asked ({what}, {place}); please report it"
        ));
        std::process::exit(1);
    }));
}

impl std::fmt::Display for Fail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fail::Asked(sentence) | Fail::Failed(sentence) => f.write_str(sentence),
            Fail::Closed => f.write_str("nobody reads the result"),
        }
    }
}
