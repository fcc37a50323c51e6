//! Detects losses that are far outside the recent spread.

use serde::{Deserialize, Serialize};

/// The recent losses. A loss is a spike if it exceeds their median by more than eight times their spread, which is
/// 1.4826 × the median distance from the median (for normal noise: the standard deviation), and at least 1 % of the
/// median. At least 16 of the last 64 losses must be known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spikes {
    recent: Vec<f64>,
}

const WINDOW: usize = 64;
const LEAST: usize = 16;
const FAR: f64 = 8.0;

impl Spikes {
    /// Records a loss. If it is a spike, returns the median of the recent losses.
    pub fn see(&mut self, loss: f64) -> Option<f64> {
        let usual = median(self.recent.clone());
        let distances = self.recent.iter().map(|recent| (recent - usual).abs()).collect();
        let spread = (1.4826 * median(distances)).max(0.01 * usual.abs());
        let spike = self.recent.len() >= LEAST && loss - usual > FAR * spread;
        if self.recent.len() == WINDOW {
            self.recent.remove(0);
        }
        self.recent.push(loss);
        spike.then_some(usual)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
