//! Every family that llama.cpp has an architecture for, written as GGUF and opened again: the same model.

use std::path::{Path, PathBuf};

use glass::backend::{CacheType, Cpu, Packing};
use glass::config::{LayerAttention, PositionScale, Positions, Rotary, Scaling};
use glass::families::{self, Family};
use glass::generate::Runner;
use glass::model::Gpt;
use glass::plan::Spec;
use glass::runtime::Model;
use glass::train::learner::Learner;
use glass::weights::dtype::Dtype;
use glass::weights::folder::Folder;
use glass::weights::gguf::{Numbers, save};
use glass::weights::save::Save;
use glass::weights::{Frozen, Weights};
use glass::{Config, Result};
use glass_kernels::attend::Heads;

use crate::scratch::Scratch;
use crate::tiny;

const WRITTEN: [Family; 17] = [
    Family::Gpt2,
    Family::GptNeoX,
    Family::Llama,
    Family::Mistral,
    Family::Ministral,
    Family::Ministral3,
    Family::Qwen2,
    Family::Qwen3,
    Family::Gemma,
    Family::Gemma2,
    Family::Gemma3,
    Family::Phi3,
    Family::Granite,
    Family::Olmo2,
    Family::Olmo3,
    Family::SmolLm3,
    Family::StableLm,
];

/// A small model of a family: 4 heads of 16 numbers, which share keys and values where the family can.
fn config(family: Family) -> Config {
    let mut config = families::config(family, 64, 64, 64, 7, 4);
    if !matches!(family, Family::Gpt2 | Family::GptNeoX) {
        config.heads = Heads::new(4, 2, 16);
    }
    config.mlp_width = 96;
    if family == Family::Ministral3 {
        // Queries grow after every 16 tokens; the rotation's factor is 1, unlike YaRN's usual one.
        let original = 16;
        let scaling =
            Scaling::Yarn { factor: 4.0, fast: 32.0, slow: 1.0, truncate: true, original, amplitude: 1.0 };
        config.attention[0].rotary = Some(Rotary { scaling, ..Rotary::new(500.0, 16) });
        config.scores.by_position = Some(PositionScale { beta: 0.1, original });
    }
    config
}

fn write(learner: &Learner<Cpu>, numbers: Numbers, scratch: &Scratch) -> Result<PathBuf> {
    let path = scratch.path().join("model.gguf");
    let what = Save {
        config: learner.config(),
        plan: learner.plan(),
        dtype: Dtype::F32,
        tokenizer: None,
        template: None,
        end_of_text: None,
        generation: None,
    };
    let read = |spec: &Spec, into: &mut [f32]| {
        learner.read(spec, into);
        Ok(())
    };
    save(&path, &what, numbers, &read).map(|()| path)
}

fn open(path: &Path) -> Model<Cpu> {
    let folder = Folder::open(path).unwrap();
    let (gpt, plan) = Gpt::plan(folder.config());
    folder.check(&plan).unwrap();
    let backend = Cpu::new(2);
    let weights = Frozen::open(&backend, &plan, &folder).unwrap();
    Model::new(backend, gpt, weights, CacheType::F32)
}

fn logits(mut runner: Runner<'_, Cpu>) -> Vec<f32> {
    let mut all = Vec::new();
    runner.feed_each(&tiny::ids(40, 64, 5), &mut |_, row| all.extend_from_slice(row)).unwrap();
    all
}

/// How far the model that is opened again lies from the one that was written, relative to the largest logit.
fn distance(config: &Config, numbers: Numbers) -> f32 {
    let learner = tiny::keeping(glass::memory::Keep::All, config, 2, 3);
    let scratch = Scratch::new("families-gguf");
    let path =
        write(&learner, numbers, &scratch).unwrap_or_else(|error| panic!("{:?}: {error}", config.family));
    let (gpt, weights) = learner.model();
    let ours = logits(Runner::new(&**learner.backend(), gpt, Weights::Trainable(weights)).unwrap());
    let again = logits(open(&path).runner().unwrap());
    let largest = ours.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    assert!(largest > 0.1, "{:?}: the logits say something", config.family);
    ours.iter().zip(&again).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / largest
}

#[test]
fn every_family_comes_back() {
    for family in WRITTEN {
        let found = distance(&config(family), Numbers::Dense(Dtype::F32));
        println!("{}: {found:.1e}", family.name());
        assert!(found < 1e-5, "{}: {found:.1e}", family.name());
    }
}

/// Mistral Small 3's files have the same architecture, and no factor of queries by position.
#[test]
fn without_a_factor_by_position_it_is_a_mistral() {
    let mut config = config(Family::Ministral3);
    config.scores.by_position = None;
    let learner = tiny::learner(&config, 1, 1);
    let scratch = Scratch::new("families-gguf-mistral3");
    let path = write(&learner, Numbers::Dense(Dtype::F32), &scratch).unwrap();
    let found = Folder::open(&path).unwrap().config().clone();
    assert_eq!((found.family, found.scores.by_position), (Family::Mistral, None));
    assert!(distance(&config, Numbers::Dense(Dtype::F32)) < 1e-5);
}

/// Whatever the order of rows in the file, they are the same blocks.
#[test]
fn blocks_of_rows_that_take_turns_run_as_if_packed_here() {
    for family in [Family::Llama, Family::Gemma3, Family::Phi3] {
        for packing in [Packing::Q8, Packing::Q4] {
            let learner = tiny::keeping(glass::memory::Keep::All, &config(family), 2, 3);
            let scratch = Scratch::new("families-gguf-packed");
            let path = write(&learner, Numbers::of(packing), &scratch).unwrap();
            let read = |spec: &Spec, into: &mut [f32]| {
                learner.read(spec, into);
                Ok(())
            };
            let packed = Frozen::load(&**learner.backend(), learner.plan(), packing, &read).unwrap();
            let (gpt, _) = learner.model();
            let ours = logits(Runner::new(&**learner.backend(), gpt, Weights::Frozen(&packed)).unwrap());
            assert!(ours == logits(open(&path).runner().unwrap()), "{}, {packing:?}", family.name());
        }
    }
}

#[test]
fn scalings_of_the_rotation_come_back() {
    let scalings = [
        Scaling::Linear { factor: 4.0 },
        Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 32 },
        Scaling::Yarn { factor: 4.0, fast: 32.0, slow: 1.0, truncate: true, original: 16, amplitude: 1.3 },
    ];
    for scaling in scalings {
        let rotary = Some(Rotary { scaling: scaling.clone(), ..Rotary::new(500.0, 16) });
        let config = Config { attention: vec![LayerAttention::new(None, rotary)], ..config(Family::Llama) };
        let found = distance(&config, Numbers::Dense(Dtype::F32));
        assert!(found < 1e-5, "{scaling:?}: {found:.1e}");
    }
    let long = Scaling::LongRope {
        short: (0..8).map(|i| 1.0 + f64::from(i)).collect(),
        long: (0..8).map(|i| 2.0 + f64::from(i)).collect(),
        original: 32,
        amplitude: 1.2,
    };
    let rotary = Some(Rotary { scaling: long, ..Rotary::new(500.0, 16) });
    let config = Config { attention: vec![LayerAttention::new(None, rotary)], ..config(Family::Phi3) };
    assert!(distance(&config, Numbers::Dense(Dtype::F32)) < 1e-5);
}

#[test]
fn what_llama_cpp_cannot_express_is_refused_by_name() {
    let dynamic =
        Some(Rotary { scaling: Scaling::Dynamic { factor: 2.0, original: 64 }, ..Rotary::new(500.0, 16) });
    let llama = config(Family::Llama);
    // llama.cpp's architecture has no windows.
    let mut mistral = config(Family::Mistral);
    mistral.attention[0].window = Some(8);
    let cases = [
        (config(Family::GptJ), "a name for the family gptj, but cannot load it"),
        (config(Family::GptNeo), "no architecture for the family gpt_neo"),
        (config(Family::NanoChat), "no architecture for the family nanochat"),
        (mistral, "layers have windows"),
        (
            Config { attention: vec![LayerAttention::new(None, dynamic)], ..llama.clone() },
            "rotated in another way",
        ),
        (Config { sinks: true, ..llama.clone() }, "sinks"),
        (Config { activation: glass::config::Activation::Gelu, ..llama }, "non-linearity"),
    ];
    for (config, expected) in cases {
        assert!(config.positions == Positions::Rotary || config.family == Family::GptNeo);
        let learner = tiny::learner(&config, 1, 1);
        let scratch = Scratch::new("families-gguf-refused");
        let error = write(&learner, Numbers::Dense(Dtype::F32), &scratch).expect_err(expected).to_string();
        assert!(error.contains(expected) && error.contains("cannot be written as GGUF"), "{error}");
        assert!(!scratch.path().join("model.gguf").exists());
    }
}
