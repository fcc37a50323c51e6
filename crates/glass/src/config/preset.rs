//! Configurations with well-known names: the four GPT-2s (Radford et al. 2019, table 2) and the eight GPT-3s (Brown
//! et al. 2020, table 2.1).
//!
//! Two rows of GPT-3's table are inconsistent: XL is printed with 24 heads of 128 in a width of 2,048, and 13B with a
//! width of 5,140 and 40 heads of 128. Here XL has 16 heads and 13B a width of 5,120. The paper says that GPT-3's
//! layers alternate dense and locally banded attention, but not how wide the band is; Glass uses 256.

use super::{Config, LayerAttention};

/// Tokens in the vocabulary of GPT-2 and GPT-3.
pub const VOCABULARY: usize = 50_257;

/// How many positions GPT-3's banded layers see.
pub const BAND: usize = 256;

/// A configuration with a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preset {
    /// As in `gpt3-175b`.
    pub name: &'static str,
    /// Positions in the context.
    pub context: usize,
    /// Blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Attention heads of every block.
    pub heads: usize,
}

const fn gpt2(name: &'static str, layers: usize, width: usize, heads: usize) -> Preset {
    Preset { name, context: 1024, layers, width, heads }
}

const fn gpt3(name: &'static str, layers: usize, width: usize, heads: usize) -> Preset {
    Preset { name, context: 2048, layers, width, heads }
}

/// All of them.
pub const PRESETS: [Preset; 12] = [
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
];

impl Preset {
    /// The preset of that name.
    pub fn named(name: &str) -> Option<Preset> {
        PRESETS.into_iter().find(|preset| preset.name == name)
    }

    /// Its full shape. GPT-3 is GPT-2 with a longer context and an alternating mask.
    pub fn config(self) -> Config {
        let config = Config::gpt2(VOCABULARY, self.context, self.width, self.layers, self.heads);
        let mut attention = config.attention.clone();
        if self.name.starts_with("gpt3") {
            attention.push(LayerAttention { window: Some(BAND), rotary: None });
        }
        Config { attention, ..config }
    }
}
