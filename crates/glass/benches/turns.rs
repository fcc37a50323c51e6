//! One step of learning, or some decoded tokens, for every line on standard input; answers with the seconds it took.
//! `bench/` takes turns with other programs this way, so that a busy moment of the machine meets all of them.
//!
//! `cargo bench -p glass --bench turns -- train|decode LAYERS HEADS WIDTH VOCABULARY CONTEXT COUNT THREADS
//! [mixed]`: COUNT is the
//! samples of a batch, each as long as the context, or the tokens decoded from an empty one.

use std::io::{BufRead, stdin};
use std::sync::Arc;
use std::time::Instant;

use glass::Config;
use glass::backend::{Cpu, Precision};
use glass::generate::Runner;
use glass::plan::Spec;
use glass::train::learner::{Batch, Learner, Step};
use glass::train::optimiser::Optimiser;
use glass::weights::{Frozen, Weights};

const USAGE: &str = "usage: train|decode LAYERS HEADS WIDTH VOCABULARY CONTEXT COUNT THREADS [mixed]";

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if arguments.is_empty() {
        return println!("{USAGE}");
    }
    let precision = match arguments.pop_if(|last| last == "mixed") {
        Some(_) => Precision::Mixed,
        None => Precision::F32,
    };
    let cpu = |threads| Cpu::new(threads).with_precision(precision).expect("a machine that gains by it");
    let sizes: Vec<usize> = arguments[1..].iter().map(|a| a.parse().expect(USAGE)).collect();
    let [layers, heads, width, vocabulary, context, count, threads] = sizes[..] else { panic!("{USAGE}") };
    let config = Config::gpt2(vocabulary, context, width, layers, heads);
    let rows = if arguments[0] == "train" { count * context } else { 1 };
    let mut learner =
        Learner::new(Arc::new(cpu(threads)), &config, rows, rows.div_ceil(context)).expect("memory");
    learner.initialise(1);
    match arguments[0].as_str() {
        "train" => train(learner, count),
        "decode" => decode(&learner, count),
        other => panic!("{other}: {USAGE}"),
    }
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
    let frozen = Frozen::load(&**learner.backend(), learner.plan(), &read).expect("memory");
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
        line.expect("a line");
        let start = Instant::now();
        work();
        println!("{}", start.elapsed().as_secs_f64());
    }
}
