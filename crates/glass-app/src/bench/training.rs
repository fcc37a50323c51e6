//! The speed of training steps.

use std::sync::Arc;

use glass::Config;
use glass::backend::Cpu;
use glass::train::learner::{Batch, Learner};
use glass::train::settings::Settings;

use super::timing::seconds;

/// Samples per batch, and their maximum length.
const SAMPLES: usize = 4;
const LONGEST: usize = 256;

/// A batch and its speed.
pub struct Training {
    /// Samples of a batch.
    pub samples: usize,
    /// Tokens of each sample.
    pub context: usize,
    /// Tokens per second.
    pub rate: f64,
}

/// Measures forward, backward and the optimiser's step, in f32.
pub fn measured(config: &Config, threads: usize) -> glass::Result<Training> {
    let context = config.context.min(LONGEST);
    let rows = SAMPLES * context;
    let mut learner = Learner::new(Arc::new(Cpu::new(threads)), config, rows, SAMPLES)?;
    learner.initialise(1);
    let ids = |factor: usize| (0..rows).map(|row| (row * factor % config.vocabulary) as u32).collect();
    let batch = [Batch {
        inputs: ids(7919),
        targets: ids(104_729),
        lengths: vec![context; SAMPLES],
        ..Batch::default()
    }];
    let step = Settings::default().step(1);
    let taken = seconds(|| learner.step(&batch, &step).map(|_| ()))?;
    Ok(Training { samples: SAMPLES, context, rate: rows as f64 / taken })
}
