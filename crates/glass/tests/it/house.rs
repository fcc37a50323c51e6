//! The rules of this codebase that can be checked automatically.

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

/// Lines of code (no comments, no tests) that contain one of `words`.
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
    for name in ["glass", "glass-page", "glass-app"] {
        let found = lines_with(&crates().join(name).join("src"), &["unsafe {", "unsafe fn", "unsafe impl"]);
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
    let kernels = lines_with(&crates().join("glass-kernels/src"), &["unsafe {"]);
    assert!(!kernels.is_empty(), "the search itself finds nothing");
}

/// Every path that a source file imports or names, with `use` groups expanded: `use a::{b, c::d};` gives `a::b` and
/// `a::c::d`. Tests within the file are left out.
fn paths(text: &str) -> Vec<String> {
    let text = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut found = vec![];
    for statement in code.split(';') {
        let words: Vec<&str> = statement.split_whitespace().collect();
        if let Some(at) = words.iter().rposition(|&word| word == "use") {
            expand("", &words[at + 1..].concat(), &mut found);
        }
    }
    // Paths that are written out where they are used.
    for (at, _) in code.match_indices("crate::") {
        let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        found.push(code[at..].chars().take_while(|&c| is_path(c)).collect());
    }
    found
}

/// `prefix` before each path of a `use` tree without spaces.
fn expand(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let Some((head, group)) = tree.split_once('{') else {
        return found.push(format!("{prefix}{tree}"));
    };
    let group = group.strip_suffix('}').unwrap_or(group);
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if at > begin {
                    expand(&format!("{prefix}{head}"), &group[begin..at], found);
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
}

/// Whether `path` is `module` or inside it.
fn is_within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn imports_are_found_however_they_are_written() {
    let text = "
        use std::fmt;
        pub use crate::a::{self, b::{C, d}};
        pub(crate) use crate::{
            e::F, // as in crate::no
            g,
        };
        fn f() { let x = crate::h::i(1); }
        #[cfg(test)]
        mod tests { use crate::j; }
    "
    .replace("\n        ", "\n");
    let found = paths(&text);
    for path in
        ["crate::a::self", "crate::a::b::C", "crate::a::b::d", "crate::e::F", "crate::g", "crate::h::i"]
    {
        assert!(found.iter().any(|found| found == path), "{path} in {found:?}");
    }
    assert!(
        !found.iter().any(|path| is_within(path, "crate::j") || is_within(path, "crate::no")),
        "{found:?}"
    );
    assert!(is_within("crate::model::Gpt", "crate::model") && !is_within("crate::models", "crate::model"));
}

/// The source files in `module` that name one of `modules`.
fn imports(module: &str, modules: &[&str]) -> Vec<String> {
    let source = crates().join("glass/src");
    let of_module = |path: &Path| {
        let inner = path.strip_prefix(&source).unwrap();
        inner.starts_with(module) || inner == Path::new(module).with_extension("rs")
    };
    let mut found = vec![];
    for (path, text) in sources(&source).into_iter().filter(|(path, _)| of_module(path)) {
        let wrong = paths(&text)
            .into_iter()
            .filter(|path| modules.iter().any(|module| is_within(path, &format!("crate::{module}"))));
        found.extend(wrong.map(|wrong| format!("{}: {wrong}", path.display())));
    }
    found
}

#[test]
fn arrows_between_modules_point_downward() {
    // Lower modules do not use the modules above them.
    let forbidden = [
        ("config", &["model", "train", "generate", "memory", "backend", "weights", "tokens"][..]),
        ("plan", &["model", "weights", "backend", "train", "memory"]),
        ("backend", &["model", "tokens", "train", "generate", "weights", "memory"]),
        ("tokens", &["model", "train", "generate", "weights", "backend", "memory"]),
        ("memory", &["model", "weights", "tokens", "train", "generate"]),
        ("probe", &["model", "weights", "tokens", "train", "generate", "inspect"]),
        ("model", &["train", "generate", "tokens", "next_token", "inspect", "runtime", "text_model"]),
        ("next_token", &["model", "train", "generate", "weights", "backend"]),
        ("weights", &["model", "train", "generate", "inspect", "runtime", "text_model"]),
        ("generate", &["train", "runtime", "text_model", "inspect", "scheduler"]),
        ("inspect", &["train", "text_model", "scheduler"]),
        ("scheduler", &["train", "text_model", "verify"]),
        ("train", &["inspect", "text_model", "verify"]),
    ];
    for (module, modules) in forbidden {
        let found = imports(module, modules);
        assert!(found.is_empty(), "{module} must not use {modules:?}:\n{}", found.join("\n"));
    }
    assert!(!imports("train", &["backend"]).is_empty(), "the search itself finds nothing");
    for (path, text) in sources(&crates().join("glass-kernels")) {
        let knows = paths(&text).into_iter().find(|path| is_within(path, "glass"));
        assert!(knows.is_none(), "{}: {knows:?}", path.display());
    }
}

#[test]
fn files_serve_reading() {
    for name in ["glass", "glass-page", "glass-app", "glass-kernels"] {
        for (path, text) in sources(&crates().join(name).join("src")) {
            let lines = text.lines().count();
            assert!(lines <= 450, "{} has {lines} lines: it hides a second idea", path.display());
        }
    }
}
