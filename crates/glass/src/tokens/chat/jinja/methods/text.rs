//! Methods of strings: Python's `str`.

use super::super::arguments::{Args, flag, int, optional_int, text};
use super::super::display::is_printable;
use super::super::error::{Outcome, failed, unavailable};
use super::super::format::str_format;
use super::super::lexer::is_space;
use super::super::run::Run;
use super::super::sequences::items;
use super::super::unicode;
use super::super::value::Value;

pub const NAMES: [&str; 43] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];

/// Methods that Python has and Glass does not support.
pub const MISSING: [&str; 4] = ["encode", "maketrans", "translate", "format_map"];

pub fn call(run: &Run<'_>, value: &str, name: &str, args: &Args) -> Outcome<Value> {
    run.pay_text(value.len())?;
    if MISSING.contains(&name) {
        return unavailable(format!("the method {name} of a text"));
    }
    let result = match name {
        "strip" | "lstrip" | "rstrip" => {
            let [characters] = args.bind(name, [""], 0)?;
            strip(name, value, characters)?.into()
        }
        "split" | "rsplit" => split(value, name, args)?,
        "splitlines" => {
            let [keep] = args.bind(name, ["keepends"], 0)?;
            Value::list(lines(value, flag(keep)).into_iter().map(Value::from).collect())
        }
        "partition" | "rpartition" => partition(value, name, args)?,
        "startswith" | "endswith" => starts(value, name, args)?,
        "find" | "rfind" | "index" | "rindex" | "count" => find(value, name, args)?,
        "replace" => {
            let [old, new, count] = args.bind(name, ["", "", ""], 2)?;
            let (old, new) = (argument(name, old)?, argument(name, new)?);
            let count = optional_int(name, count)?.unwrap_or(-1);
            replace(run, value, &old, &new, count)?.into()
        }
        "removeprefix" | "removesuffix" => {
            let [part] = args.bind(name, [""], 1)?;
            let part = argument(name, part)?;
            let rest =
                if name == "removeprefix" { value.strip_prefix(&*part) } else { value.strip_suffix(&*part) };
            rest.unwrap_or(value).into()
        }
        "join" => {
            let [parts] = args.bind(name, [""], 1)?;
            let parts = items(run, &parts.unwrap_or(Value::None))?;
            let parts: Vec<String> = parts.iter().map(|part| text("join", part)).collect::<Outcome<_>>()?;
            parts.join(value).into()
        }
        "format" => str_format(run, value, args)?.into(),
        "center" | "ljust" | "rjust" => {
            let [width, fill] = args.bind(name, ["", ""], 1)?;
            let width = int(name, &width.unwrap_or(Value::None))?;
            let fill = fill.map_or(Ok(" ".to_string()), |fill| text(name, &fill))?;
            let mut fills = fill.chars();
            let (Some(fill), None) = (fills.next(), fills.next()) else {
                return failed(format!("{name} fills with one character, not {fill:?}"));
            };
            pad(run, value, name, width, fill)?.into()
        }
        "zfill" => {
            let [width] = args.bind(name, [""], 1)?;
            let width = int(name, &width.unwrap_or(Value::None))?;
            let (sign, digits) = value.split_at(usize::from(value.starts_with(['+', '-'])));
            (sign.to_string() + &pad(run, digits, "rjust", width - sign.len() as i128, '0')?).into()
        }
        "expandtabs" => {
            let [size] = args.bind(name, ["tabsize"], 0)?;
            expand_tabs(value, optional_int(name, size)?.unwrap_or(8)).into()
        }
        _ => {
            args.none(name)?;
            return simple(value, name);
        }
    };
    if let Value::Text(text) = &result {
        run.pay_text(text.len())?;
    }
    Ok(result)
}

fn argument(function: &str, value: Option<Value>) -> Outcome<String> {
    text(function, &value.unwrap_or(Value::None))
}

/// Methods without arguments.
fn simple(value: &str, name: &str) -> Outcome<Value> {
    let all = |test: &dyn Fn(char) -> bool| !value.is_empty() && value.chars().all(test);
    Ok(match name {
        "upper" => value.to_uppercase().into(),
        "lower" => value.to_lowercase().into(),
        "casefold" if value.is_ascii() => value.to_lowercase().into(),
        "casefold" => return unavailable("casefold of a text that is not ASCII"),
        "capitalize" => unicode::capitalize(value).into(),
        "title" => unicode::title_words(value).into(),
        "swapcase" => {
            let swap = |c: char| {
                if c.is_uppercase() { c.to_lowercase().to_string() } else { c.to_uppercase().to_string() }
            };
            value.chars().map(swap).collect::<String>().into()
        }
        "isspace" => Value::Bool(all(&is_space)),
        "isalpha" => Value::Bool(all(&unicode::is_letter)),
        "isalnum" => Value::Bool(all(&unicode::is_alphanumeric)),
        "isascii" => Value::Bool(value.is_ascii()),
        "isdigit" | "isdecimal" | "isnumeric" => {
            let mut digits = !value.is_empty();
            for c in value.chars() {
                if name == "isnumeric" && !c.is_ascii() {
                    return unavailable("isnumeric of a text that is not ASCII");
                }
                digits &= unicode::is_digit(c)?;
            }
            Value::Bool(digits)
        }
        "isidentifier" => {
            let first = value.chars().next().is_some_and(|c| c == '_' || unicode::is_letter(c));
            Value::Bool(first && value.chars().all(unicode::is_word))
        }
        "islower" => Value::Bool(unicode::all_cased(value, char::is_lowercase)),
        "isupper" => Value::Bool(unicode::all_cased(value, char::is_uppercase)),
        "istitle" => Value::Bool(unicode::all_cased(value, |_| true) && unicode::title_words(value) == value),
        "isprintable" => Value::Bool(value.chars().all(is_printable)),
        _ => return unavailable(format!("the method {name} of a text")),
    })
}

/// `strip`, `lstrip` or `rstrip` of white space or of the given characters.
pub fn strip<'t>(name: &str, value: &'t str, characters: Option<Value>) -> Outcome<&'t str> {
    let characters = match characters {
        None | Some(Value::None) => None,
        Some(characters) => Some(text(name, &characters)?),
    };
    let strips =
        |c: char| characters.as_ref().map_or_else(|| is_space(c), |characters| characters.contains(c));
    let value = if name == "rstrip" { value } else { value.trim_start_matches(strips) };
    Ok(if name == "lstrip" { value } else { value.trim_end_matches(strips) })
}

fn split(value: &str, name: &str, args: &Args) -> Outcome<Value> {
    let [separator, most] = args.bind(name, ["sep", "maxsplit"], 0)?;
    let most = optional_int(name, most)?.filter(|most| *most >= 0);
    let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let parts: Vec<&str> = match separator {
        None | Some(Value::None) => split_at_space(value, most, name == "rsplit"),
        Some(separator) => {
            let separator = text(name, &separator)?;
            if separator.is_empty() {
                return failed(format!("{name} was given an empty separator"));
            }
            if name == "split" {
                value.splitn(most.saturating_add(1), &*separator).collect()
            } else {
                let mut parts: Vec<&str> = value.rsplitn(most.saturating_add(1), &*separator).collect();
                parts.reverse();
                parts
            }
        }
    };
    Ok(Value::list(parts.into_iter().map(Value::from).collect()))
}

fn split_at_space(value: &str, most: usize, from_end: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest =
        if from_end { value.trim_end_matches(is_space) } else { value.trim_start_matches(is_space) };
    while !rest.trim_matches(is_space).is_empty() {
        // The part that is not split any further keeps its white space on the far side.
        if parts.len() == most {
            parts.push(rest);
            break;
        }
        if from_end {
            let at =
                rest.rfind(is_space).map_or(0, |at| at + rest[at..].chars().next().map_or(0, char::len_utf8));
            parts.push(&rest[at..]);
            rest = rest[..at].trim_end_matches(is_space);
        } else {
            let at = rest.find(is_space).unwrap_or(rest.len());
            parts.push(&rest[..at]);
            rest = rest[at..].trim_start_matches(is_space);
        }
    }
    if from_end {
        parts.reverse();
    }
    parts
}

fn partition(value: &str, name: &str, args: &Args) -> Outcome<Value> {
    let [separator] = args.bind(name, [""], 1)?;
    let separator = argument(name, separator)?;
    if separator.is_empty() {
        return failed(format!("{name} was given an empty separator"));
    }
    let parts =
        if name == "partition" { value.split_once(&*separator) } else { value.rsplit_once(&*separator) };
    let parts = match (parts, name) {
        (Some((before, after)), _) => [before, &separator, after],
        (None, "partition") => [value, "", ""],
        (None, _) => ["", "", value],
    };
    Ok(Value::tuple(parts.map(Value::from).into()))
}

/// The part of a string between two positions counted in characters, or from the end if negative; `None` if the
/// start is past the end. Also returns the number of characters before it.
fn window(
    value: &str,
    name: &str,
    start: Option<Value>,
    stop: Option<Value>,
) -> Outcome<Option<(usize, String)>> {
    let length = value.chars().count() as i128;
    let place = |bound: i128| (if bound < 0 { bound + length } else { bound }).max(0);
    let start = optional_int(name, start)?.map_or(0, place);
    let stop = optional_int(name, stop)?.map_or(length, place).min(length);
    if start > length {
        return Ok(None);
    }
    let part = value.chars().skip(start as usize).take((stop - start).max(0) as usize).collect();
    Ok(if stop < start { None } else { Some((start as usize, part)) })
}

fn starts(value: &str, name: &str, args: &Args) -> Outcome<Value> {
    let [part, start, stop] = args.bind(name, ["", "", ""], 1)?;
    let window = window(value, name, start, stop)?;
    let parts = match part.unwrap_or(Value::None) {
        Value::Tuple(parts) => parts.iter().map(|part| text(name, part)).collect::<Outcome<Vec<_>>>()?,
        part => vec![text(name, &part)?],
    };
    let test = |part: &String| match &window {
        Some((_, text)) if name == "startswith" => text.starts_with(&**part),
        Some((_, text)) => text.ends_with(&**part),
        None => false,
    };
    Ok(Value::Bool(parts.iter().any(test)))
}

fn find(value: &str, name: &str, args: &Args) -> Outcome<Value> {
    let [part, start, stop] = args.bind(name, ["", "", ""], 1)?;
    let part = argument(name, part)?;
    let window = window(value, name, start, stop)?;
    if name == "count" {
        return Ok(match window {
            None => Value::Int(0),
            Some((_, text)) if part.is_empty() => (text.chars().count() + 1).into(),
            Some((_, text)) => text.matches(&*part).count().into(),
        });
    }
    let found = window.and_then(|(before, text)| {
        let at = if name.starts_with('r') { text.rfind(&*part) } else { text.find(&*part) };
        at.map(|at| before + text[..at].chars().count())
    });
    match found {
        Some(at) => Ok(at.into()),
        None if name.ends_with("find") => Ok(Value::Int(-1)),
        None => failed(format!("{name}: the text does not hold {part:?}")),
    }
}

/// `str.replace`; a negative count replaces all.
pub fn replace(run: &Run<'_>, value: &str, old: &str, new: &str, count: i128) -> Outcome<String> {
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let found = value.matches(old).count().min(most);
    run.pay_text(value.len() + found.saturating_mul(new.len()))?;
    Ok(if count < 0 { value.replace(old, new) } else { value.replacen(old, new, most) })
}

/// `center`, `ljust` or `rjust`.
pub fn pad(run: &Run<'_>, value: &str, name: &str, width: i128, fill: char) -> Outcome<String> {
    let length = value.chars().count() as i128;
    let missing = (width - length).max(0);
    run.pay(missing as u64 / 8)?;
    let left = match name {
        "ljust" => 0,
        "rjust" => missing,
        // If the halves differ, Python decides by the width.
        _ => missing / 2 + (missing & width & 1),
    };
    let fills = |count: i128| std::iter::repeat_n(fill, count as usize);
    Ok(fills(left).chain(value.chars()).chain(fills(missing - left)).collect())
}

fn expand_tabs(value: &str, size: i128) -> String {
    let mut expanded = String::new();
    let mut column = 0i128;
    for c in value.chars() {
        match c {
            '\t' if size > 0 => {
                let spaces = (size - column % size).min(1 << 16);
                expanded.extend(std::iter::repeat_n(' ', spaces as usize));
                column += spaces;
            }
            '\t' => {}
            c => {
                expanded.push(c);
                column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    expanded
}

/// `str.splitlines`, which recognises more line ends than most.
pub fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
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
