//! Steps in which only the first blocks are computed.

use std::sync::Arc;

use glass::Config;
use glass::backend::Cpu;
use glass::memory::Keep;
use glass::train::learner::{Arena, Early, Learner, Step};
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
        let early = Some(Early { blocks, steps: 3 });
        deep.initialise_early(1, early);
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
            let one = deep.step(&parts, &Step { early, ..step }).unwrap();
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
        let outcome =
            deep.step(&[tiny::batch(&[24], 31, 9)], &Step { optimiser, early, ..tiny::step(4) }).unwrap();
        assert!(outcome.finite());
        let ends = ["value_up.weight", "down.weight"];
        for (name, now) in values(&deep).iter().filter(|(name, _)| ends.iter().any(|end| name.ends_with(end)))
        {
            assert!(after.iter().any(|(known, then)| known == name && then != now), "{name} stayed");
            assert!(now.iter().all(|bits| f32::from_bits(*bits).is_finite()));
        }
    }
}

#[test]
fn steps_are_early_up_to_a_number() {
    let early = Settings { early_blocks: Some(1), early_steps: 3, ..settings() };
    assert_eq!([1, 3, 4].map(|step| early.step(step).blocks()), [Some(1), Some(1), None]);
    let none = Settings { early_blocks: Some(1), early_steps: 0, ..settings() };
    assert_eq!([settings().step(1).blocks(), none.step(1).blocks()], [None, None]);
    assert_eq!(none.early(), None);
    let refused = |settings: Settings| settings.check().unwrap_err().to_string();
    let said = refused(Settings { early_blocks: Some(0), ..settings() });
    assert!(said.contains("early_blocks") && said.contains("at least 1"), "{said}");
    let said = refused(Settings { early_blocks: Some(1), early_steps: settings().steps, ..settings() });
    assert!(said.contains("early_steps") && said.contains("so that all blocks are learned"), "{said}");
}

/// AdamW's first update is as large as the rate, whichever step it is.
#[test]
fn moments_that_begin_late_are_corrected_as_first_ones_are() {
    let mut learner = of_layers(2, Keep::All);
    let early = Some(Early { blocks: 1, steps: 1000 });
    learner.initialise_early(1, early);
    let before = values(&learner);
    let step = Step { early, decay: 0.0, clip: 0.0, beta2: 0.999, ..tiny::step(1001) };
    learner.step(&[tiny::batch(&[24], 31, 9)], &step).unwrap();
    let name = "block.1.mlp.down.weight";
    let of = |values: &[(String, Vec<u32>)]| -> Vec<f32> {
        let (_, bits) = values.iter().find(|(known, _)| known == name).unwrap();
        bits.iter().map(|bits| f32::from_bits(*bits)).collect()
    };
    let moved = of(&before).iter().zip(of(&values(&learner))).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!((moved / step.rate - 1.0).abs() < 1e-2, "{moved}");
}
