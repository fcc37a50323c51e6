//! `glass train --preferences`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{Ended, Scratch, glass, put_model};

const RUN: [&str; 13] = [
    "train",
    "--from",
    "m",
    "--preferences",
    "pairs.jsonl",
    "--batch",
    "2",
    "--eval-every",
    "5",
    "--checkpoint-every",
    "3",
    "--lr",
    "5e-3",
];

/// Texts and messages, mixed.
fn pairs() -> String {
    let text = |n: usize| {
        format!("{{\"prompt\":\"House {n}\",\"chosen\":\" near\",\"rejected\":\" glad it was\"}}\n")
    };
    let said = |answer: &str| format!("[{{\"role\":\"assistant\",\"content\":\"{answer}\"}}]");
    let talk = |n: usize| {
        format!(
            "{{\"prompt\":[{{\"role\":\"user\",\"content\":\"Where {n}?\"}}],\"chosen\":{},\"rejected\":{}}}\n",
            said("Near the house."),
            said("Glad.")
        )
    };
    (0..20).map(|n| if n % 2 == 0 { text(n) } else { talk(n) }).collect()
}

fn run(folder: &Path, more: &[&str]) -> Ended {
    glass(folder, &[&RUN[..], more].concat(), b"")
}

fn done(ended: Ended) -> Ended {
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    ended
}

#[test]
fn pairs_are_learned_stopped_resumed_and_repeated() {
    let scratch = Scratch::new("prefers");
    let folder = &scratch.0;
    put_model(folder, "m");
    fs::write(folder.join("pairs.jsonl"), pairs()).unwrap();
    let whole = done(run(folder, &["--steps", "12", "--out", "whole", "--json"]));
    assert!(whole.stderr.contains("validation loss"), "{}", whole.stderr);
    assert!(whole.stderr.replace('\n', " ").contains("% of pairs ordered"), "{}", whole.stderr);
    let lines: Vec<Value> = whole.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 13);
    let number = |line: usize, field: &str| lines[line][field].as_f64().unwrap();
    assert!((number(0, "loss") - 2.0f64.ln()).abs() < 1e-5, "at first it is the reference: {}", lines[0]);
    assert!((number(0, "accuracy"), number(0, "margin")) == (0.0, 0.0));
    assert!(number(11, "loss") < number(0, "loss") && number(11, "accuracy") > 0.9);
    assert!(number(4, "val_accuracy") > 0.5 && lines[3].get("val_accuracy").is_none());

    let weights = |run: &str| fs::read(folder.join(run).join("model.safetensors")).unwrap();
    // Its own file of options repeats it, and a longer run goes on with the same reference.
    done(glass(folder, &["train", "--config", "whole/train/config.toml", "--out", "again"], b""));
    assert!(weights("whole") == weights("again"));
    done(run(folder, &["--steps", "15", "--out", "longer", "--schedule", "constant"]));
    done(run(folder, &["--steps", "6", "--out", "short", "--schedule", "constant"]));
    done(glass(folder, &["train", "--out", "short", "--resume", "--steps", "15"], b""));
    let last = |run: &str| fs::read(folder.join(run).join("train/step-00000015/weights.f32")).unwrap();
    assert!(last("longer") == last("short"));

    let other =
        glass(folder, &["train", "--out", "whole", "--resume", "--steps", "14", "--beta", "0.3"], b"");
    let expected = "--beta: this run began with 0.1; 0.3 would change its result";
    assert!(other.status == 2 && other.stderr.replace('\n', " ").contains(expected), "{}", other.stderr);
}

#[test]
fn an_adapter_and_every_loss_learn_from_pairs() {
    let scratch = Scratch::new("prefers-losses");
    let folder = &scratch.0;
    put_model(folder, "m");
    fs::write(folder.join("pairs.jsonl"), pairs()).unwrap();
    for (loss, more) in [
        ("dpo", &["--lora", "2"][..]),
        ("dpo-norm", &["--beta", "2"]),
        ("robust", &["--label-smoothing", "0.1"]),
        ("ipo", &[]),
        ("simpo", &["--gamma", "1", "--label-smoothing", "0.1", "--accumulate", "2"]),
    ] {
        let arguments =
            [&["--preference-loss", loss, "--steps", "9", "--out", loss, "--json"], more].concat();
        let ended = done(run(folder, &arguments));
        let lines: Vec<Value> =
            ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let loss_at = |line: usize| lines[line]["loss"].as_f64().unwrap();
        assert!(loss_at(8) < loss_at(0), "{loss}: {} after {}", loss_at(8), loss_at(0));
        done(glass(folder, &["train", "--out", loss, "--resume", "--steps", "10"], b""));
    }
    assert!(folder.join("dpo/adapter_model.safetensors").exists());
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let scratch = Scratch::new("prefers-refused");
    let folder = &scratch.0;
    put_model(folder, "m");
    fs::write(folder.join("pairs.jsonl"), pairs()).unwrap();
    fs::write(folder.join("wrong.jsonl"), "{\"prompt\":\"a\",\"chosen\":\"b\"}\n").unwrap();
    fs::write(folder.join("same.jsonl"), "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"b\"}\n").unwrap();
    let refused = |arguments: &[&str]| {
        let ended = glass(folder, &[&["train", "--steps", "2", "--out", "r"], arguments].concat(), b"");
        assert!(ended.status != 0 && !folder.join("r").join("train").exists(), "{arguments:?}");
        ended.stderr.replace('\n', " ")
    };
    let of = |file: &'static str| ["--from", "m", "--preferences", file];
    for (arguments, expected) in [
        (&["--preferences", "pairs.jsonl"][..], "--from"),
        (&of("wrong.jsonl"), "wrong.jsonl:1: no field \"rejected\" in this line; a pair is"),
        (&of("same.jsonl"), "no pair of answers fits into the context"),
        (&of("missing.jsonl"), "cannot read missing.jsonl"),
        (&[&of("pairs.jsonl")[..], &["--beta", "0"]].concat(), "--beta: 0 was given, but a number above 0"),
        (
            &[&of("pairs.jsonl")[..], &["--gamma", "1"]].concat(),
            "--gamma: 1 was given, but only the loss simpo",
        ),
        (
            &[&of("pairs.jsonl")[..], &["--label-smoothing", "0.1"]].concat(),
            "--label-smoothing: 0.1 was given",
        ),
        (&[&of("pairs.jsonl")[..], &["--data", "sample"]].concat(), "--data"),
        (
            &["--from", "m", "--data", "sample", "--beta", "0.2"],
            "--beta: it is for pairs of answers; give them with --preferences",
        ),
    ] {
        let said = refused(arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    let planned = glass(folder, &[&RUN[..], &["--steps", "5", "--plan"]].concat(), b"");
    assert!(planned.status == 0 && planned.stdout.contains("total memory"), "{}", planned.stderr);
}
