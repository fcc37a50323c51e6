//! A pickle, read without running anything: a small machine for the opcodes of protocols 2 to 5 (described in Python's
//! `pickletools.py`). Nothing is ever called. The few functions that make a dictionary or a tensor are values here; what
//! any other would make is an object without content, which a checkpoint may have where nobody reads it.
//!
//! Values are small and copied; what they hold is kept in one list, so nothing recurses, however deep a file nests.
//! Memory is bounded by the greatest number of objects.

mod machine;

use super::dtype::Dtype;
use machine::Machine;

/// What went wrong, to be said of the pickle.
type Result<T> = std::result::Result<T, String>;

/// What stands on the stack.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// `None`, a float, bytes, or an integer beyond 64 bits: nothing that is read.
    Other,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// Something known by name.
    Known(Known),
    /// The place of a [`Node`].
    Node(usize),
}

/// A class or function that a pickle names.
#[derive(Clone, Copy, Debug)]
pub enum Known {
    /// `collections.OrderedDict`.
    Dictionary,
    /// `torch._utils._rebuild_tensor_v2`.
    Tensor,
    /// `torch._utils._rebuild_parameter`, with or without state: its first argument, a tensor.
    Parameter,
    /// Any other.
    Other,
    /// `torch.FloatStorage` and its like: a dtype that can be widened or the name of another, and the bytes of a number.
    Storage(std::result::Result<Dtype, &'static str>, usize),
}

impl Known {
    fn named(module: &str, name: &str) -> Known {
        match (module, name) {
            ("collections", "OrderedDict") => Known::Dictionary,
            ("torch._utils", "_rebuild_tensor_v2") => Known::Tensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Known::Parameter,
            ("torch", "FloatStorage") => Known::Storage(Ok(Dtype::F32), 4),
            ("torch", "HalfStorage") => Known::Storage(Ok(Dtype::F16), 2),
            ("torch", "BFloat16Storage") => Known::Storage(Ok(Dtype::Bf16), 2),
            ("torch", "DoubleStorage") => Known::Storage(Ok(Dtype::F64), 8),
            ("torch", "LongStorage") => Known::Storage(Err("I64"), 8),
            ("torch", "IntStorage") => Known::Storage(Err("I32"), 4),
            ("torch", "ShortStorage") => Known::Storage(Err("I16"), 2),
            ("torch", "CharStorage") => Known::Storage(Err("I8"), 1),
            ("torch", "ByteStorage") => Known::Storage(Err("U8"), 1),
            ("torch", "BoolStorage") => Known::Storage(Err("BOOL"), 1),
            _ => Known::Other,
        }
    }
}

/// What holds other values.
#[derive(Debug)]
pub enum Node<'a> {
    /// A tuple or a list.
    List(Vec<Value<'a>>),
    /// A dictionary, in its order.
    Dictionary(Vec<(Value<'a>, Value<'a>)>),
    /// Numbers in another file of the archive: a `Storage`, the key of their place, how many.
    Storage(Known, &'a str, i64),
    /// A view of a storage: the storage's place in the list, and (offset, size, stride, …).
    Tensor(Vec<Value<'a>>),
    /// An object of an unknown class: its attributes, where it has a dictionary of them.
    Object(Option<Value<'a>>),
}

/// A pickle's values.
pub struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Value<'a>,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle.
    pub fn read(bytes: &'a [u8]) -> Result<Pickle<'a>> {
        Machine::new(bytes).run()
    }

    /// What the whole is.
    pub fn root(&self) -> Value<'a> {
        self.root
    }

    /// What a value holds.
    pub fn node(&self, value: Value<'a>) -> Option<&Node<'a>> {
        match value {
            Value::Node(at) => self.nodes.get(at),
            _ => None,
        }
    }

    /// The entries of a dictionary, or the attributes of an object.
    pub fn entries(&self, value: Value<'a>) -> Option<&[(Value<'a>, Value<'a>)]> {
        match self.node(value) {
            Some(Node::Dictionary(entries)) => Some(entries),
            Some(Node::Object(Some(attributes))) => match self.node(*attributes) {
                Some(Node::Dictionary(entries)) => Some(entries),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value of a key or attribute; of several the last, as in Python.
    pub fn get(&self, value: Value<'a>, key: &str) -> Option<Value<'a>> {
        let is = |entry: &&(Value<'a>, Value<'a>)| matches!(entry.0, Value::Text(text) if text == key);
        self.entries(value)?.iter().rev().find(is).map(|entry| entry.1)
    }
}
