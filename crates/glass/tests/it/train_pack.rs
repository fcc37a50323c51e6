//! Conversations packed into windows, and documents that do not see each other: the same as each alone.

use std::sync::Arc;

use glass::backend::Cpu;
use glass::memory::Keep;
use glass::train::ids::Ids;
use glass::train::learner::{Batch, Learner};
use glass::train::order::{Arrangement, Order, evaluation};
use glass::train::set::{Chat, Samples, Set};
use glass_kernels::loss::IGNORE;

use crate::scratch::Scratch;
use crate::tiny;
use crate::train_run::{Actions, assert_same, go_on, settings, stopping};

/// Conversations of 1 to 24 rows, whose answers begin at different places.
pub fn chats(count: u32) -> Vec<Chat> {
    let chat = |n: u32| {
        let len = 2 + n * n % 23;
        let ids: Vec<u32> = (0..len).map(|place| (n * 3 + place * place) % 31).collect();
        Chat { learned: (0..len).map(|place| place > n % len.min(5)).collect(), ids }
    };
    (0..count).map(chat).filter(|chat| chat.learned.iter().skip(1).any(|learned| *learned)).collect()
}

pub fn set_of(chats: Vec<Chat>) -> Set {
    Set { documents: chats.len(), samples: Samples::Chats(chats), bytes: None }
}

/// The sequences of batches: inputs and targets of each.
fn sequences(batches: &[Batch]) -> Vec<(Vec<u32>, Vec<u32>)> {
    let mut all = Vec::new();
    for batch in batches {
        let mut at = 0;
        for len in &batch.lengths {
            all.push((batch.inputs[at..at + len].to_vec(), batch.targets[at..at + len].to_vec()));
            at += len;
        }
        assert_eq!(at, batch.inputs.len());
    }
    all.sort();
    all
}

#[test]
fn every_conversation_is_whole_and_once_in_an_epoch() {
    let set = set_of(chats(300));
    let packed = set.clone().packed(24, 3);
    assert_eq!((packed.tokens(), packed.learned()), (set.tokens(), set.learned()));
    let one = |set: &Set| evaluation(set, 24, 1, None).collect::<Vec<_>>();
    assert_eq!(sequences(&one(&set)), sequences(&one(&packed)));
    let windows = one(&packed);
    assert!(windows.iter().all(|window| window.inputs.len() <= 24));
    assert_eq!(windows.len(), packed.samples_in(24));
    let most = windows.iter().map(|window| window.lengths.len()).max().unwrap();
    assert_eq!(packed.most_sequences(24), most);
    // No packing has fewer windows than the rows fill. Alone, they would leave almost half of them empty.
    let rows: usize = windows.iter().map(|window| window.inputs.len()).sum();
    assert!(windows.len() <= rows.div_ceil(24) + 2, "{} windows for {rows} rows", windows.len());
    assert!(set.samples_in(24) > windows.len() * 3 / 2);
    // Every epoch has all of them, in an order of its own.
    let mut order = Order::new(&packed, 24, 1, 1, Arrangement::Shuffled, 3);
    let steps = order.steps(1.0).unwrap();
    assert_eq!(steps, windows.len() as u64);
    let epoch = |order: &mut Order<'_>, first: u64| {
        (first..first + steps).flat_map(|step| order.parts(step)).collect::<Vec<_>>()
    };
    let (first, second) = (epoch(&mut order, 1), epoch(&mut order, 1 + steps));
    assert!(first != second && sequences(&first) == sequences(&second));
    assert_eq!(sequences(&first), sequences(&windows));
    assert_eq!(set.clone().packed(24, 3).fingerprint(), packed.fingerprint());
    assert_ne!(packed.fingerprint(), set.fingerprint(), "a run is not resumed with the other");
    let error = packed.check("chats", 20).unwrap_err().to_string();
    assert!(error.contains("longer than the context of 20"), "{error}");
}

/// The loss of a step, and its gradients.
fn learned(keep: Keep, parts: &[Batch], context: usize) -> (f64, Vec<f32>) {
    let config = glass::Config { context, ..tiny::config() };
    let rows = parts.iter().map(|part| part.inputs.len()).max().unwrap();
    let sequences = parts.iter().map(|part| part.lengths.len()).max().unwrap();
    let mut learner = Learner::keeping(keep, Arc::new(Cpu::new(2)), &config, rows, sequences).unwrap();
    learner.initialise(3);
    let plan = learner.plan().clone();
    let loss = learner.step(parts, &tiny::step(1)).unwrap().loss;
    let mut gradients = Vec::new();
    for spec in &plan.specs {
        let mut values = vec![0.0; spec.span.len()];
        learner.read_gradient(spec, &mut values);
        gradients.extend(values);
    }
    (loss, gradients)
}

/// The largest difference, relative to the largest of all.
fn apart(one: &[f32], other: &[f32]) -> f32 {
    let largest = one.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    one.iter().zip(other).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / largest
}

#[test]
fn packed_learns_what_unpacked_does() {
    // A context of more than one block of keys, so that sequences of one window begin in different blocks.
    for (context, repeat) in [(24, 1), (150, 6)] {
        let long = |chat: Chat| Chat { ids: chat.ids.repeat(repeat), learned: chat.learned.repeat(repeat) };
        let chats: Vec<Chat> = chats(40).into_iter().map(long).collect();
        let set = set_of(chats);
        let packed = set.clone().packed(context, 1);
        let parts = |set: &Set, batch| evaluation(set, context, batch, None).collect::<Vec<_>>();
        let alone = parts(&set, 5);
        let together = parts(&packed, 3);
        assert!(together.iter().any(|part| part.lengths.len() > 6));
        for keep in [Keep::All, Keep::Inputs] {
            let (loss, gradients) = learned(keep, &alone, context);
            let (packed_loss, packed_gradients) = learned(keep, &together, context);
            assert!((loss - packed_loss).abs() / loss < 1e-6, "{loss} and {packed_loss}");
            let difference = apart(&gradients, &packed_gradients);
            assert!(difference < 1e-6, "{difference}");
            // It can fail: if the conversations of a window saw each other, the loss would be another.
            let merged: Vec<Batch> = together
                .iter()
                .map(|part| {
                    let mut lengths: Vec<usize> = Vec::new();
                    for len in &part.lengths {
                        match lengths.last_mut().filter(|last| **last + len <= context) {
                            Some(last) => *last += len,
                            None => lengths.push(*len),
                        }
                    }
                    Batch { lengths, ..part.clone() }
                })
                .collect();
            let (merged_loss, merged_gradients) = learned(keep, &merged, context);
            assert!((loss - merged_loss).abs() / loss > 1e-5, "{loss} and {merged_loss}");
            assert!(apart(&gradients, &merged_gradients) > 1e-3);
        }
    }
}

#[test]
fn a_stopped_run_goes_on_with_the_same_windows() {
    let packed = set_of(chats(90)).packed(24, 3);
    let (whole, stopped) = (Scratch::new("packed"), Scratch::new("packed-stopped"));
    go_on(whole.path(), &settings(), false, &mut Actions::default(), 1, &packed, Some(&packed)).unwrap();
    go_on(stopped.path(), &settings(), false, &mut stopping(7), 1, &packed, Some(&packed)).unwrap();
    go_on(stopped.path(), &settings(), true, &mut Actions::default(), 1, &packed, Some(&packed)).unwrap();
    assert_same(whole.path(), stopped.path());
    let unpacked = set_of(chats(90));
    let refused =
        go_on(stopped.path(), &settings(), true, &mut Actions::default(), 1, &unpacked, Some(&packed));
    assert!(refused.unwrap_err().to_string().contains("data"));
}

#[test]
fn documents_of_a_window_do_not_see_each_other() {
    // 30 begins a document.
    let ids: Vec<u16> =
        (0..200u16).map(|n| if n * n % 11 == 0 { 30 } else { n * 7 % 30 }).chain([30, 30, 1]).collect();
    let stream = Set::of_ids(Ids::Short(ids.clone()), None);
    let set = stream.clone().documents_from(30);
    let (windows, plain): (Vec<Batch>, Vec<Batch>) =
        (evaluation(&set, 24, 2, None).collect(), evaluation(&stream, 24, 2, None).collect());
    let rows = |batches: &[Batch]| {
        batches.iter().map(|batch| (batch.inputs.clone(), batch.targets.clone())).collect::<Vec<_>>()
    };
    assert_eq!(rows(&windows), rows(&plain), "the same windows, of which only the sequences differ");
    for batch in &windows {
        let mut at = 0;
        for len in &batch.lengths {
            let document = &batch.inputs[at..at + len];
            assert!(*len > 0 && document[1..].iter().all(|id| *id != 30));
            at += len;
            assert!(at % 24 == 0 || at == batch.inputs.len() || batch.inputs[at] == 30);
        }
    }
    let most = |batches: Vec<Batch>| batches.iter().map(|batch| batch.lengths.len()).max().unwrap();
    for seed in 0..20 {
        let mut order = Order::new(&set, 24, 1, 1, Arrangement::Shuffled, seed);
        let steps = order.steps(1.0).unwrap();
        assert!(most((1..=steps).flat_map(|step| order.parts(step)).collect()) <= set.most_sequences(24));
    }
    assert!(set.most_sequences(24) < 12, "and not as many as there are rows");
    // Each document alone, as the oracle.
    let alone: Vec<Batch> = windows
        .iter()
        .flat_map(|batch| {
            let mut at = 0;
            batch.lengths.iter().map(move |len| {
                at += len;
                let rows = at - len..at;
                Batch {
                    inputs: batch.inputs[rows.clone()].to_vec(),
                    targets: batch.targets[rows].to_vec(),
                    lengths: vec![*len],
                    ..Batch::default()
                }
            })
        })
        .collect();
    let ((loss, gradients), (other, others)) =
        (learned(Keep::All, &windows, 24), learned(Keep::All, &alone, 24));
    assert!((loss - other).abs() / loss < 1e-6 && apart(&gradients, &others) < 1e-6, "{loss} and {other}");
    let (seen, _) = learned(Keep::All, &plain, 24);
    assert!((loss - seen).abs() / loss > 1e-5, "it can fail");
    assert!(!windows.iter().any(|batch| batch.targets.contains(&IGNORE)), "all tokens are learned");
}
