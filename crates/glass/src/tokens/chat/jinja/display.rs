//! Values as strings: Python's `str` and `repr`.

use super::error::{Outcome, unavailable};
use super::value::{Object, Value, View};

/// Values nested more deeply are refused.
pub const DEEPEST: usize = 100;

/// Python's `str`.
pub fn display(value: &Value) -> Outcome<String> {
    match value {
        Value::Undefined(_) => Ok(String::new()),
        Value::Text(text) | Value::Markup(text) => Ok(text.to_string()),
        other => repr(other, 0),
    }
}

/// Python's `repr`.
pub fn repr(value: &Value, depth: usize) -> Outcome<String> {
    if depth > DEEPEST {
        return unavailable(format!("values nested over {DEEPEST} deep"));
    }
    let list = |items: &[Value]| -> Outcome<String> {
        let items: Vec<String> = items.iter().map(|item| repr(item, depth + 1)).collect::<Outcome<_>>()?;
        Ok(items.join(", "))
    };
    Ok(match value {
        Value::Undefined(_) => "Undefined".into(),
        Value::None => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => float(*number),
        Value::Text(text) => quoted(text),
        Value::Markup(text) => format!("Markup({})", quoted(text)),
        Value::List(items) => format!("[{}]", list(items)?),
        Value::Tuple(items) if items.len() == 1 => format!("({},)", list(items)?),
        Value::Tuple(items) => format!("({})", list(items)?),
        Value::Dict(pairs) => mapping(&pairs.0, depth)?,
        Value::Range(start, stop, 1) => format!("range({start}, {stop})"),
        Value::Range(start, stop, step) => format!("range({start}, {stop}, {step})"),
        Value::Object(object) => match &**object {
            Object::View(view, pairs) => {
                let items: Vec<Value> = pairs
                    .0
                    .iter()
                    .map(|(key, value)| match view {
                        View::Keys => key.clone(),
                        View::Values => value.clone(),
                        View::Items => Value::tuple(vec![key.clone(), value.clone()]),
                    })
                    .collect();
                format!("{}([{}])", value.type_name(), list(&items)?)
            }
            Object::Namespace(attributes) => {
                format!("<Namespace {}>", mapping(&attributes.borrow().0, depth)?)
            }
            _ => return unavailable(format!("a {} written as text", value.type_name())),
        },
    })
}

fn mapping(pairs: &[(Value, Value)], depth: usize) -> Outcome<String> {
    let pair =
        |(key, value): &(Value, Value)| Ok(format!("{}: {}", repr(key, depth + 1)?, repr(value, depth + 1)?));
    let pairs: Vec<String> = pairs.iter().map(pair).collect::<Outcome<_>>()?;
    Ok(format!("{{{}}}", pairs.join(", ")))
}

/// Python's `repr` of a float: the fewest digits that give this number.
pub fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number == 0.0 || (-4..16).contains(&exponent) {
        let plain = format!("{number}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Python's `repr` of a text.
pub fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c == quote => quoted.extend(['\\', c]),
            c if is_printable(c) => quoted.push(c),
            c => match u32::from(c) {
                code @ 0..0x100 => quoted.push_str(&format!("\\x{code:02x}")),
                code @ 0x100..0x10000 => quoted.push_str(&format!("\\u{code:04x}")),
                code => quoted.push_str(&format!("\\U{code:08x}")),
            },
        }
    }
    quoted.push(quote);
    quoted
}

/// Python's `str.isprintable` for one character: Rust escapes the same categories, if the character is not the
/// first one.
pub fn is_printable(c: char) -> bool {
    matches!(c, '\'' | '"' | '\\') || format!("a{c}").escape_debug().eq(['a', c])
}
