//! The filter `tojson`: Python's `json.dumps`, with the arguments that `transformers` gives it.

use super::arguments::{Args, flag, text};
use super::display::{DEEPEST, float};
use super::error::{Outcome, failed, unavailable};
use super::operators::order;
use super::run::Run;
use super::value::Value;

/// The options of `json.dumps`.
struct Style {
    ascii: bool,
    indent: Option<String>,
    comma: String,
    colon: String,
    sorted: bool,
}

/// `value | tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub fn tojson(run: &Run<'_>, value: &Value, args: &Args) -> Outcome<Value> {
    let [ascii, indent, separators, sorted] =
        args.bind("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"], 0)?;
    let indent = match indent {
        None | Some(Value::None) => None,
        Some(Value::Text(indent)) => Some(indent.to_string()),
        Some(indent) => match indent.int() {
            Some(width @ ..=64) => Some(" ".repeat(usize::try_from(width).unwrap_or(0))),
            Some(_) => return unavailable("tojson with an indent of over 64"),
            None => return failed(format!("tojson cannot indent by {}", indent.type_name())),
        },
    };
    let (comma, colon) = match separators {
        None | Some(Value::None) => (if indent.is_some() { "," } else { ", " }.to_string(), ": ".to_string()),
        Some(Value::Tuple(pair) | Value::List(pair)) if pair.len() == 2 => {
            (text("tojson", &pair[0])?, text("tojson", &pair[1])?)
        }
        Some(_) => return failed("tojson needs two separators"),
    };
    let mut written = String::new();
    let style = Style { ascii: flag(ascii), indent, comma, colon, sorted: flag(sorted) };
    style.write(run, &mut written, value, 0)?;
    Ok(Value::from(written))
}

impl Style {
    fn write(&self, run: &Run<'_>, out: &mut String, value: &Value, depth: usize) -> Outcome<()> {
        if depth > DEEPEST {
            return unavailable(format!("tojson of values nested over {DEEPEST} deep"));
        }
        let before = out.len();
        match value {
            Value::Undefined(_) => return failed("tojson was given an undefined value"),
            Value::None => out.push_str("null"),
            Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Value::Int(number) => out.push_str(&number.to_string()),
            Value::Float(number) => out.push_str(&json_float(*number)),
            Value::Text(text) | Value::Markup(text) => self.string(out, text),
            Value::List(items) | Value::Tuple(items) => {
                let items: Vec<(&Value, Option<String>)> = items.iter().map(|item| (item, None)).collect();
                self.items(run, out, "[]", &items, depth)?;
            }
            Value::Dict(pairs) => {
                let mut pairs: Vec<&(Value, Value)> = pairs.0.iter().collect();
                if self.sorted {
                    let mut fault = None;
                    pairs.sort_by(|a, b| match order(&a.0, &b.0) {
                        Ok(order) => order.unwrap_or(std::cmp::Ordering::Equal),
                        Err(kind) => {
                            fault = Some(kind);
                            std::cmp::Ordering::Equal
                        }
                    });
                    if let Some(fault) = fault {
                        return Err(fault);
                    }
                }
                let mut items = Vec::new();
                for (key, value) in pairs {
                    items.push((value, Some(key_text(key)?)));
                }
                self.items(run, out, "{}", &items, depth)?;
            }
            other => return failed(format!("{} cannot be written as JSON", other.type_name())),
        }
        run.pay_text(out.len() - before)
    }

    /// The items between the two brackets, each on its own line if indented.
    fn items(
        &self,
        run: &Run<'_>,
        out: &mut String,
        brackets: &str,
        items: &[(&Value, Option<String>)],
        depth: usize,
    ) -> Outcome<()> {
        let line = |out: &mut String, depth: usize| {
            if let Some(indent) = self.indent.as_ref().filter(|_| !items.is_empty()) {
                out.push('\n');
                out.extend(std::iter::repeat_n(indent.as_str(), depth));
            }
        };
        run.pay(1)?;
        out.push_str(&brackets[..1]);
        for (at, (value, key)) in items.iter().enumerate() {
            if at > 0 {
                out.push_str(&self.comma);
            }
            line(out, depth + 1);
            if let Some(key) = key {
                self.string(out, key);
                out.push_str(&self.colon);
            }
            self.write(run, out, value, depth + 1)?;
        }
        line(out, depth);
        out.push_str(&brackets[1..]);
        Ok(())
    }

    fn string(&self, out: &mut String, string: &str) {
        out.push('"');
        for c in string.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if c < ' ' || (self.ascii && c > '~') => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

fn json_float(number: f64) -> String {
    match number {
        n if n.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        n => float(n),
    }
}

/// A key as JSON writes it: always a string.
fn key_text(key: &Value) -> Outcome<String> {
    Ok(match key {
        Value::None => "null".into(),
        Value::Bool(flag) => if *flag { "true" } else { "false" }.into(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => json_float(*number),
        Value::Text(text) | Value::Markup(text) => text.to_string(),
        other => return failed(format!("{} cannot be a key in JSON", other.type_name())),
    })
}
