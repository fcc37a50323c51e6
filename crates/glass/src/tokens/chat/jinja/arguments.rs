//! Binds the arguments of a call to parameters.

use super::error::{Outcome, failed};
use super::value::Value;

#[derive(Default, Clone)]
pub struct Args {
    pub positional: Vec<Value>,
    pub named: Vec<(String, Value)>,
}

impl Args {
    pub fn positional(positional: Vec<Value>) -> Args {
        Args { positional, named: Vec::new() }
    }

    /// The values of a function's parameters, in their order. A parameter with an empty name can only be given by
    /// position; the first `required` ones must be given.
    pub fn bind<const N: usize>(
        &self,
        function: &str,
        parameters: [&str; N],
        required: usize,
    ) -> Outcome<[Option<Value>; N]> {
        if self.positional.len() > N {
            return failed(format!(
                "{function} takes at most {N} arguments, {} were given",
                self.positional.len()
            ));
        }
        let mut values = [const { None }; N];
        for (place, value) in values.iter_mut().zip(&self.positional) {
            *place = Some(value.clone());
        }
        for (name, value) in &self.named {
            match parameters.iter().position(|parameter| parameter == name && !name.is_empty()) {
                Some(at) if values[at].is_none() => values[at] = Some(value.clone()),
                Some(_) => return failed(format!("{function} was given its argument {name} twice")),
                None => return failed(format!("{function} takes no argument {name}")),
            }
        }
        if let Some(at) = values[..required].iter().position(Option::is_none) {
            return failed(format!("{function} is missing argument {}", at + 1));
        }
        Ok(values)
    }

    /// Checks that there are no arguments.
    pub fn none(&self, function: &str) -> Outcome<()> {
        self.bind(function, [], 0).map(|_: [_; 0]| ())
    }
}

/// The value as a string; any other type is an error.
pub fn text(function: &str, value: &Value) -> Outcome<String> {
    match value {
        Value::Text(text) | Value::Markup(text) => Ok(text.to_string()),
        other => failed(format!("{function} needs a text, not {}", other.type_name())),
    }
}

/// The value as a whole number; any other type is an error.
pub fn int(function: &str, value: &Value) -> Outcome<i128> {
    match value.int() {
        Some(number) => Ok(number),
        None => failed(format!("{function} needs a whole number, not {}", value.type_name())),
    }
}

/// A whole number or `None`.
pub fn optional_int(function: &str, value: Option<Value>) -> Outcome<Option<i128>> {
    match value {
        None | Some(Value::None) => Ok(None),
        Some(value) => int(function, &value).map(Some),
    }
}

/// An argument read as a boolean, false by default.
pub fn flag(value: Option<Value>) -> bool {
    value.is_some_and(|value| value.is_true())
}
