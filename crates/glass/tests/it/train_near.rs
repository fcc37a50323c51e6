//! Near-duplicates: MinHash against Jaccard's similarity itself.

use std::collections::BTreeSet;
use std::fs;

use glass::train::chats;
use glass::train::corpus::{Corpus, Near, Source, Subset};
use glass::train::near::{Role, Signature, Sketching, THRESHOLD, find, similarity};

use crate::scratch::Scratch;

/// The sets of five words in a row, as the oracle: words are compared themselves.
fn shingles(text: &str) -> BTreeSet<Vec<String>> {
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    if words.len() < 5 { [words].into() } else { words.windows(5).map(<[String]>::to_vec).collect() }
}

fn jaccard(one: &str, other: &str) -> f64 {
    let (one, other) = (shingles(one), shingles(other));
    one.intersection(&other).count() as f64 / one.union(&other).count() as f64
}

fn signatures<T: AsRef<str>>(texts: &[T]) -> Vec<Signature> {
    let mut sketching = Sketching::default();
    texts.iter().for_each(|text| sketching.add(text.as_ref().as_bytes().to_vec(), true));
    sketching.end()
}

/// Pseudo-random words.
fn words(count: usize, seed: u64) -> Vec<String> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) % 5000
    };
    (0..count).map(|_| format!("w{}", next())).collect()
}

/// A text, and one of which every `every`th word is another.
fn pair(count: usize, every: usize, seed: u64) -> (String, String) {
    let one = words(count, seed);
    let change =
        |(at, word): (usize, &String)| if at % every == every / 2 { format!("x{at}") } else { word.clone() };
    let other: Vec<String> = one.iter().enumerate().map(change).collect();
    (one.join(" "), other.join(" "))
}

#[test]
fn signatures_estimate_jaccards_similarity() {
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for (length, every) in
        [(40, 1000), (40, 25), (300, 290), (300, 60), (300, 30), (2000, 15), (2000, 400), (5000, 9)]
    {
        for seed in 0..12 {
            let (one, other) = pair(length, every, seed);
            let signed = signatures(&[&one, &other]);
            let estimate = similarity(signed[0].as_ref().unwrap(), signed[1].as_ref().unwrap());
            let exact = jaccard(&one, &other);
            // Five standard errors of 128 draws; a short text has fewer fives of words than there are hashes.
            let draws = (length as f64).min(128.0);
            let error = (exact * (1.0 - exact) / draws).sqrt() + 1e-9;
            assert!(
                (estimate - exact).abs() < 5.0 * error + 0.01,
                "{estimate}, but {exact}: {length} {every}"
            );
            if error > 1e-3 {
                let off = (estimate - exact) / error;
                (sum, squares, count) = (sum + off, squares + off * off, count + 1.0);
            }
        }
    }
    let (mean, spread) = (sum / count, (squares / count).sqrt());
    assert!(count > 60.0 && mean.abs() < 0.3, "off by {mean} standard errors on average");
    assert!((0.7..1.4).contains(&spread), "{spread} times the standard error");
    let unlike = signatures(&[words(500, 1).join(" "), words(500, 2).join(" ")]);
    assert!(similarity(unlike[0].as_ref().unwrap(), unlike[1].as_ref().unwrap()) < 0.05);
}

#[test]
fn similar_documents_are_found_and_no_others() {
    let (mut texts, mut roles) = (Vec::new(), Vec::new());
    // Pairs of very different similarity, each with its other one far away.
    let pairs: Vec<_> =
        (0..240).map(|seed| pair(250, [400, 120, 60, 40, 25, 12][seed % 6], seed as u64)).collect();
    texts.extend(pairs.iter().map(|(one, _)| one.clone()));
    texts.extend(pairs.iter().map(|(_, other)| other.clone()));
    roles.resize(pairs.len(), Role::Train);
    roles.extend((0..pairs.len()).map(|at| if at % 4 == 0 { Role::Validation } else { Role::Train }));
    let signed = signatures(&texts);
    let found = find(&signed.iter().collect::<Vec<_>>(), &roles);
    let is_found = |at: usize| match at % 4 {
        0 => found.validation.iter().any(|pair| (pair.document, pair.other) == (at, at + pairs.len())),
        _ => found.training.iter().any(|pair| (pair.document, pair.other) == (at + pairs.len(), at)),
    };
    let (mut alike, mut missed) = (0, 0);
    for (at, (one, other)) in pairs.iter().enumerate() {
        let exact = jaccard(one, other);
        if exact >= 0.9 {
            (alike, missed) = (alike + 1, missed + usize::from(!is_found(at)));
        }
        assert!(exact > 0.65 || !is_found(at), "{exact} was found");
    }
    assert!(alike > 60 && missed == 0, "{missed} of {alike} were missed");
    // As the probabilities of the bands and of the estimate say.
    for pair in found.training.iter().chain(&found.validation) {
        assert!(pair.similarity >= THRESHOLD && roles[pair.document] == Role::Train);
    }
    let kept = vec![Role::None; texts.len()];
    assert_eq!(find(&signed.iter().collect::<Vec<_>>(), &kept), Default::default());
    assert_eq!(
        find(&signatures(&["...", "!!!"]).iter().collect::<Vec<_>>(), &[Role::Train; 2]),
        Default::default()
    );
}

#[test]
fn a_corpus_reports_or_drops_them() {
    let folder = Scratch::new("near");
    let story = |seed: u64| words(120, seed).join(" ");
    let almost = |seed: u64| story(seed).replacen("w1", "v1", 1) + " the end";
    let write = |name: &str, texts: &[String]| {
        let path = folder.path().join(name);
        fs::write(&path, texts.join("<|endoftext|>")).unwrap();
        path
    };
    let train = write("a.txt", &[story(1), story(2), almost(1), story(3), story(4)]);
    let more = write("b.txt", &[story(5), almost(2), story(5)]);
    let held_out = write("held.txt", &[story(9), almost(4)]);
    let source = |near| Source {
        near,
        validation: vec![held_out.clone()],
        ..Source::of(vec![train.clone(), more.clone()])
    };
    let parts = |near| {
        let corpus = Corpus::open(source(near)).unwrap();
        (corpus.hash().to_string(), corpus.parts(&mut |_| {}).unwrap())
    };
    let ((kept, without), (reported, report), (dropped, fewer)) =
        (parts(Near::Keep), parts(Near::Report), parts(Near::Drop));
    assert!(kept == reported && kept != dropped, "what is learned has another key only if it differs");
    assert!(without.twins.is_none() && fewer.twins == report.twins);
    let twins = report.twins.as_ref().unwrap();
    assert_eq!((twins.training, twins.validation), (2, 1));
    assert_eq!((report.dropped.near, report.dropped.duplicates, fewer.dropped.near), (0, 1, 3));
    let first = &twins.examples[0];
    assert!(
        first.validates
            && first.document.ends_with("a.txt, document 5")
            && first.other.ends_with("held.txt, document 2")
    );
    assert!((0.8..1.0).contains(&first.similarity));
    assert!(twins.examples.iter().any(
        |twin| twin.document.ends_with("b.txt, document 2") && twin.other.ends_with("a.txt, document 2")
    ));
    let texts = |parts: &glass::train::corpus::Parts| {
        let pieces = parts.pieces(Subset::Train, parts.sizes());
        pieces.map(|piece| String::from_utf8(piece.unwrap().text).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&fewer), [story(1), story(2), story(3), story(5)]);
    assert_eq!(texts(&report), texts(&without));
}

#[test]
fn conversations_report_or_drop_them() {
    let folder = Scratch::new("near-chats");
    let path = folder.path().join("c.jsonl");
    let line = |seed: u64, last: &str| {
        let messages = serde_json::json!([{"role": "user", "content": words(60, seed).join(" ")},
                                          {"role": "assistant", "content": words(60, seed + 100).join(" ") + last}]);
        format!("{}\n", serde_json::json!({ "messages": messages }))
    };
    fs::write(&path, line(1, "") + &line(2, "") + &line(1, " indeed") + &line(3, "")).unwrap();
    let (all, _) = chats::read(&[path]).unwrap();
    let validation = vec![all[3].clone()];
    for (near, left) in [(Near::Keep, 4), (Near::Report, 4), (Near::Drop, 2)] {
        let mut train = all.clone();
        let twins = chats::twins(&mut train, &validation, near);
        assert_eq!((train.len(), twins.is_some()), (left, near != Near::Keep));
        let Some(twins) = twins else { continue };
        assert_eq!((twins.training, twins.validation), (1, 1));
        assert!(
            twins.examples[1].document.ends_with("c.jsonl:3")
                && twins.examples[1].other.ends_with("c.jsonl:1")
        );
    }
}
