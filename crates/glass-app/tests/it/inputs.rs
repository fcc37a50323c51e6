//! The source of a text: the command line, a file, standard input; and a file name given as the text.

use crate::program::{Scratch, glass, put_model};

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
