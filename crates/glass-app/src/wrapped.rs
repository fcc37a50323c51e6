//! Text that comes in pieces, wrapped at words.

use unicode_width::UnicodeWidthChar as _;

use crate::draw::columns::width;

/// Wraps at the terminal's width. A word is held back until it is complete, so that no word that fits on a line is
/// cut.
pub struct Wrapped {
    columns: usize,
    /// The used columns of the line.
    column: usize,
    /// Spaces after the last word.
    spaces: usize,
    word: String,
}

impl Wrapped {
    /// For a terminal of `columns` columns.
    pub fn new(columns: usize) -> Wrapped {
        Wrapped { columns: columns.max(1), column: 0, spaces: 0, word: String::new() }
    }

    /// The text that can be written after this piece.
    pub fn push(&mut self, text: &str) -> String {
        let mut out = String::new();
        for c in text.chars() {
            match c {
                '\n' => {
                    self.flush(&mut out);
                    out.push('\n');
                    (self.column, self.spaces) = (0, 0);
                }
                ' ' => {
                    self.flush(&mut out);
                    self.spaces += 1;
                }
                '\t' => {
                    self.flush(&mut out);
                    self.spaces += 8 - (self.column + self.spaces) % 8;
                }
                '\r' => {}
                // A model's text must not control the terminal.
                c if c.is_control() => self.letter('\u{fffd}', &mut out),
                c => self.letter(c, &mut out),
            }
        }
        out
    }

    /// The text that was held back.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        self.flush(&mut out);
        out
    }

    fn letter(&mut self, c: char, out: &mut String) {
        if self.breaks_before(c) {
            self.flush(out);
        }
        self.word.push(c);
        // A word longer than a line is cut at the end of the line.
        if width(&self.word) > self.columns {
            self.word.pop();
            self.flush(out);
            self.word.push(c);
        }
    }

    /// A line may be broken between two wide characters, and next to them; not before closing punctuation.
    fn breaks_before(&self, c: char) -> bool {
        const CLOSING: &str = "。、，．！？：；）」』】》〉…ー,.!?:;)]}\"'";
        let Some(last) = self.word.chars().next_back() else { return false };
        let joined = last == '\u{200d}' || c.width() == Some(0) || CLOSING.contains(c);
        let wide = |c: char| c.width() == Some(2);
        !joined && (wide(c) || self.word.chars().any(wide))
    }

    /// Writes the complete word, on a new line if it does not fit on this one.
    fn flush(&mut self, out: &mut String) {
        if self.word.is_empty() {
            return;
        }
        let word = std::mem::take(&mut self.word);
        let spaces = std::mem::take(&mut self.spaces);
        if self.column > 0 && self.column + spaces + width(&word) > self.columns {
            out.push('\n');
            self.column = 0;
        } else {
            let spaces = spaces.min(self.columns - 1);
            out.extend(std::iter::repeat_n(' ', spaces));
            self.column += spaces;
        }
        self.column += width(&word);
        out.push_str(&word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(text: &str, columns: usize, piece: usize) -> String {
        let mut wrapped = Wrapped::new(columns);
        let letters: Vec<char> = text.chars().collect();
        let mut out: String =
            letters.chunks(piece).map(|piece| wrapped.push(&piece.iter().collect::<String>())).collect();
        out += &wrapped.finish();
        out
    }

    #[test]
    fn lines_break_between_words() {
        for piece in [1, 2, 3, 100] {
            assert_eq!(wrapped("one two three four", 9, piece), "one two\nthree\nfour");
            assert_eq!(wrapped("one two\n\n  three four", 9, piece), "one two\n\n  three\nfour");
            assert_eq!(wrapped("ab abcdefghij x", 4, piece), "ab\nabcd\nefgh\nij x");
            assert_eq!(wrapped("exact fit", 9, piece), "exact fit");
            assert_eq!(wrapped("exact fits", 9, piece), "exact\nfits");
            assert_eq!(wrapped("trailing   \nx", 20, piece), "trailing\nx");
            assert_eq!(wrapped("", 9, piece), "");
        }
    }

    #[test]
    fn wide_characters_take_two_columns() {
        for piece in [1, 2, 100] {
            assert_eq!(wrapped("日本語の文", 5, piece), "日本\n語の\n文");
            // Closing punctuation stays with the preceding character.
            assert_eq!(wrapped("日本語。", 6, piece), "日本\n語。");
            assert_eq!(wrapped("ab 日本", 6, piece), "ab 日\n本");
            assert_eq!(wrapped("cafe\u{301} noir", 5, piece), "cafe\u{301}\nnoir");
        }
        for columns in 1..20 {
            let text = "The 日本語 text, naïve — and 🦊 supercalifragilistic!\tx  y";
            let lines = wrapped(text, columns, 1);
            assert!(lines.lines().all(|line| width(line) <= columns.max(2)), "{columns}: {lines}");
        }
    }

    #[test]
    fn the_terminal_is_not_steered() {
        assert_eq!(wrapped("a\u{1b}[2Jb\rc", 40, 1), "a\u{fffd}[2Jbc");
    }
}
