//! Values that can be iterated, indexed and sliced.

use super::error::{FaultKind, Outcome, failed};
use super::run::Run;
use super::value::{Object, Value, View};

/// The items that Python's `iter` yields, if the value is iterable. An iterator is emptied.
pub fn items(run: &Run<'_>, value: &Value) -> Outcome<Vec<Value>> {
    let (items, fault) = partial_items(run, value)?;
    match fault {
        Some(fault) => Err(fault),
        None => Ok(items),
    }
}

/// The same, with the error that ended the iteration.
pub fn partial_items(run: &Run<'_>, value: &Value) -> Outcome<(Vec<Value>, Option<FaultKind>)> {
    let mut fault = None;
    let items = match value {
        Value::Undefined(_) => Vec::new(),
        Value::Text(text) | Value::Markup(text) => text.chars().map(|c| Value::from(c.to_string())).collect(),
        Value::List(items) | Value::Tuple(items) => items.to_vec(),
        Value::Dict(pairs) => pairs.0.iter().map(|(key, _)| key.clone()).collect(),
        Value::Range(..) => value.range_items().unwrap_or_default().into_iter().map(Value::Int).collect(),
        Value::Object(object) => match &**object {
            Object::View(view, pairs) => view_items(*view, &pairs.0),
            Object::Iterator(pending) => {
                let mut pending = pending.borrow_mut();
                fault = pending.fault.take();
                pending.items.drain(..).collect()
            }
            _ => return not_iterable(value),
        },
        _ => return not_iterable(value),
    };
    run.pay(items.len() as u64 / 8)?;
    Ok((items, fault))
}

fn not_iterable<T>(value: &Value) -> Outcome<T> {
    failed(format!("{} is not iterable", value.type_name()))
}

pub fn view_items(view: View, pairs: &[(Value, Value)]) -> Vec<Value> {
    let item = |(key, value): &(Value, Value)| match view {
        View::Keys => key.clone(),
        View::Values => value.clone(),
        View::Items => Value::tuple(vec![key.clone(), value.clone()]),
    };
    pairs.iter().map(item).collect()
}

/// Whether Python's `iter` accepts it.
pub fn is_iterable(value: &Value) -> bool {
    match value {
        Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => false,
        Value::Object(object) => matches!(**object, Object::View(..) | Object::Iterator(_) | Object::Loop(_)),
        _ => true,
    }
}

/// The first item only; the rest of an iterator stays.
pub fn first(run: &Run<'_>, value: &Value) -> Outcome<Option<Value>> {
    if let Value::Object(object) = value
        && let Object::Iterator(pending) = &**object
    {
        let mut pending = pending.borrow_mut();
        return match pending.items.pop_front() {
            Some(item) => Ok(Some(item)),
            None => pending.fault.take().map_or(Ok(None), Err),
        };
    }
    if let Value::Text(text) | Value::Markup(text) = value {
        return Ok(text.chars().next().map(|c| Value::from(c.to_string())));
    }
    Ok(items(run, value)?.into_iter().next())
}

/// `value[index]` of a text, list, tuple or range; `None` where the index is out of range or the value has no items.
pub fn at(value: &Value, index: i128) -> Option<Value> {
    let length = value.len()?;
    let place = usize::try_from(if index < 0 { index + length as i128 } else { index }).ok()?;
    match value {
        Value::Text(text) | Value::Markup(text) => {
            if text.is_ascii() {
                return text.get(place..place + 1).map(Value::from);
            }
            text.chars().nth(place).map(|c| Value::from(c.to_string()))
        }
        Value::List(items) | Value::Tuple(items) => items.get(place).cloned(),
        Value::Range(start, _, step) => (place < length).then(|| Value::Int(start + place as i128 * step)),
        _ => None,
    }
}

/// `value[start:stop:step]`; `None` where the value cannot be sliced.
pub fn slice(run: &Run<'_>, value: &Value, bounds: [Option<i128>; 3]) -> Outcome<Option<Value>> {
    let (Value::Text(_) | Value::Markup(_) | Value::List(_) | Value::Tuple(_) | Value::Range(..)) = value
    else {
        return Ok(None);
    };
    let step = bounds[2].unwrap_or(1);
    if step == 0 {
        return failed("a slice's step is 0");
    }
    let length = value.len().unwrap_or(0) as i128;
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let place = |bound: i128| (if bound < 0 { bound + length } else { bound }).clamp(low, high);
    let start = bounds[0].map_or(if step > 0 { low } else { high }, place);
    let stop = bounds[1].map_or(if step > 0 { high } else { low }, place);
    if let Value::Range(first, _, by) = value {
        return Ok(Some(Value::Range(first + start * by, first + stop * by, by * step)));
    }
    run.pay(length as u64 / 8)?;
    let mut places = Vec::new();
    let mut place = start;
    while if step > 0 { place < stop } else { place > stop } {
        places.push(place as usize);
        place = place.saturating_add(step);
    }
    Ok(Some(match value {
        Value::Text(text) | Value::Markup(text) if step == 1 => {
            Value::from(text.chars().skip(start as usize).take(places.len()).collect::<String>())
        }
        Value::Text(text) | Value::Markup(text) => {
            let characters: Vec<char> = text.chars().collect();
            Value::from(places.iter().map(|&place| characters[place]).collect::<String>())
        }
        Value::List(items) => Value::list(places.iter().map(|&place| items[place].clone()).collect()),
        Value::Tuple(items) => Value::tuple(places.iter().map(|&place| items[place].clone()).collect()),
        _ => return Ok(None),
    }))
}
