//! A line of progress on standard error: rewritten in place on a terminal, now and then as a plain line elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::out::{duration, is_dumb};

/// The line. Nothing is shown in the first second: what takes less needs none.
pub struct Line {
    begun: Instant,
    shown: Option<Instant>,
    terminal: bool,
    width: usize,
}

impl Default for Line {
    fn default() -> Line {
        let terminal = io::stderr().is_terminal() && !is_dumb();
        Line { begun: Instant::now(), shown: None, terminal, width: 0 }
    }
}

impl Line {
    /// In plain lines, whatever there is a terminal.
    pub fn plain() -> Line {
        Line { terminal: false, ..Line::default() }
    }

    /// Seconds since the beginning.
    pub fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Shows `text` if it is time.
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

    /// The same with the time left, of which `part` (0 to 1) is over.
    pub fn show_part(&mut self, text: &str, part: f64) {
        let left = self.seconds() * (1.0 - part) / part.max(1e-9);
        self.show(&format!("{text}, {} left", duration(left)));
    }

    /// Shows `text` in any case.
    pub fn now(&mut self, text: &str) {
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

    /// Ends the line, so that something else can be written below.
    pub fn end(&mut self) {
        if self.terminal && self.width > 0 {
            let _ = writeln!(io::stderr());
            self.width = 0;
        }
    }
}

/// Characters of a line that is rewritten: one that wraps cannot be. The last column stays free for the cursor.
fn columns() -> usize {
    let width = terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0);
    usize::from(width).saturating_sub(1)
}
