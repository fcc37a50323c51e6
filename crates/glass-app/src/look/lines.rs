//! Lines of the terminal that fit its width.

use std::io::Write as _;

use crate::draw::columns::{fit, width};
use crate::fail::Fail;
use crate::layout::wrap;
use crate::out::Out;

/// A title and what it is about, wrapped at words.
pub fn heading(out: &mut Out, title: &str, explained: &str) -> Result<(), Fail> {
    let line = format!("{}  {}", out.bold(title), out.dim(explained));
    Ok(writeln!(out, "{}", wrap(&line, out.columns(), 2))?)
}

/// An explanation, wrapped at words.
pub fn note(out: &mut Out, text: &str) -> Result<(), Fail> {
    let line = out.dim(text);
    Ok(writeln!(out, "{}", wrap(&line, out.columns(), 0))?)
}

/// The end of a text in a number of columns, after `…` if the text is longer.
pub fn end_of(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.into();
    }
    let mut kept = text;
    while width(kept) >= columns.max(1) {
        let mut letters = kept.chars();
        letters.next();
        kept = letters.as_str();
    }
    format!("…{kept}")
}

/// A text cut to a number of columns, without trailing spaces.
pub fn cut(text: &str, columns: usize) -> String {
    fit(text, columns).trim_end().into()
}

#[cfg(test)]
mod tests {
    use super::{cut, end_of};

    #[test]
    fn texts_are_cut_at_either_end() {
        assert_eq!([end_of("a long story", 6), end_of("short", 5)], ["…story", "short"]);
        assert_eq!([end_of("日本語", 5), end_of("abc", 1)], ["…本語", "…"]);
        assert_eq!([cut("a long story", 7), cut("short", 9)], ["a long…", "short"]);
    }
}
