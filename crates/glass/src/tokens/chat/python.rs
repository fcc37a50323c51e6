//! Python's string and dictionary methods: most by `minijinja-contrib`; here, those it lacks or does a little differently.

use minijinja::value::from_args;
use minijinja::{Error, State, Value};
use minijinja_contrib::pycompat;

/// Called for every method that Jinja itself does not know.
pub(super) fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return pycompat::unknown_method_callback(state, value, name, args);
    };
    match (name, args.is_empty()) {
        ("strip", true) => Ok(text.trim_matches(is_space).into()),
        ("lstrip", true) => Ok(text.trim_start_matches(is_space).into()),
        ("rstrip", true) => Ok(text.trim_end_matches(is_space).into()),
        ("removeprefix", _) => {
            let (prefix,): (&str,) = from_args(args)?;
            Ok(text.strip_prefix(prefix).unwrap_or(text).into())
        }
        ("removesuffix", _) => {
            let (suffix,): (&str,) = from_args(args)?;
            Ok(text.strip_suffix(suffix).unwrap_or(text).into())
        }
        ("rsplit", false) => {
            let (separator, most): (&str, Option<i64>) = from_args(args)?;
            let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
            let parts = text.rsplitn(most.saturating_add(1), separator);
            let mut parts: Vec<Value> = parts.map(Value::from).collect();
            parts.reverse();
            Ok(parts.into())
        }
        ("splitlines", _) => {
            let (keep_ends,): (Option<bool>,) = from_args(args)?;
            Ok(lines(text, keep_ends.unwrap_or(false)).into_iter().map(Value::from).collect())
        }
        _ => pycompat::unknown_method_callback(state, value, name, args),
    }
}

/// The filter `trim`, which is `str.strip`.
pub(super) fn trim(text: &Value, characters: Option<String>) -> String {
    let text = text.to_string();
    match characters {
        Some(characters) => text.trim_matches(|c| characters.contains(c)).to_string(),
        None => text.trim_matches(is_space).to_string(),
    }
}

/// `str.isspace` of one character: Unicode's white space and the four information separators.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `str.splitlines`, which knows more line ends than most.
fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let is_end =
        |c: char| matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line = rest.split(is_end).next().unwrap_or(rest);
        let end = match &rest[line.len()..] {
            after if after.starts_with("\r\n") => 2,
            after => after.chars().next().map_or(0, char::len_utf8),
        };
        lines.push(if keep_ends { &rest[..line.len() + end] } else { line });
        rest = &rest[line.len() + end..];
    }
    lines
}
