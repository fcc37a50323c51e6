//! Its gradients, and that it learns.

use super::*;
use crate::backend::{CacheType, Cpu, Device, Packing};
use crate::config::Config;
use crate::guess::head::rows;
use crate::model::Gpt;
use crate::plan::Spec;
use crate::weights::Frozen;
use glass_kernels::format::f32_to_bf16;
use glass_kernels::random::mix;

const WIDTH: usize = 8;

fn texts(count: u64, len: u64) -> Vec<Drawn> {
    let number = |seed: u64| (mix(seed) % 2000) as f32 / 1000.0 - 1.0;
    let text = |text: u64| Drawn {
        ids: (0..len).map(|at| (mix(text * 1000 + at) % 20) as u32).collect(),
        from: 2,
        vectors: (0..(len - 2) * WIDTH as u64).map(|at| f32_to_bf16(number(text * 77_777 + at))).collect(),
    };
    (0..count).map(text).collect()
}

fn model() -> Model<Cpu> {
    let config = Config::gpt2(20, 64, WIDTH, 1, 2);
    let (backend, (gpt, plan)) = (Cpu::new(1), Gpt::plan(&config));
    // Larger than at the start of training, so that tokens differ.
    let read = |spec: &Spec, into: &mut [f32]| {
        initialise(spec, spec.span.start, &config, 3, into);
        into.iter_mut().for_each(|x| *x *= 25.0);
        Ok(())
    };
    let weights = Frozen::load(&backend, &plan, Packing::F32, &read).unwrap();
    Model::new(backend, gpt, weights, CacheType::F32)
}

#[test]
fn its_gradients_are_slopes() {
    let (model, texts) = (model(), texts(3, 30));
    let mut learner = HeadLearner::new(&model, &texts, 6, 0.7, 1e-2, 5).unwrap();
    let len = learner.weights.plan.len();
    // Larger weights than at the start, so that every path counts.
    let values: Vec<f32> = (0..len as u64).map(|at| (mix(at) % 1000) as f32 / 1000.0 - 0.5).collect();
    learner.model.backend().write(&mut learner.weights.values, 0, &values);
    let batch = learner.batch();
    learner.targets(&batch);
    let loss = |learner: &mut HeadLearner<'_, Cpu>, values: &[f32]| -> f64 {
        learner.model.backend().write(&mut learner.weights.values, 0, values);
        learner.forward(&batch, false).iter().sum()
    };
    learner.forward(&batch, true);
    learner.backward();
    let mut gradients = vec![0.0_f32; len];
    learner.model.backend().read(&learner.grads, 0, &mut gradients);
    let largest = gradients.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    assert!(largest > 0.01, "{largest}");
    for at in (0..len).step_by(7) {
        let mut moved = |by: f32| {
            let mut values = values.clone();
            values[at] += by;
            loss(&mut learner, &values)
        };
        let slope = (moved(2e-2) - moved(-2e-2)) / 4e-2;
        let gradient = f64::from(gradients[at]);
        assert!((slope - gradient).abs() < 2e-3 * (1.0 + gradient.abs()), "{at}: {slope} {gradient}");
    }
}

/// Where what follows depends on the last token alone, it is learned.
#[test]
fn it_learns_what_follows() {
    let model = model();
    let mut texts = texts(40, 60);
    for text in &mut texts {
        let mut vectors = Vec::new();
        for at in text.from..text.ids.len() {
            text.ids[at] = (text.ids[at - 1] * 7 + 3) % 20;
            // A vector whose likeliest token is the drawn one: its own row of the unembedding.
            let (matrix, _) =
                rows(model.backend(), model.gpt(), model.weights(), &text.ids[at..=at]).unwrap();
            vectors.extend(matrix.iter().map(|x| f32_to_bf16(20.0 * x)));
        }
        text.vectors = vectors;
    }
    let mut learner = HeadLearner::new(&model, &texts, 16, 0.7, 1e-2, 5).unwrap();
    let begin = learner.learn(0.0);
    (0..300).for_each(|step| _ = learner.learn(step as f32 / 300.0));
    let end = learner.learn(1.0);
    assert!((0..STEPS).all(|k| end[k] < 0.3 * begin[k]), "{begin:?} {end:?}");
    let head = learner.head();
    assert!(head.chances[table::STEPS - 1] > 0.9, "{:?}", head.chances);
}
