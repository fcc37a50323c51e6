//! Filters for iterable values.

use std::cmp::Ordering;

use super::super::arguments::{Args, flag, int, optional_int};
use super::super::ast::Binary;
use super::super::attributes;
use super::super::checks;
use super::super::display::display;
use super::super::error::{FaultKind, Outcome, failed};
use super::super::operators::{binary, order};
use super::super::run::Run;
use super::super::sequences::{first, items, partial_items};
use super::super::value::{Object, Value};

pub fn filter(run: &Run<'_>, name: &str, value: &Value, args: &Args) -> Outcome<Value> {
    match name {
        "length" | "count" => {
            args.none(name)?;
            match value.len() {
                Some(length) => Ok(length.into()),
                None => failed(format!("{} has no length", value.type_name())),
            }
        }
        "list" => {
            args.none(name)?;
            items(run, value).map(Value::list)
        }
        "first" => {
            args.none(name)?;
            let item = first(run, value)?;
            Ok(item.unwrap_or_else(|| Value::undefined("No first item, sequence was empty.")))
        }
        "last" => {
            args.none(name)?;
            no_iterator(name, value)?;
            let item = items(run, value)?.pop();
            Ok(item.unwrap_or_else(|| Value::undefined("No last item, sequence was empty.")))
        }
        "reverse" => {
            args.none(name)?;
            if let Some(text) = value.text() {
                return Ok(text.chars().rev().collect::<String>().into());
            }
            let mut reversed = items(run, value)?;
            reversed.reverse();
            match value {
                // Python cannot walk an iterator backwards, so jinja2 makes a list of it.
                Value::Object(object) if matches!(**object, Object::Iterator(_)) => Ok(Value::list(reversed)),
                _ => Ok(Value::iterator(reversed, None)),
            }
        }
        "join" => {
            let [separator, attribute] = args.bind(name, ["d", "attribute"], 0)?;
            let separator = separator.map_or(Ok(String::new()), |separator| display(&separator))?;
            let getter = Getter::of(attribute, None)?;
            let mut parts = Vec::new();
            for item in items(run, value)? {
                parts.push(display(&getter.get(run, item)?)?);
            }
            let joined = parts.join(&separator);
            run.pay_text(joined.len())?;
            Ok(joined.into())
        }
        "items" => {
            args.none(name)?;
            Ok(match value {
                Value::Undefined(_) => Value::iterator(Vec::new(), None),
                Value::Dict(pairs) => {
                    let pairs =
                        pairs.0.iter().map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()]));
                    Value::iterator(pairs.collect(), None)
                }
                _ => {
                    let why = format!("the filter items needs a mapping, not {}", value.type_name());
                    Value::iterator(Vec::new(), Some(FaultKind::Failed(why)))
                }
            })
        }
        "map" => Ok(lazily(run, value, &|item| mapped(run, item, args).map(Some))),
        "select" | "reject" | "selectattr" | "rejectattr" => {
            Ok(lazily(run, value, &|item| selected(run, name, &item, args).map(|kept| kept.then_some(item))))
        }
        "unique" => {
            let [case, attribute] = args.bind(name, ["case_sensitive", "attribute"], 0)?;
            let (case, getter) = (flag(case), Getter::of(attribute, None)?);
            let mut seen: Vec<Value> = Vec::new();
            let mut kept = Vec::new();
            for item in items(run, value)? {
                let key = key(run, &getter, item.clone(), case)?;
                run.pay(seen.len() as u64 / 8)?;
                if !seen.iter().any(|known| known.equals(&key)) {
                    seen.push(key);
                    kept.push(item);
                }
            }
            Ok(Value::iterator(kept, None))
        }
        "sort" => {
            let [reverse, case, attribute] =
                args.bind(name, ["reverse", "case_sensitive", "attribute"], 0)?;
            sort(run, items(run, value)?, flag(reverse), flag(case), attribute).map(Value::list)
        }
        "dictsort" => dictsort(run, value, args),
        "min" | "max" => {
            let [case, attribute] = args.bind(name, ["case_sensitive", "attribute"], 0)?;
            let (case, getter) = (flag(case), Getter::of(attribute, None)?);
            let mut best: Option<(Value, Value)> = None;
            for item in items(run, value)? {
                let key = key(run, &getter, item.clone(), case)?;
                let better = match &best {
                    None => true,
                    Some((known, _)) if name == "min" => order(&key, known)? == Some(Ordering::Less),
                    Some((known, _)) => order(&key, known)? == Some(Ordering::Greater),
                };
                if better {
                    best = Some((key, item));
                }
            }
            Ok(best.map_or_else(
                || Value::undefined("No aggregated item, sequence was empty."),
                |(_, item)| item,
            ))
        }
        "sum" => {
            let [attribute, start] = args.bind(name, ["attribute", "start"], 0)?;
            let getter = Getter::of(attribute, None)?;
            let mut sum = start.unwrap_or(Value::Int(0));
            if sum.text().is_some() {
                return failed("sum cannot add texts; join does");
            }
            for item in items(run, value)? {
                sum = binary(run, &Binary::Add, &sum, &getter.get(run, item)?)?;
            }
            Ok(sum)
        }
        "batch" => {
            let [count, fill] = args.bind(name, ["linecount", "fill_with"], 1)?;
            let count = int(name, &count.unwrap_or(Value::None))?;
            let Some(count) = usize::try_from(count).ok().filter(|count| *count > 0) else {
                return failed("batch needs a positive number");
            };
            let mut batches: Vec<Vec<Value>> =
                items(run, value)?.chunks(count).map(<[Value]>::to_vec).collect();
            if let (Some(fill), Some(last)) =
                (fill.filter(|fill| !matches!(fill, Value::None)), batches.last_mut())
            {
                run.pay(count as u64 / 8)?;
                last.resize(count, fill);
            }
            Ok(Value::iterator(batches.into_iter().map(Value::list).collect(), None))
        }
        _ => slices(run, value, args),
    }
}

fn no_iterator(name: &str, value: &Value) -> Outcome<()> {
    match value {
        Value::Object(object) if matches!(**object, Object::Iterator(_)) => failed(format!(
            "the filter {name} needs a list, not an iterator, which can be read only once; use the filter list first"
        )),
        _ => Ok(()),
    }
}

/// Applies a filter lazily to the items, up to the first error, which is raised only if it is reached. An empty
/// value, `none` and the undefined value give nothing.
fn lazily(run: &Run<'_>, value: &Value, make: &dyn Fn(Value) -> Outcome<Option<Value>>) -> Value {
    if !value.is_true() {
        return Value::iterator(Vec::new(), None);
    }
    let (items, mut fault) = match partial_items(run, value) {
        Ok(parts) => parts,
        Err(fault) => return Value::iterator(Vec::new(), Some(fault)),
    };
    let mut made = Vec::new();
    for item in items {
        match run.pay(1).and_then(|()| make(item)) {
            Ok(item) => made.extend(item),
            Err(kind) => {
                fault = Some(kind);
                break;
            }
        }
    }
    Value::iterator(made, fault)
}

fn mapped(run: &Run<'_>, item: Value, args: &Args) -> Outcome<Value> {
    let named =
        |name: &str| args.named.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    if args.positional.is_empty() && named("attribute").is_some() {
        if let Some((name, _)) = args.named.iter().find(|(name, _)| name != "attribute" && name != "default")
        {
            return failed(format!("map takes no argument {name}"));
        }
        return Getter::of(named("attribute"), named("default"))?.get(run, item);
    }
    let Some(name) = args.positional.first().and_then(Value::text) else {
        return failed("map needs a filter's name");
    };
    let rest = Args { positional: args.positional[1..].to_vec(), named: args.named.clone() };
    super::filter(run, name, &item, &rest)
}

fn selected(run: &Run<'_>, name: &str, item: &Value, args: &Args) -> Outcome<bool> {
    let by_attribute = name.ends_with("attr");
    let mut positional = args.positional.iter();
    let item = match by_attribute {
        true => match positional.next() {
            Some(attribute) => Getter::of(Some(attribute.clone()), None)?.get(run, item.clone())?,
            None => return failed(format!("{name} needs an attribute's name")),
        },
        false => item.clone(),
    };
    let holds = match positional.next() {
        None => item.is_true(),
        Some(test) => {
            let Some(test) = test.text() else { return failed(format!("{name} needs a test's name")) };
            if !checks::is_known(test) {
                return failed(format!("there is no test {test}"));
            }
            let rest = Args { positional: positional.cloned().collect(), named: args.named.clone() };
            checks::check(run, test, &item, &rest)?
        }
    };
    Ok(holds != name.starts_with("reject"))
}

/// Looks up `a.b.0` in items.
struct Getter {
    parts: Vec<Value>,
    default: Option<Value>,
}

impl Getter {
    fn of(attribute: Option<Value>, default: Option<Value>) -> Outcome<Getter> {
        let parts = match attribute {
            None | Some(Value::None) => Vec::new(),
            Some(Value::Text(path)) => path.split('.').map(part).collect(),
            Some(other) => vec![other],
        };
        Ok(Getter { parts, default: default.filter(|default| !matches!(default, Value::None)) })
    }

    fn get(&self, run: &Run<'_>, mut item: Value) -> Outcome<Value> {
        for part in &self.parts {
            item = attributes::item(run, &item, part)?;
            if item.is_undefined()
                && let Some(default) = &self.default
            {
                item = default.clone();
            }
        }
        Ok(item)
    }
}

fn part(part: &str) -> Value {
    match part.parse::<u32>() {
        Ok(index) if part.bytes().all(|b| b.is_ascii_digit()) => Value::Int(index.into()),
        _ => Value::from(part),
    }
}

/// The key an item is compared by: in lower case if the comparison ignores case.
fn key(run: &Run<'_>, getter: &Getter, item: Value, case_sensitive: bool) -> Outcome<Value> {
    Ok(fold(getter.get(run, item)?, case_sensitive))
}

fn fold(value: Value, case_sensitive: bool) -> Value {
    match value.text() {
        Some(text) if !case_sensitive => text.to_lowercase().into(),
        _ => value,
    }
}

fn sort(
    run: &Run<'_>,
    items: Vec<Value>,
    reverse: bool,
    case_sensitive: bool,
    attribute: Option<Value>,
) -> Outcome<Vec<Value>> {
    let attributes = match &attribute {
        Some(Value::Text(paths)) => paths.split(',').map(|path| Some(Value::from(path))).collect(),
        other => vec![other.clone()],
    };
    let getters: Vec<Getter> =
        attributes.into_iter().map(|path| Getter::of(path, None)).collect::<Outcome<_>>()?;
    let mut keyed = Vec::new();
    for item in items {
        let keys: Vec<Value> = getters
            .iter()
            .map(|getter| key(run, getter, item.clone(), case_sensitive))
            .collect::<Outcome<_>>()?;
        keyed.push((Value::list(keys), item));
    }
    sorted(run, keyed, reverse)
}

fn sorted(run: &Run<'_>, mut keyed: Vec<(Value, Value)>, reverse: bool) -> Outcome<Vec<Value>> {
    run.pay(keyed.len() as u64)?;
    let mut fault = None;
    keyed.sort_by(|(a, _), (b, _)| {
        let (a, b) = if reverse { (b, a) } else { (a, b) };
        order(a, b).map(|order| order.unwrap_or(Ordering::Equal)).unwrap_or_else(|kind| {
            fault = Some(kind);
            Ordering::Equal
        })
    });
    match fault {
        Some(fault) => Err(fault),
        None => Ok(keyed.into_iter().map(|(_, item)| item).collect()),
    }
}

fn dictsort(run: &Run<'_>, value: &Value, args: &Args) -> Outcome<Value> {
    let [case, by, reverse] = args.bind("dictsort", ["case_sensitive", "by", "reverse"], 0)?;
    let by_value = match by.as_ref().and_then(Value::text) {
        None if by.is_none() => false,
        Some("key") => false,
        Some("value") => true,
        _ => return failed("dictsort sorts by \"key\" or by \"value\""),
    };
    let Value::Dict(pairs) = value else {
        return failed(format!("dictsort needs a mapping, not {}", value.type_name()));
    };
    let case = flag(case);
    let keyed = pairs.0.iter().map(|(key, value)| {
        let by = if by_value { value } else { key };
        (fold(by.clone(), case), Value::tuple(vec![key.clone(), value.clone()]))
    });
    sorted(run, keyed.collect(), flag(reverse)).map(Value::list)
}

fn slices(run: &Run<'_>, value: &Value, args: &Args) -> Outcome<Value> {
    let [count, fill] = args.bind("slice", ["slices", "fill_with"], 1)?;
    let count = optional_int("slice", count)?.unwrap_or(0);
    let Some(count) = usize::try_from(count).ok().filter(|count| (1..=100_000).contains(count)) else {
        return failed("slice needs a positive number");
    };
    let items = items(run, value)?;
    run.pay(count as u64)?;
    let (each, longer) = (items.len() / count, items.len() % count);
    let mut rest = &items[..];
    let mut slices = Vec::new();
    for at in 0..count {
        let (slice, after) = rest.split_at(each + usize::from(at < longer));
        rest = after;
        let mut slice = slice.to_vec();
        if at >= longer {
            slice.extend(fill.clone().filter(|fill| !matches!(fill, Value::None)));
        }
        slices.push(Value::list(slice));
    }
    Ok(Value::iterator(slices, None))
}
