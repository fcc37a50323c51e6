//! Lists the files of `web/`, so that a new file of the page needs no other change.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let web = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../web");
    println!("cargo:rerun-if-changed={}", web.display());
    let mut files = Vec::new();
    find(&web, &mut files);
    files.sort();
    let mut list = String::from("&[");
    for file in files {
        println!("cargo:rerun-if-changed={}", file.display());
        let path =
            file.strip_prefix(&web).expect("below the folder").to_str().expect("UTF-8").replace('\\', "/");
        let _ = writeln!(list, "({path:?}, include_bytes!({:?})),", file.display().to_string());
    }
    list.push(']');
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("web.rs"), list).expect("the list can be written");
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder).expect("the folder of the page is there") {
        let path = entry.expect("its entries can be read").path();
        match path.is_dir() {
            true => find(&path, files),
            false => files.push(path),
        }
    }
}
