//! `glass train --teacher`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{Ended, Scratch, TALK, book, glass, put_model};

fn run(folder: &Path, arguments: &[&str]) -> Ended {
    let ended = glass(folder, arguments, b"");
    assert_eq!(ended.status, 0, "{arguments:?}: {}", ended.stderr);
    ended
}

const STUDENT: [&str; 10] =
    ["--layers", "1", "--heads", "1", "--width", "4", "--context", "24", "--batch", "2"];

#[test]
fn a_smaller_model_learns_from_a_larger_one() {
    let scratch = Scratch::new("distils");
    let folder = &scratch.0;
    put_model(folder, "m");
    fs::write(folder.join("book.txt"), book()).unwrap();
    fs::write(folder.join("talk.jsonl"), TALK.repeat(20)).unwrap();
    let begin = ["train", "--data", "book.txt", "--teacher", "m", "--steps", "6", "--json"];
    let whole =
        [&begin[..], &STUDENT, &["--distil-temperature", "2", "--distil-top", "20", "--out", "whole"]]
            .concat();
    let told = run(folder, &whole);
    let lines: Vec<Value> = told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines[..6] {
        let [loss, entropy, divergence] =
            ["loss", "cross_entropy", "divergence"].map(|field| line[field].as_f64().unwrap());
        assert!((loss - 0.5 * entropy - 0.5 * 4.0 * divergence).abs() < 1e-9 && divergence > 0.0, "{line}");
    }
    // It has the teacher's vocabulary.
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    assert!(read("whole/tokenizer.json") == read("m/tokenizer.json"));

    // Its own file of options repeats it; stopped and resumed, it is the same.
    run(folder, &["train", "--config", "whole/train/config.toml", "--out", "again"]);
    assert!(read("whole/model.safetensors") == read("again/model.safetensors"));
    run(folder, &["train", "--out", "again", "--resume", "--steps", "9"]);

    // Without a share it is plain training.
    let plain = ["train", "--data", "book.txt", "--tokenizer", "m", "--steps", "6"];
    let size = fs::read_to_string(folder.join("whole/config.json")).unwrap();
    let vocabulary = serde_json::from_str::<Value>(&size).unwrap()["vocab_size"].to_string();
    run(folder, &[&plain[..], &STUDENT, &["--vocab", &vocabulary, "--out", "plain"]].concat());
    run(folder, &[&begin[..], &STUDENT, &["--distil-share", "0", "--out", "unheard"]].concat());
    assert!(read("plain/model.safetensors") == read("unheard/model.safetensors"));

    // Conversations and adapters learn from it too.
    let talks = ["--chat", "talk.jsonl", "--teacher", "m", "--steps", "4"];
    run(folder, &[&["train"], &talks[..], &STUDENT, &["--out", "talks"]].concat());
    run(folder, &[&["train", "--from", "whole", "--lora", "2", "--out", "tuned"], &talks[..]].concat());
    assert!(folder.join("tuned/adapter_model.safetensors").exists());
}

#[test]
fn a_teacher_that_cannot_teach_is_refused() {
    let scratch = Scratch::new("distils-refused");
    let folder = &scratch.0;
    put_model(folder, "m");
    fs::write(folder.join("book.txt"), book()).unwrap();
    for (arguments, expected) in [
        (&["--teacher", "m", "--tokenizer", "gpt2"][..], "--teacher: its token "),
        (
            &["--teacher", "m", "--context", "100"],
            "--teacher: its context is 48, but the model's is 100; give --context 48",
        ),
        (&["--teacher", "m", "--vocab", "999"], "--teacher: its vocabulary has"),
        (&["--teacher", "nothing"], "nothing"),
        (
            &["--teacher", "m", "--distil-share", "2"],
            "--distil-share: 2 was given, but a number from 0 to 1 is needed",
        ),
        (&["--teacher", "m", "--distil-temperature", "0"], "--distil-temperature: 0 was given"),
        (&["--distil-share", "0.5"], "--teacher"),
        (&["--teacher", "m", "--plan"], "--plan"),
    ] {
        let small = [
            "train", "--data", "book.txt", "--steps", "2", "--out", "r", "--layers", "1", "--heads", "1",
            "--width", "4",
        ];
        let context: &[&str] = if arguments.contains(&"--context") { &[] } else { &["--context", "24"] };
        let ended = glass(folder, &[&small, context, arguments].concat(), b"");
        let said = ended.stderr.replace('\n', " ");
        assert!(ended.status != 0 && said.contains(expected), "{arguments:?}: {said}");
        assert!(!folder.join("r/train/run.json").exists(), "{arguments:?}");
    }
}
