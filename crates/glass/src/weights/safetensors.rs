//! Reads the header of a safetensors file; every number is checked before it is used
//! (<https://github.com/huggingface/safetensors#format>).
//!
//! ```text
//! 8 bytes: length of the header │ header: JSON, every tensor's dtype, shape and place │ the tensors' bytes
//! ```

use std::collections::HashMap;
use std::ops::Range;

use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;

use super::members::{Members, name};
use crate::config::object::short;
use crate::weights::dtype::Dtype;
use crate::{Error, Result};

/// A tensor's dtype, shape and position in its file.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its dtype: one that can be converted to f32, or the file's name of another.
    pub dtype: std::result::Result<Dtype, String>,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its bytes within the file.
    pub bytes: Range<usize>,
}

impl Tensor {
    /// The file's name of its dtype.
    pub fn dtype_name(&self) -> &str {
        match &self.dtype {
            Ok(Dtype::F64) => "F64",
            Ok(Dtype::F32) => "F32",
            Ok(Dtype::F16) => "F16",
            Ok(Dtype::Bf16) => "BF16",
            Err(name) => name,
        }
    }
}

/// The reference implementation's limit on a header's length, in bytes.
const LONGEST_HEADER: u64 = 100_000_000;

/// No GPT has more tensors; what a file says of more is not read.
pub(super) const MOST_TENSORS: usize = 1 << 17;

/// The longest description of a tensor in a header, in bytes.
const LONGEST_ENTRY: usize = 4096;

/// The metadata in a header: texts, none of which is needed.
const METADATA: &str = "\"__metadata__\"";

/// How a file begins that Git LFS left in place of the large one (<https://git-lfs.com/spec/v1>).
pub(crate) const LFS_POINTER: &[u8] = b"version https://git-lfs";

/// The error message for a pointer file.
pub(crate) const LFS_ADVICE: &str =
    "is a Git LFS pointer, not the weights; fetch them with `git lfs pull`, or download the file itself";

/// A tensor's entry in the header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Info {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// The tensors of a file, in the order of their bytes; `what` names the file in errors. Every range lies within the
/// file, fits the tensor's shape and dtype, and overlaps no other.
pub fn header(what: &str, file: &[u8]) -> Result<Vec<(String, Tensor)>> {
    let wrong = |why: String| Error::invalid(what, why);
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        return Err(wrong(format!(
            "has {} bytes, too few for a safetensors file; is it complete?",
            file.len()
        )));
    };
    if file.starts_with(LFS_POINTER) {
        return Err(wrong(LFS_ADVICE.into()));
    }
    let length = u64::from_le_bytes(*length);
    if length > LONGEST_HEADER {
        let why = format!("gives its header {length} bytes, more than the limit of {LONGEST_HEADER}");
        return Err(wrong(format!("{why}; it is not a safetensors file, or it is damaged")));
    }
    if length > rest.len() as u64 {
        let why = format!("gives its header {length} bytes, but only {} follow", rest.len());
        return Err(wrong(format!("{why}; the file is truncated")));
    }
    let (text, data) = rest.split_at(length as usize);
    let not_expected = |why: String| wrong(format!("its header is not as expected ({why})"));
    let text = std::str::from_utf8(text).map_err(|error| not_expected(error.to_string()))?;
    let mut tensors = Vec::with_capacity(count(text).map_err(not_expected)?);
    let mut error = None;
    let read = Members::new(text).object(&mut |quoted, value| {
        if quoted == METADATA {
            return Ok(());
        }
        let name = name(quoted)?;
        let info = info(value).map_err(|why| format!("{}: {why}", short(&name)))?;
        match tensor(&info, 8 + length as usize, data.len()) {
            Ok(tensor) => tensors.push((name.into_owned(), tensor)),
            Err(why) => error = error.take().or(Some(format!("tensor {} {why}", short(&name)))),
        }
        Ok(())
    });
    read.map_err(not_expected)?;
    if let Some(why) = error {
        return Err(wrong(why));
    }
    tensors.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    if let Some(twice) = tensors.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(not_expected(format!("{} is duplicated", short(&twice[0].0))));
    }
    tensors.sort_unstable_by_key(|(_, tensor)| (tensor.bytes.start, tensor.bytes.end));
    side_by_side(&tensors, 8 + length as usize, file.len()).map_err(wrong)?;
    Ok(tensors)
}

/// One of the texts in the header of a file that [`header`] has read.
pub(crate) fn text(file: &[u8], name: &str) -> Option<String> {
    let (_, metadata) = safetensors::SafeTensors::read_metadata(file).ok()?;
    metadata.metadata().as_ref()?.get(name).cloned()
}

/// How many tensors a header describes, whose metadata are texts.
fn count(header: &str) -> std::result::Result<usize, String> {
    let (mut tensors, mut metadata) = (0, 0);
    let mut members = Members::new(header);
    members.object(&mut |quoted, value| {
        if quoted != METADATA {
            tensors += 1;
            return match tensors {
                0..=MOST_TENSORS => Ok(()),
                _ => Err(format!("describes more than {MOST_TENSORS} tensors, which no GPT has")),
            };
        }
        metadata += 1;
        if metadata > 1 {
            return Err(format!("{METADATA} is duplicated"));
        }
        Members::new(value).object(&mut |name, value| match value.starts_with('"') {
            true => Ok(()),
            false => Err(format!("{METADATA}: the value of {} is not a text", short(name))),
        })
    })?;
    members.end().map(|()| tensors)
}

fn info(value: &str) -> std::result::Result<Info, String> {
    if value.len() > LONGEST_ENTRY {
        return Err(format!(
            "is described in {} bytes, more than the {LONGEST_ENTRY} there can be",
            value.len()
        ));
    }
    serde_json::from_str(value).map_err(|error| error.to_string())
}

/// A tensor whose bytes lie within `len` bytes that begin at `start` of the file.
fn tensor(info: &Info, start: usize, len: usize) -> std::result::Result<Tensor, String> {
    let Some((dtype, bits)) = known(&info.dtype) else {
        return Err(format!("has dtype {}, which the format does not have", short(&info.dtype)));
    };
    let [from, to] = info.data_offsets;
    if from > to || to > len as u64 {
        return Err(format!(
            "has the bytes {from} to {to}, but the file has {len} for all tensors; is it complete?"
        ));
    }
    let numbers = info.shape.iter().try_fold(1u64, |n, &size| n.checked_mul(size));
    let expected =
        numbers.and_then(|n| n.checked_mul(bits)).filter(|bits| bits % 8 == 0).map(|bits| bits / 8);
    if expected != Some(to - from) {
        let shape = short(&format!("{:?}", &info.shape[..info.shape.len().min(8)]));
        let (dtype, found) = (&info.dtype, to - from);
        return Err(format!("has {found} bytes, which do not make shape {shape} of {dtype}"));
    }
    let mut shape = Vec::with_capacity(info.shape.len());
    for &size in &info.shape {
        shape.push(usize::try_from(size).map_err(|_| "has a size that does not fit this machine")?);
    }
    Ok(Tensor { dtype, shape, bytes: start + from as usize..start + to as usize })
}

/// The dtypes of the format and their bits; those that cannot be converted to f32 without loss keep their name.
fn known(name: &str) -> Option<(std::result::Result<Dtype, String>, u64)> {
    Some(match name {
        "F64" => (Ok(Dtype::F64), 64),
        "F32" => (Ok(Dtype::F32), 32),
        "F16" => (Ok(Dtype::F16), 16),
        "BF16" => (Ok(Dtype::Bf16), 16),
        _ => {
            let text = serde_json::Value::String(name.to_string());
            let dtype: safetensors::Dtype = serde_json::from_value(text).ok()?;
            (Err(name.to_string()), dtype.bitsize() as u64)
        }
    })
}

/// Checks that every byte belongs to exactly one tensor.
fn side_by_side(tensors: &[(String, Tensor)], start: usize, end: usize) -> std::result::Result<(), String> {
    let mut at = start;
    for (name, tensor) in tensors {
        if tensor.bytes.start != at {
            let how = if tensor.bytes.start < at { "overlaps the tensor" } else { "leaves a gap to the one" };
            return Err(format!("tensor {} {how} before it; the file is damaged", short(name)));
        }
        at = tensor.bytes.end;
    }
    match at == end {
        true => Ok(()),
        false => Err(format!("{} bytes after the last tensor belong to no tensor", end - at)),
    }
}

/// The length and header of a file with these tensors, in the format's order: by dtype (all are the same here),
/// then by name. Byte for byte what the reference implementation writes.
pub fn write_header(tensors: &[(String, Vec<usize>)], dtype: Dtype) -> Result<Vec<u8>> {
    debug_assert!(tensors.is_sorted_by(|a, b| a.0 < b.0));
    let infos = tensors.iter().map(|(name, shape)| (name.clone(), shape.clone(), written(dtype)));
    header_of(&infos.collect::<Vec<_>>(), ("format", "pt"), 8)
}

/// The length and header of a file with these tensors, one after another, the first at a multiple of `align` bytes, and one
/// text about them: several would come in an order of their own in every run.
pub(crate) fn header_of(
    tensors: &[(String, Vec<usize>, safetensors::Dtype)],
    about: (&str, &str),
    align: usize,
) -> Result<Vec<u8>> {
    let mut at = 0;
    let infos = tensors.iter().map(|(name, shape, dtype)| {
        let from = at;
        at += shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (name.clone(), TensorInfo { dtype: *dtype, shape: shape.clone(), data_offsets: (from, at) })
    });
    let about = HashMap::from([(about.0.to_string(), about.1.to_string())]);
    let header = Metadata::new(Some(about), infos.collect())
        .map_err(|e| Error::invalid("model.safetensors", format!("its header cannot be written: {e}")))?;
    let mut bytes = vec![0; 8];
    serde_json::to_writer(&mut bytes, &header)
        .map_err(|e| Error::invalid("model.safetensors", format!("its header cannot be written: {e}")))?;
    bytes.resize(bytes.len().next_multiple_of(align), b' ');
    let length = bytes.len() as u64 - 8;
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

pub(crate) fn written(dtype: Dtype) -> safetensors::Dtype {
    match dtype {
        Dtype::F64 => safetensors::Dtype::F64,
        Dtype::F32 => safetensors::Dtype::F32,
        Dtype::F16 => safetensors::Dtype::F16,
        Dtype::Bf16 => safetensors::Dtype::BF16,
    }
}
