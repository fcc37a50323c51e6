//! A line of progress on standard error: rewritten in place on a terminal; elsewhere a plain line every ten seconds.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::fail::is_quiet;
use crate::out::duration;
use crate::screen::{columns_of_errors, is_dumb};

/// A line of progress. Nothing is shown in the first second.
pub struct ProgressLine {
    begun: Instant,
    shown: Option<Instant>,
    terminal: bool,
    width: usize,
}

impl Default for ProgressLine {
    fn default() -> ProgressLine {
        let terminal = io::stderr().is_terminal() && !is_dumb();
        ProgressLine { begun: Instant::now(), shown: None, terminal, width: 0 }
    }
}

impl ProgressLine {
    /// In plain lines, even on a terminal.
    pub fn plain() -> ProgressLine {
        ProgressLine { terminal: false, ..ProgressLine::default() }
    }

    /// Seconds since it was created.
    pub fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Shows `text`, unless a line was shown a moment ago.
    pub fn show(&mut self, text: &str) {
        let pause = if self.terminal { Duration::from_millis(100) } else { Duration::from_secs(10) };
        let due = match self.shown {
            None => self.begun.elapsed() >= Duration::from_secs(1),
            Some(shown) => shown.elapsed() >= pause,
        };
        if due {
            self.now(text);
        }
    }

    /// The same with an estimate of the time left, if `part` (0 to 1) of the work is done.
    pub fn show_part(&mut self, text: &str, part: f64) {
        self.show_left(text, self.seconds() * (1.0 - part) / part.max(1e-9));
    }

    /// The same, if the seconds left are known.
    pub fn show_left(&mut self, text: &str, seconds: f64) {
        self.show(&format!("{text}, {} left", duration(seconds)));
    }

    /// Shows `text` now.
    pub fn now(&mut self, text: &str) {
        if is_quiet() {
            return;
        }
        self.shown = Some(Instant::now());
        let mut stderr = io::stderr();
        let _ = if self.terminal {
            let text: String = text.chars().take(columns()).collect();
            let width = text.chars().count();
            let blank = " ".repeat(self.width.saturating_sub(width));
            self.width = width;
            write!(stderr, "\r{text}{blank}").and_then(|()| stderr.flush())
        } else {
            writeln!(stderr, "{text}")
        };
    }

    /// Ends the line, so that other output can follow below.
    pub fn end(&mut self) {
        if self.terminal && self.width > 0 {
            let _ = writeln!(io::stderr());
            self.width = 0;
        }
    }
}

/// The columns of a line that is rewritten and must not wrap. The last column is left free for the cursor.
fn columns() -> usize {
    columns_of_errors().unwrap_or(80).saturating_sub(1)
}
