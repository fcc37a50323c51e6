//! Fields that ask for nothing with some of their values, which pass; with others they are refused by name.

use serde_json::{Value, json};

use super::error::{Answered, Refusal};

/// A field's name, and its values that pass.
pub type Rule = (&'static str, Passes);

/// Which values ask for nothing.
#[derive(Clone, Copy)]
pub enum Passes {
    /// Any value: a name or a hint, which changes no answer.
    Any,
    /// True or false.
    AnyBool,
    /// Lists and objects without anything in them.
    Empty,
    /// One of these, as JSON.
    These(&'static [&'static str]),
    /// None: what it asks for cannot be done.
    Nothing,
}

impl Passes {
    fn passes(self, value: &Value) -> bool {
        match self {
            Passes::Any => true,
            Passes::AnyBool => value.is_boolean(),
            Passes::Empty => {
                let list = value.as_array().is_some_and(Vec::is_empty);
                list || value.as_object().is_some_and(|fields| fields.is_empty())
            }
            Passes::These(these) => these.contains(&value.to_string().as_str()),
            Passes::Nothing => false,
        }
    }

    /// The values that pass, as a JSON schema; `None` for any.
    pub fn schema(self) -> Option<Value> {
        Some(match self {
            Passes::Any => return None,
            Passes::AnyBool => json!({"type": ["boolean", "null"]}),
            Passes::Empty => json!({"type": ["array", "object", "null"], "maxItems": 0, "maxProperties": 0}),
            Passes::These(these) => {
                let these = these.iter().filter_map(|text| serde_json::from_str(text).ok());
                json!({"enum": these.chain([Value::Null]).collect::<Vec<Value>>()})
            }
            Passes::Nothing => json!({"type": "null"}),
        })
    }

    fn expected(self) -> String {
        match self {
            Passes::Any => String::new(),
            Passes::AnyBool => "true or false was expected".into(),
            Passes::Empty => "this service cannot do that; leave it out or empty".into(),
            Passes::These(these) => {
                format!("this service cannot do that; only {} is possible", these.join(" or "))
            }
            Passes::Nothing => "this service cannot do that; leave it out".into(),
        }
    }
}

/// Refuses the fields that ask for something; `values` are in the order of `rules`.
pub fn check(rules: &[Rule], values: &[&Option<Value>]) -> Answered<()> {
    for ((name, rule), value) in rules.iter().zip(values) {
        let Some(value) = value.as_ref().filter(|value| !rule.passes(value)) else { continue };
        let mut found = value.to_string();
        if found.chars().count() > LONGEST {
            found = format!("{}…", found.chars().take(LONGEST - 1).collect::<String>());
        }
        let why = format!("it is {found}; {}", rule.expected());
        return Err(Refusal::field(*name, why).code("unsupported_value"));
    }
    Ok(())
}

/// The most characters of a value that are repeated.
const LONGEST: usize = 80;
