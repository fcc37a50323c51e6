//! The house rules that a machine can check.

use std::fs;
use std::path::{Path, PathBuf};

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every Rust source under `folder`, with its text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found.sort();
    found
}

/// Lines of code (no comments, no tests) in which one of `words` stands.
fn lines_with(folder: &Path, words: &[&str]) -> Vec<String> {
    let mut found = vec![];
    for (path, text) in sources(folder) {
        let code = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
        for (number, line) in code.enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn the_library_never_prints_listens_or_reads_the_clock() {
    let words =
        ["print!(", "println!(", "dbg!(", "std::net", "Instant::now", "SystemTime::now", "process::exit"];
    let found = lines_with(&crates().join("glass/src"), &words);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn unsafe_code_stands_in_the_kernels_alone() {
    for name in ["glass", "glass-app"] {
        let found = lines_with(&crates().join(name).join("src"), &["unsafe {", "unsafe fn", "unsafe impl"]);
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
    let kernels = lines_with(&crates().join("glass-kernels/src"), &["unsafe {"]);
    assert!(!kernels.is_empty(), "the search itself finds nothing");
}

#[test]
fn arrows_between_modules_point_downward() {
    // What stands lower in the house does not know what stands on it.
    let forbidden = [
        (
            "config",
            &["crate::model", "crate::train", "crate::generate", "crate::memory", "crate::backend"][..],
        ),
        ("plan.rs", &["crate::model", "crate::weights", "crate::backend", "crate::train"]),
        ("backend", &["crate::model", "crate::tokens", "crate::train", "crate::generate", "crate::weights"]),
        ("tokens", &["crate::model", "crate::train", "crate::generate", "crate::weights", "crate::backend"]),
        ("model", &["crate::train", "crate::generate", "crate::tokens", "crate::next_token"]),
        ("next_token", &["crate::model", "crate::train", "crate::generate", "crate::weights"]),
        ("weights", &["crate::train", "crate::generate"]),
        ("generate", &["crate::train"]),
    ];
    for (module, words) in forbidden {
        let file = crates().join("glass/src").join(module);
        for place in [file.with_extension(""), file.with_extension("rs")] {
            let found = match (place.is_dir(), place.is_file()) {
                (true, _) => lines_with(&place, words),
                (_, true) => lines_with(place.parent().unwrap(), words)
                    .into_iter()
                    .filter(|line| line.starts_with(&format!("{}:", place.display())))
                    .collect(),
                _ => continue,
            };
            assert!(found.is_empty(), "{module} must not use {words:?}:\n{}", found.join("\n"));
        }
    }
    let kernels = lines_with(&crates().join("glass-kernels"), &["use glass::"]);
    assert!(kernels.is_empty(), "{}", kernels.join("\n"));
}

#[test]
fn files_serve_reading() {
    for name in ["glass", "glass-app", "glass-kernels"] {
        for (path, text) in sources(&crates().join(name).join("src")) {
            let lines = text.lines().count();
            assert!(lines <= 450, "{} has {lines} lines: it hides a second idea", path.display());
        }
    }
}
