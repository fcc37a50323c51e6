//! Lists the files of the model that comes inside, for `src/embedded.rs`: all that stand in `models/` and belong to a
//! model's directory. Where there are none, the program has no model inside.

use std::path::Path;
use std::{env, fs};

const ENDINGS: [&str; 3] = ["json", "jinja", "safetensors"];

fn main() {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../../models");
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|e| ENDINGS.iter().any(|ending| e == *ending)))
        .collect();
    files.sort();
    let lines: String = files
        .iter()
        .map(|path| {
            println!("cargo::rerun-if-changed={}", path.display());
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            format!("    ({name:?}, include_bytes!({:?})),\n", path.display().to_string())
        })
        .collect();
    let out = Path::new(&env::var("OUT_DIR").expect("set by cargo")).join("embedded.rs");
    fs::write(out, format!("&[\n{lines}]\n")).expect("the list can be written");
}
