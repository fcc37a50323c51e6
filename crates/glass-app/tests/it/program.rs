//! Runs the program in a folder of its own.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// How a run ended.
pub struct Ended {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.status, 0, "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// The built program, in `folder`. It reaches no network, and no cache but its own.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glass"));
    command.args(arguments).current_dir(folder).env_remove("RUST_BACKTRACE").env("NO_COLOR", "1");
    command.env("HF_HUB_OFFLINE", "1").env("HF_HUB_CACHE", "hub");
    command
}

/// Runs `glass ARGUMENTS` in `folder` with this standard input.
pub fn glass(folder: &Path, arguments: &[&str], stdin: &[u8]) -> Ended {
    let mut command = command(folder, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // The program may refuse before it reads its input.
    let _ = child.stdin.take().expect("piped").write_all(stdin);
    let done = child.wait_with_output().expect("the program ends");
    Ended {
        status: done.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// A folder that is removed with its value.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("glass-app-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Some text to train on.
pub fn book() -> String {
    let line = |n: usize| format!("The {} dog found a ball near house number {n} and was glad.\n", n % 7);
    (0..400).map(line).collect()
}

/// A line of conversation.
pub const TALK: &str = concat!(
    r#"{"messages":[{"role":"user","content":"Where is the ball?"},"#,
    r#"{"role":"assistant","content":"Near the house."}]}"#,
    "\n"
);

/// Options of a model that trains very quickly.
pub const TINY: [&str; 12] =
    ["--layers", "1", "--heads", "2", "--width", "8", "--context", "48", "--vocab", "300", "--batch", "2"];

/// A tiny model that can chat, made once by the program itself: its folder's files.
pub fn model() -> &'static [(String, Vec<u8>)] {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let scratch = Scratch::new("model");
        fs::write(scratch.0.join("talk.jsonl"), TALK.repeat(20)).unwrap();
        let arguments =
            [&["train", "--chat", "talk.jsonl", "--recipe", "gpt2", "--out", "m", "--steps", "2"], &TINY[..]]
                .concat();
        let done = glass(&scratch.0, &arguments, b"");
        assert_eq!(done.status, 0, "{}", done.stderr);
        let files = fs::read_dir(scratch.0.join("m")).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.is_file());
        files
            .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
            .collect()
    })
}

/// Puts the tiny model into `folder/name`.
pub fn put_model(folder: &Path, name: &str) -> PathBuf {
    let into = folder.join(name);
    fs::create_dir_all(&into).unwrap();
    for (name, bytes) in model() {
        fs::write(into.join(name), bytes).unwrap();
    }
    into
}
