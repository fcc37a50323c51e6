//! A JSON object from a file, read field by field: for a duplicate key, a wrong type or a number out of range the
//! error names the file and the field.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use crate::{Error, Result};

/// The largest allowed size in a field.
pub(crate) const LARGEST: usize = 1 << 31;

/// No such file has more values; as a tree each takes many times the bytes that it has in the file.
const MOST_VALUES: usize = 1 << 18;

/// At most how many values a JSON text holds: each follows a bracket or a comma.
fn values(text: &[u8]) -> usize {
    let (mut count, mut is_text, mut is_escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b'[' | b'{' | b',' if !is_text => count += 1,
            _ => {}
        }
    }
    count
}

/// The members of a JSON object, in their order; a key that is duplicated is refused.
struct Unique(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Unique;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Unique, A::Error> {
                let (mut members, mut seen) = (Vec::new(), HashSet::new());
                while let Some(key) = map.next_key::<String>()? {
                    if !seen.insert(key.clone()) {
                        return Err(A::Error::custom(format!("{} is duplicated", short(&key))));
                    }
                    let value = map
                        .next_value::<Value>()
                        .map_err(|e| A::Error::custom(format!("{}: {e}", short(&key))))?;
                    members.push((key, value));
                }
                Ok(Unique(members))
            }
        }
        from.deserialize_map(Members)
    }
}

/// A name or value from a file, quoted and shortened to fit in a sentence.
pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// A JSON object and the file it came from.
pub(crate) struct Object {
    what: String,
    members: Vec<(String, Value)>,
}

impl Object {
    /// Parses the object in `bytes`; `what` names the file.
    pub fn parse(what: &str, bytes: &[u8]) -> Result<Object> {
        let found = values(bytes);
        if found > MOST_VALUES {
            let why = format!("holds {found} values; at most {MOST_VALUES} were expected");
            return Err(Error::invalid(what, why));
        }
        let Unique(members) = serde_json::from_slice(bytes)
            .map_err(|e| Error::invalid(what, format!("is not a JSON object as expected ({e})")))?;
        Ok(Object { what: what.to_string(), members })
    }

    /// An object that does not come from a file.
    pub fn of(what: &str, members: serde_json::Map<String, Value>) -> Object {
        Object { what: what.to_string(), members: members.into_iter().collect() }
    }

    /// The object in field `name`, if present.
    pub fn object(&self, name: &str) -> Result<Option<Object>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Object {
                what: format!("{}: {name}", self.what),
                members: map.clone().into_iter().collect(),
            })),
            Some(other) => Err(self.wrong(name, other, "an object")),
        }
    }

    /// Sets a field.
    pub fn set(&mut self, name: &str, value: Value) {
        self.members.retain(|(found, _)| found != name);
        self.members.push((name.to_string(), value));
    }

    /// The names of all fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(name, _)| name.as_str())
    }

    /// A field; `null` is treated as absent.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|(n, _)| n == name).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// Whether a field is there and `null`.
    pub fn is_null(&self, name: &str) -> bool {
        self.members.iter().any(|(found, value)| found == name && value.is_null())
    }

    /// A size: a whole number from 1 to 2³¹.
    pub fn size(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_u64() {
            Some(size) if (1..=LARGEST as u64).contains(&size) => Ok(Some(size as usize)),
            _ => Err(self.wrong(name, value, &format!("a whole number from 1 to {LARGEST}"))),
        }
    }

    /// A required size.
    pub fn needed_size(&self, name: &str) -> Result<usize> {
        self.size(name)?.ok_or_else(|| self.error(format!("{name} is missing; a size was expected")))
    }

    /// A finite number.
    pub fn number(&self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_f64().filter(|n| n.is_finite()).map(Some).ok_or_else(|| self.wrong(name, value, "a number"))
    }

    /// A list of finite numbers.
    pub fn numbers(&self, name: &str) -> Result<Option<Vec<f64>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let numbers = value.as_array().and_then(|all| all.iter().map(Value::as_f64).collect());
        numbers.map(Some).ok_or_else(|| self.wrong(name, value, "a list of numbers"))
    }

    /// A list of strings.
    pub fn texts(&self, name: &str) -> Result<Option<Vec<&str>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let texts = value.as_array().and_then(|all| all.iter().map(Value::as_str).collect());
        texts.map(Some).ok_or_else(|| self.wrong(name, value, "a list of strings"))
    }

    /// A boolean.
    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(name, value, "true or false"))
    }

    /// A string.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(name, value, "a text"))
    }

    /// A token id.
    pub fn id(&self, name: &str) -> Result<Option<u32>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        Ok(Some(self.one_id(name, value)?))
    }

    /// A token id or a list of them.
    pub fn ids(&self, name: &str) -> Result<Option<Vec<u32>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let many = match value {
            Value::Array(many) => many.iter().map(|one| self.one_id(name, one)).collect::<Result<_>>()?,
            one => vec![self.one_id(name, one)?],
        };
        Ok(Some(many))
    }

    fn one_id(&self, name: &str, value: &Value) -> Result<u32> {
        value
            .as_u64()
            .and_then(|id| u32::try_from(id).ok())
            .ok_or_else(|| self.wrong(name, value, "a token's id"))
    }

    /// An error: field `name` holds `found` instead of `expected`.
    pub fn wrong(&self, name: &str, found: &Value, expected: &str) -> Error {
        let found = found.to_string();
        let found = if found.chars().count() > 80 { short(&found) } else { found };
        self.error(format!("{name} is {found}; {expected} was expected"))
    }

    /// An error about this object.
    pub fn error(&self, why: impl fmt::Display) -> Error {
        Error::invalid(&self.what, why)
    }
}

/// Reads a file of at most `longest` bytes.
pub(crate) fn read(path: &Path, longest: u64) -> Result<Vec<u8>> {
    // Checked before the file is opened: opening a pipe would wait for its writer.
    if std::fs::metadata(path).is_ok_and(|about| !about.is_file()) {
        return Err(Error::invalid(path.display(), "is not a regular file"));
    }
    let file = std::fs::File::open(path).map_err(|e| Error::io("cannot open", path, e))?;
    let mut bytes = Vec::new();
    file.take(longest + 1).read_to_end(&mut bytes).map_err(|e| Error::io("cannot read", path, e))?;
    if bytes.len() as u64 > longest {
        let why = format!("is longer than {longest} bytes, which no such file is; is it the right one?");
        return Err(Error::invalid(path.display(), why));
    }
    Ok(bytes)
}
