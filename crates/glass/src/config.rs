//! The configuration of a GPT: the sizes and choices that a plan is made from.

mod check;
pub mod json;
pub(crate) mod object;
mod packings;
pub mod preset;
mod rotary;

pub use glass_kernels::activate::Activation;
use glass_kernels::attend::Heads;
pub use glass_kernels::norm::Kind as NormKind;
pub use glass_kernels::rotate::Pairs;
pub use packings::Packings;
pub use rotary::{PositionScale, Rotary, Scaling};

/// The configuration of a GPT. Choices are values of the layer that has them, so that another family of models is another
/// configuration, not another model.
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
    /// Attention heads of every block; their scale, window and cap are set by [`heads_of`](Config::heads_of).
    pub heads: Heads,
    /// Width of the MLP's hidden layer.
    pub mlp_width: usize,
    /// How positions are encoded.
    pub positions: Positions,
    /// The choices of each layer's attention. They repeat: layer `l` has number `l` modulo their count.
    pub attention: Vec<LayerAttention>,
    /// What becomes of attention scores before the softmax.
    pub scores: Scores,
    /// The norm of queries and keys, if there is one.
    pub query_key_norm: Option<QueryKeyNorm>,
    /// Whether every query head has a logit of its own in its softmax that takes weight from all keys: an attention sink.
    pub sinks: bool,
    /// The kind of norm.
    pub norm: Norm,
    /// Where norms stand.
    pub placement: Placement,
    /// Whether attention and MLP read the same residual.
    pub branches: Branches,
    /// The MLP's non-linearity.
    pub activation: Activation,
    /// Whether the MLP's hidden layer is gated: `f(gate x) · up x` (Shazeer 2020) instead of `f(up x)`.
    pub gated: bool,
    /// Which layers have biases.
    pub bias: Biases,
    /// Constant factors and the cap of the logits.
    pub factors: Factors,
    /// Whether the embedding is normalised before the first block.
    pub embedding_norm: bool,
    /// Whether the unembedding is the embedding.
    pub tied: bool,
    /// The form of its files.
    pub family: Family,
}

pub use crate::families::Family;

/// How positions are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// A learned vector for each position, added to the token's.
    Learned,
    /// Queries and keys are rotated, as each layer's choice says (Su et al. 2021).
    Rotary,
}

/// The choices of one layer's attention.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LayerAttention {
    /// How many positions a query sees, its own among them; all up to its own if absent.
    pub window: Option<usize>,
    /// How its queries and keys are rotated, if they are.
    pub rotary: Option<Rotary>,
    /// How many layers before it the layer is whose keys and values it reads (Brandon et al. 2024); its own if absent.
    pub keys_from: Option<usize>,
}

impl LayerAttention {
    /// With keys and values of its own.
    pub fn new(window: Option<usize>, rotary: Option<Rotary>) -> Self {
        LayerAttention { window, rotary, keys_from: None }
    }
}

/// The kind of norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// LayerNorm or RMSNorm.
    pub kind: NormKind,
    /// Added to the variance, or to the mean square.
    pub epsilon: f32,
    /// What its gain is made of.
    pub gain: Gain,
}

impl Norm {
    /// LayerNorm with a gain (Ba et al. 2016).
    pub fn layer(epsilon: f32) -> Norm {
        Norm { kind: NormKind::Layer, epsilon, gain: Gain::Weight }
    }

    /// RMSNorm with a gain (Zhang & Sennrich 2019).
    pub fn rms(epsilon: f32) -> Norm {
        Norm { kind: NormKind::Rms, epsilon, gain: Gain::Weight }
    }
}

/// What a norm's gain is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gain {
    /// The weight w.
    Weight,
    /// 1 + w, so that decayed weights leave the vector as it is.
    OnePlusWeight,
    /// There is none.
    None,
}

/// The norm of queries and keys (Henry et al. 2020), of the model's kind and without a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryKeyNorm {
    /// What is normalised together.
    pub over: NormOver,
    /// Whether it comes after the rotation.
    pub after_rotation: bool,
}

/// What a norm of queries or keys is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormOver {
    /// Every head for itself; all heads share a gain.
    Head,
    /// All heads of a layer together.
    Width,
}

/// Where norms stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Before attention and MLP: `x += f(norm x)`.
    Before,
    /// On what they give: `x += norm f(x)`.
    After,
    /// Both: `x += norm f(norm x)`.
    Both,
}

impl Placement {
    /// Whether a norm stands before attention and MLP.
    pub fn is_before(self) -> bool {
        self != Placement::After
    }

    /// Whether a norm stands on what they give.
    pub fn is_after(self) -> bool {
        self != Placement::Before
    }
}

/// What the MLP of a block reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branches {
    /// The residual to which attention was added.
    InTurn,
    /// The residual that attention reads (Wang & Komatsuzaki 2021).
    Together {
        /// Whether both read it through the same norm.
        one_norm: bool,
    },
}

/// What becomes of attention scores, queries times keys, before the softmax.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Scores {
    /// What they are multiplied by.
    pub factor: ScoreFactor,
    /// Whether they are divided by the number of the block, counted from 1 (`scale_attn_by_inverse_layer_idx` of
    /// `transformers`).
    pub by_layer: bool,
    /// A factor of queries that grows with their position.
    pub by_position: Option<PositionScale>,
    /// With a cap c, a scaled score s becomes `c tanh(s / c)`.
    pub cap: Option<f32>,
}

/// What attention scores are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum ScoreFactor {
    /// 1 / √size of a head (Vaswani et al. 2017).
    #[default]
    RootOfSize,
    /// A number.
    Number(f64),
}

/// Which layers have biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Biases {
    /// Queries, keys and values.
    pub query_key_value: bool,
    /// What attention adds to the residual (`value_up`).
    pub value_up: bool,
    /// The MLP's layers.
    pub mlp: bool,
    /// Norms.
    pub norm: bool,
    /// The logits.
    pub unembedding: bool,
}

/// In all layers that GPT-2 has them in, or in none.
impl From<bool> for Biases {
    fn from(all: bool) -> Self {
        if all { Biases::ALL } else { Biases::NONE }
    }
}

impl Biases {
    /// In no layer.
    pub const NONE: Biases =
        Biases { query_key_value: false, value_up: false, mlp: false, norm: false, unembedding: false };
    /// In all layers but the unembedding, as in GPT-2.
    pub const ALL: Biases =
        Biases { query_key_value: true, value_up: true, mlp: true, norm: true, unembedding: false };

    /// Whether any layer has one.
    pub fn any(self) -> bool {
        self != Biases::NONE
    }
}

/// Constant factors, 1 where there is none, and the cap of the logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factors {
    /// Of the embedding.
    pub embedding: f32,
    /// Of what attention and MLP add to the residual.
    pub branch: f32,
    /// Of the logits.
    pub logits: f32,
    /// With a cap c, a logit l becomes `c tanh(l / c)`, after its factor.
    pub logit_cap: Option<f32>,
}

impl Default for Factors {
    fn default() -> Self {
        Factors { embedding: 1.0, branch: 1.0, logits: 1.0, logit_cap: None }
    }
}

impl Config {
    /// The choices of layer `layer`'s attention.
    pub fn attention_of(&self, layer: usize) -> &LayerAttention {
        &self.attention[layer % self.attention.len()]
    }

    /// The layer whose keys and values a layer reads: itself, if it has its own.
    pub fn keys_of(&self, layer: usize) -> usize {
        layer.saturating_sub(self.attention_of(layer).keys_from.unwrap_or(0))
    }

    /// Whether a layer has keys and values of its own.
    pub fn has_keys(&self, layer: usize) -> bool {
        self.attention_of(layer).keys_from.is_none()
    }

    /// The layers that read the keys and values of this one, itself among them.
    pub fn readers_of(&self, layer: usize) -> impl Iterator<Item = usize> {
        let shares = self.attention.iter().any(|layer| layer.keys_from.is_some());
        let end = if shares { self.layers } else { layer + 1 };
        (layer..end).filter(move |&reader| self.keys_of(reader) == layer)
    }

    /// The layers that have keys and values of their own.
    pub fn layers_with_keys(&self) -> usize {
        (0..self.layers).filter(|&layer| self.has_keys(layer)).count()
    }

    /// The first block that a pass has to compute if all from number `first` on are wanted: a block reads keys and values of
    /// none before it.
    pub fn begin_at(&self, first: usize) -> usize {
        let needed = |first| (first..self.layers).map(|layer| self.keys_of(layer)).min().unwrap_or(first);
        let mut at = first;
        while needed(at) < at {
            at = needed(at);
        }
        at
    }

    /// The attention heads of block `layer`.
    pub fn heads_of(&self, layer: usize) -> Heads {
        let by_size = match self.scores.factor {
            ScoreFactor::RootOfSize => 1.0 / (self.heads.size as f64).sqrt(),
            ScoreFactor::Number(factor) => factor,
        };
        let scale = match (self.scores.factor, self.scores.by_layer) {
            (_, false) => by_size,
            // One rounding, as for a divisor.
            (ScoreFactor::RootOfSize, true) => 1.0 / ((self.heads.size as f64).sqrt() * (layer + 1) as f64),
            (ScoreFactor::Number(factor), true) => factor / (layer + 1) as f64,
        };
        let LayerAttention { window, .. } = *self.attention_of(layer);
        Heads { scale: scale as f32, window, cap: self.scores.cap, ..self.heads }
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
            attention: vec![LayerAttention::default()],
            scores: Scores::default(),
            query_key_norm: None,
            sinks: false,
            norm: Norm::layer(1e-5),
            placement: Placement::Before,
            branches: Branches::InTurn,
            activation: Activation::GeluTanh,
            gated: false,
            bias: Biases::ALL,
            factors: Factors::default(),
            embedding_norm: false,
            tied: true,
            family: Family::Gpt2,
        }
    }

    /// A Llama of these sizes (Touvron et al. 2023): rotary positions, RMSNorm, a gated MLP with SiLU, no biases, an
    /// unembedding of its own.
    pub fn llama(
        vocabulary: usize,
        context: usize,
        width: usize,
        layers: usize,
        heads: Heads,
        mlp_width: usize,
    ) -> Self {
        Config {
            heads,
            mlp_width,
            positions: Positions::Rotary,
            attention: vec![LayerAttention::new(None, Some(Rotary::new(10_000.0, heads.size)))],
            norm: Norm::rms(1e-5),
            activation: Activation::Silu,
            gated: true,
            bias: Biases::NONE,
            tied: false,
            family: Family::Llama,
            ..Config::gpt2(vocabulary, context, width, layers, heads.query)
        }
    }
}
