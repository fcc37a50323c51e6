//! Thousands of damaged model directories and checkpoints: never a panic, never a large allocation, and each
//! refusal is a sentence that names the file.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use glass::backend::Packing;
use glass::weights::folder::Folder;

use crate::allocations::largest_during;
use crate::checkpoints::checkpoint;
use crate::files::{copy_of, open};
use crate::packed::{pack, pack_each};
use crate::scratch::Scratch;

/// The files of each golden model are smaller than this, so whatever a damaged one allocates must be too.
const LARGEST: usize = 1 << 20;

/// xorshift64*: the same damage every time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }

    fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

/// Numbers that files should not contain.
const ABSURD: [&str; 16] = [
    "-1",
    "0",
    "1",
    "2",
    "0.5",
    "1e300",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "null",
    "\"x\"",
    "[]",
    "{}",
    "true",
];

/// Strings that belong elsewhere in such files.
const WORDS: [&str; 12] = [
    "F64",
    "I8",
    "F4",
    "BOOL",
    "llama",
    "relu",
    "transformer.",
    "lm_head.weight",
    "../",
    "wte.weight",
    "data_offsets",
    "\u{0}",
];

/// Damages the bytes of a file anywhere.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    let to = (at + 1 + random.below(40)).min(bytes.len());
    match random.below(7) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => (0..8).for_each(|_| {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }),
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..to)),
        4 => {
            let copy = bytes[at..to].to_vec();
            let place = random.below(bytes.len());
            bytes.splice(place..place, copy);
        }
        5 => bytes[at] = random.below(256) as u8,
        _ => bytes.extend((0..random.below(64)).map(|_| b'{')),
    }
}

/// Damages JSON in ways that mostly keep it valid.
fn damage_text(text: &mut Vec<u8>, random: &mut Random) {
    let digits = |text: &[u8], at: usize| {
        let start = (at..text.len()).find(|&i| text[i].is_ascii_digit()).unwrap_or(text.len());
        let end = (start..text.len()).find(|&i| !text[i].is_ascii_digit()).unwrap_or(text.len());
        start..end
    };
    let at = random.below(text.len());
    match random.below(4) {
        0 => drop(text.splice(digits(text, at), random.pick(&ABSURD).bytes())),
        1 => {
            // Replaces a number by another one from the file: often of the right kind, in the wrong place.
            let other = digits(text, random.below(text.len()));
            let other = text[other].to_vec();
            text.splice(digits(text, at), other);
        }
        2 => {
            // Within a string.
            let quote = (at..text.len()).find(|&i| text[i] == b'"').unwrap_or(0);
            text.splice(quote + 1..quote + 1, random.pick(&WORDS).bytes());
        }
        _ => damage(text, random),
    }
}

/// Damages the header of a safetensors file and corrects its length.
fn damage_header(bytes: &mut Vec<u8>, random: &mut Random) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header = bytes[8..8 + length].to_vec();
    damage_text(&mut header, random);
    let length = (header.len() as u64).to_le_bytes();
    bytes.splice(..8 + bytes_of_header(bytes), length.into_iter().chain(header));
}

fn bytes_of_header(bytes: &[u8]) -> usize {
    u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize
}

/// Damages `file` of the golden `model` this many times; returns how often it was refused.
fn refusals(model: &str, file: &str, times: usize, seed: u64) -> usize {
    let scratch = copy_of(model);
    let path = scratch.path().join(file);
    let original = fs::read(&path).unwrap();
    let mut random = Random(seed);
    let mut refused = 0;
    for time in 0..times {
        let mut bytes = original.clone();
        match (file.ends_with(".json"), random.below(4)) {
            (_, 0) => damage(&mut bytes, &mut random),
            (true, _) => damage_text(&mut bytes, &mut random),
            (false, 1) => {
                let length = 1u64 << random.below(64) | random.below(1000) as u64;
                bytes[..8].copy_from_slice(&length.to_le_bytes());
            }
            (false, _) => damage_header(&mut bytes, &mut random),
        }
        fs::write(&path, &bytes).unwrap();
        let case = || format!("{model}/{file}, damage {time}: {:?}", String::from_utf8_lossy(&bytes));
        refused += usize::from(is_refused(scratch.path(), &case));
    }
    refused
}

/// Whether a model is refused, with a sentence that names its file; in any case nothing panics or allocates much.
fn is_refused(path: &Path, case: &dyn Fn() -> String) -> bool {
    let (opened, largest) = largest_during(|| {
        catch_unwind(AssertUnwindSafe(|| open(path))).unwrap_or_else(|_| panic!("{}", case()))
    });
    assert!(largest <= LARGEST, "{largest} bytes at once: {}", case());
    if let Err(error) = &opened {
        let sentence = error.to_string();
        assert!(sentence.contains(path.to_str().unwrap()), "{sentence}\nnames no file: {}", case());
        assert!(sentence.len() < 1000, "{sentence}\nis too long: {}", case());
    }
    opened.is_err()
}

/// Damages a checkpoint anywhere, or within its first or last `about` bytes, which describe its contents.
fn checkpoint_refusals(name: &str, about: usize, times: usize, seed: u64) -> usize {
    let original = fs::read(checkpoint(name)).unwrap();
    let scratch = Scratch::new("damaged");
    let path = scratch.path().join(name);
    let mut random = Random(seed);
    let damaged = |time: usize| {
        let mut bytes = original.clone();
        let word = random.below(8) * 4;
        match random.below(5) {
            0 => damage(&mut bytes, &mut random),
            1 if name.ends_with(".bin") => {
                let number = 1u32 << random.below(32) | random.below(100) as u32;
                bytes[word..word + 4].copy_from_slice(&number.to_le_bytes());
            }
            n => {
                let part = if n % 2 == 0 { 0..about } else { bytes.len() - about..bytes.len() };
                let mut inner = bytes[part.clone()].to_vec();
                damage(&mut inner, &mut random);
                bytes.splice(part, inner);
            }
        }
        fs::write(&path, &bytes).unwrap();
        is_refused(&path, &|| format!("{name}, damage {time}"))
    };
    (0..times).map(damaged).filter(|refused| *refused).count()
}

#[test]
fn damaged_checkpoints_are_refused_or_harmless() {
    let refused = checkpoint_refusals("f32.bin", 32, 1000, 19);
    assert!(refused > 500, "f32.bin: {refused}");
    for (name, about, seed) in [("trained.pt", 9000, 23), ("unbiased.pt", 3000, 29), ("bf16.pt", 3000, 31)] {
        let refused = checkpoint_refusals(name, about, 1500, seed);
        assert!(refused > 700, "{name}: {refused}");
    }
}

#[test]
fn damaged_weights_are_refused_or_harmless() {
    for (seed, model) in ["f32", "bf16", "bare", "redundant", "untied"].into_iter().enumerate() {
        let refused = refusals(model, "model.safetensors", 600, 7 + seed as u64);
        assert!(refused > 300, "{model}: {refused}");
    }
    let refused = refusals("sharded", "model-00003-of-00005.safetensors", 600, 77);
    assert!(refused > 300, "sharded: {refused}");
}

/// A damaged packed folder is refused, or every parameter has its original numbers. One size is not in the file,
/// since rows are packed in panels: a different vocabulary size in config.json is accepted if it has the same
/// number of panels.
#[test]
fn damaged_packed_folders_are_refused_or_hold_the_same_numbers() {
    let one = Packing::ALL.map(|packing| (packing.name(), pack("f32", packing)));
    for (seed, (packing, scratch)) in one.into_iter().chain([("each", pack_each("f32"))]).enumerate() {
        let (_, whole, expected) = open(scratch.path()).unwrap();
        let mut random = Random(41 + seed as u64);
        for (file, times) in [("model.safetensors", 400), ("config.json", 400)] {
            let path = scratch.path().join(file);
            let original = fs::read(&path).unwrap();
            let mut refused = 0;
            for time in 0..times {
                let mut bytes = original.clone();
                match file {
                    "config.json" => damage_text(&mut bytes, &mut random),
                    _ => damage_header(&mut bytes, &mut random),
                }
                fs::write(&path, &bytes).unwrap();
                let case =
                    || format!("{packing} {file}, damage {time}: {:?}", String::from_utf8_lossy(&bytes));
                if is_refused(scratch.path(), &case) {
                    refused += 1;
                    continue;
                }
                let (_, plan, read) = open(scratch.path()).unwrap();
                assert_eq!(plan.specs.len(), whole.specs.len(), "{}", case());
                for (spec, before) in plan.specs.iter().zip(&whole.specs) {
                    let (after, before) = (&read[spec.span.clone()], &expected[before.span.clone()]);
                    let sized = after.len() == before.len() || spec.name == "embedding.token.weight";
                    let same = after.iter().zip(before).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(sized && same, "{}: other numbers: {}", spec.name, case());
                }
            }
            assert!(refused > times / 4, "{packing} {file}: {refused}");
            fs::write(&path, &original).unwrap();
        }
    }
}

#[test]
fn damaged_indexes_and_configs_are_refused_or_harmless() {
    let refused = refusals("sharded", "model.safetensors.index.json", 800, 11);
    assert!(refused > 400, "index: {refused}");
    for (seed, model) in ["f32", "inner", "untied"].into_iter().enumerate() {
        let refused = refusals(model, "config.json", 800, 13 + seed as u64);
        assert!(refused > 200, "{model}: {refused}");
    }
    refusals("f32", "generation_config.json", 500, 17);
}

/// Other files of a directory, which may be anything: they are opened, and refused, only when needed.
#[test]
fn damaged_tokenizer_files_do_not_keep_the_model_from_opening() {
    let scratch = copy_of("f32");
    let files =
        [("tokenizer.json", "{"), ("tokenizer_config.json", "[1]"), ("chat_template.jinja", "{% if %}")];
    for (file, text) in files {
        fs::write(scratch.path().join(file), text).unwrap();
    }
    let folder = Folder::open(scratch.path()).unwrap();
    let sentence = folder.tokenizer().err().unwrap().to_string();
    assert!(sentence.contains("tokenizer_config.json"), "{sentence}");
    let sentence = folder.template().err().unwrap().to_string();
    assert!(sentence.contains("tokenizer_config.json"), "{sentence}");
    fs::remove_file(scratch.path().join("tokenizer_config.json")).unwrap();
    let sentence = folder.tokenizer().err().unwrap().to_string();
    assert!(sentence.contains("tokenizer.json"), "{sentence}");
    let sentence = folder.template().err().unwrap().to_string();
    assert!(sentence.contains("chat_template.jinja"), "{sentence}");
}
