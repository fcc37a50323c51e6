//! How a model is run: options shared by several commands.

use clap::{Args, ValueEnum};
use glass::backend::{CacheType, InputScales};

/// The precision of a running model.
#[derive(Args, Debug)]
#[command(next_help_heading = "Running")]
pub struct RunningArgs {
    /// The type of stored keys and values; 16 bits take half the memory. Default: f32, and bf16 for packed models
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
    /// Scales of the inputs of q8 and q4 products, which are rounded to 8 bits: with powers-of-two, prompts take
    /// about 6 % less time, and the error of rounding is 1.5 times as large
    #[arg(long, value_enum, value_name = "SCALES", default_value_t = Scales::Exact)]
    pub input_scales: Scales,
}

/// The kinds of scales.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Scales {
    /// The best scale for every 32 inputs
    Exact,
    /// The next power of two above it
    PowersOfTwo,
}

impl InputArgs {
    /// The library's value.
    pub fn scales(&self) -> InputScales {
        match self.input_scales {
            Scales::Exact => InputScales::Exact,
            Scales::PowersOfTwo => InputScales::PowersOfTwo,
        }
    }
}

/// Guessing ahead. It changes no byte of a text, only when it is there.
#[derive(Args, Debug)]
#[command(next_help_heading = "Guessing ahead")]
pub struct GuessArgs {
    /// Guess up to N tokens in a row from what followed the same tokens before; 0 for none. As many are guessed as save
    /// time on this machine, and no byte of the text changes
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u8).range(0..=63))]
    pub lookup: u8,

    /// Guess from this too: a draft that `glass train --draft-for` made (a file, or a folder with one), or a smaller model with
    /// the same vocabulary; none for nothing. Default: the draft in the model's folder, if there is one
    #[arg(long, value_name = "DRAFT")]
    pub draft: Option<String>,
}

impl GuessArgs {
    /// Whether anything may be guessed from.
    pub fn is_on(&self) -> bool {
        self.lookup > 0 || self.draft.as_deref() != Some("none")
    }
}

/// The types of keys and values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Cache {
    /// Unchanged
    F32,
    /// Rounded to the upper half of an f32
    Bf16,
}

impl RunningArgs {
    /// The library's value.
    pub fn kind(&self) -> Option<CacheType> {
        self.cache.map(|cache| match cache {
            Cache::F32 => CacheType::F32,
            Cache::Bf16 => CacheType::Bf16,
        })
    }
}
