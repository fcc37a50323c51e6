//! Quantised GGUF files kept number for number in packed folders: every matrix in a packing of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use glass::backend::{Cpu, Packing};
use glass::config::{Family, Packings};
use glass::families;
use glass::model::Gpt;
use glass::text_model::TextModel;
use glass::weights::dtype::Dtype;
use glass::weights::folder::Folder;
use glass::weights::gguf::{Numbers, save};
use glass::weights::{Frozen, packed};
use glass_kernels::format::{f32_to_bf16, f32_to_f16};
use serde_json::Value;

use crate::files::{edit, open, refused, what};
use crate::scratch::Scratch;
use crate::tiny;

/// Kinds of tensors by their numbers in a file, and the packings in which they are run.
const KINDS: [(u32, &str, Packing); 16] = [
    (2, "Q4_0", Packing::Q4),
    (3, "Q4_1", Packing::Q4m),
    (6, "Q5_0", Packing::Q5),
    (7, "Q5_1", Packing::Q5m),
    (8, "Q8_0", Packing::Q8),
    (10, "Q2_K", Packing::Q2m),
    (11, "Q3_K", Packing::Q3),
    (12, "Q4_K", Packing::Q4m),
    (13, "Q5_K", Packing::Q5m),
    (14, "Q6_K", Packing::Q6),
    (20, "IQ4_NL", Packing::Iq4),
    (23, "IQ4_XS", Packing::Iq4),
    (39, "MXFP4", Packing::Mxfp4),
    (30, "BF16", Packing::Bf16),
    (1, "F16", Packing::F32),
    (0, "F32", Packing::F32),
];

/// Writes a small Llama whose matrices are of all kinds, one after another from kind number `first` on.
fn mixed(path: &Path, first: usize) {
    let mut config = families::config(Family::Llama, 70, 32, 256, 2, 4);
    (config.mlp_width, config.tied) = (256, false);
    let learner = tiny::learner(&config, 1, 5);
    let dense = path.with_extension("dense");
    save(&dense, &what(&config, learner.plan(), Dtype::F32), Numbers::Dense(Dtype::F32), &|spec, into| {
        learner.read(spec, into);
        Ok(())
    })
    .unwrap();
    let file = fs::read(dense).unwrap();
    let mut kinds = KINDS.into_iter().cycle().skip(first);
    fs::write(path, retyped(&file, &mut |sizes| if sizes == 1 { KINDS[15] } else { kinds.next().unwrap() }))
        .unwrap();
}

/// A file of 32-bit floats with every tensor in the kind that `kind` gives for its number of dimensions.
fn retyped(file: &[u8], kind: &mut dyn FnMut(u32) -> (u32, &'static str, Packing)) -> Vec<u8> {
    let u32_at = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
    let name = [&[19, 0, 0, 0, 0, 0, 0, 0][..], b"blk.0.attn_k.weight"].concat();
    let first = file.windows(name.len()).position(|part| part == name).unwrap();
    let (mut at, mut read) = (first, Vec::new());
    for _ in 0..u64_at(8) {
        let begin = at;
        at += 8 + u64_at(at);
        let sizes = u32_at(at);
        let numbers: usize = (0..sizes as usize).map(|size| u64_at(at + 4 + 8 * size)).product();
        at += 4 + 8 * sizes as usize;
        read.push((begin..at, sizes, numbers, u64_at(at + 4)));
        at += 12;
    }
    assert_eq!(read[0].3, 0, "the first tensor is the first by name");
    let (start, mut head, mut data) = (at.next_multiple_of(32), file[..first].to_vec(), Vec::new());
    for (about, sizes, numbers, offset) in read {
        let (number, kind, _) = kind(sizes);
        head.extend(&file[about]);
        head.extend(number.to_le_bytes());
        head.extend((data.len() as u64).to_le_bytes());
        let floats = &file[start + offset..][..4 * numbers];
        let floats = floats.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        match kind {
            "F32" => data.extend(floats.flat_map(f32::to_le_bytes)),
            "F16" => data.extend(floats.flat_map(|w| f32_to_f16(w).to_le_bytes())),
            "BF16" => data.extend(floats.flat_map(|w| f32_to_bf16(w).to_le_bytes())),
            _ => blocks(&mut data, kind, numbers),
        }
        data.resize(data.len().next_multiple_of(32), 0);
    }
    head.resize(head.len().next_multiple_of(32), 0);
    [head, data].concat()
}

/// Appends blocks whose scales are those of the golden ones; other bytes are random.
fn blocks(to: &mut Vec<u8>, kind: &str, numbers: usize) {
    let golden: Value = serde_json::from_str(include_str!("../golden/gguf_blocks.json")).unwrap();
    let hex = golden[kind]["bytes"].as_str().unwrap();
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let block = &bytes[..bytes.len() / 2];
    let (weights, other) = if kind.ends_with("_K") || kind == "IQ4_XS" { (256, 16..80) } else { (32, 4..17) };
    let mut random = numbers as u64 ^ 0x9e37_79b9_7f4a_7c15;
    for _ in 0..numbers / weights {
        let begin = to.len();
        to.extend(block);
        for byte in &mut to[begin..][other.clone()] {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (random >> 56) as u8;
        }
    }
}

/// Packs a file as `glass convert --packed` does.
fn pack(path: &Path, to: &Path) -> Packings {
    let folder = Folder::open(path).unwrap();
    let (_, plan) = Gpt::plan(folder.config());
    folder.check(&plan).unwrap();
    let (cpu, packings) = (Cpu::new(2), folder.opened_as(&plan).unwrap());
    let weights = Frozen::open(&cpu, &plan, &folder).unwrap();
    packed::save(to, &what(folder.config(), &plan, folder.dtype()), &packings, &cpu, &weights).unwrap();
    packings
}

fn logits(path: &Path, threads: usize) -> Vec<u32> {
    let model = TextModel::open(Cpu::new(threads), path).unwrap();
    let mut runner = model.runner().unwrap();
    let mut all = Vec::new();
    let mut each = |_, row: &[f32]| all.extend(row.iter().map(|logit| logit.to_bits()));
    runner.feed_each(&tiny::ids(9, 70, 5), &mut each).unwrap();
    runner.feed_each(&[3], &mut each).unwrap();
    all
}

#[test]
fn a_packed_file_of_any_kinds_gives_the_same_bits() {
    let mut seen = BTreeSet::new();
    for first in [0, 5, 11] {
        let scratch = Scratch::new("packed-gguf");
        let (path, to) = (scratch.path().join("m.gguf"), scratch.path().join("packed"));
        mixed(&path, first);
        let packings = pack(&path, &to);
        let folder = Folder::open(&to).unwrap();
        assert_eq!(folder.packings(), Some(&packings));
        let (_, plan) = Gpt::plan(folder.config());
        assert_eq!(folder.opened_as(&plan).unwrap(), packings);
        let Packings::Each(each) = packings else { panic!("{packings:?}") };
        seen.extend(each.values().map(|packing| packing.name()));
        let expected = logits(&path, 2);
        assert!(expected.iter().all(|bits| f32::from_bits(*bits).is_finite()));
        assert!(expected[..70].iter().collect::<BTreeSet<_>>().len() > 60, "the logits say something");
        assert!(logits(&to, 1) == expected, "from kind {first} on");
        // Read as floats, the panels hold the file's numbers, with scales and minima rounded to 16 bits.
        let ((_, _, ours), (_, _, file)) = (open(&to).unwrap(), open(&path).unwrap());
        let largest = file.iter().fold(0.0f32, |most, w| most.max(w.abs()));
        assert!(ours.iter().zip(&file).all(|(a, b)| (a - b).abs() <= largest / 1024.0));
    }
    assert_eq!(seen, Packing::ALL.iter().map(|packing| packing.name()).collect());
}

/// Of a file in one kind, the folder is that of a model in one packing.
#[test]
fn one_kind_is_one_packing() {
    let scratch = Scratch::new("packed-gguf-one");
    let folder = crate::gguf::blocks(&scratch);
    for packing in [Packing::Bf16, Packing::Q8, Packing::Q4] {
        let path = scratch.path().join(format!("{}.gguf", packing.name()));
        crate::gguf::write(&path, &folder, Numbers::of(packing), None, None);
        let to = path.with_extension("packed");
        assert_eq!(pack(&path, &to), Packings::One(packing));
        let config = fs::read_to_string(to.join("config.json")).unwrap();
        assert!(config.contains(&format!("\"packing\": \"{}\"", packing.name())), "{config}");
    }
}

/// A folder with every matrix in a packing of its own.
pub fn packed_each() -> Scratch {
    let scratch = Scratch::new("packed-each");
    let path = scratch.path().join("m.gguf");
    mixed(&path, 0);
    pack(&path, scratch.path());
    scratch
}

#[test]
fn packings_that_do_not_fit_are_refused_by_name() {
    let scratch = packed_each();
    let key = "block.1.attention.key.weight";
    let config = fs::read_to_string(scratch.path().join("config.json")).unwrap();
    let line = config.lines().find(|line| line.contains(key)).unwrap().to_string();
    let said = line.split('"').nth(3).unwrap();
    let other = if said == "q8" { "q6" } else { "q8" };
    for (to, parts) in [
        (
            line.replace(said, "q9"),
            &["config.json: quantization_config: packing", key, "\"q9\"", "\"q2m\""][..],
        ),
        (line.replace(&format!("\"{said}\""), "8"), &["packing", key, "is 8;", "one of"]),
        (line.replace(&format!("\"{said}\""), "null"), &["packing", key, "is null;", "one of"]),
        (String::new(), &["config.json: quantization_config: packing", key, "is missing", "\"q4m\""]),
        (line.replace(said, other), &["model.safetensors", key, "shape", "config.json requires"]),
        (line.replace("key", "kez"), &["config.json: quantization_config: packing", "key", "is missing"]),
        (format!("{line} \"norm.gain\": \"q8\","), &["packing: \"norm.gain\" is not a matrix of this model"]),
        (
            format!("{line} \"block.2.mlp.up.weight\": \"q8\","),
            &["\"block.2.mlp.up.weight\" is not a matrix"],
        ),
    ] {
        edit(&scratch, "config.json", &line, &to);
        refused(&scratch, parts);
        fs::write(scratch.path().join("config.json"), &config).unwrap();
    }
    open(scratch.path()).unwrap();
    let whole: Value = serde_json::from_str(&config).unwrap();
    for (packing, part) in [
        ("{}", "embedding.token.weight is missing"),
        ("[]", "packing is []"),
        ("null", "packing is null"),
        ("\"q8\"", "config.json requires"),
    ] {
        let mut wrong = whole.clone();
        wrong["quantization_config"]["packing"] = serde_json::from_str(packing).unwrap();
        fs::write(scratch.path().join("config.json"), wrong.to_string()).unwrap();
        refused(&scratch, &[part]);
    }
}
