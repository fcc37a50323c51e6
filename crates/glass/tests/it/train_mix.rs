//! Mixtures: shares are met, every source goes through its own epochs, and a step depends on nothing but its number.

use std::fs;

use glass::train::card::{Card, Lengths};
use glass::train::corpus::{Corpus, Seen, Source, Subset};
use glass::train::ids::Ids;
use glass::train::mix::{Amount, Mix, ROUND};
use glass::train::order::{Arrangement, Order, evaluation};
use glass::train::set::{Chat, Samples, Set};

use crate::scratch::Scratch;
use crate::train_pack::{chats, set_of};
use crate::train_run::{Actions, assert_same, go_on, settings, stopping};

/// A stream of ids from `first` on, so that it is seen where a row came from.
fn stream(len: u16, first: u16, count: u16) -> Set {
    Set::of_ids(Ids::Short((0..len).map(|n| first + n % count).collect()), Some(&|_| 1))
}

fn mixed(sets: Vec<(Set, Amount)>) -> Set {
    let named = sets.into_iter().zip(["one", "two", "three", "four"]);
    let named = named.map(|((set, amount), name)| (name.to_string(), set, amount)).collect();
    Set::of_mix(Mix::new(named, 24).unwrap())
}

fn mix(set: &Set) -> &Mix {
    if let Samples::Mix(mix) = &set.samples { mix } else { panic!("a mixture") }
}

/// Rows of steps whose inputs are at least `from`, and all.
fn rows(set: &Set, steps: u64, from: u32) -> (usize, usize) {
    let mut order = Order::new(set, 24, 4, 1, Arrangement::Shuffled, 3);
    let (mut part, mut all) = (0, 0);
    for batch in (1..=steps).flat_map(|step| order.parts(step)) {
        part += batch.inputs.iter().filter(|id| **id >= from).count();
        all += batch.inputs.len();
    }
    (part, all)
}

#[test]
fn shares_of_tokens_are_met() {
    // Conversations are shorter than windows, so more of them are needed for the same share.
    for (share, second) in [(0.7, stream(500, 15, 10)), (0.25, set_of(chats(60)))] {
        let is_stream = second.samples.stream().is_some();
        let first = stream(3000, 0, if is_stream { 15 } else { 1 });
        let set = mixed(vec![(first, Amount::Share(share)), (second, Amount::Share(1.0 - share))]);
        let (part, all) = rows(&set, 3000, if is_stream { 15 } else { 1 });
        // Of conversations, a few rows have id 0 too.
        let allowed = if is_stream { 0.01 } else { 0.06 };
        let got = part as f64 / all as f64;
        assert!((got - (1.0 - share)).abs() < allowed, "{got}, but {} was asked for", 1.0 - share);
    }
    let shares = |amounts: [Amount; 3]| {
        let sets = [stream(1000, 0, 9), stream(2000, 0, 9), stream(1000, 0, 9)];
        let set = mixed(sets.into_iter().zip(amounts).collect());
        mix(&set).parts().iter().map(|part| (part.share * 1e3).round() / 1e3).collect::<Vec<_>>()
    };
    let (half, once, thrice) = (Amount::Share(0.5), Amount::default(), Amount::Times(3.0));
    assert_eq!(shares([half, once, once]), [0.5, 0.333, 0.167]);
    assert_eq!(shares([once, once, once]), [0.25, 0.5, 0.25]);
    assert_eq!(shares([thrice, once, once]), [0.5, 0.333, 0.167]);
    assert_eq!(shares([Amount::Share(7.0), Amount::Share(2.0), Amount::Share(1.0)]), [0.7, 0.2, 0.1]);
}

#[test]
fn every_step_has_about_the_same_mixture() {
    let set = mixed(vec![(stream(3000, 0, 9), Amount::Share(0.9)), (stream(3000, 9, 9), Amount::Share(0.1))]);
    let mix = mix(&set);
    for first in (0..2 * u64::from(ROUND)).step_by(50) {
        let (before, after) = (mix.counts(first), mix.counts(first + 50));
        let second = after[1] - before[1];
        assert!((4..=6).contains(&second), "{second} of 50 samples from {first} on");
    }
    // What is counted is what is dealt.
    let mut dealt = [0, 0];
    for index in 0..25_000 {
        let (part, number) = mix.place(index);
        assert_eq!(number, dealt[part], "the samples of each set come one after another");
        dealt[part] += 1;
    }
    assert_eq!(mix.counts(25_000), dealt);
}

#[test]
fn every_source_has_its_own_epochs() {
    let set =
        mixed(vec![(stream(2401, 0, 15), Amount::Times(3.0)), (stream(9601, 15, 15), Amount::default())]);
    let mut order = Order::new(&set, 24, 5, 1, Arrangement::Shuffled, 3);
    // 3 times 100 windows, and 400.
    let steps = order.steps(1.0).unwrap();
    assert_eq!(steps, 140);
    let seen = order.epochs_of_parts(steps);
    assert!((seen[0] - 3.0).abs() < 0.05 && (seen[1] - 1.0).abs() < 0.01, "{seen:?}");
    assert!((order.epochs(steps) - 1.0).abs() < 1e-9);
    // Of conversations most tokens are only read, and they are seen as often as texts.
    let both =
        mixed(vec![(stream(2401, 0, 15), Amount::default()), (set_of(chats(300)), Amount::Times(2.0))]);
    let mut of_both = Order::new(&both, 24, 5, 1, Arrangement::Shuffled, 3);
    let steps_of_both = of_both.steps(1.0).unwrap();
    let often = of_both.epochs_of_parts(steps_of_both);
    assert!((often[0] - 1.0).abs() < 0.05 && (often[1] - 2.0).abs() < 0.05, "{often:?}");
    // Of the second, all tokens but those of the last windows.
    let mut count = [0; 30];
    for batch in (1..=steps).flat_map(|step| order.parts(step)) {
        batch.targets.iter().for_each(|id| count[*id as usize] += 1);
    }
    let second: i32 = count[15..].iter().sum();
    assert!((second - 9600).abs() <= 3 * 24, "{second}");
    let forth: Vec<_> = (1..60).map(|step| order.parts(step)).collect();
    let back: Vec<_> = (1..60).rev().map(|step| order.parts(step)).collect();
    assert!(forth.iter().eq(back.iter().rev()), "a step is a function of its number");
}

#[test]
fn impossible_amounts_are_refused() {
    let refused = |amounts: &[Amount]| {
        let sets = amounts.iter().map(|amount| ("a.txt".to_string(), stream(100, 0, 9), *amount)).collect();
        Mix::new(sets, 24).unwrap_err().to_string()
    };
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        for amount in [Amount::Share(wrong), Amount::Times(wrong)] {
            let said = refused(&[amount, Amount::default()]);
            assert!(said.starts_with("a.txt: ") && said.contains("above 0"), "{said}");
        }
    }
    let said = refused(&[Amount::Share(0.7), Amount::Share(0.3), Amount::default()]);
    assert!(said.contains("nothing is left for the data without one"), "{said}");
    let said = refused(&[Amount::Share(1e-5), Amount::Share(1.0)]);
    assert!(said.contains("less than one of 10000 samples"), "{said}");
    let small = mixed(vec![(stream(900, 0, 9), Amount::Times(1e-5)), (stream(900, 0, 9), Amount::default())]);
    assert_eq!(mix(&small).parts().iter().map(|part| part.in_round).collect::<Vec<_>>(), [1, ROUND - 1]);
    assert!(refused(&[]).contains("0 sets"));
}

#[test]
fn a_small_source_beside_a_large_one_is_still_seen() {
    let set = mixed(vec![(stream(60_000, 0, 9), Amount::default()), (stream(25, 9, 9), Amount::default())]);
    assert!(mix(&set).parts()[1].in_round >= 1);
    assert!(rows(&set, 2500, 9).0 > 0);
}

#[test]
fn a_mixture_is_evaluated_whole_and_resumed_anywhere() {
    let train = mixed(vec![
        (stream(400, 0, 29), Amount::Share(0.6)),
        (set_of(chats(60)), Amount::default()),
        (set_of(chats(90)).packed(24, 1), Amount::Times(2.0)),
    ]);
    let validation =
        mixed(vec![(stream(100, 0, 29), Amount::default()), (set_of(chats(9)), Amount::default())]);
    let all = evaluation(&validation, 24, 4, None);
    assert_eq!(all.map(|batch| batch.counted()).sum::<usize>(), validation.learned());
    let (whole, stopped) = (Scratch::new("mixed"), Scratch::new("mixed-stopped"));
    let go = |folder: &Scratch, resume, mut actions: Actions, train: &Set| {
        go_on(folder.path(), &settings(), resume, &mut actions, 1, train, Some(&validation))
    };
    go(&whole, false, Actions::default(), &train).unwrap();
    go(&stopped, false, stopping(7), &train).unwrap();
    go(&stopped, true, Actions::default(), &train).unwrap();
    assert_same(whole.path(), stopped.path());
    let log = fs::read_to_string(whole.path().join("train/log.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    let of = |name: &str| last["val_losses"][name].as_f64().unwrap();
    let (low, high) = (of("one").min(of("two")), of("one").max(of("two")));
    assert!((low..=high).contains(&last["val_loss"].as_f64().unwrap()), "{last}");
    let other = mixed(vec![
        (stream(400, 0, 29), Amount::Share(0.5)),
        (set_of(chats(60)), Amount::default()),
        (set_of(chats(90)).packed(24, 1), Amount::Times(2.0)),
    ]);
    let refused = go(&stopped, true, Actions::default(), &other).unwrap_err().to_string();
    assert!(refused.contains("data"), "with other shares: {refused}");
}

/// Texts of a subset of a corpus.
fn texts(corpus: &Corpus, seen: &mut Seen, subset: Subset) -> Vec<String> {
    let parts = corpus.parts_after(seen, &mut |_| {}).unwrap();
    parts.pieces(subset, parts.sizes()).map(|piece| String::from_utf8(piece.unwrap().text).unwrap()).collect()
}

#[test]
fn no_document_is_in_two_sources_or_on_both_sides() {
    let folder = Scratch::new("mix-corpora");
    let write = |name: &str, documents: &[&str]| {
        let path = folder.path().join(name);
        fs::write(&path, documents.join("<|endoftext|>")).unwrap();
        path
    };
    let first = write("a.txt", &["a", "b", "c", "d"]);
    let second = write("b.txt", &["c", "e", "a", "f"]);
    for keep_duplicates in [false, true] {
        let source = |path: &std::path::Path| Source {
            keep_duplicates,
            fraction: 0.5,
            ..Source::of(vec![path.into()])
        };
        let one = Corpus::open(source(&first)).unwrap();
        let two = Corpus::open(source(&second)).unwrap();
        let alone = two.hash().to_string();
        let two = two.after(&one);
        assert_ne!(two.hash(), alone, "its shards are others");
        let split = |corpus: &Corpus, seen: &Seen| {
            let parts = |subset| texts(corpus, &mut seen.clone(), subset);
            (parts(Subset::Train), parts(Subset::Validation))
        };
        let mut seen = Seen::default();
        let (learned, validates) = split(&one, &seen);
        assert_eq!((learned.len(), validates.len()), (2, 2));
        texts(&one, &mut seen, Subset::Train);
        let (more, others) = split(&two, &seen);
        assert!(
            more.iter().all(|text| !validates.contains(text)),
            "{more:?} is learned, {validates:?} validates"
        );
        assert!(
            others.iter().all(|text| !learned.contains(text)),
            "{others:?} validates, {learned:?} is learned"
        );
        let twice = more.iter().filter(|text| learned.contains(text)).count();
        let shared = ["a", "c"].iter().filter(|text| learned.contains(&text.to_string())).count();
        assert_eq!(twice, if keep_duplicates { shared } else { 0 });
    }
}

#[test]
fn the_card_says_how_long_conversations_are() {
    let chat = |len: u32| Chat { ids: (0..len).collect(), learned: (0..len).map(|at| at > 1).collect() };
    let set = set_of((3..=102).map(chat).collect());
    let lengths = Lengths::of(&set).unwrap();
    let Lengths { median, percentile_90, percentile_99, longest } = lengths;
    assert_eq!([median, percentile_90, percentile_99, longest], [52, 92, 101, 102]);
    assert_eq!(Lengths::of(&set.clone().packed(101, 1)), Some(lengths));
    assert_eq!(Lengths::of(&stream(9, 0, 3)), None);
    let one = Card::new("a".into(), 1, Default::default(), None, &set, &stream(9, 0, 3));
    assert_eq!((one.learned, one.train.tokens, one.lengths), (5050, 5250, Some(lengths)));
    let text = stream(900, 0, 9);
    let two = Card::new("b".into(), 2, Default::default(), None, &text, &stream(9, 0, 3));
    let mixture = mixed(vec![(set, Amount::Share(0.25)), (text, Amount::Share(0.75))]);
    let named = |name: &str, card: &Card| (Some(name.to_string()), card.clone());
    let card = Card::of_mixture(vec![named("one", &one), named("two", &two)], &mixture, &stream(9, 0, 3));
    assert_eq!((card.files, card.learned, card.sources.len()), (3, 5050 + 899, 2));
    let sources: Vec<_> = card.sources.iter().map(|source| (source.name.as_str(), source.share)).collect();
    assert_eq!(sources, [("one", 0.25), ("two", 0.75)]);
    let read: Card = serde_json::from_str(&serde_json::to_string(&card).unwrap()).unwrap();
    assert_eq!(read, card);
}
