//! Mixed precision in a whole training step: how far gradients are from those in f32, and the guarantees about
//! bits.

use std::collections::BTreeMap;
use std::sync::Arc;

use glass::Config;
use glass::backend::{Cpu, Precision};
use glass::train::learner::{Arena, Learner};
use glass_kernels::Cores;

use crate::tiny;

/// A fresh model. On machines without fast mixed precision it is slow, with the same result.
fn learner(precision: Precision, threads: usize) -> Learner<Cpu> {
    let cpu = Cpu::on(Cores::new(threads).with_precision(precision));
    let mut learner = Learner::new(Arc::new(cpu), &Config::gpt2(400, 32, 64, 3, 4), 64, 2).unwrap();
    learner.initialise(3);
    learner
}

fn arenas(learner: &Learner<Cpu>) -> [Vec<f32>; 3] {
    [Arena::Weights, Arena::First, Arena::Second].map(|which| learner.arena(which))
}

fn go(learner: &mut Learner<Cpu>, steps: std::ops::RangeInclusive<u64>) {
    for number in steps {
        learner.step(&[tiny::batch(&[32, 20], 400, number as u32)], &tiny::step(number)).unwrap();
    }
}

/// Gradients of the first step, joined by kind: the parameter's name without the number of its block.
fn gradients(precision: Precision) -> BTreeMap<String, Vec<f32>> {
    let mut learner = learner(precision, 2);
    go(&mut learner, 1..=1);
    let mut kinds = BTreeMap::<String, Vec<f32>>::new();
    for spec in &learner.plan().specs {
        let mut gradient = vec![0.0; spec.span.len()];
        learner.read_gradient(spec, &mut gradient);
        let kind = spec.name.split('.').filter(|part| part.parse::<u32>().is_err());
        kinds.entry(kind.collect::<Vec<_>>().join(".")).or_default().extend(gradient);
    }
    kinds
}

/// The gradient of a key's bias is a sum that is zero except for rounding (the softmax does not depend on what is
/// added to all scores of a row), so it is compared with the size of its neighbours.
#[test]
fn gradients_are_close_to_those_of_f32() {
    let length = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let (exact, mixed) = (gradients(Precision::F32), gradients(Precision::Mixed));
    for (kind, exact) in exact.iter().filter(|(kind, _)| !kind.ends_with("key.bias")) {
        let error: Vec<f32> = exact.iter().zip(&mixed[kind]).map(|(a, b)| a - b).collect();
        let relative = length(&error) / length(exact);
        println!("{kind:32} {relative:.1e}");
        assert!(relative < 0.02, "{kind}: {relative}");
    }
    // bf16 has the exponent range of f32, so nothing is too small for it, and the loss is not scaled.
    let all = exact.values().flatten().filter(|x| **x != 0.0);
    let least = all.fold(f32::MAX, |least, x| least.min(x.abs()));
    println!("the least gradient that is not zero: {least:e}");
    assert!(least > 1e-30, "{least:e}");
}

#[test]
fn any_number_of_threads_bit_for_bit() {
    let run = |threads| {
        let mut learner = learner(Precision::Mixed, threads);
        go(&mut learner, 1..=3);
        arenas(&learner)
    };
    let one = run(1);
    for threads in 2..=4 {
        assert!(run(threads) == one, "{threads} threads");
    }
}

#[test]
fn stopped_and_resumed_bit_for_bit() {
    let mut whole = learner(Precision::Mixed, 1);
    go(&mut whole, 1..=4);
    let mut first = learner(Precision::Mixed, 1);
    go(&mut first, 1..=2);
    let mut second = learner(Precision::Mixed, 2);
    for (which, values) in [Arena::Weights, Arena::First, Arena::Second].into_iter().zip(arenas(&first)) {
        second.set_arena(which, &values);
    }
    go(&mut second, 3..=4);
    assert!(arenas(&second) == arenas(&whole));
}

#[test]
fn it_is_refused_where_nothing_is_gained() {
    for isa in glass_kernels::Isa::ALL.into_iter().filter(|isa| !Precision::Mixed.gains(*isa)) {
        let Some(cores) = Cores::with(isa, 1) else { continue };
        let error = Cpu::on(cores).with_precision(Precision::Mixed).err().unwrap().to_string();
        assert!(
            error.starts_with("precision: mixed was given, but this processor has no AVX512-BF16"),
            "{error}"
        );
    }
}
