//! Data for a training: what is learned of conversations, mixtures, near-duplicates.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{Ended, Scratch, TINY, book, glass};

fn talk(folder: &Path, name: &str, turns: &[(&str, &str)], count: usize) {
    let line = |at: usize| {
        let messages: Vec<_> = turns
            .iter()
            .map(|(role, text)| serde_json::json!({"role": role, "content": text.replace('#', &at.to_string())}))
            .collect();
        format!("{}\n", serde_json::json!({ "messages": messages }))
    };
    fs::write(folder.join(name), (0..count).map(line).collect::<String>()).unwrap();
}

fn train(folder: &Path, more: &[&str]) -> Ended {
    glass(folder, &[&["train"], more, &TINY].concat(), b"")
}

#[test]
fn what_is_learned_is_shown() {
    let scratch = Scratch::new("mask");
    let folder = &scratch.0;
    talk(folder, "talk.jsonl", &[("user", "Hi #"), ("assistant", "Ho #"), ("user", "Bye")], 8);
    let shown = train(folder, &["--chat", "talk.jsonl", "--show-mask", "2"]);
    assert_eq!(shown.status, 0, "{}", shown.stderr);
    let text = "<|im_start|>user\nHi 0<|im_end|>\n<|im_start|>assistant\n⟦Ho 0<|im_end|>⟧\nthen ";
    assert!(shown.stdout.contains("talk.jsonl:1: ") && shown.stdout.contains(text), "{}", shown.stdout);
    assert!(!shown.stdout.contains('\u{1b}') && !shown.stdout.contains("talk.jsonl:3"), "{}", shown.stdout);
    assert!(!folder.join("train").exists(), "nothing is written");
    let json = train(folder, &["--chat", "talk.jsonl", "--show-mask", "--json"]).json();
    let samples = json["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 3);
    let (ids, learned) = (samples[0]["ids"].as_array().unwrap(), samples[0]["learned"].as_array().unwrap());
    let count = learned.iter().filter(|learned| **learned == Value::Bool(true)).count();
    assert!(ids.len() == learned.len() && (1..ids.len()).contains(&count), "{json}");
    assert!(json["learned"].as_u64().unwrap() >= 8 * count as u64 && json["left_out"] == 0, "{json}");
    // Text is learned from its second token on; conversations and texts are shown together.
    fs::write(folder.join("book.txt"), book()).unwrap();
    let both = train(folder, &["--data", "book.txt", "--chat", "talk.jsonl", "--show-mask", "1"]);
    assert!(
        both.stdout.contains("talk.jsonl:1") && both.stdout.contains("book.txt, sample 1"),
        "{}",
        both.stdout
    );
}

#[test]
fn conversations_of_which_nothing_is_learned_are_refused_with_the_reason() {
    let scratch = Scratch::new("nothing");
    let folder = &scratch.0;
    talk(folder, "silent.jsonl", &[("user", "Hi #")], 8);
    talk(folder, "late.jsonl", &[("user", &"Say it again. ".repeat(40)), ("assistant", "Ho")], 8);
    talk(folder, "good.jsonl", &[("user", "Hi #"), ("assistant", "Ho")], 8);
    fs::write(folder.join("empty.jsonl"), "\n").unwrap();
    for (data, expected) in [
        (&["silent.jsonl"][..], "none has a message of the assistant to learn from"),
        (&["late.jsonl"], "their answers begin after the context of"),
        (
            &["silent.jsonl", "late.jsonl"],
            "have no message of the assistant to learn from, and the answers of",
        ),
        (&["empty.jsonl"], "there is none in it"),
        (&["good.jsonl", "--val", "silent.jsonl"], "--val: nothing would be learned from 8 conversations"),
    ] {
        for shows in [&["--steps", "1", "--out", "r"][..], &["--show-mask"]] {
            if data.contains(&"--val") && shows.len() == 1 {
                continue;
            }
            let done = train(
                folder,
                &[
                    &["--chat"],
                    data,
                    &["--val-fraction", "0"][..if data.contains(&"--val") { 0 } else { 2 }],
                    shows,
                ]
                .concat(),
            );
            assert!(done.status == 1 && done.stderr.contains(expected), "{data:?}: {}", done.stderr);
            assert!(!folder.join("r/train/step-00000001").exists());
            if shows.len() == 1 && data.len() == 1 && data[0] != "empty.jsonl" {
                assert!(done.stdout.contains("left out: "), "{}", done.stdout);
            }
        }
    }
}

#[test]
fn packed_conversations_fill_their_samples_and_resume_packed() {
    let scratch = Scratch::new("packed");
    let folder = &scratch.0;
    talk(folder, "talk.jsonl", &[("user", "Hi #"), ("assistant", "Ho #")], 80);
    let run = |out: &str, more: &[&str]| {
        let done = train(folder, &[&["--chat", "talk.jsonl", "--json", "--out", out], more].concat());
        assert_eq!(done.status, 0, "{}", done.stderr);
        done
    };
    let whole = run("whole", &["--pack", "--steps", "6"]);
    assert!(whole.stderr.contains("72 conversations packed into "), "{}", whole.stderr);
    run("half", &["--pack", "--steps", "3", "--schedule", "constant", "--warmup", "1"]);
    run("more", &["--pack", "--steps", "6", "--schedule", "constant", "--warmup", "1"]);
    run("half", &["--resume", "--steps", "6"]);
    let weights = |out: &str| fs::read(folder.join(out).join("model.safetensors")).unwrap();
    assert!(weights("half") == weights("more"), "the option is kept with the run");
    let tokens = |ended: &Ended| {
        let last: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
        last["tokens"].as_u64().unwrap()
    };
    let alone = run("alone", &["--steps", "6"]);
    assert!(2 * tokens(&whole) > 3 * tokens(&alone), "{} and {}", tokens(&whole), tokens(&alone));
    let card: Value =
        serde_json::from_slice(&fs::read(folder.join("whole/train/data.json")).unwrap()).unwrap();
    assert!(card["lengths"]["median"].as_u64() > Some(3) && card["learned"].as_u64() > Some(72), "{card}");
}

#[test]
fn a_mixture_is_described_kept_and_resumed_from_another_folder() {
    let scratch = Scratch::new("mixture");
    let folder = &scratch.0;
    let mut words: Vec<String> = book().split(' ').map(String::from).collect();
    fs::write(folder.join("book.txt"), words.join(" ")).unwrap();
    words.reverse();
    fs::write(folder.join("koob.txt"), words.join(" ")).unwrap();
    talk(folder, "talk.jsonl", &[("user", "Hi #"), ("assistant", "Ho #")], 30);
    let mixed = ["--data", "book.txt@0.7", "koob.txt", "--chat", "talk.jsonl@0.1", "--eval-every", "2"];
    let done =
        train(folder, &[&mixed[..], &["--steps", "4", "--json", "--out", "m", "--mask-documents"]].concat());
    assert_eq!(done.status, 0, "{}", done.stderr);
    for said in
        ["3 sources in the mixture: book.txt is 70.0 %, seen ", "koob.txt is 20.0 %", "talk.jsonl is 10.0 %"]
    {
        assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
    }
    let last: Value = serde_json::from_str(done.stdout.lines().nth(3).unwrap()).unwrap();
    for name in ["book.txt", "koob.txt", "talk.jsonl"] {
        assert!(last["val_losses"][name].as_f64().unwrap() > 0.0, "{last}");
    }
    let card: Value = serde_json::from_slice(&fs::read(folder.join("m/train/data.json")).unwrap()).unwrap();
    assert_eq!(card["sources"][0]["share"], 0.7);
    // Its options hold the amounts, and paths that are found from anywhere.
    let kept = fs::read_to_string(folder.join("m/train/config.toml")).unwrap();
    assert!(kept.contains("/book.txt@0.7\"") && kept.contains("/talk.jsonl@0.1\""), "{kept}");
    let away = Scratch::new("mixture-away");
    let out = folder.join("m").display().to_string();
    let resumed = glass(&away.0, &["train", "--out", &out, "--resume", "--steps", "6"], b"");
    assert_eq!(resumed.status, 0, "{}", resumed.stderr);
    let config = folder.join("m/train/config.toml").display().to_string();
    let again = glass(&away.0, &["train", "--config", &config, "--steps", "2", "--out", "again"], b"");
    assert!(again.status == 0 && again.stderr.contains("book.txt is 70.0 %"), "{}", again.stderr);
    // Few data, seen often.
    let often = train(folder, &["--data", "book.txt@0.5", "koob.txt@0.5", "--steps", "2000", "--plan"]);
    assert!(often.stdout.contains("repeated data teach less"), "{}", often.stdout);
}

#[test]
fn wrong_amounts_are_refused() {
    let scratch = Scratch::new("amounts");
    let folder = &scratch.0;
    fs::write(folder.join("book.txt"), book()).unwrap();
    for (data, expected) in [
        (&["book.txt@0"][..], "0 is not an amount"),
        (&["book.txt@-0.5"], "-0.5 is not an amount"),
        (&["book.txt@nan"], "nan is not an amount"),
        (&["book.txt@xinf"], "xinf is not an amount"),
        (&["bok.txt@0.5"], "cannot read bok.txt"),
    ] {
        let done = train(folder, &[&["--data"], data, &["--steps", "1", "--out", "r"]].concat());
        assert!(done.status > 0 && done.stderr.contains(expected), "{data:?}: {}", done.stderr);
    }
}

#[test]
fn near_duplicates_are_reported_and_dropped() {
    let scratch = Scratch::new("near");
    let folder = &scratch.0;
    let story =
        |n: usize| (0..80).map(|at| format!("word{} ", (at * at * (n + 3) + n) % 997)).collect::<String>();
    let stories: Vec<String> = (0..30).map(story).chain([story(4) + "again"]).collect();
    fs::write(folder.join("a.txt"), stories.join("<|endoftext|>")).unwrap();
    let run = |out: &str, more: &[&str]| {
        let done = train(
            folder,
            &[&["--data", "a.txt", "--steps", "1", "--val-fraction", "0", "--out", out], more].concat(),
        );
        assert_eq!(done.status, 0, "{}", done.stderr);
        let card: Value =
            serde_json::from_slice(&fs::read(folder.join(out).join("train/data.json")).unwrap()).unwrap();
        (done.stderr, card)
    };
    let (said, card) = run("report", &[]);
    assert!(
        said.contains("1 document nearly as others to train on") && said.contains("a.txt, document 31"),
        "{said}"
    );
    assert_eq!((&card["near_duplicates"]["training"], &card["train"]["documents"]), (&1.into(), &31.into()));
    let (said, card) = run("drop", &["--near-duplicates", "drop"]);
    assert!(said.contains("dropped: 1 near-duplicate") && said.contains("they are left out"), "{said}");
    assert_eq!(card["train"]["documents"], 30);
    let (said, card) = run("keep", &["--near-duplicates", "keep"]);
    assert!(!said.contains("nearly") && card["near_duplicates"].is_null(), "{said}");
}
