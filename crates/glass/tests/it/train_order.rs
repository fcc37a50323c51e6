//! Which samples a step sees, and at which rate.

use glass::train::ids::Ids;
use glass::train::learner::Batch;
use glass::train::order::{Arrangement, Order, evaluation};
use glass::train::schedule::{Rates, Schedule};
use glass::train::set::{Chat, Samples, Set};
use glass_kernels::loss::IGNORE;

fn stream(len: u16) -> Set {
    Set::of_ids(Ids::Short((0..len).collect()), None)
}

fn targets(batches: &[Batch]) -> Vec<u32> {
    batches.iter().flat_map(|batch| batch.targets.iter().copied()).collect()
}

#[test]
fn shuffled_learns_every_token_once_an_epoch() {
    for len in [9, 17, 100, 101, 1000] {
        let set = stream(len);
        let mut order = Order::new(&set, 8, 1, 1, Arrangement::Shuffled, 3);
        let ends: Vec<u64> = (1..4).map(|epochs| order.steps(f64::from(epochs)).unwrap()).collect();
        let mut orders = Vec::new();
        for (start, end) in [(0, ends[0]), (ends[0], ends[1]), (ends[1], ends[2])] {
            let batches: Vec<_> = (start + 1..=end).flat_map(|step| order.parts(step)).collect();
            assert!(batches.iter().all(|batch| batch.lengths.iter().sum::<usize>() == batch.inputs.len()));
            let mut seen = targets(&batches);
            orders.push(seen.clone());
            seen.sort_unstable();
            assert_eq!(seen, (1..u32::from(len)).collect::<Vec<_>>());
        }
        assert!(len == 9 || (orders[0] != orders[1] && orders[1] != orders[2]));
    }
}

#[test]
fn a_step_is_a_function_of_its_number() {
    let set = stream(333);
    let mut order = Order::new(&set, 8, 3, 2, Arrangement::Shuffled, 3);
    let forth: Vec<_> = (1..60).map(|step| order.parts(step)).collect();
    let back: Vec<_> = (1..60).rev().map(|step| order.parts(step)).collect();
    assert!(forth.iter().eq(back.iter().rev()));
    assert!(forth.iter().all(|parts| parts.len() == 2 && parts.iter().all(|part| part.lengths.len() == 3)));
    assert_ne!(Order::new(&set, 8, 3, 2, Arrangement::Shuffled, 4).parts(1), forth[0]);
}

#[test]
fn sequential_is_consecutive_windows_in_whole_batches() {
    let set = stream(1 + 4 * 7);
    let mut order = Order::new(&set, 4, 2, 1, Arrangement::Sequential, 3);
    assert_eq!(order.steps(1.0).unwrap(), 3);
    assert_eq!(order.steps(1e6).unwrap(), 3_000_000);
    for wrong in [1e10, 0.0, f64::NAN] {
        assert!(order.steps(wrong).unwrap_err().to_string().starts_with("epochs: "), "{wrong}");
    }
    assert_eq!(order.parts(1)[0].inputs, (0..8).collect::<Vec<_>>());
    assert_eq!(order.parts(1)[0].targets, (1..9).collect::<Vec<_>>());
    assert_eq!(order.parts(3)[0].inputs, (16..24).collect::<Vec<_>>());
    assert_eq!(order.parts(4), order.parts(1), "the seventh window fills no batch");
    assert_eq!(order.epochs(3), 1.0);
    let few = stream(5);
    assert_eq!(Order::new(&few, 4, 2, 1, Arrangement::Sequential, 3).parts(1)[0].lengths, [4, 4]);
}

#[test]
fn evaluation_sees_every_token_once_or_a_bounded_number() {
    let set = stream(101);
    let batches: Vec<_> = evaluation(&set, 8, 3, None).collect();
    assert_eq!(targets(&batches), (1..101).collect::<Vec<_>>());
    let bounded: Vec<_> = evaluation(&set, 8, 3, Some(4)).collect();
    assert_eq!(bounded.iter().map(|batch| batch.lengths.len()).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(bounded[1].inputs[0], 72, "spread over the set");
    assert_eq!(evaluation(&stream(1), 8, 3, None).count(), 0);
}

#[test]
fn conversations_count_only_what_is_learned() {
    let chat = |ids: &[u32], learned: &[bool]| Chat { ids: ids.to_vec(), learned: learned.to_vec() };
    let chats = vec![chat(&[1, 2, 3], &[false, false, true]), chat(&[4, 5], &[true, true])];
    let set = Set { samples: Samples::Chats(chats), documents: 2, bytes: None };
    assert_eq!((set.tokens(), set.learned()), (5, 2));
    let batch = &Order::new(&set, 8, 2, 1, Arrangement::Sequential, 3).parts(1)[0];
    assert_eq!((&batch.inputs[..], &batch.targets[..]), (&[1, 2, 4][..], &[IGNORE, 3, 5][..]));
    assert_eq!(batch.lengths, [2, 1]);
}

#[test]
fn rates_follow_their_formulas() {
    let rates = |schedule| Rates { schedule, peak: 1.0, floor: 0.1, warmup: 4, steps: 24 };
    let at = |schedule, steps: [u64; 6]| steps.map(|step| (rates(schedule).at(step) * 1e4).round() / 1e4);
    let steps = [1, 4, 5, 15, 20, 24];
    assert_eq!(at(Schedule::Cosine, steps), [0.25, 1.0, 1.0, 0.55, 0.2318, 0.1055]);
    assert_eq!(at(Schedule::Linear, steps), [0.25, 1.0, 1.0, 0.55, 0.325, 0.145]);
    assert_eq!(at(Schedule::Constant, steps), [0.25, 1.0, 1.0, 1.0, 1.0, 1.0]);
    assert_eq!(at(Schedule::Wsd, [1, 4, 19, 20, 21, 24]), [0.25, 1.0, 1.0, 1.0, 0.5975, 0.195]);
}

#[test]
fn every_epoch_has_an_order_of_its_own() {
    let chat = |id: u32| Chat { ids: vec![id, id + 1], learned: vec![true; 2] };
    let set = Set { samples: Samples::Chats((0..20).map(chat).collect()), documents: 20, bytes: None };
    let mut order = Order::new(&set, 8, 20, 1, Arrangement::Shuffled, 3);
    let [first, second] = [1, 2].map(|step| order.parts(step)[0].inputs.clone());
    assert_ne!(first, second);
    for mut epoch in [first, second] {
        epoch.sort_unstable();
        assert_eq!(epoch, (0..20).collect::<Vec<u32>>(), "each sample once");
    }
}
