//! The whole model: the forward pass compared with itself under other cuts, the backward pass with differences.

use glass::backend::{CacheType, Cpu, Device, Span, Tensor};
use glass::generate::Runner;
use glass::memory::{Cache, Keep, Memory};
use glass::model::Pass;
use glass::train::learner::{Arena, Batch, Learner, Step};
use glass::train::optimiser::Optimiser;
use glass::weights::Weights;

use crate::tiny;

#[test]
fn gradients_are_the_slope_of_the_loss() {
    for (tied, bias, dropout) in [(true, true, 0.0), (false, false, 0.0), (true, true, 0.3)] {
        let config = glass::Config { tied, bias: bias.into(), ..tiny::config() };
        let mut learner = tiny::learner(&config, 2, 1);
        let batch = tiny::batch(&[13, 24, 5], 31, 3);
        let still = Step { rate: 0.0, decay: 0.0, dropout, ..tiny::step(1) };
        let start = learner.arena(Arena::Weights);
        learner.step(std::slice::from_ref(&batch), &still).unwrap();
        for spec in learner.plan().clone().specs.iter() {
            let mut slope = vec![0.0; spec.span.len()];
            learner.read_gradient(spec, &mut slope);
            let norm = slope.iter().map(|&g| (g as f64).powi(2)).sum::<f64>().sqrt();
            // A key's bias shifts all scores of a query equally: its gradient is zero except for rounding.
            if spec.name.ends_with("key.bias") {
                assert!(norm < 1e-5, "{}: {norm}", spec.name);
                continue;
            }
            for seed in 0..2 {
                // A fixed direction independent of the gradient, so that an entry that is wrongly zero is noticed.
                let direction = signs(slope.len(), seed);
                let step = 5e-3 / (slope.len() as f64).sqrt();
                let mut loss_at = |by: f64| {
                    let mut moved = start.clone();
                    for (weight, sign) in moved[spec.span.clone()].iter_mut().zip(&direction) {
                        *weight += (by * sign) as f32;
                    }
                    learner.set_arena(Arena::Weights, &moved);
                    learner.step(std::slice::from_ref(&batch), &still).unwrap().loss
                };
                let measured = (loss_at(step) - loss_at(-step)) / (2.0 * step);
                let expected = slope.iter().zip(&direction).map(|(&g, sign)| g as f64 * sign).sum::<f64>();
                let error = (measured - expected).abs() / norm;
                assert!(error < 0.03, "{} (tied {tied}, bias {bias}): {measured} but {expected}", spec.name);
            }
            learner.set_arena(Arena::Weights, &start);
        }
    }
}

/// Plus and minus one, from dropout with a given seed.
fn signs(len: usize, seed: u32) -> Vec<f64> {
    tiny::ids(len, 1 << 16, 100 + seed).iter().map(|&id| if id < 1 << 15 { 1.0 } else { -1.0 }).collect()
}

#[test]
fn learning_is_the_same_bits_for_any_number_of_threads() {
    let learned = |optimiser, threads| {
        let mut learner = tiny::learner(&tiny::config(), threads, 1);
        for number in 1..=3 {
            let step = Step { optimiser, dropout: 0.1, ..tiny::step(number) };
            learner.step(&[tiny::batch(&[24, 24, 9], 31, number as u32)], &step).unwrap();
        }
        learner.arena(Arena::Weights)
    };
    for optimiser in [Optimiser::AdamW, Optimiser::Muon] {
        let one = learned(optimiser, 1);
        for threads in 2..=4 {
            assert!(one == learned(optimiser, threads), "{optimiser:?}, {threads} threads");
        }
    }
}

#[test]
fn muon_steps_the_matrices_of_the_blocks_and_nothing_else() {
    let learned = |optimiser| {
        let mut learner = tiny::learner(&tiny::config(), 1, 1);
        let step = Step { optimiser, ..tiny::step(1) };
        learner.step(&[tiny::batch(&[24], 31, 1)], &step).unwrap();
        learner
    };
    let (adamw, muon) = (learned(Optimiser::AdamW), learned(Optimiser::Muon));
    for spec in &adamw.plan().specs {
        let read = |learner: &Learner<Cpu>| {
            let mut values = vec![0.0; spec.span.len()];
            learner.read(spec, &mut values);
            values
        };
        let stepped_by_muon = spec.name.starts_with("block.") && spec.rows > 1;
        assert_eq!(read(&adamw) != read(&muon), stepped_by_muon, "{}", spec.name);
    }
}

#[test]
fn muon_takes_matrices_in_turn() {
    let mut learner = tiny::learner(&tiny::config(), 1, 1);
    let matrices: Vec<_> =
        learner.plan().specs.iter().filter(|spec| spec.is_hidden_matrix).cloned().collect();
    assert!(matrices.len() > 4);
    for number in 1..=4 {
        let before = learner.arena(Arena::Weights);
        let step = Step { optimiser: Optimiser::Muon, muon_every: 2, decay: 0.0, ..tiny::step(number) };
        learner.step(&[tiny::batch(&[24], 31, number as u32)], &step).unwrap();
        let after = learner.arena(Arena::Weights);
        for (i, spec) in matrices.iter().enumerate() {
            let has_moved = before[spec.span.clone()] != after[spec.span.clone()];
            assert_eq!(has_moved, (i as u64 + number).is_multiple_of(2), "{} in step {number}", spec.name);
        }
    }
}

#[test]
fn recomputed_is_kept_bit_for_bit() {
    for (tied, bias, dropout) in [(true, true, 0.0), (false, false, 0.2), (true, true, 0.2)] {
        let config = glass::Config { tied, bias: bias.into(), layers: 3, ..tiny::config() };
        let learned = |keep| {
            let mut learner = tiny::keeping(keep, &config, 2, 1);
            let mut all = vec![];
            for number in 1..=3 {
                let part = |seed| tiny::batch(&[24, 9, 17], 31, seed);
                let step = Step { dropout, ..tiny::step(number) };
                let outcome = learner.step(&[part(number as u32), part(7)], &step).unwrap();
                all.push(outcome.loss.to_bits());
                all.push(outcome.norm.to_bits());
                for spec in &learner.plan().clone().specs {
                    let mut gradient = vec![0.0; spec.span.len()];
                    learner.read_gradient(spec, &mut gradient);
                    all.extend(gradient.iter().map(|g| u64::from(g.to_bits())));
                }
                let (nats, counted) = learner.evaluate(&part(8));
                all.extend([nats.to_bits(), counted as u64]);
            }
            for arena in [Arena::Weights, Arena::First, Arena::Second] {
                all.extend(learner.arena(arena).iter().map(|x| u64::from(x.to_bits())));
            }
            all
        };
        assert!(learned(Keep::All) == learned(Keep::Inputs), "tied {tied}, dropout {dropout}");
    }
}

#[test]
fn accumulated_parts_learn_what_the_whole_batch_does() {
    let gradient = |parts: &[Batch]| {
        let mut learner = tiny::learner(&tiny::config(), 2, 1);
        let outcome = learner.step(parts, &Step { dropout: 0.2, ..tiny::step(1) }).unwrap();
        let mut all = vec![];
        for spec in &learner.plan().clone().specs {
            let mut g = vec![0.0; spec.span.len()];
            learner.read_gradient(spec, &mut g);
            all.extend(g);
        }
        (outcome, all)
    };
    let whole = tiny::batch(&[10, 12, 8, 7], 31, 5);
    let part = |samples: std::ops::Range<usize>, rows: std::ops::Range<usize>| Batch {
        inputs: whole.inputs[rows.clone()].to_vec(),
        targets: whole.targets[rows].to_vec(),
        lengths: whole.lengths[samples].to_vec(),
        ..Batch::default()
    };
    let (a, ga) = gradient(std::slice::from_ref(&whole));
    let (b, gb) = gradient(&[part(0..1, 0..10), part(1..4, 10..37)]);
    assert_eq!(a.counted, b.counted);
    assert!((a.loss - b.loss).abs() < 1e-6);
    let worst = ga.iter().zip(&gb).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-5, "{worst}");
}

#[test]
fn a_loss_that_is_not_finite_leaves_the_weights_alone() {
    let mut learner = tiny::learner(&tiny::config(), 1, 1);
    let mut values = learner.arena(Arena::Weights);
    values[5] = f32::NAN;
    learner.set_arena(Arena::Weights, &values);
    let batch = Batch { inputs: vec![0; 8], targets: vec![1; 8], lengths: vec![8], ..Batch::default() };
    let outcome = learner.step(&[batch], &tiny::step(1)).unwrap();
    assert!(!outcome.finite());
    let after = learner.arena(Arena::Weights);
    assert!(values.iter().zip(&after).all(|(a, b)| a.to_bits() == b.to_bits()));
}

#[test]
fn cached_decoding_is_the_full_pass_bit_for_bit() {
    let learner = tiny::learner(&tiny::config(), 2, 1);
    let (gpt, trainable) = learner.model();
    let frozen = tiny::frozen(&learner);
    let ids = tiny::ids(24, 31, 9);
    let backend = &**learner.backend();
    for weights in [Weights::Trainable(trainable), Weights::Frozen(&frozen)] {
        let mut all = vec![];
        let mut runner = Runner::new(backend, gpt, weights).unwrap();
        runner.feed_each(&ids, &mut |_, logits| all.push(logits.to_vec())).unwrap();
        let mut runner = Runner::new(backend, gpt, weights).unwrap();
        for (id, expected) in ids.iter().zip(&all) {
            runner.feed(&[*id]).unwrap();
            assert!(runner.logits().unwrap() == expected, "one by one");
        }
        let mut runner = Runner::new(backend, gpt, weights).unwrap();
        runner.feed(&ids[..7]).unwrap();
        runner.feed(&ids[7..20]).unwrap();
        assert!(runner.logits().unwrap() == all[19], "in two parts");
        runner.prompt(&ids[..12]).unwrap();
        assert!(runner.logits().unwrap() == all[11], "a prefix used again");
        assert_eq!(runner.ids(), &ids[..12]);
    }
}

#[test]
fn packed_and_dense_weights_give_the_same_bits() {
    let learner = tiny::learner(&tiny::config(), 2, 1);
    let frozen = tiny::frozen(&learner);
    let (gpt, trainable) = learner.model();
    let logits = |weights| {
        let mut runner = Runner::new(&**learner.backend(), gpt, weights).unwrap();
        runner.feed(&tiny::ids(17, 31, 2)).unwrap();
        runner.logits().unwrap().to_vec()
    };
    assert!(logits(Weights::Trainable(trainable)) == logits(Weights::Frozen(&frozen)));
}

/// Runs spans of different sequences in one batch; the logits after each span.
fn batched(learner: &Learner<Cpu>, steps: &[(Vec<u32>, Vec<Span>)]) -> Vec<Vec<f32>> {
    let (gpt, weights) = learner.model();
    let backend = &**learner.backend();
    let mut memory = Memory::new(backend, &gpt.config, Keep::One, 96, 8).unwrap();
    let mut cache = Cache::new(backend, &gpt.config, CacheType::F32, 4, 24, 24).unwrap();
    let mut logits = Tensor::new(backend, 8, 31).unwrap();
    let mut all = vec![];
    for (ids, spans) in steps {
        let mut pass = Pass {
            backend,
            weights: Weights::Trainable(weights),
            spans,
            output_rows: None,
            dropout: None,
            probe: (),
        };
        gpt.forward(&mut pass, ids, &mut memory, &mut cache);
        gpt.next(&mut pass, &mut memory, &mut logits);
        let mut host = vec![0.0; logits.len()];
        backend.read(&logits.data, 0, &mut host);
        all.extend(host.chunks(31).map(<[f32]>::to_vec));
    }
    all
}

#[test]
fn mixed_spans_are_each_alone_bit_for_bit() {
    let learner = tiny::learner(&tiny::config(), 2, 1);
    let (a, b, c) = (tiny::ids(9, 31, 1), tiny::ids(14, 31, 2), tiny::ids(3, 31, 3));
    let span = |start: usize, len: usize, slot, past| Span { rows: start..start + len, slot, past };
    let alone = |ids: &[u32]| batched(&learner, &[(ids.to_vec(), vec![span(0, ids.len(), 1, 0)])])[0].clone();
    // One sequence decodes its last token while another is read from its start and a third continues in the middle.
    let first = [&a[..8], &b[..5]].concat();
    let second = [&a[8..], &c[..], &b[5..]].concat();
    let mixed = batched(
        &learner,
        &[
            (first, vec![span(0, 8, 0, 0), span(8, 5, 2, 0)]),
            (second, vec![span(0, 1, 0, 8), span(1, 3, 3, 0), span(4, 9, 2, 5)]),
        ],
    );
    assert!(mixed[2] == alone(&a));
    assert!(mixed[3] == alone(&c));
    assert!(mixed[4] == alone(&b));
}
