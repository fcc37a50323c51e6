//! Quantised weights of a GGUF file, kept as they are in a packed folder.

use std::fs;

use crate::program::{Scratch, book, glass};

#[test]
fn quantised_weights_are_kept_as_they_are() {
    let scratch = Scratch::new("converts");
    let run = |arguments: &[&str]| {
        let done = glass(&scratch.0, arguments, b"");
        assert_eq!(done.status, 0, "{arguments:?}: {}", done.stderr);
        done
    };
    let refused = |arguments: &[&str], part: &str| {
        let done = glass(&scratch.0, arguments, b"");
        assert!(done.status == 2 && done.stderr.contains(part), "{arguments:?}: {}", done.stderr);
    };
    fs::write(scratch.0.join("book.txt"), book()).unwrap();
    let train = ["train", "--data", "book.txt", "--recipe", "gpt2", "--out", "m", "--steps", "2"];
    let sizes = ["--layers", "1", "--heads", "2", "--width", "32", "--context", "48", "--vocab", "300"];
    run(&[&train[..], &sizes].concat());
    run(&["quantise", "m", "--to", "q4", "--out", "m.gguf"]);
    let json = run(&["convert", "m.gguf", "kept", "--packed", "--json"]).json();
    assert_eq!(json["packings"], serde_json::json!(["q8", "q4"]));
    let file = fs::metadata(scratch.0.join("kept/model.safetensors")).unwrap().len();
    let bytes = json["bytes"].as_u64().unwrap();
    assert!(bytes < file && file < bytes + 8192, "{bytes} of {file}");

    // As written, in one packing; and with the packing of every matrix.
    let ids = |model: &str| {
        run(&["score", "-m", model, "--json", "The cat sat on the mat"]).json()["tokens"].clone()
    };
    let expected = ids("m.gguf");
    assert_eq!(ids("kept"), expected);
    let config = scratch.0.join("kept/config.json");
    let text = fs::read_to_string(&config).unwrap();
    let (_, plan) = ::glass::model::Gpt::plan(
        ::glass::weights::folder::Folder::open(&scratch.0.join("kept")).unwrap().config(),
    );
    let each = plan.specs.iter().filter(|spec| spec.decay && !spec.name.contains("position"));
    let each =
        each.map(|spec| format!("{:?}: \"{}\"", spec.name, if spec.is_hidden_matrix { "q4" } else { "q8" }));
    let each = each.collect::<Vec<_>>().join(", ");
    assert!(text.contains("\"packing\": \"q4\""), "{text}");
    fs::write(&config, text.replace("\"packing\": \"q4\"", &format!("\"packing\": {{{each}}}"))).unwrap();
    assert_eq!(ids("kept"), expected);
    run(&["weights", "kept"]);
    run(&["verify", "kept"]);
    run(&["look", "-m", "kept", "The cat"]);
    run(&["convert", "kept", "dense"]);
    run(&["convert", "kept", "again", "--packed"]);
    assert_eq!(ids("again"), expected);
    assert!(fs::read_to_string(scratch.0.join("again/config.json")).unwrap().contains("\"packing\": \"q4\""));

    refused(&["convert", "m", "p", "--packed"], "`glass quantise m --to q8 --out p`");
    refused(&["convert", "m.gguf", "p.gguf", "--packed"], "a folder");
    refused(&["convert", "m.gguf", "m", "--packed"], "already holds a model");
    refused(&["quantise", "m.gguf", "--to", "q4", "--out", "p"], "`glass convert m.gguf OUT --packed`");
    assert!(!scratch.0.join("p").exists() && !scratch.0.join("p.gguf").exists());
    fs::write(&config, text.replace("\"packing\": \"q4\"", "\"packing\": {}")).unwrap();
    let done = glass(&scratch.0, &["generate", "-m", "kept", "The"], b"");
    assert!(done.stderr.contains("kept/config.json: quantization_config: packing: "), "{}", done.stderr);
}
