//! The shape of a GPT: the sizes and the choices a plan is made from.

mod check;
pub mod json;
pub(crate) mod object;
pub mod preset;

use glass_kernels::attend::Heads;

/// The shape of a GPT. Choices are enums, so that another family is another value, never another model.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Tokens in the vocabulary.
    pub vocabulary: usize,
    /// Positions in the context.
    pub context: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads of every block.
    pub heads: Heads,
    /// Width of the MLP's hidden layer.
    pub hidden: usize,
    /// How a position enters.
    pub positions: Positions,
    /// Which norm.
    pub norm: Norm,
    /// The MLP's non-linearity.
    pub activation: Activation,
    /// What a query may see.
    pub mask: Mask,
    /// Whether linear layers and norms have biases.
    pub bias: bool,
    /// Whether the unembedding is the embedding.
    pub tied: bool,
}

/// How a position enters the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// A learned vector for each, added to the token's.
    Learned,
}

/// Which norm stands before attention, MLP and unembedding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norm {
    /// LayerNorm with this epsilon.
    Layer {
        /// Added to the variance.
        epsilon: f32,
    },
}

/// The MLP's non-linearity.
pub use glass_kernels::activate::Activation;

/// What a query may see besides the causal mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Everything before it.
    Dense,
    /// Dense and locally banded layers in turn (GPT-3, after Child et al. 2019).
    Alternating {
        /// How many positions a banded layer sees.
        band: usize,
    },
}

impl Config {
    /// A GPT-2 of these sizes: learned positions, LayerNorm, tanh GELU, biases, tied, MLP four times as wide.
    pub fn gpt2(vocabulary: usize, context: usize, width: usize, layers: usize, heads: usize) -> Self {
        Config {
            vocabulary,
            context,
            width,
            layers,
            heads: Heads { query: heads, key: heads, size: width / heads.max(1) },
            hidden: 4 * width,
            positions: Positions::Learned,
            norm: Norm::Layer { epsilon: 1e-5 },
            activation: Activation::GeluTanh,
            mask: Mask::Dense,
            bias: true,
            tied: true,
        }
    }
}
