//! The filters that follow a bar.

mod lists;
mod texts;

use super::arguments::Args;
use super::display::display;
use super::error::{Outcome, failed, unavailable};
use super::functions::escape;
use super::run::Run;
use super::value::Value;
use super::{attributes, json};

const LISTS: [&str; 25] = [
    "attr",
    "batch",
    "count",
    "dictsort",
    "first",
    "items",
    "join",
    "last",
    "length",
    "list",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "reverse",
    "select",
    "selectattr",
    "slice",
    "sort",
    "sum",
    "unique",
    "groupby",
    "random",
    "xmlattr",
];
const TEXTS: [&str; 23] = [
    "abs",
    "capitalize",
    "center",
    "float",
    "format",
    "indent",
    "int",
    "lower",
    "replace",
    "round",
    "title",
    "trim",
    "truncate",
    "upper",
    "urlencode",
    "wordcount",
    "filesizeformat",
    "pprint",
    "striptags",
    "urlize",
    "wordwrap",
    "string",
    "tojson",
];
const OTHERS: [&str; 6] = ["d", "default", "e", "escape", "forceescape", "safe"];

/// Filters that `jinja2` has and Glass does not support.
const MISSING: [&str; 8] =
    ["filesizeformat", "groupby", "pprint", "random", "striptags", "urlize", "wordwrap", "xmlattr"];

pub fn is_known(name: &str) -> bool {
    LISTS.contains(&name) || TEXTS.contains(&name) || OTHERS.contains(&name)
}

/// `value | name(arguments)`.
pub fn filter(run: &Run<'_>, name: &str, value: &Value, args: &Args) -> Outcome<Value> {
    run.pay(1)?;
    if MISSING.contains(&name) {
        return unavailable(format!("the filter {name}"));
    }
    match name {
        "default" | "d" => {
            let [default, boolean] = args.bind(name, ["default_value", "boolean"], 0)?;
            let falls_back =
                value.is_undefined() || boolean.is_some_and(|flag| flag.is_true()) && !value.is_true();
            Ok(if falls_back { default.unwrap_or_else(|| Value::from("")) } else { value.clone() })
        }
        "safe" => {
            args.none(name)?;
            Ok(Value::Markup(display(value)?.into()))
        }
        "e" | "escape" | "forceescape" => {
            args.none(name)?;
            match value {
                Value::Markup(_) if name != "forceescape" => Ok(value.clone()),
                value => Ok(Value::Markup(escape(&display(value)?).into())),
            }
        }
        "string" => {
            args.none(name)?;
            if value.text().is_some() { Ok(value.clone()) } else { display(value).map(Value::from) }
        }
        "tojson" => json::tojson(run, value, args),
        "attr" => {
            let [attribute] = args.bind(name, ["name"], 1)?;
            attributes::static_attribute(
                run,
                value,
                attribute.as_ref().and_then(Value::text).unwrap_or_default(),
            )
        }
        _ if LISTS.contains(&name) => lists::filter(run, name, value, args),
        _ if TEXTS.contains(&name) => texts::filter(run, name, value, args),
        _ => failed(format!("there is no filter {name}")),
    }
}
