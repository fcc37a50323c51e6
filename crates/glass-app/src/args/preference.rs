//! `glass train --preferences`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use glass::train::preference::{Preference, PreferenceLoss};

use super::Options;
use crate::fail::Fail;

/// Learning from pairs of answers.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Preferences")]
pub struct PreferenceArgs {
    /// Pairs of answers to learn from, one {"prompt","chosen","rejected"} per line, each a text or a list of {"role","content"}; without
    /// a prompt, what both answers begin with is the prompt. --batch counts pairs. They are compared with --from as it is before the run
    #[arg(long, value_name = "FILE.jsonl", num_args = 1.., requires = "from", conflicts_with_all = ["data", "chat", "bin", "look", "sample_every"])]
    pub preferences: Vec<PathBuf>,

    /// The loss of a pair; default: dpo
    #[arg(long, value_enum, value_name = "LOSS", requires = "preferences")]
    pub preference_loss: Option<Compared>,

    /// How little the model may move away from --from; default: 0.1, of dpo-norm 5, of simpo 2
    #[arg(long, value_name = "B", requires = "preferences")]
    pub beta: Option<f32>,

    /// By how much simpo wants the chosen answer ahead; default: 0.5
    #[arg(long, value_name = "G", requires = "preferences")]
    pub gamma: Option<f32>,

    /// Share of pairs that robust and simpo expect to be the wrong way round; default: 0
    #[arg(long, value_name = "E", requires = "preferences")]
    pub label_smoothing: Option<f32>,
}

/// A loss of pairs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Compared {
    /// Direct preference optimisation (Rafailov et al. 2023)
    Dpo,
    /// The same with log-probabilities per token (Lambert et al. 2024)
    DpoNorm,
    /// For pairs of which some are the wrong way round (Chowdhury et al. 2024)
    Robust,
    /// A difference to reach, per token (Azar et al. 2023)
    Ipo,
    /// Per token, with a margin and without a reference (Meng et al. 2024)
    Simpo,
}

impl PreferenceArgs {
    /// Whether pairs are learned from.
    pub fn is_given(&self) -> bool {
        !self.preferences.is_empty()
    }

    /// Refuses options of pairs without pairs: the parser does not, where other data is given.
    pub fn check(&self, options: &Options) -> Result<(), Fail> {
        let of_pairs = ["preference-loss", "beta", "gamma", "label-smoothing"];
        match of_pairs.iter().find(|name| options.is_typed(name)).filter(|_| !self.is_given()) {
            Some(name) => Err(Fail::asked(format!(
                "--{name}: it is for pairs of answers; give them with --preferences, or leave it out"
            ))),
            None => Ok(()),
        }
    }

    /// Samples of each item of a batch.
    pub fn samples(&self) -> usize {
        if self.is_given() { 2 } else { 1 }
    }

    /// The library's value, if pairs are learned from.
    pub fn preference(&self) -> Option<Preference> {
        let usual = Preference::usual(match self.preference_loss.unwrap_or(Compared::Dpo) {
            Compared::Dpo => PreferenceLoss::Dpo,
            Compared::DpoNorm => PreferenceLoss::DpoNorm,
            Compared::Robust => PreferenceLoss::Robust,
            Compared::Ipo => PreferenceLoss::Ipo,
            Compared::Simpo => PreferenceLoss::Simpo,
        });
        self.is_given().then(|| Preference {
            beta: self.beta.unwrap_or(usual.beta),
            gamma: self.gamma.unwrap_or(usual.gamma),
            label_smoothing: self.label_smoothing.unwrap_or(usual.label_smoothing),
            ..usual
        })
    }
}
