//! Packed models: what was packed runs unchanged from the file, in every way of running it.

use std::fs;

use glass::backend::{Cpu, Layout, Packing};
use glass::config::Packings;
use glass::generate::Runner;
use glass::model::Gpt;
use glass::plan::Spec;
use glass::runtime::cache_for;
use glass::text_model::TextModel;
use glass::weights::folder::Folder;
use glass::weights::{Frozen, Weights, packed};

use crate::files::{edit, golden, refused, what};
use crate::scratch::Scratch;
use crate::tiny;

/// A golden model, packed into a directory.
pub fn pack(model: &str, packing: Packing) -> Scratch {
    let folder = Folder::open(&golden(model)).unwrap();
    let (_, plan) = Gpt::plan(folder.config());
    let cpu = Cpu::new(1);
    let weights = Frozen::load(&cpu, &plan, packing, &|spec, into| folder.read(spec, into)).unwrap();
    let scratch = Scratch::new(&format!("packed-{model}-{}", packing.name()));
    let what = what(folder.config(), &plan, folder.dtype());
    packed::save(scratch.path(), &what, &Packings::One(packing), &cpu, &weights).unwrap();
    scratch
}

/// The same in 8 bits, where `config.json` says so of every matrix.
pub fn pack_each(model: &str) -> Scratch {
    let scratch = pack(model, Packing::Q8);
    let (_, plan) = Gpt::plan(Folder::open(scratch.path()).unwrap().config());
    let in_panels = |spec: &&Spec| packed::layout(spec, Packing::Q8) != Layout::Rows;
    let lines: Vec<String> = plan
        .specs
        .iter()
        .filter(in_panels)
        .map(|spec| format!("\n      \"{}\": \"q8\"", spec.name))
        .collect();
    edit(
        &scratch,
        "config.json",
        "\"packing\": \"q8\"",
        &format!("\"packing\": {{{}\n    }}", lines.join(",")),
    );
    scratch
}

/// The logits after each id, in one pass.
fn logits(cpu: &Cpu, gpt: &Gpt, weights: &Frozen<Cpu>, packing: Packing, ids: &[u32]) -> Vec<Vec<f32>> {
    let weights = Weights::Frozen(weights);
    let mut runner = Runner::within(cpu, gpt, weights, cache_for(packing), gpt.config.context).unwrap();
    let mut all = Vec::new();
    runner.feed_each(ids, &mut |_, logits| all.push(logits.to_vec())).unwrap();
    all
}

#[test]
fn a_packed_file_runs_as_what_was_packed() {
    for (model, packing) in ["f32", "untied", "inner"].into_iter().flat_map(|m| Packing::ALL.map(|p| (m, p)))
    {
        let dense = Folder::open(&golden(model)).unwrap();
        let (gpt, plan) = Gpt::plan(dense.config());
        let cpu = Cpu::new(2);
        let weights = Frozen::load(&cpu, &plan, packing, &|spec, into| dense.read(spec, into)).unwrap();
        let ids = tiny::ids(gpt.config.context.min(12), gpt.config.vocabulary, 3);
        let expected = logits(&cpu, &gpt, &weights, packing, &ids);
        let scratch = pack(model, packing);
        let engine = TextModel::open(Cpu::new(1), scratch.path()).unwrap();
        let mut runner = engine.runner().unwrap();
        for (at, (&id, expected)) in ids.iter().zip(&expected).enumerate() {
            runner.feed(&[id]).unwrap();
            assert!(runner.logits().unwrap() == expected, "{model} {packing:?}: token {at}, read one by one");
        }
    }
}

/// A packed file, read back as floats, is a dense model with nearly the same logits.
#[test]
fn fewer_bits_are_close() {
    for (packing, most) in
        [(Packing::F32, 0.0), (Packing::Bf16, 0.01), (Packing::Q8, 0.02), (Packing::Q4, 0.3)]
    {
        let scratch = pack("f32", packing);
        let (folder, dense) = (Folder::open(scratch.path()).unwrap(), Folder::open(&golden("f32")).unwrap());
        assert_eq!(folder.packings(), Some(&Packings::One(packing)));
        let (gpt, plan) = Gpt::plan(folder.config());
        let cpu = Cpu::new(1);
        let ids = tiny::ids(gpt.config.context.min(12), gpt.config.vocabulary, 4);
        let of = |folder: &Folder| {
            let read =
                Frozen::load(&cpu, &plan, Packing::F32, &|spec, into| folder.read(spec, into)).unwrap();
            logits(&cpu, &gpt, &read, Packing::F32, &ids).concat()
        };
        let (packed, dense) = (of(&folder), of(&dense));
        let length = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let error: Vec<f32> = packed.iter().zip(&dense).map(|(a, b)| a - b).collect();
        let relative = length(&error) / length(&dense);
        assert!(relative <= most && (relative > 0.0 || packing == Packing::F32), "{packing:?}: {relative}");
    }
}

#[test]
fn a_packed_file_that_is_not_whole_is_refused() {
    let scratch = pack("f32", Packing::Q8);
    edit(&scratch, "config.json", "\"q8\"", "\"q9\"");
    refused(&scratch, &["config.json", "packing", "q9", "q4"]);
    edit(&scratch, "config.json", "\"q9\"", "\"q4\"");
    refused(&scratch, &["model.safetensors", "weight", "shape", "config.json requires"]);
    edit(&scratch, "config.json", "\"q4\"", "\"q8\"");
    edit(&scratch, "config.json", "\"packed_by\": \"glass\"", "\"quant_method\": \"gptq\"");
    refused(&scratch, &["config.json", "quant_method", "gptq"]);
    // As in the first version of the format.
    edit(&scratch, "config.json", "\"gptq\"", "\"glass\"");
    Folder::open(scratch.path()).unwrap();
    let path = scratch.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let name = b"block.0.attention.key.weight";
    let at = bytes.windows(name.len()).position(|part| part == name).unwrap();
    bytes[at + 10..at + 19].copy_from_slice(b"attenti0n");
    fs::write(&path, &bytes).unwrap();
    refused(&scratch, &["block.0.attention.key.weight", "missing"]);
    // Reading is refused too if the file was not compared with the plan.
    let folder = Folder::open(scratch.path()).unwrap();
    let (_, plan) = Gpt::plan(folder.config());
    let key = plan.specs.iter().find(|spec| spec.name.as_bytes() == name).unwrap();
    let error = folder.read(key, &mut vec![0.0; key.rows * key.cols]).unwrap_err().to_string();
    assert!(error.contains("missing"), "{error}");
    let dense = golden("f32").join("model.safetensors");
    fs::copy(dense, &path).unwrap();
    refused(&scratch, &["blocks"]);
}
