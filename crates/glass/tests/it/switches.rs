//! Every switch of the configuration, alone and together: the backward pass compared with differences, and the same bits for any
//! cut of the forward.

use glass::Config;
use glass::backend::{CacheType, Cpu, Pairs};
use glass::config::{
    Activation, Biases, Branches, Factors, Gain, LayerAttention, Norm, NormOver, Placement, PositionScale,
    Positions, QueryKeyNorm, Rotary, Scaling, ScoreFactor, Scores,
};
use glass::generate::{Batch, Room};
use glass::inspect::attribute::{Component, of_logit};
use glass::inspect::{Edit, Edits, Inspector};
use glass::memory::Keep;
use glass::probe::{Part, Probe, Site};
use glass::runtime::Model;
use glass::train::learner::{Arena, Step};
use glass::weights::Weights;
use glass_kernels::attend::Heads;

use crate::tiny;

/// A tiny Llama: 4 query heads share 2 key heads of 8 numbers in a width of 24.
fn llama() -> Config {
    Config { tied: true, ..Config::llama(31, 24, 24, 2, Heads::new(4, 2, 8), 40) }
}

fn rotary(base: f64) -> Rotary {
    Rotary::new(base, 8)
}

/// Layers with this window and rotation in turns with layers that see everything.
fn windowed(window: usize) -> Vec<LayerAttention> {
    let local = LayerAttention::new(Some(window), Some(rotary(100.0)));
    let scaled = Rotary { scaling: Scaling::Linear { factor: 4.0 }, ..rotary(10_000.0) };
    let global = LayerAttention::new(None, Some(scaled));
    vec![local, global]
}

/// Layers that read the keys and values of the one before, and of the one before that, with other windows and rotations.
pub fn reading() -> Vec<LayerAttention> {
    let [local, global] = [windowed(5)[0].clone(), windowed(5)[1].clone()];
    let next = LayerAttention { keys_from: Some(1), ..global };
    vec![local.clone(), next, LayerAttention { window: Some(9), keys_from: Some(2), ..local }]
}

/// Pairs of layers with the same keys and values.
fn pairs() -> Vec<LayerAttention> {
    let own = llama().attention[0].clone();
    vec![own.clone(), LayerAttention { keys_from: Some(1), ..own }]
}

fn normed(over: NormOver, after_rotation: bool) -> Config {
    Config { query_key_norm: Some(QueryKeyNorm { over, after_rotation }), ..llama() }
}

/// A pass over `ids` in which this residual stream enters a block. A pass that begins there has no keys of blocks before it, so
/// where those are read it is a whole one.
pub fn with_stream<P: Probe>(
    inspector: &mut Inspector<'_, Cpu>,
    ids: &[u32],
    layer: usize,
    stream: &[f32],
    probe: P,
) {
    let config = inspector.model().config().clone();
    if config.begin_at(layer) == layer {
        return inspector.resume(layer, stream, &[ids.len()], probe).unwrap();
    }
    let edit = Edit::replace(Site::Block(layer, Part::Residual), stream.to_vec()).at(0..ids.len());
    inspector.run(&[ids], (Edits::new([edit]), probe)).unwrap();
}

/// A configuration for every switch.
pub fn all() -> Vec<(&'static str, Config)> {
    let partly = Rotary { width: 4, pairs: Pairs::Neighbours, reversed: true, ..rotary(50.0) };
    let alternating =
        vec![LayerAttention::default(), LayerAttention { window: Some(5), ..LayerAttention::default() }];
    let everything = Config {
        attention: reading(),
        scores: Scores {
            factor: ScoreFactor::Number(0.2),
            by_position: Some(PositionScale { beta: 0.3, original: 8 }),
            cap: Some(2.0),
            ..Scores::default()
        },
        sinks: true,
        norm: Norm { gain: Gain::OnePlusWeight, ..Norm::rms(1e-5) },
        placement: Placement::Both,
        activation: Activation::GeluTanh,
        bias: Biases { unembedding: true, norm: false, ..Biases::ALL },
        factors: Factors { embedding: 3.0, branch: 0.5, logits: 0.25, logit_cap: Some(2.0) },
        embedding_norm: true,
        layers: 3,
        ..normed(NormOver::Head, false)
    };
    vec![
        ("llama", llama()),
        ("GPT-3's alternating attention", Config { attention: alternating, ..tiny::config() }),
        ("norm of heads", normed(NormOver::Head, false)),
        ("norm of heads after the rotation", normed(NormOver::Head, true)),
        ("norm of the width", normed(NormOver::Width, false)),
        (
            "no gain",
            Config { norm: Norm { gain: Gain::None, ..Norm::rms(1e-6) }, ..normed(NormOver::Head, true) },
        ),
        ("windows", Config { attention: windowed(5), ..llama() }),
        (
            "no rotation",
            Config { attention: vec![LayerAttention::default(), windowed(9)[1].clone()], ..llama() },
        ),
        (
            "partly rotated",
            Config {
                attention: vec![LayerAttention::new(None, Some(partly))],
                bias: Biases { query_key_value: true, ..Biases::NONE },
                ..llama()
            },
        ),
        ("norms behind", Config { placement: Placement::After, ..llama() }),
        ("norms on both sides", Config { placement: Placement::Both, ..llama() }),
        ("LayerNorm behind", Config { placement: Placement::After, ..tiny::config() }),
        ("together", Config { branches: Branches::Together { one_norm: false }, ..tiny::config() }),
        (
            "together, one norm",
            Config {
                branches: Branches::Together { one_norm: true },
                positions: Positions::Rotary,
                attention: llama().attention,
                tied: false,
                bias: Biases { unembedding: true, query_key_value: false, ..Biases::ALL },
                ..tiny::config()
            },
        ),
        ("not gated", Config { gated: false, activation: Activation::SquaredRelu, ..llama() }),
        (
            "factors",
            Config {
                factors: Factors { embedding: 3.0, branch: 0.5, logits: 0.25, logit_cap: None },
                ..llama()
            },
        ),
        (
            "caps",
            Config {
                scores: Scores { cap: Some(1.0), ..Scores::default() },
                factors: Factors { logit_cap: Some(2.0), ..Factors::default() },
                ..llama()
            },
        ),
        ("pairs of layers with the same keys", Config { attention: pairs(), layers: 4, ..llama() }),
        (
            "keys of a layer between others",
            Config {
                attention: [&windowed(5)[..1], &reading()[..]].concat(),
                layers: 5,
                bias: Biases { query_key_value: true, ..Biases::NONE },
                ..normed(NormOver::Width, true)
            },
        ),
        ("sinks", Config { sinks: true, attention: windowed(5), ..llama() }),
        ("norm of the embedding", Config { embedding_norm: true, ..llama() }),
        ("everything", everything),
    ]
}

#[test]
fn gradients_are_the_slope_of_the_loss_with_every_switch() {
    for (name, config) in all() {
        config.check().unwrap();
        let mut learner = tiny::learner(&config, 2, 1);
        let batch = tiny::batch(&[13, 24, 5], 31, 3);
        let still = Step { rate: 0.0, decay: 0.0, ..tiny::step(1) };
        let mut start = learner.arena(Arena::Weights);
        // Gains that are not all one, and sinks and biases that are not zero.
        for spec in learner.plan().clone().specs.iter().filter(|spec| spec.rows == 1) {
            for (x, sign) in start[spec.span.clone()].iter_mut().zip(signs(spec.cols, 9)) {
                *x += 0.3 * sign as f32;
            }
        }
        learner.set_arena(Arena::Weights, &start);
        learner.step(std::slice::from_ref(&batch), &still).unwrap();
        for spec in learner.plan().clone().specs.iter() {
            let mut slope = vec![0.0; spec.span.len()];
            learner.read_gradient(spec, &mut slope);
            let norm = slope.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            if spec.name.ends_with("key.bias") && norm < 1e-5 {
                continue;
            }
            assert!(norm > 0.0, "{name}: {} has no gradient", spec.name);
            for seed in 0..2 {
                let direction = signs(slope.len(), seed);
                let step = 4e-3 / (slope.len() as f64).sqrt();
                let mut loss_at = |by: f64| {
                    let mut moved = start.clone();
                    for (weight, sign) in moved[spec.span.clone()].iter_mut().zip(&direction) {
                        *weight += (by * sign) as f32;
                    }
                    learner.set_arena(Arena::Weights, &moved);
                    learner.step(std::slice::from_ref(&batch), &still).unwrap().loss
                };
                let measured = (loss_at(step) - loss_at(-step)) / (2.0 * step);
                let expected =
                    slope.iter().zip(&direction).map(|(&g, sign)| f64::from(g) * sign).sum::<f64>();
                // The loss is computed in f32, so the difference has noise of its own.
                let error = (measured - expected).abs();
                assert!(
                    error < 0.03 * norm + 5e-4,
                    "{name}: {}: {measured} but {expected} (norm {norm})",
                    spec.name
                );
            }
        }
    }
}

/// Plus and minus one.
pub fn signs(len: usize, seed: u32) -> Vec<f64> {
    tiny::ids(len, 1 << 16, 100 + seed).iter().map(|&id| if id < 1 << 15 { 1.0 } else { -1.0 }).collect()
}

#[test]
fn recomputed_is_kept_bit_for_bit_with_every_switch() {
    for (name, config) in all() {
        let learned = |keep| {
            let mut learner = tiny::keeping(keep, &config, 2, 1);
            for number in 1..=2 {
                let step = Step { dropout: 0.2, ..tiny::step(number) };
                learner.step(&[tiny::batch(&[24, 9, 17], 31, number as u32)], &step).unwrap();
            }
            learner.arena(Arena::Weights)
        };
        assert!(learned(Keep::All) == learned(Keep::Inputs), "{name}");
    }
}

/// The logits after every position, read in parts of these lengths beside another sequence.
fn logits(config: &Config, threads: usize, cache: CacheType, lengths: &[usize]) -> Vec<u32> {
    let learner = tiny::learner(config, threads, 1);
    let frozen = tiny::frozen(&learner);
    let (gpt, _) = learner.model();
    let backend = Cpu::new(threads);
    let room = Room { slots: 2, positions: 24, cache };
    let mut batch = Batch::new(&backend, gpt, Weights::<Cpu>::Frozen(&frozen), room).unwrap();
    let (ids, other) = (tiny::ids(24, 31, 5), tiny::ids(24, 31, 6));
    let (mut at, mut found) = (0, Vec::new());
    let mut row = vec![0.0; 31];
    for &length in lengths {
        let part = &ids[at..at + length];
        if length == 1 {
            batch.feed(&[(1, &other[at..at + 1]), (0, part)], ()).unwrap();
            batch.logits(1, &mut row).unwrap();
        } else {
            batch.feed(&[(0, part)], ()).unwrap();
            batch.feed(&[(1, &other[at..at + length])], ()).unwrap();
            batch.truncate(0, at + length - 1);
            batch.feed(&[(0, &part[length - 1..])], ()).unwrap();
            batch.logits(0, &mut row).unwrap();
        }
        at += length;
        found.push(row.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
    }
    found.pop().unwrap()
}

#[test]
fn the_same_bits_for_any_cut_with_every_switch() {
    for (name, config) in all() {
        for cache in [CacheType::F32, CacheType::Bf16] {
            let whole = logits(&config, 1, cache, &[24]);
            assert!(whole.iter().any(|&bits| f32::from_bits(bits) != 0.0));
            for lengths in [&[1; 24][..], &[7, 1, 1, 9, 1, 5], &[23, 1]] {
                assert!(whole == logits(&config, 2, cache, lengths), "{name}, {cache:?}, {lengths:?}");
            }
        }
    }
}

/// The parts of a logit add up to it, whatever stands between them and the logit.
#[test]
fn parts_add_up_to_the_logit_with_every_switch() {
    for (name, config) in all() {
        let mut learner = tiny::learner(&config, 2, 1);
        let mut start = learner.arena(Arena::Weights);
        for spec in learner.plan().clone().specs.iter().filter(|spec| spec.rows == 1) {
            for (x, sign) in start[spec.span.clone()].iter_mut().zip(signs(spec.cols, 9)) {
                *x += 0.3 * sign as f32;
            }
        }
        learner.set_arena(Arena::Weights, &start);
        let frozen = tiny::frozen(&learner);
        let (gpt, _) = learner.model();
        let model = Model::new(Cpu::new(2), gpt.clone(), frozen, CacheType::F32);
        let mut inspector = Inspector::new(&model, 24, 1).unwrap();
        let ids = tiny::ids(24, 31, 5);
        for against in [None, Some(4)] {
            let found = of_logit(&mut inspector, &ids, 3, against).unwrap();
            let largest = found.parts.iter().fold(0.0, |most: f64, (_, part)| most.max(part.abs()));
            assert!(found.rest().abs() < 2e-5 * largest, "{name}: {} of {}", found.rest(), found.whole);
            let heads = found.parts.iter().filter(|(part, _)| matches!(part, Component::Head { .. }));
            for ((part, value), sources) in heads.zip(&found.sources) {
                let error = (sources.iter().sum::<f64>() - value).abs();
                assert!(error < 2e-5 * largest, "{name}: {part} is {value}, its sources are {error} apart");
            }
            let biased = config.bias.mlp || config.bias.norm && config.placement != Placement::Before;
            let mlps = found.parts.iter().filter(|(part, _)| matches!(part, Component::Mlp(_)));
            for ((part, value), neurons) in mlps.zip(&found.neurons).filter(|_| !biased) {
                let error = (neurons.iter().sum::<f64>() - value).abs();
                assert!(error < 2e-5 * largest, "{name}: {part} is {value}, its neurons are {error} apart");
            }
        }
    }
}
