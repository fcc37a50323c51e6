//! Configurations with well-known names: the four GPT-2s (Radford et al. 2019, table 2), the eight GPT-3s (Brown et al. 2020,
//! table 2.1), and shapes that people train today, as the `config.json` beside their published weights gives them: SmolLM2
//! (Allal et al. 2025), Llama 3.2 1B, Qwen3 0.6B, Gemma 3 270M; and nanochat's, whose `base_train.py` makes a width of 64 and
//! half a head of 128 for each layer of its depth.
//!
//! Two rows of GPT-3's table are inconsistent: XL is printed with 24 heads of 128 in a width of 2,048, and 13B with a
//! width of 5,140 and 40 heads of 128. Here XL has 16 heads and 13B a width of 5,120. The paper says that GPT-3's
//! layers alternate dense and locally banded attention, but not how wide the band is; Glass uses 256.

use glass_kernels::attend::Heads;

use super::{Config, LayerAttention, Norm, Rotary, Scaling};
use crate::families::Family;

/// Tokens in the vocabulary of GPT-2 and GPT-3.
pub const VOCABULARY: usize = 50_257;

/// How many positions GPT-3's banded layers see.
pub const BAND: usize = 256;

/// A configuration with a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preset {
    /// As in `gpt3-175b`.
    pub name: &'static str,
    /// The family.
    pub family: Family,
    /// Tokens in the vocabulary.
    pub vocabulary: usize,
    /// Positions in the context.
    pub context: usize,
    /// Blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Attention heads of every block.
    pub heads: usize,
    /// Heads of keys and values.
    pub key_heads: usize,
    /// Width of a head.
    pub head_size: usize,
    /// Width of the MLP's hidden layer.
    pub mlp_width: usize,
}

const fn gpt2(name: &'static str, layers: usize, width: usize, heads: usize) -> Preset {
    Preset {
        name,
        family: Family::Gpt2,
        vocabulary: VOCABULARY,
        context: 1024,
        layers,
        width,
        heads,
        key_heads: heads,
        head_size: width / heads,
        mlp_width: 4 * width,
    }
}

const fn gpt3(name: &'static str, layers: usize, width: usize, heads: usize) -> Preset {
    Preset { context: 2048, ..gpt2(name, layers, width, heads) }
}

const fn nanochat(name: &'static str, depth: usize) -> Preset {
    Preset {
        family: Family::NanoChat,
        vocabulary: 1 << 16,
        head_size: 128,
        ..gpt3(name, depth, 64 * depth, depth / 2)
    }
}

const fn later(
    name: &'static str,
    family: Family,
    [vocabulary, context, layers, width]: [usize; 4],
    [heads, key_heads, head_size, mlp_width]: [usize; 4],
) -> Preset {
    Preset { name, family, vocabulary, context, layers, width, heads, key_heads, head_size, mlp_width }
}

/// All of them.
pub const PRESETS: [Preset; 22] = [
    gpt2("gpt2", 12, 768, 12),
    gpt2("gpt2-medium", 24, 1024, 16),
    gpt2("gpt2-large", 36, 1280, 20),
    gpt2("gpt2-xl", 48, 1600, 25),
    gpt3("gpt3-small", 12, 768, 12),
    gpt3("gpt3-medium", 24, 1024, 16),
    gpt3("gpt3-large", 24, 1536, 16),
    gpt3("gpt3-xl", 24, 2048, 16),
    gpt3("gpt3-2.7b", 32, 2560, 32),
    gpt3("gpt3-6.7b", 32, 4096, 32),
    gpt3("gpt3-13b", 40, 5120, 40),
    gpt3("gpt3-175b", 96, 12_288, 96),
    later("smollm2-135m", Family::Llama, [49_152, 8192, 30, 576], [9, 3, 64, 1536]),
    later("smollm2-360m", Family::Llama, [49_152, 8192, 32, 960], [15, 5, 64, 2560]),
    later("llama3.2-1b", Family::Llama, [128_256, 131_072, 16, 2048], [32, 8, 64, 8192]),
    later("qwen3-0.6b", Family::Qwen3, [151_936, 40_960, 28, 1024], [16, 8, 128, 3072]),
    later("gemma3-270m", Family::Gemma3, [262_144, 32_768, 18, 640], [4, 1, 256, 2048]),
    nanochat("nanochat-d4", 4),
    nanochat("nanochat-d6", 6),
    nanochat("nanochat-d8", 8),
    nanochat("nanochat-d10", 10),
    nanochat("nanochat-d12", 12),
];

impl Preset {
    /// The preset of that name.
    pub fn named(name: &str) -> Option<Preset> {
        PRESETS.into_iter().find(|preset| preset.name == name)
    }

    /// Its full shape: the usual choices of its family, and what its files say instead. GPT-3 is GPT-2 with a longer context
    /// and alternating attention.
    pub fn config(self) -> Config {
        let heads = Heads::new(self.heads, self.key_heads, self.head_size);
        let sizes =
            Config::llama(self.vocabulary, self.context, self.width, self.layers, heads, self.mlp_width);
        let mut config = (self.family.form().usual)(sizes);
        match self.family {
            Family::Gpt2 if self.name.starts_with("gpt3") => {
                config.attention.push(LayerAttention::new(Some(BAND), None));
            }
            Family::Llama => {
                config.tied = true;
                config.attention = vec![LayerAttention::new(None, Some(self.rotary()))];
            }
            Family::Qwen3 => {
                config.tied = true;
                config.norm = Norm::rms(1e-6);
                config.attention = vec![LayerAttention::new(None, Some(self.rotary()))];
            }
            _ => {}
        }
        config
    }

    fn rotary(self) -> Rotary {
        match self.name {
            "llama3.2-1b" => Rotary {
                scaling: Scaling::Llama3 { factor: 32.0, low: 1.0, high: 4.0, original: 8192 },
                ..Rotary::new(500_000.0, self.head_size)
            },
            "qwen3-0.6b" => Rotary::new(1_000_000.0, self.head_size),
            _ => Rotary::new(100_000.0, self.head_size),
        }
    }
}
