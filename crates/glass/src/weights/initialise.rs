//! How weights start out: GPT-2's initialisation, the same numbers for the same seed.

use crate::config::Config;
use crate::plan::{Spec, Start};
use crate::random::{mix, next};

/// Fills `into` with the starting values of parameter number `index`.
pub fn initialise(spec: &Spec, index: usize, config: &Config, seed: u64, into: &mut [f32]) {
    let deviation = match spec.start {
        Start::One => return into.fill(1.0),
        Start::Zero => return into.fill(0.0),
        Start::Normal => 0.02,
        Start::Residual => 0.02 / (2.0 * config.layers as f64).sqrt(),
    };
    let mut state = mix(seed ^ mix(index as u64 + 1));
    let mut uniform = || {
        // 53 bits, never zero, so that the logarithm below is finite.
        ((next(&mut state) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    for pair in into.chunks_mut(2) {
        // Box & Muller 1958: two normal numbers from two uniform ones.
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        for (value, normal) in pair.iter_mut().zip([radius * angle.cos(), radius * angle.sin()]) {
            *value = (deviation * normal) as f32;
        }
    }
}
