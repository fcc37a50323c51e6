//! Training runs, stopped and not.

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

/// The text output.
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
    assert!(String::from_utf8_lossy(&done.stdout).contains("--resume continues"));
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
    let text = train_text(&scratch.0, &["--plan"]);
    assert!(text.contains("total memory") && text.contains("total time"), "{text}");
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1, "a plan needs no folder");
    let without = glass(&scratch.0, &[&RUN[..], &TINY].concat(), b"");
    assert!(without.status == 2 && without.stderr.contains("--out"), "{}", without.stderr);
    for columns in [60, 80] {
        let arguments = [&RUN[..RUN.len() - 1], &TINY, &["--plan"]].concat();
        let done = command(&scratch.0, &arguments).env("COLUMNS", columns.to_string()).output().unwrap();
        for line in String::from_utf8(done.stdout).unwrap().lines() {
            assert!(line.chars().count() <= columns, "{line}");
        }
    }
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
    assert!(done.stderr.contains("2 files: 900 tokens for training"), "{}", done.stderr);
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
    assert!(shared.stderr.contains("kept: the token shards of this data already exist"), "{}", shared.stderr);
    assert!(shared.stderr.contains("dropped: 1 duplicate"), "{}", shared.stderr);
    run("b", &[]);
    assert_eq!(plan["data"], card("a"));
    assert_eq!(card("a"), card("b"));
    assert_eq!((&card("a")["files"], &card("a")["dropped"]["duplicates"]), (&3.into(), &1.into()));
    let weights = |out: &str| fs::read(folder.join(out).join("model.safetensors")).unwrap();
    assert!(weights("a") == weights("b"), "from shards or from memory, the same bits");
    run("c", &["--keep-duplicates"]);
    assert_eq!(card("c")["dropped"]["duplicates"], 0);
}

#[test]
fn a_folder_of_train_and_val_is_learned_and_validated_by_name() {
    let scratch = Scratch::new("roles");
    let folder = &scratch.0;
    fs::create_dir(folder.join("set")).unwrap();
    let ids = |id: u16| [id; 2000].iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>();
    fs::write(folder.join("set/train.bin"), ids(5)).unwrap();
    fs::write(folder.join("set/val.bin"), ids(9)).unwrap();
    let run = |out: &str, more: &[&str]| {
        let run = [
            "train", "--bin", "u16", "--steps", "60", "--warmup", "1", "--lr", "0.05", "--json", "--out", out,
        ];
        let done = glass(folder, &[&run[..], more, &TINY].concat(), b"");
        assert_eq!(done.status, 0, "{}", done.stderr);
        done
    };
    let done = run("a", &["--data", "set"]);
    assert!(done.stderr.contains("val.bin: by its name it is for validation"), "{}", done.stderr);
    assert!(
        done.stderr.contains("2 files: 2,000 tokens for training; 2,000 tokens for validation"),
        "{}",
        done.stderr
    );
    let last: serde_json::Value =
        done.stdout.lines().rev().nth(1).map(|line| serde_json::from_str(line).unwrap()).unwrap();
    assert!(last["loss"].as_f64().unwrap() < 0.1, "5 is learned: {last}");
    assert!(last["val_loss"].as_f64().unwrap() > 5.0, "9 is not: {last}");
    let card = fs::read_to_string(folder.join("a/train/data.json")).unwrap();
    let card: serde_json::Value = serde_json::from_str(&card).unwrap();
    assert_eq!((&card["validation"]["tokens"], &card["split"]), (&2000.into(), &serde_json::Value::Null));
    run("b", &["--data", "set/train.bin", "set/val.bin"]);
    let weights = |run: &str| fs::read(folder.join(run).join("model.safetensors")).unwrap();
    assert!(weights("a") == weights("b"), "as a shell writes set/*.bin");
}

#[test]
fn a_run_is_resumed_with_its_own_options_and_says_what_is_changed() {
    let scratch = Scratch::new("options");
    let folder = &scratch.0;
    fs::write(folder.join("book.txt"), book()).unwrap();
    let run = |arguments: &[&str]| {
        let done = glass(folder, arguments, b"");
        assert_eq!(done.status, 0, "{}", done.stderr);
        done
    };
    let begin = ["train", "--data", "book.txt", "--beta2", "0.9", "--warmup", "2", "--steps", "6", "--out"];
    run(&[&begin[..], &["whole"], &TINY].concat());
    run(&[&begin[..], &["a"], &TINY].concat());
    let finished = run(&["train", "--out", "a", "--resume"]);
    assert!(
        finished.stderr.contains("this run has taken all its 6 steps; to continue, give a larger --steps"),
        "{}",
        finished.stderr
    );
    let longer =
        run(&["train", "--out", "a", "--resume", "--steps", "9", "--lr", "5e-4", "--matrix-lr", "1e-3"]);
    let expected = "changed from here on: --steps 9 instead of 6, --lr 0.0005 instead of 0.015, --matrix-lr 0.001 instead of \
                    0.0075;";
    assert!(longer.stderr.replace('\n', " ").contains(expected), "{}", longer.stderr);
    assert!(longer.stderr.contains("continuing after step 6"), "{}", longer.stderr);
    assert!(longer.stdout.contains("a: 9 steps"), "{}", longer.stdout);
    let other = glass(folder, &["train", "--out", "a", "--resume", "--batch", "3"], b"");
    assert_eq!(other.status, 2);
    assert!(
        other.stderr.contains("--batch: this run began with 2; 3 would change its result"),
        "{}",
        other.stderr
    );

    let kept =
        || ["train/run.json", "train/config.toml"].map(|name| fs::read(folder.join("a").join(name)).unwrap());
    let before = kept();
    for (option, value, expected) in [
        ("--steps", "2", "--steps: 9 steps were already taken; give more than 9"),
        ("--width", "32", "--width: this run began with 8; 32 would change its result"),
    ] {
        let refused = glass(folder, &["train", "--out", "a", "--resume", option, value], b"");
        assert!(refused.status == 2 && refused.stderr.contains(expected), "{option}: {}", refused.stderr);
        assert!(kept() == before, "nothing is written");
    }

    // Defaults that something given excludes are not kept: --val and the share, --from and the sizes.
    fs::write(folder.join("other.txt"), "Another dog lost the ball.\n".repeat(60)).unwrap();
    let tuned = [
        "train",
        "--data",
        "book.txt",
        "--val",
        "other.txt",
        "--from",
        "whole",
        "--batch",
        "2",
        "--epochs",
        "0.01",
    ];
    run(&[&tuned[..], &["--out", "tuned"]].concat());
    let longer = run(&["train", "--out", "tuned", "--resume", "--steps", "40"]);
    assert!(longer.stdout.contains("tuned: 40 steps"), "{} {}", longer.stdout, longer.stderr);

    // The file written with the run repeats it, also from another folder.
    let kept = fs::read_to_string(folder.join("whole/train/config.toml")).unwrap();
    for line in ["beta2 = 0.9", "layers = 1", "steps = 6", "separator = \"<|endoftext|>\""] {
        assert!(kept.lines().any(|known| known == line), "{line}: {kept}");
    }
    fs::create_dir(folder.join("elsewhere")).unwrap();
    let done = glass(
        &folder.join("elsewhere"),
        &["train", "--config", "../whole/train/config.toml", "--out", "again"],
        b"",
    );
    assert_eq!(done.status, 0, "{}", done.stderr);
    let weights = |run: &str| fs::read(folder.join(run).join("model.safetensors")).unwrap();
    assert!(weights("whole") == weights("elsewhere/again"));
}

#[test]
fn a_file_of_options_counts_less_than_the_command_line_and_is_checked() {
    let scratch = Scratch::new("config");
    let folder = &scratch.0;
    fs::write(folder.join("book.txt"), book()).unwrap();
    let with = |text: &str, more: &[&str]| {
        fs::write(folder.join("c.toml"), text).unwrap();
        let _ = fs::remove_dir_all(folder.join("r"));
        glass(folder, &[&["train", "--config", "c.toml"][..], more].concat(), b"")
    };
    let small = "layers = 1\nheads = 2\nwidth = 8\ncontext = 48\nvocab = 300\nbatch = 2\n";
    let file =
        format!("out = \"r\"\ndata = [\"book.txt\"]\nsteps = 7\nmin_lr = 1e-5\noverfit = false\n{small}");
    let done = with(&file, &[]);
    assert!(done.stdout.starts_with("r: 7 steps"), "{} {}", done.stdout, done.stderr);
    let done = with(&file, &["--steps", "3"]);
    assert!(done.stdout.starts_with("r: 3 steps"), "{} {}", done.stdout, done.stderr);
    let done = with(&file, &["--epochs", "0.05"]);
    assert!(
        done.stdout.starts_with("r: ") && !done.stdout.starts_with("r: 7 steps"),
        "{} {}",
        done.stdout,
        done.stderr
    );
    for (text, expected) in [
        ("layrs = 3", "c.toml: layrs is not an option of glass train"),
        ("layers = [3]", "c.toml: layers = [3] was found, which is not a value for this option"),
        ("overfit = 3", "c.toml: overfit = 3 was found"),
        ("a = \nb = 3", "c.toml:1: "),
        ("layers = \"many\"", "c.toml: invalid value 'many' for '--layers <N>'"),
    ] {
        let refused = with(text, &["--out", "r", "--data", "book.txt"]);
        let said = refused.stderr.replace('\n', " ");
        assert!(refused.status == 2 && said.contains(expected), "{text}: {said}");
    }
    let missing = glass(folder, &["train", "--config", "none.toml", "--out", "r"], b"");
    assert!(
        missing.status == 2 && missing.stderr.contains("--config: cannot read none.toml"),
        "{}",
        missing.stderr
    );
}

#[test]
fn standard_input_and_the_sample_are_kept_for_the_run() {
    let scratch = Scratch::new("input");
    let folder = &scratch.0;
    let run = |arguments: &[&str], input: &str| {
        let done = glass(folder, &[arguments, &TINY].concat(), input.as_bytes());
        assert_eq!(done.status, 0, "{}", done.stderr);
        done
    };
    let begin = ["train", "--steps", "2", "--data"];
    let text = run(&[&begin[..], &["-", "--out", "text"]].concat(), &book());
    assert!(
        text.stderr.replace('\n', " ").contains("standard input is read as text and kept as"),
        "{}",
        text.stderr
    );
    fs::write(folder.join("book.txt"), book()).unwrap();
    run(&[&begin[..], &["book.txt", "--out", "file"]].concat(), "");
    let weights = |run: &str| fs::read(folder.join(run).join("model.safetensors")).unwrap();
    assert!(weights("text") == weights("file"), "as from a file");
    let longer = glass(folder, &["train", "--out", "text", "--resume", "--steps", "3"], b"");
    assert!(longer.stdout.contains("text: 3 steps"), "{} {}", longer.stdout, longer.stderr);
    let lines: String = (0..80).map(|n| format!("{{\"story\":\"Number {n} is a dog.\"}}\n")).collect();
    let json = run(&[&begin[..], &["-", "--field", "story", "--out", "json"]].concat(), &lines);
    assert!(json.stderr.contains("read as JSON lines"), "{}", json.stderr);
    let table: String = (0..80).map(|n| format!("{n},\"Number {n}, a dog.\"\n")).collect();
    let csv = run(
        &[&begin[..], &["-", "--field", "story", "--out", "csv"]].concat(),
        &format!("id,story\n{table}"),
    );
    assert!(csv.stderr.contains("read as CSV"), "{}", csv.stderr);

    let sample = run(&[&begin[..], &["sample", "--out", "sample"]].concat(), "");
    assert!(sample.stderr.contains("documents"), "{}", sample.stderr);
    assert!(folder.join("sample/train/sample.txt").exists());
    let kept = fs::read_to_string(folder.join("sample/train/config.toml")).unwrap();
    assert!(kept.contains("sample-every = 100") && kept.contains("layers = 1"), "{kept}");
}

#[test]
fn a_recipe_gives_what_is_not_given() {
    let scratch = Scratch::new("recipe");
    let folder = &scratch.0;
    // Without one, it is fast.
    let begin = ["train", "--data", "sample", "--steps", "2", "--eval-every", "0"];
    let trained = |out: &str, more: &[&str]| {
        let done = glass(folder, &[&begin[..], &["--out", out], more, &TINY].concat(), b"");
        assert_eq!(done.status, 0, "{}", done.stderr);
        let read = |file: &str| fs::read_to_string(folder.join(out).join(file)).unwrap();
        (read("config.json"), read("train/config.toml"))
    };
    let (model, options) = trained("fast", &[]);
    assert!(model.contains("\"qwen3\""), "{model}");
    // A recipe counts more than what suits the sample, and less than the command line.
    for line in ["recipe = \"fast\"", "optimiser = \"muon\"", "muon-every = 2", "lr = 0.015", "min-lr = 0"]
        .into_iter()
        .chain(["early-blocks = 2", "early-steps = 1"])
    {
        assert!(options.contains(line), "{line}: {options}");
    }
    let (model, options) = trained("own", &["--family", "llama", "--lr", "0.002"]);
    assert!(model.contains("\"llama\"") && options.contains("lr = 0.002\n"), "{model} {options}");
    assert!(options.contains("optimiser = \"muon\"") && !options.contains("matrix-lr"), "{options}");
    // What is for Muon is not for another optimiser.
    let (_, options) = trained("adamw", &["--optimiser", "adamw"]);
    assert!(options.contains("lr = 0.003\n") && options.contains("muon-every = 1"), "{options}");
    let (model, options) = trained("older", &["--recipe=gpt2"]);
    assert!(
        model.contains("GPT2LMHeadModel") && options.contains("optimiser = \"adamw\""),
        "{model} {options}"
    );
    // A run from before the recipe had early steps goes on without.
    let (_, options) = trained("before", &[]);
    let [config, identity] = ["config.toml", "run.json"].map(|file| folder.join("before/train").join(file));
    let older: String =
        options.lines().filter(|line| !line.starts_with("early")).map(|line| format!("{line}\n")).collect();
    fs::write(config, older).unwrap();
    let mut run: serde_json::Value = serde_json::from_slice(&fs::read(&identity).unwrap()).unwrap();
    for name in ["early-blocks", "early-steps"] {
        assert!(run["settings"].as_object_mut().unwrap().remove(name).is_some());
    }
    fs::write(&identity, run.to_string()).unwrap();
    let resumed = glass(folder, &["train", "--out", "before", "--resume", "--steps", "3"], b"");
    assert_eq!(resumed.status, 0, "{}", resumed.stderr);
    // Which steps were early does not change with their number.
    let resumed = glass(folder, &["train", "--out", "fast", "--resume", "--steps", "30"], b"");
    assert_eq!(resumed.status, 0, "{}", resumed.stderr);
    let early = glass(folder, &["train", "--out", "fast", "--resume", "--early-steps", "9"], b"");
    assert!(
        early.status == 2 && early.stderr.contains("--early-steps: this run began with 1; 9"),
        "{}",
        early.stderr
    );

    let wrong = glass(folder, &["train", "--data", "sample", "--recipe", "fats", "--out", "wrong"], b"");
    assert!(wrong.status == 2 && wrong.stderr.contains("fast"), "{}", wrong.stderr);
}

#[test]
fn a_run_begins_with_two_blocks() {
    let scratch = Scratch::new("early");
    let folder = &scratch.0;
    let small = ["--layers", "3", "--heads", "2", "--width", "8", "--context", "48", "--vocab", "300"];
    let begin = ["train", "--data", "sample", "--eval-every", "0", "--checkpoint-every", "2", "--plain"];
    let go = |more: &[&str]| glass(folder, &[&begin[..], &small, more].concat(), b"");
    let ran = |more: &[&str]| {
        let done = go(more);
        assert_eq!(done.status, 0, "{}", done.stderr);
        done
    };
    let tensor = |out: &str, name: &str| {
        let bytes = fs::read(folder.join(out).join("model.safetensors")).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let at = |place: usize| header[name]["data_offsets"][place].as_u64().unwrap() as usize;
        bytes[8 + length + at(0)..8 + length + at(1)].to_vec()
    };
    let end = "model.layers.2.mlp.down_proj.weight";
    let whole = ran(&["--steps", "6", "--out", "whole"]);
    assert!(
        whole.stderr.contains("step 3: all blocks are learned from the next step on"),
        "{}",
        whole.stderr
    );
    assert!(tensor("whole", end).iter().any(|byte| *byte != 0));

    // It ends while it is early, says so, and goes on to the same bytes.
    let early = ["--early-steps", "3", "--out", "parts", "--steps"];
    let first = ran(&[&early[..], &["6", "--minutes", "0.000001"]].concat());
    assert!(first.stdout.contains("it ended in its early steps"), "{}", first.stdout);
    assert!(tensor("parts", end).iter().all(|byte| *byte == 0));
    let resumed = glass(folder, &["train", "--out", "parts", "--resume", "--minutes", "9"], b"");
    assert_eq!(resumed.status, 0, "{}", resumed.stderr);
    assert_eq!(tensor("parts", end), tensor("whole", end));

    // Without early steps, every block begins as it does elsewhere.
    ran(&["--steps", "1", "--early-steps", "0", "--out", "none"]);
    ran(&["--steps", "1", "--early-blocks", "3", "--early-steps", "0", "--out", "all"]);
    assert!(tensor("none", end).iter().any(|byte| *byte != 0));
    assert_eq!(tensor("none", end), tensor("all", end));

    let plan = ran(&["--steps", "10", "--plan", "--json"]).stdout;
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    assert_eq!((&plan["early"]["steps"], &plan["early"]["blocks"]), (&5.into(), &2.into()), "{plan}");
    let (all, step) = (plan["flops"].as_f64().unwrap(), plan["flops_per_step"].as_f64().unwrap());
    assert!(all > 5.0 * step && all < 9.9 * step, "{plan}");

    // Blocks with norms at their ends cannot begin with nothing.
    let after = ran(&["--steps", "2", "--norms", "both", "--out", "after"]);
    assert!(!after.stderr.contains("all blocks"), "{}", after.stderr);
    let options = fs::read_to_string(folder.join("after/train/config.toml")).unwrap();
    assert!(!options.contains("\nearly"), "{options}");
    let resumed = glass(folder, &["train", "--out", "after", "--resume", "--steps", "3"], b"");
    assert_eq!(resumed.status, 0, "{}", resumed.stderr);
    let wrong = |more: &[&str], said: &str| {
        let done = go(&[more, &["--out", "wrong"]].concat());
        assert!(done.status == 2 && done.stderr.contains(said), "{}", done.stderr);
    };
    wrong(&["--norms", "both", "--early-blocks", "1"], "--early-blocks: this model has norms after");
    wrong(
        &["--steps", "4", "--early-steps", "4"],
        "--early-steps: 4 was given, but fewer than --steps are needed",
    );
    wrong(&["--early-blocks", "0"], "--early-blocks: 0 was given, but at least 1 is needed");
}

/// Refused, and what is said.
fn refused(folder: &Path, more: &[&str], stdin: &str) -> String {
    let run = ["train", "--steps", "1", "--out", "refused"];
    let done = glass(folder, &[&run[..], more, &TINY].concat(), stdin.as_bytes());
    assert!(matches!(done.status, 1 | 2), "{more:?}: {}", done.stderr);
    assert!(!folder.join("refused/model.safetensors").exists());
    done.stderr.trim_end().replace('\n', " ")
}

#[test]
fn what_is_not_text_is_never_learned_as_text() {
    let scratch = Scratch::new("kinds");
    let folder = &scratch.0;
    let texts: Vec<String> = (0..80).map(|n| format!("Number {n}, a \"dog\".")).collect();
    let objects: Vec<_> = texts.iter().map(|text| serde_json::json!({"id": 3, "text": text})).collect();
    let one_array = serde_json::to_string(&objects).unwrap();
    let pretty = serde_json::to_string_pretty(&objects).unwrap();
    let lines: String = objects.iter().map(|object| format!("{object}\n")).collect();
    let rows: String = texts.iter().map(|text| format!("3,\"{}\"\r\n", text.replace('"', "\"\""))).collect();
    let quoted = format!("\"id\",\"text\"\r\n{rows}");
    let marked = format!("\u{feff}id,text\r\n{rows}");
    let documents = |out: &str| -> u64 {
        let card = fs::read(folder.join(out).join("train/data.json")).unwrap();
        let card: serde_json::Value = serde_json::from_slice(&card).unwrap();
        ["train", "validation"].iter().map(|part| card[*part]["documents"].as_u64().unwrap()).sum()
    };
    let cases = [
        ("JSON", "a.JSON", &one_array),
        ("JSON", "b.json", &pretty),
        ("JSON lines", "c.JSONL", &lines),
        ("JSON lines", "d.json", &lines),
        ("CSV", "e.CSV", &quoted),
        ("CSV", "f.csv", &marked),
    ];
    for (kind, name, text) in cases {
        fs::write(folder.join(name), text).unwrap();
        for (data, input) in [(name, ""), ("-", text.as_str())] {
            let out = format!("{name}-{}", data == "-");
            let run = ["train", "--steps", "1", "--data", data, "--out", &out];
            let done = glass(folder, &[&run[..], &TINY].concat(), input.as_bytes());
            assert_eq!(done.status, 0, "{name}: {}", done.stderr);
            assert!(
                data != "-" || done.stderr.contains(&format!("read as {kind} and")),
                "{name}: {}",
                done.stderr
            );
            assert_eq!(documents(&out), 80, "{name} {data}: {}", done.stderr);
        }
    }
    // A column or field of another name is refused with the names that there are.
    for (text, names) in [
        (&one_array.replace("text", "body"), "\"id\", \"body\""),
        (&pretty.replace("text", "body"), "\"id\", \"body\""),
        (&lines.replace("text", "body"), "\"id\", \"body\""),
        (&quoted.replace("text", "body"), "\"id\", \"body\""),
        (&marked.replace("text", "body"), "\"id\", \"body\""),
    ] {
        let said = refused(folder, &["--data", "-"], text);
        assert!(said.contains(names) && said.contains("--field"), "{said}");
    }
    // A file whose name says that it is text is read as text, which is said.
    fs::write(folder.join("g.txt"), &lines).unwrap();
    let run = ["train", "--steps", "1", "--data", "g.txt", "--out", "g"];
    let done = glass(folder, &[&run[..], &TINY].concat(), b"");
    assert!(done.status == 0 && done.stderr.contains("g.txt: it looks like JSON lines"), "{}", done.stderr);
}

#[test]
fn wrong_data_get_advice() {
    let scratch = Scratch::new("advised");
    let folder = &scratch.0;
    fs::write(folder.join("a.txt"), book()).unwrap();
    fs::write(folder.join("talk.jsonl"), crate::program::TALK.repeat(20)).unwrap();
    fs::create_dir(folder.join("code")).unwrap();
    fs::write(folder.join("code/a.rs"), book()).unwrap();
    for (data, expected) in [
        (&["talk.jsonl"][..], "give its file as --chat, not as --data"),
        (&["sampl"], "cannot read sampl: there is no such file or folder; did you mean sample?"),
        (&["code"], "to read its other files, give --ending rs"),
        (&["a.txt", "--val", "a.txt"], "--val: a.txt is given to validate on and to learn from"),
    ] {
        let said = refused(folder, &[&["--data"], data].concat(), "");
        assert!(said.contains(expected), "{data:?}: {said}");
        assert_eq!(said.matches("glass: ").count(), 1, "{said}");
    }
}

#[test]
fn data_that_changed_since_a_run_began_are_named() {
    let scratch = Scratch::new("changed");
    let folder = &scratch.0;
    for name in ["a.txt", "b.txt"] {
        fs::write(folder.join(name), book() + name).unwrap();
    }
    let run = ["train", "--steps", "2", "--data", "a.txt", "b.txt", "--out", "r"];
    let done = glass(folder, &[&run[..], &TINY].concat(), b"");
    assert_eq!(done.status, 0, "{}", done.stderr);
    std::thread::sleep(Duration::from_millis(20));
    fs::write(folder.join("b.txt"), book() + "More").unwrap();
    let refused = glass(folder, &["train", "--out", "r", "--resume", "--steps", "4"], b"");
    assert_eq!(refused.status, 2, "{}", refused.stderr);
    let expected = "--data: this run began with other training data";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    let changed = refused.stderr.split("changed since it began: ").nth(1).unwrap_or_default();
    assert!(changed.contains("b.txt") && !changed.contains("a.txt"), "{}", refused.stderr);
}

#[test]
fn a_run_that_is_out_of_time_ends_as_a_finished_one() {
    let scratch = Scratch::new("minutes");
    let folder = &scratch.0;
    fs::write(folder.join("book.txt"), book()).unwrap();
    let run = ["train", "--data", "book.txt", "--steps", "100000000", "--minutes", "0.02", "--out", "r"];
    let done = glass(folder, &[&run[..], &TINY].concat(), b"");
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert!(
        done.stdout.contains("stopped after 0.02 minutes; glass train --out r --resume continues"),
        "{}",
        done.stdout
    );
    let log = fs::read_to_string(folder.join("r/train/log.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert!(last["val_loss"].is_number(), "{last}");
    let step = last["step"].as_u64().unwrap();
    assert!(folder.join(format!("r/train/step-{step:08}")).exists());
    // The steps that are estimated from the time fit into it.
    let run =
        ["train", "--data", "book.txt", "--minutes", "0.05", "--eval-every", "20", "--out", "s", "--json"];
    let done = glass(folder, &[&run[..], &TINY].concat(), b"");
    let last: serde_json::Value = serde_json::from_str(done.stdout.lines().last().unwrap()).unwrap();
    assert!(last["why"] == "done" || last["why"] == "time", "{last}");
    assert!(last["best"]["step"].is_number(), "{last}");
}

#[test]
#[cfg(unix)]
fn samples_do_not_steer_the_terminal() {
    let scratch = Scratch::new("steer");
    let folder = &scratch.0;
    fs::write(folder.join("book.txt"), "a\0b\u{1b}[31m\u{8}".repeat(300)).unwrap();
    let run = [
        "train",
        "--data",
        "book.txt",
        "--steps",
        "40",
        "--lr",
        "0.02",
        "--sample-every",
        "40",
        "--out",
        "r",
    ];
    let done = glass(folder, &[&run[..], &TINY].concat(), b"");
    assert_eq!(done.status, 0, "{}", done.stderr);
    let says = done.stderr.split("step 40 says: ").nth(1).expect("a sample");
    assert!(says.contains("\\u{"), "{says:?}");
    assert!(!says.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{says:?}");
}

#[test]
fn endings_name_the_files_of_a_folder() {
    let scratch = Scratch::new("endings");
    let folder = &scratch.0;
    fs::create_dir_all(folder.join("code/src")).unwrap();
    for (name, text) in [("src/a.rs", book()), ("b.md", "A word\n".repeat(90)), ("c.txt", "no".repeat(90))] {
        fs::write(folder.join("code").join(name), text).unwrap();
    }
    let run = |more: &[&str]| {
        let _ = fs::remove_dir_all(folder.join("r"));
        let done = glass(folder, &[&["train", "--steps", "1", "--out", "r"][..], more, &TINY].concat(), b"");
        assert_eq!(done.status, 0, "{}", done.stderr);
        done.stderr
    };
    let said = run(&["--data", "code", "--ending", "rs,md"]);
    assert!(said.contains("2 files: ") && said.contains("1 file that does not end in .rs or .md"), "{said}");
    fs::create_dir(folder.join("tables")).unwrap();
    let rows: String = (0..60).map(|n| format!("{n},Story {n} of a dog.\n")).collect();
    fs::write(folder.join("tables/a.csv"), format!("id,text\n{rows}")).unwrap();
    let said = run(&["--data", "tables"]);
    assert!(said.contains("1 file: "), "{said}");
}
