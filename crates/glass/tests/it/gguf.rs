//! GGUF: what is written is read again, and what is not whole is refused. `tools/check_gguf.py` holds both against llama.cpp and
//! the `gguf` package.

use std::fs;
use std::path::Path;

use glass::Config;
use glass::backend::{CacheType, Cpu, Packing};
use glass::engine::Engine;
use glass::generate::Runner;
use glass::model::Gpt;
use glass::tokens::{Special, Tokenizer};
use glass::weights::dtype::Dtype;
use glass::weights::folder::Folder;
use glass::weights::gguf::{Numbers, save};
use glass::weights::save::Save;
use glass::weights::{Frozen, Weights};

use crate::files::{golden, open, what};
use crate::scratch::Scratch;
use crate::tiny;

fn write(
    path: &Path,
    folder: &Folder,
    numbers: Numbers,
    tokenizer: Option<&Tokenizer>,
    template: Option<&str>,
) {
    let (_, plan) = Gpt::plan(folder.config());
    let what = Save {
        tokenizer,
        template,
        end_of_text: tokenizer.and_then(Tokenizer::end_of_text),
        generation: Some(folder.generation()),
        ..what(folder.config(), &plan, folder.dtype())
    };
    save(path, &what, numbers, &|spec, into| folder.read(spec, into)).unwrap();
}

#[test]
fn dense_weights_come_back_bit_for_bit() {
    for (model, dtype) in [("f32", Dtype::F32), ("untied", Dtype::F32), ("inner", Dtype::F32)] {
        let scratch = Scratch::new(&format!("gguf-{model}"));
        let (folder, _, arena) = open(&golden(model)).unwrap();
        let path = scratch.path().join("model.gguf");
        write(&path, &folder, Numbers::Dense(dtype), None, None);
        let (again, _, read) = open(&path).unwrap();
        assert_eq!(again.config(), folder.config(), "{model}");
        assert!(read.iter().zip(&arena).all(|(a, b)| a.to_bits() == b.to_bits()), "{model}");
    }
}

/// A model whose sizes are whole blocks.
fn blocks(scratch: &Scratch) -> Folder {
    let config = Config::gpt2(300, 16, 64, 2, 2);
    let (_, plan) = Gpt::plan(&config);
    let learner = tiny::learner(&config, 1, 5);
    let what = Save { end_of_text: None, ..what(&config, &plan, Dtype::F32) };
    let read = |spec: &glass::plan::Spec, into: &mut [f32]| {
        learner.read(spec, into);
        Ok(())
    };
    glass::weights::save::save(scratch.path(), &what, &read).unwrap();
    Folder::open(scratch.path()).unwrap()
}

#[test]
fn quantised_weights_run_as_if_packed_here() {
    let scratch = Scratch::new("gguf-blocks");
    let folder = blocks(&scratch);
    let (gpt, plan) = Gpt::plan(folder.config());
    let (cpu, ids) = (Cpu::new(1), tiny::ids(12, 300, 3));
    for packing in [Packing::Bf16, Packing::Q8, Packing::Q4] {
        let path = scratch.path().join(format!("{}.gguf", packing.name()));
        write(&path, &folder, Numbers::of(packing), None, None);
        assert_eq!(Folder::open(&path).unwrap().is_quantised(), packing != Packing::Bf16);
        let packed = Frozen::load(&cpu, &plan, packing, &|spec, into| folder.read(spec, into)).unwrap();
        let mut here =
            Runner::within(&cpu, &gpt, Weights::Frozen(&packed), CacheType::Bf16, gpt.config.context)
                .unwrap();
        here.feed(&ids).unwrap();
        let engine = Engine::open(Cpu::new(1), &path).unwrap();
        let mut there = engine.runner().unwrap();
        there.feed(&ids).unwrap();
        assert!(here.logits() == there.logits(), "{packing:?}");
    }
}

#[test]
fn the_vocabulary_and_the_template_come_along() {
    let scratch = Scratch::new("gguf-words");
    let (folder, words) = (blocks(&scratch), Tokenizer::gpt2());
    // More rows than tokens, as nanoGPT pads them, cannot be had with GPT-2's vocabulary at this size: it is cut to bytes.
    let json = words.to_json();
    let mut file: serde_json::Value = serde_json::from_str(&json).unwrap();
    let vocab = file["model"]["vocab"].as_object_mut().unwrap();
    vocab.retain(|_, id| id.as_u64().unwrap() < 256);
    file["model"]["merges"] = serde_json::json!([]);
    file["added_tokens"] = serde_json::json!([]);
    let bytes = Tokenizer::from_json("bytes", file.to_string().as_bytes()).unwrap();
    let words = bytes.with_specials(&["<|endoftext|>", "<|im_end|>"]).unwrap();
    let path = scratch.path().join("words.gguf");
    write(&path, &folder, Numbers::Q8, Some(&words), Some("{{ eos_token }}"));
    let again = Folder::open(&path).unwrap();
    let read = again.tokenizer().unwrap().unwrap();
    let text = "Hello, naïve 日本<|endoftext|>!";
    for special in [Special::Plain, Special::Allowed] {
        assert_eq!(read.encode(text, special), words.encode(text, special));
    }
    assert_eq!(read.vocabulary_size(), words.vocabulary_size());
    assert_eq!(again.generation().eos, [256]);
    assert_eq!(again.template().unwrap().unwrap().render(&[], false).unwrap(), "<|endoftext|>");
}

/// More rows than are read at once, and one more, between every two forms.
#[test]
fn long_tables_are_written_in_parts() {
    let scratch = Scratch::new("gguf-long");
    let config = Config::gpt2(4097, 8, 64, 1, 2);
    let (_, plan) = Gpt::plan(&config);
    let numbers = |spec: &glass::plan::Spec, into: &mut [f32]| {
        into.iter_mut().zip(spec.span.clone()).for_each(|(w, at)| *w = (at % 251) as f32 / 8.0 - 9.0);
        Ok(())
    };
    let what = what(&config, &plan, Dtype::F32);
    let cpu = Cpu::new(1);
    let dense = scratch.path().join("dense");
    glass::weights::save::save(&dense, &what, &numbers).unwrap();
    let packed = scratch.path().join("packed");
    let weights = Frozen::load(&cpu, &plan, Packing::F32, &numbers).unwrap();
    glass::weights::packed::save(&packed, &what, Packing::F32, &cpu, &weights).unwrap();
    let mut expected = vec![0.0; plan.len()];
    for spec in &plan.specs {
        numbers(spec, &mut expected[spec.span.clone()]).unwrap();
    }
    for from in [&dense, &packed] {
        let folder = Folder::open(from).unwrap();
        let to = scratch.path().join("again.gguf");
        write(&to, &folder, Numbers::Dense(Dtype::F32), None, None);
        assert!(open(&to).unwrap().2 == expected, "{}", from.display());
        let to = scratch.path().join("again");
        glass::weights::save::save(&to, &what, &|spec, into| folder.read(spec, into)).unwrap();
        assert!(open(&to).unwrap().2 == expected, "{}", from.display());
    }
}

#[test]
fn a_file_that_is_not_whole_is_refused() {
    let scratch = Scratch::new("gguf-broken");
    let path = scratch.path().join("model.gguf");
    write(&path, &Folder::open(&golden("f32")).unwrap(), Numbers::Dense(Dtype::F32), None, None);
    let whole = fs::read(&path).unwrap();
    let refused = |bytes: &[u8], part: &str| {
        fs::write(&path, bytes).unwrap();
        let error = open(&path).err().expect("refused").to_string();
        assert!(error.contains("model.gguf") && error.contains(part), "{error}, not {part}");
    };
    refused(&whole[..20], "cut short");
    refused(&whole[..200], "cut short");
    refused(&whole[..whole.len() - 1000], "within the file");
    let other = |from: &[u8], to: &[u8]| {
        let at = whole.windows(from.len()).position(|part| part == from).unwrap();
        [&whole[..at], to, &whole[at + from.len()..]].concat()
    };
    refused(&other(b"\x04\0\0\0\0\0\0\0gpt2", b"\x04\0\0\0\0\0\0\0gpt9"), "architecture");
    refused(&other(b"GGUF\x03", b"GGUF\x01"), "version");
    refused(&other(b"blk.0.attn_qkv.weight", b"blk.0.attn_qkx.weight"), "attn_qkx");
}

/// No byte of the head brings the program down, whatever it becomes.
#[test]
fn any_damage_is_an_error() {
    let scratch = Scratch::new("gguf-damaged");
    let path = scratch.path().join("model.gguf");
    write(&path, &Folder::open(&golden("f32")).unwrap(), Numbers::Dense(Dtype::F32), None, None);
    let whole = fs::read(&path).unwrap();
    let head = whole.windows(11).rposition(|part| part == b"output_norm").unwrap().min(whole.len());
    for at in (4..head.min(3000)).step_by(3) {
        for value in [0, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            fs::write(&path, &bytes).unwrap();
            let _ = open(&path);
        }
    }
}
