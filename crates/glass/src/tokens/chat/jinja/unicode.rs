//! Python's character classes and case conversions.

use super::error::{Outcome, unavailable};
use crate::tokens::split::{Class, class};

/// `str.isalpha` of one character.
pub fn is_letter(c: char) -> bool {
    class(c) == Class::Letter
}

/// `\w` of Python's `re`: letters, numbers and the underscore.
pub fn is_word(c: char) -> bool {
    c == '_' || matches!(class(c), Class::Letter | Class::Number)
}

/// `str.isdigit`, `isdecimal`, `isnumeric` and `isalnum` for one character. Beyond ASCII, the first three differ in
/// ways that are not implemented here.
pub fn is_digit(c: char) -> Outcome<bool> {
    match class(c) {
        Class::Number if !c.is_ascii() => unavailable(format!("whether {c:?} is a digit")),
        class => Ok(class == Class::Number),
    }
}

/// A letter, a digit or a number.
pub fn is_alphanumeric(c: char) -> bool {
    matches!(class(c), Class::Letter | Class::Number)
}

/// Whether the text has cased letters, and all of them satisfy `right`.
pub fn all_cased(text: &str, right: impl Fn(char) -> bool) -> bool {
    let cased = || text.chars().filter(|c| c.is_lowercase() || c.is_uppercase() || is_title(*c));
    cased().next().is_some() && cased().all(right)
}

/// The digraphs that have a title-case form.
fn is_title(c: char) -> bool {
    matches!(c, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ')
}

/// The character in title case.
pub fn title(c: char) -> String {
    match c {
        'Ǆ' | 'ǅ' | 'ǆ' => "ǅ".into(),
        'Ǉ' | 'ǈ' | 'ǉ' => "ǈ".into(),
        'Ǌ' | 'ǋ' | 'ǌ' => "ǋ".into(),
        'Ǳ' | 'ǲ' | 'ǳ' => "ǲ".into(),
        'ა'..='ჿ' => c.into(),
        c => {
            let mut upper = c.to_uppercase();
            let first: String = upper.next().into_iter().collect();
            first + &upper.flat_map(char::to_lowercase).collect::<String>()
        }
    }
}

/// `str.capitalize`.
pub fn capitalize(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, title) + &lower_after(text, rest.as_str())
}

/// The lower case of the rest of a text: a final sigma depends on what precedes it.
fn lower_after(text: &str, rest: &str) -> String {
    let before = &text[..text.len() - rest.len()];
    let whole = text.to_lowercase();
    whole.strip_prefix(before.to_lowercase().as_str()).map_or_else(|| rest.to_lowercase(), str::to_string)
}

/// `str.title`.
pub fn title_words(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        let cased = c.is_lowercase() || c.is_uppercase() || is_title(c);
        match (cased, inside) {
            (true, true) => titled.extend(c.to_lowercase()),
            (true, false) => titled.push_str(&title(c)),
            _ => titled.push(c),
        }
        inside = cased;
    }
    titled
}
