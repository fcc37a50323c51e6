//! Choices of a new model's layers.

use clap::{Args, ValueEnum};

/// The family of a new model, and choices that differ from the family's.
#[derive(Args, Clone, Debug, Default)]
pub struct Switches {
    /// The family whose choices the model has: gpt2, llama, qwen3, gemma3 and others (an unknown name lists them). It is saved in the
    /// form that transformers opens
    #[arg(long, value_name = "NAME", default_value = "gpt2", conflicts_with_all = ["preset", "from"])]
    pub family: String,

    /// Heads of keys and values, which groups of query heads share; default: as many as query heads
    #[arg(long, value_name = "N", conflicts_with_all = ["preset", "from"])]
    pub key_heads: Option<usize>,

    /// Numbers of a head; default: the width divided by the heads
    #[arg(long, value_name = "N", conflicts_with_all = ["preset", "from"])]
    pub head_size: Option<usize>,

    /// Width of the MLP's hidden layer; default: 4 times the width, or 8/3 times if it is gated
    #[arg(long, value_name = "N", conflicts_with_all = ["preset", "from"])]
    pub mlp_width: Option<usize>,

    /// Every other layer sees this many positions only; with N:EVERY, all but each EVERYth layer do
    #[arg(long, value_name = "N[:EVERY]", conflicts_with_all = ["preset", "from"])]
    pub window: Option<String>,

    /// Of every N layers, all but the first read the keys and values of the first
    #[arg(long, value_name = "N", conflicts_with_all = ["preset", "from"])]
    pub shared_keys: Option<usize>,

    /// The base of rotary positions
    #[arg(long, value_name = "N", conflicts_with_all = ["preset", "from"])]
    pub rotary_base: Option<f64>,

    /// The norm
    #[arg(long, value_name = "KIND", conflicts_with_all = ["preset", "from"])]
    pub norm: Option<NormChoice>,

    /// Where norms stand: before attention and MLP, after them, or both
    #[arg(long, value_name = "WHERE", conflicts_with_all = ["preset", "from"])]
    pub norms: Option<PlacementChoice>,

    /// Normalise queries and keys: every head for itself, or all together
    #[arg(long, value_name = "OVER", conflicts_with_all = ["preset", "from"])]
    pub query_key_norm: Option<OverChoice>,

    /// The MLP's non-linearity
    #[arg(long, value_name = "NAME", conflicts_with_all = ["preset", "from"])]
    pub activation: Option<ActivationChoice>,

    /// Whether the MLP is gated
    #[arg(long, value_name = "BOOL", conflicts_with_all = ["preset", "from"])]
    pub gated: Option<bool>,

    /// Whether the unembedding is the embedding
    #[arg(long, value_name = "BOOL", conflicts_with_all = ["preset", "from"])]
    pub tied: Option<bool>,

    /// Attention sinks: a logit for every head that takes weight from all keys
    #[arg(long, conflicts_with_all = ["preset", "from"])]
    pub sinks: bool,

    /// A cap on attention scores
    #[arg(long, value_name = "C", conflicts_with_all = ["preset", "from"])]
    pub score_cap: Option<f32>,

    /// A cap on logits
    #[arg(long, value_name = "C", conflicts_with_all = ["preset", "from"])]
    pub logit_cap: Option<f32>,
}

/// A kind of norm.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum NormChoice {
    /// LayerNorm
    Layer,
    /// RMSNorm
    Rms,
}

/// Where norms stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum PlacementChoice {
    /// Before attention and MLP
    Before,
    /// On what they give
    After,
    /// Both
    Both,
}

/// What a norm of queries and keys is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum OverChoice {
    /// Every head for itself
    Head,
    /// All heads of a layer
    Width,
}

/// A non-linearity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ActivationChoice {
    /// GELU
    Gelu,
    /// GELU in its tanh form
    GeluTanh,
    /// SiLU
    Silu,
    /// ReLU
    Relu,
    /// Squared ReLU
    SquaredRelu,
}
