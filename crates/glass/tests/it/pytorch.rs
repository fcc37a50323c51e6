//! The model compared with PyTorch: logits, loss, every gradient, ten AdamW steps.

use std::sync::Arc;

use glass::Config;
use glass::backend::Cpu;
use glass::generate::Runner;
use glass::plan::Spec;
use glass::train::learner::{Batch, Learner, Step};
use glass::train::objective::Objective;
use glass::train::optimiser::Optimiser;
use glass::weights::Weights;
use glass_kernels::loss::IGNORE;

use crate::golden::Golden;

fn batch(golden: &Golden, prefix: &str) -> Batch {
    let ids = |name: &str| -> Vec<u32> {
        let counted = |&id: &f64| if id < 0.0 { IGNORE } else { id as u32 };
        golden.get(&format!("{prefix}{name}")).iter().map(counted).collect()
    };
    Batch { inputs: ids("inputs"), targets: ids("targets"), lengths: vec![13; 3], ..Batch::default() }
}

fn each(learner: &Learner<Cpu>, mut f: impl FnMut(&Spec)) {
    learner.plan().specs.iter().for_each(&mut f);
}

#[test]
fn logits_loss_gradients_and_ten_steps_are_pytorchs() {
    for (tied, bias) in [(true, true), (true, false), (false, true), (false, false)] {
        let golden = Golden::open(&format!(
            "pytorch/{}_{}",
            if tied { "tied" } else { "untied" },
            if bias { "bias" } else { "nobias" }
        ));
        let config = Config { tied, bias: bias.into(), ..Config::gpt2(61, 16, 24, 2, 3) };
        let mut learner = Learner::new(Arc::new(Cpu::new(2)), &config, 39, 3).unwrap();
        let read = |spec: &Spec, into: &mut [f32]| {
            for (to, from) in into.iter_mut().zip(golden.get(&spec.name)) {
                *to = *from as f32;
            }
            Ok(())
        };
        learner.load(&read).unwrap();

        let first = batch(&golden, "");
        let (gpt, weights) = learner.model();
        let mut logits = vec![];
        for sample in first.inputs.chunks(13) {
            let mut runner = Runner::new(&**learner.backend(), gpt, Weights::Trainable(weights)).unwrap();
            let mut keep = |_: usize, row: &[f32]| logits.extend(row.iter().map(|&x| x as f64));
            runner.feed_each(sample, &mut keep).unwrap();
        }
        golden.hold("logits", logits, 1e-5);

        let batches = [first, batch(&golden, "second.")];
        let (mut losses, mut norms) = (vec![], vec![]);
        for number in 0..10 {
            let step = Step {
                objective: Objective::NextToken,
                optimiser: Optimiser::AdamW,
                rate: 1e-2,
                matrix_rate: 1e-2,
                momentum: 0.95,
                muon_every: 1,
                early: None,
                beta1: 0.9,
                beta2: 0.95,
                epsilon: 1e-8,
                decay: 0.1,
                clip: 1.0,
                dropout: 0.0,
                seed: 0,
                step: number + 1,
            };
            let batch = &batches[number as usize % 2];
            let outcome = learner.step(std::slice::from_ref(batch), &step).unwrap();
            losses.push(outcome.loss);
            norms.push(outcome.norm);
            if number == 0 {
                golden.hold("loss", [outcome.loss], 1e-5);
                each(&learner, |spec| {
                    let mut ours = vec![0.0; spec.span.len()];
                    learner.read_gradient(spec, &mut ours);
                    let ours = ours.into_iter().map(|x| x as f64);
                    // A key's bias shifts all scores of a query equally, which does not affect the softmax.
                    if spec.name.ends_with("key.bias") {
                        ours.for_each(|x| assert!(x.abs() < 1e-5, "{}: {x}", spec.name));
                    } else {
                        golden.hold(&format!("grad.{}", spec.name), ours, 2e-5);
                    }
                });
            }
        }
        golden.hold("losses", losses, 1e-5);
        golden.hold("norms", norms, 1e-4);
        each(&learner, |spec| {
            let mut ours = vec![0.0; spec.span.len()];
            learner.read(spec, &mut ours);
            if !spec.name.ends_with("key.bias") {
                golden.hold(&format!("after.{}", spec.name), ours.into_iter().map(|x| x as f64), 1e-4);
            }
        });
    }
}
