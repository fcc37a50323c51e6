//! Where weights are in files: the bytes at these places, read from the disk, give the number that the model computes with.

use std::fs;
use std::path::Path;

use glass::backend::{Cpu, Packing};
use glass::inspect::Inspector;
use glass::model::Gpt;
use glass::text_model::TextModel;
use glass::weights::dtype::Dtype;
use glass::weights::gguf::Numbers;
use glass::weights::place::{Bytes, InFile};
use glass_kernels::format::{bf16_to_f32, f16_to_f32};

use crate::checkpoints::checkpoint;
use crate::files::golden;
use crate::gguf::{blocks, write};
use crate::packed::pack;
use crate::packed_gguf::packed_each;
use crate::scratch::Scratch;

/// The number that bytes say, by the type of their tensor.
fn number(found: &InFile, bytes: &[&[u8]]) -> f32 {
    let half = |bytes: &[u8]| u16::from_le_bytes(bytes.try_into().unwrap());
    let upper = found.bytes[0].means.starts_with("the upper");
    let nibble = |byte: u8| f32::from(if upper { byte >> 4 } else { byte & 15 }) - 8.0;
    match (found.dtype.split(',').next().unwrap(), bytes) {
        ("F32" | "f32", [a]) => f32::from_le_bytes((*a).try_into().unwrap()),
        ("F64", [a]) => f64::from_le_bytes((*a).try_into().unwrap()) as f32,
        ("F16", [a]) => f16_to_f32(half(a)),
        ("BF16" | "bf16", [a]) => bf16_to_f32(half(a)),
        ("q8", [q, scale]) => (f32::from(q[0]) - 128.0) * f16_to_f32(half(scale)),
        ("Q8_0", [q, scale]) => f32::from(q[0] as i8) * f16_to_f32(half(scale)),
        ("q4" | "Q4_0", [q, scale]) => nibble(q[0]) * f16_to_f32(half(scale)),
        (name, bytes) => few_bits(name, found, bytes),
    }
}

/// The number in a packing of few bits: its lowest bits, the bits above them, scale and minimum.
fn few_bits(name: &str, found: &InFile, bytes: &[&[u8]]) -> f32 {
    let packing = Packing::ALL.into_iter().find(|packing| packing.name() == name).expect(name);
    let format = packing.format().unwrap();
    // "… 2 bits from bit 4 on: …"
    let some_bits = |at: usize, count: usize| {
        let from = found.bytes[at].means.split("from bit ").nth(1);
        let from = match from.and_then(|from| from.split(' ').next()) {
            Some(from) => from.parse().unwrap(),
            None if found.bytes[at].means.starts_with("the upper") => 4,
            None => 0,
        };
        bytes[at][0] >> from & ((1 << count) - 1)
    };
    let half = |at: usize| f16_to_f32(u16::from_le_bytes(bytes[at].try_into().unwrap()));
    let high = usize::from(format.high > 0);
    let stored = some_bits(0, format.low) | (high as u8 * some_bits(high, format.high)) << (format.low % 8);
    let scaled = format.value(stored) as f32 * half(1 + high);
    assert_eq!(bytes.len(), 2 + high + usize::from(format.minimum), "{name}");
    if format.minimum { scaled + half(2 + high) } else { scaled }
}

/// Checks weights of every parameter against the bytes of `file`.
fn check(model: &TextModel<Cpu>, file: &dyn Fn(&str) -> Vec<u8>) -> Vec<InFile> {
    let (_, plan) = Gpt::plan(model.config());
    let inspector = Inspector::new(model, 1, 1).unwrap();
    let mut seen = Vec::new();
    let mut read: Option<(String, Vec<u8>)> = None;
    for spec in &plan.specs {
        let values = inspector.parameter(&spec.name).unwrap();
        for at in (0..spec.rows * spec.cols).step_by((spec.rows * spec.cols / 97).max(1)) {
            let (row, column) = (at / spec.cols, at % spec.cols);
            let found = model.folder.in_file(spec, row, column).unwrap();
            if read.as_ref().is_none_or(|(name, _)| *name != found.file) {
                read = Some((found.file.clone(), file(&found.file)));
            }
            let of_file = &read.as_ref().unwrap().1;
            let bytes = |one: &Bytes| &of_file[one.offset..one.offset + one.bytes.len()];
            let on_disk: Vec<&[u8]> = found.bytes.iter().map(bytes).collect();
            assert!(found.bytes.iter().zip(&on_disk).all(|(one, on_disk)| one.bytes == *on_disk));
            let value = values.values[at];
            let name = (&spec.name, row, column, &found);
            assert_eq!(found.value.to_bits(), value.to_bits(), "{name:?}");
            assert_eq!(number(&found, &on_disk).to_bits(), value.to_bits(), "{name:?}");
            seen.push(found);
        }
        assert!(model.folder.in_file(spec, spec.rows, 0).is_err());
        assert!(model.folder.in_file(spec, 0, spec.cols).is_err());
    }
    seen
}

fn of_path(path: &Path) -> Vec<InFile> {
    let model = TextModel::open(Cpu::new(1), path).unwrap();
    let folder = if path.is_dir() { path } else { path.parent().unwrap() };
    check(&model, &|name| fs::read(folder.join(name)).unwrap())
}

#[test]
fn in_safetensors_of_every_layout() {
    for name in ["f32", "bf16", "f16", "untied", "inner", "sharded", "bare", "redundant"] {
        let found = of_path(&golden(name));
        let prefix = if name == "bare" { "wte" } else { "transformer.wte" };
        assert!(
            found.iter().any(|one| one.tensor == format!("{prefix}.weight")),
            "{name}: {}",
            found[0].tensor
        );
    }
    // Names and places are those that the safetensors package reads.
    let bytes = fs::read(golden("f32").join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for found in of_path(&golden("f32")) {
        let tensor = tensors.tensor(&found.tensor).unwrap().data();
        let start = tensor.as_ptr() as usize - bytes.as_ptr() as usize;
        let at = &found.bytes[0];
        assert!((start..start + tensor.len()).contains(&at.offset), "{found:?}");
    }
}

#[test]
fn in_checkpoints_of_other_programs() {
    for name in
        ["f32.bin", "bf16.bin", "trained.pt", "f16.pt", "bf16.pt", "f64.pt", "untied.pt", "unbiased.pt"]
    {
        let found = of_path(&checkpoint(name));
        assert!(found.iter().all(|one| one.file == name), "{name}");
        assert!(found[0].tensor.contains("wte.weight"), "{name}: {}", found[0].tensor);
    }
    let scratch = Scratch::new("places-torch");
    fs::copy(golden("f32").join("config.json"), scratch.path().join("config.json")).unwrap();
    fs::copy(checkpoint("pytorch_model.bin"), scratch.path().join("pytorch_model.bin")).unwrap();
    assert!(of_path(scratch.path()).iter().all(|one| one.file == "pytorch_model.bin"));
}

#[test]
fn in_packed_models_of_every_packing() {
    for (model, packing) in ["f32", "untied", "inner"].into_iter().flat_map(|m| Packing::ALL.map(|p| (m, p)))
    {
        let found = of_path(pack(model, packing).path());
        assert_eq!(found[0].tensor, "embedding.token.weight");
        let shown = if packing.is_quantised() { "q8" } else { packing.name() };
        assert!(found[0].dtype.starts_with(shown), "{}", found[0].dtype);
    }
    let found = of_path(packed_each().path());
    for packing in Packing::ALL {
        let shown = format!("{}, in panels of 64 rows", packing.name());
        assert!(found.iter().any(|one| one.dtype == shown), "{shown}");
    }
}

#[test]
fn in_gguf() {
    let scratch = Scratch::new("places-gguf");
    let folder = blocks(&scratch);
    let dense = [Dtype::F32, Dtype::F16, Dtype::Bf16].map(Numbers::Dense);
    let packed = [Packing::Q8, Packing::Q4].map(Numbers::of);
    let dtypes = ["F32", "F16", "BF16", "Q8_0", "Q4_0"];
    for (numbers, dtype) in dense.into_iter().chain(packed).zip(dtypes) {
        let path = scratch.path().join(format!("{dtype}.gguf"));
        write(&path, &folder, numbers, None, None);
        let found = of_path(&path);
        assert!(
            found.iter().any(|one| one.dtype == dtype && one.tensor == "blk.1.attn_qkv.weight"),
            "{dtype}"
        );
    }
}

#[test]
fn in_the_built_in_model() {
    let Some(folder) = glass::built_in::model() else { return };
    let model = TextModel::new(Cpu::new(2), folder.unwrap()).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let found = check(&model, &|name| fs::read(folder.join(name)).unwrap());
    assert!(found.iter().all(|one| one.file == "model.safetensors"));
}
