//! Every family compared with `transformers`: a tiny random model of each, its configuration in today's and in older keys, logits,
//! loss, every gradient, three steps of AdamW, decoding token by token.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use glass::Config;
use glass::backend::Cpu;
use glass::config::Scaling;
use glass::families::Family;
use glass::generate::Runner;
use glass::plan::Spec;
use glass::train::learner::{Batch, Learner, Step};
use glass::train::objective::Objective;
use glass::train::optimiser::Optimiser;
use glass::weights::Weights;
use glass::weights::folder::Folder;
use glass::weights::names::{Place, is_for_pictures, places, plain};
use glass_kernels::loss::IGNORE;

use crate::golden::Golden;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/families")
}

fn families() -> Vec<String> {
    let folders = std::fs::read_dir(root()).unwrap();
    let mut names: Vec<String> =
        folders.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert!(names.len() > 20, "{names:?}");
    names
}

/// A tensor's numbers that belong to a parameter, in the parameter's order.
fn of_parameter(whole: &[f64], place: &Place, spec: &Spec) -> Vec<f64> {
    let (rows, cols) = if spec.rows == 1 { (spec.cols, 1) } else { (spec.rows, spec.cols) };
    let row = |r: usize| &whole[place.row(r) * cols..][..cols];
    (0..rows).flat_map(|r| row(r).iter().copied()).collect()
}

fn learner(folder: &Folder, config: &Config, rows: usize) -> Learner<Cpu> {
    let mut learner = Learner::new(Arc::new(Cpu::new(2)), config, rows, 2).unwrap();
    learner.load(&|spec: &Spec, into: &mut [f32]| folder.read(spec, into)).unwrap();
    learner
}

fn each_logit(learner: &Learner<Cpu>, texts: &[&[u32]], one_by_one: bool) -> Vec<f64> {
    let (gpt, weights) = learner.model();
    let mut logits = vec![];
    for text in texts {
        let mut runner = Runner::new(&**learner.backend(), gpt, Weights::Trainable(weights)).unwrap();
        let mut keep = |_: usize, row: &[f32]| logits.extend(row.iter().map(|&x| f64::from(x)));
        match one_by_one {
            true => text.iter().for_each(|id| runner.feed_each(&[*id], &mut keep).unwrap()),
            false => runner.feed_each(text, &mut keep).unwrap(),
        }
    }
    logits
}

/// Of a folder of golden files.
fn held(name: &str) {
    let golden = Golden::open(&format!("{name}/golden"));
    let folder = root().join("..").join(name);
    let folder = Folder::open(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
    let ids: Vec<u32> = golden.get("ids").iter().map(|&id| id as u32).collect();
    let length = ids.len() / 2;
    // What scales by length, and a context as long as the texts.
    let config = folder.config().clone().with_context(length.max(folder.config().context));
    let texts: Vec<&[u32]> = ids.chunks(length).collect();
    let mut learner = learner(&folder, &config, ids.len());
    let logits = each_logit(&learner, &texts, false);
    let apart = golden.hold("logits", logits.iter().copied(), 1e-5);
    // The same bits token by token, whatever transformers' cache gives.
    assert!(logits == each_logit(&learner, &texts, true), "{name}: decoding differs");

    // Every token but the first of each text is predicted.
    let targets = texts.iter().flat_map(|text| text[1..].iter().copied().chain([IGNORE])).collect();
    let batch = Batch { inputs: ids.clone(), targets, lengths: vec![length; 2], ..Batch::default() };
    let place_of = places(folder.config());
    let (mut losses, mut slopes_apart) = (vec![], 0.0f64);
    for number in 1..=4 {
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
            step: number,
        };
        if number == 4 {
            let (nats, counted) = learner.evaluate(&batch);
            losses.push(nats / counted as f64);
            break;
        }
        losses.push(learner.step(std::slice::from_ref(&batch), &step).unwrap().loss);
        for spec in learner.plan().clone().specs.iter().filter(|_| number == 1) {
            let mut ours = vec![0.0; spec.span.len()];
            learner.read_gradient(spec, &mut ours);
            let place = place_of(&spec.name).unwrap_or_else(|| panic!("{name}: {}", spec.name));
            let whole = golden.get(&format!("grad.{}", place.written));
            let theirs = of_parameter(whole, &place, spec);
            let largest = whole.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
            for (ours, theirs) in ours.iter().zip(theirs) {
                let error = (f64::from(*ours) - theirs).abs() / largest.max(1e-4);
                assert!(error < 1e-4, "{name}: gradient of {}: {ours}, golden {theirs}", spec.name);
                slopes_apart = slopes_apart.max(error);
            }
        }
    }
    let losses_apart = golden.hold("losses", losses, 1e-5);
    let after = each_logit(&learner, &texts, false);
    let last = golden.get("after.logits").len() / 2;
    let after = after.chunks(after.len() / 2).flat_map(|text| text[text.len() - last..].to_vec());
    let after_apart = golden.hold("after.logits", after, 1e-4);
    // For the table in docs/families.md.
    println!(
        "{name:<29} logits {apart:.1e}, gradients {slopes_apart:.1e}, losses {losses_apart:.1e}, logits after three steps \
         {after_apart:.1e}, token by token: same bits"
    );
}

#[test]
fn every_family_is_what_transformers_computes() {
    let failed: Vec<String> = families()
        .into_iter()
        .filter(|name| {
            let held = std::panic::catch_unwind(|| held(&format!("families/{name}")));
            if let Err(why) = &held {
                eprintln!("== {name}: {:?}", why.downcast_ref::<String>());
            }
            held.is_err()
        })
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// Layers that read the keys and values of the layer before, and sinks, in Glass's own form (`tools/own_goldens.py`).
#[test]
fn shared_keys_and_sinks_are_what_pytorch_computes() {
    held("own");
}

/// The part for texts of models that read pictures too: the same logits, and it is saved as a model for texts.
#[test]
fn the_part_for_texts_is_read() {
    for (name, family) in [("gemma3", Family::Gemma3), ("mistral3", Family::Ministral3)] {
        let golden = Golden::open(&format!("pictures/{name}/golden"));
        let folder = Folder::open(&root().join("../pictures").join(name)).unwrap();
        let ids: Vec<u32> = golden.get("ids").iter().map(|&id| id as u32).collect();
        let texts: Vec<&[u32]> = ids.chunks(ids.len() / 2).collect();
        let config = folder.config();
        assert_eq!((config.family, config.tied), (family, family == Family::Gemma3));
        assert_eq!(config, &Config::from_json("", config.to_json("float32", None).as_bytes()).unwrap());
        let [remark] = &folder.remarks()[..] else { panic!("one remark") };
        assert!(remark.contains("texts alone") && remark.contains("tensors for pictures"), "{remark}");
        let learner = learner(&folder, config, ids.len());
        folder.check(learner.plan()).unwrap();
        let apart = golden.hold("logits", each_logit(&learner, &texts, false), 1e-5);
        println!("{name}, the part for texts: logits {apart:.1e}");
    }
}

/// Where the part for texts stands depends on the version of transformers.
#[test]
fn names_of_the_part_for_texts() {
    let name = "layers.3.mlp.up_proj.weight";
    for before in ["model.", "model.language_model.", "language_model.model.", "language_model."] {
        assert_eq!(plain(&format!("{before}{name}")), name);
    }
    assert_eq!(plain("language_model.lm_head.weight"), "lm_head.weight");
    assert!(is_for_pictures(&plain("model.vision_tower.ln_pre.weight")));
}

/// What Google's folders of the sizes that read pictures leave to the class.
#[test]
fn sizes_that_are_left_to_the_class() {
    let text = r#"{"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "vision_config": {"hidden_size": 1152},
        "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024}}"#;
    let config = Config::from_json("config.json", text.as_bytes()).unwrap();
    let Config { vocabulary, context, heads, tied, .. } = config;
    assert_eq!((vocabulary, context, tied), (262_208, 131_072, true));
    assert_eq!((heads.query, heads.key, heads.size), (8, 4, 256));
    assert_eq!(config.attention.len(), 6);
    let [local, global] = [0, 5].map(|layer| config.attention_of(layer).clone());
    assert_eq!((local.window, global.window), (Some(1024), None));
    assert_eq!(local.rotary.unwrap().base, 10_000.0);
    let global = global.rotary.unwrap();
    assert_eq!((global.base, global.scaling), (1_000_000.0, Scaling::Linear { factor: 8.0 }));
}

#[test]
fn the_keys_of_transformers_4_say_the_same() {
    for name in families().into_iter().filter(|name| root().join(name).join("config4.json").exists()) {
        let new = Config::open(&root().join(&name).join("config.json"));
        let old = Config::open(&root().join(&name).join("config4.json"));
        let (new, old) = (new.unwrap_or_else(|e| panic!("{e}")), old.unwrap_or_else(|e| panic!("{e}")));
        assert_eq!(new, old, "{name}");
    }
}

#[test]
fn what_is_written_is_read_as_the_same() {
    for name in families() {
        let config = Config::open(&root().join(&name).join("config.json")).unwrap();
        config.can_express().unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = config.to_json("float32", Some(1));
        let read = Config::from_json("config.json", written.as_bytes()).unwrap();
        assert_eq!(config, read, "{name}: {written}");
        // Glass's own form has every choice.
        let own = Config { family: glass::families::Family::Glass, ..config.clone() };
        let read = Config::from_json("config.json", own.to_json("float32", None).as_bytes()).unwrap();
        assert_eq!(own, read, "{name}");
    }
}
