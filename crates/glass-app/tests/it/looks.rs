//! `glass look`: it shows what the library computes, and every result is complete.

use crate::program::{Scratch, glass, put_model};

const TEXT: &str = "The dog found a ball near house";

#[test]
fn a_look_as_json_adds_up() {
    let scratch = Scratch::new("look");
    put_model(&scratch.0, "m");
    let look = |more: &[&str]| glass(&scratch.0, &[&["look", "-m", "m", "--json", TEXT], more].concat(), b"");
    let json = look(&[]).json();
    let tokens = json["tokens"].as_array().unwrap().len();
    let numbers = |json: &serde_json::Value| -> Vec<f64> {
        json.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    let traced = &json["traced"];
    let parts: f64 =
        traced["parts"].as_array().unwrap().iter().map(|part| part["value"].as_f64().unwrap()).sum();
    assert!((parts - traced["logit"].as_f64().unwrap()).abs() < 1e-3);
    assert_eq!((numbers(&traced["positions"]).len(), json["lens"].as_array().unwrap().len()), (tokens, 2));
    assert_eq!(json["lens"][1][0]["id"], json["next"][0]["id"]);
    assert!(json.get("before").is_none());
    // If the only block adds nothing, the prediction comes from the embedding alone.
    let silent = look(&["--ablate", "block.0.attention", "--ablate", "block.0.mlp"]).json();
    assert_eq!(silent["before"], json["next"]);
    assert_eq!(silent["next"][0]["id"], json["lens"][0][0]["id"]);
    // Patching from the text itself changes nothing.
    let same = look(&["--patch", "block.0.attention.z", "--from", TEXT]).json();
    assert_eq!(same["next"], json["next"]);
    let words = look(&["--sweep", "words"]).json();
    assert_eq!(numbers(&words["after"][0]).len(), tokens - 1);
    let heads = look(&["--sweep", "heads", "--from", TEXT]).json();
    assert_eq!((&heads["before"], &heads["after"][0][1]), (&heads["clean"], &heads["clean"]));
    let beside = look(&["--word", "ball", "--beside", TEXT]).json();
    assert_eq!(beside["distance"], 0.0);
    let into = look(&["--word", "house", "--of", "dog"]).json();
    assert!(!into["carried"].as_array().unwrap().is_empty());
}

#[test]
fn files_of_a_look_are_whole() {
    let scratch = Scratch::new("look-files");
    put_model(&scratch.0, "m");
    let file = |name: &str| std::fs::read_to_string(scratch.0.join(name)).unwrap();
    let files = ["--svg", "a.svg", "--html", "a.html", "--png", "a.png"];
    let drawn = glass(&scratch.0, &[&["look", "-m", "m", "a < b & \u{1}c"], &files[..]].concat(), b"");
    assert_eq!(drawn.status, 0, "{}", drawn.stderr);
    assert!(std::fs::read(scratch.0.join("a.png")).unwrap().starts_with(b"\x89PNG"));
    let (svg, html) = (file("a.svg"), file("a.html"));
    assert!(
        svg.starts_with("<svg")
            && svg.ends_with("</svg>\n")
            && svg.contains("&lt;")
            && !svg.contains('\u{1}')
    );
    assert!(html.contains("<svg") && html.ends_with("</html>\n") && !html.contains("http://localhost"));
    let other = "The cat found a ball near house";
    let words: [&[&str]; 5] = [
        &["--word", "ball", "--beside", other],
        &["--word", "house", "--of", "dog"],
        &["--sweep", "words"],
        &["--sweep", "heads", "--from", other],
        &["--sweep", "residual", "--from", other],
    ];
    for more in words {
        let drawn = glass(&scratch.0, &[&["look", "-m", "m", TEXT], &files[..], more].concat(), b"");
        assert_eq!((drawn.status, &drawn.stdout[..]), (0, ""), "{}", drawn.stderr);
        let (svg, html) = (file("a.svg"), file("a.html"));
        assert!(
            svg.ends_with("</svg>\n") && !svg.contains("NaN") && html.contains("class=\"token\""),
            "{more:?}"
        );
    }
    let record = ["look", "-m", "m", "--record", "block.*.mlp.*", "logits", "--out", "r.safetensors", TEXT];
    let recorded = glass(&scratch.0, &record, b"");
    assert_eq!(recorded.status, 0, "{}", recorded.stderr);
    let bytes = std::fs::read(scratch.0.join("r.safetensors")).unwrap();
    let header = String::from_utf8_lossy(&bytes[8..300]);
    assert!(header.contains("block.0.mlp.hidden"), "{header}");
    assert!(recorded.stderr.contains("5 sites"), "{}", recorded.stderr);
}

#[test]
fn a_run_is_looked_at_checkpoint_by_checkpoint() {
    let scratch = Scratch::new("look-run");
    std::fs::write(scratch.0.join("b.txt"), crate::program::book()).unwrap();
    let train =
        ["train", "--data", "b.txt", "--out", "m", "--steps", "4", "--checkpoint-every", "2", "--keep", "9"];
    let done = glass(&scratch.0, &[&train[..], &crate::program::TINY].concat(), b"");
    assert_eq!(done.status, 0, "{}", done.stderr);
    let grown = glass(&scratch.0, &["look", "--train", "m", "--json", "The dog"], b"");
    let steps: Vec<serde_json::Value> =
        grown.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((steps.len(), &steps[0]["step"], &steps[1]["step"]), (2, &2.into(), &4.into()));
    assert_eq!(steps[0]["lens"].as_array().unwrap().len(), 2);
    // Measurements of existing checkpoints are kept, and those after the step at which the run continues are
    // dropped.
    let looked =
        ["train", "--data", "b.txt", "--out", "n", "--steps", "4", "--checkpoint-every", "1", "--look"];
    let done = glass(&scratch.0, &[&looked[..], &["--keep", "1"], &crate::program::TINY].concat(), b"");
    assert_eq!(done.status, 0, "{}", done.stderr);
    let seen = || std::fs::read_to_string(scratch.0.join("n/train/look.jsonl")).unwrap();
    let (lines, told) = (seen(), glass(&scratch.0, &["look", "--train", "n", "--json"], b"").stdout);
    assert_eq!((lines.lines().count(), &lines), (4, &told));
    std::fs::remove_dir_all(scratch.0.join("n/train/step-00000004")).unwrap();
    let again =
        glass(&scratch.0, &[&looked[..], &["--keep", "1", "--resume"], &crate::program::TINY].concat(), b"");
    assert_eq!((again.status, seen()), (0, lines), "{}", again.stderr);
    assert!(std::fs::read_to_string(scratch.0.join("n/train/look.svg")).unwrap().ends_with("</svg>\n"));
}

/// The text, and the most probable token after it in the built-in model, by three commands.
#[test]
fn one_number_in_look_generate_and_score() {
    let scratch = Scratch::new("look-one-number");
    let text = "The dog lost the ball. The sad";
    let run = |args: &[&str]| glass(&scratch.0, args, b"").json();
    for cache in [&[][..], &["--cache", "f32"], &["--cache", "bf16"]] {
        let look = run(&[&["look", "--json", text], cache].concat());
        let generate = ["generate", "--json", "--show", "--temperature", "0", "--tokens", "1", text];
        let generated = run(&[&generate[..], cache].concat());
        let token = &generated["tokens"][0];
        let whole = format!("{text}{}", token["text"].as_str().unwrap());
        let scored = run(&[&["score", "--json", &whole], cache].concat());
        let last = scored["tokens"].as_array().unwrap().last().unwrap().clone();
        let one = &last["logprob"];
        assert!(one.is_f64() && last["id"] == token["id"], "{last} {token}");
        let lens = look["lens"].as_array().unwrap().last().unwrap();
        let all = [
            &token["logprob"],
            &token["top"][0]["logprob"],
            &look["next"][0]["logprob"],
            &lens[0]["logprob"],
        ];
        assert_eq!(all, [one; 4], "{cache:?}");
        // The logit is the sum of its parts and the rest, which comes from rounding inputs to 8 bits.
        let traced = &look["traced"];
        let parts: f64 =
            traced["parts"].as_array().unwrap().iter().map(|part| part["value"].as_f64().unwrap()).sum();
        let (logit, rest) = (traced["logit"].as_f64().unwrap(), traced["rest"].as_f64().unwrap());
        assert!((parts + rest - logit).abs() < 1e-6 && rest.abs() < 0.2, "{parts} {rest} {logit}");
        let told = glass(&scratch.0, &[&["look", text], cache].concat(), b"").stdout;
        let shown = format!("logit {logit:6.2}");
        assert!(told.contains(&shown) && told.contains(&format!("the logit {logit:.2}")), "{told}");
    }
}

#[test]
fn a_patched_logit_counts_and_so_does_a_patched_norm() {
    let scratch = Scratch::new("look-logits");
    let ids =
        |seed: usize| (0..70).map(|at| (at * 37 * seed % 900).to_string()).collect::<Vec<_>>().join(",");
    let (ids, other) = (ids(1), ids(2));
    let next =
        |args: &[&str]| glass(&scratch.0, &[&["look", "--json"], args].concat(), b"").json()["next"].clone();
    let answer = next(&["--ids", &other]);
    for site in ["logits", "norm", "unembed.hook_out", "residual"] {
        assert_eq!(next(&["--ids", &ids, "--patch", site, "--from", &other]), answer, "{site}");
    }
    assert_ne!(next(&["--ids", &ids]), answer);
    assert_ne!(next(&["--ids", &ids, "--patch", "logits@5-68", "--from", &other]), answer);
}

#[test]
fn words_are_found_where_the_request_is_possible_and_followed_whole() {
    let scratch = Scratch::new("look-words");
    let look = |args: &[&str]| glass(&scratch.0, &[&["look"], args].concat(), b"");
    let positions = |args: &[&str]| {
        let json = look(&[args, &["--json"]].concat()).json();
        (json["positions"].clone(), json["without"][0]["positions"].clone())
    };
    // Only the first "ball" precedes the last "dog"; the last "cat" before that is used.
    let text = "The ball hit the dog and a cat. The dogs saw a ball";
    let (to, of) = positions(&["--word", "ball", "--of", "cat", text]);
    assert_eq!((to.as_array().unwrap().len(), of.as_array().unwrap().len()), (1, 1));
    assert!(to[0].as_u64() > of[0].as_u64());
    // A whole word is preferred to a part of one; and of two, the one that follows the other word.
    let (to, of) = positions(&["--word", "dog", "--of", "ball", text]);
    assert!(to[0] == 5 && of[0] == 2, "{to} {of}");
    let (to, of) = positions(&["--word", "dog", "--of", "dog", "A dog met a dog"]);
    assert!(to[0] == 5 && of[0] == 2, "{to} {of}");
    let refused = look(&["--word", "hit", "--of", "cat", text]);
    assert!(
        refused.status == 2 && refused.stderr.contains("\"cat\" does not occur before \"hit\""),
        "{}",
        refused.stderr
    );
    // Several tokens.
    let text = "A xylophonist met another xylophonist";
    let told = look(&["--word", "xylophonist", "--of", "xylophonist", text]);
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = one_line(&told.stdout);
    assert!(shown.contains("a word of several tokens is their mean") && shown.contains("tokens)"), "{shown}");
    let (to, of) = positions(&["--word", "xylophonist", "--of", "xylophonist", text]);
    assert!(to.as_array().unwrap().len() > 1 && of.as_array().unwrap().len() > 1, "{to} {of}");
    let beside = look(&["--word", "xylophonist", "--beside", "The xylophonist", text]);
    assert!(one_line(&beside.stdout).contains("several tokens is their mean"), "{}", beside.stdout);
}

#[test]
fn arguments_of_a_record_have_no_order_and_results_go_together() {
    let scratch = Scratch::new("look-record");
    put_model(&scratch.0, "m");
    let look = |args: &[&str]| glass(&scratch.0, &[&["look", "-m", "m"], args].concat(), b"");
    let read = || std::fs::read(scratch.0.join("r.safetensors")).unwrap();
    let ways: [&[&str]; 4] = [
        &[TEXT, "--record", "norm", "block.0.attention.z", "--out", "r.safetensors"],
        &["--record", "norm", "block.0.attention.z", TEXT, "--out", "r.safetensors"],
        &["--out", "r.safetensors", "--record", TEXT, "norm", "--record", "blocks.0.attn.hook_z"],
        &["--record", "norm", "--out", "r.safetensors", TEXT, "--record", "block.0.*.z"],
    ];
    let mut first = None;
    for way in ways {
        let done = look(way);
        assert_eq!((done.status, &done.stdout[..]), (0, ""), "{way:?}: {}", done.stderr);
        assert!(first.get_or_insert_with(read) == &read(), "{way:?}");
    }
    for wrong in ["block.0.attention.zz", "blocks.0.attn.hook_zz", "block.9.*"] {
        let done = look(&["--record", "norm", wrong, "--out", "r.safetensors"]);
        assert!(done.status == 2 && done.stderr.contains(wrong), "{}", done.stderr);
    }
    let done = look(&["--record", "norm", "--out", "r.safetensors"]);
    assert!(done.status == 2 && done.stderr.contains("TEXT"), "{}", done.stderr);
    // JSON, pictures and a record in one run, by TransformerLens's names and shapes.
    let more = [
        "--json",
        "--svg",
        "a.svg",
        "--names",
        "transformer-lens",
        "--record",
        "*",
        "--out",
        "r.safetensors",
        TEXT,
    ];
    let json = look(&more).json();
    assert!(scratch.0.join("a.svg").exists() && json["next"].is_array());
    let sites = json["recorded"]["sites"].as_array().unwrap();
    let tokens = json["tokens"].as_array().unwrap().len();
    let shape = |name: &str| sites.iter().find(|site| site["name"] == name).unwrap()["shape"].clone();
    assert_eq!(shape("blocks.0.attn.hook_pattern"), serde_json::json!([2, tokens, tokens]));
    assert_eq!(shape("blocks.0.attn.hook_z")[1], 2);
    assert_eq!(shape("blocks.0.hook_resid_post").as_array().unwrap().len(), 2);
    let names: Vec<&str> = json["traced"]["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"L0H1") && names.contains(&"0_mlp_out") && names.contains(&"embed"), "{names:?}");
    for args in [["--svg", "x.html"], ["--html", "x.png"], ["--png", "x.htm"]] {
        let done = look(&[&args[..], &[TEXT]].concat());
        assert!(done.status == 2 && done.stderr.contains("ends in"), "{args:?}: {}", done.stderr);
    }
    assert!(!scratch.0.join("x.png").exists());
    // The extension chooses the kind of picture.
    assert_eq!(look(&["--svg", "y.png", TEXT]).status, 0);
    assert!(std::fs::read(scratch.0.join("y.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn pictures_of_parts_and_of_long_texts() {
    let scratch = Scratch::new("look-pictures");
    std::fs::write(scratch.0.join("d.txt"), "The dog ran. The cat sat.").unwrap();
    let look = |args: &[&str]| {
        let done = glass(&scratch.0, &[&["look"], args, &["--svg", "a.svg"]].concat(), b"");
        assert_eq!((done.status, &done.stdout[..]), (0, ""), "{args:?}: {}", done.stderr);
        std::fs::read_to_string(scratch.0.join("a.svg")).unwrap()
    };
    let ids = (0..60).map(|at| (at * 37 % 900).to_string()).collect::<Vec<_>>().join(",");
    let long = look(&["--ids", &ids]);
    for said in [
        "Attention of all blocks",
        "52 weaker tokens are left out",
        "the first 48 are left out",
        "is labelled",
    ] {
        assert!(long.contains(said), "{said}");
    }
    // Slanted labels are at least as far apart as their lines are high.
    let places: Vec<(f64, f64)> = long
        .lines()
        .filter_map(|line| line.split_once("<text transform=\"translate(")?.1.split_once(')'))
        .map(|(place, _)| {
            place.split_once(' ').map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).unwrap()
        })
        .collect();
    let near = places.windows(2).find(|pair| pair[0].1 == pair[1].1 && (pair[1].0 - pair[0].0).abs() < 12.5);
    assert!(places.len() > 100 && near.is_none(), "{near:?}");
    assert!(look(&["--heads", "The dog saw the dog"]).contains("induction"));
    assert!(look(&["--circuits", "1.0"]).contains("→"));
    assert!(look(&["--neuron", "1.3", "--data", "d.txt"]).contains("is most active"));
    let told = glass(&scratch.0, &["look", "--heads", "Once upon"], b"").stdout;
    assert!(told.contains(" 0.0 %") && !told.contains("-0.0"), "{told}");
}
