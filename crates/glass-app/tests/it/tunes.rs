//! Adapters: learned, resumed, opened, merged, served.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::program::{Scratch, TALK, glass, put_model};
use crate::service::Service;

/// The tiny model in q8, and an adapter that was learned with large steps.
fn tuned(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    let folder = &scratch.0;
    put_model(folder, "m");
    fs::write(folder.join("talk.jsonl"), TALK.repeat(20)).unwrap();
    let packed = glass(folder, &["quantise", "m", "--to", "q8", "--out", "q8"], b"");
    assert_eq!(packed.status, 0, "{}", packed.stderr);
    let done = train(folder, &["--out", "a"]);
    assert_eq!(done, "", "it says nothing wrong");
    scratch
}

/// Standard error of a training, without remarks.
fn train(folder: &Path, more: &[&str]) -> String {
    let options = [
        "train",
        "--from",
        "q8",
        "--lora",
        "4",
        "--chat",
        "talk.jsonl",
        "--steps",
        "6",
        "--batch",
        "2",
        "--lr",
        "0.1",
        "--checkpoint-every",
        "3",
        "--keep",
        "9",
        "--eval-every",
        "3",
        "--json",
        "--lora-dropout",
        "0.1",
    ];
    let done = glass(folder, &[&options[..], more].concat(), b"");
    if done.status == 0 { String::new() } else { done.stderr }
}

fn read(folder: &Path, file: &str) -> Vec<u8> {
    fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Log-probabilities of a text's tokens.
fn scored(folder: &Path, model: &str) -> Vec<f64> {
    let told =
        glass(folder, &["score", "-m", model, "--json", "Where is the ball? Near the house."], b"").json();
    let tokens = told["tokens"].as_array().unwrap();
    tokens.iter().filter_map(|token| token["logprob"].as_f64()).collect()
}

fn furthest(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |most, (a, b)| f64::max(most, (a - b).abs()))
}

#[test]
fn an_adapter_is_a_model_and_its_run_can_be_resumed() {
    let scratch = tuned("tunes");
    let folder = &scratch.0;
    let base = read(folder, "q8/model.safetensors");
    assert!(!folder.join("a/model.safetensors").exists() && !folder.join("a/config.json").exists());
    let config: Value = serde_json::from_slice(&read(folder, "a/adapter_config.json")).unwrap();
    assert_eq!(
        (&config["r"], &config["lora_alpha"], &config["peft_type"]),
        (&json!(4), &json!(8.0), &json!("LORA"))
    );

    fs::create_dir_all(folder.join("b/train")).unwrap();
    for entry in fs::read_dir(folder.join("a/train")).unwrap().map(|entry| entry.unwrap().path()) {
        let to = folder.join("b/train").join(entry.file_name().unwrap());
        if entry.is_file() {
            fs::copy(&entry, to).unwrap();
        } else if entry.ends_with("step-00000003") {
            fs::create_dir(&to).unwrap();
            for file in fs::read_dir(&entry).unwrap().map(|file| file.unwrap().path()) {
                fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
            }
        }
    }
    let resumed = glass(folder, &["train", "--out", "b", "--resume", "--threads", "3"], b"");
    assert_eq!(resumed.status, 0, "{}", resumed.stderr);
    let same = "train/step-00000006/weights.f32";
    assert!(read(folder, &format!("a/{same}")) == read(folder, &format!("b/{same}")), "as never stopped");
    assert!(read(folder, "a/adapter_model.safetensors") == read(folder, "b/adapter_model.safetensors"));
    assert!(read(folder, "q8/model.safetensors") == base, "the model itself is as it was");

    // Other weights under the same name are noticed.
    let other = glass(folder, &["quantise", "m", "--to", "q4", "--out", "q4"], b"");
    assert_eq!(other.status, 0, "{}", other.stderr);
    fs::rename(folder.join("q8"), folder.join("was")).unwrap();
    fs::rename(folder.join("q4"), folder.join("q8")).unwrap();
    let refused = glass(folder, &["train", "--out", "b", "--resume", "--steps", "9"], b"");
    assert!(refused.status == 2 && refused.stderr.contains("adapter"), "{}", refused.stderr);
}

#[test]
fn an_adapter_is_opened_merged_and_refused_without_its_model() {
    let scratch = tuned("tunes-opened");
    let folder = &scratch.0;
    let (plain, own) = (scored(folder, "q8"), scored(folder, "a"));
    assert!(furthest(&plain, &own) > 0.01, "it changes something");
    let merged = glass(folder, &["convert", "a", "merged"], b"");
    assert_eq!(merged.status, 0, "{}", merged.stderr);
    // Merged weights are floats, and their inputs are not rounded.
    assert!(furthest(&own, &scored(folder, "merged")) < 0.1 * furthest(&plain, &own));
    for command in [
        &["weights", "a"][..],
        &["chat", "--once", "Where?", "-m", "a", "--tokens", "3"],
        &["generate", "-m", "a", "--tokens", "3", "Near"],
    ] {
        let done = glass(folder, command, b"");
        assert_eq!(done.status, 0, "{command:?}: {}", done.stderr);
    }
    let packed = glass(folder, &["quantise", "a", "--to", "q8", "--out", "sum"], b"");
    assert_eq!(packed.status, 0, "{}", packed.stderr);
    assert!(furthest(&own, &scored(folder, "sum")) < 0.2 * furthest(&plain, &own));
    for command in [&["page", "a", "--out", "a.html"][..], &["convert", "a", "again", "--packed"]] {
        let refused = glass(folder, command, b"");
        assert!(refused.status == 2 && refused.stderr.contains("adapter"), "{}", refused.stderr);
    }
    let looked = glass(folder, &["look", "-m", "a", "Near the house", "--json"], b"");
    assert_eq!(looked.status, 0, "{}", looked.stderr);
    fs::rename(folder.join("q8"), folder.join("elsewhere")).unwrap();
    let missing = glass(folder, &["score", "-m", "a", "Near"], b"");
    assert!(missing.status == 2 && missing.stderr.contains("base_model_name_or_path"), "{}", missing.stderr);
}

#[test]
fn adapters_answer_by_name_as_they_do_alone() {
    let scratch = tuned("tunes-served");
    let path = |name: &str| scratch.0.join(name).display().to_string();
    let named = format!("tuned={}", path("a"));
    let service = Service::start("tunes-service", &[&path("q8"), "--adapter", &named]);
    let listed = service.get("/v1/models").json();
    let ids: Vec<&str> =
        listed["data"].as_array().unwrap().iter().filter_map(|model| model["id"].as_str()).collect();
    assert_eq!(ids, ["q8", "tuned"]);
    assert_eq!(listed["data"][1]["parent"], "q8");
    let asked = |model: &str| {
        let body = json!({"model": model, "prompt": "Where is", "max_tokens": 8, "seed": 1, "logprobs": 1});
        let told = service.ask("/v1/completions", &body);
        assert_eq!(told["model"], model);
        (told["choices"][0].clone(), told["system_fingerprint"].clone())
    };
    let (base, own) = (asked("q8"), asked("tuned"));
    assert!(base.0["logprobs"] != own.0["logprobs"] && base.1 != own.1);
    assert_eq!((asked("q8"), asked("tuned")), (base, own.clone()), "again");
    let alone = Service::start("tunes-alone", &[&path("a")]);
    let body = json!({"prompt": "Where is", "max_tokens": 8, "seed": 1, "logprobs": 1});
    assert_eq!(alone.ask("/v1/completions", &body)["choices"][0], own.0, "the same bytes alone");
    let reply = service.post("/v1/completions", &json!({"model": "nobody", "prompt": "a"}));
    assert!(reply.status == 404 && reply.text().contains("tuned"), "{}", reply.text());
}
