//! The pickle machine: a stack, marks in it, and a memo.

use std::collections::HashMap;

use super::{Known, Node, Pickle, Result, Value};

/// The largest number of objects in a checkpoint; it bounds the memory that a hostile file can use.
const MOST_OBJECTS: usize = 1 << 20;

/// The machine.
#[derive(Default)]
pub struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value<'a>>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    nodes: Vec<Node<'a>>,
}

impl<'a> Machine<'a> {
    /// A machine at the start of a pickle.
    pub fn new(pickle: &'a [u8]) -> Self {
        Machine { rest: pickle, ..Machine::default() }
    }

    /// Runs to the end of the pickle.
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
                b'0' => self.pop().map(|_| ())?,
                b'1' => self.above_mark().map(|_| ())?,
                b'2' => self.pop().map(|top| self.stack.extend([top, top]))?,
                0x88 | 0x89 => self.stack.push(Value::Bool(code == 0x88)),
                b'G' => self.take::<8>().map(|_| self.stack.push(Value::Other))?,
                b'K' => self.take().map(|[n]: [u8; 1]| self.stack.push(Value::Int(n.into())))?,
                b'M' => self.take().map(|n| self.stack.push(Value::Int(u16::from_le_bytes(n).into())))?,
                b'J' => self.take().map(|n| self.stack.push(Value::Int(i32::from_le_bytes(n).into())))?,
                0x8A => self.long()?,
                0x8B => self.sized::<4>().map(|_| self.stack.push(Value::Other))?,
                b'X' => self.sized::<4>().and_then(|text| self.text(text))?,
                0x8C => self.sized::<1>().and_then(|text| self.text(text))?,
                0x8D => self.sized::<8>().and_then(|text| self.text(text))?,
                b'U' | b'C' => self.sized::<1>().map(|_| self.stack.push(Value::Other))?,
                b'T' | b'B' => self.sized::<4>().map(|_| self.stack.push(Value::Other))?,
                0x8E | 0x96 => self.sized::<8>().map(|_| self.stack.push(Value::Other))?,
                b'}' => self.push(Node::Dictionary(Vec::new()))?,
                b']' | b')' | 0x8F => self.push(Node::List(Vec::new()))?,
                0x85..=0x87 => self.tuple(usize::from(code - 0x84))?,
                b't' | b'l' | 0x91 => self.above_mark().and_then(|values| self.push(Node::List(values)))?,
                b'd' => {
                    let values = self.above_mark()?;
                    self.push(Node::Dictionary(Vec::new()))?;
                    self.set(values)?;
                }
                b'a' => self.pop().and_then(|value| self.append(vec![value]))?,
                b'e' | 0x90 => self.above_mark().and_then(|values| self.append(values))?,
                b's' => self.pop_two().and_then(|pair| self.set(pair.to_vec()))?,
                b'u' => self.above_mark().and_then(|values| self.set(values))?,
                b'q' => self.take().and_then(|[n]: [u8; 1]| self.remember(n.into()))?,
                b'r' => self.take().and_then(|n| self.remember(u32::from_le_bytes(n)))?,
                0x94 => self.remember(self.memo.len() as u32)?,
                0x95 => self.take::<8>().map(|_| ())?,
                b'h' => self.take().and_then(|[n]: [u8; 1]| self.recall(n.into()))?,
                b'j' => self.take().and_then(|n| self.recall(u32::from_le_bytes(n)))?,
                b'c' => self.name()?,
                b'Q' => self.storage()?,
                0x93 => self.name_on_stack()?,
                b'R' => self.call()?,
                0x81 => self.pop_two().and_then(|_| self.push(Node::Object(None)))?,
                0x92 => {
                    self.pop()?;
                    self.pop_two()?;
                    self.push(Node::Object(None))?;
                }
                b'b' => self.attributes()?,
                other => return Err(format!("has opcode {other:#04x}, which is not supported")),
            }
        }
    }

    fn protocol(&mut self) -> Result<()> {
        match self.take()? {
            [2..=5] => Ok(()),
            [other] => Err(format!("uses protocol {other}; 2 to 5 were expected")),
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

    /// A line without its line break.
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

    /// Bytes that follow their length, which has `N` bytes.
    fn sized<const N: usize>(&mut self) -> Result<&'a [u8]> {
        let mut len = [0; 8];
        len[..N].copy_from_slice(&self.take::<N>()?);
        self.slice(usize::try_from(u64::from_le_bytes(len)).map_err(|_| "ends too early")?)
    }

    fn text(&mut self, bytes: &'a [u8]) -> Result<()> {
        let text = std::str::from_utf8(bytes);
        self.stack.push(Value::Text(text.map_err(|_| "holds a string that is not UTF-8")?));
        Ok(())
    }

    fn push(&mut self, node: Node<'a>) -> Result<()> {
        if self.nodes.len() == MOST_OBJECTS {
            return Err(format!("holds more than {MOST_OBJECTS} objects, which no checkpoint does"));
        }
        self.stack.push(Value::Node(self.nodes.len()));
        self.nodes.push(node);
        Ok(())
    }

    /// Pops a value, but never below the last mark.
    fn pop(&mut self) -> Result<Value<'a>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => self.stack.pop().ok_or("is damaged".into()),
            false => Err("is damaged: it pops an empty stack".into()),
        }
    }

    fn pop_two(&mut self) -> Result<[Value<'a>; 2]> {
        let second = self.pop()?;
        Ok([self.pop()?, second])
    }

    fn above_mark(&mut self) -> Result<Vec<Value<'a>>> {
        let mark = self.marks.pop().ok_or("is damaged: it goes back to a mark that does not exist")?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, len: usize) -> Result<()> {
        let mut values = (0..len).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        values.reverse();
        self.push(Node::List(values))
    }

    /// The contents of the topmost value.
    fn top(&mut self) -> Result<&mut Node<'a>> {
        let top = self.pop()?;
        self.stack.push(top);
        match top {
            Value::Node(at) => Ok(&mut self.nodes[at]),
            _ => Err("is damaged: it stores into a value that holds nothing".into()),
        }
    }

    fn append(&mut self, values: Vec<Value<'a>>) -> Result<()> {
        match self.top()? {
            Node::List(list) => list.extend(values),
            Node::Object(_) => {}
            _ => return Err("is damaged: it appends to something that is not a list".into()),
        }
        Ok(())
    }

    fn set(&mut self, values: Vec<Value<'a>>) -> Result<()> {
        let (pairs, odd) = values.as_chunks::<2>();
        match self.top()? {
            Node::Dictionary(entries) if odd.is_empty() => {
                entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
            }
            Node::Object(_) => {}
            _ => return Err("is damaged: it sets keys of something that is not a dictionary".into()),
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
        let value =
            self.memo.get(&place).ok_or("is damaged: it reads a memo entry that was never written")?;
        self.stack.push(*value);
        Ok(())
    }

    fn name(&mut self) -> Result<()> {
        let (module, name) = (self.line()?, self.line()?);
        self.stack.push(Value::Known(Known::named(module, name)));
        Ok(())
    }

    fn name_on_stack(&mut self) -> Result<()> {
        let [Value::Text(module), Value::Text(name)] = self.pop_two()? else {
            return Err("is damaged: the name of a class is not a string".into());
        };
        self.stack.push(Value::Known(Known::named(module, name)));
        Ok(())
    }

    /// `('storage', torch.FloatStorage, key, device, how many)` becomes a storage. One of another kind is an object without
    /// content, which only whoever reads it misses.
    fn storage(&mut self) -> Result<()> {
        let id = self.pop()?;
        let Value::Node(at) = id else { return self.push(Node::Object(None)) };
        let storage = match &self.nodes[at] {
            Node::List(id) => match id[..] {
                [
                    Value::Text("storage"),
                    Value::Known(kind @ Known::Storage(..)),
                    Value::Text(key),
                    Value::Text(_),
                    Value::Int(len),
                ] => Node::Storage(kind, key, len),
                _ => Node::Object(None),
            },
            _ => Node::Object(None),
        };
        self.push(storage)
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
            // The first four arguments describe the tensor; the others are about gradients.
            Value::Known(Known::Tensor) if arguments.len() >= 4 => Node::Tensor(arguments[..4].to_vec()),
            Value::Known(Known::Parameter) if !arguments.is_empty() => {
                self.stack.push(arguments[0]);
                return Ok(());
            }
            // Not called: readers find neither a tensor nor a number here.
            _ => Node::Object(None),
        };
        self.push(made)
    }

    /// The attributes of an object. Those of a dictionary (a module's `_metadata`) are not needed.
    fn attributes(&mut self) -> Result<()> {
        let state = self.pop()?;
        match self.top()? {
            Node::Object(attributes) => *attributes = Some(state),
            Node::Dictionary(_) | Node::Tensor(_) => {}
            _ => return Err("is damaged: it sets attributes of something that has none".into()),
        }
        Ok(())
    }
}
