//! llm.c's checkpoints (`gpt2_124M.bin`), as its `train_gpt2.py` writes them and its `train_gpt2.c` reads them
//! (<https://github.com/karpathy/llm.c>).
//!
//! ```text
//! 256 × int32: magic, version, context, vocabulary, layers, heads, width, padded vocabulary, zeros │ the tensors
//! ```
//!
//! Version 3 holds f32, version 5 bf16. Each tensor holds all layers one after another, matrices are `[outputs,
//! inputs]`, and the embedding has padding rows beyond the vocabulary, which are left out.

use std::ops::Range;

use super::dtype::Dtype;
use super::names::EMBEDDING;
use super::safetensors::Tensor;
use crate::{Config, Error, Result};

/// The first word of a checkpoint.
pub const MAGIC: i32 = 20_240_326;
/// Bytes of the header.
const HEADER: usize = 1024;

/// A block's tensors in the order of the file: outputs and inputs as multiples of the width; 0 inputs for a vector.
const IN_BLOCK: [(&str, usize, usize); 12] = [
    ("ln_1.weight", 1, 0),
    ("ln_1.bias", 1, 0),
    ("attn.c_attn.weight", 3, 1),
    ("attn.c_attn.bias", 3, 0),
    ("attn.c_proj.weight", 1, 1),
    ("attn.c_proj.bias", 1, 0),
    ("ln_2.weight", 1, 0),
    ("ln_2.bias", 1, 0),
    ("mlp.c_fc.weight", 4, 1),
    ("mlp.c_fc.bias", 4, 0),
    ("mlp.c_proj.weight", 1, 4),
    ("mlp.c_proj.bias", 1, 0),
];

/// The word at a place in the header; `None` if the file ends before it.
pub fn word(file: &[u8], place: usize) -> Option<i32> {
    file.as_chunks::<4>().0.get(place).map(|bytes| i32::from_le_bytes(*bytes))
}

/// The configuration and the tensors of a checkpoint; `name` is used in error messages.
///
/// # Errors
/// If the version is unknown, the sizes are invalid, or the file's length does not match its sizes.
pub fn read(name: &str, file: &[u8]) -> Result<(Config, Vec<(String, Tensor)>)> {
    let wrong = |why: String| Error::invalid(name, why);
    if file.len() < HEADER {
        let found = file.len();
        return Err(wrong(format!(
            "has {found} bytes, but llm.c's header alone has {HEADER}; it is cut short"
        )));
    }
    let dtype = match word(file, 1).unwrap_or_default() {
        3 => Dtype::F32,
        5 => Dtype::Bf16,
        other => {
            let why = format!("is llm.c version {other}; 3 (f32) and 5 (bf16) can be read");
            return Err(wrong(why + "; write it again with a newer llm.c"));
        }
    };
    let size = |place| usize::try_from(word(file, place).unwrap_or_default()).unwrap_or(0);
    let [context, vocabulary, layers, heads, width, padded] = [2, 3, 4, 5, 6, 7].map(size);
    let config = Config::gpt2(padded, context, width, layers, heads);
    config.check().map_err(|error| wrong(format!("its header is not a valid model ({error})")))?;
    if vocabulary < 1 || vocabulary > padded || !width.is_multiple_of(heads) {
        return Err(wrong(format!(
            "its header gives {vocabulary} tokens in {padded} rows, and width {width} for {heads} heads; the tokens \
             must fit in the rows, and the heads must divide the width"
        )));
    }
    // Checked above to be addressable.
    let numbers = (padded + context + 2) * width + layers * (12 * width + 13) * width;
    let expected = HEADER + numbers * dtype.bytes();
    if file.len() != expected {
        let found = file.len();
        return Err(wrong(format!(
            "has {found} bytes, but by its header it should have {expected}; is it complete?"
        )));
    }
    Ok((Config { vocabulary, ..config.clone() }, tensors(&config, vocabulary, dtype)))
}

fn tensors(config: &Config, vocabulary: usize, dtype: Dtype) -> Vec<(String, Tensor)> {
    let (width, mut at) = (config.width, HEADER);
    let mut next = |numbers: usize| -> Range<usize> {
        let start = at;
        at += numbers * dtype.bytes();
        start..at
    };
    let tensor = |shape: Vec<usize>, bytes| Tensor { dtype: Ok(dtype), shape, bytes };
    let rows = next(config.vocabulary * width);
    let used = rows.start..rows.start + vocabulary * width * dtype.bytes();
    let mut all = vec![
        (EMBEDDING.to_string(), tensor(vec![vocabulary, width], used)),
        ("wpe.weight".to_string(), tensor(vec![config.context, width], next(config.context * width))),
    ];
    for (name, outputs, inputs) in IN_BLOCK {
        let shape: Vec<usize> = [outputs, inputs].iter().filter(|n| **n > 0).map(|n| n * width).collect();
        for layer in 0..config.layers {
            let bytes = next(shape.iter().product());
            all.push((format!("h.{layer}.{name}"), tensor(shape.clone(), bytes)));
        }
    }
    for leaf in ["weight", "bias"] {
        all.push((format!("ln_f.{leaf}"), tensor(vec![width], next(width))));
    }
    all
}
