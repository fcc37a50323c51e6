//! Start tokens: an option shared by several commands.

use clap::Args;

/// The start of a text.
#[derive(Args, Debug)]
pub struct StartArgs {
    /// Leave out the start token that the model's files put before every text
    #[arg(long)]
    pub no_start: bool,
}
