//! `value.name` and `value[index]`. A dot looks for a method first and an item second, brackets for an item first;
//! if neither is found, the result is undefined.

use super::error::{Outcome, failed};
use super::eval::hashable;
use super::methods;
use super::run::Run;
use super::sequences::at;
use super::value::{LoopState, Object, Value};

/// `value.name`.
pub fn attribute(run: &Run<'_>, value: &Value, name: &str) -> Outcome<Value> {
    if let Value::Undefined(why) = value {
        return failed(&**why);
    }
    if let Some(found) = own_attribute(run, value, name)? {
        return Ok(found);
    }
    match value {
        Value::Dict(pairs) if !is_internal(name) => {
            Ok(pairs.get_text(name).cloned().unwrap_or_else(|| missing(value, name)))
        }
        _ => Ok(missing(value, name)),
    }
}

/// `value[index]`.
pub fn item(run: &Run<'_>, value: &Value, index: &Value) -> Outcome<Value> {
    if let Value::Undefined(why) = value {
        return failed(&**why);
    }
    let found = match value {
        Value::Dict(pairs) => match hashable(index.clone()) {
            Ok(key) => pairs.get(&key).cloned(),
            Err(_) => None,
        },
        _ => index.int().and_then(|index| at(value, index)),
    };
    if let Some(found) = found {
        return Ok(found);
    }
    if let Some(name) = index.text() {
        return Ok(own_attribute(run, value, name)?.unwrap_or_else(|| missing(value, name)));
    }
    let what = super::display::repr(index, 0).unwrap_or_else(|_| index.type_name().to_string());
    Ok(Value::undefined(format!("{} has no element {what}", value.type_name())))
}

/// The filter `attr`: `value.name` without looking at items.
pub fn static_attribute(run: &Run<'_>, value: &Value, name: &str) -> Outcome<Value> {
    match value {
        Value::Undefined(why) => failed(&**why),
        _ => Ok(own_attribute(run, value, name)?.unwrap_or_else(|| missing(value, name))),
    }
}

fn missing(value: &Value, name: &str) -> Value {
    Value::undefined(format!("'{}' has no attribute '{name}'", value.type_name()))
}

/// Attributes of Python's own objects, which the sandbox hides.
fn is_internal(name: &str) -> bool {
    name.starts_with("__") && name.ends_with("__")
}

/// What Python's `getattr` finds.
fn own_attribute(run: &Run<'_>, value: &Value, name: &str) -> Outcome<Option<Value>> {
    if let Value::Object(object) = value {
        match &**object {
            Object::Namespace(attributes) => return Ok(attributes.borrow().get_text(name).cloned()),
            Object::Loop(state) => {
                if let Some(found) = loop_attribute(run, state, name)? {
                    return Ok(Some(found));
                }
            }
            Object::Cycler(items, at) if name == "current" => return Ok(items.get(at.get()).cloned()),
            Object::Joiner(_, used) if name == "used" => return Ok(Some(Value::Bool(used.get()))),
            Object::Joiner(separator, _) if name == "sep" => return Ok(Some(separator.clone())),
            Object::Macro(index, _) => return Ok(macro_attribute(run, *index, name)),
            _ => {}
        }
    }
    Ok(methods::exists(value, name).then(|| Value::object(Object::Method(value.clone(), name.into()))))
}

fn loop_attribute(run: &Run<'_>, state: &LoopState, name: &str) -> Outcome<Option<Value>> {
    let index = state.index.get();
    let length = |run: &Run<'_>| -> Outcome<usize> {
        run.loop_item(state, usize::MAX)?;
        Ok(state.read.borrow().len())
    };
    Ok(Some(match name {
        "index" => (index + 1).into(),
        "index0" => index.into(),
        "first" => Value::Bool(index == 0),
        "last" => Value::Bool(run.loop_item(state, index + 1)?.is_none()),
        "length" => length(run)?.into(),
        "revindex" => (length(run)? - index).into(),
        "revindex0" => (length(run)? - index - 1).into(),
        "depth" => (state.depth + 1).into(),
        "depth0" => state.depth.into(),
        "previtem" if index == 0 => Value::undefined("there is no previous item"),
        "previtem" => state.read.borrow()[index - 1].clone(),
        "nextitem" => match run.loop_item(state, index + 1)? {
            Some(item) => item,
            None => Value::undefined("there is no next item"),
        },
        _ => return Ok(None),
    }))
}

fn macro_attribute(run: &Run<'_>, index: usize, name: &str) -> Option<Value> {
    let one = &run.program.macros[index];
    Some(match name {
        "name" => one.name.map_or(Value::None, |name| run.name(name).into()),
        "arguments" => Value::tuple(one.parameters.iter().map(|&name| run.name(name).into()).collect()),
        "catch_kwargs" => Value::Bool(one.uses_kwargs),
        "catch_varargs" => Value::Bool(one.uses_varargs),
        "caller" => Value::Bool(one.uses_caller),
        "explicit_caller" => Value::Bool(one.parameters.iter().any(|&name| run.name(name) == "caller")),
        _ => return None,
    })
}
