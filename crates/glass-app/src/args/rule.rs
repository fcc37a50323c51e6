//! The optimiser and its rates.

use clap::{Args, ValueEnum};
use glass::train::optimiser::Optimiser;
use glass::train::schedule::Schedule;
use glass::train::settings::Settings;

/// The optimiser, its constants and the learning rate of every step.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Optimiser")]
pub struct RuleArgs {
    /// Optimiser of the matrices in the blocks; AdamW updates everything else
    #[arg(long, visible_alias = "optimizer", value_enum, default_value_t = Rule::Adamw)]
    pub optimiser: Rule,

    /// The highest learning rate
    #[arg(long, value_name = "R", default_value_t = 1e-3)]
    pub lr: f32,

    /// The highest learning rate of the matrices that Muon updates; it falls as --lr does. Default: that of --lr
    #[arg(long, value_name = "R")]
    pub matrix_lr: Option<f32>,

    /// The rate that the schedule falls to; default: a tenth of --lr
    #[arg(long, value_name = "R")]
    pub min_lr: Option<f32>,

    /// Warm-up steps; default: a tenth of all steps, at most 100
    #[arg(long, value_name = "N")]
    pub warmup: Option<u64>,

    /// How the rate changes after warm-up
    #[arg(long, value_enum, default_value_t = Curve::Cosine)]
    pub schedule: Curve,

    /// Decoupled weight decay, of matrices only
    #[arg(long, value_name = "R", default_value_t = 0.1)]
    pub weight_decay: f32,

    /// Muon's decay of the momentum
    #[arg(long, value_name = "R", default_value_t = 0.95)]
    pub momentum: f32,

    /// Muon updates a matrix in every Nth step, in turn; its momentum is of all steps. It saves time; the rate may then be N times as high
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub muon_every: u64,

    /// AdamW's decay of the first moment
    #[arg(long, value_name = "R", default_value_t = 0.9)]
    pub beta1: f32,

    /// AdamW's decay of the second moment
    #[arg(long, value_name = "R", default_value_t = 0.95)]
    pub beta2: f32,

    /// Limit on the gradient's norm; 0 for no limit
    #[arg(long, value_name = "R", default_value_t = 1.0)]
    pub clip: f32,
}

/// The optimiser of the matrices.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Rule {
    /// From running moments of each weight
    Adamw,
    /// From the orthogonalised momentum of each matrix: more arithmetic, fewer steps
    Muon,
}

/// How the rate changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Curve {
    /// Half a cosine down
    Cosine,
    /// Constant, then falling over the last fifth
    Wsd,
    /// A straight line down
    Linear,
    /// Constant
    Constant,
}

impl RuleArgs {
    /// `draft` with these.
    pub fn settings(&self, draft: Settings) -> Settings {
        Settings {
            optimiser: match self.optimiser {
                Rule::Adamw => Optimiser::AdamW,
                Rule::Muon => Optimiser::Muon,
            },
            lr: self.lr,
            matrix_lr: self.matrix_lr,
            min_lr: self.min_lr.unwrap_or(self.lr / 10.0),
            warmup: self.warmup.unwrap_or(100.min(draft.steps / 10)),
            schedule: match self.schedule {
                Curve::Cosine => Schedule::Cosine,
                Curve::Wsd => Schedule::Wsd,
                Curve::Linear => Schedule::Linear,
                Curve::Constant => Schedule::Constant,
            },
            weight_decay: self.weight_decay,
            momentum: self.momentum,
            muon_every: self.muon_every,
            beta1: self.beta1,
            beta2: self.beta2,
            clip: self.clip,
            ..draft
        }
    }
}
