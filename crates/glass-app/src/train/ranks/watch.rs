//! What a rank without a display sees of a run.

use std::time::Instant;

use glass::backend::Cpu;
use glass::train::watch::Watch;

/// Has a clock, and shows nothing.
pub struct Bystander(Instant);

impl Bystander {
    /// From now on.
    pub fn new() -> Bystander {
        Bystander(Instant::now())
    }
}

impl Watch<Cpu> for Bystander {
    fn seconds(&mut self) -> Option<f64> {
        Some(self.0.elapsed().as_secs_f64())
    }
}
