//! The tests that follow `is`.

use super::arguments::{Args, int};
use super::ast::Compare;
use super::display::display;
use super::error::{Outcome, failed, unavailable};
use super::filters;
use super::operators::{compare, contains};
use super::run::Run;
use super::sequences::is_iterable;
use super::unicode;
use super::value::{Object, Value};

const NAMES: [&str; 35] = [
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
    "==",
    "!=",
];

/// The tests whose names are operators: `select` takes them as strings.
const SIGNS: [&str; 4] = [">", ">=", "<", "<="];

pub fn is_known(name: &str) -> bool {
    NAMES.contains(&name) || SIGNS.contains(&name)
}

/// `value is name(arguments)`.
pub fn check(run: &Run<'_>, name: &str, value: &Value, args: &Args) -> Outcome<bool> {
    if let Some(operator) = comparison(name) {
        let [other] = args.bind(name, [""], 1)?;
        return compare(operator, value, &other.unwrap_or(Value::None));
    }
    match name {
        "divisibleby" => {
            let [number] = args.bind(name, ["num"], 1)?;
            let number = int(name, &number.unwrap_or(Value::None))?;
            if number == 0 {
                return failed("division by zero");
            }
            return Ok(remainder(name, value, number)? == 0);
        }
        "in" => {
            let [container] = args.bind(name, ["seq"], 1)?;
            return contains(run, &container.unwrap_or(Value::None), value);
        }
        "sameas" => {
            let [other] = args.bind(name, ["other"], 1)?;
            return same(value, &other.unwrap_or(Value::None));
        }
        _ => args.none(name)?,
    }
    Ok(match name {
        "defined" => !value.is_undefined(),
        "undefined" => value.is_undefined(),
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "true" => matches!(value, Value::Bool(true)),
        "false" => matches!(value, Value::Bool(false)),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "number" => value.float().is_some(),
        "string" => value.text().is_some(),
        "mapping" => matches!(value, Value::Dict(_)),
        // Values with a length and an index: strings, mappings, and also the undefined value.
        "sequence" => !matches!(value, Value::Object(_)) && value.len().is_some(),
        "iterable" => is_iterable(value),
        "callable" => is_callable(value),
        "escaped" => matches!(value, Value::Markup(_)),
        "odd" => remainder(name, value, 2)? == 1,
        "even" => remainder(name, value, 2)? == 0,
        "lower" => unicode::all_cased(&display(value)?, char::is_lowercase),
        "upper" => unicode::all_cased(&display(value)?, char::is_uppercase),
        "filter" => value.text().is_some_and(filters::is_known),
        "test" => value.text().is_some_and(is_known),
        _ => return failed(format!("there is no test {name}")),
    })
}

fn comparison(name: &str) -> Option<Compare> {
    Some(match name {
        "eq" | "equalto" | "==" => Compare::Equal,
        "ne" | "!=" => Compare::NotEqual,
        "lt" | "lessthan" | "<" => Compare::Less,
        "le" | "<=" => Compare::LessEqual,
        "gt" | "greaterthan" | ">" => Compare::Greater,
        "ge" | ">=" => Compare::GreaterEqual,
        _ => return None,
    })
}

fn remainder(name: &str, value: &Value, number: i128) -> Outcome<i128> {
    match value {
        Value::Undefined(why) => failed(&**why),
        Value::Float(value) if value.fract() == 0.0 && value.abs() < 1e15 => {
            Ok((*value as i128).rem_euclid(number))
        }
        Value::Float(_) => Ok(-1),
        value => Ok(int(name, value)?.rem_euclid(number)),
    }
}

/// Python's `is`: only values whose identity is certain are compared.
fn same(value: &Value, other: &Value) -> Outcome<bool> {
    match (value, other) {
        (Value::None, Value::None) => Ok(true),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Object(a), Value::Object(b)) => Ok(std::rc::Rc::ptr_eq(a, b)),
        (Value::List(a), Value::List(b)) => Ok(std::rc::Rc::ptr_eq(a, b)),
        (Value::Dict(a), Value::Dict(b)) => Ok(std::rc::Rc::ptr_eq(a, b)),
        _ if value.type_name() != other.type_name() => Ok(false),
        _ => unavailable(format!("the test sameas of two values of type {}", value.type_name())),
    }
}

fn is_callable(value: &Value) -> bool {
    match value {
        Value::Object(object) => {
            matches!(
                &**object,
                Object::Macro(..)
                    | Object::Method(..)
                    | Object::Function(_)
                    | Object::Joiner(..)
                    | Object::Loop(_)
            )
        }
        // `jinja2`'s undefined has the method that makes a value callable.
        Value::Undefined(_) => true,
        _ => false,
    }
}
