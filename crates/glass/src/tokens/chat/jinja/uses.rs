//! What a template uses: whether a macro reads `caller`, and unknown names of filters and tests.

use super::Program;
use super::ast::{Expr, Name, Statement, StatementKind, Target};
use super::error::Fault;
use super::scope::{each_part, names_of};
use super::{checks, filters};

/// Whether statements read a name before they set it, at any depth.
pub fn reads(program: &Program, body: &[Statement], name: Name) -> bool {
    let mut search = Search { program, name, found: false, set: false };
    search.statements(body);
    search.found
}

struct Search<'p> {
    program: &'p Program,
    name: Name,
    found: bool,
    set: bool,
}

impl Search<'_> {
    fn statements(&mut self, body: &[Statement]) {
        for statement in body {
            match &statement.kind {
                StatementKind::Text(_) | StatementKind::Break | StatementKind::Continue => {}
                StatementKind::Output(value) => self.value(value),
                StatementKind::Set(target, value) => {
                    // As in jinja2, the target of an assignment is visited first.
                    self.target(target);
                    self.value(value);
                }
                StatementKind::SetBlock { target, filter, body } => {
                    self.target(target);
                    filter.iter().for_each(|filter| self.value(filter));
                    self.statements(&body.body);
                }
                StatementKind::If { test, body, otherwise } => {
                    self.value(test);
                    self.statements(body);
                    self.statements(otherwise);
                }
                StatementKind::For(index) => {
                    let one = &self.program.loops[*index];
                    self.target(&one.target);
                    self.value(&one.iterable);
                    self.statements(&one.body.body);
                    self.statements(&one.otherwise.body);
                    one.test.iter().for_each(|test| self.value(test));
                }
                StatementKind::With { targets, body } => {
                    targets.iter().for_each(|(_, value)| self.value(value));
                    self.statements(&body.body);
                }
                StatementKind::Macro(index) => self.macro_body(*index),
                StatementKind::CallBlock(call, index) => {
                    self.value(call);
                    self.macro_body(*index);
                }
                StatementKind::FilterBlock(filter, body) => {
                    self.statements(&body.body);
                    self.value(filter);
                }
                StatementKind::Generation(body) => self.statements(&body.body),
            }
        }
    }

    fn macro_body(&mut self, index: usize) {
        let program = self.program;
        let one = &program.macros[index];
        one.defaults.iter().for_each(|value| self.value(value));
        self.statements(&one.body.body);
    }

    fn target(&mut self, target: &Target) {
        let mut names = Vec::new();
        names_of(target, &mut names);
        self.set |= !self.found && names.contains(&self.name);
    }

    fn value(&mut self, value: &Expr) {
        if matches!(value, Expr::Name(name) if *name == self.name) {
            self.found |= !self.set;
        }
        each_part(value, &mut |part| self.value(part));
    }
}

/// Refuses an unknown filter or test as `jinja2` does: at compile time, except directly inside an `if`, where it is
/// an error only when it is reached.
pub fn known(program: &Program) -> Result<(), Fault> {
    statements_known(program, &program.root.body, false)?;
    for one in &program.loops {
        statements_known(program, &one.body.body, false)?;
        statements_known(program, &one.otherwise.body, false)?;
        one.test.iter().try_for_each(|test| value_known(test, false))?;
    }
    for one in &program.macros {
        one.defaults.iter().try_for_each(|value| value_known(value, false))?;
        statements_known(program, &one.body.body, false)?;
    }
    Ok(())
}

fn statements_known(program: &Program, body: &[Statement], soft: bool) -> Result<(), Fault> {
    for statement in body {
        match &statement.kind {
            StatementKind::Text(_)
            | StatementKind::Break
            | StatementKind::Continue
            | StatementKind::Macro(_) => {}
            StatementKind::Output(value)
            | StatementKind::Set(_, value)
            | StatementKind::CallBlock(value, _) => value_known(value, soft)?,
            StatementKind::SetBlock { filter, body, .. } => {
                filter.iter().try_for_each(|filter| value_known(filter, false))?;
                statements_known(program, &body.body, false)?;
            }
            StatementKind::If { test, body, otherwise } => {
                value_known(test, true)?;
                statements_known(program, body, true)?;
                statements_known(program, otherwise, true)?;
            }
            StatementKind::For(index) => value_known(&program.loops[*index].iterable, soft)?,
            StatementKind::With { targets, body } => {
                targets.iter().try_for_each(|(_, value)| value_known(value, soft))?;
                statements_known(program, &body.body, false)?;
            }
            StatementKind::FilterBlock(filter, body) => {
                value_known(filter, false)?;
                statements_known(program, &body.body, false)?;
            }
            StatementKind::Generation(body) => statements_known(program, &body.body, false)?,
        }
    }
    Ok(())
}

fn value_known(value: &Expr, soft: bool) -> Result<(), Fault> {
    match value {
        Expr::Filter { name, line, .. } if !soft && !filters::is_known(name) => {
            return Err(Fault::syntax(*line, format!("there is no filter {name}")));
        }
        Expr::Test { name, line, .. } if !soft && !checks::is_known(name) => {
            return Err(Fault::syntax(*line, format!("there is no test {name}")));
        }
        _ => {}
    }
    let soft = soft || matches!(value, Expr::Choice { .. });
    let mut result = Ok(());
    each_part(value, &mut |part| {
        if result.is_ok() {
            result = value_known(part, soft);
        }
    });
    result
}
