//! Generates the two tables that the tokenizer embeds, so that neither is stored in the repository: GPT-2's
//! vocabulary as byte pairs, and the character classes of pre-splits. Also lists the files of the built-in
//! model.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use regex_syntax::hir::{Class, HirKind};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    write(&out.join("gpt2.pairs"), &vocabulary());
    write(&out.join("classes.table"), &classes());
    write(&out.join("built_in.rs"), built_in().as_bytes());
}

/// The files of `models/` that belong to a model's folder, as a list for `src/built_in.rs`; empty if there are none.
fn built_in() -> String {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let folder = Path::new(&manifest).join("../../models");
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_of_a_model = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| ["json", "jinja", "safetensors"].contains(&ending))
    };
    let mut files: Vec<PathBuf> = entries.filter(is_of_a_model).collect();
    files.sort();
    let line = |path: &PathBuf| {
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        format!("    ({name:?}, include_bytes!({:?})),\n", path.display().to_string())
    };
    format!("&[\n{}]\n", files.iter().map(line).collect::<String>())
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

/// GPT-2's 50,256 ordinary tokens in 200,256 bytes: the 256 single bytes in the order of their ids, then for every
/// later token the two earlier tokens that it joins, two bytes (little endian) each.
fn vocabulary() -> Vec<u8> {
    let reference = tiktoken_rs::r50k_base().expect("tiktoken-rs holds r50k_base");
    let token = |id: u32| reference.decode_bytes(&[id]).expect("ids are dense below the special token");
    let tokens: Vec<Vec<u8>> = (0..50_256).map(token).collect();
    let ids: HashMap<&[u8], u32> =
        tokens.iter().enumerate().map(|(id, t)| (t.as_slice(), id as u32)).collect();

    let mut table = Vec::with_capacity(256 + 4 * (tokens.len() - 256));
    for byte in &tokens[..256] {
        assert_eq!(byte.len(), 1, "the first 256 tokens are the single bytes");
        table.extend(byte);
    }
    for (id, token) in tokens.iter().enumerate().skip(256) {
        for half in halves(token, id as u32, &ids) {
            table.extend(u16::try_from(half).expect("ids fit 16 bits").to_le_bytes());
        }
    }
    table
}

/// The two tokens that token `id` was merged from: what remains of its bytes after all merges older than its own.
fn halves(token: &[u8], id: u32, ids: &HashMap<&[u8], u32>) -> [u32; 2] {
    let mut cuts: Vec<usize> = (0..=token.len()).collect();
    while cuts.len() > 3 {
        let merged = |at: &usize| ids.get(&token[cuts[*at]..cuts[at + 2]]).filter(|&&merged| merged < id);
        let oldest = (0..cuts.len() - 2).filter(|at| merged(at).is_some()).min_by_key(|at| merged(at));
        cuts.remove(oldest.expect("every token is made of two older ones") + 1);
    }
    [ids[&token[cuts[0]..cuts[1]]], ids[&token[cuts[1]..cuts[2]]]]
}

/// The general categories that pre-splits distinguish, and the number of each in the table; 0 is everything else.
/// `src/tokens/split.rs` has the same numbers.
const CLASSES: [(&str, u8); 8] = [
    (r"\p{Ll}", 1),
    (r"[\p{Lu}\p{Lt}]", 2),
    (r"[\p{Lm}\p{Lo}]", 3),
    (r"\p{M}", 4),
    (r"\p{N}", 5),
    (r"\s", 6),
    (r"\p{P}", 7),
    (r"\p{S}", 8),
];

/// The class of every code point, as a two-level table: for each run of 256 code points the number of its block, then
/// the distinct blocks, one byte per class.
fn classes() -> Vec<u8> {
    let mut class = vec![0u8; 0x11_0000];
    for (pattern, number) in CLASSES {
        let parsed = regex_syntax::parse(pattern).expect("a class");
        let HirKind::Class(Class::Unicode(ranges)) = parsed.kind() else { panic!("{pattern} is a class") };
        for range in ranges.iter() {
            class[range.start() as usize..=range.end() as usize].fill(number);
        }
    }
    let (mut blocks, mut table): (Vec<&[u8]>, Vec<u8>) = (Vec::new(), Vec::new());
    for block in class.chunks(256) {
        let number = blocks.iter().position(|known| *known == block).unwrap_or_else(|| {
            blocks.push(block);
            blocks.len() - 1
        });
        table.push(u8::try_from(number).expect("at most 256 distinct blocks"));
    }
    table.extend(blocks.concat());
    table
}
