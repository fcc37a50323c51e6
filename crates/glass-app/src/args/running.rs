//! How a model is run; the same options wherever one is.

use clap::{Args, ValueEnum};
use glass::backend::{CacheType, InputScales};

/// The numbers that a model runs with.
#[derive(Args, Debug)]
#[command(next_help_heading = "Running")]
pub struct RunningArgs {
    /// How keys and values are kept: 16 bits take half the memory. Where it is left out: f32, and bf16 for packed models
    #[arg(long, value_enum, value_name = "TYPE")]
    pub cache: Option<Cache>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub inputs: InputArgs,
}

/// The inputs of quantised products.
#[derive(Args, Debug)]
#[command(next_help_heading = "Running")]
pub struct InputArgs {
    /// Scales of the inputs of q8 and q4 products, which are rounded to 8 bits: powers-of-two is faster, mostly in prompts,
    /// and rounds more
    #[arg(long, value_enum, value_name = "SCALES", default_value_t = Scales::Exact)]
    pub input_scales: Scales,
}

/// As the kernels name them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Scales {
    /// Every 32 inputs have the scale that fits them best
    Exact,
    /// The next power of two above it
    PowersOfTwo,
}

impl InputArgs {
    /// As the library calls them.
    pub fn scales(&self) -> InputScales {
        match self.input_scales {
            Scales::Exact => InputScales::Exact,
            Scales::PowersOfTwo => InputScales::PowersOfTwo,
        }
    }
}

/// Guessing ahead.
#[derive(Args, Debug)]
#[command(next_help_heading = "Running")]
pub struct LookupArgs {
    /// Guess up to N tokens ahead, from what followed the same words before: the same text, sooner where it repeats itself
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=63))]
    pub lookup: u8,
}

/// As the kernels name them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Cache {
    /// As they are
    F32,
    /// Rounded to the upper half of an f32
    Bf16,
}

impl RunningArgs {
    /// As the library calls it.
    pub fn kind(&self) -> Option<CacheType> {
        self.cache.map(|cache| match cache {
            Cache::F32 => CacheType::F32,
            Cache::Bf16 => CacheType::Bf16,
        })
    }
}
