//! Options of several processes that train together.

use clap::{Args, ValueEnum};
use glass::train::ranks::Divided;
use glass::train::sums::Reduce;

/// How several processes share a training.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Several processes")]
pub struct RanksArgs {
    /// How the gradients of a step's batches are added up
    #[arg(long, value_enum, default_value_t = Adding::Exact)]
    pub reduce: Adding,

    /// What processes divide among them, so that each has only its part in memory
    #[arg(long, value_enum, default_value_t = Dividing::Moments)]
    pub divide: Dividing,
}

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

/// What is divided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Dividing {
    /// The optimiser's moments (ZeRO, stage 1)
    Moments,
    /// Gradients too (stage 2): more exchange where a process has several batches
    Gradients,
    /// Weights too (stage 3): they are sent twice for every batch
    Weights,
}

impl Dividing {
    /// The library's value.
    pub fn divided(self) -> Divided {
        match self {
            Dividing::Moments => Divided::Moments,
            Dividing::Gradients => Divided::Gradients,
            Dividing::Weights => Divided::Weights,
        }
    }
}
