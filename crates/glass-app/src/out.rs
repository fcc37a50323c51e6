//! Standard output: results, as text or as JSON.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use serde::Serialize;

use crate::fail::Fail;
use crate::layout::wrap;
use crate::screen;

/// Where results are written. [`Out::done`] flushes it, so that a failure to write is never missed.
pub struct Out {
    to: BufWriter<StdoutLock<'static>>,
    terminal: bool,
    colours: bool,
}

impl Out {
    /// Standard output, in colours on a terminal unless NO_COLOR or TERM says otherwise.
    pub fn new() -> Out {
        let terminal = io::stdout().is_terminal();
        let unwanted =
            std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || screen::is_dumb();
        Out { to: BufWriter::new(io::stdout().lock()), terminal, colours: terminal && !unwanted }
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether it is in colours.
    pub fn has_colours(&self) -> bool {
        self.colours
    }

    /// A heading.
    pub fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    /// A detail.
    pub fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Success.
    pub fn green(&self, text: &str) -> String {
        self.paint("32", text)
    }

    /// A warning.
    pub fn yellow(&self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Columns of the terminal.
    pub fn columns(&self) -> usize {
        screen::columns()
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }

    /// One JSON document on one line.
    pub fn json(&mut self, document: &impl Serialize) -> Result<(), Fail> {
        let text = serde_json::to_string(document)
            .map_err(|error| Fail::failed(format!("cannot write the result as JSON: {error}")))?;
        writeln!(self.to, "{text}")?;
        Ok(())
    }

    /// A sentence, wrapped at words on a terminal, or if COLUMNS is set.
    pub fn prose(&mut self, text: &str) -> Result<(), Fail> {
        self.hanging(text, 0)
    }

    /// The same, with its lines after the first one further to the right.
    pub fn hanging(&mut self, text: &str, indent: usize) -> Result<(), Fail> {
        Ok(writeln!(self.to, "{}", wrapped(text, indent))?)
    }

    /// Flushes what was written so far.
    pub fn show(&mut self) -> Result<(), Fail> {
        Ok(self.to.flush()?)
    }

    /// Flushes the rest.
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

/// A line, wrapped at words on a terminal, or where COLUMNS asks for it.
pub fn wrapped(text: &str, indent: usize) -> String {
    screen::wanted_columns().map_or_else(|| text.into(), |columns| wrap(text, columns, indent))
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

/// A share from 0 to 1 in percent, `12.3 %`; never `-0.0 %`.
pub fn percent(share: f64, decimals: usize) -> String {
    format!("{:.decimals$} %", without_negative_zero(100.0 * share, decimals))
}

/// A change in percent with its sign, `+1.20 %`; never `-0.00 %`.
pub fn change(share: f64, decimals: usize) -> String {
    format!("{:+.decimals$} %", without_negative_zero(100.0 * share, decimals))
}

/// 0 instead of a negative number that rounds to 0.
pub fn without_negative_zero(value: f64, decimals: usize) -> f64 {
    let is_zero = !format!("{value:.decimals$}").contains(|digit| ('1'..='9').contains(&digit));
    if value.is_finite() && is_zero { 0.0 } else { value }
}

/// `1 message`, `2,000 messages`.
pub fn count(value: usize, what: &str) -> String {
    let plural = match what {
        _ if value == 1 => what.into(),
        "matrix" => "matrices".into(),
        _ => format!("{what}s"),
    };
    format!("{} {plural}", number(value as u64))
}

/// A number of bytes: `18.0 GiB`.
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

/// A number of seconds: `42 s`, `3 min 20 s`, `2 h 05 min`.
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
    fn nothing_is_minus_nothing() {
        for (share, text) in [(-0.0, "0.0 %"), (-0.0004, "0.0 %"), (-0.0006, "-0.1 %"), (0.5, "50.0 %")] {
            assert_eq!(super::percent(share, 1), text);
        }
        assert_eq!(
            (super::change(-0.00001, 2), super::change(0.012, 1)),
            ("+0.00 %".into(), "+1.2 %".into())
        );
        assert_eq!((super::percent(-0.004, 0), super::count(1, "token")), ("0 %".into(), "1 token".into()));
    }

    #[test]
    fn bytes_and_seconds_are_readable() {
        assert_eq!(super::bytes(1023), "1023 bytes");
        assert_eq!(super::bytes(19_327_352_832), "18.0 GiB");
        assert_eq!(super::duration(200.0), "3 min 20 s");
        assert_eq!(super::duration(7500.0), "2 h 05 min");
    }
}
