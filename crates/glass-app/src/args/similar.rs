//! The choice of what is done about near-duplicates.

use clap::ValueEnum;
use glass::train::corpus::Near;

/// What is done about documents that are nearly the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Similar {
    /// They are counted, and learned as all others
    Report,
    /// Of those to train on, only the first is learned, and none that is nearly the same as validation data
    Drop,
    /// They are not looked for
    Keep,
}

impl Similar {
    /// The library's value.
    pub fn near(self) -> Near {
        match self {
            Similar::Report => Near::Report,
            Similar::Drop => Near::Drop,
            Similar::Keep => Near::Keep,
        }
    }
}
