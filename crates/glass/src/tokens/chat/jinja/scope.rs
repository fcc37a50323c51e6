//! Resolves names. `jinja2` does this when it compiles: if a scope sets a name before it reads it, and no outer
//! scope knows the name, the name is undefined at first, even if the caller passes a variable with that name. Here
//! those names are found once ([`Body::unset`]), and the rest is a chain of scopes.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use super::ast::{Arguments, Body, Expr, Loop, Macro, Name, Statement, StatementKind, Target};
use super::value::Value;

/// The variables of one scope, and the scope around it.
pub struct Scope {
    variables: RefCell<Vec<(Name, Option<Value>)>>,
    parent: Option<Rc<Scope>>,
}

impl Scope {
    pub fn new(unset: &[Name], parent: Option<Rc<Scope>>) -> Rc<Scope> {
        let variables = RefCell::new(unset.iter().map(|&name| (name, None)).collect());
        Rc::new(Scope { variables, parent })
    }

    pub fn set(&self, name: Name, value: Value) {
        let mut variables = self.variables.borrow_mut();
        match variables.iter_mut().find(|(known, _)| *known == name) {
            Some((_, place)) => *place = Some(value),
            None => variables.push((name, Some(value))),
        }
    }

    /// The value of a name; `Some(None)` if it is known here but undefined, `None` if no scope knows it.
    pub fn get(&self, name: Name) -> Option<Option<Value>> {
        let here =
            self.variables.borrow().iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        here.or_else(|| self.parent.as_ref().and_then(|parent| parent.get(name)))
    }
}

/// How a scope uses names, in the order of its text.
#[derive(Clone, Default)]
struct Symbols {
    /// Names that are read or set.
    known: HashSet<Name>,
    /// Names that this scope sets before it reads them.
    unset: HashSet<Name>,
}

/// Fills in [`Body::unset`] of a whole template.
pub fn resolve(root: &mut Body, loops: &mut [Loop], macros: &mut [Macro]) {
    Resolver { loops, macros }.block(root, &[], &[]);
}

struct Resolver<'p> {
    loops: &'p mut [Loop],
    macros: &'p mut [Macro],
}

impl Resolver<'_> {
    /// `around` are the names known to the enclosing scopes.
    fn block(&mut self, block: &mut Body, parameters: &[Name], around: &[HashSet<Name>]) {
        let mut symbols = Symbols::default();
        for &name in parameters {
            symbols.known.insert(name);
        }
        let outer = |name: Name| around.iter().any(|known| known.contains(&name));
        self.statements(&block.body, &mut symbols, &outer);
        block.unset = symbols.unset.into_iter().collect();
        block.unset.sort_unstable();
        let mut inner = around.to_vec();
        inner.push(symbols.known);
        self.inside(&mut block.body, &inner);
    }

    /// The scopes within statements.
    fn inside(&mut self, statements: &mut [Statement], around: &[HashSet<Name>]) {
        for statement in statements {
            match &mut statement.kind {
                StatementKind::If { body, otherwise, .. } => {
                    self.inside(body, around);
                    self.inside(otherwise, around);
                }
                StatementKind::SetBlock { body, .. }
                | StatementKind::FilterBlock(_, body)
                | StatementKind::Generation(body) => {
                    self.block(body, &[], around);
                }
                StatementKind::With { targets, body } => {
                    let mut names = Vec::new();
                    targets.iter().for_each(|(target, _)| names_of(target, &mut names));
                    self.block(body, &names, around);
                }
                StatementKind::For(index) => {
                    let one = &mut self.loops[*index];
                    let (mut body, mut otherwise) =
                        (std::mem::take(&mut one.body), std::mem::take(&mut one.otherwise));
                    let mut names = Vec::new();
                    names_of(&one.target, &mut names);
                    self.block(&mut body, &names, around);
                    self.block(&mut otherwise, &[], around);
                    (self.loops[*index].body, self.loops[*index].otherwise) = (body, otherwise);
                }
                StatementKind::Macro(index) | StatementKind::CallBlock(_, index) => {
                    let mut body = std::mem::take(&mut self.macros[*index].body);
                    let parameters = self.macros[*index].parameters.clone();
                    self.block(&mut body, &parameters, around);
                    self.macros[*index].body = body;
                }
                _ => {}
            }
        }
    }

    /// The names that statements read and set in their own scope; nested scopes are skipped.
    fn statements(&self, statements: &[Statement], symbols: &mut Symbols, outer: &dyn Fn(Name) -> bool) {
        for statement in statements {
            match &statement.kind {
                StatementKind::Output(value) => load(value, symbols),
                StatementKind::Set(target, value) => {
                    load(value, symbols);
                    store(target, symbols, outer);
                }
                StatementKind::SetBlock { target, .. } => store(target, symbols, outer),
                StatementKind::If { test, body, otherwise } => {
                    load(test, symbols);
                    let mut branches = [symbols.clone(), symbols.clone()];
                    self.statements(body, &mut branches[0], outer);
                    self.statements(otherwise, &mut branches[1], outer);
                    for branch in branches {
                        // A name set in only one branch is looked up if the other branch was taken, so it is not
                        // unset.
                        symbols.known.extend(&branch.known);
                    }
                }
                StatementKind::For(index) => load(&self.loops[*index].iterable, symbols),
                StatementKind::With { targets, .. } => {
                    targets.iter().for_each(|(_, value)| load(value, symbols))
                }
                StatementKind::Macro(index) => {
                    self.macros[*index].name.into_iter().for_each(|name| store_name(name, symbols, outer));
                }
                StatementKind::CallBlock(call, _) => load(call, symbols),
                StatementKind::FilterBlock(filter, _) => load(filter, symbols),
                StatementKind::Text(_)
                | StatementKind::Generation(_)
                | StatementKind::Break
                | StatementKind::Continue => {}
            }
        }
    }
}

fn store_name(name: Name, symbols: &mut Symbols, outer: &dyn Fn(Name) -> bool) {
    if symbols.known.insert(name) && !outer(name) {
        symbols.unset.insert(name);
    }
}

fn store(target: &Target, symbols: &mut Symbols, outer: &dyn Fn(Name) -> bool) {
    match target {
        Target::Name(name) => store_name(*name, symbols, outer),
        Target::Tuple(targets) => targets.iter().for_each(|target| store(target, symbols, outer)),
        Target::Attribute(name, _) => _ = symbols.known.insert(*name),
    }
}

fn load(value: &Expr, symbols: &mut Symbols) {
    each_name(value, &mut |name| _ = symbols.known.insert(name));
}

/// The names that a target sets.
pub fn names_of(target: &Target, names: &mut Vec<Name>) {
    match target {
        Target::Name(name) => names.push(*name),
        Target::Tuple(targets) => targets.iter().for_each(|target| names_of(target, names)),
        Target::Attribute(..) => {}
    }
}

/// Every name that an expression reads.
pub fn each_name(value: &Expr, each: &mut dyn FnMut(Name)) {
    if let Expr::Name(name) = value {
        each(*name);
    }
    each_part(value, &mut |part| each_name(part, each));
}

/// The direct subexpressions of an expression.
pub fn each_part(value: &Expr, each: &mut dyn FnMut(&Expr)) {
    let mut of_arguments = |arguments: &Arguments| {
        arguments.positional.iter().for_each(&mut *each);
        arguments.named.iter().for_each(|(_, value)| each(value));
        arguments.spread.iter().chain(&arguments.spread_named).for_each(|value| each(value));
    };
    match value {
        Expr::Const(_) | Expr::Name(_) => {}
        Expr::List(items) | Expr::Tuple(items) | Expr::Concat(items) => items.iter().for_each(each),
        Expr::Dict(pairs) => {
            pairs.iter().for_each(|(key, value)| [key, value].into_iter().for_each(&mut *each))
        }
        Expr::Negative(a) | Expr::Positive(a) | Expr::Not(a) | Expr::Attribute(a, _) => each(a),
        Expr::And(a, b) | Expr::Or(a, b) | Expr::Binary(_, a, b) | Expr::Item(a, b) => {
            [a, b].into_iter().for_each(|part| each(part));
        }
        Expr::Compare(first, rest) => {
            each(first);
            rest.iter().for_each(|(_, part)| each(part));
        }
        Expr::Choice { test, then, otherwise } => {
            [test, then].into_iter().chain(otherwise).for_each(|part| each(part));
        }
        Expr::Slice(value, bounds) => {
            each(value);
            bounds.iter().flatten().for_each(|bound| each(bound));
        }
        Expr::Call(function, arguments, _) => {
            of_arguments(arguments);
            each(function);
        }
        Expr::Test { value, arguments, .. } => {
            of_arguments(arguments);
            each(value);
        }
        Expr::Filter { value, arguments, .. } => {
            of_arguments(arguments);
            value.iter().for_each(|value| each(value));
        }
    }
}
