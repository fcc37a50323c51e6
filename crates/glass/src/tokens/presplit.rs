//! The pre-split as a list of steps: each cuts the pieces of the previous step, and no token crosses a cut.
//!
//! Most vocabularies have one step, the words of their [`Split`]. Some first separate numbers, or put a space before the
//! text; llama.cpp has its own default for files that do not name their pre-split.

use super::split::{self, Class, Split};

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Words.
    Words(Split),
    /// Numbers (`\p{N}`) are pieces of their own: every digit, or every run of them.
    Numbers {
        /// Every digit.
        each: bool,
    },
    /// A piece that does not begin with a space gets one (`add_prefix_space`).
    PrefixSpace,
    /// Runs of punctuation (`[\p{P}$+<=>^~|]+`) are pieces of their own.
    Punctuation,
    /// Every three consecutive ASCII digits are a piece of their own.
    ThreeDigits,
    /// Every character is a piece.
    Characters,
}

/// What llama.cpp uses if `tokenizer.ggml.pre` is missing or "default" (`llama-vocab.cpp`).
pub const LLAMA_CPP_DEFAULT: [Step; 4] =
    [Step::Punctuation, Step::Words(Split::Gpt2), Step::Numbers { each: false }, Step::ThreeDigits];

/// A list of steps that cuts at the same places in fewer steps.
pub fn joined(mut steps: Vec<Step>) -> Vec<Step> {
    if let [.., Step::Numbers { each: true }, Step::Words(split @ Split::Gpt2)] = &mut steps[..] {
        *split = Split::Digits;
        steps.remove(steps.len() - 2);
    }
    steps
}

/// Calls `piece` with every piece of a text after all steps, in order.
pub fn each_piece(steps: &[Step], text: &[u8], piece: &mut dyn FnMut(&[u8])) {
    let Some((step, later)) = steps.split_first() else { return piece(text) };
    if *step == Step::PrefixSpace {
        return match text.first() {
            Some(b' ') => each_piece(later, text, piece),
            _ => each_piece(later, &[b" ", text].concat(), piece),
        };
    }
    let mut rest = text;
    while !rest.is_empty() {
        let (first, after) = rest.split_at(end(*step, rest));
        each_piece(later, first, piece);
        rest = after;
    }
}

/// Whether a text can be cut at a [safe place](split::safe_cut) without changing a piece.
pub fn cuts_at_words(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Words(_) | Step::Characters))
}

/// Where the first piece of a text ends; the text is not empty.
fn end(step: Step, text: &[u8]) -> usize {
    let length = |at: usize| split::class_at(text, at).1;
    let is_number = |at: usize| split::class_at(text, at).0 == Class::Number;
    let is_punctuation =
        |at: usize| b"$+<=>^~|".contains(&text[at]) || split::is_punctuation(&text[at..at + length(at)]);
    match step {
        Step::Words(split) => split.first_end(text),
        Step::Numbers { each: true } if is_number(0) => length(0),
        Step::Numbers { .. } => run(text, is_number),
        Step::Punctuation => run(text, is_punctuation),
        Step::ThreeDigits => {
            let three =
                |at: &usize| text[*at..].iter().take(3).filter(|byte| byte.is_ascii_digit()).count() == 3;
            match (0..text.len()).find(three) {
                Some(0) => 3,
                found => found.unwrap_or(text.len()),
            }
        }
        Step::Characters => length(0),
        Step::PrefixSpace => text.len(),
    }
}

/// The end of the run of characters for which `is` gives the same answer as for the first one.
fn run(text: &[u8], is: impl Fn(usize) -> bool) -> usize {
    let (first, mut at) = (is(0), 0);
    while at < text.len() && is(at) == first {
        at += split::class_at(text, at).1;
    }
    at
}
