//! Dropout from a counter: the mask of an element depends on what it is, not on when or where it is computed.

use crate::Cores;
use crate::attend::Span;

/// One use of dropout in one step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Dropout {
    /// The share that is dropped, `0 ≤ rate < 1`; the rest is scaled by `1 / (1 − rate)`.
    pub rate: f32,
    /// Seed, step and site, mixed.
    pub key: u64,
    /// The step's number of the sample in slot 0 of this batch: with accumulation, each part knows where it stands.
    pub first_sample: u32,
}

impl Dropout {
    /// The key of one site in one step.
    pub fn key(seed: u64, step: u64, site: u64) -> u64 {
        let _ = (seed, step, site);
        todo!()
    }
}

/// `y *= mask / (1 − rate)` in place, the mask drawn for sample (`first_sample + slot`), position and column. Its own
/// backward: the same call on the gradient.
pub fn dropout(cores: &Cores, y: &mut [f32], cols: usize, spans: &[Span], dropout: Dropout) {
    let _ = (cores, y, cols, spans, dropout);
    todo!()
}
