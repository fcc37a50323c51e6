//! How gradients are added up.

use clap::ValueEnum;
use glass::train::sums::Reduce;

/// How gradients are added up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Adding {
    /// In a fixed tree: the same bytes for any number of processes
    Exact,
    /// Each process adds its batches in turn: less memory, and other last digits for each number of processes
    Fast,
}

impl Adding {
    /// The library's value.
    pub fn reduce(self) -> Reduce {
        match self {
            Adding::Exact => Reduce::Exact,
            Adding::Fast => Reduce::Fast,
        }
    }
}
