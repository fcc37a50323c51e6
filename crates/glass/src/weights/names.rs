//! Maps Glass's names to the file's: which tensor holds a parameter, and how. The names are in the tables of
//! [`families`](crate::families).

use crate::config::Config;

/// How a tensor of the file stores its numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TensorKind {
    /// A table, `[entries, width]`, or a matrix, `[outputs, inputs]`, as in Glass.
    Table,
    /// A matrix as `transformers`' `Conv1D` stores it, `[inputs, outputs]`: transposed.
    Conv1d,
    /// A vector.
    Vector,
}

/// The order of a parameter's rows in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowMap {
    /// One after another.
    Straight,
    /// The rows of a head one after another, each head's first `stride` rows behind that of the one before.
    Apart {
        /// Rows of a head.
        size: usize,
        /// Rows from one head to the next.
        stride: usize,
    },
    /// In every head, rows of the first half take turns with rows of the second.
    Pairs {
        /// Rows of a head.
        size: usize,
    },
}

/// A parameter's place in the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The tensor, [without prefixes](plain).
    pub tensor: String,
    /// The tensor's name as its family writes it.
    pub written: String,
    /// How it stores its numbers.
    pub kind: TensorKind,
    /// Its inputs (1 for a vector).
    pub inputs: usize,
    /// The number of all its outputs.
    pub of: usize,
    /// The first output of this parameter: query, key and value may be joined in one tensor.
    pub first: usize,
    /// The number of outputs of this parameter.
    pub outputs: usize,
    /// The order of these outputs.
    pub rows: RowMap,
    /// Whether the file holds 1 + w for each weight w.
    pub is_one_more: bool,
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

    /// Which output of the tensor is output `row` of this parameter.
    pub fn row(&self, row: usize) -> usize {
        self.first
            + match self.rows {
                RowMap::Straight => row,
                RowMap::Apart { size, stride } => row / size * stride + row % size,
                RowMap::Pairs { size } => {
                    let (head, i) = (row / size, row % size);
                    head * size + i % (size / 2) * 2 + i / (size / 2)
                }
            }
    }
}

/// The prefixes that classes add to the names of the tensors below them.
const PREFIXES: [&str; 2] = ["transformer.", "gpt_neox."];

/// What `torch.compile`, `DistributedDataParallel`, `trl` and Lightning put before all names; most classes put `model.`
/// there too, and those that read pictures `language_model.`.
const WRAPPERS: [&str; 5] = ["_orig_mod.", "module.", "pretrained_model.", "model.", "language_model."];

/// The parts of a model that read pictures.
const FOR_PICTURES: [&str; 2] = ["vision_tower.", "multi_modal_projector."];

/// Other heads that a model may be trained with; none of them changes the logits.
const OTHER_HEADS: [&str; 7] =
    ["v_head.", "value_head.", "score.", "classifier.", "qa_outputs.", "multiple_choice_head.", "summary."];

/// A tensor's name without such prefixes, and with the current names of a norm's tensors: `gamma` is `weight`,
/// `beta` is `bias`, and of GPT-NeoX's unembedding: `embed_out` is `lm_head`.
pub fn plain(mut name: &str) -> String {
    while let Some(rest) = WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper)) {
        name = rest;
    }
    let name = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    match name.rsplit_once('.') {
        Some((norm, "gamma")) => format!("{norm}.weight"),
        Some((norm, "beta")) => format!("{norm}.bias"),
        Some(("embed_out", leaf)) => format!("lm_head.{leaf}"),
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

/// Whether a tensor belongs to a part that reads pictures, which is not read.
pub fn is_for_pictures(tensor: &str) -> bool {
    FOR_PICTURES.iter().any(|part| tensor.starts_with(part))
}

/// Where each parameter is in a folder that the configuration is saved in; `None` for a name that such a model does not have.
pub fn places(config: &Config) -> impl Fn(&str) -> Option<Place> {
    let form = config.form();
    move |parameter| form.place(config, parameter)
}

/// The number of a tensor's block.
pub fn layer(tensor: &str) -> Option<usize> {
    let rest = ["h.", "layers.", "blk.", "block."].iter().find_map(|stack| tensor.strip_prefix(stack))?;
    rest.split('.').next()?.parse().ok()
}

/// Whether a tensor is one of the constants in older checkpoints: masks, and the angles of rotary positions.
pub fn is_constant(tensor: &str) -> bool {
    const CONSTANTS: [&str; 8] = [
        ".attn.bias",
        ".attn.masked_bias",
        ".attention.bias",
        ".attention.masked_bias",
        ".attn.embed_positions",
        ".rotary_emb.inv_freq",
        ".rotary_emb.cos_cached",
        ".rotary_emb.sin_cached",
    ];
    layer(tensor).is_some() && CONSTANTS.iter().any(|constant| tensor.ends_with(constant))
        || tensor == "rotary_emb.inv_freq"
}

/// GPT-2's token embedding.
pub const EMBEDDING: &str = "wte.weight";

/// Its unembedding, absent if it is tied.
pub const UNEMBEDDING: &str = "lm_head.weight";
