//! The filter `tojson` as Python's `json.dumps(value, ensure_ascii=False)` writes it: nothing is escaped that need not be.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};
use std::fmt::Write;

/// How `json.dumps` was asked to write.
struct Style {
    ascii: bool,
    indent: Option<String>,
    comma: String,
    colon: String,
    sorted: bool,
}

/// `value | tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub(super) fn tojson(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent = match options.get::<Option<Value>>("indent")?.filter(|indent| !indent.is_none()) {
        Some(indent) if indent.as_str().is_some() => indent.as_str().map(str::to_string),
        Some(indent) => {
            Some(" ".repeat(indent.as_usize().filter(|&width| width <= 64).ok_or_else(|| bad("indent"))?))
        }
        None => None,
    };
    let (comma, colon) = match options.get::<Option<Vec<String>>>("separators")? {
        Some(pair) => <[String; 2]>::try_from(pair).map(Into::into).map_err(|_| bad("separators"))?,
        None => (if indent.is_some() { "," } else { ", " }.to_string(), ": ".to_string()),
    };
    let ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sorted = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    let mut text = String::new();
    Style { ascii, indent, comma, colon, sorted }.write(&mut text, value, 0)?;
    Ok(Value::from(text))
}

fn bad(option: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("tojson does not know this value of its option {option}"))
}

impl Style {
    fn write(&self, text: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > 100 {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "tojson was given a value nested over 100 deep",
            ));
        }
        match value.kind() {
            ValueKind::None => text.push_str("null"),
            ValueKind::Bool => text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => write!(text, "{value}").unwrap_or_default(),
            ValueKind::String => self.string(text, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.list(text, "[]", items.len(), depth, |text, i| self.write(text, &items[i], depth + 1))?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sorted {
                    keys.sort();
                }
                self.list(text, "{}", keys.len(), depth, |text, i| {
                    self.string(text, &keys[i].to_string());
                    text.push_str(&self.colon);
                    self.write(text, &value.get_item(&keys[i])?, depth + 1)
                })?;
            }
            kind => {
                let why = format!("tojson cannot write a value that is {kind}");
                return Err(Error::new(ErrorKind::InvalidOperation, why));
            }
        }
        Ok(())
    }

    /// The items between the two brackets, each on its own line where lines are indented.
    fn list(
        &self,
        text: &mut String,
        brackets: &str,
        items: usize,
        depth: usize,
        mut item: impl FnMut(&mut String, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let line = |text: &mut String, depth: usize| {
            if let Some(indent) = self.indent.as_ref().filter(|_| items > 0) {
                text.push('\n');
                text.extend(std::iter::repeat_n(indent.as_str(), depth));
            }
        };
        text.push_str(&brackets[..1]);
        for i in 0..items {
            if i > 0 {
                text.push_str(&self.comma);
            }
            line(text, depth + 1);
            item(text, i)?;
        }
        line(text, depth);
        text.push_str(&brackets[1..]);
        Ok(())
    }

    fn string(&self, text: &mut String, string: &str) {
        text.push('"');
        for c in string.chars() {
            match c {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{8}' => text.push_str("\\b"),
                '\u{c}' => text.push_str("\\f"),
                c if c < ' ' || (self.ascii && c > '~') => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(text, "\\u{unit:04x}").unwrap_or_default();
                    }
                }
                c => text.push(c),
            }
        }
        text.push('"');
    }
}
