//! Help, its widths, other spellings, completions and manual pages.

use crate::program::{Ended, Scratch, command, glass};

const COMMANDS: [&[&str]; 19] = [
    &["tokens"],
    &["tokenizer", "learn"],
    &["tokenizer", "report"],
    &["weights"],
    &["train"],
    &["plan"],
    &["generate"],
    &["chat"],
    &["look"],
    &["score"],
    &["serve"],
    &["page"],
    &["quantise"],
    &["convert"],
    #[cfg(feature = "fetch")]
    &["fetch"],
    &["verify"],
    &["bench"],
    &["completions"],
    &["man"],
];

fn at_width(scratch: &Scratch, columns: usize, arguments: &[&str]) -> String {
    let done = command(&scratch.0, arguments).env("COLUMNS", columns.to_string()).output().unwrap();
    let (shown, said) =
        (String::from_utf8(done.stdout).unwrap(), String::from_utf8_lossy(&done.stderr).into_owned());
    assert_eq!((done.status.code(), said.as_str()), (Some(0), ""), "{arguments:?}");
    shown
}

#[test]
fn help_fits_its_terminal() {
    let scratch = Scratch::new("help-width");
    for columns in [60, 80, 120] {
        let help = COMMANDS.iter().map(|words| [&["help"][..], words].concat());
        for arguments in help.chain([vec!["help"], vec!["--help"], vec![], vec!["weights", "gpt3-175b"]]) {
            for line in at_width(&scratch, columns, &arguments).lines() {
                let wide = line.chars().count();
                assert!(wide <= columns, "{arguments:?} at {columns} columns: {wide} in {line:?}");
            }
        }
    }
}

#[test]
fn help_is_a_command_and_an_option() {
    let scratch = Scratch::new("help");
    for words in COMMANDS {
        let asked = at_width(&scratch, 100, &[&["help"][..], words].concat());
        let option = at_width(&scratch, 100, &[words, &["--help"]].concat());
        assert_eq!(asked, option);
    }
    let unknown = glass(&scratch.0, &["help", "trian"], b"");
    assert!(unknown.status == 2 && unknown.stderr.contains("trian"), "{}", unknown.stderr);
}

#[test]
fn american_spellings_and_capitals_are_understood() {
    let scratch = Scratch::new("spelling");
    for (theirs, ours) in [("quantize", "quantise"), ("tokenize", "tokens"), ("tokenise", "tokens")] {
        assert_eq!(at_width(&scratch, 100, &[theirs, "--help"]), at_width(&scratch, 100, &[ours, "--help"]));
    }
    let run = |more: &[&str]| {
        let arguments = [&["train", "--data", "none.txt", "--out", "r"], more].concat();
        glass(&scratch.0, &arguments, b"")
    };
    for options in
        [["--optimizer", "muon"], ["--optimiser", "MUON"], ["--dtype", "BF16"], ["--dtype", "bfloat16"]]
    {
        let Ended { status, stderr, .. } = run(&options);
        assert!(status == 1 && stderr.contains("none.txt"), "{options:?}: {stderr}");
    }
}

#[test]
fn shells_get_completions() {
    let scratch = Scratch::new("completions");
    for (shell, sign) in [("bash", "complete -F"), ("zsh", "#compdef glass"), ("fish", "complete -c glass")] {
        let script = at_width(&scratch, 100, &["completions", shell]);
        assert!(script.contains(sign) && script.contains("quantise"), "{shell}: {script}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let scratch = Scratch::new("man");
    let program = at_width(&scratch, 100, &["man"]);
    assert!(program.contains(".TH glass 1") && program.contains("glass\\-train(1)"), "{program}");
    at_width(&scratch, 100, &["man", "--out", "pages"]);
    for words in COMMANDS {
        let shown = at_width(&scratch, 100, &[&["man"][..], words].concat());
        let written =
            std::fs::read_to_string(scratch.0.join(format!("pages/glass-{}.1", words.join("-")))).unwrap();
        assert_eq!(shown, written);
        assert!(shown.contains(".SH SYNOPSIS") && shown.contains(".SH OPTIONS"), "{shown}");
    }
    let unknown = glass(&scratch.0, &["man", "trian"], b"");
    assert!(unknown.status == 2 && unknown.stderr.contains("tokenizer learn"), "{}", unknown.stderr);
}

#[test]
fn mistakes_of_newcomers_get_a_hint() {
    let scratch = Scratch::new("hints");
    for (arguments, hint) in [
        (&["generate", "Hello", "world"][..], "put it in quotes"),
        (&["generate", "--max_new_tokens", "5", "Hello"], "in glass it is --tokens"),
        (&["generate", "-p", "Hello"], "in glass it is TEXT without an option"),
        (&["generate", "Hello", "--temperature", "hot"], "a number is expected"),
        (&["train", "story.txt", "--out", "r"], "--data story.txt"),
        (&["train", "--learning-rate", "1", "--out", "r"], "in glass it is --lr"),
        (&["chat", "Hello"], "--once"),
        (&["Once upon a time"], "glass generate TEXT"),
        (&["version"], "glass --version"),
        (&["pull", "openai-community/gpt2"], "glass fetch OWNER/NAME"),
        (&["chat", "help"], "`glass help chat`"),
        (&["generate", "--threads", "0", "Hello"], "0 is not in the range 1 to 1024"),
        (&["weights", "gpt3"], "the presets are gpt3-small,"),
        (&["plan", "gpt2", "--tensor_model_parallel_size", "8"], "in glass it is --tensor"),
        (&["plan", "gpt2"], "--machines"),
        (&["generate", "-m", "nowhere", "Hello"], "there is no file or folder \"nowhere\""),
    ] {
        let Ended { status, stderr, .. } = glass(&scratch.0, arguments, b"");
        assert!(status == 2 && stderr.contains(hint), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("as a value, use"), "{stderr}");
    }
    assert_eq!(glass(&scratch.0, &["weights", "GPT2"], b"").status, 0);
}
