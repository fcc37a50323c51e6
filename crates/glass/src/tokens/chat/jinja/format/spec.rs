//! `str.format`: replacement fields and their format specifications.

use super::super::arguments::Args;
use super::super::attributes::{attribute, item};
use super::super::display::{display, repr};
use super::super::error::{Outcome, failed, unavailable};
use super::super::run::Run;
use super::super::value::Value;
use super::numbers::{Style, float_text, int_text};

/// `text.format(arguments)`.
pub fn str_format(run: &Run<'_>, text: &str, args: &Args) -> Outcome<String> {
    fill(run, text, args, &mut Numbering::Unknown, 3)
}

/// How fields are numbered.
enum Numbering {
    Unknown,
    ByHand,
    Next(usize),
}

fn fill(run: &Run<'_>, text: &str, args: &Args, numbering: &mut Numbering, depth: usize) -> Outcome<String> {
    if depth == 0 {
        return failed("format fields are nested too deep");
    }
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        filled.push_str(&rest[..at]);
        let brace = &rest[at..at + 1];
        rest = &rest[at + 1..];
        if rest.starts_with(brace) {
            filled.push_str(brace);
            rest = &rest[1..];
            continue;
        }
        if brace == "}" {
            return failed("format found a } without a {");
        }
        let end = field_end(rest)?;
        let (name, conversion, spec) = parts(&rest[..end]);
        rest = &rest[end + 1..];
        let value = lookup(run, name, args, numbering)?;
        let spec = fill(run, spec, args, numbering, depth - 1)?;
        let value = match conversion {
            None => value,
            Some("s") => display(&value)?.into(),
            Some("r") => repr(&value, 0)?.into(),
            Some(other) => return unavailable(format!("format with !{other}")),
        };
        let piece = formatted(&value, &spec)?;
        run.pay_text(piece.len())?;
        filled.push_str(&piece);
    }
    filled.push_str(rest);
    Ok(filled)
}

fn field_end(rest: &str) -> Outcome<usize> {
    let mut open = 0;
    for (at, c) in rest.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open == 0 => return Ok(at),
            '}' => open -= 1,
            _ => {}
        }
    }
    failed("format found a { without a }")
}

/// A field's name, its conversion and its specification.
fn parts(field: &str) -> (&str, Option<&str>, &str) {
    let bracket = field.find(']').map_or(0, |at| at + 1);
    let at = field[bracket..].find(['!', ':']).map_or(field.len(), |at| at + bracket);
    let (name, rest) = field.split_at(at);
    match rest.strip_prefix('!') {
        Some(rest) => match rest.split_once(':') {
            Some((conversion, spec)) => (name, Some(conversion), spec),
            None => (name, Some(rest), ""),
        },
        None => (name, None, rest.strip_prefix(':').unwrap_or("")),
    }
}

fn lookup(run: &Run<'_>, name: &str, args: &Args, numbering: &mut Numbering) -> Outcome<Value> {
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (first, mut rest) = name.split_at(end);
    let index = match (first.parse::<usize>(), &*numbering) {
        (Err(_), _) if !first.is_empty() => None,
        (Ok(index), Numbering::Unknown | Numbering::ByHand) => {
            *numbering = Numbering::ByHand;
            Some(index)
        }
        (Err(_), Numbering::Unknown) => {
            *numbering = Numbering::Next(1);
            Some(0)
        }
        (Err(_), Numbering::Next(next)) => {
            let next = *next;
            *numbering = Numbering::Next(next + 1);
            Some(next)
        }
        _ => return failed("format mixes numbered and unnumbered fields"),
    };
    let found = match index {
        Some(index) => args.positional.get(index),
        None => args.named.iter().find(|(known, _)| known == first).map(|(_, value)| value),
    };
    let Some(mut value) = found.cloned() else {
        return failed(format!("format was given no value for {{{name}}}"));
    };
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            value = attribute(run, &value, &after[..end])?;
            rest = &after[end..];
        } else {
            let Some((index, after)) = rest[1..].split_once(']') else {
                return failed("format found a [ without a ]");
            };
            let index =
                index.parse::<u64>().map_or_else(|_| Value::from(index), |index| Value::Int(index.into()));
            value = item(run, &value, &index)?;
            rest = after;
        }
    }
    Ok(value)
}

/// Python's `format(value, spec)`.
fn formatted(value: &Value, spec: &str) -> Outcome<String> {
    if spec.is_empty() {
        return display(value);
    }
    let number = !matches!(value, Value::Text(_)) && value.float().is_some();
    let (mut style, kind) = parse(spec, number)?;
    match value {
        Value::Text(text) => {
            if !matches!(kind, None | Some('s')) || style.align == '=' || style.group.is_some() {
                return failed(format!("the format {spec:?} is not for texts"));
            }
            let text = match style.precision {
                Some(precision) => text.chars().take(precision).collect(),
                None => text.to_string(),
            };
            Ok(style.pad("", &text))
        }
        _ => match (value.int(), value.float(), kind) {
            (Some(_), _, None | Some('d' | 'x' | 'X' | 'o' | 'b' | 'c')) if style.precision.is_some() => {
                failed("a whole number has no precision")
            }
            (Some(number), _, None | Some('d')) => Ok(int_text(number, 'd', 0, &style)),
            (Some(number), _, Some(kind @ ('x' | 'X' | 'o' | 'b'))) => Ok(int_text(number, kind, 0, &style)),
            (_, Some(number), Some(kind @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%'))) => {
                Ok(float_text(number, kind, &style))
            }
            (None, Some(number), None) if style.precision.is_none() && style.group.is_none() => {
                let text = super::super::display::float(number.abs());
                style.precision = None;
                let sign = match (number.is_sign_negative(), style.sign) {
                    (true, _) => "-",
                    (false, '+') => "+",
                    (false, ' ') => " ",
                    _ => "",
                };
                Ok(style.pad(sign, &text))
            }
            (_, Some(_), kind) => {
                unavailable(format!("the format {spec:?} of kind {:?}", kind.unwrap_or(' ')))
            }
            _ => failed(format!("the format {spec:?} is not for {}", value.type_name())),
        },
    }
}

fn parse(spec: &str, number: bool) -> Outcome<(Style, Option<char>)> {
    let mut style = Style { align: if number { '>' } else { '<' }, ..Style::default() };
    let is_align = |c: char| matches!(c, '<' | '>' | '^' | '=');
    let characters: Vec<char> = spec.chars().collect();
    let mut at = 0;
    if characters.len() > 1 && is_align(characters[1]) {
        (style.fill, style.align, at) = (characters[0], characters[1], 2);
    } else if characters.first().copied().is_some_and(is_align) {
        (style.align, at) = (characters[0], 1);
    }
    let aligned = at > 0;
    let peek = |at: usize| characters.get(at).copied();
    if let Some(sign @ ('+' | '-' | ' ')) = peek(at) {
        if !number {
            return failed("a sign is not for texts");
        }
        (style.sign, at) = (sign, at + 1);
    }
    if peek(at) == Some('#') {
        (style.alternate, at) = (true, at + 1);
    }
    if peek(at) == Some('0') {
        if !aligned {
            (style.fill, style.align) = ('0', if number { '=' } else { '<' });
        }
        at += 1;
    }
    let digits = |at: &mut usize| {
        let mut value: Option<i128> = None;
        while let Some(digit) = peek(*at).and_then(|c| c.to_digit(10)) {
            value = Some(value.unwrap_or(0).saturating_mul(10).saturating_add(digit.into()));
            *at += 1;
        }
        value
    };
    if let Some(width) = digits(&mut at) {
        style.set_width(width)?;
    }
    if let Some(group @ (',' | '_')) = peek(at) {
        (style.group, at) = (Some(group), at + 1);
    }
    if peek(at) == Some('.') {
        at += 1;
        match digits(&mut at) {
            Some(precision) => style.set_precision(precision)?,
            None => return failed("a format's dot needs a number"),
        }
    }
    let kind = peek(at);
    if at + 1 < characters.len() {
        return failed(format!("the format {spec:?} is not understood"));
    }
    Ok((style, kind))
}
