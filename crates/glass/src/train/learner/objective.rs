//! What a step makes smaller, and what it tells about it.

use serde::{Deserialize, Serialize};

use super::preference::Preference;
use super::teacher::Distil;

/// What a step makes smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Objective {
    /// The mean cross-entropy of the counted tokens.
    #[default]
    NextToken,
    /// The mean loss of pairs of answers, of which one is preferred.
    Preference(Preference),
    /// The same mean, with a teacher's distributions beside the tokens.
    Distil(Distil),
}

/// What is measured besides the loss; each is absent where the objective has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// The share of pairs whose chosen answer is rewarded more than the rejected one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// By how much the chosen answers are rewarded more, on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Of a loss with a teacher, the mean cross-entropy, in nats per token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_entropy: Option<f64>,
    /// Of a loss with a teacher, the mean divergence from it, in nats per token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divergence: Option<f64>,
}

/// Sums over a batch: the loss, and two more as the objective has them.
pub(crate) type Sums3 = [f64; 3];

impl Objective {
    /// The loss and the details of sums over `counted` tokens or pairs.
    pub(crate) fn means(&self, sums: Sums3, counted: usize) -> (f64, Details) {
        let [loss, first, second] = sums.map(|sum| sum / counted.max(1) as f64);
        let details = match self {
            Objective::NextToken => Details::default(),
            Objective::Preference(_) => {
                Details { accuracy: Some(first), margin: Some(second), ..Details::default() }
            }
            Objective::Distil(_) => {
                Details { cross_entropy: Some(first), divergence: Some(second), ..Details::default() }
            }
        };
        (loss, details)
    }
}
