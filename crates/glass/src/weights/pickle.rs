//! Reads a pickle without running anything: a small machine for the opcodes of protocols 2 to 5 (described in
//! Python's `pickletools.py`). Nothing is ever called. The few functions that make a dictionary or a tensor are
//! represented as values; the result of any other function is an object without content, which is allowed as long
//! as it is not needed.
//!
//! Values are small and copied; their contents are stored in one list, so nothing recurses, however deeply a file
//! is nested. The memory is bounded by the largest number of objects.

mod machine;

use super::dtype::Dtype;
use machine::Machine;

/// The error is a sentence whose subject is the pickle.
type Result<T> = std::result::Result<T, String>;

/// A value on the stack.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// `None`, a float, bytes, or an integer beyond 64 bits: nothing that Glass needs.
    Other,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A string.
    Text(&'a str),
    /// A class or function.
    Known(Known),
    /// The index of a [`Node`].
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
    /// Any other class or function.
    Other,
    /// `torch.FloatStorage` and the like: a dtype that can be converted to f32 or the name of another, and the size
    /// of a number in bytes.
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

/// A value that holds other values.
#[derive(Debug)]
pub enum Node<'a> {
    /// A tuple or a list.
    List(Vec<Value<'a>>),
    /// A dictionary, in its order.
    Dictionary(Vec<(Value<'a>, Value<'a>)>),
    /// Numbers in another file of the archive: a `Storage`, the key of the file, how many.
    Storage(Known, &'a str, i64),
    /// A view of a storage: the storage's index in the list, and (offset, size, stride, …).
    Tensor(Vec<Value<'a>>),
    /// An object of an unknown class: its attributes, if it has a dictionary of them.
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

    /// The outermost value.
    pub fn root(&self) -> Value<'a> {
        self.root
    }

    /// The contents of a value.
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

    /// The value of a key or attribute; if a key is repeated, the last value, as in Python.
    pub fn get(&self, value: Value<'a>, key: &str) -> Option<Value<'a>> {
        let is = |entry: &&(Value<'a>, Value<'a>)| matches!(entry.0, Value::Text(text) if text == key);
        self.entries(value)?.iter().rev().find(is).map(|entry| entry.1)
    }
}
