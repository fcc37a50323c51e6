//! GGUF: what is written can be read again, and incomplete files are refused. `tools/check_gguf.py` compares both
//! with llama.cpp and the `gguf` package.

use std::fs;
use std::path::Path;

use glass::Config;
use glass::backend::{CacheType, Cpu, Packing};
use glass::config::Packings;
use glass::generate::Runner;
use glass::model::Gpt;
use glass::text_model::TextModel;
use glass::tokens::{Special, Tokenizer};
use glass::weights::dtype::Dtype;
use glass::weights::folder::Folder;
use glass::weights::gguf::{Numbers, save};
use glass::weights::save::Save;
use glass::weights::{Frozen, Weights};

use crate::allocations::peak_during;
use crate::files::{copy_of, golden, open, what};
use crate::scratch::Scratch;
use crate::tiny;

pub fn write(
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
pub fn blocks(scratch: &Scratch) -> Folder {
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
        let engine = TextModel::open(Cpu::new(1), &path).unwrap();
        let mut there = engine.runner().unwrap();
        there.feed(&ids).unwrap();
        assert!(here.logits().unwrap() == there.logits().unwrap(), "{packing:?}");
    }
}

#[test]
fn the_vocabulary_and_the_template_come_along() {
    let scratch = Scratch::new("gguf-words");
    let (folder, words) = (blocks(&scratch), Tokenizer::gpt2());
    // More rows than tokens, as nanoGPT pads them, is not possible with GPT-2's vocabulary at this size, so it is
    // reduced to bytes.
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

/// What a file says of its texts, or does not say, counts as in llama.cpp, from which the ids are (llama-cpp-python 0.3.36).
#[test]
fn the_split_and_the_tokens_around_a_text_are_llama_cpps() {
    const TEXT: &str = "Hello 12345, it's $9.50!! a<|endoftext|>b";
    let scratch = Scratch::new("gguf-around");
    let config = Config::gpt2(50257, 4, 4, 1, 1);
    let (_, plan) = Gpt::plan(&config);
    let tokenizer = Tokenizer::gpt2();
    let what = Save {
        tokenizer: Some(&tokenizer),
        end_of_text: tokenizer.end_of_text(),
        ..what(&config, &plan, Dtype::Bf16)
    };
    let path = scratch.path().join("model.gguf");
    save(&path, &what, Numbers::Dense(Dtype::Bf16), &|_, into| {
        into.fill(0.0);
        Ok(())
    })
    .unwrap();
    let whole = fs::read(&path).unwrap();
    let key = |name: &str| [&(name.len() as u64).to_le_bytes()[..], name.as_bytes()].concat();
    let put = |file: &mut Vec<u8>, from: &[u8], to: &[u8]| {
        let at = file.windows(from.len()).position(|part| part == from).unwrap();
        file.splice(at..at + from.len(), to.iter().copied());
    };
    let flag = |name: &str, on: u8| [&key(name)[..], &7u32.to_le_bytes(), &[on]].concat();
    let [bos, eos] = ["tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"];
    type Change<'a> = &'a dyn Fn(&mut Vec<u8>);
    let without_pre: Change = &|file| put(file, &key("tokenizer.ggml.pre"), &key("tokenizer.ggml.prx"));
    // Two bytes more, and two less in a name that is not read, so that the tensors stay where they are.
    let default: Change = &|file| {
        put(file, &key("gpt-2"), &key("default"));
        put(file, &key("general.file_type"), &key("general.file_ty"));
    };
    let set =
        |name: &'static str, on: u8| move |file: &mut Vec<u8>| put(file, &flag(name, 0), &flag(name, on));
    let without = |name: &'static str| {
        move |file: &mut Vec<u8>| put(file, &key(name), &key(&name.replace("_token", "_tokex")))
    };
    let inner = [15496, 17031, 2231, 11, 340, 338, 720, 24, 13, 1120, 3228, 257, 50256, 65];
    let split = vec![15496, 220, 10163, 2231, 11, 340, 6, 82, 220, 3, 24, 13, 1120, 3228, 257, 50256, 65];
    let around = |start: &[u32], end: &[u32]| [start, &inner, end].concat();
    for (name, changes, expected) in [
        ("as written", &[][..], around(&[], &[])),
        ("no pre", &[without_pre], split.clone()),
        ("default", &[default], split),
        ("no add_bos_token", &[&without(bos)], around(&[], &[])),
        ("add_bos_token", &[&set(bos, 1)], around(&[50256], &[])),
        ("add_eos_token", &[&set(eos, 1)], around(&[], &[50256])),
        ("no add_bos_token, add_eos_token", &[&without(bos), &set(eos, 1)], around(&[], &[50256])),
        ("both", &[&set(bos, 1), &set(eos, 1)], around(&[50256], &[50256])),
    ] {
        let mut file = whole.clone();
        changes.iter().for_each(|change: &Change| change(&mut file));
        assert_eq!(file.len(), whole.len());
        fs::write(&path, &file).unwrap();
        let read = Folder::open(&path).unwrap().tokenizer().unwrap().unwrap();
        assert_eq!(read.encode_whole(TEXT.as_bytes(), Special::Allowed), expected, "{name}");
    }
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
    glass::weights::packed::save(&packed, &what, &Packings::One(Packing::F32), &cpu, &weights).unwrap();
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
    refused(&whole[..whole.len() - 1000], "beyond the end of the file");
    let other = |from: &[u8], to: &[u8]| {
        let at = whole.windows(from.len()).position(|part| part == from).unwrap();
        [&whole[..at], to, &whole[at + from.len()..]].concat()
    };
    // Refused before its tensors are examined, the first of which has an unsupported type.
    let mut mamba = other(b"\x04\0\0\0\0\0\0\0gpt2", b"\x05\0\0\0\0\0\0\0mamba");
    put_type(&mut mamba, 16);
    refused(&mamba, "architecture \"mamba\"; only gpt2");
    let mut typed = whole.clone();
    put_type(&mut typed, 16);
    refused(&typed, "has type IQ2_XXS; F32, F16, BF16 and Q4_0,");
    put_type(&mut typed, 99);
    refused(&typed, "has type 99, which ggml does not define");
    refused(&[&whole[..], &[0; 64]].concat(), "64 bytes after the last tensor");
    refused(&other(b"GGUF\x03", b"GGUF\x01"), "version");
    refused(&other(b"blk.0.attn_qkv.weight", b"blk.0.attn_qkx.weight"), "attn_qkx");
}

/// Gives the tensor "output_norm.weight" another type.
fn put_type(file: &mut [u8], kind: u32) {
    let name = b"output_norm.weight";
    let at = file.windows(name.len()).position(|part| part == name).unwrap() + name.len() + 4 + 8;
    file[at..at + 4].copy_from_slice(&kind.to_le_bytes());
}

/// Whatever a byte of the header becomes, the file is refused by its name, or the same numbers are read.
#[test]
fn any_damage_is_an_error_or_harmless() {
    let scratch = Scratch::new("gguf-damaged");
    let path = scratch.path().join("model.gguf");
    write(&path, &Folder::open(&golden("f32")).unwrap(), Numbers::Dense(Dtype::F32), None, None);
    let (whole, (_, _, expected)) = (fs::read(&path).unwrap(), open(&path).unwrap());
    let head = whole.windows(10).rposition(|part| part == b"blk.0.attn").unwrap();
    let (mut refused, mut harmless) = (0, 0);
    for at in (0..head.min(3000)).step_by(3) {
        for value in [0, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            fs::write(&path, &bytes).unwrap();
            match open(&path) {
                Ok((_, _, read)) => {
                    let same = read.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same && read.len() == expected.len(), "byte {at} as {value}: other numbers");
                    harmless += 1;
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(
                        error.contains("model.gguf") && error.len() < 1000,
                        "byte {at} as {value}: {error}"
                    );
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 500 && harmless > 100, "{refused} refused, {harmless} harmless");
}

/// A file of 4 MiB, nearly all of it header, of each kind that could be large.
#[test]
fn a_header_takes_no_more_than_twice_its_size() {
    const SIZE: usize = 4 << 20;
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let field = |name: &str, kind: u32, value: &[u8]| [&text(name)[..], &kind.to_le_bytes(), value].concat();
    let list = |name: &str, kind: u32, count: usize, value: &[u8]| {
        field(name, 9, &[&kind.to_le_bytes()[..], &(count as u64).to_le_bytes(), value].concat())
    };
    let file = |tensors: u64, fields: &[Vec<u8>], after: &[u8]| {
        let counts = [tensors.to_le_bytes(), (fields.len() as u64).to_le_bytes()].concat();
        [b"GGUF\x03\0\0\0", &counts[..], &fields.concat(), after].concat()
    };
    let size = |name: &str, size: u32| field(name, 4, &size.to_le_bytes());
    let gpt2 = || {
        vec![
            field("general.architecture", 8, &text("gpt2")),
            size("gpt2.block_count", 512),
            size("gpt2.embedding_length", 1),
            size("gpt2.context_length", 1),
            size("gpt2.feed_forward_length", 1),
            size("gpt2.attention.head_count", 1),
        ]
    };
    let with = |more: Vec<Vec<u8>>| file(0, &[gpt2(), more].concat(), &[]);
    let tensor = |name: &str| [&text(name)[..], &1u32.to_le_bytes(), &[0; 8], &[0; 4], &[0; 8]].concat();
    let tensors: Vec<u8> = (0..SIZE / 50).flat_map(|i| tensor(&format!("blk.{i}.ffn_up.bias"))).collect();
    let hostile = [
        ("numbers", with(vec![list("x", 0, SIZE, &vec![7; SIZE])])),
        ("texts", with(vec![list("tokenizer.ggml.tokens", 8, SIZE / 8, &vec![0; SIZE])])),
        ("merges", with(vec![list("tokenizer.ggml.merges", 8, SIZE / 8, &vec![0; SIZE])])),
        ("types", with(vec![list("tokenizer.ggml.token_type", 0, SIZE, &vec![1; SIZE])])),
        ("template", with(vec![field("tokenizer.chat_template", 8, &text(&"x".repeat(SIZE)))])),
        ("fields", with((0..SIZE / 16).map(|i| field(&format!("{i:x}"), 0, &[1])).collect())),
        ("one field twice", with(vec![field("x", 0, &[1]); SIZE / 14])),
        ("tensors", file(SIZE as u64 / 50, &gpt2(), &tensors)),
        ("promised", file(u64::MAX, &gpt2(), &[])),
    ];
    let scratch = Scratch::new("gguf-hostile");
    let path = scratch.path().join("model.gguf");
    for (what, bytes) in hostile {
        fs::write(&path, &bytes).unwrap();
        let (opened, peak) = peak_during(|| Folder::open(&path).map(|_| ()));
        assert!(peak <= 2 * bytes.len() + (64 << 10), "{what}: {peak} bytes held for {}", bytes.len());
        let error = opened.expect_err(what).to_string();
        assert!(error.contains("model.gguf") && error.len() < 1000, "{what}: {error}");
    }
}

/// Everything that affects sampling, converted to GGUF and back.
#[test]
fn advice_for_sampling_comes_along() {
    let scratch = Scratch::new("gguf-advice");
    let folder = Folder::open(&golden("f32")).unwrap();
    let (_, plan) = Gpt::plan(folder.config());
    let advice = |text: &str| {
        let copy = copy_of("f32");
        fs::write(copy.path().join("generation_config.json"), text).unwrap();
        Folder::open(copy.path()).unwrap().generation().clone()
    };
    let sampled = r#"{"bos_token_id": 3, "eos_token_id": [3, 4, 5], "do_sample": true, "temperature": 0.7, "top_k": 5,
        "top_p": 0.5, "min_p": 0.25, "repetition_penalty": 1.25, "suppress_tokens": [7, 8], "begin_suppress_tokens": [9],
        "min_new_tokens": 2, "max_new_tokens": 20, "typical_p": 0.9, "num_beams": 4, "no_repeat_ngram_size": 3}"#;
    let sampled = advice(sampled);
    let aside: Vec<&String> = sampled.left_aside.keys().collect();
    assert_eq!(aside, ["no_repeat_ngram_size", "num_beams", "typical_p"]);
    let greedy = advice(
        r#"{"bos_token_id": 3, "eos_token_id": 3, "do_sample": false, "typical_p": 1.0, "num_beams": 1}"#,
    );
    assert!(greedy.left_aside.is_empty());
    for (at, advice) in [sampled, greedy].into_iter().enumerate() {
        let what = Save { generation: Some(&advice), ..what(folder.config(), &plan, folder.dtype()) };
        let path = scratch.path().join(format!("{at}.gguf"));
        save(&path, &what, Numbers::Dense(Dtype::F32), &|spec, into| folder.read(spec, into)).unwrap();
        let read = Folder::open(&path).unwrap().generation().clone();
        assert_eq!(read, advice);
        let to = scratch.path().join(format!("{at}"));
        let what = Save { generation: Some(&read), ..what };
        glass::weights::save::save(&to, &what, &|spec, into| folder.read(spec, into)).unwrap();
        assert_eq!(*Folder::open(&to).unwrap().generation(), advice);
        // llama.cpp's converter reads the context from this field.
        let config = fs::read_to_string(to.join("config.json")).unwrap();
        assert!(config.contains(&format!("\"n_ctx\": {}", folder.config().context)), "{config}");
    }
}
