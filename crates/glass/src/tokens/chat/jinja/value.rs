//! The values of a template: Python's values, as far as a sandboxed template can have them. Lists and mappings
//! cannot be changed, as in `ImmutableSandboxedEnvironment`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::error::FaultKind;
use super::scope::Scope;

#[derive(Clone)]
pub enum Value {
    /// An undefined value, and the message if it is used.
    Undefined(Rc<str>),
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Rc<str>),
    /// A string marked as safe HTML: a string added to it is escaped.
    Markup(Rc<str>),
    List(Rc<Vec<Value>>),
    Tuple(Rc<Vec<Value>>),
    Dict(Rc<Dict>),
    /// `range(start, stop, step)`.
    Range(i128, i128, i128),
    Object(Rc<Object>),
}

/// Values that have an identity.
pub enum Object {
    /// `keys()`, `values()` or `items()` of a mapping.
    View(View, Rc<Dict>),
    /// Values that can be read once.
    Iterator(RefCell<Pending>),
    Namespace(RefCell<Dict>),
    Cycler(Vec<Value>, Cell<usize>),
    Joiner(Value, Cell<bool>),
    Loop(LoopState),
    Macro(usize, Rc<Scope>),
    /// A method with the value it belongs to.
    Method(Value, Rc<str>),
    /// A function of the environment.
    Function(&'static str),
}

#[derive(Clone, Copy, PartialEq)]
pub enum View {
    Keys,
    Values,
    Items,
}

/// The rest of an iterator, and the error at its end.
pub struct Pending {
    pub items: VecDeque<Value>,
    pub fault: Option<FaultKind>,
}

/// The variable `loop`.
pub struct LoopState {
    /// Items that have not been tested yet.
    pub waiting: RefCell<VecDeque<Value>>,
    /// Items that passed the loop's test, from the first one on.
    pub read: RefCell<Vec<Value>>,
    pub index: Cell<usize>,
    pub depth: usize,
    pub changed: RefCell<Option<Vec<Value>>>,
    /// The loop, in [`Program::loops`](super::Program), and its scope.
    pub which: usize,
    pub scope: Rc<Scope>,
}

/// A mapping, in the order of insertion.
#[derive(Clone, Default)]
pub struct Dict(pub Vec<(Value, Value)>);

impl Dict {
    pub fn get(&self, key: &Value) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known.same_key(key)).map(|(_, value)| value)
    }

    pub fn get_text(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known.text() == Some(key)).map(|(_, value)| value)
    }

    pub fn set(&mut self, key: Value, value: Value) {
        match self.0.iter_mut().find(|(known, _)| known.same_key(&key)) {
            Some((_, place)) => *place = value,
            None => self.0.push((key, value)),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text.into())
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Value {
        Value::Int(count as i128)
    }
}

impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Value {
        use serde_json::Value as Json;
        match json {
            Json::Null => Value::None,
            Json::Bool(flag) => Value::Bool(*flag),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Value::Int(number.into()),
                None => match number.as_u64() {
                    Some(number) => Value::Int(number.into()),
                    None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
                },
            },
            Json::String(text) => Value::from(text.as_str()),
            Json::Array(items) => Value::list(items.iter().map(Value::from).collect()),
            Json::Object(pairs) => Value::Dict(Rc::new(Dict(
                pairs.iter().map(|(key, value)| (key.as_str().into(), value.into())).collect(),
            ))),
        }
    }
}

impl Value {
    pub fn undefined(why: impl AsRef<str>) -> Value {
        Value::Undefined(why.as_ref().into())
    }

    pub fn list(items: Vec<Value>) -> Value {
        Value::List(Rc::new(items))
    }

    pub fn tuple(items: Vec<Value>) -> Value {
        Value::Tuple(Rc::new(items))
    }

    pub fn dict(pairs: Dict) -> Value {
        Value::Dict(Rc::new(pairs))
    }

    pub fn object(object: Object) -> Value {
        Value::Object(Rc::new(object))
    }

    /// Values that can be read once.
    pub fn iterator(items: Vec<Value>, fault: Option<FaultKind>) -> Value {
        Value::object(Object::Iterator(RefCell::new(Pending { items: items.into(), fault })))
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) | Value::Markup(text) => Some(text),
            _ => None,
        }
    }

    /// A function or a method.
    pub fn function(name: &'static str) -> Value {
        Value::object(Object::Function(name))
    }

    pub fn is_undefined(&self) -> bool {
        matches!(self, Value::Undefined(_))
    }

    /// A whole number; true and false are 1 and 0, as in Python.
    pub fn int(&self) -> Option<i128> {
        match self {
            Value::Int(number) => Some(*number),
            Value::Bool(flag) => Some(i128::from(*flag)),
            _ => None,
        }
    }

    pub fn float(&self) -> Option<f64> {
        match self {
            Value::Float(number) => Some(*number),
            other => other.int().map(|number| number as f64),
        }
    }

    /// The type's name in Python.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Undefined(_) => "Undefined",
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Text(_) => "str",
            Value::Markup(_) => "Markup",
            Value::List(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Dict(_) => "dict",
            Value::Range(..) => "range",
            Value::Object(object) => match &**object {
                Object::View(View::Keys, _) => "dict_keys",
                Object::View(View::Values, _) => "dict_values",
                Object::View(View::Items, _) => "dict_items",
                Object::Iterator(_) => "generator",
                Object::Namespace(_) => "Namespace",
                Object::Cycler(..) => "Cycler",
                Object::Joiner(..) => "Joiner",
                Object::Loop(_) => "LoopContext",
                Object::Macro(..) => "Macro",
                Object::Method(..) | Object::Function(_) => "function",
            },
        }
    }

    /// Python's `bool` of it.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Undefined(_) | Value::None => false,
            Value::Bool(flag) => *flag,
            Value::Int(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            _ => self.len() != Some(0),
        }
    }

    /// Python's `len` of it, if it has a length.
    pub fn len(&self) -> Option<usize> {
        match self {
            Value::Undefined(_) => Some(0),
            Value::Text(text) | Value::Markup(text) => Some(text.chars().count()),
            Value::List(items) | Value::Tuple(items) => Some(items.len()),
            Value::Dict(pairs) => Some(pairs.0.len()),
            Value::Range(start, stop, step) => Some(range_len(*start, *stop, *step)),
            Value::Object(object) => match &**object {
                Object::View(_, pairs) => Some(pairs.0.len()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether both are the same key of a mapping.
    pub fn same_key(&self, other: &Value) -> bool {
        self.equals(other)
    }

    /// Python's `==`.
    pub fn equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
            (Value::Text(a) | Value::Markup(a), Value::Text(b) | Value::Markup(b)) => a == b,
            (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.equals(b))
            }
            (Value::Dict(a), Value::Dict(b)) => {
                a.0.len() == b.0.len()
                    && a.0.iter().all(|(key, value)| b.get(key).is_some_and(|other| value.equals(other)))
            }
            (Value::Range(..), Value::Range(..)) => self.range_items() == other.range_items(),
            (Value::Object(a), Value::Object(b)) => Rc::ptr_eq(a, b),
            _ => match (self.int(), other.int()) {
                (Some(a), Some(b)) => a == b,
                _ => matches!((self.float(), other.float()), (Some(a), Some(b)) if a == b),
            },
        }
    }

    pub fn range_items(&self) -> Option<Vec<i128>> {
        let Value::Range(start, stop, step) = *self else { return None };
        Some((0..range_len(start, stop, step)).map(|index| start + index as i128 * step).collect())
    }
}

fn range_len(start: i128, stop: i128, step: i128) -> usize {
    let span = if step > 0 { stop - start } else { start - stop };
    usize::try_from((span + step.abs() - 1).max(0) / step.abs()).unwrap_or(usize::MAX)
}
