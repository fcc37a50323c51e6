//! nanoGPT's checkpoints (`ckpt.pt`), as its `train.py` saves them (<https://github.com/karpathy/nanoGPT>): a dictionary
//! with the shape under `model_args` and the tensors under `model`; the optimiser and the run's settings are not read.
//! build-nanogpt's have a `GPTConfig` under `config` instead, minGPT's are the tensors alone, and Lightning's have them
//! under `state_dict`.
//!
//! Matrices are `[outputs, inputs]`. The file does not say which form of GELU the model was trained with. The first
//! versions of nanoGPT, which had no `bias` setting, used the tanh form; current ones use the exact form, so a
//! checkpoint with `bias` gets the exact form.

use super::names::{self, EMBEDDING, UNEMBEDDING};
use super::pickle::{Node, Value};
use super::safetensors::Tensor;
use super::torch::Archive;
use crate::config::Activation;
use crate::config::object::{LARGEST, short};
use crate::{Config, Error, Result};

/// The shape and the tensors of a checkpoint; `name` is used in errors. `beside` is the shape that a `config.json` in the
/// same folder gives, for a file without arguments, which does not say how many heads there are.
///
/// # Errors
/// If the archive holds something else, or its arguments are not a valid GPT.
pub fn read(
    name: &str,
    file: &[u8],
    beside: &dyn Fn() -> Result<Option<Config>>,
) -> Result<(Config, Vec<(String, Tensor)>)> {
    let archive = Archive::open(name, file)?;
    let root = archive.pickle.root();
    let part = |key: &str| archive.pickle.get(root, key);
    // nanoGPT keeps the arguments as a dictionary, build-nanogpt the GPTConfig itself; others keep a run's settings there.
    let is_shape = |config: &Value<'_>| archive.pickle.get(*config, "n_layer").is_some();
    let arguments = part("model_args").or_else(|| part("config").filter(is_shape));
    let Some(entries) = archive.gpt() else {
        if matches!(part("model").and_then(|model| archive.pickle.node(model)), Some(Node::Object(None))) {
            let why = "its \"model\" can only be made by running code from the checkpoint, which Glass does not do; save its state_dict()";
            return Err(Error::invalid(name, why));
        }
        let why = "holds neither \"model_args\" and \"model\", as a checkpoint of nanoGPT does, nor the tensors of a GPT by \
                   themselves or under \"model\" or \"state_dict\"; of other programs give a folder with config.json and \
                   the weights";
        return Err(Error::invalid(name, why));
    };
    let beside = if arguments.is_none() { beside()? } else { None };
    let mut config = match (arguments, beside) {
        (Some(arguments), _) => config(name, &archive, arguments)?,
        (None, Some(config)) => config,
        (None, None) => {
            let why = "holds only tensors, which do not give the number of heads; put a config.json in the same folder \
                       (model_type \"gpt2\", vocab_size, n_positions, n_embd, n_layer, n_head)";
            return Err(Error::invalid(name, why));
        }
    };
    let mut tensors = archive.state(entries)?;
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
            Value::Text(key) => return Err(wrong(format!("{} is unknown to nanoGPT", short(key)))),
            _ => return Err(wrong("a name is not a string".into())),
        }
    }
    let argument =
        |key: &str| entries.iter().rev().find(|(k, _)| matches!(k, Value::Text(text) if *text == key));
    let size = |key: &str| match argument(key) {
        Some((_, Value::Int(size))) if (1..=LARGEST as i64).contains(size) => Ok(*size as usize),
        Some((_, Value::Int(size))) => {
            Err(wrong(format!("{key} is {size}; a size from 1 to {LARGEST} was expected")))
        }
        Some(_) => Err(wrong(format!("{key} is not a whole number"))),
        None => Err(wrong(format!("{key} is missing"))),
    };
    let (width, heads) = (size("n_embd")?, size("n_head")?);
    if !width.is_multiple_of(heads) {
        return Err(wrong(format!("n_embd {width} cannot be cut into n_head {heads} heads of equal size")));
    }
    let sizes = Config::gpt2(size("vocab_size")?, size("block_size")?, width, size("n_layer")?, heads);
    let config = match argument("bias") {
        Some((_, Value::Bool(bias))) => {
            Config { bias: (*bias).into(), activation: Activation::Gelu, ..sizes }
        }
        Some(_) => return Err(wrong("bias is neither true nor false".into())),
        // The first versions had no such setting.
        None => sizes,
    };
    config.check().map_err(|error| wrong(error.to_string()))?;
    Ok(config)
}

/// Whether the unembedding equals the embedding, number by number; if so it is left out.
fn tie(tensors: &mut Vec<(String, Tensor)>, file: &[u8]) -> bool {
    let find = |name| tensors.iter().position(|(key, _)| names::plain(key) == name);
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
