//! A run that begins with fewer blocks.

use clap::Args;
use glass::train::settings::Settings;

/// How the model grows.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Run")]
pub struct GrowthArgs {
    /// In the early steps, compute and learn only the first N blocks, which takes less time. What the others add to the residual is 0
    /// until then
    #[arg(long, value_name = "N", conflicts_with = "from")]
    pub early_blocks: Option<usize>,

    /// The number of early steps; 0 for none; default: half of all steps
    #[arg(long, value_name = "N", requires = "early_blocks", conflicts_with = "from")]
    pub early_steps: Option<u64>,
}

impl GrowthArgs {
    /// Leaves out a number from a file if a run has no more steps than that.
    pub fn suit(&mut self, steps: Option<u64>) {
        self.early_steps = self.early_steps.filter(|early| steps.is_none_or(|steps| *early < steps));
    }

    /// `draft` with these.
    pub fn settings(&self, draft: Settings) -> Settings {
        let early_steps = match self.early_blocks {
            Some(_) => self.early_steps.unwrap_or(draft.steps / 2),
            None => 0,
        };
        Settings { early_blocks: self.early_blocks, early_steps, ..draft }
    }
}
