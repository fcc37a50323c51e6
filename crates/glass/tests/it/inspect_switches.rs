//! Looking inside models with every switch of the configuration.

use glass::Config;
use glass::backend::Cpu;
use glass::config::Gain;

use glass::inspect::circuits::{Pair, circuits};
use glass::inspect::drift::carried;
use glass::inspect::gradient::gradient_by_activation;
use glass::inspect::jacobian::{FILE, Fit, JacobianLens};
use glass::inspect::sweep::patch_residual;
use glass::inspect::{Edit, Edits, Inspector, Record};
use glass::model::Gpt;
use glass::probe::{Part, Site};
use glass::runtime::{Model, cache_for};

use crate::{switches, tiny};

fn model(config: &Config, seed: u64) -> Model<Cpu> {
    let learner = tiny::learner(config, 1, seed);
    let (gpt, _) = Gpt::plan(config);
    Model::new(Cpu::new(2), gpt, tiny::frozen(&learner), cache_for(glass::backend::Packing::F32))
}

/// Every site that a model has is recorded; every other one is refused, with those that it has.
#[test]
fn sites_that_a_model_does_not_have_are_refused() {
    let ids = tiny::ids(9, 31, 1);
    for (name, config) in switches::all() {
        let model = model(&config, 3);
        let mut inspector = Inspector::new(&model, 9, 1).unwrap();
        let all = Site::all(&config);
        let mut record = Record::of(all.iter().copied());
        inspector.run(&[&ids], &mut record).unwrap();
        for &site in &all {
            let values = &record.get(site).unwrap().values;
            assert!(!values.is_empty() && values.iter().any(|&x| x != 0.0), "{name}: {site}");
        }
        let blocks = Part::ALL.map(|part| Site::Block(1, part));
        for site in blocks.into_iter().chain([Site::Position]).filter(|site| !all.contains(site)) {
            let edit = Edits::new([Edit::of(site, glass::inspect::edit::Change::Silence)]);
            let error = inspector.run(&[&ids], edit).unwrap_err().to_string();
            let has = if site == Site::Position { "embedding.token" } else { "block.1.attention.query" };
            assert!(error.contains(&site.to_string()) && error.contains(has), "{name}: {error}");
        }
    }
}

/// Also where a block reads keys and values of one before it: such a sweep begins earlier.
#[test]
fn sweeps_are_whole_passes_with_every_switch() {
    let (clean, corrupted) = (tiny::ids(9, 31, 1), tiny::ids(9, 31, 2));
    let metric = |logits: &[f32]| f64::from(logits[3]) - f64::from(logits[9]);
    for (name, config) in switches::all() {
        let model = model(&config, 3);
        let mut inspector = Inspector::new(&model, 9, 1).unwrap();
        let site = |layer| Site::Block(layer, Part::Residual);
        let mut record = Record::of((0..config.layers).map(site));
        inspector.run(&[&clean], &mut record).unwrap();
        let found = patch_residual(&mut inspector, &clean, &corrupted, &metric).unwrap();
        for layer in 0..config.layers {
            for position in 0..9 {
                let was = record.get(site(layer)).unwrap().row(position).to_vec();
                let edit = Edit::replace(site(layer), was).at(position..position + 1);
                inspector.run(&[&corrupted], Edits::new([edit])).unwrap();
                let alone = metric(&inspector.next_logits());
                assert_eq!(
                    found.after[layer][position].to_bits(),
                    alone.to_bits(),
                    "{name}, {layer} {position}"
                );
            }
            let stream = &record.get(site(layer)).unwrap().values;
            let refused = inspector.resume(layer, stream, &[9], ());
            assert_eq!(refused.is_err(), config.begin_at(layer) < layer, "{name}, {layer}");
        }
    }
}

/// With a factor and a cap on the logits, and all else.
#[test]
fn gradient_by_activation_is_the_slope_with_every_switch() {
    let (ids, width, step) = (tiny::ids(7, 31, 5), 24, 1e-3f32);
    for (name, config) in switches::all() {
        let (model, layers) = (model(&config, 8), config.layers);
        let mut inspector = Inspector::new(&model, 7, 1).unwrap();
        let found = gradient_by_activation(&mut inspector, &ids, 3, Some(9)).unwrap();
        let mut record = Record::of((0..=layers).map(|layer| Site::residual(layer, layers)));
        inspector.run(&[&ids], &mut record).unwrap();
        let largest = found.iter().flatten().fold(0.0f64, |most, x| most.max(x.abs()));
        for (layer, found) in found.iter().enumerate() {
            for (position, &found) in found.iter().enumerate() {
                let mut logit = |by: f32| {
                    let mut stream = record.get(Site::residual(layer, layers)).unwrap().values.clone();
                    stream[position * width..][..width].iter_mut().for_each(|x| *x *= 1.0 + by);
                    switches::with_stream(&mut inspector, &ids, layer, &stream, ());
                    let logits = inspector.next_logits();
                    f64::from(logits[3]) - f64::from(logits[9])
                };
                let slope = (logit(step) - logit(-step)) / f64::from(2.0 * step);
                let error = (slope - found).abs();
                assert!(error < 0.01 * largest + 2e-3, "{name}, {layer} {position}: {slope} {found}");
            }
        }
    }
}

/// A query can be made to attend only to a key in its window, and keeps one key of it.
#[test]
fn edits_of_patterns_know_windows() {
    let (_, config) = switches::all().into_iter().find(|(name, _)| *name == "windows").unwrap();
    let layer = (0..config.layers).find(|&layer| config.attention_of(layer).window == Some(5)).unwrap();
    let (model, ids) = (model(&config, 3), tiny::ids(9, 31, 1));
    let mut inspector = Inspector::new(&model, 9, 1).unwrap();
    let mut refused = |edits: Vec<Edit>, named: &str| {
        let error = inspector.run(&[&ids], Edits::new(edits)).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    };
    refused(vec![Edit::force(layer, 7..8, 2)], "outside the window of 5");
    refused(vec![Edit::force(layer, 2..9, 2)], "positions 2..7");
    // Query 7 sees 3 to 7.
    refused((3..8).map(|key| Edit::cut(layer, 7..8, key)).collect(), "position 7");
    let site = Site::Block(layer, Part::Pattern);
    let mut row = |edits: Vec<Edit>, query: usize| {
        let mut record = Record::of([site]);
        inspector.run(&[&ids], (Edits::new(edits), &mut record)).unwrap();
        record.row(site, 0, config.heads.query, query).unwrap().to_vec()
    };
    let forced = row(vec![Edit::force(layer, 6..7, 2)], 6);
    assert!(
        forced.iter().enumerate().all(|(key, &share)| share == f32::from(u8::from(key == 2))),
        "{forced:?}"
    );
    let cut = row((4..8).map(|key| Edit::cut(layer, 7..8, key)).collect(), 7);
    assert!(cut.iter().enumerate().all(|(key, &share)| share == f32::from(u8::from(key == 3))), "{cut:?}");
}

/// A model whose norms have no parameters is told from another by its last block.
#[test]
fn a_lens_of_another_model_without_gains_is_refused() {
    let (_, config) = switches::all().into_iter().find(|(name, _)| *name == "no gain").unwrap();
    assert_eq!(config.norm.gain, Gain::None);
    let (own, other) = (model(&config, 8), model(&config, 9));
    let mut fit = Fit::new(&own, 15, 3).unwrap();
    assert!(fit.read(&tiny::ids(11, 31, 5)).unwrap());
    let folder = std::env::temp_dir().join(format!("glass-lens-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(FILE);
    fit.lens().unwrap().save(&file, glass::weights::dtype::Dtype::F32).unwrap();
    let open = |model: &Model<Cpu>| JacobianLens::open(&file, &Inspector::new(model, 4, 1).unwrap());
    open(&own).unwrap();
    let error = open(&other).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(error.contains("of another model of the same shape"), "{error}");
}

/// What a head does with two tokens, from its weights, is what it does in passes over one token each: both are then at position 0.
#[test]
fn circuits_are_what_a_head_does_with_every_switch() {
    for (name, config) in switches::all() {
        let (model, size, width) = (model(&config, 9), config.heads.size, config.width);
        let mut inspector = Inspector::new(&model, 1, 1).unwrap();
        let head = config.heads.query - 1;
        let key_head = head / (config.heads.query / config.heads.key);
        let found = circuits(&mut inspector, 0, head, 31 * 31).unwrap();
        let vector = |name: &str| inspector.parameter(name).map(|matrix| matrix.values);
        let one = if config.norm.gain == Gain::OnePlusWeight { 1.0 } else { 0.0 };
        let gain = match config.norm.gain {
            Gain::None => vec![1.0; width],
            _ => vector("norm.weight").unwrap().iter().map(|x| x + one).collect(),
        };
        let table = if config.tied { "embedding.token.weight" } else { "unembedding.weight" };
        let reads = inspector.parameter(table).unwrap();
        let contribution = Site::Block(0, Part::Contribution);
        let pattern = Site::Block(0, Part::Pattern);
        let unnormed = Site::Block(0, Part::AttentionUnnormed);
        let sites = [Site::query(&config, 0), Site::key(&config, 0), contribution, pattern, unnormed];
        let mut alone = |token: u32| {
            let mut record = Record::of(sites.into_iter().filter(|site| site.is_in(&config)));
            // No position where it would be added.
            let no_position = Edit::of(Site::Position, glass::inspect::edit::Change::Silence);
            let edits = Site::Position.is_in(&config).then_some(no_position);
            inspector.run(&[&[token]], (Edits::new(edits), &mut record)).unwrap();
            record
        };
        for [from, to] in [[3, 17], [30, 2], [5, 5]] {
            let (asks, answers) = (alone(from), alone(to));
            let strength = |pairs: &[Pair]| {
                f64::from(pairs.iter().find(|pair| (pair.from, pair.to) == (from, to)).unwrap().strength)
            };
            let close = |ours: f64, theirs: f64, what: &str| {
                assert!(
                    (ours - theirs).abs() < 1e-4 * theirs.abs().max(1e-2),
                    "{name}: {what} {ours}, {theirs}"
                );
            };
            let query = &asks.get(sites[0]).unwrap().values[head * size..][..size];
            let key = &answers.get(sites[1]).unwrap().values[key_head * size..][..size];
            let heads = config.heads_of(0);
            let score: f32 = query.iter().zip(key).map(|(q, k)| q * k).sum::<f32>() * heads.scale;
            let score = heads.cap.map_or(score, |cap| cap * (score / cap).tanh());
            close(strength(&found.looks), score.into(), "looks");

            // What it gives to the token itself, of which a sink may have taken a share.
            let share = f64::from(asks.get(pattern).unwrap().row(head)[0]);
            let scale = match unnormed.is_in(&config) {
                true => glass::inspect::promoted::deviation(&asks.get(unnormed).unwrap().values, config.norm),
                false => 1.0,
            };
            let added = &asks.get(contribution).unwrap().values[head * width..][..width];
            let read = reads.row(to as usize).iter().zip(&gain).map(|(x, gain)| f64::from(x * gain));
            let said: f64 = added.iter().zip(read).map(|(&x, read)| f64::from(x) * read).sum();
            close(strength(&found.says), said / share * scale * f64::from(config.factors.logits), "says");
        }
    }
}

/// What heads carry into a position from all positions has the length of what they add, where they look at one alone.
#[test]
fn what_is_carried_is_what_is_added_with_every_switch() {
    for (name, config) in switches::all() {
        let model = model(&config, 4);
        let mut inspector = Inspector::new(&model, 1, 1).unwrap();
        let found = carried(&mut inspector, &[7], &[0], 0..1).unwrap();
        assert_eq!(found.len(), config.layers * config.heads.query);
        let contributions = (0..config.layers).map(|layer| Site::Block(layer, Part::Contribution));
        let mut record = Record::of(contributions);
        inspector.run(&[&[7]], &mut record).unwrap();
        for one in found {
            let all = &record.get(Site::Block(one.layer, Part::Contribution)).unwrap().values;
            let added = &all[one.head * config.width..][..config.width];
            let length = added.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            assert!((one.length - length).abs() < 1e-4 * length, "{name}: {one:?}, {length}");
        }
    }
}
