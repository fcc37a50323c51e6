//! Where a weight is in a model's files: the tensor, and the bytes that it is read from.

mod blocks;

use std::ops::Range;
use std::path::Path;

use glass_kernels::format::f16_to_f32;
use glass_kernels::packing::BLOCK;

use super::checkpoint::Writer;
use super::dtype::Dtype;
use super::folder::Folder;
use super::names::TensorKind;
use crate::backend::{Layout, Packing};
use crate::plan::Spec;
use crate::{Error, Result};

/// Some bytes of a file, and what they mean.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bytes {
    /// The first byte, counted from the beginning of the file.
    pub offset: usize,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What they mean.
    pub means: String,
}

/// A weight in a file.
#[derive(Clone, PartialEq, Debug)]
pub struct InFile {
    /// The file's name, without its folder.
    pub file: String,
    /// The tensor's name in the file.
    pub tensor: String,
    /// The tensor's type, by the file's name for it.
    pub dtype: String,
    /// The bytes.
    pub bytes: Vec<Bytes>,
    /// How the value follows from the bytes.
    pub equation: String,
    /// The value.
    pub value: f32,
}

/// How a value follows from bytes: these, in words, and the value.
type Read = (Vec<Bytes>, String, f32);

impl Folder {
    /// Where weight `column` of row `row` of a parameter is, and what its bytes say. In a vector, the row is 0.
    ///
    /// # Errors
    /// If the parameter has no such weight, or its file does not hold it.
    pub fn in_file(&self, spec: &Spec, row: usize, column: usize) -> Result<InFile> {
        if row >= spec.rows || column >= spec.cols {
            let (rows, cols) = (spec.rows, spec.cols);
            let why = format!("row {row}, column {column} is not within its {rows} × {cols}, counted from 0");
            return Err(Error::invalid_argument(&spec.name, why));
        }
        let packed = self.stored_layout(spec)?;
        let place = self.place(&spec.name)?;
        let held = if packed.is_some() { &spec.name } else { &place.tensor };
        let missing = || Error::invalid_argument(&spec.name, "is not in the model's files");
        let (file, found) = self.tensors.with_file(held).ok_or_else(missing)?;
        let bytes = File { bytes: file, tensor: found.tensor.bytes.clone() };
        let stored = match (place.kind, spec.is_vector()) {
            (_, true) => place.row(column),
            (TensorKind::Conv1d, _) => column * place.of + place.first + row,
            _ => place.row(row) * place.inputs + column,
        };
        let (dtype, (bytes, equation, value)) = match (packed, &found.tensor.dtype, self.blocks(&place)) {
            (Some(Layout::Panels(packing)), ..) => (
                format!("{}, in panels of 64 rows", packing.name()),
                bytes.packed(packing, spec.cols, row, column),
            ),
            (Some(Layout::Rows), ..) => ("F32".into(), bytes.dense(Dtype::F32, row * spec.cols + column)),
            (None, _, Some(blocks)) => (blocks.name().into(), bytes.in_block(blocks, stored)),
            (None, Ok(dtype), None) => (found.tensor.dtype_name().into(), bytes.dense(*dtype, stored)),
            (None, Err(other), None) => {
                return Err(Error::invalid_argument(
                    &spec.name,
                    format!("has the type {other}, which is not read"),
                ));
            }
        };
        let tensor = match self.writer {
            Writer::LlmC => format!("{held} (the format has no names, but a fixed order)"),
            _ => self.tensors.written(held, self.writer).unwrap_or_else(|| held.clone()),
        };
        Ok(InFile { file: name_of(found.file), tensor, dtype, bytes, equation, value })
    }
}

/// A file's name without its folder.
fn name_of(path: &str) -> String {
    Path::new(path).file_name().map_or(path.into(), |name| name.to_string_lossy().into_owned())
}

/// A file, and where a tensor is in it.
struct File<'a> {
    bytes: &'a [u8],
    tensor: Range<usize>,
}

impl File<'_> {
    /// Bytes of the tensor.
    fn some(&self, at: usize, count: usize, means: impl Into<String>) -> Bytes {
        let offset = self.tensor.start + at;
        Bytes { offset, bytes: self.bytes[offset..offset + count].to_vec(), means: means.into() }
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes[self.tensor.start + at]
    }

    fn half(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.byte(at), self.byte(at + 1)])
    }

    /// Number `at` of a tensor of floats.
    fn dense(&self, dtype: Dtype, at: usize) -> Read {
        let (size, mut value) = (dtype.bytes(), [0.0]);
        let (means, equation) = match dtype {
            Dtype::F64 => ("a 64-bit float", "the 64-bit float, rounded to 32 bits"),
            Dtype::F32 => ("a 32-bit float", "the 32-bit float itself"),
            Dtype::F16 => ("a 16-bit float (IEEE)", "the 16-bit float itself"),
            Dtype::Bf16 => {
                ("a 16-bit float (bf16)", "the upper half of a 32-bit float, whose lower half is 0")
            }
        };
        let bytes = self.some(at * size, size, format!("{means}, its lowest byte first"));
        dtype.widen(&mut value, &bytes.bytes);
        (vec![bytes], equation.into(), value[0])
    }

    /// A weight in Glass's own panels of a matrix with `cols` inputs.
    fn packed(&self, packing: Packing, cols: usize, row: usize, column: usize) -> Read {
        let place = packing.place(cols, row, column);
        let (Some(scale_at), Some(format)) = (place.scale, packing.format()) else {
            let of = if packing == Packing::F32 { Dtype::F32 } else { Dtype::Bf16 };
            return self.dense(of, place.number / of.bytes());
        };
        let some_bits = |at: usize, shift: usize, bits: usize| self.byte(at) >> shift & (255 >> (8 - bits));
        let low = some_bits(place.number, place.shift, format.low);
        let upper = place.upper.map(|(at, shift)| (at, shift, some_bits(at, shift, format.high)));
        let stored = low | upper.map_or(0, |(.., high)| high << format.low);
        let (q, scale) = (format.value(stored), f16_to_f32(self.half(scale_at)));
        let offset = format.offset;
        let stands = match (format.table, offset) {
            (Some(_), _) => format!("which stands for {q} in the format's table"),
            (None, 0) => "the number itself".into(),
            (None, _) => format!("which stands for {stored} − {offset} = {q}"),
        };
        let what = match (format.low, place.shift) {
            (4, 0) => "the lower 4 bits".to_string(),
            (4, _) => "the upper 4 bits".to_string(),
            (2, shift) => format!("2 bits from bit {shift} on"),
            _ => "the 8-bit number".to_string(),
        };
        let of = BLOCK / format.scales;
        let mut bytes = Vec::new();
        match upper {
            None => bytes.push(self.some(place.number, 1, format!("{what}: {stored}, {stands}"))),
            Some((at, shift, high)) => {
                bytes.push(self.some(place.number, 1, format!("{what}: {low}")));
                let means = format!(
                    "the higher bits, {} from bit {shift} on: {high}; together {stored}, {stands}",
                    format.high
                );
                bytes.push(self.some(at, 1, means));
            }
        }
        let means = format!("the scale of its block of {of} inputs, a 16-bit float: {scale}");
        bytes.push(self.some(scale_at, 2, means));
        let Some(at) = place.minimum else { return (bytes, times(q, scale), q as f32 * scale) };
        let minimum = f16_to_f32(self.half(at));
        bytes.push(self.some(at, 2, format!("the minimum of its block, a 16-bit float: {minimum}")));
        let equation = format!("number × scale + minimum = {q} × {scale} + {minimum}");
        (bytes, equation, q as f32 * scale + minimum)
    }
}

/// The equation of a quantised weight.
fn times(q: i32, scale: f32) -> String {
    format!("number × scale = {q} × {scale}")
}
