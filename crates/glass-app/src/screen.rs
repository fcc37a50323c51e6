//! The terminal: its width and capabilities.

use std::io::{self, IsTerminal as _};

/// Columns of the terminal on standard output; elsewhere COLUMNS, or 100.
pub fn columns() -> usize {
    wanted_columns().unwrap_or(100)
}

/// Columns of the terminal on standard output; elsewhere COLUMNS, if it is set.
pub fn wanted_columns() -> Option<usize> {
    let terminal = terminal_size::terminal_size_of(io::stdout()).filter(|_| io::stdout().is_terminal());
    let wanted = || std::env::var("COLUMNS").ok()?.parse().ok().filter(|&columns| columns > 0);
    terminal.map(|(width, _)| width.0.into()).or_else(wanted)
}

/// Columns of the terminal on standard error, if it is one.
pub fn columns_of_errors() -> Option<usize> {
    let terminal = terminal_size::terminal_size_of(io::stderr()).filter(|_| io::stderr().is_terminal());
    terminal.map(|(width, _)| width.0.into())
}

/// Whether TERM says that the terminal can show plain lines only.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|value| value == "dumb")
}
