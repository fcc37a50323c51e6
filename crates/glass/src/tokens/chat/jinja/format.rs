//! Python's two ways of formatting: `'%d' % value` and `'{:d}'.format(value)`.

mod numbers;
mod spec;

pub use spec::str_format;

use super::display::{display, repr};
use super::error::{Outcome, failed, unavailable};
use super::run::Run;
use super::value::Value;
use numbers::{Style, float_text, int_text};

/// `format % values`.
pub fn printf(run: &Run<'_>, format: &str, values: &Value) -> Outcome<String> {
    let single = [values.clone()];
    let (positional, mapping): (&[Value], Option<&Value>) = match values {
        Value::Tuple(items) => (items, None),
        Value::Text(_) | Value::Markup(_) => (&single, None),
        Value::Dict(_) | Value::List(_) | Value::Range(..) | Value::Undefined(_) => (&single, Some(values)),
        _ => (&single, None),
    };
    let mut next = positional.iter();
    let mut text = String::new();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let piece = conversion(&mut rest, &mut next, mapping)?;
        run.pay_text(piece.len())?;
        text.push_str(&piece);
    }
    if next.next().is_some() && mapping.is_none() {
        return failed("% was given more values than its text asks for");
    }
    run.pay_text(text.len())?;
    Ok(text)
}

fn conversion<'v>(
    rest: &mut std::str::Chars<'_>,
    next: &mut impl Iterator<Item = &'v Value>,
    mapping: Option<&Value>,
) -> Outcome<String> {
    let missing = || failed("% was given fewer values than its text asks for");
    let mut style = Style { align: '>', fill: ' ', ..Style::default() };
    let mut named = None;
    let mut c = rest.next();
    if c == Some('(') {
        let name: String = rest.by_ref().take_while(|&c| c != ')').collect();
        let Some(Value::Dict(pairs)) = mapping else { return failed("%(name) needs a mapping") };
        let Some(value) = pairs.get_text(&name) else {
            return failed(format!("% has no value named {name}"));
        };
        named = Some(value.clone());
        c = rest.next();
    }
    while let Some(flag @ ('#' | '0' | '-' | ' ' | '+')) = c {
        match flag {
            '#' => style.alternate = true,
            '0' if style.align != '<' => (style.fill, style.align) = ('0', '='),
            '-' => (style.align, style.fill) = ('<', ' '),
            '+' => style.sign = '+',
            ' ' if style.sign != '+' => style.sign = ' ',
            _ => {}
        }
        c = rest.next();
    }
    if let Some(width) = number(rest, &mut c, next)? {
        style.set_width(width)?;
    }
    if c == Some('.') {
        c = rest.next();
        style.set_precision(number(rest, &mut c, next)?.unwrap_or(0))?;
    }
    while let Some('h' | 'l' | 'L') = c {
        c = rest.next();
    }
    let Some(kind) = c else { return failed("a text for % ends within a conversion") };
    if kind == '%' {
        return Ok("%".into());
    }
    let value = match named {
        Some(value) => value,
        None => match next.next() {
            Some(value) => value.clone(),
            None => return missing(),
        },
    };
    match kind {
        's' | 'r' => {
            let text = if kind == 's' { display(&value)? } else { repr(&value, 0)? };
            let text = match style.precision {
                Some(precision) => text.chars().take(precision).collect(),
                None => text,
            };
            // Zero padding applies to numbers only.
            Ok(Style { fill: ' ', align: if style.align == '=' { '>' } else { style.align }, ..style }
                .pad("", &text))
        }
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' => {
            let whole = match &value {
                Value::Float(number) if matches!(kind, 'd' | 'i' | 'u') && number.abs() < 1e30 => {
                    Some(*number as i128)
                }
                value => value.int(),
            };
            let Some(whole) = whole else {
                return failed(format!("%{kind} needs a number, not {}", value.type_name()));
            };
            let digits = style.precision.take().unwrap_or(0);
            Ok(int_text(whole, if matches!(kind, 'i' | 'u') { 'd' } else { kind }, digits, &style))
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => match value.float() {
            Some(number) => Ok(float_text(number, kind, &style)),
            None => failed(format!("%{kind} needs a number, not {}", value.type_name())),
        },
        'c' => match (value.text(), value.int()) {
            (Some(text), _) if text.chars().count() == 1 => Ok(style.pad("", text)),
            (None, Some(code)) => match u32::try_from(code).ok().and_then(char::from_u32) {
                Some(c) => Ok(style.pad("", &c.to_string())),
                None => failed("%c needs a character"),
            },
            _ => failed("%c needs a character"),
        },
        'a' => unavailable("%a"),
        other => failed(format!("%{other} is not a conversion")),
    }
}

/// The digits of a width or a precision, or the value that a star refers to.
fn number<'v>(
    rest: &mut std::str::Chars<'_>,
    c: &mut Option<char>,
    next: &mut impl Iterator<Item = &'v Value>,
) -> Outcome<Option<i128>> {
    if *c == Some('*') {
        *c = rest.next();
        let Some(value) = next.next().and_then(Value::int) else { return failed("%* needs a whole number") };
        return Ok(Some(value));
    }
    let mut digits = String::new();
    while let Some(digit) = c.filter(char::is_ascii_digit) {
        digits.push(digit);
        *c = rest.next();
    }
    Ok(digits.parse().ok())
}
