//! The initial weights: GPT-2's initialisation, the same numbers for the same seed.

use crate::config::Config;
use crate::plan::{Spec, Start};
use glass_kernels::random::{mix, next, skipped};

/// Fills `into` with the initial values of parameter number `index`, or of some of its rows, which must be preceded
/// by an even number of values.
pub fn initialise(spec: &Spec, index: usize, config: &Config, seed: u64, into: &mut [f32]) {
    let deviation = match spec.start {
        Start::One => return into.fill(1.0),
        Start::Zero => return into.fill(0.0),
        Start::Uniform => None,
        Start::Normal => Some(0.02),
        Start::Residual => Some(0.02 / (2.0 * config.layers as f64).sqrt()),
    };
    let mut state = skipped(mix(seed ^ mix(index as u64 + 1)), (spec.first * spec.cols) as u64);
    let mut uniform = || {
        // 53 bits, never zero, so that the logarithm below is finite.
        ((next(&mut state) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    let Some(deviation) = deviation else {
        let bound = 1.0 / (spec.cols as f64).sqrt();
        return into.iter_mut().for_each(|value| *value = (bound * (2.0 * uniform() - 1.0)) as f32);
    };
    for pair in into.chunks_mut(2) {
        // Box & Muller 1958: two normal numbers from two uniform ones.
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        for (value, normal) in pair.iter_mut().zip([radius * angle.cos(), radius * angle.sin()]) {
            *value = (deviation * normal) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    #[test]
    fn some_rows_start_as_the_whole_does() {
        let config = Config::gpt2(50, 8, 12, 1, 2);
        let mut plan = Plan::default();
        plan.table("table", 50, 12, Start::Normal);
        plan.matrix("matrix", 48, 12, Start::Residual);
        plan.matrix("uniform", 8, 12, Start::Uniform);
        for (index, spec) in plan.specs.iter().enumerate() {
            let mut whole = vec![0.0; spec.rows * spec.cols];
            initialise(spec, index, &config, 7, &mut whole);
            let cut = (spec.rows / 2) & !1;
            let mut parts = vec![0.0; whole.len()];
            let (first, second) = parts.split_at_mut(cut * spec.cols);
            initialise(&spec.some(0..cut), index, &config, 7, first);
            initialise(&spec.some(cut..spec.rows), index, &config, 7, second);
            assert_eq!(parts, whole, "{}", spec.name);
        }
    }
}
