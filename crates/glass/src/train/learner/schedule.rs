//! The learning rate of every step.
//!
//! With W warm-up steps, N steps, the peak `p` and the floor `m`, step `s` (from 1) has the rate
//!
//! - while `s ≤ W`: `p · s / W`;
//! - then, with `t = (s − 1 − W) / (N − W)`, which runs from 0 towards 1:
//!   - `cosine`: `m + (p − m) · (1 + cos πt) / 2`;
//!   - `linear`: `p + (m − p) · t`;
//!   - `constant`: `p`;
//!   - `wsd` (warm-up, stable, decay; Hägele et al. 2024): `p`, and over the last D = ⌈N / 5⌉ steps (at most N − W)
//!     `m + (p − m) · (1 − √u)` with `u = (s − 1 − (N − D)) / D`.
//!
//! These are llm.c's formulas, so that runs can be compared step by step; the last step is just above the floor, so
//! no step is taken at the floor itself.

use serde::{Deserialize, Serialize};

/// How the rate changes after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Half a cosine from peak to floor.
    Cosine,
    /// The peak, then a decay over the last fifth of the steps.
    Wsd,
    /// A straight line from peak to floor.
    Linear,
    /// The peak throughout.
    Constant,
}

/// A schedule with its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// The shape of the curve.
    pub schedule: Schedule,
    /// The rate at the end of warm-up.
    pub peak: f32,
    /// The rate the curve falls to.
    pub floor: f32,
    /// Warm-up steps.
    pub warmup: u64,
    /// The total number of steps.
    pub steps: u64,
}

impl Rates {
    /// The rate of step `step`, from 1; after the last step, the last step's rate.
    pub fn at(&self, step: u64) -> f32 {
        let step = step.clamp(1, self.steps.max(1));
        let (peak, floor) = (f64::from(self.peak), f64::from(self.floor));
        if step <= self.warmup {
            return (peak * step as f64 / self.warmup as f64) as f32;
        }
        let after = self.steps - self.warmup;
        let share = (step - 1 - self.warmup) as f64 / after as f64;
        let height = match self.schedule {
            Schedule::Cosine => (1.0 + (std::f64::consts::PI * share).cos()) / 2.0,
            Schedule::Linear => 1.0 - share,
            Schedule::Constant => 1.0,
            Schedule::Wsd => {
                let decay = self.steps.div_ceil(5).min(after);
                let into = (step - 1).saturating_sub(self.steps - decay);
                1.0 - (into as f64 / decay as f64).sqrt()
            }
        };
        (floor + (peak - floor) * height) as f32
    }
}
