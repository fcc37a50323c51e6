//! Checkpoints of llm.c and nanoGPT: the same numbers as the same model in safetensors.

use std::fs;
use std::path::{Path, PathBuf};

use glass::backend::{Activation, Cpu};
use glass::text_model::TextModel;
use glass::weights::dtype::Dtype;
use glass::weights::folder::Folder;

use crate::files::{golden, logits, open};
use crate::scratch::Scratch;

/// A checkpoint that `tools/checkpoint_files.py` wrote.
pub fn checkpoint(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints").join(name)
}

#[test]
fn the_same_numbers_as_in_safetensors() {
    for (name, folder, dtype) in [
        ("f32.bin", "f32", Dtype::F32),
        ("bf16.bin", "bf16", Dtype::Bf16),
        ("trained.pt", "f32", Dtype::F32),
        ("f16.pt", "f16", Dtype::F16),
        ("bf16.pt", "bf16", Dtype::Bf16),
        ("f64.pt", "f32", Dtype::F32),
        ("untied.pt", "untied", Dtype::F32),
    ] {
        let (theirs, plan, arena) = open(&checkpoint(name)).unwrap();
        let (ours, other, numbers) = open(&golden(folder)).unwrap();
        let mut config = ours.config().clone();
        if name.ends_with(".pt") {
            config.activation = Activation::Gelu;
        }
        assert_eq!((theirs.config(), &plan, theirs.dtype()), (&config, &other, dtype), "{name}");
        assert_eq!(arena, numbers, "{name}");
        assert!(theirs.tokenizer().unwrap().is_none() && theirs.template().unwrap().is_none());
    }
}

#[test]
fn logits_as_in_pytorch_without_biases() {
    let text = fs::read(checkpoint("logits.json")).unwrap();
    let logits: std::collections::BTreeMap<String, Vec<f32>> = serde_json::from_slice(&text).unwrap();
    let ids: Vec<u32> = logits["ids"].iter().map(|&id| id as u32).collect();
    let engine = TextModel::open(Cpu::new(1), &checkpoint("unbiased.pt")).unwrap();
    assert!(!engine.config().bias.any() && engine.config().tied);
    let mut runner = engine.runner().unwrap();
    runner.prompt(&ids).unwrap();
    for (ours, theirs) in runner.logits().unwrap().iter().zip(&logits["unbiased.pt"]) {
        assert!((ours - theirs).abs() <= 1e-4 * theirs.abs().max(1.0), "{ours}, not {theirs}");
    }
}

/// The file is refused with a sentence that names it and all of `parts`.
fn refused(path: &Path, parts: &[&str]) {
    let error = open(path).err().expect("refused").to_string();
    let name = path.display().to_string();
    assert!(
        parts.iter().chain([&name.as_str()]).all(|part| error.contains(part)),
        "{error}\nnames {parts:?}"
    );
}

#[test]
fn other_ways_to_save_are_refused_by_name() {
    refused(&checkpoint("old.pt"), &["before 1.6"]);
    refused(&checkpoint("turned.pt"), &["wte.weight", "not contiguous"]);
    refused(&checkpoint("runs.pt"), &["running code"]);
    refused(&checkpoint("logits.json"), &["not a known checkpoint"]);
}

#[test]
fn a_header_of_llm_c_is_believed_only_where_it_fits() {
    let original = fs::read(checkpoint("f32.bin")).unwrap();
    let scratch = Scratch::new("llm-c");
    let path = scratch.path().join("gpt2.bin");
    for (place, word, named) in [
        (1, 1, "version 1;"),
        (1, 5, "by its header"),
        (2, 0, "context: is 0"),
        (3, 17, "17 tokens in 16 rows"),
        (3, -1, "0 tokens in 16 rows"),
        (4, 3, "is it complete?"),
        (4, i32::MAX, "layers: is 2147483647"),
        (5, 3, "3 heads"),
        (6, i32::MAX, "mlp width: is 8589934588"),
        (7, 0, "vocabulary: is 0"),
    ] {
        let mut bytes = original.clone();
        bytes[4 * place..4 * place + 4].copy_from_slice(&i32::to_le_bytes(word));
        fs::write(&path, bytes).unwrap();
        refused(&path, &[named]);
    }
    for len in [1023, 1024, original.len() - 1] {
        fs::write(&path, &original[..len]).unwrap();
        refused(&path, &[&format!("has {len} bytes")]);
    }
}

/// A zip archive of uncompressed files, as `torch.save` lays it out.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let offset = bytes.len() as u32;
        let [name_len, len] = [name.len(), content.len()].map(|n| n as u32);
        // Version, flags, method, time and date; checksum; sizes; lengths of name and extra field.
        let mut about = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        about.extend([len, len, name_len].iter().flat_map(|n| n.to_le_bytes()));
        bytes.extend([b"PK\x03\x04", &about[..], name.as_bytes(), content].concat());
        let rest = [&[0; 10][..], &offset.to_le_bytes()].concat();
        directory.extend([b"PK\x01\x02\x14\0", &about[..], &rest, name.as_bytes()].concat());
    }
    let counts = [files.len() as u16; 2].map(u16::to_le_bytes).concat();
    let places = [directory.len() as u32, bytes.len() as u32].map(u32::to_le_bytes).concat();
    [&bytes, &directory, &b"PK\x05\x06\0\0\0\0"[..], &counts, &places, &[0, 0]].concat()
}

#[test]
fn nothing_in_a_pickle_is_run() {
    let scratch = Scratch::new("pickle");
    let path = scratch.path().join("ckpt.pt");
    let system = [b"\x80\x02cos\nsystem\n", &text("echo caught > caught")[..], b"\x85R."].concat();
    let hidden =
        [b"\x80\x02}", &text("model")[..], b"cbuiltins\neval\n", &text("1")[..], b"\x85Rs."].concat();
    for (pickle, named) in [
        (&system[..], &["model_args", "tensors of a GPT"][..]),
        (b"\x80\x02cposix\nsystem\n.", &["model_args"]),
        (&hidden, &["running code", "state_dict"]),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", &["model_args"]),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", &["model_args"]),
        (b"\x80\x07\x95", &["protocol 7"]),
        (b"\x80\x04\x95", &["ends too early"]),
        (b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", &["ends too early"]),
        (b"\x80\x02(i__main__\nX\n.", &["0x69"]),
        (b"\x80\x02]}b.", &["sets attributes"]),
        (b"\x80\x02q\x01.", &["is damaged"]),
        (b"\x80\x02h\x07.", &["never written"]),
        (b"\x80\x02X\xff\xff\xff\xff.", &["ends too early"]),
        (b"\x80\x02t.", &["mark"]),
        (b"\x80\x02", &["ends too early"]),
        (b"\x80\x02}.", &["model_args", "nanoGPT"]),
        (&[b']'; 100_000], &["ends too early"]),
        (&[b']'; 2 << 20], &["more than 1048576 objects"]),
        (&[b'('; 100_000], &["ends too early"]),
        (&vec![b']'; 5 << 20], &["more than the limit of 4194304"]),
    ] {
        fs::write(&path, archive(&[("ckpt/data.pkl", pickle)])).unwrap();
        refused(&path, named);
    }
    assert!(!scratch.path().join("caught").exists());
    fs::write(&path, archive(&[("ckpt/data.txt", b"")])).unwrap();
    refused(&path, &["without data.pkl"]);
    fs::write(&path, archive(&[("c/byteorder", b"big"), ("c/data.pkl", b"\x80\x02}.")])).unwrap();
    refused(&path, &["big-endian"]);
}

#[test]
fn arguments_of_another_model_are_refused_by_name() {
    let original = fs::read(checkpoint("unbiased.pt")).unwrap();
    let scratch = Scratch::new("arguments");
    let path = scratch.path().join("ckpt.pt");
    let change = |from: &str, skip: usize, to: &str| {
        let at =
            original.windows(from.len()).position(|window| window == from.as_bytes()).expect(from) + skip;
        let mut bytes = original.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        fs::write(&path, bytes).unwrap();
    };
    for (from, to, named) in [
        ("n_head", "n_haed", "\"n_haed\" is unknown"),
        ("lm_head.weight", "lm_hoad.weight", "lm_hoad.weight"),
        ("ln_f.weight", "ln_f.wieght", "ln_f.weight"),
    ] {
        change(from, 0, to);
        refused(&path, &[named]);
    }
    // After a name comes its index in the memo, two or five bytes, and then the number's opcode.
    let skip = original.windows(7).position(|window| window == b"n_layer").unwrap() + 7;
    let skip = 8 + original[skip..].iter().position(|byte| *byte == b'K').unwrap();
    for (number, named) in [("\u{3}", "n_layer is 3, but the weights have 2"), ("\0", "n_layer is 0")] {
        change("n_layer", skip, number);
        refused(&path, &[named]);
    }
}

#[test]
fn what_lies_beside_a_checkpoint_belongs_to_it() {
    let scratch = Scratch::new("beside");
    let path = scratch.path().join("ckpt.pt");
    fs::copy(checkpoint("trained.pt"), &path).unwrap();
    fs::write(scratch.path().join("chat_template.jinja"), "{{ messages[0]['content'] }}").unwrap();
    fs::write(scratch.path().join("generation_config.json"), r#"{"eos_token_id": 7}"#).unwrap();
    let folder = Folder::open(&path).unwrap();
    assert_eq!(folder.generation().eos, [7]);
    assert!(folder.template().unwrap().is_some());
}

/// An archive's files.
fn files(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let zip = rawzip::ZipArchive::from_slice(archive).unwrap();
    let mut entries = zip.entries();
    let mut all = Vec::new();
    while let Some(entry) = entries.next_entry().unwrap() {
        let name = std::str::from_utf8(entry.file_path().as_bytes()).unwrap().to_string();
        all.push((name, zip.get_entry(entry.wayfinder()).unwrap().data().to_vec()));
    }
    all
}

/// The archive with another pickle.
fn with_pickle(original: &[u8], change: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let mut all = files(original);
    let (_, pickle) = all.iter_mut().find(|(name, _)| name.ends_with("data.pkl")).unwrap();
    *pickle = change(std::mem::take(pickle));
    archive(&all.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect::<Vec<_>>())
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// Objects of unknown classes, calls, bytes, sets, opcodes of protocol 4: none of them is needed, and nothing is
/// run.
#[test]
fn what_is_beside_the_weights_is_no_reason_to_refuse() {
    let original = fs::read(checkpoint("unbiased.pt")).unwrap();
    let ids = [3, 1, 4, 1, 5, 9];
    let expected = logits(&checkpoint("unbiased.pt"), &ids);
    let scratch = Scratch::new("beside-weights");
    let path = scratch.path().join("ckpt.pt");
    let object = [b"c__main__\nSettings\n)\x81}", &text("n_head")[..], b"K\x07sb"].concat();
    let call = [b"cnumpy\nscalar\n", &text("f8")[..], b"C\x02\0\0\x86R"].concat();
    let named = [&b"\x8c\x08__main__\x8c\x05Model\x93)\x81\x94"[..]].concat();
    let mut extras = vec![object, call, named, b"ctorch\nbfloat16\n".to_vec(), b"\x8f(K\x01\x90".to_vec()];
    // Tensors of types that no weight has, as torch.save writes them.
    for (function, storage, dtype) in [
        ("_rebuild_tensor_v2", "torch\nCharStorage", ""),
        ("_rebuild_tensor_v2", "torch\nShortStorage", ""),
        ("_rebuild_tensor_v2", "torch\nBoolStorage", ""),
        ("_rebuild_tensor_v2", "torch\nComplexFloatStorage", ""),
        ("_rebuild_tensor_v3", "torch.storage\nUntypedStorage", "ctorch\nuint16\n"),
        ("_rebuild_tensor_v3", "torch.storage\nUntypedStorage", "ctorch\nfloat8_e4m3fn\n"),
        ("_rebuild_qtensor", "torch\nQInt8Storage", "ctorch\nper_tensor_affine\n"),
    ] {
        let storage =
            [&text("storage")[..], b"c", storage.as_bytes(), b"\n", &text("999"), &text("cpu")].concat();
        let rest = b"K\0K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)R";
        extras.push(
            [
                b"ctorch._utils\n",
                function.as_bytes(),
                b"\n((",
                &storage,
                b"K\x02tQ",
                rest,
                dtype.as_bytes(),
                b"tR",
            ]
            .concat(),
        );
    }
    for extra in extras {
        // When the pickle stops its dictionary is on the stack: one more entry.
        let more = |pickle: Vec<u8>| {
            let end = pickle.len() - 1;
            [&pickle[..end], &text("beside")[..], &extra, b"s."].concat()
        };
        fs::write(&path, with_pickle(&original, more)).unwrap();
        assert_eq!(logits(&path, &ids), expected);
    }
}

/// build-nanogpt stores a `GPTConfig` under `config`, not a dictionary under `model_args`.
#[test]
fn arguments_may_be_an_object() {
    let original = fs::read(checkpoint("unbiased.pt")).unwrap();
    let ids = [3, 1, 4, 1, 5, 9];
    let expected = logits(&checkpoint("unbiased.pt"), &ids);
    let scratch = Scratch::new("object");
    let path = scratch.path().join("ckpt.pt");
    let number = |name: &str, n: u8| [&text(name)[..], b"K", &[n], b"s"].concat();
    let arguments = [
        &b"c__main__\nGPTConfig\n)\x81}"[..],
        &number("n_layer", 2),
        &number("n_head", 2),
        &number("n_embd", 8),
        &number("block_size", 6),
        &number("vocab_size", 11),
        &text("bias"),
        b"\x89sb",
    ]
    .concat();
    let changed = with_pickle(&original, |pickle| {
        let name = b"model_args";
        let at = pickle.windows(name.len()).position(|window| window == name).unwrap();
        let mut pickle = pickle;
        pickle[at..at + name.len()]
            .copy_from_slice(b"model_args".map(|b| if b == b'_' { b'-' } else { b }).as_ref());
        let end = pickle.len() - 1;
        [&pickle[..end], &text("config")[..], &arguments, b"s."].concat()
    });
    fs::write(&path, changed).unwrap();
    assert_eq!(logits(&path, &ids), expected);
}

/// A weight of such a type is refused by its name.
#[test]
fn weights_of_other_types_are_refused_by_name() {
    let original = fs::read(checkpoint("unbiased.pt")).unwrap();
    let scratch = Scratch::new("typed");
    let path = scratch.path().join("ckpt.pt");
    for (storage, named) in [
        ("QInt8Storage", "has a dtype that is not read"),
        ("ComplexFloatStorage", "has a dtype that is not read"),
    ] {
        let changed = with_pickle(&original, |pickle| {
            replaced(&pickle, b"FloatStorage\n", format!("{storage}\n").as_bytes())
        });
        fs::write(&path, changed).unwrap();
        refused(&path, &["tensor", named]);
    }
}

/// `bytes` with `to` wherever `from` stood.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (mut all, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match bytes[at..].starts_with(from) {
            true => {
                all.extend(to);
                at += from.len();
            }
            false => {
                all.push(bytes[at]);
                at += 1;
            }
        }
    }
    assert!(all != bytes, "{} is there", String::from_utf8_lossy(from));
    all
}

/// The tensors of a state dictionary under a key, as trainers keep them.
#[test]
fn a_state_dictionary_may_stand_beside_other_things() {
    let original = fs::read(checkpoint("pytorch_model.bin")).unwrap();
    let ids = [3, 1, 4, 1, 5, 9];
    let expected = logits(&golden("f32"), &ids);
    let settings = [&text("config")[..], b"}", &text("lr"), b"K\x01ss"].concat();
    // Lightning's module keeps the model as `model`.
    let prefixed = |pickle: &[u8]| {
        let (mut all, mut at) = (Vec::new(), 0);
        while at < pickle.len() {
            let name = pickle.get(at + 5..).unwrap_or_default();
            if pickle[at] == b'X' && (name.starts_with(b"transformer.") || name.starts_with(b"lm_head.")) {
                let length = u32::from_le_bytes(pickle[at + 1..at + 5].try_into().unwrap());
                all.extend([b"X", &(length + 6).to_le_bytes()[..], b"model."].concat());
                at += 5;
            } else {
                all.push(pickle[at]);
                at += 1;
            }
        }
        assert!(all.len() > pickle.len());
        all
    };
    let scratch = Scratch::new("state-under");
    for (key, more, lightning) in [
        ("model", &[][..], false),
        ("model", &settings, false),
        ("state_dict", &[], false),
        ("state_dict", &settings, true),
        ("model_state_dict", &[], false),
    ] {
        let changed = with_pickle(&original, |pickle| {
            let state = &pickle[2..pickle.len() - 1];
            let state = if lightning { prefixed(state) } else { state.to_vec() };
            [b"\x80\x02}", &text(key)[..], &state, b"s", more, b"."].concat()
        });
        for name in ["last.ckpt", "pytorch_model.bin"] {
            let path = scratch.path().join(name);
            let _ = fs::remove_file(scratch.path().join("config.json"));
            fs::write(&path, &changed).unwrap();
            refused(&path, &["the number of heads", "config.json"]);
            fs::copy(golden("f32").join("config.json"), scratch.path().join("config.json")).unwrap();
            assert_eq!(logits(&path, &ids), expected, "{key} in {name}");
        }
        assert_eq!(logits(scratch.path(), &ids), expected, "{key} in a folder");
    }
    // With arguments inside, nothing is needed beside it.
    let original = fs::read(checkpoint("unbiased.pt")).unwrap();
    let changed = with_pickle(&original, |pickle| replaced(&pickle, &text("model"), &text("state_dict")));
    let path = scratch.path().join("alone.pt");
    fs::remove_file(scratch.path().join("config.json")).unwrap();
    fs::write(&path, changed).unwrap();
    assert_eq!(logits(&path, &ids), logits(&checkpoint("unbiased.pt"), &ids));
}

#[test]
fn an_old_pytorch_model_bin_is_named_as_one() {
    let scratch = Scratch::new("old");
    fs::copy(golden("f32").join("config.json"), scratch.path().join("config.json")).unwrap();
    fs::copy(checkpoint("old.pt"), scratch.path().join("pytorch_model.bin")).unwrap();
    let error = open(scratch.path()).err().expect("refused").to_string();
    let parts = ["pytorch_model.bin", "PyTorch before 1.6", "save it again"];
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
}

/// Tensors alone do not say how many heads there are; a `config.json` beside them does.
#[test]
fn a_state_dictionary_is_read_as_a_file_and_in_a_folder() {
    let ids = [3, 1, 4, 1, 5, 9];
    let expected = logits(&golden("f32"), &ids);
    let scratch = Scratch::new("state");
    for name in ["pytorch_model.bin", "model.pt"] {
        let _ = fs::remove_file(scratch.path().join("config.json"));
        fs::copy(checkpoint("pytorch_model.bin"), scratch.path().join(name)).unwrap();
        refused(&scratch.path().join(name), &["the number of heads", "config.json"]);
        fs::copy(golden("f32").join("config.json"), scratch.path().join("config.json")).unwrap();
        assert_eq!(logits(&scratch.path().join(name), &ids), expected);
    }
    assert_eq!(logits(scratch.path(), &ids), expected);
}
