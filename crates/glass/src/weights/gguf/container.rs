//! The container: fields and tensors; every number is checked before it is used.
//!
//! Only the positions of the header's fields are stored, 4 bytes each, so a header of any size takes less memory
//! than the file: strings and lists are read in place.

use super::blocks::Blocks;
use super::kinds;
use crate::config::object::short;
use crate::weights::dtype::Dtype;
use crate::weights::safetensors::Tensor;

/// The first bytes.
pub const MAGIC: &[u8] = b"GGUF";
/// The versions differ only in ways that do not matter here; the first one had 32-bit lengths.
pub const VERSION: u32 = 3;
/// The alignment of tensors, if no field gives another.
pub const ALIGNMENT: usize = 32;

/// A field's value. Numbers are f64: ids and sizes are exact.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    Number(f64),
    Text(&'a str),
    List(List<'a>),
}

/// Values of one type, read in place.
#[derive(Clone, Copy)]
pub struct List<'a> {
    kind: u32,
    count: usize,
    /// They begin here; the rest of the file follows.
    bytes: &'a [u8],
}

impl<'a> List<'a> {
    /// The number of values.
    pub fn len(self) -> usize {
        self.count
    }

    /// Its values, which were checked when the header was read.
    pub fn values(self) -> impl Iterator<Item = Value<'a>> {
        let mut head = Head { file: self.bytes, at: 0 };
        (0..self.count).map_while(move |_| head.single(self.kind).ok())
    }
}

/// One tensor.
pub struct Named<'a> {
    /// llama.cpp's name.
    pub name: &'a str,
    /// Its type and position; its shape is in Glass's order, outputs first.
    pub tensor: Tensor,
}

/// A file's fields, and where its tensors are described.
pub struct Container<'a> {
    file: &'a [u8],
    /// Where the fields begin, sorted by name.
    fields: Vec<u32>,
    /// The number of tensors, and where the first one is described.
    tensors: (u64, usize),
}

/// Types of a field's value.
pub const U32: u32 = 4;
pub const F32: u32 = 6;
pub const BOOL: u32 = 7;
pub const TEXT: u32 = 8;
pub const LIST: u32 = 9;
pub const I32: u32 = 5;

/// The smallest size of a field: the length of its name, its type, a value of one byte.
const SHORTEST_FIELD: usize = 13;

impl<'a> Container<'a> {
    /// Reads the fields of a file.
    pub fn read(file: &'a [u8]) -> Result<Container<'a>, String> {
        let mut head = Head { file, at: MAGIC.len() };
        let version = head.u32()?;
        if !(2..=VERSION).contains(&version) {
            return Err(format!("is GGUF version {version}; 2 and 3 can be read"));
        }
        let (tensors, count) = (head.u64()?, head.u64()?);
        let most = file.len() / SHORTEST_FIELD;
        let count = usize::try_from(count).ok().filter(|count| *count <= most).ok_or_else(cut_short)?;
        let mut fields = Vec::with_capacity(count);
        for _ in 0..count {
            fields.push(u32::try_from(head.at).map_err(|_| "has a header of more than 4 GiB")?);
            let (name, kind) = (head.text()?, head.u32()?);
            head.value(kind).map_err(|why| format!("field {}: {why}", short(name)))?;
        }
        let mut container = Container { file, fields: Vec::new(), tensors: (tensors, head.at) };
        fields.sort_unstable_by_key(|&at| container.name(at));
        if let Some(twice) = fields.windows(2).find(|pair| container.name(pair[0]) == container.name(pair[1]))
        {
            return Err(format!("has the field {} twice", short(container.name(twice[0]))));
        }
        container.fields = fields;
        Ok(container)
    }

    /// A field's value.
    pub fn get(&self, field: &str) -> Option<Value<'a>> {
        let at = self.fields.binary_search_by_key(&field, |&at| self.name(at)).ok()?;
        let mut head = Head { file: self.file, at: self.fields[at] as usize };
        head.text().ok()?;
        match head.u32().ok()? {
            // All of its values were read once already.
            LIST => head.list().map(Value::List).ok(),
            kind => head.single(kind).ok(),
        }
    }

    /// The name of the field that begins at `at`.
    fn name(&self, at: u32) -> &'a str {
        Head { file: self.file, at: at as usize }.text().unwrap_or_default()
    }

    /// The tensors; more than `most` is an error.
    pub fn tensors(&self, most: usize) -> Result<Vec<Named<'a>>, String> {
        let (count, at) = self.tensors;
        let Some(count) = usize::try_from(count).ok().filter(|count| *count <= most) else {
            return Err(format!("has {count} tensors; a model of its shape has at most {most}"));
        };
        let mut head = Head { file: self.file, at };
        let places = (0..count).map(|_| head.tensor()).collect::<Result<Vec<_>, _>>()?;
        let align = match self.get("general.alignment") {
            None => ALIGNMENT,
            Some(Value::Number(align)) if (1.0..=65536.0).contains(&align) => align as usize,
            Some(_) => return Err("general.alignment is not a number from 1 to 65536".into()),
        };
        let mut at = head.at.next_multiple_of(align);
        let data = at;
        let mut tensors = Vec::with_capacity(count);
        for (name, shape, kind, offset) in places {
            let wrong = |why: String| format!("tensor {} {why}", short(name));
            let tensor = placed(self.file.len(), data, &shape, kind, offset).map_err(wrong)?;
            if tensor.bytes.start != at {
                let why = format!("has offset {offset}, but the one before it ends at {}", at - data);
                return Err(wrong(format!("{why}; the file is damaged")));
            }
            at = tensor.bytes.end.next_multiple_of(align);
            tensors.push(Named { name, tensor });
        }
        match self.file.len().saturating_sub(at) {
            0 => Ok(tensors),
            rest => {
                Err(format!("{rest} bytes after the last tensor belong to no tensor; the file is damaged"))
            }
        }
    }
}

/// Where a tensor is in the file.
fn placed(len: usize, data: usize, shape: &[usize], kind: u32, offset: u64) -> Result<Tensor, String> {
    let (dtype, per_block, bytes) = known(kind)
        .ok_or_else(|| format!("has type {}; {} can be read", kinds::name(kind), kinds::readable()))?;
    let inputs = shape.last().copied().unwrap_or(0);
    let numbers = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    let size =
        numbers.filter(|_| inputs.is_multiple_of(per_block)).and_then(|n| (n / per_block).checked_mul(bytes));
    let start = usize::try_from(offset).ok().and_then(|offset| data.checked_add(offset));
    match size.zip(start).and_then(|(size, start)| Some(start..start.checked_add(size)?)) {
        Some(bytes) if bytes.end <= len => Ok(Tensor { dtype, shape: shape.to_vec(), bytes }),
        _ => Err("reaches beyond the end of the file; is it complete?".into()),
    }
}

/// A tensor's type by its number: its name, the weights of a block, the bytes of a block.
fn known(kind: u32) -> Option<(Result<Dtype, String>, usize, usize)> {
    let dense =
        [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::F64].into_iter().find(|dtype| number(*dtype) == kind);
    if let Some(dtype) = dense {
        return Some((Ok(dtype), 1, dtype.bytes()));
    }
    let blocks = Blocks::ALL.into_iter().find(|blocks| blocks.number() == kind)?;
    Some((Err(blocks.name().to_string()), blocks.len(), blocks.bytes()))
}

/// The number of a dense type.
pub fn number(dtype: Dtype) -> u32 {
    match dtype {
        Dtype::F64 => 28,
        Dtype::F32 => 0,
        Dtype::F16 => 1,
        Dtype::Bf16 => 30,
    }
}

fn cut_short() -> String {
    "ends within its header; it is cut short".to_string()
}

/// The header of a file while it is read.
struct Head<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Head<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8], String> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        let bytes = end.and_then(|end| self.file.get(self.at..end)).ok_or_else(cut_short)?;
        self.at += bytes.len();
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N as u64)?.try_into().expect("N bytes were taken"))
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<&'a str, String> {
        let len = self.u64()?;
        std::str::from_utf8(self.take(len)?).map_err(|_| "a string in its header is not UTF-8".to_string())
    }

    fn value(&mut self, kind: u32) -> Result<Value<'a>, String> {
        if kind != LIST {
            return self.single(kind);
        }
        let list = self.list()?;
        let count = list.count as u64;
        match width(list.kind) {
            Some(width) => drop(self.take(count.checked_mul(width).ok_or_else(cut_short)?)?),
            // Every value has at least one byte, so a count beyond the file ends soon.
            None => (0..count).try_for_each(|_| self.single(list.kind).map(|_| ()))?,
        }
        Ok(Value::List(list))
    }

    /// A list whose values are not read yet.
    fn list(&mut self) -> Result<List<'a>, String> {
        let (kind, count) = (self.u32()?, self.u64()?);
        let count = usize::try_from(count).map_err(|_| cut_short())?;
        Ok(List { kind, count, bytes: &self.file[self.at..] })
    }

    fn single(&mut self, kind: u32) -> Result<Value<'a>, String> {
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
            other => return Err(format!("its values have type {other}, which GGUF does not define")),
        }))
    }

    /// Name, shape (outputs first), type, offset.
    fn tensor(&mut self) -> Result<(&'a str, Vec<usize>, u32, u64), String> {
        let (name, dimensions) = (self.text()?, self.u32()?);
        if dimensions == 0 || dimensions > 4 {
            return Err(format!("tensor {} has {dimensions} dimensions", short(name)));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(usize::try_from(self.u64()?).unwrap_or(usize::MAX));
        }
        shape.reverse();
        Ok((name, shape, self.u32()?, self.u64()?))
    }
}

/// The size of a value in bytes, if all values of its type have the same size.
fn width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | BOOL => Some(1),
        2 | 3 => Some(2),
        U32 | I32 | F32 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}
