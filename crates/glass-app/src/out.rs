//! Standard output: results, as text or as JSON.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use serde::Serialize;

use crate::fail::Fail;

/// Where results go. It is flushed by [`Out::done`], so that a failure to write is never missed.
pub struct Out {
    to: BufWriter<StdoutLock<'static>>,
    terminal: bool,
    colours: bool,
}

impl Out {
    /// Standard output, with colours where they are seen and wanted.
    pub fn new() -> Out {
        let terminal = io::stdout().is_terminal();
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || is_dumb();
        Out { to: BufWriter::new(io::stdout().lock()), terminal, colours: terminal && !unwanted }
    }

    /// Whether someone watches.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether there are colours.
    pub fn has_colours(&self) -> bool {
        self.colours
    }

    /// A heading.
    pub fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What matters less.
    pub fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    /// What is as it should be.
    pub fn green(&self, text: &str) -> String {
        self.paint("32", text)
    }

    /// What stands out.
    pub fn yellow(&self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Columns of the terminal; of a pipe, a hundred.
    pub fn columns(&self) -> usize {
        let size = terminal_size::terminal_size_of(io::stdout()).filter(|_| self.terminal);
        size.map_or(100, |(width, _)| width.0.into())
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }

    /// One JSON document on one line.
    pub fn json(&mut self, document: &impl Serialize) -> Result<(), Fail> {
        let text = serde_json::to_string(document)
            .map_err(|error| Fail::failed(format!("this result cannot be written as JSON: {error}")))?;
        writeln!(self.to, "{text}")?;
        Ok(())
    }

    /// Shows what was written so far.
    pub fn show(&mut self) -> Result<(), Fail> {
        Ok(self.to.flush()?)
    }

    /// The end.
    pub fn done(mut self) -> Result<(), Fail> {
        self.show()
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Whether the terminal says of itself that it can do nothing but lines.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|value| value == "dumb")
}

/// 175181291520 as `175,181,291,520`.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 message`, `2 messages`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Bytes as one reads them: `18.0 GiB`.
pub fn bytes(value: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut size = value as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value} bytes") } else { format!("{size:.1} {}", units[unit]) }
}

/// Seconds as one reads them: `42 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_grouped_in_threes() {
        for (value, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (175_181_291_520, "175,181,291,520")] {
            assert_eq!(super::number(value), text);
        }
    }

    #[test]
    fn bytes_and_seconds_are_readable() {
        assert_eq!(super::bytes(1023), "1023 bytes");
        assert_eq!(super::bytes(19_327_352_832), "18.0 GiB");
        assert_eq!(super::duration(200.0), "3 min 20 s");
        assert_eq!(super::duration(7500.0), "2 h 05 min");
    }
}
