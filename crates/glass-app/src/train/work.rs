//! How much arithmetic a step takes, by its number.

use std::ops::Range;

use glass::Config;
use glass::model::footprint::Footprint;
use glass::train::settings::Settings;

/// Floating-point operations to learn one token: in the early steps of a run that begins with fewer blocks, and later.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    early: u64,
    early_steps: u64,
    later: u64,
}

impl Work {
    /// For a run with these settings on samples of so many rows, in which a token takes `later` with all blocks.
    pub fn of(settings: &Settings, config: &Config, rows: usize, later: u64) -> Work {
        let early = settings.early();
        let blocks = early.map_or(config.layers, |early| early.blocks.min(config.layers));
        let with = |layers| Footprint::of(&Config { layers, ..config.clone() }, rows).flops_to_learn;
        let left_out = with(config.layers) - with(blocks);
        Work {
            early: later.saturating_sub(left_out),
            early_steps: early.map_or(0, |early| early.steps),
            later,
        }
    }

    /// The same in every step.
    #[cfg(test)]
    pub fn even(flops: u64) -> Work {
        Work { early: flops, early_steps: 0, later: flops }
    }

    /// In this step.
    pub fn at(self, step: u64) -> u64 {
        if step <= self.early_steps { self.early } else { self.later }
    }

    /// Whether this is the first step with all blocks, after others.
    pub fn grows_at(self, step: u64) -> bool {
        self.early < self.later && self.early_steps > 0 && step == self.early_steps + 1
    }

    /// The share of a later step's work that an early one has.
    pub fn early(self) -> f64 {
        self.early as f64 / self.later.max(1) as f64
    }

    /// All steps after the first number up to the second, as so many later ones.
    pub fn of_steps(self, steps: Range<u64>) -> f64 {
        let all = steps.end.saturating_sub(steps.start);
        let early = steps.end.min(self.early_steps).saturating_sub(steps.start);
        early as f64 * self.early() + (all - early) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_steps_count_less() {
        let config = Config::gpt2(31, 24, 24, 4, 3);
        let whole = Footprint::of(&config, 24).flops_to_learn;
        let work = |early_blocks, early_steps| {
            let settings = Settings { early_blocks, early_steps, ..Settings::default() };
            Work::of(&settings, &config, 24, whole)
        };
        let one = work(Some(1), 10);
        let first = Footprint::of(&Config { layers: 1, ..config.clone() }, 24).flops_to_learn;
        assert_eq!([one.at(1), one.at(10), one.at(11)], [first, first, whole]);
        assert_eq!([10, 11, 12].map(|step| one.grows_at(step)), [false, true, false]);
        assert_eq!(one.of_steps(10..12), 2.0);
        assert!((one.of_steps(8..12) - 2.0 - 2.0 * first as f64 / whole as f64).abs() < 1e-12);
        for same in [work(None, 0), work(Some(4), 10), work(Some(9), 10)] {
            assert_eq!((same.at(1), same.of_steps(0..20)), (whole, 20.0));
        }
    }
}
