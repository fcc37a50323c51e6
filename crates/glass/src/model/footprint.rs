//! What a context of T tokens costs: pattern, cache, activations, arithmetic. Computed from the plan; nothing is allocated.

use super::parameter_count::ParameterCount;
use crate::backend::Cpu;
use crate::config::Config;
use crate::memory::{Cache, Columns, Keep, PASS_ROWS};

/// Bytes of a number: activations, keys and values are f32.
const NUMBER: u64 = 4;

/// The costs of one sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Footprint {
    /// Its tokens, T.
    pub tokens: u64,
    /// Entries of one head's pattern, T².
    pub pattern: u64,
    /// Patterns: one for every head of every layer.
    pub patterns: u64,
    /// Keys and values: 2 × heads × head size × 4 bytes for every position that a layer keeps. That is T, or with a window
    /// those of the window and of the longest pass ([`Cache::kept_positions`]).
    pub kv_cache_bytes: u64,
    /// What a forward keeps for its backward ([`Columns::kept`]): for every token and layer, the residual before attention
    /// and before the MLP, query, key, value, z and the hidden layer before its activation. The pattern is not kept, only
    /// one log-sum-exp per head. 4 bytes each.
    pub activation_bytes: u64,
    /// Multiplications and additions of one token's forward after a full context: 2 for every weight of a matrix
    /// (looking up the embedding is free), and 4 × positions seen × heads × head size in every layer's attention.
    pub flops_per_token: u64,
    /// The same for training on one token, averaged over all positions, which see half of the context: forward, and twice
    /// as much backward.
    pub flops_to_learn: u64,
}

impl Footprint {
    /// The cost of `tokens` tokens in a model of shape `config`.
    pub fn of(config: &Config, tokens: usize) -> Footprint {
        let t = tokens as u64;
        let layers = config.layers as u64;
        let (heads, size) = (config.heads.query as u64, config.heads.size as u64);
        let (queries, keys) = (heads * size, config.heads.key as u64 * size);
        let (multiply, attend) = (2 * multiplied(config), 4 * seen(config, t) * queries);
        Footprint {
            tokens: t,
            pattern: t * t,
            patterns: layers * heads,
            kv_cache_bytes: 2 * Cache::<Cpu>::kept_positions(config, tokens, PASS_ROWS) * keys * NUMBER,
            activation_bytes: t * Columns::of::<Cpu>(config).kept(Keep::All) * NUMBER,
            flops_per_token: multiply + attend,
            flops_to_learn: 3 * (multiply + attend / 2),
        }
    }
}

/// Weights that a token is multiplied with: all counted ones except the embedding's.
fn multiplied(config: &Config) -> u64 {
    let parameter_count = ParameterCount::of(config);
    parameter_count.groups.iter().filter(|group| group.name != "embedding").map(|group| group.weights).sum()
}

/// Positions that the last token sees, over all layers.
fn seen(config: &Config, tokens: u64) -> u64 {
    let window = |layer| config.attention_of(layer).window.map_or(tokens, |window| window as u64);
    (0..config.layers).map(|layer| tokens.min(window(layer))).sum()
}
