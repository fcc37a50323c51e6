//! The Jacobian lens: slopes of the last block's output, the file beside a model, and what is refused.

use std::path::PathBuf;

use glass::Config;
use glass::backend::{Cpu, Packing};
use glass::inspect::jacobian::{self, FILE, Fit, JacobianLens};
use glass::inspect::{Inspector, Record, lens};
use glass::model::Gpt;
use glass::probe::Site;
use glass::runtime::{Model, cache_for};
use glass::weights::dtype::Dtype;

use crate::{switches, tiny};

const LAYERS: usize = 3;
const WIDTH: usize = 24;

fn model(threads: usize, seed: u64) -> Model<Cpu> {
    let config = Config { layers: LAYERS, ..tiny::config() };
    let learner = tiny::learner(&config, 1, seed);
    let (gpt, _) = Gpt::plan(&config);
    Model::new(Cpu::new(threads), gpt, tiny::frozen(&learner), cache_for(Packing::F32))
}

fn texts() -> [Vec<u32>; 3] {
    [tiny::ids(11, 31, 5), tiny::ids(20, 31, 6), tiny::ids(4, 31, 7)]
}

fn fitted(model: &Model<Cpu>) -> JacobianLens {
    let mut fit = Fit::new(model, 15, 3).unwrap();
    let read: Vec<bool> = texts().iter().map(|text| fit.read(text).unwrap()).collect();
    assert_eq!((read, fit.texts()), (vec![true, true, false], 2));
    fit.lens().unwrap()
}

#[test]
fn matrices_are_mean_slopes() {
    slopes("GPT-2", model(2, 8));
}

#[test]
fn matrices_are_mean_slopes_with_every_switch() {
    for (name, config) in crate::switches::all() {
        let config = Config { layers: LAYERS, ..config };
        let learner = tiny::learner(&config, 1, 8);
        let (gpt, _) = Gpt::plan(&config);
        slopes(name, Model::new(Cpu::new(2), gpt, tiny::frozen(&learner), cache_for(Packing::F32)));
    }
}

/// The mean over sources of the slopes of the sum over targets, text by text.
fn slopes(name: &str, model: Model<Cpu>) {
    let step = 2e-3f32;
    let mut inspector = Inspector::new(&model, 24, 1).unwrap();
    let lens = fitted(&model);
    let sites = (0..=LAYERS).map(|layer| Site::residual(layer, LAYERS));
    for layer in 1..LAYERS {
        let mut expected = vec![0.0; WIDTH * WIDTH];
        for text in &texts()[..2] {
            let text = &text[..text.len().min(15)];
            let valid = 3..text.len() - 1;
            let mut record = Record::of(sites.clone());
            inspector.run(&[text], &mut record).unwrap();
            let stream = &record.get(Site::residual(layer, LAYERS)).unwrap().values;
            for source in valid.clone() {
                for input in 0..WIDTH {
                    let mut outputs = |by: f32| {
                        let (mut moved, mut last) = (stream.clone(), Record::of([Site::Residual]));
                        moved[source * WIDTH + input] += by;
                        switches::with_stream(&mut inspector, text, layer, &moved, &mut last);
                        let last = &last.get(Site::Residual).unwrap().values;
                        let sum = |output| {
                            valid.clone().map(|row| f64::from(last[row * WIDTH + output])).sum::<f64>()
                        };
                        (0..WIDTH).map(sum).collect::<Vec<_>>()
                    };
                    for (output, (up, down)) in outputs(step).iter().zip(outputs(-step)).enumerate() {
                        let slope = (up - down) / f64::from(2.0 * step);
                        expected[output * WIDTH + input] += slope / valid.len() as f64 / 2.0;
                    }
                }
            }
        }
        let largest = expected.iter().fold(0.0f64, |most, slope| most.max(slope.abs()));
        for (i, (&got, slope)) in lens.matrix(layer).unwrap().values.iter().zip(expected).enumerate() {
            let error = (f64::from(got) - slope).abs() / largest;
            assert!(error < 4e-3, "{name}, block {layer}, {i}: {got}, slope {slope}, largest {largest}");
        }
    }
}

#[test]
fn threads_change_no_bit() {
    let one = fitted(&model(1, 8));
    for threads in [2, 3] {
        assert_eq!(one, fitted(&model(threads, 8)), "{threads} threads");
    }
}

#[test]
fn what_was_skipped_first_changes_nothing_else() {
    let model = model(2, 8);
    let about = fitted(&model).about().clone();
    assert_eq!((about.texts, about.positions, about.skipped), (2, 7 + 11, 3));
}

#[test]
fn readings_go_through_the_matrices() {
    let model = model(2, 8);
    let (lens, text) = (fitted(&model), &texts()[0]);
    let mut inspector = Inspector::new(&model, 24, 1).unwrap();
    let plain = lens::lens(&mut inspector, text, 4).unwrap();
    let through = jacobian::readings(&mut inspector, &lens, text, 4).unwrap();
    assert_eq!((through.len(), through[0].len()), (LAYERS + 1, 0));
    assert_eq!(through[LAYERS], plain[LAYERS], "the last block's output is what all are taken to");
    let mut record = Record::of([Site::residual(1, LAYERS)]);
    inspector.run(&[text], &mut record).unwrap();
    let stream = record.get(Site::residual(1, LAYERS)).unwrap().values.clone();
    let matrix = &lens.matrix(1).unwrap().values;
    let moved: Vec<f32> = stream
        .chunks(WIDTH)
        .flat_map(|x| matrix.chunks(WIDTH).map(move |row| row.iter().zip(x).map(|(j, x)| j * x).sum::<f32>()))
        .collect();
    let expected = lens::read(&mut inspector, &moved, text, 4).unwrap();
    for (through, expected) in through[1].iter().zip(expected) {
        for (through, expected) in through.top.iter().zip(expected.top) {
            assert_eq!(through.id, expected.id);
            assert!((through.logprob - expected.logprob).abs() < 1e-4);
        }
    }
    assert_ne!(through[1], plain[1]);
    let predicted = jacobian::predict(&mut inspector, &lens, 1, &stream, 4).unwrap().unwrap();
    assert!(predicted.iter().eq(through[1].iter().map(|reading| &reading.top)));
    assert_eq!(jacobian::predict(&mut inspector, &lens, 0, &stream, 4).unwrap(), None);
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_file_gives_the_same_lens() {
    let model = model(2, 8);
    let (lens, file) = (fitted(&model), folder("jacobian").join(FILE));
    let inspector = Inspector::new(&model, 24, 1).unwrap();
    lens.save(&file, Dtype::F32).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(JacobianLens::open(&file, &inspector).unwrap(), lens);
    lens.save(&file, Dtype::F32).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "a lens always has the same file");
    lens.save(&file, Dtype::Bf16).unwrap();
    let short = JacobianLens::open(&file, &inspector).unwrap();
    for (short, long) in short.matrix(1).unwrap().values.iter().zip(&lens.matrix(1).unwrap().values) {
        assert!((short - long).abs() <= long.abs() / 256.0);
    }
}

#[test]
fn what_is_no_lens_of_the_model_is_refused() {
    let own = model(2, 8);
    let (lens, file) = (fitted(&own), folder("jacobian_refused").join(FILE));
    lens.save(&file, Dtype::F32).unwrap();
    let refused = |model: &Model<Cpu>| {
        JacobianLens::open(&file, &Inspector::new(model, 4, 1).unwrap()).unwrap_err().to_string()
    };
    let config = Config { layers: 4, ..tiny::config() };
    let deeper = Model::random(Cpu::new(1), &config, Packing::F32, 1).unwrap();
    let said = refused(&deeper);
    assert!(said.contains("of 3 blocks") && said.contains("this model has 4 blocks"), "{said}");

    let config = Config { layers: LAYERS, ..tiny::config() };
    let learner = {
        let mut learner = tiny::learner(&config, 1, 8);
        let arena = glass::train::learner::Arena::Weights;
        let mut values = learner.arena(arena);
        let norm = learner.plan().specs.iter().find(|spec| spec.name == "norm.weight").unwrap();
        values[norm.span.start] *= 1.5;
        learner.set_arena(arena, &values);
        learner
    };
    let (gpt, _) = Gpt::plan(&config);
    let other = Model::new(Cpu::new(1), gpt, tiny::frozen(&learner), cache_for(Packing::F32));
    assert!(refused(&other).contains("of another model of the same shape"), "{}", refused(&other));

    let whole = std::fs::read(&file).unwrap();
    for (bytes, why) in [(&whole[..5], "too few"), (&whole[..whole.len() - 4], "outside")] {
        std::fs::write(&file, bytes).unwrap();
        let said = refused(&own);
        assert!(said.contains(FILE), "{why}: {said}");
    }
    let mut record = Record::of([Site::Norm]);
    let mut inspector = Inspector::new(&own, 4, 1).unwrap();
    inspector.run(&[&[1, 2, 3]], &mut record).unwrap();
    record.save(&file, own.config(), glass::probe::Names::Glass).unwrap();
    assert!(refused(&own).contains("is not a Jacobian lens"), "{}", refused(&own));
}

#[test]
fn fits_that_cannot_be_are_refused() {
    let own = model(2, 8);
    let said = |tokens, skipped| Fit::new(&own, tokens, skipped).err().unwrap().to_string();
    assert!(said(25, 3).contains("context of 24"), "{}", said(25, 3));
    assert!(said(10, 9).contains("at least 11"), "{}", said(10, 9));
    let mut fit = Fit::new(&own, 10, 3).unwrap();
    assert!(fit.read(&[1, 2, 99, 4, 5, 6]).unwrap_err().to_string().contains("99"));
    assert!(!fit.read(&[1, 2, 3, 4]).unwrap());
    assert!(fit.lens().unwrap_err().to_string().contains("no text has the 5 tokens"));
    let config = Config { layers: 1, ..tiny::config() };
    let flat = Model::random(Cpu::new(1), &config, Packing::F32, 1).unwrap();
    assert!(Fit::new(&flat, 10, 3).err().unwrap().to_string().contains("one block"));
}
