//! Reads files that `torch.save` writes since PyTorch 1.6: a zip archive of uncompressed files, `data.pkl` with the
//! objects and `data/0`, `data/1`, … with the numbers
//! (<https://docs.pytorch.org/docs/stable/notes/serialization.html>).

use std::collections::HashMap;
use std::ops::Range;

use rawzip::{CompressionMethod, ZipArchive};

use super::names::{self, EMBEDDING, UNEMBEDDING};
use super::pickle::{Known, Node, Pickle, Value};
use super::safetensors::Tensor;
use crate::config::object::short;
use crate::{Error, Result};

/// The largest pickle in a checkpoint, in bytes, which bounds the memory used to read it.
const LONGEST_PICKLE: usize = 4 << 20;

/// An archive: its objects, and where its numbers are.
pub struct Archive<'a> {
    /// The file, for error messages.
    name: &'a str,
    /// The objects.
    pub pickle: Pickle<'a>,
    /// Where the numbers of each storage are in the file, by key.
    storages: HashMap<String, Range<usize>>,
}

/// Whether a file begins as a zip archive.
pub fn is_archive(file: &[u8]) -> bool {
    file.starts_with(b"PK\x03\x04")
}

/// Whether a file begins like those of PyTorch before 1.6: a bare pickle of protocol 2.
pub fn is_bare_pickle(file: &[u8]) -> bool {
    file.starts_with(&[0x80, 2])
}

/// Whether a file begins with the number that PyTorch before 1.6 wrote first, pickled.
pub fn is_legacy(file: &[u8]) -> bool {
    file.starts_with(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")
}

/// What such a file is, and what to do about it.
pub const LEGACY: &str = "was written by PyTorch before 1.6; open and save it again with a newer one";

/// Under which names programs keep a state dictionary: nanoGPT, Lightning, PyTorch's tutorials.
const STATES: [&str; 3] = ["model", "state_dict", "model_state_dict"];

/// Whether entries are the tensors of a GPT, by either name of its embedding.
fn is_state(entries: &[(Value<'_>, Value<'_>)]) -> bool {
    let is_table = |name: &str| [EMBEDDING, UNEMBEDDING].contains(&name);
    entries.iter().any(|(key, _)| matches!(key, Value::Text(key) if is_table(&names::plain(key))))
}

impl<'a> Archive<'a> {
    /// Opens a file; `name` is used in error messages.
    pub fn open(name: &'a str, file: &'a [u8]) -> Result<Archive<'a>> {
        let wrong = |why: String| Error::invalid(name, why);
        let files = files(file).map_err(wrong)?;
        // All files are in one folder, which has the name of the archive when it was written.
        let objects = files.iter().find_map(|(path, place)| Some((path.strip_suffix("data.pkl")?, place)));
        let (folder, place) = objects.ok_or_else(|| {
            wrong("is a zip archive without data.pkl; one that torch.save wrote was expected".into())
        })?;
        if place.len() > LONGEST_PICKLE {
            let why =
                format!("its data.pkl has {} bytes, more than the limit of {LONGEST_PICKLE}", place.len());
            return Err(wrong(why));
        }
        let within = |path: &'_ str| path.strip_prefix(folder).map(str::to_string);
        let order = files.iter().find(|(path, _)| within(path).is_some_and(|path| path == "byteorder"));
        if order.is_some_and(|(_, place)| file[place.clone()] != *b"little") {
            return Err(wrong("holds big-endian numbers; little-endian ones were expected".into()));
        }
        let pickle =
            Pickle::read(&file[place.clone()]).map_err(|why| wrong(format!("its data.pkl {why}")))?;
        let storages = files.iter().filter_map(|(path, place)| {
            Some((within(path)?.strip_prefix("data/")?.to_string(), place.clone()))
        });
        Ok(Archive { name, pickle, storages: storages.collect() })
    }

    /// A tensor among the objects. `key` names it in error messages.
    pub fn tensor(&self, key: &str, value: Value<'a>) -> Result<Tensor> {
        self.place(value).map_err(|why| Error::invalid(self.name, format!("tensor {} {why}", short(key))))
    }

    /// The tensors of a state dictionary.
    pub fn state(&self, entries: &[(Value<'a>, Value<'a>)]) -> Result<Vec<(String, Tensor)>> {
        let tensor = |(key, value): &(Value<'a>, Value<'a>)| match key {
            Value::Text(key) => Ok((key.to_string(), self.tensor(key, *value)?)),
            _ => Err(Error::invalid(self.name, "has a tensor whose name is not a string")),
        };
        entries.iter().map(tensor).collect()
    }

    /// The tensors of a GPT: all that there is, or what stands beside other things under a name that is usual for it.
    pub fn gpt(&self) -> Option<&[(Value<'a>, Value<'a>)]> {
        let root = self.pickle.root();
        let parts = STATES.iter().filter_map(|key| self.pickle.get(root, key));
        parts.chain([root]).find_map(|part| self.pickle.entries(part).filter(|entries| is_state(entries)))
    }

    fn place(&self, value: Value<'a>) -> std::result::Result<Tensor, String> {
        let Some(Node::Tensor(view)) = self.pickle.node(value) else {
            return Err(
                "is not a tensor that torch.save writes, and the code that would make it is not run".into()
            );
        };
        let [storage, Value::Int(offset), size, stride] = view[..] else {
            return Err("is not built like a tensor".into());
        };
        let Some(Node::Storage(Known::Storage(dtype, bytes), key, numbers)) = self.pickle.node(storage)
        else {
            return Err("has a dtype that is not read; F64, F32, F16 or BF16 was expected".into());
        };
        let (shape, strides) = (self.sizes(size)?, self.sizes(stride)?);
        let len = contiguous(&shape, &strides)?;
        let file = self.storages.get(*key).ok_or(format!("is in data/{}, which is missing", short(key)))?;
        let held = usize::try_from(*numbers).ok().and_then(|numbers| numbers.checked_mul(*bytes));
        if held != Some(file.len()) {
            let found = file.len();
            return Err(format!("is in data/{}, which has {found} bytes, not {numbers} numbers", short(key)));
        }
        let start = usize::try_from(offset).ok();
        let end = start.and_then(|start| start.checked_add(len)).and_then(|end| end.checked_mul(*bytes));
        match (start, end.filter(|end| *end <= file.len())) {
            (Some(start), Some(end)) => Ok(Tensor {
                dtype: dtype.map_err(str::to_string),
                shape,
                bytes: file.start + start * bytes..file.start + end,
            }),
            _ => Err(format!("reaches beyond the {numbers} numbers of its storage")),
        }
    }

    fn sizes(&self, value: Value<'a>) -> std::result::Result<Vec<usize>, String> {
        let Some(Node::List(sizes)) = self.pickle.node(value) else { return Err("has no shape".into()) };
        let size = |value: &Value<'_>| match value {
            Value::Int(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        sizes.iter().map(size).collect::<Option<_>>().ok_or("has an invalid size".into())
    }
}

/// The tensors of a state dictionary in a file (`pytorch_model.bin`), by their names in it; two names may share data.
///
/// # Errors
/// If the archive holds something else.
pub fn tensors(name: &str, file: &[u8]) -> Result<Vec<(String, Tensor)>> {
    let archive = Archive::open(name, file)?;
    // A shard may hold neither of the tables that tell.
    let state = archive.gpt().or_else(|| archive.pickle.entries(archive.pickle.root()));
    let state = state.ok_or_else(|| Error::invalid(name, "holds no dictionary of tensors"))?;
    archive.state(state)
}

/// The number of elements of a shape; an error if they are not stored contiguously, row by row.
fn contiguous(shape: &[usize], strides: &[usize]) -> std::result::Result<usize, String> {
    let mut numbers = 1usize;
    let mut in_order = shape.len() == strides.len();
    for (size, stride) in shape.iter().zip(strides).rev() {
        // The stride of a dimension of size 1 does not matter.
        in_order &= *size == 1 || *stride == numbers;
        numbers = numbers.checked_mul(*size).ok_or("is larger than any file")?;
    }
    match in_order {
        true => Ok(numbers),
        false => Err("is not contiguous; save it again after .contiguous()".into()),
    }
}

/// The files of an archive and their positions in it.
fn files(file: &[u8]) -> std::result::Result<Vec<(String, Range<usize>)>, String> {
    let damaged =
        |error: rawzip::Error| format!("is a zip archive that cannot be read ({error}); is it complete?");
    let archive = ZipArchive::from_slice(file).map_err(damaged)?;
    let mut entries = archive.entries();
    let mut all = Vec::new();
    while let Some(entry) = entries.next_entry().map_err(damaged)? {
        let path =
            std::str::from_utf8(entry.file_path().as_bytes()).map_err(|_| "names a file not in UTF-8")?;
        if entry.compression_method() != CompressionMethod::STORE {
            return Err(format!("holds {} compressed; torch.save writes files uncompressed", short(path)));
        }
        let (start, end) = archive.get_entry(entry.wayfinder()).map_err(damaged)?.compressed_data_range();
        all.push((path.to_string(), start as usize..end as usize));
    }
    Ok(all)
}
