//! Evaluates expressions.

use std::rc::Rc;

use super::arguments::Args;
use super::ast::{Arguments, Compare, Expr};
use super::attributes::{attribute, item};
use super::display::display;
use super::error::{FaultKind, Outcome, failed};
use super::operators::{binary, compare, contains, negative, positive};
use super::run::Run;
use super::scope::Scope;
use super::sequences::{items, slice};
use super::value::{Dict, Object, Value};
use super::{checks, filters, functions, methods};

impl Run<'_> {
    pub fn eval(&self, expr: &Expr, scope: &Rc<Scope>) -> Outcome<Value> {
        self.pay(1)?;
        Ok(match expr {
            Expr::Const(constant) => constant.into(),
            Expr::Name(name) => self.variable(*name, scope),
            Expr::List(items) => Value::list(self.all(items, scope)?),
            Expr::Tuple(items) => Value::tuple(self.all(items, scope)?),
            Expr::Dict(pairs) => {
                let mut dict = Dict::default();
                for (key, value) in pairs {
                    let (key, value) = (self.eval(key, scope)?, self.eval(value, scope)?);
                    dict.set(hashable(key)?, value);
                }
                Value::dict(dict)
            }
            Expr::Negative(value) => negative(&self.eval(value, scope)?)?,
            Expr::Positive(value) => positive(&self.eval(value, scope)?)?,
            Expr::Not(value) => Value::Bool(!self.eval(value, scope)?.is_true()),
            Expr::And(left, right) => {
                let left = self.eval(left, scope)?;
                if left.is_true() { self.eval(right, scope)? } else { left }
            }
            Expr::Or(left, right) => {
                let left = self.eval(left, scope)?;
                if left.is_true() { left } else { self.eval(right, scope)? }
            }
            Expr::Binary(operator, left, right) => {
                let (left, right) = (self.eval(left, scope)?, self.eval(right, scope)?);
                binary(self, operator, &left, &right)?
            }
            Expr::Concat(parts) => {
                let mut text = String::new();
                for part in parts {
                    text.push_str(&display(&self.eval(part, scope)?)?);
                }
                self.pay_text(text.len())?;
                Value::from(text)
            }
            Expr::Compare(first, rest) => self.comparison(first, rest, scope)?,
            Expr::Choice { test, then, otherwise } => match (self.eval(test, scope)?.is_true(), otherwise) {
                (true, _) => self.eval(then, scope)?,
                (false, Some(otherwise)) => self.eval(otherwise, scope)?,
                (false, None) => Value::undefined("the inline if-expression was false and has no else"),
            },
            Expr::Attribute(value, name) => attribute(self, &self.eval(value, scope)?, name)?,
            Expr::Item(value, index) => {
                let (value, index) = (self.eval(value, scope)?, self.eval(index, scope)?);
                item(self, &value, &index)?
            }
            Expr::Slice(value, bounds) => {
                let value = self.eval(value, scope)?;
                let mut ends = [None; 3];
                for (end, bound) in ends.iter_mut().zip(bounds) {
                    let bound = bound.as_ref().map(|bound| self.eval(bound, scope)).transpose()?;
                    *end = match bound {
                        None | Some(Value::None) => None,
                        Some(value) => match value.int() {
                            Some(number) => Some(number),
                            None => return failed("a slice's bounds are whole numbers or none"),
                        },
                    };
                }
                if let Value::Undefined(why) = &value {
                    return failed(&**why);
                }
                match slice(self, &value, ends)? {
                    Some(sliced) => sliced,
                    None => return failed(format!("{} cannot be sliced", value.type_name())),
                }
            }
            Expr::Call(_, _, line) => {
                let value = self.call_with(expr, None, scope)?;
                // The call may have changed the line.
                self.line.set((*line).max(1));
                value
            }
            Expr::Filter { value, name, arguments, line } => {
                let Some(value) = value else { return failed("a filter has nothing to filter") };
                let value = self.eval(value, scope)?;
                self.line.set(*line);
                self.filtered(name, &value, arguments, scope)?
            }
            Expr::Test { value, name, arguments, line } => {
                let value = self.eval(value, scope)?;
                self.line.set(*line);
                let arguments = self.arguments(arguments, scope)?;
                Value::Bool(checks::check(self, name, &value, &arguments)?)
            }
        })
    }

    fn all(&self, values: &[Expr], scope: &Rc<Scope>) -> Outcome<Vec<Value>> {
        values.iter().map(|value| self.eval(value, scope)).collect()
    }

    /// `a < b <= c`, chained as in Python.
    fn comparison(&self, first: &Expr, rest: &[(Compare, Expr)], scope: &Rc<Scope>) -> Outcome<Value> {
        let mut left = self.eval(first, scope)?;
        for (operator, right) in rest {
            let right = self.eval(right, scope)?;
            let holds = match operator {
                Compare::In => contains(self, &right, &left)?,
                Compare::NotIn => !contains(self, &right, &left)?,
                operator => compare(*operator, &left, &right)?,
            };
            if !holds {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    pub fn arguments(&self, arguments: &Arguments, scope: &Rc<Scope>) -> Outcome<Args> {
        let mut args = Args::positional(self.all(&arguments.positional, scope)?);
        for (name, value) in &arguments.named {
            args.named.push((name.clone(), self.eval(value, scope)?));
        }
        if let Some(spread) = &arguments.spread {
            args.positional.extend(items(self, &self.eval(spread, scope)?)?);
        }
        if let Some(spread) = &arguments.spread_named {
            let Value::Dict(pairs) = self.eval(spread, scope)? else { return failed("** needs a mapping") };
            for (key, value) in &pairs.0 {
                let Some(name) = key.text() else { return failed("** needs names that are texts") };
                if args.named.iter().any(|(known, _)| known == name) {
                    return failed(format!("the argument {name} is given twice"));
                }
                args.named.push((name.to_string(), value.clone()));
            }
        }
        Ok(args)
    }

    fn filtered(
        &self,
        name: &str,
        value: &Value,
        arguments: &Arguments,
        scope: &Rc<Scope>,
    ) -> Outcome<Value> {
        let arguments = self.arguments(arguments, scope)?;
        filters::filter(self, name, value, &arguments)
    }

    /// Applies the filters of a block to its text: the innermost filter has no value of its own.
    pub fn filter_text(&self, filter: &Expr, text: Value, scope: &Rc<Scope>) -> Outcome<Value> {
        let Expr::Filter { value, name, arguments, .. } = filter else {
            return failed("this is not a filter");
        };
        let text = match value {
            Some(inner) => self.filter_text(inner, text, scope)?,
            None => text,
        };
        self.filtered(name, &text, arguments, scope)
    }

    /// Runs a call, with a `caller` if it comes from a call block.
    pub fn call_with(&self, call: &Expr, caller: Option<Value>, scope: &Rc<Scope>) -> Outcome<Value> {
        let Expr::Call(function, arguments, line) = call else { return failed("this is not a call") };
        let function = self.eval(function, scope)?;
        let mut arguments = self.arguments(arguments, scope)?;
        arguments.named.extend(caller.map(|caller| ("caller".to_string(), caller)));
        self.line.set(*line);
        self.call(&function, arguments)
    }

    pub fn call(&self, function: &Value, arguments: Args) -> Outcome<Value> {
        self.pay(1)?;
        match function {
            Value::Undefined(why) => failed(&**why),
            Value::Object(object) => match &**object {
                Object::Macro(index, scope) => self.call_macro(*index, scope, arguments),
                Object::Method(receiver, name) => methods::call(self, receiver, name, &arguments),
                Object::Function(name) => functions::call(self, name, &arguments),
                Object::Joiner(separator, used) => {
                    arguments.none("joiner")?;
                    Ok(if used.replace(true) { separator.clone() } else { Value::from("") })
                }
                Object::Loop(state) => {
                    let [values] = arguments.bind("loop", ["iterable"], 1)?;
                    if !self.program.loops[state.which].recursive {
                        return failed("only a loop marked recursive can call itself");
                    }
                    self.enter(|| {
                        let mut text = String::new();
                        let values = values.unwrap_or(Value::None);
                        self.loop_over(state.which, &values, state.depth + 1, &state.scope, &mut text)?;
                        Ok(Value::from(text))
                    })
                }
                _ => failed(format!("{} cannot be called", function.type_name())),
            },
            other => failed(format!("{} cannot be called", other.type_name())),
        }
    }
}

/// Checks that a value can be a key.
pub fn hashable(key: Value) -> Result<Value, FaultKind> {
    match &key {
        Value::List(_) | Value::Dict(_) => failed(format!("{} cannot be a key", key.type_name())),
        Value::Tuple(items) => {
            items.iter().try_for_each(|item| hashable(item.clone()).map(|_| ())).map(|()| key.clone())
        }
        _ => Ok(key),
    }
}
