//! Python's operators.

use std::cmp::Ordering;

use super::ast::{Binary, Compare};
use super::error::{Outcome, failed, unavailable};
use super::eval::hashable;
use super::format::printf;
use super::functions::escape;
use super::run::Run;
use super::value::{Object, Value, View};

pub fn binary(run: &Run<'_>, operator: &Binary, left: &Value, right: &Value) -> Outcome<Value> {
    if let (Binary::Mod, Value::Text(format)) = (operator, left) {
        return printf(run, format, right).map(Value::from);
    }
    for side in [left, right] {
        if let Value::Undefined(why) = side {
            return failed(&**why);
        }
    }
    if let (Some(a), Some(b)) = (left.int(), right.int()) {
        return of_ints(operator, a, b);
    }
    if let (Some(a), Some(b)) = (left.float(), right.float()) {
        return of_floats(operator, a, b);
    }
    match operator {
        Binary::Add => add(run, left, right),
        Binary::Mul => match (left.int(), right.int()) {
            (None, Some(times)) => repeat(run, left, times),
            (Some(times), None) => repeat(run, right, times),
            _ => mismatch(operator, left, right),
        },
        Binary::Mod if matches!(left, Value::Markup(_)) => unavailable("% of a text that is marked as safe"),
        _ => mismatch(operator, left, right),
    }
}

fn mismatch<T>(operator: &Binary, left: &Value, right: &Value) -> Outcome<T> {
    let sign = match operator {
        Binary::Add => "+",
        Binary::Sub => "-",
        Binary::Mul => "*",
        Binary::Div => "/",
        Binary::FloorDiv => "//",
        Binary::Mod => "%",
        Binary::Pow => "**",
    };
    failed(format!("{sign} is not defined between {} and {}", left.type_name(), right.type_name()))
}

fn add(run: &Run<'_>, left: &Value, right: &Value) -> Outcome<Value> {
    match (left, right) {
        (Value::Text(a), Value::Text(b)) => {
            run.pay_text(a.len() + b.len())?;
            Ok(Value::from([&**a, &**b].concat()))
        }
        // Adding to a safe string escapes what is added.
        (Value::Markup(_), _) | (_, Value::Markup(_)) if left.text().is_some() && right.text().is_some() => {
            let escaped = |value: &Value| match value {
                Value::Markup(text) => text.to_string(),
                other => escape(other.text().unwrap_or_default()),
            };
            let text = escaped(left) + &escaped(right);
            run.pay_text(text.len())?;
            Ok(Value::Markup(text.into()))
        }
        (Value::List(a), Value::List(b)) => {
            run.pay((a.len() + b.len()) as u64)?;
            Ok(Value::list(a.iter().chain(b.iter()).cloned().collect()))
        }
        (Value::Tuple(a), Value::Tuple(b)) => {
            run.pay((a.len() + b.len()) as u64)?;
            Ok(Value::tuple(a.iter().chain(b.iter()).cloned().collect()))
        }
        _ => mismatch(&Binary::Add, left, right),
    }
}

fn repeat(run: &Run<'_>, value: &Value, times: i128) -> Outcome<Value> {
    let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    let cost = |size: usize| run.pay(size.saturating_mul(times) as u64 / 8);
    match value {
        Value::Text(text) => {
            cost(text.len())?;
            Ok(Value::from(text.repeat(times)))
        }
        Value::List(items) => {
            cost(items.len() * 16)?;
            Ok(Value::list(std::iter::repeat_n(&**items, times).flatten().cloned().collect()))
        }
        Value::Tuple(items) => {
            cost(items.len() * 16)?;
            Ok(Value::tuple(std::iter::repeat_n(&**items, times).flatten().cloned().collect()))
        }
        Value::Markup(_) => unavailable("* of a text that is marked as safe"),
        _ => mismatch(&Binary::Mul, value, &Value::Int(times as i128)),
    }
}

fn of_ints(operator: &Binary, a: i128, b: i128) -> Outcome<Value> {
    let result = match operator {
        Binary::Add => a.checked_add(b),
        Binary::Sub => a.checked_sub(b),
        Binary::Mul => a.checked_mul(b),
        Binary::FloorDiv | Binary::Mod | Binary::Div if b == 0 => return failed("division by zero"),
        Binary::FloorDiv => Some(a.div_euclid(b) - i128::from(b < 0 && a.rem_euclid(b) != 0)),
        Binary::Mod => Some(a.rem_euclid(b) + if b < 0 && a.rem_euclid(b) != 0 { b } else { 0 }),
        Binary::Div if a.unsigned_abs() < 1 << 53 && b.unsigned_abs() < 1 << 53 => {
            return Ok(Value::Float(a as f64 / b as f64));
        }
        Binary::Div => None,
        Binary::Pow if b < 0 => return of_floats(operator, a as f64, b as f64),
        Binary::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
    };
    match result {
        Some(number) => Ok(Value::Int(number)),
        None => unavailable("arithmetic with whole numbers this large"),
    }
}

fn of_floats(operator: &Binary, a: f64, b: f64) -> Outcome<Value> {
    let modulo = || {
        let rest = a % b;
        if rest != 0.0 && (b < 0.0) != (rest < 0.0) {
            rest + b
        } else if rest == 0.0 {
            0f64.copysign(b)
        } else {
            rest
        }
    };
    Ok(Value::Float(match operator {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div | Binary::FloorDiv | Binary::Mod if b == 0.0 => return failed("division by zero"),
        Binary::Div => a / b,
        Binary::Mod => modulo(),
        Binary::FloorDiv => {
            let quotient = (a - modulo()) / b;
            if quotient == 0.0 {
                0f64.copysign(a / b)
            } else if quotient - quotient.floor() > 0.5 {
                quotient.floor() + 1.0
            } else {
                quotient.floor()
            }
        }
        Binary::Pow if a == 0.0 && b < 0.0 => return failed("division by zero"),
        Binary::Pow if a < 0.0 && b.fract() != 0.0 => return unavailable("a complex number"),
        Binary::Pow => a.powf(b),
    }))
}

pub fn negative(value: &Value) -> Outcome<Value> {
    match (value.int(), value) {
        (Some(number), _) => Ok(Value::Int(-number)),
        (None, Value::Float(number)) => Ok(Value::Float(-number)),
        (None, Value::Undefined(why)) => failed(&**why),
        _ => failed(format!("- is not defined for {}", value.type_name())),
    }
}

pub fn positive(value: &Value) -> Outcome<Value> {
    match (value.int(), value) {
        (Some(number), _) => Ok(Value::Int(number)),
        (None, Value::Float(_)) => Ok(value.clone()),
        (None, Value::Undefined(why)) => failed(&**why),
        _ => failed(format!("+ is not defined for {}", value.type_name())),
    }
}

/// `==`, `!=`, `<`, `<=`, `>`, `>=`.
pub fn compare(operator: Compare, left: &Value, right: &Value) -> Outcome<bool> {
    match operator {
        Compare::Equal => return Ok(left.equals(right)),
        Compare::NotEqual => return Ok(!left.equals(right)),
        _ => {}
    }
    let order = order(left, right)?;
    Ok(match operator {
        Compare::Less => order == Some(Ordering::Less),
        Compare::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Compare::Greater => order == Some(Ordering::Greater),
        _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    })
}

/// Which of two values comes first; an error if Python cannot compare them, and `None` with NaN.
pub fn order(left: &Value, right: &Value) -> Outcome<Option<Ordering>> {
    for side in [left, right] {
        if let Value::Undefined(why) = side {
            return failed(&**why);
        }
    }
    if let (Some(a), Some(b)) = (left.int(), right.int()) {
        return Ok(Some(a.cmp(&b)));
    }
    if let (Some(a), Some(b)) = (left.float(), right.float()) {
        return Ok(a.partial_cmp(&b));
    }
    match (left, right) {
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            for (a, b) in a.iter().zip(b.iter()) {
                if !a.equals(b) {
                    return order(a, b);
                }
            }
            Ok(Some(a.len().cmp(&b.len())))
        }
        _ => match (left.text(), right.text()) {
            (Some(a), Some(b)) => Ok(Some(a.cmp(b))),
            _ => failed(format!("{} and {} have no order", left.type_name(), right.type_name())),
        },
    }
}

/// `item in container`.
pub fn contains(run: &Run<'_>, container: &Value, item: &Value) -> Outcome<bool> {
    match container {
        Value::Text(text) | Value::Markup(text) => match item.text() {
            Some(part) => {
                run.pay_text(text.len())?;
                Ok(text.contains(part))
            }
            None => failed(format!("only a text can be in a text, not {}", item.type_name())),
        },
        Value::Undefined(_) => Ok(false),
        Value::List(items) | Value::Tuple(items) => {
            run.pay(items.len() as u64 / 8)?;
            Ok(items.iter().any(|one| one.equals(item)))
        }
        Value::Dict(pairs) => Ok(pairs.get(&hashable(item.clone())?).is_some()),
        Value::Range(..) => {
            Ok(container.range_items().unwrap_or_default().iter().any(|&one| Value::Int(one).equals(item)))
        }
        Value::Object(object) => match &**object {
            Object::View(View::Keys, pairs) => Ok(pairs.get(&hashable(item.clone())?).is_some()),
            Object::View(view, pairs) => {
                Ok(super::sequences::view_items(*view, &pairs.0).iter().any(|one| one.equals(item)))
            }
            Object::Iterator(_) => loop {
                match super::sequences::first(run, container)? {
                    Some(one) if one.equals(item) => return Ok(true),
                    Some(_) => {}
                    None => return Ok(false),
                }
            },
            _ => failed(format!("{} holds nothing", container.type_name())),
        },
        other => failed(format!("{} holds nothing", other.type_name())),
    }
}
