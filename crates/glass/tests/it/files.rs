//! Model files: files written by `transformers` are read number by number, and written again to the same bytes.

use std::fs;
use std::path::{Path, PathBuf};

use glass::backend::{Cpu, Packing};
use glass::config::{Activation, Family, LayerAttention, ScoreFactor, Scores};
use glass::generate::Runner;
use glass::model::Gpt;
use glass::plan::Plan;
use glass::text_model::TextModel;
use glass::tokens::{Special, Tokenizer};
use glass::weights::dtype::Dtype;
use glass::weights::folder::Folder;
use glass::weights::generation::GenerationConfig;
use glass::weights::save::{Save, save};
use glass::weights::{Frozen, Weights};
use glass::{Config, Error};

use crate::scratch::Scratch;

/// A model written by `transformers` (`tools/model_files.py`).
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/files").join(name)
}

/// A directory with a golden model's files in it.
pub fn copy_of(model: &str) -> Scratch {
    let scratch = Scratch::new(model);
    for file in fs::read_dir(golden(model)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), scratch.path().join(file.file_name())).unwrap();
    }
    scratch
}

/// Replaces a string in a text file.
pub fn edit(scratch: &Scratch, file: &str, from: &str, to: &str) {
    let path = scratch.path().join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is in {file}");
    fs::write(path, text.replace(from, to)).unwrap();
}

/// The model is refused with a sentence that names all of `parts`.
pub fn refused(scratch: &Scratch, parts: &[&str]) {
    let error = open(scratch.path()).err().expect("refused").to_string();
    assert!(parts.iter().all(|part| error.contains(part)), "{error}\nnames {parts:?}");
}

/// Opens and checks a model, and reads every number.
pub fn open(path: &Path) -> glass::Result<(Folder, Plan, Vec<f32>)> {
    let folder = Folder::open(path)?;
    let (_, plan) = Gpt::plan(folder.config());
    folder.check(&plan)?;
    let mut arena = vec![0.0; plan.len()];
    for spec in &plan.specs {
        folder.read(spec, &mut arena[spec.span.clone()])?;
    }
    Ok((folder, plan, arena))
}

/// A directory without a vocabulary.
pub fn what<'a>(config: &'a Config, plan: &'a Plan, dtype: Dtype) -> Save<'a> {
    let (tokenizer, template, generation) = (None, None, None);
    Save { config, plan, dtype, tokenizer, template, end_of_text: Some(10), generation }
}

fn save_arena(to: &Path, what: &Save<'_>, arena: &[f32]) -> glass::Result<()> {
    save(to, what, &|spec, into| {
        into.copy_from_slice(&arena[spec.span.clone()]);
        Ok(())
    })
}

/// Reads the golden model and saves it again; returns the new `model.safetensors`.
fn there_and_back(model: &str) -> Vec<u8> {
    let (folder, plan, arena) = open(&golden(model)).unwrap();
    let scratch = Scratch::new(&format!("back-{model}"));
    save_arena(scratch.path(), &what(folder.config(), &plan, folder.dtype()), &arena).unwrap();
    let (again, _, same) = open(scratch.path()).unwrap();
    assert_eq!(again.config(), folder.config());
    assert_eq!(again.generation().eos, [10]);
    assert!(arena.iter().zip(&same).all(|(a, b)| a.to_bits() == b.to_bits()));
    fs::read(scratch.path().join("model.safetensors")).unwrap()
}

#[test]
fn there_and_back_gives_identical_bytes() {
    for model in ["f32", "bf16", "f16", "untied", "inner"] {
        let original = fs::read(golden(model).join("model.safetensors")).unwrap();
        assert!(there_and_back(model) == original, "{model}");
    }
}

#[test]
fn other_layouts_hold_the_same_numbers() {
    let original = fs::read(golden("f32").join("model.safetensors")).unwrap();
    for model in ["sharded", "bare", "redundant"] {
        assert!(there_and_back(model) == original, "{model}");
    }
}

#[test]
fn joined_and_turned_matrices_are_read_as_ours() {
    let (_, plan, arena) = open(&golden("f32")).unwrap();
    let text = fs::read(golden("parts.json")).unwrap();
    let parts: std::collections::BTreeMap<String, Vec<f32>> = serde_json::from_slice(&text).unwrap();
    assert_eq!(parts.len(), 5);
    for (name, expected) in parts {
        let spec = plan.specs.iter().find(|spec| spec.name == name).unwrap();
        assert_eq!(arena[spec.span.clone()], expected, "{name}");
    }
}

/// Sizes beyond one tile and one thread's share, neither a multiple of the tile.
#[test]
fn large_matrices_are_turned_whole() {
    let config = Config { mlp_width: 1237, ..Config::gpt2(300, 7, 75, 2, 5) };
    let (_, plan) = Gpt::plan(&config);
    let arena: Vec<f32> = (0..plan.len()).map(|i| i as f32).collect();
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
        let scratch = Scratch::new(&format!("large-{dtype:?}"));
        save_arena(scratch.path(), &what(&config, &plan, dtype), &arena).unwrap();
        let (folder, _, read) = open(scratch.path()).unwrap();
        assert_eq!(folder.dtype(), dtype);
        let exact = |x: f32| match dtype {
            Dtype::F32 => x,
            _ => {
                let mut bytes = Vec::new();
                dtype.narrow(&mut bytes, &[x]);
                let mut wide = [0.0];
                dtype.widen(&mut wide, &bytes);
                wide[0]
            }
        };
        assert!(arena.iter().zip(&read).all(|(&a, &b)| exact(a) == b), "{dtype:?}");
    }
}

#[test]
fn without_biases_zeros_are_written_and_left_out_again() {
    let config = Config { bias: false.into(), ..Config::gpt2(9, 4, 8, 2, 2) };
    let (_, plan) = Gpt::plan(&config);
    let arena: Vec<f32> = (0..plan.len()).map(|i| i as f32 + 1.0).collect();
    let scratch = Scratch::new("unbiased");
    save_arena(scratch.path(), &what(&config, &plan, Dtype::F32), &arena).unwrap();
    let (folder, _, read) = open(scratch.path()).unwrap();
    assert_eq!((folder.config(), &read), (&config, &arena));
    // For a reader that does not know this field, it is a model with biases that are all zero.
    edit(&scratch, "config.json", "\"bias\": false", "\"bias\": true");
    let (_, plan, _) = open(scratch.path()).unwrap();
    assert!(plan.len() > arena.len());
    edit(&scratch, "config.json", "\"bias\": true", "\"bias\": false");
    let file = scratch.path().join("model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[start] = 1; // h.0.attn.c_attn.bias is the first tensor.
    fs::write(&file, bytes).unwrap();
    refused(&scratch, &["model.safetensors", "h.0.attn.c_attn.bias", "not zero"]);
}

#[test]
fn a_plan_that_gpt2_cannot_express_is_marked_and_comes_back() {
    let mut config = Config::gpt2(9, 4, 8, 2, 2);
    assert!(config.can_express().is_ok());
    config.attention.push(LayerAttention::new(Some(3), None));
    let json = config.to_json("float32", None);
    assert!(json.contains("\"model_type\": \"glass\"") && !json.contains("GPT2"), "{json}");
    let own = |config: &Config| Config { family: Family::Glass, ..config.clone() };
    assert_eq!(Config::from_json("config.json", json.as_bytes()).unwrap(), own(&config));
    let error = config.can_express().unwrap_err().to_string();
    assert!(error.contains("banded") && error.contains("GPT2LMHeadModel"), "{error}");
    config = Config { heads: glass_kernels::attend::Heads::new(4, 2, 3), ..config };
    let json = config.to_json("float32", None);
    assert_eq!(Config::from_json("config.json", json.as_bytes()).unwrap(), own(&config));
}

#[test]
fn layers_that_read_the_keys_of_others_come_back_in_glasss_own_form() {
    for family in Family::all().filter(|family| *family != Family::Glass) {
        let mut config = glass::families::config(family, 31, 16, 24, 4, 3);
        let first = config.attention[0].clone();
        config.attention = vec![first.clone(), LayerAttention { keys_from: Some(1), ..first }];
        config.check().unwrap();
        let error = config.can_express().unwrap_err().to_string();
        assert!(error.contains("layers read the keys and values of others"), "{}: {error}", family.name());
        assert_eq!(config.saved_as(), Family::Glass);
        let own = Config { family: Family::Glass, ..config };
        let (_, plan) = Gpt::plan(&own);
        let names = |layer: usize| {
            plan.specs.iter().filter(move |spec| spec.name.starts_with(&format!("block.{layer}.attention.")))
        };
        let lacks = ["key", "value_down", "key_norm"];
        assert!(names(1).all(|spec| !lacks.contains(&spec.name.split('.').nth(3).unwrap())));
        assert!(names(0).count() > names(1).count());
        let arena: Vec<f32> = (0..plan.len()).map(|i| i as f32).collect();
        let scratch = Scratch::new("reads-keys");
        save_arena(scratch.path(), &what(&own, &plan, Dtype::F32), &arena).unwrap();
        let (again, _, same) = open(scratch.path()).unwrap();
        assert_eq!((again.config(), same), (&own, arena));
        let [none, chain] = [2, 1].map(|from| {
            let reads = LayerAttention { keys_from: Some(from), ..own.attention[0].clone() };
            let attention = vec![own.attention[0].clone(), reads.clone(), reads];
            Config { attention, ..own.clone() }.check().unwrap_err().to_string()
        });
        assert!(none.contains("layer 1") && none.contains("2 layers before"), "{none}");
        assert!(chain.contains("layer 2") && chain.contains("layer 1, which has none"), "{chain}");
    }
}

#[test]
fn every_activation_and_scale_comes_back() {
    let scores = [(true, false), (false, false), (true, true)].map(|(by_size, by_layer)| {
        let factor = if by_size { ScoreFactor::RootOfSize } else { ScoreFactor::Number(1.0) };
        Scores { factor, by_layer, ..Scores::default() }
    });
    let names = ["\"gelu\"", "\"gelu_new\"", "\"quick_gelu\"", "\"silu\"", "\"relu\"", "\"relu2\""];
    for ((activation, name), scores) in
        Activation::ALL.into_iter().zip(names).flat_map(|a| scores.map(|s| (a, s)))
    {
        let config = Config { activation, scores, ..Config::gpt2(9, 4, 8, 2, 2) };
        let json = config.to_json("float32", None);
        assert!(json.contains(name) && config.can_express().is_ok(), "{json}");
        assert_eq!(Config::from_json("config.json", json.as_bytes()).unwrap(), config);
    }
}

#[test]
fn a_model_in_memory_is_the_same_model() {
    let leak = |name: &str| -> &'static [u8] { fs::read(golden("bf16").join(name)).unwrap().leak() };
    let files = [("config.json", leak("config.json")), ("model.safetensors", leak("model.safetensors"))];
    let folder = Folder::embedded("built in", &files).unwrap();
    let (outside, plan, arena) = open(&golden("bf16")).unwrap();
    assert_eq!(folder.config(), outside.config());
    for spec in &plan.specs {
        let mut read = vec![0.0; spec.span.len()];
        folder.read(spec, &mut read).unwrap();
        assert_eq!(read, arena[spec.span.clone()]);
    }
    let error = Folder::embedded("built in", &files[..1]).err().unwrap().to_string();
    assert!(error.starts_with("built in/model.safetensors: is missing"), "{error}");
}

#[test]
fn a_failed_save_leaves_the_old_model_whole() {
    let scratch = copy_of("f32");
    let (folder, plan, arena) = open(scratch.path()).unwrap();
    let before = fs::read(scratch.path().join("model.safetensors")).unwrap();
    let names = || fs::read_dir(scratch.path()).unwrap().count();
    let count = names();
    let result = save(scratch.path(), &what(folder.config(), &plan, Dtype::Bf16), &|spec, into| {
        into.fill(1.0);
        match spec.name.as_str() {
            "norm.weight" => Err(Error::invalid("norm.weight", "gave up")),
            _ => Ok(()),
        }
    });
    assert!(result.unwrap_err().to_string().contains("gave up"));
    assert!(fs::read(scratch.path().join("model.safetensors")).unwrap() == before);
    assert_eq!(names(), count, "no temporary file is left");
    assert_eq!(open(scratch.path()).unwrap().2, arena);
}

/// A full disk: every write to this device fails as on one.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_and_the_old_model_stays() {
    let scratch = copy_of("f32");
    let (folder, plan, arena) = open(scratch.path()).unwrap();
    for file in ["model.safetensors", "generation_config.json"] {
        let aside = scratch.path().join(format!(".{file}.part"));
        std::os::unix::fs::symlink("/dev/full", &aside).unwrap();
        let error =
            save_arena(scratch.path(), &what(folder.config(), &plan, Dtype::F32), &arena).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Io { .. }) && text.contains("no space is left"), "{text}");
        assert!(text.contains(file) && text.contains("is intact"), "{text}");
        assert_eq!(open(scratch.path()).unwrap().2, arena);
    }
}

#[test]
fn the_tokenizer_and_template_come_along() {
    let tokenizer = Tokenizer::gpt2();
    let config = Config::gpt2(tokenizer.vocabulary_size(), 4, 4, 1, 1);
    let (_, plan) = Gpt::plan(&config);
    let scratch = Scratch::new("talk");
    let source = "{{ bos_token }}{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}";
    let save_with = Save {
        tokenizer: Some(&tokenizer),
        template: Some(source),
        end_of_text: tokenizer.end_of_text(),
        ..what(&config, &plan, Dtype::Bf16)
    };
    save_arena(scratch.path(), &save_with, &vec![0.0; plan.len()]).unwrap();
    let folder = Folder::open(scratch.path()).unwrap();
    let again = folder.tokenizer().unwrap().unwrap();
    let text = "Hello, naïve 日本";
    let ids = |t: &Tokenizer| t.encode(text, glass::tokens::Special::Plain);
    assert_eq!(ids(&again), ids(&tokenizer));
    assert_eq!(folder.generation().eos, [50256]);
    let rendered = folder.template().unwrap().unwrap().render(&[("user", "Hi").into()], false).unwrap();
    assert_eq!(rendered, "<|endoftext|>user: Hi\n");
}

#[test]
fn a_checkpoint_of_transformers_gives_its_logits() {
    let text = fs::read(golden("logits.json")).unwrap();
    let logits: std::collections::BTreeMap<String, Vec<f32>> = serde_json::from_slice(&text).unwrap();
    let ids: Vec<u32> = logits["ids"].iter().map(|&id| id as u32).collect();
    for model in ["f32", "untied", "inner"] {
        assert_logits(model, &golden(model), &ids, &logits[model]);
    }
}

/// The logits after `ids`.
pub fn logits(path: &Path, ids: &[u32]) -> Vec<f32> {
    let folder = Folder::open(path).unwrap();
    let (gpt, plan) = Gpt::plan(folder.config());
    folder.check(&plan).unwrap();
    let cpu = Cpu::new(1);
    let weights = Frozen::load(&cpu, &plan, Packing::F32, &|spec, into| folder.read(spec, into)).unwrap();
    let mut runner = Runner::new(&cpu, &gpt, Weights::Frozen(&weights)).unwrap();
    runner.prompt(ids).unwrap();
    runner.logits().unwrap().to_vec()
}

fn assert_logits(what: &str, path: &Path, ids: &[u32], expected: &[f32]) {
    for (ours, theirs) in logits(path, ids).iter().zip(expected) {
        assert!((ours - theirs).abs() <= 1e-4 * theirs.abs().max(1.0), "{what}: {ours}, not {theirs}");
    }
}

/// Activations and scales of scores: the same weights give the logits of `transformers`.
#[test]
fn every_variant_of_a_gpt2_gives_the_logits_of_transformers() {
    let text = fs::read(golden("variants.json")).unwrap();
    let all: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let ids: Vec<u32> = serde_json::from_value(all["ids"].clone()).unwrap();
    let plain = logits(&golden("f32"), &ids);
    for variant in all["variants"].as_array().unwrap() {
        let scratch = copy_of("f32");
        let path = scratch.path().join("config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for (name, value) in variant["change"].as_object().unwrap() {
            config[name] = value.clone();
        }
        fs::write(&path, config.to_string()).unwrap();
        let expected: Vec<f32> = serde_json::from_value(variant["logits"].clone()).unwrap();
        assert_logits(&variant["change"].to_string(), scratch.path(), &ids, &expected);
        let differs = plain.iter().zip(&expected).any(|(a, b)| (a - b).abs() > 1e-2);
        let same = ["gelu_fast", "gelu_pytorch_tanh", "reorder_and_upcast_attn", "\"gelu\""];
        assert!(differs || same.iter().any(|name| variant["change"].to_string().contains(name)));
    }
}

/// A file of the same tensors under other names, or with more tensors.
fn renamed(rename: impl Fn(&str) -> Option<String>, more: &[(&str, usize)]) -> Scratch {
    let scratch = copy_of("f32");
    let path = scratch.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<(String, safetensors::Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, tensor) in file.tensors() {
        if let Some(name) = rename(&name) {
            tensors.push((name, tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec()));
        }
    }
    for (name, len) in more {
        tensors.push((name.to_string(), safetensors::Dtype::F32, vec![*len], vec![1; 4 * len]));
    }
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (name, safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    scratch
}

#[test]
fn tensors_are_found_under_every_name_they_are_saved_by() {
    let ids = [3, 1, 4, 1, 5, 9];
    let expected = logits(&golden("f32"), &ids);
    let names: [&dyn Fn(&str) -> String; 5] = [
        // safetensors' save_model keeps one of two names of a tied matrix.
        &|name| name.replace("transformer.wte.weight", "lm_head.weight"),
        &|name| format!("_orig_mod.{name}"),
        &|name| format!("module._orig_mod.{name}"),
        &|name| match name.contains("ln_") {
            true => name.replace(".weight", ".gamma").replace(".bias", ".beta"),
            false => name.to_string(),
        },
        &|name| name.replace("transformer.", ""),
    ];
    for rename in names {
        let scratch = renamed(|name| Some(rename(name)), &[]);
        assert_eq!(logits(scratch.path(), &ids), expected);
    }
}

#[test]
fn other_heads_are_left_aside_and_said_but_a_bias_on_the_logits_is_refused() {
    let ids = [3, 1, 4, 1, 5, 9];
    for head in ["v_head.summary.weight", "score.weight", "transformer.score.weight"] {
        let scratch = renamed(|name| Some(name.into()), &[(head, 8)]);
        assert_eq!(logits(scratch.path(), &ids), logits(&golden("f32"), &ids));
        let remarks = Folder::open(scratch.path()).unwrap().remarks();
        assert!(
            remarks.len() == 1 && remarks[0].contains(head.trim_start_matches("transformer.")),
            "{remarks:?}"
        );
    }
    assert!(Folder::open(&golden("f32")).unwrap().remarks().is_empty());
    refused(&renamed(|name| Some(name.into()), &[("lm_head.bias", 11)]), &["lm_head.bias", "logits"]);
    refused(&renamed(|name| Some(name.into()), &[("h.0.adapter.weight", 8)]), &["h.0.adapter.weight"]);
}

#[test]
fn other_fields_of_the_same_meaning_are_read() {
    let scratch = copy_of("f32");
    let names = [
        ("\"n_embd\"", "\"hidden_size\""),
        ("\"n_head\"", "\"num_attention_heads\""),
        ("\"n_layer\"", "\"num_hidden_layers\""),
        ("\"n_positions\"", "\"max_position_embeddings\""),
        ("GPT2LMHeadModel", "AutoModelForCausalLM"),
    ];
    names.iter().for_each(|(from, to)| edit(&scratch, "config.json", from, to));
    let config = Folder::open(scratch.path()).unwrap().config().clone();
    assert_eq!(&config, Folder::open(&golden("f32")).unwrap().config());
}

#[test]
fn a_pointer_of_git_lfs_is_named_as_one() {
    let scratch = copy_of("f32");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 548105171\n";
    fs::write(scratch.path().join("model.safetensors"), pointer).unwrap();
    refused(&scratch, &["model.safetensors", "Git LFS pointer", "git lfs pull"]);
}

#[test]
fn older_names_of_norms_are_said() {
    let scratch = renamed(
        |name| match name.ends_with("ln_1.weight") {
            true => Some(name.replace(".weight", ".gamma")),
            false => Some(name.to_string()),
        },
        &[],
    );
    let remarks = Folder::open(scratch.path()).unwrap().remarks();
    assert!(remarks.len() == 1 && remarks[0].contains("gamma and beta"), "{remarks:?}");
}

/// What `transformers` begins and ends a text with is what the tokenizer does.
#[test]
fn the_ids_of_start_and_end_are_the_tokenizers() {
    let scratch = Scratch::new("ids-of-start");
    let plain = Tokenizer::gpt2().with_specials(&["<|startoftext|>", "<|im_end|>"]).unwrap();
    let at = scratch.path().join("named");
    fs::create_dir_all(&at).unwrap();
    fs::write(at.join("tokenizer.json"), plain.to_json()).unwrap();
    let roles = r#"{"bos_token": "<|startoftext|>", "eos_token": "<|im_end|>"}"#;
    fs::write(at.join("tokenizer_config.json"), roles).unwrap();
    let named = Tokenizer::open(&at).unwrap();
    let started = plain.with_start(&[50257]).unwrap();
    let other = GenerationConfig { bos: Some(50256), eos: vec![50256], ..GenerationConfig::default() };
    let config = Config::gpt2(plain.vocabulary_size(), 4, 4, 1, 1);
    let (_, plan) = Gpt::plan(&config);
    // Of the config and of the advice, bos and eos.
    for (tokenizer, generation, expected) in [
        (&plain, None, [50256, 50256, 50256, 50256]),
        (&named, None, [50257, 50258, 50257, 50258]),
        (&started, None, [50257, 50256, 50257, 50256]),
        // Advice counts, but for what is before every text.
        (&named, Some(&other), [50257, 50258, 50256, 50256]),
        (&started, Some(&other), [50257, 50256, 50257, 50256]),
    ] {
        let to = scratch.path().join("model");
        let end_of_text = tokenizer.end_of_text();
        let what =
            Save { tokenizer: Some(tokenizer), end_of_text, generation, ..what(&config, &plan, Dtype::Bf16) };
        save_arena(&to, &what, &vec![0.0; plan.len()]).unwrap();
        let ids = ["config.json", "generation_config.json"].map(|file| {
            let file: serde_json::Value = serde_json::from_slice(&fs::read(to.join(file)).unwrap()).unwrap();
            ["bos_token_id", "eos_token_id"].map(|name| file[name].as_u64().unwrap())
        });
        assert_eq!(ids.concat(), expected);
    }
}

/// A vocabulary may have tokens that the model has no rows for; their ids are refused where they are fed.
#[test]
fn a_tokenizer_larger_than_the_model_opens() {
    let scratch = copy_of("f32");
    let tokenizer = Tokenizer::gpt2().with_specials(&["[PAD]"]).unwrap();
    fs::write(scratch.path().join("tokenizer.json"), tokenizer.to_json()).unwrap();
    let model = TextModel::open(Cpu::new(1), scratch.path()).unwrap();
    let ids = |text: &str| model.tokenizer.as_ref().unwrap().encode_whole(text.as_bytes(), Special::Allowed);
    let mut runner = model.runner().unwrap();
    assert_eq!(ids("[PAD]"), [50257]);
    let error = runner.feed(&ids("[PAD]")).unwrap_err().to_string();
    assert!(error.contains("50257") && error.contains("11"), "{error}");
    assert_eq!(ids("!"), [0]);
    runner.prompt(&ids("!")).unwrap();
}
