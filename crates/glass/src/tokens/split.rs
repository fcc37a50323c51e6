//! Pre-splits: text is cut into words before bytes are merged, and no token crosses a cut.
//!
//! Every family has a regular expression for this. Each is written by hand here, over all of Unicode, as a function
//! that says where the word ends that begins at a place; [`table`] lists the expressions.
//!
//! A byte that is not part of valid UTF-8 is treated as a character that is neither letter, number nor space, like
//! the U+FFFD that a lossy decoder would put in its place.

mod classes;
mod deepseek;
mod digits;
mod gpt2;
mod gpt4;
mod o200k;
pub mod table;

pub use classes::{Class, class, class_at, is_punctuation};

/// How a text is cut into words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Split {
    /// GPT-2's.
    Gpt2,
    /// GPT-2's, after every digit was made a word (SmolLM, StarCoder).
    Digits,
    /// GPT-4's (cl100k), Llama 3's, Qwen's, nanochat's.
    Gpt4 {
        /// The most digits of a word.
        digits: u8,
        /// White space at the end of a text is one word, also if it holds a line feed.
        tail: bool,
    },
    /// GPT-4o's (o200k), Phi-4-mini's, Mistral's Tekken.
    O200k {
        /// The most digits of a word.
        digits: u8,
        /// English endings (`'s`) belong to the word before them.
        endings: bool,
    },
    /// DeepSeek-V3's.
    DeepSeek,
    /// A word ends before a space, `▁`, that follows another character. No family splits so: it changes no token of a
    /// vocabulary in which no token has such a place.
    Spaces {
        /// Bytes before a space where no word ends, since a token goes on there; spaces where there are fewer.
        except: [u8; 4],
    },
    /// A word begins at every space, `▁`.
    EachSpace,
}

impl Split {
    /// Calls `word` with the start and the end of every word of a text.
    #[inline(always)]
    pub fn each_range(self, text: &[u8], word: impl FnMut(usize, usize)) {
        match self {
            Split::Gpt2 => each(text, gpt2::word_end, word),
            Split::Digits => each(text, digits::word_end, word),
            Split::Gpt4 { digits, tail } => {
                each(text, |text, at| gpt4::word_end(text, at, digits, tail), word)
            }
            Split::O200k { digits, endings } => {
                each(text, |text, at| o200k::word_end(text, at, digits, endings), word);
            }
            Split::DeepSeek => each(text, deepseek::word_end, word),
            Split::Spaces { except } => each(text, |text, at| spaces_end(text, at, except), word),
            Split::EachSpace => each(text, each_space_end, word),
        }
    }

    /// Where the first word of a text ends; the text is not empty.
    pub fn first_end(self, text: &[u8]) -> usize {
        match self {
            Split::Gpt2 => gpt2::word_end(text, 0),
            Split::Digits => digits::word_end(text, 0),
            Split::Gpt4 { digits, tail } => gpt4::word_end(text, 0, digits, tail),
            Split::O200k { digits, endings } => o200k::word_end(text, 0, digits, endings),
            Split::DeepSeek => deepseek::word_end(text, 0),
            Split::Spaces { except } => spaces_end(text, 0, except),
            Split::EachSpace => each_space_end(text, 0),
        }
    }
}

/// Calls `word` with the start and the end of every word; `end` says where the word ends that begins at a place.
#[inline(always)]
fn each(text: &[u8], end: impl Fn(&[u8], usize) -> usize, mut word: impl FnMut(usize, usize)) {
    let mut start = 0;
    while start < text.len() {
        let to = end(text, start);
        word(start, to);
        start = to;
    }
}

/// Where the run of `class` that contains `at` ends.
#[inline(always)]
fn run(text: &[u8], mut at: usize, class: Class) -> usize {
    while at < text.len() {
        let (next, bytes) = class_at(text, at);
        if next != class {
            break;
        }
        at += bytes;
    }
    at
}

/// Where the run of line feeds and carriage returns that begins at `at` ends.
#[inline(always)]
fn lines(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|byte| is_line(*byte)) {
        at += 1;
    }
    at
}

/// `[\r\n]`.
#[inline(always)]
fn is_line(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Up to `most` numbers from `at` on, where one is: `\p{N}{1,3}`.
#[inline(always)]
fn numbers(text: &[u8], mut at: usize, most: u8) -> usize {
    for _ in 0..most {
        match text.get(at).map(|_| class_at(text, at)) {
            Some((Class::Number, bytes)) => at += bytes,
            _ => break,
        }
    }
    at
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+` from `at` on, where white space is; `tail` puts `\s++$` first.
#[inline(always)]
fn white_space(text: &[u8], at: usize, tail: bool) -> usize {
    let (mut last, mut end, mut line) = (at, at, None);
    while end < text.len() {
        let (class, bytes) = class_at(text, end);
        if class != Class::Space {
            // The last space may belong to the word that follows.
            return line.unwrap_or(if last == at { end } else { last });
        }
        last = end;
        end += bytes;
        if is_line(text[last]) {
            line = Some(end);
        }
    }
    line.filter(|_| !tail).unwrap_or(end)
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)` at `at`: English endings. `ſ` is an `s` in either case.
#[inline(always)]
fn ending(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'\'') {
        return None;
    }
    match text.get(at + 1)? | 0x20 {
        b's' | b't' | b'm' | b'd' => Some(at + 2),
        first @ (b'r' | b'v' | b'l') => {
            let second = text.get(at + 2)? | 0x20;
            (second == if first == b'l' { b'l' } else { b'e' }).then_some(at + 3)
        }
        _ => text[at + 1..].starts_with("ſ".as_bytes()).then_some(at + 3),
    }
}

fn spaces_end(text: &[u8], at: usize, except: [u8; 4]) -> usize {
    let is_cut = |to: &usize| text[*to] == b' ' && text[*to - 1] != b' ' && !except.contains(&text[*to - 1]);
    (at + 1..text.len()).find(is_cut).unwrap_or(text.len())
}

fn each_space_end(text: &[u8], at: usize) -> usize {
    (at + 1..text.len()).find(|to| text[*to] == b' ').unwrap_or(text.len())
}

/// The first place after `at` where text can be cut without changing any word: between an ASCII character that is
/// not white space and a space. No word of any split continues across it, and none looks back across it.
pub fn safe_cut(text: &[u8], at: usize) -> Option<usize> {
    let is_cut = |pair: &[u8]| pair[1] == b' ' && pair[0] < 128 && class_at(pair, 0).0 != Class::Space;
    text.get(at..)?.windows(2).position(is_cut).map(|found| at + found + 1)
}
