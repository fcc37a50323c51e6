//! How token ids are stored in a file.

use clap::ValueEnum;

/// The size of an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Width {
    /// Two bytes
    U16,
    /// Four bytes
    U32,
}
