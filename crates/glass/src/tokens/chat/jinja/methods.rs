//! Methods of Python's values. Methods that would change a list or a mapping do not exist, as in the sandbox.

pub mod text;

use super::arguments::{Args, optional_int};
use super::error::{Outcome, failed, unavailable};
use super::eval::hashable;
use super::run::Run;
use super::value::{Object, Value, View};

/// Whether the value has this method.
pub fn exists(value: &Value, name: &str) -> bool {
    match value {
        Value::Text(_) | Value::Markup(_) => text::NAMES.contains(&name) || text::MISSING.contains(&name),
        Value::Dict(_) => matches!(name, "get" | "items" | "keys" | "values" | "copy" | "fromkeys"),
        Value::List(_) => matches!(name, "count" | "index" | "copy"),
        Value::Tuple(_) | Value::Range(..) => matches!(name, "count" | "index"),
        Value::Int(_) | Value::Bool(_) => matches!(name, "bit_length" | "bit_count" | "conjugate"),
        Value::Float(_) => matches!(name, "is_integer" | "conjugate"),
        Value::Object(object) => match &**object {
            Object::Loop(_) => matches!(name, "cycle" | "changed"),
            Object::Cycler(..) => matches!(name, "next" | "reset"),
            Object::Function("dict") => name == "fromkeys",
            _ => false,
        },
        Value::Undefined(_) | Value::None => false,
    }
}

pub fn call(run: &Run<'_>, value: &Value, name: &str, args: &Args) -> Outcome<Value> {
    match value {
        Value::Text(text) => text::call(run, text, name, args),
        Value::Markup(_) => unavailable(format!("the method {name} of a text that is marked as safe")),
        Value::Dict(pairs) => match name {
            "get" => {
                let [key, default] = args.bind("get", ["", ""], 1)?;
                let key = hashable(key.unwrap_or(Value::None))?;
                Ok(pairs.get(&key).cloned().or(default).unwrap_or(Value::None))
            }
            "copy" => args.none("copy").map(|()| value.clone()),
            "fromkeys" => unavailable("the method fromkeys of a mapping"),
            _ => {
                args.none(name)?;
                let view = match name {
                    "keys" => View::Keys,
                    "values" => View::Values,
                    _ => View::Items,
                };
                Ok(Value::object(Object::View(view, pairs.clone())))
            }
        },
        Value::List(_) | Value::Tuple(_) | Value::Range(..) => sequence(run, value, name, args),
        Value::Int(_) | Value::Bool(_) => {
            args.none(name)?;
            let number = value.int().unwrap_or(0);
            Ok(Value::Int(match name {
                "bit_length" => (128 - number.unsigned_abs().leading_zeros()).into(),
                "bit_count" => number.unsigned_abs().count_ones().into(),
                _ => number,
            }))
        }
        Value::Float(number) => {
            args.none(name)?;
            Ok(if name == "is_integer" { Value::Bool(number.fract() == 0.0) } else { value.clone() })
        }
        Value::Object(object) => match (&**object, name) {
            (Object::Loop(state), "cycle") => match args.positional.len() {
                0 => failed("loop.cycle was given nothing to choose from"),
                count => Ok(args.positional[state.index.get() % count].clone()),
            },
            (Object::Loop(state), _) => {
                let mut last = state.changed.borrow_mut();
                let same = last.as_ref().is_some_and(|last| {
                    last.len() == args.positional.len()
                        && last.iter().zip(&args.positional).all(|(a, b)| a.equals(b))
                });
                *last = Some(args.positional.clone());
                Ok(Value::Bool(!same))
            }
            (Object::Cycler(items, at), "next") => {
                args.none("next")?;
                let item = items[at.get()].clone();
                at.set((at.get() + 1) % items.len());
                Ok(item)
            }
            (Object::Cycler(_, at), _) => {
                at.set(0);
                Ok(Value::None)
            }
            _ => unavailable(format!("the method {name} of {}", value.type_name())),
        },
        Value::Undefined(why) => failed(&**why),
        Value::None => failed(format!("None has no method {name}")),
    }
}

fn sequence(run: &Run<'_>, value: &Value, name: &str, args: &Args) -> Outcome<Value> {
    if name == "copy" {
        return args.none(name).map(|()| value.clone());
    }
    let [item, start, stop] = args.bind(name, ["", "", ""], 1)?;
    let item = item.unwrap_or(Value::None);
    let items = super::sequences::items(run, value)?;
    if name == "count" {
        return Ok(items.iter().filter(|one| one.equals(&item)).count().into());
    }
    let place = |bound: i128| (if bound < 0 { bound + items.len() as i128 } else { bound }).max(0) as usize;
    let start = optional_int("index", start)?.map_or(0, place);
    let stop = optional_int("index", stop)?.map_or(items.len(), place).min(items.len());
    match (start..stop).find(|&at| items[at].equals(&item)) {
        Some(at) => Ok(at.into()),
        None => failed(format!("index: the {} has no such item", value.type_name())),
    }
}
