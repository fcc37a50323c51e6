//! Fields that ask for nothing with some of their values, which pass; with others they are refused by name.

use serde_json::Value;

use super::error::Answered;
use super::fields::neutral;

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

/// Refuses the fields that ask for something.
pub fn check(fields: &[Field<'_>]) -> Answered<()> {
    for (name, value, rule) in fields {
        let (passes, what): (Box<dyn Fn(&Value) -> bool>, String) = match *rule {
            Passes::Any => (Box::new(|_| true), String::new()),
            Passes::AnyBool => (Box::new(Value::is_boolean), "true or false was expected".into()),
            Passes::Empty => (
                Box::new(|value| {
                    value.as_array().is_some_and(Vec::is_empty)
                        || value.as_object().is_some_and(|map| map.is_empty())
                }),
                "this service cannot do that; leave it out or empty".into(),
            ),
            Passes::These(these) => (
                Box::new(move |value| these.contains(&value.to_string().as_str())),
                format!("this service cannot do that; only {} is possible", these.join(" or ")),
            ),
            Passes::Nothing => (Box::new(|_| false), "this service cannot do that; leave it out".into()),
        };
        neutral(name, value, passes, &what)?;
    }
    Ok(())
}
