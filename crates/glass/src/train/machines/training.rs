//! What is to be trained, and the work that it is.

use super::Attention;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::Gpt;
use crate::model::footprint::Footprint;
use crate::model::parameter_count::ParameterCount;

/// The precision of matrix products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    F32,
    /// Products of 16-bit numbers, sums in 32 bits.
    Mixed,
}

impl Precision {
    /// As options and files call it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Mixed => "mixed",
        }
    }
}

/// A training.
#[derive(Clone, Debug)]
pub struct Training<'a> {
    /// The model.
    pub config: &'a Config,
    /// Tokens of a sample.
    pub context: usize,
    /// Samples of a step.
    pub batch: usize,
    /// Tokens in all.
    pub tokens: f64,
    /// The precision of products.
    pub precision: Precision,
}

impl Training<'_> {
    /// Tokens of a step.
    pub fn tokens_a_step(&self) -> f64 {
        self.batch as f64 * self.context as f64
    }

    /// Checks that there is something to train.
    pub fn check(&self) -> Result<()> {
        if self.context == 0 || self.context > self.config.context {
            let (given, most) = (self.context, self.config.context);
            return Err(Error::invalid_argument(
                "context",
                format!("{given} was given, but the model has contexts of 1 to {most} tokens"),
            ));
        }
        if self.batch == 0 || self.batch > u32::MAX as usize {
            return Err(Error::invalid_argument(
                "batch",
                format!("{} was given, but a step has 1 to {} samples", self.batch, u32::MAX),
            ));
        }
        if !self.tokens.is_finite() || self.tokens < 1.0 {
            return Err(Error::invalid_argument(
                "tokens",
                format!("{} was given; give how many are learned from, as in 300e9", self.tokens),
            ));
        }
        Ok(())
    }
}

/// The work of one token, counted from the plan of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// Weights, as stored.
    pub weights: f64,
    /// Weights of a layer, on average.
    pub layer_weights: f64,
    /// Weights before the first layer: the embedding and positions.
    pub first_weights: f64,
    /// Weights after the last layer that a device has which has nothing before the first: a tied unembedding is a copy there.
    pub last_weights: f64,
    /// Layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: f64,
    /// Tokens in the vocabulary.
    pub vocabulary: f64,
    /// Operations to learn from a token, without any computed twice: [`Footprint::flops_to_learn`].
    pub model_flops: f64,
    /// Operations of a layer's products with weights, forward.
    pub layer_products: f64,
    /// Operations of a layer's attention, forward, as the program computes them.
    pub layer_attention: f64,
    /// Operations of the unembedding, forward.
    pub logits: f64,
    /// Numbers that a layer keeps for its backward pass and that tensor parallelism divides.
    pub kept_divided: f64,
    /// Numbers that it keeps and that tensor parallelism does not divide: what norms read, and what the first matrices of attention and
    /// MLP read.
    pub kept_whole: f64,
    /// Masks of dropout outside attention, in bytes; not divided.
    pub kept_masks: f64,
    /// Bytes of the pattern of all heads with its mask, at this many bytes a number; 0 unless it is stored.
    pub pattern: f64,
}

impl Work {
    /// Counts the work of a training, for a program with this kind of attention and `bytes` a number of activations.
    pub fn of(training: &Training, attention: Attention, dropout: bool, bytes: f64) -> Work {
        let (config, context) = (training.config, training.context);
        let (_, plan) = Gpt::plan(config);
        let is_in_block = |name: &str| name.starts_with("block.");
        let sum = |belongs: &dyn Fn(&str) -> bool| {
            plan.specs.iter().filter(|spec| belongs(&spec.name)).map(|spec| spec.weights()).sum::<u64>()
                as f64
        };
        let blocks = sum(&is_in_block);
        let embeddings = sum(&|name| name.starts_with("embedding."));
        let weights = sum(&|_| true);
        let count = ParameterCount::of(config);
        let group = |wanted: &str| {
            count.groups.iter().find(|group| group.name == wanted).map_or(0, |group| group.weights) as f64
        };
        let unembedding = group("unembedding");
        let multiplied: f64 = count.groups.iter().map(|group| group.weights).sum::<u64>() as f64
            - group("embedding")
            - unembedding;
        let footprint = Footprint::of(config, context);
        let (layers, t) = (config.layers, context as f64);
        let each = layers.max(1) as f64;
        let (width, heads) = (config.width as f64, config.heads.query as f64);
        let queries = heads * config.heads.size as f64;
        let keys = (config.heads.key * config.heads.size) as f64 * config.layers_with_keys() as f64 / each;
        // A causal model sees half of a full context on average; a program that computes the whole pattern does not notice.
        let seen = footprint.flops_per_token as f64 - 2.0 * (multiplied + unembedding);
        let layer_attention = match attention {
            Attention::Stored => 4.0 * t * queries,
            Attention::Fused | Attention::Glass => seen / 2.0 / each,
        };
        let mlp = config.mlp_width as f64 * if config.gated { 3.0 } else { 2.0 };
        let (kept_whole, kept_divided) = match attention {
            Attention::Glass => (0.0, footprint.activation_bytes as f64 / t / 4.0 / each),
            // Korthikanti et al. 2022, section 4.1, for any sizes: norms read 2 widths, queries, keys and values 1, the MLP 1.
            _ => (4.0 * width, 2.0 * queries + 2.0 * keys + mlp),
        };
        let masks = if dropout { 1.0 } else { 0.0 };
        Work {
            weights,
            layer_weights: blocks / each,
            first_weights: embeddings,
            last_weights: if config.tied { unembedding } else { weights - blocks - embeddings },
            layers,
            width,
            vocabulary: config.vocabulary as f64,
            model_flops: footprint.flops_to_learn as f64,
            layer_products: 2.0 * multiplied / each,
            layer_attention,
            logits: 2.0 * unembedding,
            kept_divided,
            kept_whole,
            kept_masks: 2.0 * width * masks,
            // The softmax, its mask, and what is left of it.
            pattern: if attention == Attention::Stored {
                heads * t * (bytes + masks * (1.0 + bytes))
            } else {
                0.0
            },
        }
    }

    /// Bytes that a layer keeps of a token on one of `tensor` devices, without the pattern.
    pub fn kept(&self, bytes: f64, tensor: f64, sequence_parallel: bool) -> f64 {
        let whole = self.kept_whole * bytes + self.kept_masks;
        self.kept_divided * bytes / tensor + if sequence_parallel { whole / tensor } else { whole }
    }
}
