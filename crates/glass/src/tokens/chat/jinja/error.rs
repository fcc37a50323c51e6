//! Why a template was not compiled or not rendered.

/// What is wrong, and on which line of the template.
#[derive(Debug, Clone)]
pub struct Fault {
    pub line: u32,
    pub kind: FaultKind,
}

#[derive(Debug, Clone)]
pub enum FaultKind {
    /// The template itself refuses the conversation, with this message.
    Raised(String),
    /// It cannot be compiled.
    Syntax(String),
    /// Python would raise an exception here.
    Failed(String),
    /// `jinja2` supports this, Glass does not.
    Unavailable(String),
    /// It runs much longer than any conversation needs.
    OutOfFuel,
}

impl Fault {
    pub fn syntax(line: u32, why: impl Into<String>) -> Fault {
        Fault { line, kind: FaultKind::Syntax(why.into()) }
    }
}

/// The kind of an error, before its line is known.
pub type Outcome<T> = Result<T, FaultKind>;

pub fn failed<T>(why: impl Into<String>) -> Outcome<T> {
    Err(FaultKind::Failed(why.into()))
}

pub fn unavailable<T>(what: impl Into<String>) -> Outcome<T> {
    Err(FaultKind::Unavailable(what.into()))
}
