//! Fields that ask for nothing with some of their values, which pass; with others they are refused by name.

use serde_json::Value;

use super::error::{Answered, Refusal};

/// A field: its name, its value, the rule for values that pass.
pub type Field<'a> = (&'static str, &'a Option<Value>, Passes);

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

/// Refuses the fields that ask for something.
pub fn check(fields: &[Field<'_>]) -> Answered<()> {
    for (name, value, rule) in fields {
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
