//! DeepSeek-V3's split, in three steps: numbers of up to three digits (`\p{N}{1,3}`), then Han and kana
//! (`[一-龥぀-ゟ゠-ヿ]+`), then what is left by one expression, each alternative of which is a branch below. To a later
//! step, the text ends where an earlier one cut. What no alternative matches is a word by itself.

use super::classes::{Kind, kind_at};
use super::{is_line, numbers};

/// Where the word that begins at `at` ends. `at` must be inside the text and at the end of the previous word.
#[inline]
pub fn word_end(text: &[u8], at: usize) -> usize {
    let (kind, _) = kind_at(text, at);
    if kind == Kind::Number {
        return numbers(text, at, 3);
    }
    let part = Part { text, east_asian: is_east_asian(text, at) };
    part.word(at).unwrap_or_else(|| part.unmatched(at))
}

/// `[一-龥぀-ゟ゠-ヿ]`.
fn is_east_asian(text: &[u8], at: usize) -> bool {
    const RANGES: [(&str, &str); 2] = [("\u{3040}", "\u{30FF}"), ("\u{4E00}", "\u{9FA5}")];
    matches!(text[at], 0xE3..=0xE9)
        && text.get(at..at + 3).is_some_and(|character| {
            RANGES.iter().any(|(first, last)| (first.as_bytes()..=last.as_bytes()).contains(&character))
        })
}

/// A stretch of the text between two cuts of the first steps.
struct Part<'t> {
    text: &'t [u8],
    /// Whether it is Han and kana.
    east_asian: bool,
}

impl Part<'_> {
    /// The character at a place, if it is in this part.
    #[inline(always)]
    fn at(&self, at: usize) -> Option<(Kind, usize)> {
        if at >= self.text.len() {
            return None;
        }
        let (kind, bytes) = kind_at(self.text, at);
        let other = kind == Kind::Number || is_east_asian(self.text, at) != self.east_asian;
        (!other).then_some((kind, bytes))
    }

    /// The end of the run of characters of these kinds.
    #[inline(always)]
    fn run(&self, mut at: usize, is: impl Fn(Kind) -> bool) -> usize {
        while let Some((kind, bytes)) = self.at(at)
            && is(kind)
        {
            at += bytes;
        }
        at
    }

    /// The end of the word at `at`; `None` if no alternative matches there.
    fn word(&self, at: usize) -> Option<usize> {
        let text = self.text;
        let (kind, bytes) = self.at(at)?;
        let next = at + bytes;
        // `[!-/:-@\[-`{-~][A-Za-z]+`
        if text[at].is_ascii_punctuation() && text.get(next).is_some_and(u8::is_ascii_alphabetic) {
            let letters = text[next..].iter().take_while(|byte| byte.is_ascii_alphabetic());
            return Some(next + letters.count());
        }
        // `[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+`
        match kind {
            _ if is_letter(kind) => return Some(self.run(next, is_letter)),
            Kind::Space | Kind::Other if !is_line(text[at]) => {
                let end = self.run(next, is_letter);
                if end > next {
                    return Some(end);
                }
            }
            _ => {}
        }
        // ` ?[\p{P}\p{S}]+[\r\n]*`
        let signs = if text[at] == b' ' { next } else { at };
        let end = self.run(signs, is_sign);
        if end > signs {
            // Line ends are no part of Han and kana.
            return Some(if self.east_asian { end } else { super::lines(text, end) });
        }
        (kind == Kind::Space).then(|| self.white_space(at))
    }

    /// `\s*[\r\n]+|\s+(?!\S)|\s+`.
    fn white_space(&self, at: usize) -> usize {
        let (mut last, mut end, mut line) = (at, at, None);
        while let Some((kind, bytes)) = self.at(end) {
            if kind != Kind::Space {
                return line.unwrap_or(if last == at { end } else { last });
            }
            last = end;
            end += bytes;
            if is_line(self.text[last]) {
                line = Some(end);
            }
        }
        line.unwrap_or(end)
    }

    /// The end of what no alternative matches.
    fn unmatched(&self, mut at: usize) -> usize {
        while let Some((_, bytes)) = self.at(at)
            && self.word(at).is_none()
        {
            at += bytes;
        }
        at
    }
}

/// `[\p{L}\p{M}]`.
fn is_letter(kind: Kind) -> bool {
    matches!(kind, Kind::Lower | Kind::Upper | Kind::Letter | Kind::Mark)
}

/// `[\p{P}\p{S}]`.
fn is_sign(kind: Kind) -> bool {
    matches!(kind, Kind::Punctuation | Kind::Symbol)
}
