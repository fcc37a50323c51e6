//! The machine: a stack, marks in it, and a memory.

use std::collections::HashMap;

use super::{Known, Node, Pickle, Result, Value};

/// The machine.
#[derive(Default)]
pub struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value<'a>>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    nodes: Vec<Node<'a>>,
}

impl<'a> Machine<'a> {
    /// In front of a pickle.
    pub fn new(pickle: &'a [u8]) -> Self {
        Machine { rest: pickle, ..Machine::default() }
    }

    /// Reads it to its end.
    pub fn run(mut self) -> Result<Pickle<'a>> {
        loop {
            let [code] = self.take()?;
            match code {
                0x80 => self.protocol()?,
                b'.' => {
                    let root = self.pop()?;
                    return Ok(Pickle { nodes: self.nodes, root });
                }
                b'(' => self.marks.push(self.stack.len()),
                b'N' => self.stack.push(Value::Other),
                0x88 | 0x89 => self.stack.push(Value::Bool(code == 0x88)),
                b'G' => self.take::<8>().map(|_| self.stack.push(Value::Other))?,
                b'K' => self.take().map(|[n]: [u8; 1]| self.stack.push(Value::Int(n.into())))?,
                b'M' => self.take().map(|n| self.stack.push(Value::Int(u16::from_le_bytes(n).into())))?,
                b'J' => self.take().map(|n| self.stack.push(Value::Int(i32::from_le_bytes(n).into())))?,
                0x8A => self.long()?,
                b'X' => self.text()?,
                b'}' => self.push(Node::Dictionary(Vec::new())),
                b']' | b')' => self.push(Node::List(Vec::new())),
                0x85..=0x87 => self.tuple(usize::from(code - 0x84))?,
                b't' => self.above_mark().map(|values| self.push(Node::List(values)))?,
                b'a' => self.pop().and_then(|value| self.append(vec![value]))?,
                b'e' => self.above_mark().and_then(|values| self.append(values))?,
                b's' => self.pop_two().and_then(|pair| self.set(pair.to_vec()))?,
                b'u' => self.above_mark().and_then(|values| self.set(values))?,
                b'q' => self.take().and_then(|[n]: [u8; 1]| self.remember(n.into()))?,
                b'r' => self.take().and_then(|n| self.remember(u32::from_le_bytes(n)))?,
                b'h' => self.take().and_then(|[n]: [u8; 1]| self.recall(n.into()))?,
                b'j' => self.take().and_then(|n| self.recall(u32::from_le_bytes(n)))?,
                b'c' => self.name()?,
                b'Q' => self.storage()?,
                b'R' => self.call()?,
                b'b' => self.attributes()?,
                other => return Err(format!("has opcode {other:#04x}, which torch.save does not write")),
            }
        }
    }

    fn protocol(&mut self) -> Result<()> {
        match self.take()? {
            [2] => Ok(()),
            [other] => Err(format!("is of protocol {other}; 2, as torch.save writes it, was expected")),
        }
    }

    /// The next bytes.
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or("ends too early")?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn slice(&mut self, len: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or("ends too early")?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A line without its end.
    fn line(&mut self) -> Result<&'a str> {
        let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or("ends too early")?;
        let line = &self.slice(end + 1)?[..end];
        std::str::from_utf8(line).map_err(|_| "holds a name that is not UTF-8".into())
    }

    fn long(&mut self) -> Result<()> {
        let [len] = self.take()?;
        let bytes = self.slice(len.into())?;
        let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
        let mut wide = [if negative { 0xFF } else { 0 }; 8];
        self.stack.push(match wide.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(wide))
            }
            None => Value::Other,
        });
        Ok(())
    }

    fn text(&mut self) -> Result<()> {
        let len = u32::from_le_bytes(self.take()?);
        let text = std::str::from_utf8(self.slice(len as usize)?);
        self.stack.push(Value::Text(text.map_err(|_| "holds a text that is not UTF-8")?));
        Ok(())
    }

    fn push(&mut self, node: Node<'a>) {
        self.stack.push(Value::Node(self.nodes.len()));
        self.nodes.push(node);
    }

    /// What stands above the last mark stays.
    fn pop(&mut self) -> Result<Value<'a>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => self.stack.pop().ok_or("is damaged".into()),
            false => Err("is damaged: it takes more from its stack than there is".into()),
        }
    }

    fn pop_two(&mut self) -> Result<[Value<'a>; 2]> {
        let second = self.pop()?;
        Ok([self.pop()?, second])
    }

    fn above_mark(&mut self) -> Result<Vec<Value<'a>>> {
        let mark = self.marks.pop().ok_or("is damaged: it goes back to a mark that is not there")?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, len: usize) -> Result<()> {
        let mut values = (0..len).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        values.reverse();
        self.push(Node::List(values));
        Ok(())
    }

    /// What the topmost value holds.
    fn top(&mut self) -> Result<&mut Node<'a>> {
        let top = self.pop()?;
        self.stack.push(top);
        match top {
            Value::Node(at) => Ok(&mut self.nodes[at]),
            _ => Err("is damaged: it puts something into what holds nothing".into()),
        }
    }

    fn append(&mut self, values: Vec<Value<'a>>) -> Result<()> {
        match self.top()? {
            Node::List(list) => list.extend(values),
            _ => return Err("is damaged: it appends to what is no list".into()),
        }
        Ok(())
    }

    fn set(&mut self, values: Vec<Value<'a>>) -> Result<()> {
        let (pairs, odd) = values.as_chunks::<2>();
        match self.top()? {
            Node::Dictionary(entries) if odd.is_empty() => {
                entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
            }
            _ => return Err("is damaged: it sets keys of what is no dictionary".into()),
        }
        Ok(())
    }

    fn remember(&mut self, place: u32) -> Result<()> {
        let top = self.pop()?;
        self.stack.push(top);
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<()> {
        let value = self.memo.get(&place).ok_or("is damaged: it recalls what it never remembered")?;
        self.stack.push(*value);
        Ok(())
    }

    fn name(&mut self) -> Result<()> {
        let (module, name) = (self.line()?, self.line()?);
        let known = Known::named(module, name).ok_or_else(|| {
            let full: String = format!("{module}.{name}").chars().take(80).collect();
            format!("asks for {full:?}, which is neither a tensor nor a dictionary and is not run")
        })?;
        self.stack.push(Value::Known(known));
        Ok(())
    }

    /// `('storage', torch.FloatStorage, key, device, how many)` becomes a storage.
    fn storage(&mut self) -> Result<()> {
        let id = self.pop()?;
        let Value::Node(at) = id else { return Err("refers to something that is no storage".into()) };
        let storage = match &self.nodes[at] {
            Node::List(id) => match id[..] {
                [
                    Value::Text("storage"),
                    Value::Known(kind @ Known::Storage(..)),
                    Value::Text(key),
                    Value::Text(_),
                    Value::Int(len),
                ] => Node::Storage(kind, key, len),
                _ => return Err("refers to something that is no storage".into()),
            },
            _ => return Err("refers to something that is no storage".into()),
        };
        self.push(storage);
        Ok(())
    }

    fn call(&mut self) -> Result<()> {
        let [function, arguments] = self.pop_two()?;
        let Value::Node(at) = arguments else { return Err("is damaged: it calls without arguments".into()) };
        let arguments = match &self.nodes[at] {
            Node::List(arguments) => arguments,
            _ => return Err("is damaged: it calls without arguments".into()),
        };
        let made = match function {
            Value::Known(Known::Dictionary) if arguments.is_empty() => Node::Dictionary(Vec::new()),
            // The first four say which tensor; the others, how it learned.
            Value::Known(Known::Tensor) if arguments.len() >= 4 => Node::Tensor(arguments[..4].to_vec()),
            _ => {
                return Err("calls something that is neither a tensor nor a dictionary; it is not run".into());
            }
        };
        self.push(made);
        Ok(())
    }

    /// An ordered dictionary's attributes (a module's `_metadata`) say nothing that is needed.
    fn attributes(&mut self) -> Result<()> {
        self.pop()?;
        match self.top()? {
            Node::Dictionary(_) => Ok(()),
            _ => Err("sets attributes of something that is no dictionary".into()),
        }
    }
}
