//! Maps Glass's names to the file's: which tensor of a `GPT2LMHeadModel` holds a parameter, and how.

use crate::config::Config;

/// How a tensor of the file stores its numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TensorKind {
    /// A table, `[entries, width]`, as in Glass.
    Table,
    /// A matrix as `transformers`' `Conv1D` stores it, `[inputs, outputs]`: transposed.
    Conv1d,
    /// A vector.
    Vector,
}

/// A parameter's place in the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The tensor, without the prefix `transformer.`.
    pub tensor: String,
    /// How it stores its numbers.
    pub kind: TensorKind,
    /// Its inputs (1 for a vector).
    pub inputs: usize,
    /// The number of all its outputs.
    pub of: usize,
    /// The first output of this parameter: query, key and value are joined in one tensor.
    pub first: usize,
    /// The number of outputs of this parameter.
    pub outputs: usize,
}

impl Place {
    /// The tensor's shape in the file.
    pub fn shape(&self) -> Vec<usize> {
        match self.kind {
            TensorKind::Table => vec![self.of, self.inputs],
            TensorKind::Conv1d => vec![self.inputs, self.of],
            TensorKind::Vector => vec![self.of],
        }
    }

    /// The tensor's name as `GPT2LMHeadModel` writes it.
    pub fn written(&self) -> String {
        match self.tensor.as_str() {
            UNEMBEDDING => UNEMBEDDING.to_string(),
            tensor => format!("{PREFIX}{tensor}"),
        }
    }
}

/// The prefix that `GPT2LMHeadModel` adds to the names of `GPT2Model`.
pub const PREFIX: &str = "transformer.";

/// What `torch.compile`, `DistributedDataParallel`, `trl` and Lightning put before all names.
const WRAPPERS: [&str; 4] = ["_orig_mod.", "module.", "pretrained_model.", "model."];

/// Other heads that a GPT-2 may be trained with; none of them changes the logits.
const OTHER_HEADS: [&str; 7] =
    ["v_head.", "value_head.", "score.", "classifier.", "qa_outputs.", "multiple_choice_head.", "summary."];

/// A tensor's name without such prefixes, and with the current names of a norm's tensors: `gamma` is `weight`,
/// `beta` is `bias`.
pub fn plain(mut name: &str) -> String {
    while let Some(rest) = WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper)) {
        name = rest;
    }
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    match name.rsplit_once('.') {
        Some((norm, "gamma")) => format!("{norm}.weight"),
        Some((norm, "beta")) => format!("{norm}.bias"),
        _ => name.to_string(),
    }
}

/// Whether a name is an older one of a norm's, [as `plain` reads it](plain).
pub fn is_old_norm(name: &str) -> bool {
    matches!(name.rsplit_once('.'), Some((_, "gamma" | "beta")))
}

/// Whether a tensor is another head's, which is not read.
pub fn is_other_head(tensor: &str) -> bool {
    OTHER_HEADS.iter().any(|head| tensor.starts_with(head))
}

/// The unembedding's tensor, absent if it is tied.
pub const UNEMBEDDING: &str = "lm_head.weight";

/// The token embedding's tensor.
pub const EMBEDDING: &str = "wte.weight";

/// Where `parameter` is in the file; `None` for a name that such a model does not have.
pub fn place(config: &Config, parameter: &str) -> Option<Place> {
    let parts: Vec<&str> = parameter.split('.').collect();
    let width = config.width;
    let table = |tensor: &str, entries| whole(tensor.to_string(), TensorKind::Table, width, entries);
    match parts[..] {
        ["embedding", "token", "weight"] => Some(table(EMBEDDING, config.vocabulary)),
        ["embedding", "position", "weight"] => Some(table("wpe.weight", config.context)),
        ["unembedding", "weight"] => Some(table(UNEMBEDDING, config.vocabulary)),
        ["norm", leaf @ ("weight" | "bias")] => {
            Some(whole(format!("ln_f.{leaf}"), TensorKind::Vector, 1, width))
        }
        ["block", layer, part, layer_name, leaf @ ("weight" | "bias")] => {
            in_block(config, layer, part, layer_name, leaf)
        }
        _ => None,
    }
}

fn in_block(config: &Config, layer: &str, part: &str, name: &str, leaf: &str) -> Option<Place> {
    let (width, hidden) = (config.width, config.mlp_width);
    let (queries, keys) = (config.heads.query * config.heads.size, config.heads.key * config.heads.size);
    let norm = |tensor: &str| whole(format!("h.{layer}.{tensor}.{leaf}"), TensorKind::Vector, 1, width);
    let linear = |tensor: &str, inputs, of| {
        let (kind, inputs) =
            if leaf == "weight" { (TensorKind::Conv1d, inputs) } else { (TensorKind::Vector, 1) };
        whole(format!("h.{layer}.{tensor}.{leaf}"), kind, inputs, of)
    };
    let joined =
        |first, outputs| Place { first, outputs, ..linear("attn.c_attn", width, queries + 2 * keys) };
    Some(match (part, name) {
        ("attention", "norm") => norm("ln_1"),
        ("attention", "query") => joined(0, queries),
        ("attention", "key") => joined(queries, keys),
        ("attention", "value_down") => joined(queries + keys, keys),
        ("attention", "value_up") => linear("attn.c_proj", queries, width),
        ("mlp", "norm") => norm("ln_2"),
        ("mlp", "up") => linear("mlp.c_fc", width, hidden),
        ("mlp", "down") => linear("mlp.c_proj", hidden, width),
        _ => return None,
    })
}

fn whole(tensor: String, kind: TensorKind, inputs: usize, of: usize) -> Place {
    Place { tensor, kind, inputs, of, first: 0, outputs: of }
}

/// The number of a tensor's block.
pub fn layer(tensor: &str) -> Option<usize> {
    tensor.strip_prefix("h.")?.split('.').next()?.parse().ok()
}

/// Whether a tensor is one of the constant masks in older checkpoints.
pub fn is_mask(tensor: &str) -> bool {
    tensor.starts_with("h.") && (tensor.ends_with(".attn.bias") || tensor.ends_with(".attn.masked_bias"))
}
