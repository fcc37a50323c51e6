//! Runs, stopped and not.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::program::{Ended, Scratch, TINY, book, command, glass};

const RUN: [&str; 10] = [
    "train",
    "--data",
    "book.txt",
    "--steps",
    "400",
    "--checkpoint-every",
    "5",
    "--eval-every",
    "100",
    "--json",
];

fn train(folder: &Path, more: &[&str]) -> Ended {
    glass(folder, &[&RUN[..], &TINY, more].concat(), b"")
}

/// What is written for people.
fn train_text(folder: &Path, more: &[&str]) -> String {
    glass(folder, &[&RUN[..RUN.len() - 1], &TINY, more].concat(), b"").stdout
}

#[test]
fn killed_and_resumed_is_as_never_stopped() {
    let scratch = Scratch::new("train");
    let folder = &scratch.0;
    fs::write(folder.join("book.txt"), book()).unwrap();
    let whole = train(folder, &["--out", "whole", "--threads", "1"]);
    assert_eq!(whole.status, 0, "{}", whole.stderr);
    assert_eq!(whole.stdout.lines().count(), 401);

    let arguments = [&RUN[..], &TINY, &["--out", "killed", "--threads", "2"]].concat();
    let mut child = command(folder, &arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let has_checkpoint = || {
        let steps = fs::read_dir(folder.join("killed/train")).into_iter().flatten().flatten();
        steps.into_iter().any(|entry| entry.file_name().to_string_lossy().ends_with("5"))
    };
    while !has_checkpoint() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it was killed before it was done");

    let refused = train(folder, &["--out", "killed"]);
    assert_eq!(refused.status, 2);
    assert!(refused.stderr.contains("add --resume"), "{}", refused.stderr);
    let resumed = train(folder, &["--out", "killed", "--resume", "--threads", "3"]);
    assert_eq!(resumed.status, 0, "{}", resumed.stderr);
    for name in ["model.safetensors", "tokenizer.json", "config.json", "train/curve.svg"] {
        let read = |run: &str| fs::read(folder.join(run).join(name)).unwrap();
        assert!(read("whole") == read("killed"), "{name} differs");
    }
    let last: serde_json::Value = serde_json::from_str(whole.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["why"], &last["step"]), (&"done".into(), &400.into()));
}

#[test]
#[cfg(unix)]
fn an_interrupt_saves_first() {
    saves_first("-INT");
}

#[test]
#[cfg(unix)]
fn so_does_being_told_to_end() {
    saves_first("-TERM");
}

#[cfg(unix)]
fn saves_first(signal: &str) {
    let scratch = Scratch::new(&format!("interrupt{signal}"));
    let folder = &scratch.0;
    fs::write(folder.join("book.txt"), book()).unwrap();
    let arguments = [
        &["train", "--data", "book.txt", "--steps", "1000000", "--checkpoint-every", "0", "--out", "r"][..],
        &TINY,
    ];
    let mut child =
        command(folder, &arguments.concat()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let log = folder.join("r/train/log.jsonl");
    let begun = Instant::now();
    while fs::metadata(&log).map_or(0, |about| about.len()) == 0 && begun.elapsed() < Duration::from_secs(60)
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    let interrupted =
        std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let done = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&done.stdout).contains("--resume goes on"));
    assert!(folder.join("r/model.safetensors").exists());
}

#[test]
fn a_plan_writes_nothing() {
    let scratch = Scratch::new("plan");
    fs::write(scratch.0.join("book.txt"), book()).unwrap();
    let json = train(&scratch.0, &["--out", "r", "--plan"]).json();
    let memory = &json["memory_bytes"];
    assert_eq!(memory["weights"].as_u64().unwrap(), 4 * json["weights"].as_u64().unwrap());
    assert_eq!(json["tokens"], 400 * 2 * 48);
    assert_eq!((&json["evaluations"], &json["checkpoints"]), (&4.into(), &80.into()));
    assert!(json["seconds"].as_f64().unwrap() >= 400.0 * json["seconds_per_step"].as_f64().unwrap());
    assert_eq!(json["fits"], true);
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1, "only the book is there");
    let text = train_text(&scratch.0, &["--out", "r", "--plan"]);
    assert!(text.contains("memory in all") && text.contains("time in all"), "{text}");
}

#[test]
fn what_no_machine_holds_is_refused_with_what_would_fit() {
    let scratch = Scratch::new("holds");
    fs::write(scratch.0.join("book.txt"), book()).unwrap();
    let mut asked = [&["train", "--data", "book.txt", "--out", "r"], &TINY[..]].concat();
    *asked.last_mut().unwrap() = "1000000000";
    let ended = glass(&scratch.0, &asked, b"");
    assert_eq!(ended.status, 2, "{}", ended.stderr);
    let expected = if cfg!(target_os = "linux") { "give --batch " } else { "memory" };
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    assert!(!scratch.0.join("r").exists());
}

#[test]
fn recomputing_may_begin_when_a_run_is_resumed() {
    let scratch = Scratch::new("recompute");
    let folder = &scratch.0;
    fs::write(folder.join("book.txt"), book()).unwrap();
    let run = |more: &[&str]| {
        let asked =
            ["train", "--data", "book.txt", "--schedule", "constant", "--warmup", "2", "--dropout", "0.1"];
        let ended = glass(folder, &[&asked[..], &TINY, more].concat(), b"");
        assert_eq!(ended.status, 0, "{}", ended.stderr);
    };
    run(&["--steps", "6", "--out", "kept"]);
    run(&["--steps", "3", "--out", "recomputed"]);
    run(&["--steps", "6", "--out", "recomputed", "--resume", "--recompute"]);
    for name in ["weights.f32", "first.f32", "second.f32"] {
        let read = |run: &str| fs::read(folder.join(run).join("train/step-00000006").join(name)).unwrap();
        assert!(read("kept") == read("recomputed"), "{name} differs");
    }
}

#[test]
fn a_tuned_model_tells_other_tools_where_an_answer_ends() {
    let scratch = Scratch::new("tuned");
    let folder = &scratch.0;
    let line = "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":\"Ho ho\"}]}\n";
    fs::write(folder.join("talk.jsonl"), line.repeat(8)).unwrap();
    let run = ["train", "--chat", "talk.jsonl", "--steps", "1", "--out", "r"];
    let done = glass(folder, &[&run[..], &TINY].concat(), b"");
    assert_eq!(done.status, 0, "{}", done.stderr);
    let tokenizer = ::glass::tokens::Tokenizer::open(&folder.join("r/tokenizer.json")).unwrap();
    let advice = fs::read_to_string(folder.join("r/generation_config.json")).unwrap();
    let advice: serde_json::Value = serde_json::from_str(&advice).unwrap();
    let ends = ["<|endoftext|>", "<|im_end|>"].map(|text| tokenizer.special(text).unwrap());
    assert_eq!(advice["eos_token_id"], serde_json::json!(ends));
}

#[test]
fn a_folder_of_llm_c_shards_needs_no_width() {
    let scratch = Scratch::new("llm_c");
    let folder = &scratch.0;
    fs::create_dir(folder.join("shards")).unwrap();
    for part in 0..2 {
        let mut file = [20_240_520u32, 1, 500].map(u32::to_le_bytes).concat();
        file.resize(1024, 0);
        file.extend((0..500u16).flat_map(|i| (i * 7 % 300 + part).to_le_bytes()));
        fs::write(folder.join(format!("shards/{part}.bin")), file).unwrap();
    }
    let run = ["train", "--data", "shards", "--steps", "2", "--out", "m", "--json"];
    let tiny = TINY.map(|argument| if argument == "300" { "302" } else { argument });
    let done = glass(folder, &[&run[..], &tiny].concat(), b"");
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert!(done.stderr.contains("2 files: 900 tokens to learn from"), "{}", done.stderr);
}

#[test]
fn a_model_without_marks_of_conversations_is_given_them() {
    let scratch = Scratch::new("grown");
    let folder = &scratch.0;
    fs::write(folder.join("book.txt"), book()).unwrap();
    let line = "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":\"Ho ho\"}]}\n";
    fs::write(folder.join("talk.jsonl"), line.repeat(8)).unwrap();
    let run = |arguments: &[&str]| {
        let done = glass(folder, arguments, b"");
        assert_eq!(done.status, 0, "{}", done.stderr);
        done
    };
    run(&["tokenizer", "learn", "--vocab", "300", "--out", "plain", "book.txt"]);
    let tiny = &TINY[..];
    run(&[&["train", "--data", "book.txt", "--tokenizer", "plain", "--steps", "2", "--out", "m"], tiny]
        .concat());
    let tuned = run(&[
        "train",
        "--from",
        "m",
        "--chat",
        "talk.jsonl",
        "--steps",
        "1",
        "--lr",
        "1e-9",
        "--val-fraction",
        "0",
        "--out",
        "t",
    ]);
    assert!(tuned.stderr.contains("2 tokens are added to its vocabulary of 300"), "{}", tuned.stderr);

    let open = |name: &str| {
        let model = ::glass::weights::folder::Folder::open(&folder.join(name)).unwrap();
        let (_, plan) = ::glass::model::Gpt::plan(model.config());
        let table = plan.specs.iter().find(|spec| spec.name == "embedding.token.weight").unwrap();
        let mut rows = vec![0.0; table.rows * table.cols];
        model.read(table, &mut rows).unwrap();
        (rows, table.cols)
    };
    let ((before, width), (after, _)) = (open("m"), open("t"));
    assert_eq!(after.len(), before.len() + 2 * width);
    for (i, &got) in after.iter().enumerate() {
        let mean = || before.iter().skip(i % width).step_by(width).sum::<f32>() / 300.0;
        let expected = before.get(i).copied().unwrap_or_else(mean);
        assert!((got - expected).abs() < 1e-5, "number {i} is {got}, expected {expected}");
    }
    run(&["chat", "-m", "t", "--once", "Hi", "--tokens", "2"]);
}

#[test]
fn shards_are_made_once_and_the_card_says_what_was_learned_from() {
    let scratch = Scratch::new("shards");
    let folder = &scratch.0;
    fs::create_dir(folder.join("texts")).unwrap();
    for (name, text) in [("a.txt", book()), ("b.txt", book()), ("c.txt", book() + "The end")] {
        fs::write(folder.join("texts").join(name), text).unwrap();
    }
    let run = |out: &str, more: &[&str]| {
        let run = ["train", "--data", "texts", "--steps", "3", "--json", "--out", out];
        let done = glass(folder, &[&run[..], &TINY, more].concat(), b"");
        assert_eq!(done.status, 0, "{}", done.stderr);
        done
    };
    let card = |out: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(folder.join(out).join("train/data.json")).unwrap()).unwrap()
    };
    let plan = run("p", &["--plan", "--shards", "kept"]).json();
    assert!(!folder.join("p").exists() && folder.join("kept").exists());
    let shared = run("a", &["--shards", "kept"]);
    assert!(
        shared.stderr.contains("kept: token shards of these data are there already"),
        "{}",
        shared.stderr
    );
    assert!(shared.stderr.contains("dropped: 1 duplicates"), "{}", shared.stderr);
    run("b", &[]);
    assert_eq!(plan["data"], card("a"));
    assert_eq!(card("a"), card("b"));
    assert_eq!((&card("a")["files"], &card("a")["dropped"]["duplicates"]), (&3.into(), &1.into()));
    let weights = |out: &str| fs::read(folder.join(out).join("model.safetensors")).unwrap();
    assert!(weights("a") == weights("b"), "from shards or from memory, the same bits");
    run("c", &["--keep-duplicates"]);
    assert_eq!(card("c")["dropped"]["duplicates"], 0);
}
