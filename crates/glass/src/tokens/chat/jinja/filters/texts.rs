//! Filters for strings and numbers.

use super::super::arguments::{Args, flag, int, optional_int, text};
use super::super::display::display;
use super::super::error::{Outcome, failed, unavailable};
use super::super::format::printf;
use super::super::methods::text::{lines, pad, replace, strip};
use super::super::run::Run;
use super::super::unicode;
use super::super::value::{Dict, Value};

pub fn filter(run: &Run<'_>, name: &str, value: &Value, args: &Args) -> Outcome<Value> {
    if matches!(value, Value::Markup(_)) && !matches!(name, "int" | "float" | "wordcount" | "trim") {
        return unavailable(format!("the filter {name} of a text that is marked as safe"));
    }
    let result = match name {
        "upper" | "lower" | "capitalize" | "title" | "wordcount" => {
            args.none(name)?;
            simple(name, &display(value)?)
        }
        "trim" => {
            let [characters] = args.bind(name, ["chars"], 0)?;
            let text = display(value)?;
            let trimmed = strip("strip", &text, characters)?;
            if matches!(value, Value::Markup(_)) { Value::Markup(trimmed.into()) } else { trimmed.into() }
        }
        "center" => {
            let [width] = args.bind(name, ["width"], 0)?;
            let width = optional_int(name, width)?.unwrap_or(80);
            pad(run, &display(value)?, name, width, ' ')?.into()
        }
        "replace" => {
            let [old, new, count] = args.bind(name, ["old", "new", "count"], 2)?;
            let part = |value: Option<Value>| display(&value.unwrap_or(Value::None));
            let count = optional_int(name, count)?.unwrap_or(-1);
            replace(run, &display(value)?, &part(old)?, &part(new)?, count)?.into()
        }
        "format" => {
            let values = match (args.positional.is_empty(), args.named.is_empty()) {
                (false, false) => return failed("format takes values with names or without, not both"),
                (_, true) => Value::tuple(args.positional.clone()),
                _ => Value::dict(Dict(
                    args.named.iter().map(|(name, value)| (name.as_str().into(), value.clone())).collect(),
                )),
            };
            printf(run, &display(value)?, &values)?.into()
        }
        "indent" => indent(run, value, args)?,
        "truncate" => truncate(value, args)?,
        "urlencode" => urlencode(value, args)?,
        "int" => to_int(value, args)?,
        "float" => {
            let [default] = args.bind(name, ["default"], 0)?;
            match value {
                Value::Undefined(why) => return failed(&**why),
                value => match value.float().or_else(|| value.text().and_then(parse_float)) {
                    Some(number) => Value::Float(number),
                    None => default.unwrap_or(Value::Float(0.0)),
                },
            }
        }
        "abs" => {
            args.none(name)?;
            match (value.int(), value) {
                (Some(number), _) => Value::Int(number.abs()),
                (None, Value::Float(number)) => Value::Float(number.abs()),
                (None, Value::Undefined(why)) => return failed(&**why),
                _ => return failed(format!("abs needs a number, not {}", value.type_name())),
            }
        }
        _ => round(value, args)?,
    };
    if let Some(text) = result.text() {
        run.pay_text(text.len())?;
    }
    Ok(result)
}

fn simple(name: &str, value: &str) -> Value {
    match name {
        "upper" => value.to_uppercase().into(),
        "lower" => value.to_lowercase().into(),
        "capitalize" => unicode::capitalize(value).into(),
        "wordcount" => value.split(|c| !unicode::is_word(c)).filter(|word| !word.is_empty()).count().into(),
        _ => {
            // A word begins after white space, a dash or an opening bracket.
            let mut titled = String::with_capacity(value.len());
            let mut first = true;
            for c in value.chars() {
                let between = super::super::lexer::is_space(c) || "-({[<".contains(c);
                match first || between {
                    true => titled.extend(c.to_uppercase()),
                    false => titled.extend(c.to_lowercase()),
                }
                first = between;
            }
            titled.into()
        }
    }
}

fn indent(run: &Run<'_>, value: &Value, args: &Args) -> Outcome<Value> {
    let [width, first, blank] = args.bind("indent", ["width", "first", "blank"], 0)?;
    let indention = match width {
        None => "    ".to_string(),
        Some(Value::Text(indention)) => indention.to_string(),
        Some(width) => {
            let width = usize::try_from(int("indent", &width)?.max(0)).unwrap_or(usize::MAX);
            run.pay(width as u64 / 8)?;
            " ".repeat(width)
        }
    };
    let text = text("indent", value)? + "\n";
    let lines = lines(&text, false);
    run.pay_text(lines.len() * indention.len() + text.len())?;
    let mut indented = if flag(first) { indention.clone() } else { String::new() };
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            indented.push('\n');
            if flag(blank.clone()) || !line.is_empty() {
                indented.push_str(&indention);
            }
        }
        indented.push_str(line);
    }
    Ok(indented.into())
}

fn truncate(value: &Value, args: &Args) -> Outcome<Value> {
    let [length, kill, end, leeway] = args.bind("truncate", ["length", "killwords", "end", "leeway"], 0)?;
    let value = text("truncate", value)?;
    let length = optional_int("truncate", length)?.unwrap_or(255);
    let leeway = optional_int("truncate", leeway)?.unwrap_or(5);
    let end = end.map_or(Ok("...".to_string()), |end| text("truncate", &end))?;
    let kept = length - end.chars().count() as i128;
    if kept < 0 || leeway < 0 {
        return failed("truncate needs a length at least as long as its ending, and no negative leeway");
    }
    if value.chars().count() as i128 <= length + leeway {
        return Ok(value.into());
    }
    let kept: String = value.chars().take(kept as usize).collect();
    let kept = if flag(kill) { &kept } else { kept.rsplit_once(' ').map_or(&*kept, |(before, _)| before) };
    Ok((kept.to_string() + &end).into())
}

fn urlencode(value: &Value, args: &Args) -> Outcome<Value> {
    args.none("urlencode")?;
    let quote = |value: &Value, query: bool| -> Outcome<String> {
        let mut quoted = String::new();
        for byte in display(value)?.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => {
                    quoted.push(byte.into())
                }
                b'/' if !query => quoted.push('/'),
                b' ' if query => quoted.push('+'),
                byte => quoted.push_str(&format!("%{byte:02X}")),
            }
        }
        Ok(quoted)
    };
    match value {
        Value::Dict(pairs) => {
            let pair =
                |(key, value): &(Value, Value)| Ok(format!("{}={}", quote(key, true)?, quote(value, true)?));
            Ok(pairs.0.iter().map(pair).collect::<Outcome<Vec<_>>>()?.join("&").into())
        }
        value if value.text().is_some() || value.float().is_some() || matches!(value, Value::None) => {
            Ok(quote(value, false)?.into())
        }
        value => unavailable(format!("the filter urlencode of {}", value.type_name())),
    }
}

/// `int`: a value that is not a number becomes the default, 0.
fn to_int(value: &Value, args: &Args) -> Outcome<Value> {
    let [default, base] = args.bind("int", ["default", "base"], 0)?;
    let base = optional_int("int", base)?.unwrap_or(10);
    let default = default.unwrap_or(Value::Int(0));
    let from_float = |number: f64| match number {
        number if !number.is_finite() => Ok(default.clone()),
        number if number.abs() < 1e38 => Ok(Value::Int(number as i128)),
        _ => unavailable("whole numbers this large"),
    };
    match value {
        Value::Undefined(why) => failed(&**why),
        Value::Float(number) if number.is_infinite() => failed("an infinite number has no whole part"),
        Value::Float(number) => from_float(*number),
        value => match (value.int(), value.text()) {
            (Some(number), _) => Ok(Value::Int(number)),
            (None, Some(text)) => match parse_int(text, base)? {
                Some(number) => Ok(Value::Int(number)),
                None => parse_float(text).map_or(Ok(default.clone()), from_float),
            },
            _ => Ok(default),
        },
    }
}

/// Python's `int(text, base)`.
fn parse_int(text: &str, base: i128) -> Outcome<Option<i128>> {
    let text = text.trim_matches(super::super::lexer::is_space);
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let prefixes = [("0x", 16), ("0o", 8), ("0b", 2)];
    let lower = digits.to_ascii_lowercase();
    let prefix = prefixes.iter().find(|(prefix, of)| lower.starts_with(prefix) && (base == *of || base == 0));
    let (digits, base) = match prefix {
        Some((_, of)) => (lower[2..].strip_prefix('_').unwrap_or(&lower[2..]), *of),
        None if base == 0
            && lower.len() > 1
            && lower.starts_with('0')
            && lower.bytes().any(|b| !matches!(b, b'0' | b'_')) =>
        {
            return Ok(None);
        }
        None => (&*lower, if base == 0 { 10 } else { base }),
    };
    let Some(base) = u32::try_from(base).ok().filter(|base| (2..=36).contains(base)) else { return Ok(None) };
    if !text.is_ascii() && text.chars().any(|c| !c.is_ascii() && c.is_numeric()) {
        return unavailable("int of digits that are not ASCII");
    }
    let well_formed = !digits.is_empty()
        && digits.split('_').all(|group| !group.is_empty() && group.chars().all(|c| c.is_digit(base)));
    if !well_formed {
        return Ok(None);
    }
    match i128::from_str_radix(&digits.replace('_', ""), base) {
        Ok(number) => Ok(Some(if negative { -number } else { number })),
        Err(_) => unavailable("whole numbers this large"),
    }
}

/// Python's `float(text)`.
fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim_matches(super::super::lexer::is_space).to_ascii_lowercase();
    let bare = text.trim_start_matches(['+', '-']);
    if text.len() - bare.len() > 1 {
        return None;
    }
    if matches!(bare, "inf" | "infinity" | "nan") {
        return text.parse().ok();
    }
    let digit = |b: Option<&u8>| b.is_some_and(u8::is_ascii_digit);
    let bytes = bare.as_bytes();
    let joined = bytes
        .iter()
        .enumerate()
        .all(|(at, &b)| b != b'_' || (at > 0 && digit(bytes.get(at - 1)) && digit(bytes.get(at + 1))));
    let plain = bare.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'+' | b'-' | b'_'));
    if joined && plain && bare.bytes().any(|b| b.is_ascii_digit()) {
        text.replace('_', "").parse().ok()
    } else {
        None
    }
}

fn round(value: &Value, args: &Args) -> Outcome<Value> {
    let [precision, method] = args.bind("round", ["precision", "method"], 0)?;
    let precision = optional_int("round", precision)?.unwrap_or(0);
    let method = method.map_or(Ok("common".to_string()), |method| text("round", &method))?;
    let Some(number) = value.float() else {
        return failed(format!("round needs a number, not {}", value.type_name()));
    };
    let Some(digits) = usize::try_from(precision).ok().filter(|digits| *digits <= 300) else {
        return unavailable("round to a negative precision");
    };
    let power = 10f64.powi(digits as i32);
    Ok(match (method.as_str(), value.int()) {
        ("common", Some(whole)) => Value::Int(whole),
        ("common", None) => Value::Float(format!("{number:.digits$}").parse().unwrap_or(number)),
        ("ceil", _) => Value::Float((number * power).ceil() / power),
        ("floor", _) => Value::Float((number * power).floor() / power),
        _ => return failed("round rounds by \"common\", \"ceil\" or \"floor\""),
    })
}
