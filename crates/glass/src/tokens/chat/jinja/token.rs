//! The tokens of a template.

/// A token of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    Data(String),
    BlockBegin,
    BlockEnd,
    VariableBegin,
    VariableEnd,
    Name(String),
    Text(String),
    Int(i128),
    Float(f64),
    Operator(&'static str),
    End,
}
