//! The source of a text: the command line, a file, standard input; and a file name given as the text.

use crate::program::{Scratch, command, glass, put_model};

#[test]
fn a_text_comes_from_a_file_as_from_standard_input() {
    let scratch = Scratch::new("inputs");
    put_model(&scratch.0, "m");
    let text = b"The dog\xff found";
    std::fs::write(scratch.0.join("a.txt"), text).unwrap();
    for command in ["tokens", "generate", "look"] {
        let run = |more: &[&str], stdin: &[u8]| {
            let seed: &[&str] = if command == "generate" { &["--seed", "1", "--tokens", "5"] } else { &[] };
            glass(&scratch.0, &[&[command, "-m", "m", "--json"], seed, more].concat(), stdin)
        };
        let (file, standard_input) = (run(&["--file", "a.txt"], b""), run(&["-"], text));
        assert_eq!((file.status, &file.stdout), (0, &standard_input.stdout), "{}", file.stderr);
        assert_eq!(run(&["--file", "-"], text).stdout, file.stdout);
        let missing = run(&["--file", "none.txt"], b"");
        assert!(missing.status == 1 && missing.stderr.contains("cannot read none.txt"), "{}", missing.stderr);
        assert_eq!(run(&["--file", "a.txt", "text"], b"").status, 2);
    }
}

#[test]
fn a_files_name_given_as_the_text_is_noticed() {
    let scratch = Scratch::new("meant");
    put_model(&scratch.0, "m");
    std::fs::write(scratch.0.join("a.txt"), "The dog").unwrap();
    for command in ["tokens", "generate", "look", "score"] {
        let run = |text: &str| glass(&scratch.0, &[command, "-m", "m", "--json", text], b"");
        let there = run("a.txt");
        assert!(
            there.status == 0 && there.stderr.contains("give --file a.txt"),
            "{command}: {}",
            there.stderr
        );
        let misspelt = run("b.txt");
        assert!(misspelt.status == 0 && misspelt.stderr.contains("no file \"b.txt\""), "{}", misspelt.stderr);
        let text = run("The dog found a.txt");
        assert!(!text.stderr.contains("file"), "{command}: {}", text.stderr);
    }
}

#[test]
fn what_is_shown_fits_its_terminal() {
    let scratch = Scratch::new("fits");
    put_model(&scratch.0, "m");
    for columns in [60, 80] {
        for arguments in [
            &["tokens", "-m", "m", "--special", "The dog<|endoftext|> found a ball near the house"][..],
            &["generate", "-m", "m", "--show", "--seed", "1", "--tokens", "3", "The"],
            &["verify", "m"],
        ] {
            let done = command(&scratch.0, arguments).env("COLUMNS", columns.to_string()).output().unwrap();
            let shown = String::from_utf8_lossy(&done.stdout).into_owned();
            assert!(done.status.success() && shown.lines().count() > 3, "{arguments:?}: {shown}");
            for line in shown.lines() {
                assert!(line.chars().count() <= columns, "{arguments:?} at {columns} columns: {line:?}");
            }
        }
    }
}

#[test]
fn tokens_around_a_text_do_not_count_for_its_bytes() {
    let scratch = Scratch::new("around");
    put_model(&scratch.0, "m");
    let summary = |more: &[&str]| {
        let done = glass(&scratch.0, &[&["tokens", "-m", "m", "dog"], more].concat(), b"");
        done.stdout.lines().last().unwrap_or_default().split(", ").nth(2).map(str::to_string)
    };
    let (with, without) = (summary(&[]).unwrap(), summary(&["--no-start"]).unwrap());
    assert_eq!(with.split(' ').next(), without.split(' ').next(), "{with} {without}");
}

#[test]
fn one_block_is_not_blocks() {
    let scratch = Scratch::new("one-block");
    let config = put_model(&scratch.0, "m").join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("\"n_layer\": 1"), "{text}");
    std::fs::write(&config, text.replace("\"n_layer\": 1", "\"n_layer\": 2")).unwrap();
    let done = glass(&scratch.0, &["generate", "-m", "m", "The"], b"");
    assert!(done.stderr.contains("the weights have 1 block"), "{}", done.stderr);
    assert!(!done.stderr.contains("1 blocks"), "{}", done.stderr);
}

#[test]
fn small_mistakes_get_one_sentence_with_advice() {
    let scratch = Scratch::new("small");
    put_model(&scratch.0, "m");
    for (arguments, expected) in [
        (&["generate", "-m", "m", "--stop", "", "The"][..], "--stop: the text is empty"),
        (
            &["weights", "--context", "0", "gpt2"],
            "--context: 0 was given, but gpt2 has contexts of 1 to 1,024 tokens; give 1 to 1,024",
        ),
        (&["weights", "gtp2"], "did you mean gpt2?"),
        (
            &["tokens", "-m", "m", "--file", "none.txt"],
            "cannot read none.txt: there is no such file or folder",
        ),
        (&["tokens", "-m", "m", "--file", "m"], "cannot read m: it is a folder, and a file is needed"),
        (
            &["weights", "gpt2", "--svg", "none/a.svg"],
            "none/a.svg: its folder does not exist; make that first",
        ),
    ] {
        let done = glass(&scratch.0, arguments, b"");
        assert!(done.status != 0 && done.stderr.contains(expected), "{arguments:?}: {}", done.stderr);
        assert!(!done.stderr.contains("os error"), "{}", done.stderr);
    }
    let done = glass(&scratch.0, &["quantise", "m", "--to", "q8", "--out", "q"], b"");
    assert!(
        done.stdout.contains(" instead of ") && done.stdout.contains(" bits per weight"),
        "{}",
        done.stdout
    );
}

/// Powers of two as scales change how inputs of quantised weights are rounded; beside other weights they are said to do
/// nothing.
#[test]
fn scales_of_inputs_are_of_quantised_weights() {
    let scratch = Scratch::new("input-scales");
    let score = |arguments: &[&str]| {
        let done = glass(&scratch.0, &[&["score", "--json", "--ids", "1,2,3"], arguments].concat(), b"");
        (done.json()["tokens"].clone(), done.stderr)
    };
    let (exact, said) = score(&[]);
    assert_eq!((score(&["--input-scales", "exact"]).0, said.as_str()), (exact.clone(), ""));
    let (rounded, said) = score(&["--input-scales", "powers-of-two"]);
    assert!(rounded != exact && said.is_empty(), "{said}");
    put_model(&scratch.0, "m");
    let (dense, _) = score(&["-m", "m"]);
    let (same, said) = score(&["-m", "m", "--input-scales", "powers-of-two"]);
    assert!(same == dense && said.contains("the weights are not quantised"), "{said}");
}
