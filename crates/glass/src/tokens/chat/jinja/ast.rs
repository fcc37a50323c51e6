//! The syntax tree of a template.

use super::value::Value;

/// A name, as its index in [`Program::names`](super::Program).
pub type Name = u32;

/// A constant of a template. Unlike a [`Value`] it may be shared between threads.
#[derive(Debug, Clone)]
pub enum Const {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
}

impl From<&Const> for Value {
    fn from(constant: &Const) -> Value {
        match constant {
            Const::None => Value::None,
            Const::Bool(flag) => Value::Bool(*flag),
            Const::Int(number) => Value::Int(*number),
            Const::Float(number) => Value::Float(*number),
            Const::Text(text) => Value::from(text.as_str()),
        }
    }
}

#[derive(Debug)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}

#[derive(Debug, Clone, Copy)]
pub enum Compare {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    NotIn,
}

/// The arguments of a call, a filter or a test.
#[derive(Debug, Default)]
pub struct Arguments {
    pub positional: Vec<Expr>,
    pub named: Vec<(String, Expr)>,
    pub spread: Option<Box<Expr>>,
    pub spread_named: Option<Box<Expr>>,
}

#[derive(Debug)]
pub enum Expr {
    Const(Const),
    Name(Name),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Negative(Box<Expr>),
    Positive(Box<Expr>),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    Concat(Vec<Expr>),
    Compare(Box<Expr>, Vec<(Compare, Expr)>),
    /// `then if test else otherwise`.
    Choice {
        test: Box<Expr>,
        then: Box<Expr>,
        otherwise: Option<Box<Expr>>,
    },
    Attribute(Box<Expr>, String),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, [Option<Box<Expr>>; 3]),
    Call(Box<Expr>, Arguments, u32),
    /// A filter; without a value it is applied to the text of a block.
    Filter {
        value: Option<Box<Expr>>,
        name: String,
        arguments: Arguments,
        line: u32,
    },
    Test {
        value: Box<Expr>,
        name: String,
        arguments: Arguments,
        line: u32,
    },
}

/// The target of an assignment.
#[derive(Debug)]
pub enum Target {
    Name(Name),
    Tuple(Vec<Target>),
    /// An attribute of a namespace.
    Attribute(Name, String),
}

#[derive(Debug)]
pub struct Statement {
    pub line: u32,
    pub kind: StatementKind,
}

#[derive(Debug)]
pub enum StatementKind {
    Text(String),
    Output(Expr),
    Set(Target, Expr),
    /// `{% set x | filter %} … {% endset %}`.
    SetBlock {
        target: Target,
        filter: Option<Expr>,
        body: Body,
    },
    If {
        test: Expr,
        body: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
    /// A loop, in [`Program::loops`](super::Program).
    For(usize),
    With {
        targets: Vec<(Target, Expr)>,
        body: Body,
    },
    /// A macro, in [`Program::macros`](super::Program).
    Macro(usize),
    /// `{% call(arguments) f() %}`: the call, and its body as a macro without a name.
    CallBlock(Expr, usize),
    FilterBlock(Expr, Body),
    /// `{% generation %} … {% endgeneration %}`.
    Generation(Body),
    Break,
    Continue,
}

/// Statements with a scope of their own.
#[derive(Debug, Default)]
pub struct Body {
    pub body: Vec<Statement>,
    /// Names that are undefined at the start of this scope, whatever the caller passes, because the scope sets them
    /// before it reads them. Filled in by [`scope`](super::scope).
    pub unset: Vec<Name>,
}

#[derive(Debug)]
pub struct Loop {
    pub target: Target,
    pub iterable: Expr,
    pub test: Option<Expr>,
    pub recursive: bool,
    pub body: Body,
    pub otherwise: Body,
}

#[derive(Debug)]
pub struct Macro {
    pub name: Option<Name>,
    pub parameters: Vec<Name>,
    /// The defaults of the last parameters.
    pub defaults: Vec<Expr>,
    pub body: Body,
    pub uses_caller: bool,
    pub uses_kwargs: bool,
    pub uses_varargs: bool,
}
