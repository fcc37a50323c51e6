//! The configuration of a GPT: the sizes and choices that a plan is made from.

mod check;
pub mod json;
pub(crate) mod object;
pub mod preset;

use glass_kernels::attend::Heads;

/// The configuration of a GPT. Choices are enums, so that another family is another value, not another model.
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
    pub mlp_width: usize,
    /// How positions are encoded.
    pub positions: Positions,
    /// The kind of norm.
    pub norm: Norm,
    /// The MLP's non-linearity.
    pub activation: Activation,
    /// Which positions a query may attend to.
    pub mask: Mask,
    /// What the attention scores are divided by.
    pub scores: Scores,
    /// Whether linear layers and norms have biases.
    pub bias: bool,
    /// Whether the unembedding is the embedding.
    pub tied: bool,
}

/// How positions are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// A learned vector for each position, added to the token's.
    Learned,
}

/// The norm before attention, MLP and unembedding.
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

/// Which positions a query may attend to, besides the causal mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All earlier positions.
    Dense,
    /// Dense and locally banded layers, alternating (GPT-3, after Child et al. 2019).
    Alternating {
        /// How many positions a banded layer sees.
        band: usize,
    },
}

/// What the attention scores are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scores {
    /// The square root of a head's width.
    pub by_size: bool,
    /// The number of the block, counted from 1 (`scale_attn_by_inverse_layer_idx` of `transformers`).
    pub by_layer: bool,
}

impl Default for Scores {
    fn default() -> Self {
        Scores { by_size: true, by_layer: false }
    }
}

impl Config {
    /// The attention heads of block `layer`.
    pub fn heads_of(&self, layer: usize) -> Heads {
        let root = if self.scores.by_size { (self.heads.size as f64).sqrt() } else { 1.0 };
        let divisor = if self.scores.by_layer { layer as u32 + 1 } else { 1 };
        Heads { scale: (1.0 / (root * f64::from(divisor))) as f32, ..self.heads }
    }

    /// A GPT-2 of these sizes: learned positions, LayerNorm, tanh GELU, biases, tied embeddings, MLP four times as
    /// wide.
    pub fn gpt2(vocabulary: usize, context: usize, width: usize, layers: usize, heads: usize) -> Self {
        Config {
            vocabulary,
            context,
            width,
            layers,
            heads: Heads::new(heads, heads, width / heads.max(1)),
            mlp_width: 4 * width,
            positions: Positions::Learned,
            norm: Norm::Layer { epsilon: 1e-5 },
            activation: Activation::GeluTanh,
            mask: Mask::Dense,
            scores: Scores::default(),
            bias: true,
            tied: true,
        }
    }
}
