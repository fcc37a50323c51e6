//! Tasks are scored like texts: sums of the same log-probabilities, and the results computed from them.

use std::path::Path;

use serde_json::Value;

use crate::program::{Scratch, glass, put_model};

/// A query that ends in white space, several choices, a non-ASCII character; contexts; a last word.
const TASKS: &str = r#"
{"query": "The dog\n", "choices": ["found a ball.", " was glad near the café", "x"], "gold": 1}
{"query": "The dog found", "choices": ["a ball", "a house"], "gold": 0, "ind": 7}

{"context_options": ["The dog found a ball", "The house"], "continuation": "and was glad.", "gold": 0}
{"context": "The dog found a", "continuation": "ball"}
{"context": "The dog found a ball near house number 3 and was", "continuation": "glad."}
"#;

fn scratch(name: &str, tasks: &str) -> Scratch {
    let scratch = Scratch::new(name);
    put_model(&scratch.0, "m");
    std::fs::write(scratch.0.join("t.jsonl"), tasks).unwrap();
    scratch
}

/// The log-probability of what follows `context`, and whether each of its tokens was the most probable.
fn after(scratch: &Scratch, context: &str, continuation: &str) -> (f64, bool) {
    let count = glass(&scratch.0, &["tokens", "-m", "m", "--json", context], b"").json();
    let skip = count["count"].as_u64().unwrap() as usize;
    let text = format!("{context}{continuation}");
    let json = glass(&scratch.0, &["score", "-m", "m", "--json", &text], b"").json();
    let tokens = &json["tokens"].as_array().unwrap()[skip..];
    let sum = tokens.iter().map(|token| token["logprob"].as_f64().unwrap()).sum();
    (sum, tokens.iter().all(|token| token["rank"] == 1))
}

fn close(found: &Value, expected: f64) {
    assert!((found.as_f64().unwrap() - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn a_task_scores_as_its_text_does() {
    let scratch = scratch("tasks", TASKS);
    let done = glass(&scratch.0, &["score", "-m", "m", "--tasks", "t.jsonl", "--each", "--json"], b"");
    assert_eq!(done.status, 0, "{}", done.stderr);
    let lines: Vec<Value> = done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let places: Vec<u64> = lines[..5].iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(places, [2, 3, 5, 6, 7]);

    let choices = ["\n found a ball.", "\n  was glad near the café", "\n x"];
    let sums = choices.map(|choice| after(&scratch, "The dog", choice).0);
    (0..3).for_each(|at| close(&lines[0]["logprobs"][at], sums[at]));
    let most = |values: [f64; 3]| (0..3).max_by(|&a, &b| values[a].total_cmp(&values[b]));
    assert_eq!(lines[0]["right"], most(sums) == Some(1));
    let by_length = [sums[0] / 13.0, sums[1] / 23.0, sums[2]];
    assert_eq!(lines[0]["right_by_length"], most(by_length) == Some(1));

    for (at, context) in ["The dog found a ball", "The house"].into_iter().enumerate() {
        close(&lines[2]["logprobs"][at], after(&scratch, context, " and was glad.").0);
    }
    assert!(lines[2]["right_by_length"].is_null());
    let (logprob, greedy) = after(&scratch, "The dog found a", " ball");
    close(&lines[3]["logprob"], logprob);
    assert_eq!(lines[3]["right"], greedy);

    let totals = &lines[5];
    let share = |lines: &[&Value], field: &str| {
        lines.iter().filter(|line| line[field] == true).count() as f64 / lines.len() as f64
    };
    let chosen = [&lines[0], &lines[1]];
    close(&totals["choice"]["acc"], share(&chosen, "right"));
    close(&totals["choice"]["acc_norm"], share(&chosen, "right_by_length"));
    close(&totals["last_word"]["acc"], share(&[&lines[3], &lines[4]], "right"));
    let nats = -(lines[3]["logprob"].as_f64().unwrap() + lines[4]["logprob"].as_f64().unwrap()) / 2.0;
    close(&totals["last_word"]["perplexity"], nats.exp());
    assert_eq!(totals["context"]["items"], 1);
    assert!(totals["context"]["acc_stderr"].is_null());
    assert_eq!(totals["cut"], 0);
}

#[test]
fn what_is_longer_than_the_context_loses_its_beginning() {
    let long = "near the house ".repeat(30);
    let task = |context: &str| {
        format!("{{\"context\": \"{context}The dog found a\", \"continuation\": \"ball\"}}\n")
    };
    let scratch = scratch("tasks-long", &(task(&long) + &task(&format!("x {long}")) + &task("")));
    let done = glass(&scratch.0, &["score", "-m", "m", "--tasks", "t.jsonl", "--each", "--json"], b"");
    let lines: Vec<Value> = done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["logprob"], lines[1]["logprob"]);
    assert_ne!(lines[0]["logprob"], lines[2]["logprob"]);
    assert_eq!(lines[3]["cut"], 2);
    assert!(done.stderr.contains("2 texts did not fit"), "{}", done.stderr);
}

/// Choices that begin with spaces, special tokens in the text, texts longer than the context, tokenizers that add a
/// start token and those that do not (`tools/tasks_goldens.py`).
#[test]
fn tasks_score_as_in_the_harness() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tasks");
    let expected: Value =
        serde_json::from_slice(&std::fs::read(golden.join("expected.json")).unwrap()).unwrap();
    let scratch = Scratch::new("tasks-harness");
    let m = scratch.0.join("m");
    std::fs::create_dir_all(&m).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer_config.json"] {
        std::fs::copy(golden.join("model").join(file), m.join(file)).unwrap();
    }
    for (kind, tokenizer) in [("plain", "tokenizer.json"), ("start", "tokenizer_start.json")] {
        std::fs::copy(golden.join("model").join(tokenizer), m.join("tokenizer.json")).unwrap();
        for tasks in ["choices", "contexts", "words"] {
            let file = golden.join(format!("{tasks}.jsonl"));
            let arguments = ["score", "-m", "m", "--tasks", file.to_str().unwrap(), "--each", "--json"];
            let done = glass(&scratch.0, &arguments, b"");
            assert_eq!(done.status, 0, "{}", done.stderr);
            let expected = expected[kind][tasks].as_array().unwrap();
            assert_eq!(done.stdout.lines().count(), expected.len() + 1);
            for (at, (line, expected)) in done.stdout.lines().zip(expected).enumerate() {
                let found: Value = serde_json::from_str(line).unwrap();
                let one = [found["logprob"].clone()];
                let logprobs = found["logprobs"].as_array().map_or(&one[..], Vec::as_slice);
                let theirs = expected["logprobs"].as_array().unwrap();
                assert_eq!(logprobs.len(), theirs.len());
                for (ours, theirs) in logprobs.iter().zip(theirs) {
                    let apart = (ours.as_f64().unwrap() - theirs.as_f64().unwrap()).abs();
                    assert!(apart < 1e-3, "{kind}, {tasks} {at}: {ours}, not {theirs}");
                }
                for field in ["right", "right_by_length"] {
                    assert_eq!(found[field], expected[field], "{kind}, {tasks} {at}: {field}");
                }
            }
        }
    }
}

#[test]
fn one_of_each_kind_is_counted_as_one() {
    let tasks: Vec<&str> = TASKS.lines().filter(|line| !line.is_empty()).collect();
    let scratch = scratch("tasks-one", &[tasks[0], tasks[2], tasks[3]].join("\n"));
    let done = glass(&scratch.0, &["score", "-m", "m", "--tasks", "t.jsonl"], b"");
    for counted in ["1 choice: ", "1 context to choose from: ", "1 last word: "] {
        assert!(done.stdout.contains(counted), "{counted}: {} {}", done.stdout, done.stderr);
    }
}
