//! The functions that every template can call.

use std::cell::{Cell, RefCell};

use super::arguments::{Args, int, text};
use super::error::{FaultKind, Outcome, failed, unavailable};
use super::eval::hashable;
use super::run::Run;
use super::sequences::items;
use super::value::{Dict, Object, Value};

/// The longest range in `jinja2`'s sandbox.
const LONGEST_RANGE: usize = 100_000;

/// The function with this name.
pub fn global(name: &str) -> Option<Value> {
    let name = [
        "range",
        "dict",
        "namespace",
        "cycler",
        "joiner",
        "lipsum",
        "raise_exception",
        "strftime_now",
        "self",
    ]
    .into_iter()
    .find(|known| *known == name)?;
    Some(Value::function(name))
}

pub fn call(run: &Run<'_>, name: &str, args: &Args) -> Outcome<Value> {
    match name {
        "range" => range(args),
        "dict" => Ok(Value::dict(pairs(run, name, args)?)),
        "namespace" => {
            let attributes = pairs(run, name, args)?;
            attributes.0.iter().try_for_each(|(name, _)| namespace_name(name.text().unwrap_or_default()))?;
            Ok(Value::object(Object::Namespace(RefCell::new(attributes))))
        }
        "cycler" if args.positional.is_empty() => failed("cycler was given nothing to choose from"),
        "cycler" => Ok(Value::object(Object::Cycler(args.positional.clone(), Cell::new(0)))),
        "joiner" => {
            let [separator] = args.bind(name, ["sep"], 0)?;
            let separator = separator.unwrap_or_else(|| Value::from(", "));
            Ok(Value::object(Object::Joiner(separator, Cell::new(false))))
        }
        "raise_exception" => {
            let [message] = args.bind(name, ["message"], 1)?;
            Err(FaultKind::Raised(super::display::display(&message.unwrap_or(Value::None))?))
        }
        "strftime_now" => {
            let [format] = args.bind(name, ["format"], 1)?;
            let format = text(name, &format.unwrap_or(Value::None))?;
            match &run.now {
                Some(now) => Ok(now.strftime(&format)?.into()),
                None => unavailable("strftime_now without a clock (Template::with_time gives one)"),
            }
        }
        _ => unavailable(format!("the function {name}")),
    }
}

fn range(args: &Args) -> Outcome<Value> {
    let bounds = args.bind("range", ["", "", ""], 1)?;
    let mut numbers = Vec::new();
    for bound in bounds.into_iter().flatten() {
        numbers.push(int("range", &bound)?);
    }
    let (start, stop, step) = match numbers[..] {
        [stop] => (0, stop, 1),
        [start, stop] => (start, stop, 1),
        [start, stop, step] => (start, stop, step),
        _ => return failed("range needs one to three numbers"),
    };
    if step == 0 {
        return failed("range was given a step of 0");
    }
    if [start, stop, step].iter().any(|number| number.unsigned_abs() > u128::from(u64::MAX)) {
        return unavailable("a range of numbers this large");
    }
    let range = Value::Range(start, stop, step);
    match range.len() {
        Some(length) if length <= LONGEST_RANGE => Ok(range),
        _ => failed(format!("a range of over {LONGEST_RANGE} numbers")),
    }
}

/// The arguments of Python's `dict`: a mapping, a list of pairs, or names with values.
fn pairs(run: &Run<'_>, function: &str, args: &Args) -> Outcome<Dict> {
    let mut dict = Dict::default();
    match &args.positional[..] {
        [] => {}
        [Value::Dict(pairs)] => dict = Dict::clone(pairs),
        [list] => {
            for pair in items(run, list)? {
                let pair = items(run, &pair)?;
                let [key, value] = &pair[..] else { return failed(format!("{function} needs pairs")) };
                dict.set(hashable(key.clone())?, value.clone());
            }
        }
        _ => return failed(format!("{function} takes at most one argument without a name")),
    }
    for (name, value) in &args.named {
        dict.set(Value::from(name.as_str()), value.clone());
    }
    Ok(dict)
}

/// `transformers` does not allow names with a leading underscore in namespaces.
pub fn namespace_name(name: &str) -> Outcome<()> {
    if name.starts_with('_') {
        return failed(format!("a namespace takes no name that begins with an underscore, as {name} does"));
    }
    Ok(())
}

/// A text with HTML's special characters escaped, as `markupsafe` escapes them.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&#39;"),
            '"' => escaped.push_str("&#34;"),
            c => escaped.push(c),
        }
    }
    escaped
}
