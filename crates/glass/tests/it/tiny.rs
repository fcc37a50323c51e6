//! Tiny models for tests.

use std::sync::Arc;

use glass::Config;
use glass::backend::{Cpu, Packing};
use glass::memory::Keep;
use glass::train::learner::{Batch, Learner, Step};
use glass::train::objective::Objective;
use glass::train::optimiser::Optimiser;
use glass::weights::Frozen;

/// 31 tokens, 24 positions, 2 blocks of 3 heads, width 24.
pub fn config() -> Config {
    Config::gpt2(31, 24, 24, 2, 3)
}

pub fn learner(config: &Config, threads: usize, seed: u64) -> Learner<Cpu> {
    keeping(Keep::All, config, threads, seed)
}

pub fn keeping(keep: Keep, config: &Config, threads: usize, seed: u64) -> Learner<Cpu> {
    let mut learner = Learner::keeping(keep, Arc::new(Cpu::new(threads)), config, 96, 8).unwrap();
    learner.initialise(seed);
    // Much larger weights than a fresh GPT's, so that attention is not uniform.
    let plan = learner.plan().clone();
    let mut values = learner.arena(glass::train::learner::Arena::Weights);
    for spec in plan.specs.iter().filter(|spec| spec.rows > 1) {
        values[spec.span.clone()].iter_mut().for_each(|v| *v *= 10.0);
    }
    learner.set_arena(glass::train::learner::Arena::Weights, &values);
    learner
}

pub fn frozen(learner: &Learner<Cpu>) -> Frozen<Cpu> {
    let read = |spec: &glass::plan::Spec, into: &mut [f32]| {
        learner.read(spec, into);
        Ok(())
    };
    Frozen::load(&**learner.backend(), learner.plan(), Packing::F32, &read).unwrap()
}

/// Pseudo-random ids that are always the same.
pub fn ids(len: usize, vocabulary: usize, seed: u32) -> Vec<u32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % vocabulary as u32
    };
    (0..len).map(|_| next()).collect()
}

pub fn batch(lengths: &[usize], vocabulary: usize, seed: u32) -> Batch {
    let rows = lengths.iter().sum();
    let mut targets = ids(rows, vocabulary, seed + 1);
    targets[rows / 2] = glass_kernels::loss::IGNORE;
    Batch { inputs: ids(rows, vocabulary, seed), targets, lengths: lengths.to_vec(), ..Batch::default() }
}

pub fn step(number: u64) -> Step {
    Step {
        objective: Objective::NextToken,
        optimiser: Optimiser::AdamW,
        rate: 1e-3,
        matrix_rate: 1e-3,
        momentum: 0.95,
        muon_every: 1,
        early: None,
        beta1: 0.9,
        beta2: 0.95,
        epsilon: 1e-8,
        decay: 0.1,
        clip: 1.0,
        dropout: 0.0,
        seed: 7,
        step: number,
    }
}
