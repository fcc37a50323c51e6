//! Statements, run one after another.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::arguments::Args;
use super::ast::{Body, Loop, Macro, Name, Statement, StatementKind, Target};
use super::display::display;
use super::error::{Fault, FaultKind, Outcome, failed, unavailable};
use super::functions;
use super::scope::Scope;
use super::sequences::items;
use super::value::{LoopState, Object, Value};
use super::{LocalTime, Program};

/// The limit on the work of one rendering: a step costs one, 64 bytes of text cost one. A real conversation needs
/// thousands; this stops a template that never ends, or doubles a string until memory is full.
const FUEL: u64 = 4_000_000;

/// The deepest recursion of macros and loops.
const DEEPEST_CALL: usize = 60;

/// One rendering.
pub struct Run<'p> {
    pub program: &'p Program,
    pub now: Option<LocalTime>,
    variables: &'p [(&'p str, Value)],
    fuel: Cell<u64>,
    pub line: Cell<u32>,
    depth: Cell<usize>,
}

pub enum Flow {
    Next,
    Break,
    Continue,
}

pub fn render(
    program: &Program,
    variables: &[(&str, Value)],
    now: Option<LocalTime>,
) -> Result<String, Fault> {
    let (fuel, line, depth) = (Cell::new(FUEL), Cell::new(1), Cell::new(0));
    let run = Run { program, now, variables, fuel, line, depth };
    let mut out = String::new();
    let scope = Scope::new(&program.root.unset, None);
    match run.statements(&program.root.body, &scope, &mut out) {
        Ok(_) => Ok(out),
        Err(kind) => Err(Fault { line: run.line.get(), kind }),
    }
}

impl Run<'_> {
    /// Accounts for work, or ends the rendering if the limit is reached.
    pub fn pay(&self, cost: u64) -> Outcome<()> {
        let left = self.fuel.get().checked_sub(cost).ok_or(FaultKind::OutOfFuel)?;
        self.fuel.set(left);
        Ok(())
    }

    /// Accounts for a string that was made.
    pub fn pay_text(&self, bytes: usize) -> Outcome<()> {
        self.pay(bytes as u64 / 64)
    }

    pub fn name(&self, name: Name) -> &str {
        &self.program.names[name as usize]
    }

    /// The value of a name: a variable, a value from the caller, or a function of the environment.
    pub fn variable(&self, name: Name, scope: &Scope) -> Value {
        let text = self.name(name);
        let undefined = || Value::undefined(format!("'{text}' is undefined"));
        match scope.get(name) {
            Some(value) => value.unwrap_or_else(undefined),
            None => match self.variables.iter().find(|(known, _)| *known == text) {
                Some((_, value)) => value.clone(),
                None => functions::global(text).unwrap_or_else(undefined),
            },
        }
    }

    pub fn statements(&self, body: &[Statement], scope: &Rc<Scope>, out: &mut String) -> Outcome<Flow> {
        for statement in body {
            self.line.set(statement.line);
            self.pay(1)?;
            match self.statement(statement, scope, out)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&self, statement: &Statement, scope: &Rc<Scope>, out: &mut String) -> Outcome<Flow> {
        match &statement.kind {
            StatementKind::Text(text) => self.write(text, out)?,
            StatementKind::Output(value) => self.write(&display(&self.eval(value, scope)?)?, out)?,
            StatementKind::Set(target, value) => {
                let value = self.eval(value, scope)?;
                self.assign(target, value, scope)?;
            }
            StatementKind::SetBlock { target, filter, body } => {
                let mut text = Value::from(self.captured(body, scope)?);
                if let Some(filter) = filter {
                    text = self.filter_text(filter, text, scope)?;
                }
                self.assign(target, text, scope)?;
            }
            StatementKind::If { test, body, otherwise } => {
                let body = if self.eval(test, scope)?.is_true() { body } else { otherwise };
                return self.statements(body, scope, out);
            }
            StatementKind::For(index) => return self.for_loop(*index, scope, out),
            StatementKind::With { targets, body } => {
                let inner = Scope::new(&body.unset, Some(scope.clone()));
                for (target, value) in targets {
                    let value = self.eval(value, scope)?;
                    self.assign(target, value, &inner)?;
                }
                return self.statements(&body.body, &inner, out);
            }
            StatementKind::Macro(index) => {
                let one = &self.program.macros[*index];
                let value = Value::object(Object::Macro(*index, scope.clone()));
                one.name.into_iter().for_each(|name| scope.set(name, value.clone()));
            }
            StatementKind::CallBlock(call, index) => {
                let caller = Value::object(Object::Macro(*index, scope.clone()));
                let value = self.call_with(call, Some(caller), scope)?;
                self.write(&display(&value)?, out)?;
            }
            StatementKind::FilterBlock(filter, body) => {
                let text = Value::from(self.captured(body, scope)?);
                self.write(&display(&self.filter_text(filter, text, scope)?)?, out)?;
            }
            StatementKind::Generation(body) => {
                let text = self.captured(body, scope)?;
                self.write(&text, out)?;
            }
            StatementKind::Break => return Ok(Flow::Break),
            StatementKind::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn write(&self, text: &str, out: &mut String) -> Outcome<()> {
        self.pay_text(text.len())?;
        out.push_str(text);
        Ok(())
    }

    /// The text written by a block with its own scope.
    fn captured(&self, block: &Body, scope: &Rc<Scope>) -> Outcome<String> {
        let mut text = String::new();
        let inner = Scope::new(&block.unset, Some(scope.clone()));
        self.statements(&block.body, &inner, &mut text)?;
        Ok(text)
    }

    fn assign(&self, target: &Target, value: Value, scope: &Rc<Scope>) -> Outcome<()> {
        match target {
            Target::Name(name) => scope.set(*name, value),
            Target::Tuple(targets) => {
                let values = items(self, &value)?;
                if values.len() != targets.len() {
                    return failed(format!(
                        "{} values cannot be set to {} names",
                        values.len(),
                        targets.len()
                    ));
                }
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value, scope)?;
                }
            }
            Target::Attribute(name, attribute) => {
                let Value::Object(object) = self.variable(*name, scope) else {
                    return failed(format!(
                        "{} is not a namespace, so {0}.{attribute} cannot be set",
                        self.name(*name)
                    ));
                };
                let Object::Namespace(attributes) = &*object else {
                    return failed(format!(
                        "{} is not a namespace, so {0}.{attribute} cannot be set",
                        self.name(*name)
                    ));
                };
                functions::namespace_name(attribute)?;
                attributes.borrow_mut().set(Value::from(attribute.as_str()), value);
            }
        }
        Ok(())
    }

    fn for_loop(&self, index: usize, scope: &Rc<Scope>, out: &mut String) -> Outcome<Flow> {
        let source = self.eval(&self.program.loops[index].iterable, scope)?;
        self.loop_over(index, &source, 0, scope, out)?;
        Ok(Flow::Next)
    }

    /// Runs a loop over the items of `source`.
    pub fn loop_over(
        &self,
        index: usize,
        source: &Value,
        depth: usize,
        scope: &Rc<Scope>,
        out: &mut String,
    ) -> Outcome<()> {
        let one: &Loop = &self.program.loops[index];
        let state = Rc::new(Object::Loop(LoopState {
            waiting: RefCell::new(items(self, source)?.into()),
            read: RefCell::default(),
            index: Cell::new(0),
            depth,
            changed: RefCell::default(),
            which: index,
            scope: scope.clone(),
        }));
        let Object::Loop(loop_state) = &*state else { return Ok(()) };
        let loop_name = self.program.names.iter().position(|name| name == "loop").map(|at| at as Name);
        // As in jinja2, an iteration that is left early does not count for the else branch.
        let mut completed = false;
        while let Some(item) = self.loop_item(loop_state, loop_state.index.get())? {
            self.pay(1)?;
            let inner = Scope::new(&one.body.unset, Some(scope.clone()));
            self.assign(&one.target, item, &inner)?;
            loop_name.into_iter().for_each(|name| inner.set(name, Value::Object(state.clone())));
            match self.statements(&one.body.body, &inner, out)? {
                Flow::Next => completed = true,
                Flow::Continue => {}
                Flow::Break => {
                    self.put_back(source, loop_state);
                    break;
                }
            }
            loop_state.index.set(loop_state.index.get() + 1);
        }
        if !completed {
            let inner = Scope::new(&one.otherwise.unset, Some(scope.clone()));
            self.statements(&one.otherwise.body, &inner, out)?;
        }
        Ok(())
    }

    /// Item `index` of a loop, if there is one. Items are tested only when needed, so a test may read what the body
    /// has set.
    pub fn loop_item(&self, state: &LoopState, index: usize) -> Outcome<Option<Value>> {
        let one = &self.program.loops[state.which];
        while state.read.borrow().len() <= index {
            let Some(item) = state.waiting.borrow_mut().pop_front() else { return Ok(None) };
            self.pay(1)?;
            if let Some(test) = &one.test {
                let inner = Scope::new(&[], Some(state.scope.clone()));
                self.assign(&one.target, item.clone(), &inner)?;
                if !self.eval(test, &inner)?.is_true() {
                    continue;
                }
            }
            state.read.borrow_mut().push(item);
        }
        Ok(state.read.borrow().get(index).cloned())
    }

    /// Puts the items that an abandoned loop did not read back into the iterator.
    fn put_back(&self, source: &Value, state: &LoopState) {
        if let Value::Object(object) = source
            && let Object::Iterator(pending) = &**object
        {
            pending.borrow_mut().items.append(&mut state.waiting.borrow_mut());
        }
    }

    /// Calls a macro.
    pub fn call_macro(&self, index: usize, around: &Rc<Scope>, mut arguments: Args) -> Outcome<Value> {
        let one: &Macro = &self.program.macros[index];
        let title = one.name.map_or("caller", |name| self.name(name));
        let scope = Scope::new(&one.body.unset, Some(around.clone()));
        let count = one.parameters.len();
        let extra = arguments.positional.split_off(count.min(arguments.positional.len()));
        let given = arguments.positional.len();
        let mut values: Vec<Option<Value>> = arguments.positional.into_iter().map(Some).collect();
        let mut named = arguments.named;
        let mut take =
            |name: &str| named.iter().position(|(known, _)| known == name).map(|at| named.remove(at).1);
        for &parameter in &one.parameters[given..] {
            values.push(take(self.name(parameter)));
        }
        let special =
            |name: &str| self.program.names.iter().position(|known| known == name).map(|at| at as Name);
        let explicit = one.parameters.iter().any(|&name| self.name(name) == "caller");
        if one.uses_caller
            && !explicit
            && let Some(name) = special("caller")
        {
            let caller = take("caller").filter(|caller| !matches!(caller, Value::None));
            scope.set(name, caller.unwrap_or_else(|| Value::undefined("No caller defined")));
        }
        if one.uses_kwargs
            && let Some(name) = special("kwargs")
        {
            let pairs = named.drain(..).map(|(name, value)| (Value::from(name), value)).collect();
            scope.set(name, Value::dict(super::value::Dict(pairs)));
        }
        if let Some((name, _)) = named.first() {
            return failed(format!("the macro {title} takes no argument {name}"));
        }
        if one.uses_varargs
            && let Some(name) = special("varargs")
        {
            scope.set(name, Value::tuple(extra));
        } else if !extra.is_empty() {
            return failed(format!("the macro {title} takes at most {count} arguments"));
        }
        self.enter(|| {
            let first_default = count - one.defaults.len();
            for (at, (&parameter, value)) in one.parameters.iter().zip(values).enumerate() {
                let value = match value {
                    Some(value) => value,
                    None if at >= first_default => self.eval(&one.defaults[at - first_default], &scope)?,
                    None => {
                        Value::undefined(format!("parameter '{}' was not provided", self.name(parameter)))
                    }
                };
                scope.set(parameter, value);
            }
            let line = self.line.get();
            let mut text = String::new();
            self.statements(&one.body.body, &scope, &mut text)?;
            self.line.set(line);
            Ok(Value::from(text))
        })
    }

    /// Enters a call, up to a limit of depth.
    pub fn enter<T>(&self, call: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        if self.depth.get() >= DEEPEST_CALL {
            return unavailable(format!("a macro that calls itself over {DEEPEST_CALL} deep"));
        }
        self.depth.set(self.depth.get() + 1);
        let result = call();
        self.depth.set(self.depth.get() - 1);
        result
    }
}
