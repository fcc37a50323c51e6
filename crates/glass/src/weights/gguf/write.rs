//! Writes GGUF that llama.cpp and the `gguf` package can read.

use std::path::Path;

use glass_kernels::packing::{BLOCK, Quants};

use super::advice;
use super::container::{ALIGNMENT, BOOL, number};
use super::head::Head;
use super::vocabulary::{self, NO_VOCABULARY, ROLES};
use super::{Architecture, Blocks, express};
use crate::atomic_write::AtomicWrite;
use crate::backend::Packing;
use crate::families::Family;
use crate::tokens::{GgufKind, Tokenizer};
use crate::weights::Read;
use crate::weights::dtype::Dtype;
use crate::weights::names::{RowMap, TensorKind};
use crate::weights::save::{Joined, Save, tensors_of};
use crate::{Config, Error, Result};

/// How matrices are written. Vectors and positions are always f32.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Numbers {
    /// Every number in this type.
    Dense(Dtype),
    /// `Q8_0`.
    Q8,
    /// `Q4_0`; the token embedding is `Q8_0`.
    Q4,
}

impl Numbers {
    /// The kind for weights of this packing. Those that are not written here become the next wider one that is.
    pub fn of(packing: Packing) -> Numbers {
        match packing {
            Packing::F32 => Numbers::Dense(Dtype::F32),
            Packing::Bf16 => Numbers::Dense(Dtype::Bf16),
            Packing::Q4 => Numbers::Q4,
            _ => Numbers::Q8,
        }
    }

    /// llama.cpp's number for this kind of file.
    fn file_type(self) -> u32 {
        match self {
            Numbers::Dense(Dtype::F32 | Dtype::F64) => 0,
            Numbers::Dense(Dtype::F16) => 1,
            Numbers::Dense(Dtype::Bf16) => 32,
            Numbers::Q4 => 2,
            Numbers::Q8 => 7,
        }
    }

    /// How one tensor is written.
    fn written(self, tensor: &Joined<'_>) -> Form {
        match (self, tensor.whole.kind) {
            (_, TensorKind::Vector) => Form::Dense(Dtype::F32),
            _ if tensor.ours == "embedding.position.weight" => Form::Dense(Dtype::F32),
            (Numbers::Dense(dtype), _) => Form::Dense(dtype),
            (Numbers::Q4, _) if tensor.parts.iter().all(|(_, spec)| spec.is_hidden_matrix) => {
                Form::Blocks(Blocks::Q4_0, Packing::Q4)
            }
            (Numbers::Q8 | Numbers::Q4, _) => Form::Blocks(Blocks::Q8_0, Packing::Q8),
        }
    }
}

/// How the numbers of one tensor are written.
#[derive(Clone, Copy)]
enum Form {
    Dense(Dtype),
    Blocks(Blocks, Packing),
}

impl Form {
    fn number(self) -> u32 {
        match self {
            Form::Dense(dtype) => number(dtype),
            Form::Blocks(blocks, _) => blocks.number(),
        }
    }

    /// The size of this number of weights in bytes.
    fn bytes(self, weights: usize) -> usize {
        match self {
            Form::Dense(dtype) => weights * dtype.bytes(),
            Form::Blocks(blocks, _) => weights / blocks.len() * blocks.bytes(),
        }
    }

    fn narrow(self, to: &mut Vec<u8>, weights: &[f32]) {
        match self {
            Form::Dense(dtype) => dtype.narrow(to, weights),
            Form::Blocks(blocks, packing) => {
                weights.chunks_exact(BLOCK).for_each(|block| blocks.put(to, &Quants::of(packing, block)));
            }
        }
    }
}

/// Writes a model with its vocabulary into one file; `weights` as for [`save`](crate::weights::save::save).
///
/// # Errors
/// If llama.cpp's architecture of its family cannot express the model, or the file cannot be written.
pub fn save(path: &Path, what: &Save<'_>, numbers: Numbers, weights: &Read<'_>) -> Result<()> {
    let architecture = express::architecture(what.config)?;
    can_write(what.config, numbers)?;
    let kind = what.tokenizer.map(Tokenizer::gguf_kind).transpose()?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| Error::invalid_argument("path", "a file name was expected"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // llama.cpp's gpt2 has all biases.
    let has_zeros = what.config.family == Family::Gpt2 && !what.config.bias.any();
    let place = |parameter: &str| architecture.place(what.config, parameter);
    let (tensors, divisors) = (tensors_of(what.plan, &place, has_zeros)?, express::divisors(what.config));
    let mut output = AtomicWrite::new(folder)?;
    output.write(&name, |put| {
        let mut head = Head::default();
        express::fields(&mut head, what.config, architecture);
        fields(&mut head, what, numbers, kind.as_ref(), architecture);
        let mut at = 0;
        for (name, list) in &divisors {
            head.tensor(name, &[list.len() as u64], Form::Dense(Dtype::F32).number(), at);
            at = (at + 4 * list.len()).next_multiple_of(ALIGNMENT);
        }
        for (name, tensor) in &tensors {
            let form = numbers.written(tensor);
            let (of, inputs) = (tensor.whole.of as u64, tensor.whole.inputs as u64);
            let is_vector = tensor.whole.kind == TensorKind::Vector;
            let sizes: &[u64] = if is_vector { &[of] } else { &[inputs, of] };
            head.tensor(name, sizes, form.number(), at);
            at = (at + form.bytes(tensor.whole.inputs * tensor.whole.of)).next_multiple_of(ALIGNMENT);
        }
        put(&head.done(divisors.len() + tensors.len()))?;
        for (_, list) in &divisors {
            let mut bytes: Vec<u8> = list.iter().flat_map(|number| number.to_le_bytes()).collect();
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
            put(&bytes)?;
        }
        tensors.values().try_for_each(|tensor| write_tensor(put, tensor, numbers.written(tensor), weights))
    })?;
    output.commit()
}

/// Refuses blocks of matrices whose rows are not whole blocks.
fn can_write(config: &Config, numbers: Numbers) -> Result<()> {
    let queries = config.heads.query * config.heads.size;
    let odd = [config.width, config.mlp_width, queries].into_iter().find(|size| !size.is_multiple_of(BLOCK));
    match (numbers, odd) {
        (Numbers::Q8 | Numbers::Q4, Some(size)) => Err(Error::invalid_argument(
            "model",
            format!(
                "GGUF packs blocks of {BLOCK} inputs, and {size} is not a multiple of that; take bf16, or a folder"
            ),
        )),
        _ => Ok(()),
    }
}

/// Writes the numbers of one tensor, outputs by inputs, and its padding.
fn write_tensor(
    put: &mut dyn FnMut(&[u8]) -> Result<()>,
    tensor: &Joined<'_>,
    form: Form,
    weights: &Read<'_>,
) -> Result<()> {
    const PORTION: usize = 1 << 18;
    let (mut values, mut turned, mut bytes, mut written) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (place, spec) in &tensor.parts {
        // Tables are read some rows at a time: the token embedding is the largest tensor of all.
        let rows = match (place.kind, place.rows) {
            (TensorKind::Table, RowMap::Straight) => (PORTION / spec.cols).max(1),
            _ => spec.rows,
        };
        for first in (0..spec.rows).step_by(rows) {
            let some = spec.some(first..spec.rows.min(first + rows));
            values.resize(some.span.len(), 0.0);
            weights(if some.rows == spec.rows { spec } else { &some }, &mut values)?;
            if place.rows != RowMap::Straight {
                turned.clear();
                turned.resize(values.len(), 0.0);
                for (row, from) in values.chunks_exact(place.inputs).enumerate() {
                    let at = (place.row(row) - place.first) * place.inputs;
                    turned[at..at + place.inputs].copy_from_slice(from);
                }
                std::mem::swap(&mut values, &mut turned);
            }
            if place.is_one_more {
                values.iter_mut().for_each(|w| *w += 1.0);
            }
            bytes.clear();
            form.narrow(&mut bytes, &values);
            put(&bytes)?;
            written += bytes.len();
        }
    }
    if tensor.parts.is_empty() {
        // A bias that the model does not have.
        let zeros = vec![0; form.bytes(tensor.whole.of)];
        put(&zeros)?;
        written += zeros.len();
    }
    put(&vec![0; written.next_multiple_of(ALIGNMENT) - written])
}

fn fields(
    head: &mut Head,
    what: &Save<'_>,
    numbers: Numbers,
    kind: Option<&GgufKind>,
    architecture: &Architecture,
) {
    head.u32("general.file_type", numbers.file_type());
    if !matches!(numbers, Numbers::Dense(_)) {
        head.u32("general.quantization_version", 2);
    }
    if let Some(generation) = what.generation {
        advice::write(head, generation, what.tokenizer.is_some());
    }
    let Some(tokenizer) = what.tokenizer else {
        // Without tokens, their number is a separate field.
        head.u32(&format!("{}.vocab_size", architecture.name), what.config.vocabulary as u32);
        return head.text("tokenizer.ggml.model", NO_VOCABULARY);
    };
    if let Some(kind) = kind {
        vocabulary::write(head, tokenizer, kind, what.config.vocabulary);
    }
    let eos = what.generation.map_or(&[][..], |generation| &generation.eos);
    let named = |role: &str| tokenizer.role(role);
    let end = named("eos_token").or(what.end_of_text).or(eos.first().copied());
    let start = tokenizer.start().first().copied().or(named("bos_token")).or(end);
    for (field, role) in ROLES {
        let id = match role {
            "bos_token" => start,
            "eos_token" => tokenizer.end().first().copied().or(end),
            role => named(role),
        };
        let id = id.filter(|id| (*id as usize) < what.config.vocabulary);
        id.into_iter().for_each(|id| head.u32(&format!("tokenizer.ggml.{field}_token_id"), id));
    }
    if let Some(turn) = eos.iter().find(|id| Some(**id) != end) {
        head.u32("tokenizer.ggml.eot_token_id", *turn);
    }
    head.field("tokenizer.ggml.add_bos_token", BOOL, &[u8::from(!tokenizer.start().is_empty())]);
    head.field("tokenizer.ggml.add_eos_token", BOOL, &[u8::from(!tokenizer.end().is_empty())]);
    if let Some(template) = what.template {
        head.text("tokenizer.chat_template", template);
    }
}
