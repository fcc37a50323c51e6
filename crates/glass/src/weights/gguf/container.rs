//! The container: fields and tensors, every number checked before it is used.

use std::collections::HashMap;

use super::blocks::Blocks;
use crate::config::object::short;
use crate::weights::dtype::Dtype;
use crate::weights::safetensors::Tensor;

/// The first bytes.
pub const MAGIC: &[u8] = b"GGUF";
/// Versions that differ in nothing that matters here; the first had 32-bit lengths.
pub const VERSION: u32 = 3;
/// What tensors are aligned to, where no field says otherwise.
pub const ALIGNMENT: usize = 32;

/// A field's value. Numbers are f64: ids and sizes are exact in it.
pub enum Value {
    Number(f64),
    Text(String),
    List(Vec<Value>),
}

/// One tensor.
pub struct Named {
    /// As llama.cpp calls it.
    pub name: String,
    /// What and where it is; its shape as ours, outputs first.
    pub tensor: Tensor,
}

/// A file's fields and tensors.
pub struct Container {
    pub fields: HashMap<String, Value>,
    pub tensors: Vec<Named>,
}

/// Types of a field's value, as the file numbers them.
pub const U32: u32 = 4;
pub const F32: u32 = 6;
pub const BOOL: u32 = 7;
pub const TEXT: u32 = 8;
pub const LIST: u32 = 9;
pub const I32: u32 = 5;

impl Container {
    /// Reads the head of a file.
    pub fn read(file: &[u8]) -> Result<Container, String> {
        let mut head = Head { file, at: MAGIC.len() };
        let version = head.u32()?;
        if !(2..=VERSION).contains(&version) {
            return Err(format!("is GGUF's version {version}; 2 and 3 can be read"));
        }
        let (tensors, fields) = (head.u64()?, head.u64()?);
        let mut container = Container { fields: HashMap::new(), tensors: Vec::new() };
        for _ in 0..fields {
            let name = head.text()?;
            let kind = head.u32()?;
            let value = head.value(kind).map_err(|why| format!("field {}: {why}", short(&name)))?;
            container.fields.insert(name, value);
        }
        let mut places = Vec::new();
        for _ in 0..tensors {
            places.push(head.tensor()?);
        }
        let align = match container.fields.get("general.alignment") {
            None => ALIGNMENT,
            Some(Value::Number(align)) if *align >= 1.0 && *align <= 65536.0 => *align as usize,
            Some(_) => return Err("general.alignment is no size".into()),
        };
        let data = head.at.next_multiple_of(align);
        for (name, shape, kind, offset) in places {
            let tensor = placed(file.len(), data, &shape, kind, offset)
                .map_err(|why| format!("tensor {} {why}", short(&name)))?;
            container.tensors.push(Named { name, tensor });
        }
        Ok(container)
    }
}

/// Where a tensor stands.
fn placed(len: usize, data: usize, shape: &[usize], kind: u32, offset: u64) -> Result<Tensor, String> {
    let (dtype, per_block, bytes) = known(kind).ok_or(format!("has type {kind}, which is not read here"))?;
    let inputs = shape.last().copied().unwrap_or(0);
    let numbers = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    let size =
        numbers.filter(|_| inputs.is_multiple_of(per_block)).and_then(|n| (n / per_block).checked_mul(bytes));
    let start = usize::try_from(offset).ok().and_then(|offset| data.checked_add(offset));
    match size.zip(start).and_then(|(size, start)| Some(start..start.checked_add(size)?)) {
        Some(bytes) if bytes.end <= len => Ok(Tensor { dtype, shape: shape.to_vec(), bytes }),
        _ => Err("does not lie within the file; is it whole?".into()),
    }
}

/// A tensor's type by its number: what it is called, the numbers of a block, its bytes.
fn known(kind: u32) -> Option<(Result<Dtype, String>, usize, usize)> {
    let dense = [Dtype::F32, Dtype::F16, Dtype::Bf16].into_iter().find(|dtype| number(*dtype) == kind);
    if let Some(dtype) = dense {
        return Some((Ok(dtype), 1, dtype.bytes()));
    }
    let blocks = Blocks::ALL.into_iter().find(|blocks| blocks.number() == kind)?;
    Some((Err(blocks.name().to_string()), blocks.len(), blocks.bytes()))
}

/// The number of a dense type.
pub fn number(dtype: Dtype) -> u32 {
    match dtype {
        Dtype::F32 => 0,
        Dtype::F16 => 1,
        Dtype::Bf16 => 30,
    }
}

/// The head of a file while it is read.
struct Head<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Head<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8], String> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        let bytes = end.and_then(|end| self.file.get(self.at..end));
        let bytes = bytes.ok_or("ends within its header; it is cut short")?;
        self.at += bytes.len();
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N as u64)?.try_into().expect("so many were taken"))
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<String, String> {
        let len = self.u64()?;
        Ok(String::from_utf8_lossy(self.take(len)?).into_owned())
    }

    fn value(&mut self, kind: u32) -> Result<Value, String> {
        if kind != LIST {
            return self.single(kind);
        }
        let (kind, count) = (self.u32()?, self.u64()?);
        // Every value has a byte at least, so that a count beyond the file ends soon.
        (0..count).map(|_| self.single(kind)).collect::<Result<_, _>>().map(Value::List)
    }

    fn single(&mut self, kind: u32) -> Result<Value, String> {
        Ok(Value::Number(match kind {
            0 | BOOL => self.array::<1>()?[0].into(),
            1 => f64::from(self.array::<1>()?[0] as i8),
            2 => u16::from_le_bytes(self.array()?).into(),
            3 => i16::from_le_bytes(self.array()?).into(),
            U32 => self.u32()?.into(),
            I32 => i32::from_le_bytes(self.array()?).into(),
            F32 => f32::from_le_bytes(self.array()?).into(),
            TEXT => return self.text().map(Value::Text),
            10 => self.u64()? as f64,
            11 => i64::from_le_bytes(self.array()?) as f64,
            12 => f64::from_le_bytes(self.array()?),
            other => return Err(format!("type {other} is not known")),
        }))
    }

    /// Name, shape (outputs first), type, offset.
    fn tensor(&mut self) -> Result<(String, Vec<usize>, u32, u64), String> {
        let (name, dimensions) = (self.text()?, self.u32()?);
        if dimensions == 0 || dimensions > 4 {
            return Err(format!("tensor {} has {dimensions} dimensions", short(&name)));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(usize::try_from(self.u64()?).unwrap_or(usize::MAX));
        }
        shape.reverse();
        Ok((name, shape, self.u32()?, self.u64()?))
    }
}
