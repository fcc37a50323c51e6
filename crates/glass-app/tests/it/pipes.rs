//! Standard output that is closed, full, or without colours.

use std::io::Read as _;
use std::process::Stdio;

use crate::program::{Scratch, command, glass};

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let scratch = Scratch::new("pipe");
    std::fs::write(scratch.0.join("long.txt"), "word ".repeat(200_000)).unwrap();
    let input = std::fs::File::open(scratch.0.join("long.txt")).unwrap();
    let mut command = command(&scratch.0, &["tokens", "--vocab", "gpt2", "-"]);
    let mut child = command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A reader that closes the pipe early, as `head` does.
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_under_standard_output_is_reported() {
    let scratch = Scratch::new("dev-full");
    for arguments in [&["weights", "gpt2"][..], &["weights", "gpt2", "--json"], &[]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let done = command(&scratch.0, arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(done.status.code(), Some(1));
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(said.starts_with("glass: cannot write standard output: "), "{said}");
    }
}

#[test]
fn nothing_is_coloured_in_a_pipe() {
    let scratch = Scratch::new("colour");
    for arguments in [&["weights", "gpt2"][..], &["tokens", "--vocab", "gpt2", "a"], &["--help"], &[]] {
        let done = glass(&scratch.0, arguments, b"");
        assert_eq!((done.status, done.stdout.contains('\x1b')), (0, false), "{arguments:?}");
    }
}
