//! Steps in which only the first blocks are computed.

use std::sync::Arc;

use glass::Config;
use glass::backend::Cpu;
use glass::memory::Keep;
use glass::train::learner::{Arena, Learner, Step};
use glass::train::optimiser::Optimiser;
use glass::train::settings::Settings;

use crate::tiny;
use crate::train_run::settings;

fn of_layers(layers: usize, keep: Keep) -> Learner<Cpu> {
    let config = Config { layers, ..tiny::config() };
    Learner::keeping(keep, Arc::new(Cpu::new(2)), &config, 96, 8).unwrap()
}

/// Every number of a learner's parameters, by name.
fn values(learner: &Learner<Cpu>) -> Vec<(String, Vec<u32>)> {
    let all = learner.arena(Arena::Weights);
    let bits = |span: std::ops::Range<usize>| all[span].iter().map(|x| x.to_bits()).collect();
    learner.plan().specs.iter().map(|spec| (spec.name.clone(), bits(spec.span.clone()))).collect()
}

#[test]
fn an_early_step_is_that_of_a_model_with_fewer_blocks() {
    for (keep, optimiser, blocks) in [
        (Keep::All, Optimiser::AdamW, 1),
        (Keep::All, Optimiser::Muon, 2),
        (Keep::Inputs, Optimiser::Muon, 1),
        (Keep::All, Optimiser::Muon, 9),
    ] {
        let mut deep = of_layers(3, keep);
        deep.initialise_early(1, Some(blocks));
        let mut shallow = of_layers(blocks.min(3), keep);
        let known = deep.plan().clone();
        let read = |spec: &glass::plan::Spec, into: &mut [f32]| {
            deep.read(known.specs.iter().find(|known| known.name == spec.name).unwrap(), into);
            Ok(())
        };
        shallow.load(&read).unwrap();
        let before = values(&deep);
        for number in 1..=3 {
            let parts: Vec<_> = (0..2).map(|part| tiny::batch(&[24, 9], 31, 2 * number + part)).collect();
            let step = Step { optimiser, dropout: 0.1, ..tiny::step(number.into()) };
            let one = deep.step(&parts, &Step { blocks: Some(blocks), ..step }).unwrap();
            let other = shallow.step(&parts, &step).unwrap();
            assert_eq!((one.loss, one.norm), (other.loss, other.norm), "{blocks} blocks, step {number}");
            // What all blocks compute is still the same.
            assert_eq!(deep.evaluate(&parts[0]), shallow.evaluate(&parts[0]));
        }
        let (after, few) = (values(&deep), values(&shallow));
        for ((name, then), (_, now)) in before.iter().zip(&after) {
            match few.iter().find(|(known, _)| known == name) {
                Some((_, value)) => {
                    assert!(value == now && (now != then || name.ends_with("bias")), "{name}")
                }
                None => assert!(now == then, "{name} changed"),
            }
        }
        // Now the others are learned as well.
        deep.step(&[tiny::batch(&[24], 31, 9)], &Step { optimiser, ..tiny::step(4) }).unwrap();
        for (name, now) in values(&deep).iter().filter(|(name, _)| name.ends_with("value_up.weight")) {
            assert!(after.iter().any(|(known, then)| known == name && then != now), "{name} stayed");
        }
    }
}

#[test]
fn steps_are_early_up_to_a_number() {
    let early = Settings { early_blocks: Some(1), early_steps: 3, ..settings() };
    assert_eq!([1, 3, 4].map(|step| early.step(step).blocks), [Some(1), Some(1), None]);
    assert_eq!(settings().step(1).blocks, None);
    let said = Settings { early_blocks: Some(0), ..settings() }.check().unwrap_err().to_string();
    assert!(said.contains("early_blocks") && said.contains("at least 1"), "{said}");
}
