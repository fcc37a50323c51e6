//! `glass look`: what it says is what the library sees, and every result is whole.

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
    // Silence of all that the only block adds leaves the embedding's answer.
    let silent = look(&["--ablate", "block.0.attention", "--ablate", "block.0.mlp"]).json();
    assert_eq!(silent["before"], json["next"]);
    assert_eq!(silent["next"][0]["id"], json["lens"][0][0]["id"]);
    // From the text itself nothing is patched.
    let same = look(&["--patch", "block.0.attention.mixed", "--from", TEXT]).json();
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
    // What a run saw of checkpoints stays where they go, and what came behind where it goes on is forgotten.
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
