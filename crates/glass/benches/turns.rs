//! Steps of learning, or some decoded tokens, for every line on standard input; answers with the seconds they took.
//! `bench/` takes turns with other programs this way, so that a busy moment of the machine meets all of them. A line may
//! say how often: `10` is ten steps in a row.
//!
//! `cargo bench -p glass --bench turns -- train|decode LAYERS HEADS WIDTH VOCABULARY CONTEXT COUNT THREADS [PRECISION]`:
//! COUNT is the samples of a batch, each as long as the context, or the tokens decoded from an empty one; PRECISION is f32
//! or mixed.
//!
//! `… -- roof GFLOP THREADS`: so many billion floating-point operations in registers only, what the machine can do at most.

use std::hint::black_box;
use std::io::{BufRead, stdin};
use std::sync::Arc;
use std::time::Instant;

use glass::Config;
use glass::backend::{Cpu, Packing, Precision};
use glass::generate::Runner;
use glass::plan::Spec;
use glass::train::learner::{Batch, Learner, Step};
use glass::train::optimiser::Optimiser;
use glass::weights::{Frozen, Weights};
use glass_kernels::{Cores, roof};

const USAGE: &str = "usage: train|decode LAYERS HEADS WIDTH VOCABULARY CONTEXT COUNT THREADS [PRECISION], or roof GFLOP THREADS";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let Some((kind, rest)) = arguments.split_first() else { return println!("{USAGE}") };
    let (sizes, precision) = match rest.split_last() {
        Some((last, sizes)) if last.parse::<usize>().is_err() => (sizes, last.as_str()),
        _ => (rest, "f32"),
    };
    let sizes: Vec<usize> = sizes.iter().map(|a| a.parse().expect(USAGE)).collect();
    match (kind.as_str(), &sizes[..]) {
        ("roof", &[gflop, threads]) => multiply_add(&Cores::new(threads), gflop),
        ("train", &[.., context, samples, _]) => {
            train(learner(&sizes, samples * context, precision), samples)
        }
        ("decode", &[.., tokens, _]) => decode(&learner(&sizes, 1, precision), tokens),
        _ => panic!("{USAGE}"),
    }
}

fn learner(sizes: &[usize], rows: usize, precision: &str) -> Learner<Cpu> {
    let &[layers, heads, width, vocabulary, context, _, threads] = sizes else { panic!("{USAGE}") };
    let precision = match precision {
        "f32" => Precision::F32,
        "mixed" => Precision::Mixed,
        other => panic!("{other}: {USAGE}"),
    };
    let config = Config::gpt2(vocabulary, context, width, layers, heads);
    let samples = rows.div_ceil(context);
    let cpu = Cpu::new(threads).with_precision(precision).expect("a machine that gains by it");
    let mut learner = Learner::new(Arc::new(cpu), &config, rows, samples).expect("memory");
    learner.initialise(1);
    learner
}

/// The roof: so many billion floating-point operations, in registers only.
fn multiply_add(cores: &Cores, gflop: usize) {
    let rounds = gflop as f64 * 1e9 / roof::multiply_add(cores, 1);
    each_turn(|| {
        black_box(roof::multiply_add(cores, rounds as usize));
    });
}

fn train(mut learner: Learner<Cpu>, samples: usize) {
    let Config { vocabulary, context, .. } = *learner.config();
    let token = |row: usize| (row * 7919 % vocabulary) as u32;
    let rows = samples * context;
    let batch = Batch {
        inputs: (0..rows).map(token).collect(),
        targets: (1..=rows).map(token).collect(),
        lengths: vec![context; samples],
    };
    let mut number = 0;
    each_turn(|| {
        number += 1;
        learner.step(std::slice::from_ref(&batch), &step(number)).expect("a step");
    });
}

fn step(number: u64) -> Step {
    Step {
        optimiser: Optimiser::AdamW,
        rate: 3e-4,
        beta1: 0.9,
        beta2: 0.95,
        epsilon: 1e-8,
        decay: 0.1,
        clip: 1.0,
        dropout: 0.0,
        seed: 1,
        step: number,
    }
}

fn decode(learner: &Learner<Cpu>, tokens: usize) {
    let gpt = learner.model().0;
    let read = |spec: &Spec, into: &mut [f32]| {
        learner.read(spec, into);
        Ok(())
    };
    let frozen = Frozen::load(&**learner.backend(), learner.plan(), Packing::F32, &read).expect("memory");
    let mut runner = Runner::new(&**learner.backend(), gpt, Weights::Frozen(&frozen)).expect("memory");
    each_turn(|| {
        runner.truncate(0);
        for place in 0..tokens {
            runner.feed(&[(place % gpt.config.vocabulary) as u32]).expect("a token");
        }
    });
}

fn each_turn(mut work: impl FnMut()) {
    for line in stdin().lock().lines() {
        let times = line.expect("a line").parse().unwrap_or(1);
        let start = Instant::now();
        (0..times).for_each(|_| work());
        println!("{}", start.elapsed().as_secs_f64());
    }
}
