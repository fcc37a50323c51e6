//! What programs read: JSON with the documented fields.

use crate::program::{Scratch, glass, put_model};

#[test]
fn weights_of_gpt3() {
    let scratch = Scratch::new("weights");
    let json = glass(&scratch.0, &["weights", "gpt3-175b", "--json"], b"").json();
    assert_eq!(json["weights"], 175_181_291_520u64);
    assert_eq!(json["matrices"], 27_938);
    assert_eq!(json["stored"], 174_604_259_328u64);
    assert_eq!(json["groups"].as_array().unwrap().len(), 8);
    assert_eq!(json["context"]["pattern"], 2048 * 2048);
    let lines: i64 =
        json["reconciliation"].as_array().unwrap().iter().map(|l| l["weights"].as_i64().unwrap()).sum();
    assert_eq!(json["weights"].as_i64().unwrap() + lines, json["stored"].as_i64().unwrap());
}

#[test]
fn tokens_and_back() {
    let scratch = Scratch::new("tokens");
    let json = glass(&scratch.0, &["tokens", "--vocab", "gpt2", "--json", "Hello"], b"").json();
    let expected = serde_json::json!({
        "tokens": [{"id": 15496, "text": "Hello", "bytes": [72, 101, 108, 108, 111]}], "count": 1
    });
    assert_eq!(json, expected);
    let any = b"\xff\x00caf\xc3\xa9 \xe2\x82 end";
    let json = glass(&scratch.0, &["tokens", "--vocab", "gpt2", "--json", "-"], any).json();
    let ids: Vec<String> =
        json["tokens"].as_array().unwrap().iter().map(|token| token["id"].to_string()).collect();
    let back =
        glass(&scratch.0, &["tokens", "--vocab", "gpt2", "--json", "--decode", &ids.join(",")], b"").json();
    let bytes: Vec<u8> =
        back["bytes"].as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8).collect();
    assert_eq!(bytes, any);
    let plain = glass(&scratch.0, &["tokens", "--vocab", "gpt2", "--json", "<|endoftext|>"], b"").json();
    let special =
        glass(&scratch.0, &["tokens", "--vocab", "gpt2", "--json", "--special", "<|endoftext|>"], b"").json();
    assert!(plain["count"].as_u64().unwrap() > 1);
    assert_eq!(special["tokens"][0]["id"], 50256);
}

#[test]
fn a_report_counts_every_token_and_id() {
    let scratch = Scratch::new("report");
    put_model(&scratch.0, "m");
    let text = "The dog found a ball.\n<|endoftext|>\nIt was glad. ".repeat(3);
    std::fs::write(scratch.0.join("f.txt"), &text).unwrap();
    let arguments = ["tokenizer", "report", "-m", "m", "--json", "--top", "400", "f.txt"];
    let json = glass(&scratch.0, &arguments, b"").json();
    let n = |pointer: &str| {
        json.pointer(pointer).and_then(|value| value.as_u64()).unwrap_or_else(|| panic!("{pointer}"))
    };
    let counted = ["tokens", "-m", "m", "--special", "--no-start", "--json", &text];
    let tokens = glass(&scratch.0, &counted, b"").json();
    let gpt2 = glass(&scratch.0, &["tokens", "--vocab", "gpt2", "--special", "--json", &text], b"").json();
    assert_eq!(json["tokens"], tokens["count"]);
    assert_eq!(json["gpt2"]["tokens"], gpt2["count"]);
    assert_eq!((n("/bytes"), n("/files")), (text.len() as u64, 1));
    assert_eq!((n("/ids/special/used"), n("/ids/special/tokens")), (1, 3));
    let kinds = ["bytes", "merged", "special"];
    let sum = |field: &str| kinds.iter().map(|kind| n(&format!("/ids/{kind}/{field}"))).sum::<u64>();
    assert_eq!((sum("tokens"), sum("ids")), (n("/tokens"), n("/vocabulary")));
    assert_eq!(sum("ids") - sum("used"), n("/never_used/ids"));
    let list = |name: &str| json[name].as_array().unwrap().clone();
    let counted: u64 = list("most_frequent").iter().map(|token| token["count"].as_u64().unwrap()).sum();
    assert_eq!((counted, list("most_frequent").len() as u64), (n("/tokens"), sum("used")));
    assert!(list("most_frequent").is_sorted_by_key(|token| std::cmp::Reverse(token["count"].as_u64())));
    assert!(list("longest").is_sorted_by_key(|token| std::cmp::Reverse(token["bytes"].as_u64())));
    assert!(list("covering").is_sorted_by_key(|share| share["ids"].as_u64()));
    assert!(n("/covering/0/ids") >= 1 && n("/covering/2/ids") <= sum("used"));
}

#[test]
fn generation_is_the_same_for_the_same_seed_and_any_threads() {
    let scratch = Scratch::new("generate");
    put_model(&scratch.0, "m");
    let arguments = ["generate", "-m", "m", "--seed", "7", "--tokens", "12", "--json", "--show", "The"];
    let one = glass(&scratch.0, &[&arguments[..], &["--threads", "1"]].concat(), b"");
    let three = glass(&scratch.0, &[&arguments[..], &["--threads", "3"]].concat(), b"");
    assert_eq!(one.stdout, three.stdout);
    let json = one.json();
    let finish = json["finish"].as_str().unwrap();
    assert!(["length", "end"].contains(&finish), "{finish}");
    assert_eq!(json["tokens"].as_array().unwrap().len(), json["ids"].as_array().unwrap().len());
    let text = glass(&scratch.0, &["generate", "-m", "m", "--seed", "7", "--tokens", "12", "The"], b"");
    assert_eq!(text.stdout, format!("The{}\n", json["text"].as_str().unwrap()));
}

#[test]
fn a_full_context_ends_generation_and_is_said() {
    let scratch = Scratch::new("full");
    put_model(&scratch.0, "m");
    let arguments = ["generate", "-m", "m", "--ids", "1,2,3", "--tokens", "100", "--ignore-end", "--json"];
    let done = glass(&scratch.0, &arguments, b"");
    let json = done.json();
    // The last token drawn is never read, so one more fits than the context has room for.
    assert_eq!(json["ids"].as_array().unwrap().len(), 48 - 3 + 1);
    assert_eq!(json["finish"], "length");
    assert!(done.stderr.contains("context of 48 tokens is full"), "{}", done.stderr);
}

#[test]
fn a_file_scores_as_its_documents_do() {
    let scratch = Scratch::new("score");
    put_model(&scratch.0, "m");
    let file = "The dog found a ball.\n<|endoftext|>\nIt was glad. ".repeat(3);
    let file = format!("{file}<|endoftext|>");
    std::fs::write(scratch.0.join("f.txt"), &file).unwrap();
    let json = glass(&scratch.0, &["score", "-m", "m", "--file", "f.txt", "--json", "--each"], b"").json();
    assert_eq!(json["documents"], 4);
    let sum: f64 =
        json["tokens"].as_array().unwrap().iter().map(|token| token["logprob"].as_f64().unwrap()).sum();
    let (loss, scored) = (json["loss"].as_f64().unwrap(), json["scored"].as_f64().unwrap());
    assert!((loss + sum / scored).abs() < 1e-9);
    let bits = -sum / std::f64::consts::LN_2 / json["bytes"].as_f64().unwrap();
    assert!((json["bits_per_byte"].as_f64().unwrap() - bits).abs() < 1e-9);
    let against = ["score", "-m", "m", "--against", "m", "--file", "f.txt", "--json"];
    let against = glass(&scratch.0, &against, b"").json();
    assert_eq!(against["loss"], json["loss"]);
    assert_eq!(against["against"]["loss"], json["loss"]);
    assert_eq!(
        (&against["against"]["same_top"], &against["against"]["divergence"]),
        (&1.0.into(), &0.0.into())
    );
    let text = glass(&scratch.0, &["score", "-m", "m", "--json", "The dog found"], b"").json();
    assert!(text["tokens"][0]["logprob"].is_null());
    assert!(text["tokens"][1]["rank"].as_u64().unwrap() >= 1);
}

#[test]
fn a_text_begins_at_the_start_token_everywhere() {
    let scratch = Scratch::new("start");
    put_model(&scratch.0, "m");
    let text = "The dog found a ball.";
    std::fs::write(scratch.0.join("f.txt"), text).unwrap();
    let run = |arguments: &[&str]| glass(&scratch.0, arguments, b"").json();
    let tokens = |more: &[&str]| -> Vec<u64> {
        let json = run(&[&["tokens", "-m", "m", "--json", text], more].concat());
        json["tokens"].as_array().unwrap().iter().map(|token| token["id"].as_u64().unwrap()).collect()
    };
    let (whole, bare) = (tokens(&[]), tokens(&["--no-start"]));
    assert_eq!(whole[1..], bare);
    let list = |ids: &[u64]| ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    for (more, ids) in [(&[][..], &whole), (&["--no-start"][..], &bare)] {
        let score = |what: &[&str]| run(&[&["score", "-m", "m", "--json"], what, more].concat());
        let (of_text, of_file) = (score(&[text]), score(&["--file", "f.txt"]));
        assert_eq!(of_text["perplexity"], of_file["perplexity"]);
        assert_eq!(of_text["scored"], ids.len() - 1);
        let generate = ["generate", "-m", "m", "--seed", "3", "--tokens", "9", "--json"];
        let from_text = run(&[&generate[..], &[text], more].concat());
        let from_ids = run(&[&generate[..], &["--ids", &list(ids)]].concat());
        assert_eq!(from_text["ids"], from_ids["ids"]);
    }
    // The folder stores it for other programs, and so does a GGUF made from it.
    let config = std::fs::read_to_string(scratch.0.join("m/tokenizer_config.json")).unwrap();
    assert!(config.contains("\"add_bos_token\": true"), "{config}");
    assert_eq!(glass(&scratch.0, &["convert", "m", "m.gguf"], b"").status, 0);
    let json = run(&["tokens", "-m", "m.gguf", "--json", text]);
    assert_eq!(json["tokens"][0]["id"], whole[0]);
}

#[test]
fn a_model_is_verified_in_every_packing() {
    let scratch = Scratch::new("verify");
    put_model(&scratch.0, "m");
    let json = glass(&scratch.0, &["verify", "m", "--json"], b"").json();
    assert_eq!(json["same"], true);
    let packings = json["packings"].as_array().unwrap();
    let names: Vec<_> = packings.iter().map(|packing| packing["packing"].as_str().unwrap()).collect();
    assert_eq!(names, ["f32", "bf16", "q8", "q4"]);
    for way in packings.iter().flat_map(|packing| packing["ways"].as_array().unwrap()) {
        assert!(way["numbers"].as_u64().unwrap() > 0 && way["differs"].is_null(), "{way}");
    }
    let told = glass(&scratch.0, &["verify", "m", "--packing", "q8"], b"");
    assert!(told.status == 0 && told.stdout.contains("Same bits"), "{}", told.stdout);
}

#[test]
fn a_model_is_measured() {
    let scratch = Scratch::new("bench");
    put_model(&scratch.0, "m");
    let json = glass(&scratch.0, &["bench", "m", "--packing", "q8", "--json", "--threads", "1"], b"").json();
    let found = &json["packings"][0];
    for rate in [&json["peak"]["f32"], &json["peak"]["read"], &found["prefill"], &found["decode_after"]] {
        assert!(rate.as_f64().unwrap() > 0.0, "{json}");
    }
    assert_eq!(found["batches"].as_array().unwrap().len(), 4);
    assert!(found["products"].as_array().unwrap().len() >= 9);
    let guesses = &found["guesses"];
    let count = |name: &str| guesses[name].as_u64().unwrap();
    assert!(
        count("texts") > 0 && count("tokens") >= count("texts") && count("right") <= count("all"),
        "{json}"
    );
    let passes = (count("tokens") - count("right")) as f64;
    assert_eq!(guesses["tokens_a_pass"].as_f64().unwrap(), count("tokens") as f64 / passes);
    assert!(guesses["with"].as_f64().unwrap() > 0.0 && guesses["without"].as_f64().unwrap() > 0.0, "{json}");
    let off = ["bench", "m", "--packing", "q8", "--threads", "1", "--lookup", "0", "--draft", "none"];
    let told = glass(&scratch.0, &off, b"");
    assert!(told.status == 0 && !told.stdout.contains("guesses"), "{}", told.stdout);
}

#[test]
fn samples_drawn_together_and_guessed_ahead_are_those_drawn_alone() {
    let scratch = Scratch::new("together");
    put_model(&scratch.0, "m");
    let run = |more: &[&str]| {
        let arguments = [
            &["generate", "-m", "m", "--tokens", "12", "--samples", "5", "--seed", "1", "--json", "The dog"],
            more,
        ];
        let done = glass(&scratch.0, &arguments.concat(), b"");
        assert_eq!(done.status, 0, "{}", done.stderr);
        done.stdout
    };
    let alone = run(&[]);
    assert_eq!(alone.lines().count(), 5);
    for (number, line) in (1..).zip(alone.lines()) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["sample"], number, "numbered as in the text");
    }
    assert_eq!(run(&["--batch", "3"]), alone);
    assert_eq!(run(&["--batch", "16"]), alone);
    assert_eq!(run(&["--lookup", "5"]), alone);
    assert_eq!(run(&["--lookup", "0", "--draft", "none"]), alone);
    assert_eq!(run(&["--cache", "f32"]), alone);
    let endless =
        ["generate", "-m", "m", "--tokens", "18446744073709551615", "--seed", "1", "--json", "The dog"];
    assert_eq!(glass(&scratch.0, &endless, b"").json()["finish"], "length", "as long as the context");
}

/// A draft is made, guesses, and changes no byte.
#[test]
fn a_draft_guesses_what_the_model_says() {
    let scratch = Scratch::new("draft");
    put_model(&scratch.0, "m");
    let line = |at: usize| format!("the dog saw {} and the cat saw the dog.<|endoftext|>", "x".repeat(at));
    std::fs::write(scratch.0.join("book.txt"), (1..80).map(line).collect::<String>()).unwrap();
    let make = [
        "train",
        "--draft-for",
        "m",
        "--data",
        "book.txt",
        "--out",
        "d",
        "--minutes",
        "0.03",
        "--draft-size",
        "40",
        "--json",
    ];
    let made = glass(&scratch.0, &make, b"");
    assert_eq!(made.status, 0, "{}", made.stderr);
    assert!(made.stderr.contains("tokens drawn and learned"), "{}", made.stderr);
    let json = made.json();
    let drafts = json["held_out"].as_array().unwrap();
    assert!(drafts.len() == 2 && drafts.iter().any(|draft| draft["draft"] == json["kept"]), "{json}");
    let ways = || drafts.iter().flat_map(|draft| draft["ways"].as_array().unwrap());
    assert!(ways().count() >= 2 && ways().all(|way| way["passes"].as_u64() <= way["tokens"].as_u64()));
    let again = glass(&scratch.0, &make, b"");
    assert!(again.status == 2 && again.stderr.contains("exists"), "{}", again.stderr);
    let say = |more: &[&str]| {
        let arguments = [
            &["generate", "-m", "m", "--tokens", "60", "--temperature", "0", "--show", "--json", "the dog"],
            more,
        ];
        let done = glass(&scratch.0, &arguments.concat(), b"");
        assert_eq!(done.status, 0, "{}", done.stderr);
        done.json()
    };
    let plain = say(&["--lookup", "0", "--draft", "none"]);
    let guessed = say(&["--lookup", "0", "--draft", "d"]);
    assert_eq!(plain["ids"], guessed["ids"]);
    let count = |json: &serde_json::Value| {
        json["tokens"].as_array().unwrap().iter().filter(|token| token["guessed"] == true).count()
    };
    assert_eq!(count(&plain), 0);
    assert!(count(&guessed) <= 60);
    // Beside the weights, it is found by itself.
    std::fs::copy(scratch.0.join("d/draft.safetensors"), scratch.0.join("m/draft.safetensors")).unwrap();
    assert_eq!(say(&[])["ids"], plain["ids"]);
    // A damaged one stops only what would guess from it.
    std::fs::write(scratch.0.join("m/draft.safetensors"), "no draft").unwrap();
    for not_guessing in [
        &["score", "-m", "m", "the dog"][..],
        &["look", "-m", "m", "the dog"],
        &["tokens", "-m", "m", "the dog"],
        &["generate", "-m", "m", "--tokens", "3", "--draft", "none", "the dog"],
    ] {
        let done = glass(&scratch.0, not_guessing, b"");
        assert_eq!(done.status, 0, "{not_guessing:?}: {}", done.stderr);
    }
    for guessing in [
        &["generate", "-m", "m", "--tokens", "3", "the dog"][..],
        &["serve", "m", "--port", "0"],
        &["verify", "m", "--packing", "q8"],
    ] {
        let done = glass(&scratch.0, guessing, b"");
        assert!(
            done.status == 1 && done.stderr.contains("draft.safetensors"),
            "{guessing:?}: {}",
            done.stderr
        );
    }
}
