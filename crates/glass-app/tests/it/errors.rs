//! Wrong input ends with its status and one sentence, and `docs/errors.md` shows these sentences.

use std::path::Path;

use crate::cases::{CASES, Case, LONG, put_files};
use crate::hub_server::{Files, Reply, Request, Server};
use crate::program::{Ended, Scratch, command, glass};

const PREFACE: &str = "\
# What glass says when something is wrong

Status 2: wrong usage. Status 1: failure. Errors are one sentence each, on standard error. This page is generated from real
runs by `GLASS_BLESS=1 cargo test -p glass-app`, and a test compares it with them.
";

#[test]
fn every_bad_request_gets_one_sentence() {
    let scratch = Scratch::new("errors");
    put_files(&scratch.0);
    let server = Server::new(unhelpful);
    let mut page = String::from(PREFACE);
    for (chapter, cases) in CASES {
        page.push_str(&format!("\n## {chapter}\n"));
        for case in *cases {
            // The device that is always full exists only on Linux.
            if case.what == "a full disk" && !cfg!(target_os = "linux") {
                continue;
            }
            let ended = match case.arguments[0] {
                "fetch" => fetch(&scratch, &server, case),
                _ => glass(&scratch.0, case.arguments, case.stdin.as_bytes()),
            };
            check(case, &ended);
            page.push_str(&entry(case, &ended));
        }
    }
    // Other systems word a missing file differently.
    if cfg!(target_os = "linux") {
        compare(&page);
    }
}

/// A run whose Hub is this server, and looks like the real one.
fn fetch(scratch: &Scratch, server: &Server, case: &Case) -> Ended {
    let mut command = command(&scratch.0, case.arguments);
    command.env_remove("HF_HUB_OFFLINE").env_remove("HF_TOKEN").env("HF_HOME", scratch.0.join("hf"));
    command.env("HF_ENDPOINT", &server.address).env("NO_PROXY", "127.0.0.1");
    let done = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr);
    let stderr =
        stderr.replace(&server.address, "https://huggingface.co").replace("127.0.0.1", "huggingface.co");
    let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
    Ended { status: done.status.code().unwrap_or(-1), stdout, stderr }
}

/// A server whose repositories are all wrong in one way.
fn unhelpful(request: &Request) -> Reply {
    let weights =
        Files::default().with("config.json", b"{}", false).with("model.safetensors", &[7; 4321], true);
    let config = |config: &[u8]| Reply { body: config.to_vec(), ..weights.answer(request) };
    let asks_for = |repository: &str| request.path.contains(&format!("/me/{repository}/"));
    match () {
        () if asks_for("private") => Reply::status(401),
        () if asks_for("gated") => Reply::status(403),
        () if asks_for("changed") && request.is_for("config.json") => config(b"[]"),
        () if asks_for("cut") && request.is_for("config.json") => config(b"{"),
        () if asks_for("changed") || asks_for("cut") => weights.answer(request),
        () if asks_for("notes") => Files::default().with("README.md", b"", false).answer(request),
        () if asks_for("several") => {
            let files = Files::default().with("tiny-q8.gguf", &[7; 4321], true);
            files.with("tiny-q4.gguf", &[7; 2345], true).answer(request)
        }
        () if asks_for("busy") => Reply::status(429).with("Retry-After", "3600"),
        () => Reply::status(404),
    }
}

fn check(case: &Case, ended: &Ended) {
    let Case { what, arguments, status, .. } = case;
    let stderr = &ended.stderr;
    assert_eq!(ended.status, *status, "{what}: glass {arguments:?}\n{stderr}");
    assert_eq!(ended.stdout, "", "{what}: there is no result");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("glass: "), "{what}: {stderr}");
    assert!(stderr.lines().all(|line| line.starts_with("glass: ")), "{what}: {stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("a bug in the program"), "{what}: {stderr}");
}

fn entry(case: &Case, ended: &Ended) -> String {
    let arguments: Vec<String> = case
        .arguments
        .iter()
        .map(|&argument| match argument {
            LONG => "\"Zq1 Zq2 …\"".into(),
            _ if argument.len() > 200 => format!("{}…", &argument[..4]),
            _ if argument.is_empty() || argument.contains(' ') => format!("\"{argument}\""),
            _ => argument.to_string(),
        })
        .collect();
    let (arguments, said) = (arguments.join(" "), ended.stderr.trim_end());
    format!("\n{} (status {}):\n\n```text\n$ glass {arguments}\n{said}\n```\n", case.what, case.status)
}

fn compare(page: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    if std::env::var_os("GLASS_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = page.lines().zip(written.lines()).find(|(now, then)| now != then);
    assert!(
        page == written,
        "docs/errors.md is not what glass says now; look at it, and run GLASS_BLESS=1 cargo test -p glass-app: {differs:?}"
    );
}
