//! nanoGPT's checkpoints (`ckpt.pt`), as its `train.py` saves them (<https://github.com/karpathy/nanoGPT>): a dictionary
//! with the shape under `model_args` and the tensors under `model`; the optimiser and the run's settings are not read.
//!
//! Matrices are `[outputs, inputs]`. The file does not say which form of GELU the model learned with. nanoGPT's first
//! versions, which knew no `bias`, computed the tanh form; today's compute the exact one, and so it is taken.

use super::names::{EMBEDDING, PREFIX, UNEMBEDDING};
use super::pickle::Value;
use super::safetensors::Tensor;
use super::torch::Archive;
use crate::config::Activation;
use crate::config::object::{LARGEST, short};
use crate::{Config, Error, Result};

/// What `torch.compile` puts before every name.
const COMPILED: &str = "_orig_mod.";

/// The shape and the tensors of a checkpoint; `name` stands in errors.
///
/// # Errors
/// An archive that holds something else, and arguments that make another model.
pub fn read(name: &str, file: &[u8]) -> Result<(Config, Vec<(String, Tensor)>)> {
    let archive = Archive::open(name, file)?;
    let part = |key: &str| {
        archive.pickle.get(archive.pickle.root(), key).ok_or_else(|| {
            let why = "which a checkpoint of nanoGPT has; of other programs give a folder with config.json";
            Error::invalid(name, format!("holds no {key:?}, {why} and model.safetensors"))
        })
    };
    let mut config = config(name, &archive, part("model_args")?)?;
    let state = archive.pickle.entries(part("model")?);
    let state = state.ok_or_else(|| Error::invalid(name, "its \"model\" is no dictionary of tensors"))?;
    let mut tensors = Vec::with_capacity(state.len());
    for (key, value) in state {
        let Value::Text(key) = key else {
            return Err(Error::invalid(name, "its \"model\" has a name that is no text"));
        };
        let key = key.strip_prefix(COMPILED).unwrap_or(key);
        let key = key.strip_prefix(PREFIX).unwrap_or(key);
        tensors.push((key.to_string(), archive.tensor(key, *value)?));
    }
    config.tied = tie(&mut tensors, file);
    Ok((config, tensors))
}

/// The arguments of `GPTConfig`. One that is not known may change what the layers compute, and is refused.
fn config(name: &str, archive: &Archive<'_>, arguments: Value<'_>) -> Result<Config> {
    let wrong = |why: String| Error::invalid(name, format!("model_args: {why}"));
    let known = ["n_layer", "n_head", "n_embd", "block_size", "bias", "vocab_size", "dropout"];
    let entries = archive.pickle.entries(arguments).unwrap_or_default();
    for (key, _) in entries {
        match key {
            Value::Text(key) if known.contains(key) => {}
            Value::Text(key) => return Err(wrong(format!("{} is not known in nanoGPT", short(key)))),
            _ => return Err(wrong("a name is no text".into())),
        }
    }
    let argument =
        |key: &str| entries.iter().rev().find(|(k, _)| matches!(k, Value::Text(text) if *text == key));
    let size = |key: &str| match argument(key) {
        Some((_, Value::Int(size))) if (1..=LARGEST as i64).contains(size) => Ok(*size as usize),
        Some((_, Value::Int(size))) => {
            Err(wrong(format!("{key} is {size}; a size from 1 to {LARGEST} was expected")))
        }
        Some(_) => Err(wrong(format!("{key} is no whole number"))),
        None => Err(wrong(format!("{key} is missing"))),
    };
    let (width, heads) = (size("n_embd")?, size("n_head")?);
    if !width.is_multiple_of(heads) {
        return Err(wrong(format!("n_embd {width} cannot be cut into n_head {heads} heads of equal size")));
    }
    let sizes = Config::gpt2(size("vocab_size")?, size("block_size")?, width, size("n_layer")?, heads);
    let config = match argument("bias") {
        Some((_, Value::Bool(bias))) => Config { bias: *bias, activation: Activation::Gelu, ..sizes },
        Some(_) => return Err(wrong("bias is neither true nor false".into())),
        // The first versions had no choice.
        None => sizes,
    };
    config.check().map_err(|error| wrong(error.to_string()))?;
    Ok(config)
}

/// Whether the unembedding is the embedding, number by number; then it is left out.
fn tie(tensors: &mut Vec<(String, Tensor)>, file: &[u8]) -> bool {
    let find = |name| tensors.iter().position(|(key, _)| key == name);
    let (Some(a), Some(b)) = (find(EMBEDDING), find(UNEMBEDDING)) else { return true };
    let [one, other] = [a, b].map(|at| &tensors[at].1);
    let same = one.shape == other.shape
        && one.dtype == other.dtype
        && (one.bytes == other.bytes || file[one.bytes.clone()] == file[other.bytes.clone()]);
    if same {
        tensors.remove(b);
    }
    same
}
