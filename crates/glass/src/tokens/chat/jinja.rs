//! Jinja, as `transformers` renders chat templates: `jinja2`'s language in its immutable sandbox, with Python's values.
//!
//! A template is cut into tokens (`lexer`), parsed into a tree (`parser`), its names are resolved (`scope`), and
//! the tree is run (`run`, `eval`). Where Python would raise an exception, an error is returned; features of
//! `jinja2` that are not supported are refused by name.

mod arguments;
mod ast;
mod attributes;
mod checks;
mod date;
mod display;
pub mod error;
mod eval;
mod filters;
mod format;
mod functions;
mod json;
pub mod lexer;
mod literal;
mod methods;
mod operators;
mod parser;
mod run;
mod scope;
mod sequences;
mod token;
mod unicode;
mod uses;
pub mod value;

pub use date::LocalTime;
use error::Fault;
use value::Value;

/// A compiled template.
pub struct Program {
    names: Vec<String>,
    root: ast::Body,
    loops: Vec<ast::Loop>,
    macros: Vec<ast::Macro>,
}

impl Program {
    pub fn compile(source: &str) -> Result<Program, Fault> {
        let mut program = parser::parse(source)?;
        uses::known(&program)?;
        scope::resolve(&mut program.root, &mut program.loops, &mut program.macros);
        Ok(program)
    }

    /// Renders the template with `variables`, at the time `now`.
    pub fn render(&self, variables: &[(&str, Value)], now: Option<LocalTime>) -> Result<String, Fault> {
        run::render(self, variables, now)
    }
}
