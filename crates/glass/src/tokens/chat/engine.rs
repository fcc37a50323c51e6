//! The Jinja engine, set up to behave as `transformers` sets up Python's: the same whitespace rules, the same extra names.

use super::{json, python, refused};
use crate::Error;
use minijinja::{Environment, ErrorKind, Value};
use std::error::Error as _;
use std::fmt;

/// The template's name inside its engine.
pub(super) const NAME: &str = "chat template";

/// What one rendering may cost: an instruction is one, 64 bytes of text are one. A real conversation needs thousands; a
/// template that never ends, or doubles a string until memory is gone, stops here.
const FUEL: u64 = 4_000_000;

/// An environment that holds the one template.
///
/// Known beside Jinja's own: Python's string and dictionary methods, `raise_exception`, Python's `tojson`, `namespace`,
/// `break` and `continue`; `generation` tags are accepted and change nothing. `strftime_now` is left undefined, because
/// the library never reads the clock: templates that ask whether it is there take their fallback.
pub(super) fn compile(source: &str) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    let mut whitespace = environment.syntax().to_builder();
    environment.set_syntax(whitespace.trim_blocks(true).lstrip_blocks(true).build().map_err(sentence)?);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(python::method);
    environment.set_fuel(Some(FUEL));
    environment.add_function("raise_exception", raise_exception);
    environment.add_filter("tojson", json::tojson);
    environment.add_filter("trim", python::trim);
    let source = without_generation_tags(&source.replace("\r\n", "\n").replace('\r', "\n"));
    environment.add_template_owned(NAME, source).map_err(sentence)?;
    Ok(environment)
}

/// `{% generation %} … {% endgeneration %}` marks what the assistant says; to any other reader it is a block that is
/// always shown.
fn without_generation_tags(source: &str) -> String {
    let mut plain = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        plain.push_str(before);
        let Some(length) = tag.find("%}").map(|end| end + 2) else { break };
        let (tag, after) = tag.split_at(length);
        let name = tag[2..length - 2].trim_matches(['-', '+']).trim();
        match name {
            "generation" => plain.push_str(&tag.replacen(name, "if true", 1)),
            "endgeneration" => plain.push_str(&tag.replacen(name, "endif", 1)),
            _ => plain.push_str(tag),
        }
        rest = after;
    }
    let at = rest.find("{%").unwrap_or(0);
    plain.push_str(&rest[at..]);
    plain
}

/// What a template says when it refuses a conversation.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

fn raise_exception(message: String) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, "raised").with_source(Raised(message)))
}

/// The engine's error as a sentence: the template's own words if it raised them, else the line and what is wrong there.
pub(super) fn sentence(error: minijinja::Error) -> Error {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(Raised(message)) = inner.downcast_ref() {
            return refused(format!("the chat template refuses this conversation: {message}"));
        }
        cause = inner.source();
    }
    let what = match error.line() {
        Some(line) => format!("{NAME}, line {line}"),
        None => NAME.to_string(),
    };
    let detail = error.detail().unwrap_or_default();
    match error.kind() {
        ErrorKind::OutOfFuel => {
            Error::invalid(what, "it runs far longer than any conversation needs; it is not run on")
        }
        ErrorKind::UnknownFunction if detail.contains("strftime_now") => Error::invalid(
            what,
            "it asks for today's date (strftime_now), which is not given: write a date there instead",
        ),
        kind if detail.is_empty() => Error::invalid(what, kind),
        kind => Error::invalid(what, format!("{kind}: {detail}")),
    }
}
