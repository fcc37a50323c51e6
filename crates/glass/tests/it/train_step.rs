//! One training step in which a batch has more counted rows than one chunk of logits.

use std::sync::Arc;

use glass::backend::Cpu;
use glass::train::learner::{Arena, Batch, Learner, Outcome, Step};
use glass_kernels::loss::IGNORE;

use crate::tiny;

/// Rows of a sample.
const LEN: usize = 24;

/// The samples from `first` on; every seventh row is not counted.
fn samples(first: usize, count: usize) -> Batch {
    let mut all = tiny::batch(&[LEN; 24], 31, 3);
    all.targets.iter_mut().step_by(7).for_each(|target| *target = IGNORE);
    let rows = first * LEN..(first + count) * LEN;
    Batch {
        inputs: all.inputs[rows.clone()].to_vec(),
        targets: all.targets[rows].to_vec(),
        lengths: vec![LEN; count],
        ..Batch::default()
    }
}

/// A step over these parts: what it found, the gradient, and the weights after it.
fn stepped(parts: &[Batch]) -> (Outcome, Vec<f32>, Vec<f32>) {
    let config = tiny::config();
    let mut learner = Learner::new(Arc::new(Cpu::new(2)), &config, 24 * LEN, 24).unwrap();
    learner.initialise(1);
    let outcome = learner.step(parts, &tiny::step(1)).unwrap();
    let plan = learner.plan().clone();
    let mut gradient = vec![0.0; plan.len()];
    plan.specs.iter().for_each(|spec| learner.read_gradient(spec, &mut gradient[spec.span.clone()]));
    (outcome, gradient, learner.arena(Arena::Weights))
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    let largest = a.iter().fold(0.0f32, |most, a| most.max(a.abs()));
    a.iter().zip(b).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / largest
}

#[test]
fn all_chunks_of_a_batch_are_counted() {
    let whole = samples(0, 24);
    assert!(whole.counted() > 256 && !whole.counted().is_multiple_of(256), "two chunks, one of them short");
    let parts: Vec<Batch> = (0..24).step_by(8).map(|first| samples(first, 8)).collect();
    assert!(parts.iter().all(|part| part.counted() <= 256), "one chunk each");

    let (once, gradient, weights) = stepped(std::slice::from_ref(&whole));
    let (added, gradient_of_parts, weights_of_parts) = stepped(&parts);
    assert_eq!(once.counted, added.counted);
    assert!((once.loss - added.loss).abs() < 1e-6, "{} and {}", once.loss, added.loss);
    assert!((once.norm - added.norm).abs() < 1e-4 * once.norm, "{} and {}", once.norm, added.norm);
    let distance = furthest(&gradient, &gradient_of_parts);
    assert!(distance < 1e-5, "gradients lie {distance} apart");
    // AdamW's first step has the gradient's sign: far smaller than a weight that was missed.
    let distance = furthest(&weights, &weights_of_parts);
    assert!(distance < 1e-3, "weights lie {distance} apart");
}

#[test]
fn an_evaluation_counts_all_chunks_too() {
    let mut learner = Learner::new(Arc::new(Cpu::new(2)), &tiny::config(), 24 * LEN, 24).unwrap();
    learner.initialise(1);
    let (nats, counted) = learner.evaluate(&samples(0, 24));
    let (mut sum, mut all) = (0.0, 0);
    for first in 0..24 {
        let (nats, counted) = learner.evaluate(&samples(first, 1));
        sum += nats;
        all += counted;
    }
    assert_eq!(counted, all);
    assert!((nats - sum).abs() < 1e-5 * sum, "{nats} and {sum}");
}

#[test]
fn a_limit_above_the_gradient_changes_nothing_and_one_below_it_shortens_it() {
    let first_moment = |clip: f32| {
        let mut learner = Learner::new(Arc::new(Cpu::new(2)), &tiny::config(), 24 * LEN, 24).unwrap();
        learner.initialise(1);
        let step = Step { clip, ..tiny::step(1) };
        let outcome = learner.step(&[samples(0, 4)], &step).unwrap();
        (outcome.norm, learner.arena(Arena::First))
    };
    let (norm, free) = first_moment(0.0);
    assert_eq!(first_moment(100.0 * norm as f32), (norm, free.clone()));
    // AdamW's weights would not show it: its step does not depend on the gradient's length.
    let (_, half) = first_moment(0.5 * norm as f32);
    let expected: Vec<f32> = free.iter().map(|value| 0.5 * value).collect();
    assert!(furthest(&expected, &half) < 1e-4);
}
