//! Files next to a vocabulary are used as in `transformers` (ids from 5.24).

use std::fs;

use glass::tokens::{Special, Tokenizer};
use serde_json::{Value, json};

use crate::scratch::Scratch;

/// GPT-2's vocabulary, in its two files or in one, and other files.
fn folder(pair: bool, files: &[(&str, Value)]) -> Scratch {
    let scratch = Scratch::new("beside");
    let whole = Tokenizer::gpt2().to_json();
    if pair {
        let file: Value = serde_json::from_str(&whole).unwrap();
        let merges: Vec<&str> =
            file["model"]["merges"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        fs::write(scratch.path().join("vocab.json"), file["model"]["vocab"].to_string()).unwrap();
        fs::write(scratch.path().join("merges.txt"), format!("#version: 0.2\n{}\n", merges.join("\n")))
            .unwrap();
    } else {
        fs::write(scratch.path().join("tokenizer.json"), whole).unwrap();
    }
    for (name, value) in files {
        fs::write(scratch.path().join(name), value.to_string()).unwrap();
    }
    scratch
}

fn open(pair: bool, files: &[(&str, Value)]) -> Tokenizer {
    Tokenizer::open(folder(pair, files).path()).unwrap()
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode_whole(text.as_bytes(), Special::Allowed)
}

#[test]
fn added_tokens_in_a_file_of_their_own() {
    let names = json!({"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|pad|>"});
    let added = json!({"<|startoftext|>": 50257, "<|pad|>": 50258});
    let tokenizer = open(true, &[("special_tokens_map.json", names), ("added_tokens.json", added)]);
    assert_eq!(ids(&tokenizer, "<|startoftext|>Hello world<|pad|>"), [50257, 15496, 995, 50258]);
    assert!(tokenizer.encode("<|pad|>", Special::Plain).len() > 1, "what is named is special");
    assert_eq!(tokenizer.role("pad_token"), Some(50258));
    // The written file holds them all.
    let again = Tokenizer::from_json("again", tokenizer.to_json().as_bytes()).unwrap();
    assert_eq!(again.vocabulary_size(), 50_259);
}

#[test]
fn added_tokens_by_id() {
    let token = |content: &str| json!({"content": content, "lstrip": false, "normalized": false, "rstrip": false, "single_word": false, "special": true});
    let config = json!({"tokenizer_class": "GPT2Tokenizer",
        "added_tokens_decoder": {"50256": token("<|endoftext|>"), "50257": token("[PAD]")}});
    // Without it, the other files would be used.
    let files = [("tokenizer_config.json", config), ("added_tokens.json", json!({"[OTHER]": 50257}))];
    for pair in [true, false] {
        assert_eq!(ids(&open(pair, &files), "a[PAD]b<|endoftext|>"), [64, 50257, 65, 50256]);
    }
    let config = json!({"tokenizer_class": "GPT2Tokenizer", "added_tokens_decoder": {"50300": token("[X]")}});
    let scratch = folder(true, &[("tokenizer_config.json", config)]);
    let error = Tokenizer::open(scratch.path()).err().unwrap().to_string();
    assert!(error.contains("[X]") && error.contains("50300") && error.contains("50257"), "{error}");
}

#[test]
fn tokens_that_are_only_named() {
    let config = json!({"tokenizer_class": "GPT2Tokenizer", "additional_special_tokens": ["<u>", "<a>"], "image_token": "<img>"});
    assert_eq!(
        ids(&open(true, &[("tokenizer_config.json", config)]), "a<u><a><img>b"),
        [64, 50258, 50259, 50257, 65]
    );
    let mask = json!({"mask_token": {"content": "<mask>", "lstrip": true, "rstrip": false, "normalized": false, "single_word": false}});
    assert_eq!(ids(&open(true, &[("special_tokens_map.json", mask)]), "a  <mask> b"), [64, 50257, 275]);
    // A token of the vocabulary becomes special by being named.
    let config = json!({"tokenizer_class": "GPT2Tokenizer", "bos_token": "Hello"});
    let tokenizer = open(true, &[("tokenizer_config.json", config)]);
    assert_eq!((tokenizer.is_special(15496), tokenizer.is_special(995)), (true, false));
}

#[test]
fn a_space_before_a_text() {
    let config =
        |class: &str| ("tokenizer_config.json", json!({"tokenizer_class": class, "add_prefix_space": true}));
    for (pair, class, expected) in [
        (true, "GPT2Tokenizer", 18435),
        (false, "GPT2TokenizerFast", 18435),
        // Another class uses tokenizer.json unchanged.
        (false, "PreTrainedTokenizerFast", 15496),
    ] {
        assert_eq!(ids(&open(pair, &[config(class)]), "Hello world"), [expected, 995], "{class}");
    }
    let tokenizer = open(true, &[config("GPT2Tokenizer")]);
    assert_eq!(ids(&tokenizer, "Hello<|endoftext|>world"), [18435, 50256, 995]);
    assert_eq!(ids(&tokenizer, " Hi"), [15902]);
}

#[test]
fn tokens_around_a_text_where_no_tokenizer_json_says_so() {
    let config = json!({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true, "add_eos_token": true, "bos_token": "<s>"});
    let files = [("tokenizer_config.json", config)];
    assert_eq!(ids(&open(true, &files), "Hello"), [50257, 15496, 50256]);
    assert_eq!(ids(&open(false, &files), "Hello"), [15496], "tokenizer.json has no template");
}

/// `null` takes away the token that GPT-2's class would have by default.
#[test]
fn a_role_that_is_null_has_no_token() {
    let config = |more: Value| {
        let mut all = json!({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true});
        more.as_object().unwrap().iter().for_each(|(name, value)| all[name] = value.clone());
        ("tokenizer_config.json", all)
    };
    let map = |start: Value| ("special_tokens_map.json", json!({"bos_token": start}));
    let null = config(json!({"bos_token": null}));
    for (files, expected) in [
        (vec![config(json!({}))], &[50256, 15496][..]),
        (vec![null.clone()], &[15496]),
        (vec![config(json!({"eos_token": null, "add_eos_token": true}))], &[50256, 15496]),
        (vec![config(json!({})), map(Value::Null)], &[15496]),
        (vec![null, map("<|endoftext|>".into())], &[50256, 15496]),
    ] {
        assert_eq!(ids(&open(true, &files), "Hello"), expected, "{files:?}");
    }
}

/// Where `transformers` makes parts of tokenizer.json anew, its ids can differ (tried with 5.24), which is said.
#[test]
fn what_transformers_reads_otherwise_is_said() {
    let whole: Value = serde_json::from_str(&Tokenizer::gpt2().to_json()).unwrap();
    let (mut digits, mut composed, mut spaced) = (whole.clone(), whole.clone(), whole.clone());
    digits["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": true}, whole["pre_tokenizer"]]});
    composed["normalizer"] = json!({"type": "NFC"});
    spaced["pre_tokenizer"]["add_prefix_space"] = true.into();
    let scratch = crate::files::copy_of("f32");
    let remark = |file: &Value, class: Option<&str>| {
        fs::write(scratch.path().join("tokenizer.json"), file.to_string()).unwrap();
        let config = class.map_or(json!({}), |class| json!({"tokenizer_class": class}));
        fs::write(scratch.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        let remarks = glass::weights::folder::Folder::open(scratch.path()).unwrap().remarks();
        assert!(
            remarks.len() <= 1 && remarks.iter().all(|said| said.contains("tokenizer.json: read as it says"))
        );
        remarks
            .first()
            .map(|said| said.split("opens it as ").nth(1).unwrap().split(',').next().unwrap().to_string())
    };
    let gpt2 = Some("GPT2Tokenizer".to_string());
    assert_eq!(remark(&whole, None), None);
    assert_eq!(remark(&whole, Some("GPT2Tokenizer")), None);
    assert_eq!(remark(&spaced, Some("GPT2Tokenizer")), None);
    for class in [None, Some("GPT2Tokenizer"), Some("GPT2TokenizerFast")] {
        assert_eq!(remark(&digits, class), gpt2, "{class:?}");
        assert_eq!(remark(&composed, class), gpt2, "{class:?}");
    }
    assert_eq!(remark(&composed, Some("GPTNeoXTokenizer")), None);
    assert_eq!(remark(&whole, Some("GPTNeoXTokenizerFast")), Some("GPTNeoXTokenizer".into()));
    for other in ["Qwen2Tokenizer", "RobertaTokenizer", "CLIPTokenizer"] {
        assert_eq!(remark(&whole, Some(other)).as_deref(), Some(other));
    }
    assert_eq!(remark(&digits, Some("PreTrainedTokenizerFast")), None);
    // Qwen's, Llama's and Gemma's own forms are what their classes make.
    let mut qwen = composed.clone();
    let split = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    qwen["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]});
    assert_eq!(remark(&qwen, Some("Qwen2Tokenizer")), None);
    assert_eq!(remark(&qwen, Some("LlamaTokenizer")).as_deref(), Some("LlamaTokenizer"));
    for (name, file, _) in crate::tokens_sentence::families("sentence") {
        let llama = (name != "llama-2 of transformers 5").then(|| "LlamaTokenizer".to_string());
        assert_eq!(remark(&file, Some("LlamaTokenizer")), llama, "{name}");
        let gemma = (name != "gemma").then(|| "GemmaTokenizer".to_string());
        assert_eq!(remark(&file, Some("GemmaTokenizer")), gemma, "{name}");
    }
}

#[test]
fn what_cannot_be_obeyed_is_refused_by_name() {
    for (config, named) in [
        (json!({"split_special_tokens": true}), "split_special_tokens"),
        (json!({"tokenizer_class": "Qwen2Tokenizer"}), "Qwen2Tokenizer"),
        (json!({"bos_token": 5}), "bos_token"),
        (json!({"added_tokens_decoder": {"x": {"content": "y"}}}), "\"x\""),
    ] {
        let scratch = folder(true, &[("tokenizer_config.json", config)]);
        let error = Tokenizer::open(scratch.path()).err().unwrap().to_string();
        assert!(error.contains(named) && error.contains("tokenizer_config.json"), "{error}");
    }
}

/// A file that would be many times as large in memory is refused before it is read.
#[test]
fn files_beside_a_vocabulary_take_little_memory() {
    let scratch = folder(true, &[]);
    let text = format!("{{\"a\":[{}]}}", vec!["0"; 2 << 20].join(","));
    for file in ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"] {
        fs::write(scratch.path().join(file), &text).unwrap();
        let (opened, peak) = crate::allocations::peak_during(|| Tokenizer::open(scratch.path()).map(|_| ()));
        let error = opened.unwrap_err().to_string();
        assert!(error.contains(file) && error.contains("2097154 values"), "{error}");
        assert!(peak <= 2 * text.len() + (64 << 10), "{peak} bytes for {}", text.len());
        fs::remove_file(scratch.path().join(file)).unwrap();
    }
    // Within a text, nothing counts.
    let text = format!("{{\"a\":\"{}\\\"{}\"}}", "[,".repeat(1 << 20), "{,".repeat(1 << 20));
    fs::write(scratch.path().join("tokenizer_config.json"), text).unwrap();
    assert_eq!(ids(&Tokenizer::open(scratch.path()).unwrap(), "Hello"), [15496]);
}

/// What is more than there can be is not read: a limit is named instead.
#[test]
fn vocabularies_without_end_are_refused_early() {
    let scratch = folder(true, &[]);
    let tokens = |count: usize| (0..count).map(|id| format!("\"{id:x}\":{id}")).collect::<Vec<_>>().join(",");
    let vocab = format!("{{{}}}", tokens((1 << 20) + 1));
    fs::write(scratch.path().join("vocab.json"), &vocab).unwrap();
    let error = Tokenizer::open(scratch.path()).err().unwrap().to_string();
    assert!(error.contains("vocab.json") && error.contains("more than 1048576 tokens"), "{error}");
    fs::write(scratch.path().join("vocab.json"), format!("{vocab}x")).unwrap();
    assert!(Tokenizer::open(scratch.path()).is_err());
    let json = format!("{{\"model\":{{\"type\":\"BPE\",\"vocab\":{vocab},\"merges\":[]}}}}");
    let error = Tokenizer::from_json("tokenizer.json", json.as_bytes()).err().unwrap().to_string();
    assert!(error.contains("tokenizer.json") && error.contains("more than 1048576 tokens"), "{error}");
}

/// `pickle.dumps({"vocab_size": 3, "itos": {…}, "stoi": {"a": 0, "\n": 1, "é": 2}})` in protocol 2.
fn meta(stoi: &[(&str, u8)]) -> Vec<u8> {
    let text = |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    let mut bytes = b"\x80\x02}(".to_vec();
    bytes.extend(text("stoi"));
    bytes.extend(b"}(");
    for (character, id) in stoi {
        bytes.extend(text(character));
        bytes.extend([b'K', *id]);
    }
    bytes.extend(b"uu.");
    bytes
}

#[test]
fn characters_of_nanogpt() {
    let scratch = Scratch::new("characters");
    fs::write(scratch.path().join("meta.pkl"), meta(&[("a", 0), ("\n", 1), ("é", 2), ("日", 5)])).unwrap();
    for path in [scratch.path().to_path_buf(), scratch.path().join("meta.pkl")] {
        let tokenizer = glass::weights::vocabulary::open(&path).unwrap();
        assert_eq!(tokenizer.encode("aé\n日a", Special::Plain), [0, 2, 1, 5, 0]);
        assert_eq!(tokenizer.decode(&[5, 2]).unwrap(), "日é".as_bytes());
        assert_eq!((tokenizer.vocabulary_size(), tokenizer.token(3)), (6, None));
        let again = Tokenizer::from_json("again", tokenizer.to_json().as_bytes()).unwrap();
        assert_eq!(again.encode("aé\n日a", Special::Plain), [0, 2, 1, 5, 0]);
    }
    for (stoi, named) in [(&[("ab", 0)][..], "\"ab\""), (&[("a", 0), ("b", 0)], "id 0")] {
        fs::write(scratch.path().join("meta.pkl"), meta(stoi)).unwrap();
        let error = glass::weights::vocabulary::open(scratch.path()).err().unwrap().to_string();
        assert!(error.contains(named) && error.contains("meta.pkl"), "{error}");
    }
}
