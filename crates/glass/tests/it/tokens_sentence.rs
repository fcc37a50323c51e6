//! Golden files of other families' tokenizers (`tools/tokenizer_goldens.py`): the ids of `tokenizers` and of llama.cpp; and
//! SentencePiece's BPE compared with `tokenizers` on random texts.

use std::path::{Path, PathBuf};

use glass::tokens::{Special, TextStream, Tokenizer};
use serde_json::{Value, json};
use tokenizers::Tokenizer as Reference;

use crate::scratch::Scratch;
use crate::tokens::{Dice, data, odd_text};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizers")
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden().join(name)).unwrap()).unwrap()
}

/// The file of a family: a vocabulary with other parts.
fn family(base: &Value, parts: &Value) -> Value {
    let mut file = base.clone();
    for (name, part) in parts.as_object().unwrap() {
        match name.as_str() {
            "ignore_merges" => file["model"]["ignore_merges"] = part.clone(),
            name => file[name] = part.clone(),
        }
    }
    file
}

/// The families of a vocabulary, each with its file.
pub fn families(vocabulary: &str) -> Vec<(String, Value, Vec<Value>)> {
    let (base, cases) = (read(&format!("{vocabulary}.json")), read("cases.json"));
    let of = |(name, of): (&String, &Value)| {
        (name.clone(), family(&base, &of["parts"]), of["cases"].as_array().unwrap().clone())
    };
    cases[vocabulary].as_object().unwrap().iter().map(of).collect()
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

/// What a stream of tokens gives as text.
fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let (mut stream, mut text) = (TextStream::default(), String::new());
    ids.iter().for_each(|id| text += stream.push(tokenizer.token(*id).unwrap()));
    text + stream.finish()
}

#[test]
fn golden_ids_of_every_family() {
    for vocabulary in ["bytes", "sentence"] {
        for (name, file, cases) in families(vocabulary) {
            let tokenizer = Tokenizer::from_json(&name, file.to_string().as_bytes()).unwrap();
            let again = Tokenizer::from_json(&name, tokenizer.to_json().as_bytes()).unwrap();
            assert!(cases.len() >= 60);
            for case in cases {
                let (text, expected) = (case[0].as_str().unwrap(), ids(&case[1]));
                let whole = tokenizer.encode_whole(text.as_bytes(), Special::Allowed);
                assert_eq!(whole, expected, "{name}: {text:?}");
                assert_eq!(
                    again.encode_whole(text.as_bytes(), Special::Allowed),
                    expected,
                    "{name}, written: {text:?}"
                );
                let decoded = String::from_utf8(tokenizer.decode(&expected).unwrap()).unwrap();
                assert_eq!(decoded, case[2].as_str().unwrap(), "{name}: {text:?}");
                // A stream may go on after other tokens, so it keeps the space that is left out of a whole text.
                let stream = streamed(&tokenizer, &expected);
                assert_eq!(stream.strip_suffix(&decoded).map(str::trim_start), Some(""), "{name}: {text:?}");
            }
        }
    }
}

#[test]
fn golden_ids_of_llama_cpp() {
    let cases = read("cases.json");
    for (name, cases) in cases["llama.cpp"].as_object().unwrap() {
        let scratch = Scratch::new(name);
        let file = scratch.path().join("model.gguf");
        std::fs::copy(golden().join(format!("{name}.gguf")), &file).unwrap();
        let tokenizer = open(&file);
        assert_eq!(tokenizer.start(), [1]);
        for case in cases.as_array().unwrap() {
            let (text, expected) = (case[0].as_str().unwrap(), ids(&case[1]));
            assert_eq!(
                tokenizer.encode_whole(text.as_bytes(), Special::Allowed),
                expected,
                "{name}: {text:?}"
            );
        }
        // tokenizers opens what is written of it.
        let written = tokenizer.to_json();
        let (again, theirs) = (
            Tokenizer::from_json("again", written.as_bytes()).unwrap(),
            Reference::from_bytes(&written).unwrap(),
        );
        let mut dice = Dice::new(3);
        for _ in 0..500 {
            let text = text(&mut dice);
            let ids = theirs.encode_fast(text.as_str(), true).unwrap().get_ids().to_vec();
            assert_eq!(again.encode_whole(text.as_bytes(), Special::Allowed), ids, "{name}: {text:?}");
        }
    }
}

fn open(file: &Path) -> Tokenizer {
    glass::weights::folder::Folder::open(file).unwrap().tokenizer().unwrap().expect("it has a vocabulary")
}

fn text(dice: &mut Dice) -> String {
    const PARTS: [&str; 28] = [
        "the ",
        " the",
        "weights",
        " and",
        "model",
        " ",
        "  ",
        "       ",
        "▁",
        "▁▁",
        "\n",
        "\t",
        "a",
        "B",
        "é",
        "e\u{301}",
        "漢字",
        "カ",
        "🦙",
        "\u{1}",
        "<s>",
        "</s>",
        "<unk>",
        "<0x41>",
        "=====",
        "İ",
        "ß",
        "x=(a+b)/2;",
    ];
    let mut text = String::new();
    for _ in 0..dice.below(14) {
        match dice.below(7) {
            0 => text.push_str(&odd_text(dice)),
            _ => text.push_str(PARTS[dice.below(PARTS.len())]),
        }
    }
    text
}

/// Compares a file with the reference on random and on real text.
fn as_the_reference(name: &str, file: &Value) {
    let ours = Tokenizer::from_json(name, file.to_string().as_bytes()).unwrap();
    let written = ours.to_json();
    let [theirs, of_ours] = [file.to_string(), written].map(|file| Reference::from_bytes(file).unwrap());
    let mut dice = Dice::new(41);
    let texts: Vec<String> = (0..3_000).map(|_| text(&mut dice)).collect();
    let real = ["text/sherlock_holmes.txt", "chat/gsm8k_test.jsonl"].map(data);
    let real = real.iter().flatten().map(|text| String::from_utf8_lossy(&text[..200_000]).into_owned());
    for text in texts.into_iter().chain(real) {
        let shown: String = text.chars().take(99).collect();
        let ids = theirs.encode_fast(text.as_str(), true).unwrap().get_ids().to_vec();
        assert_eq!(ours.encode_whole(text.as_bytes(), Special::Allowed), ids, "{name}: {shown:?}");
        assert_eq!(
            of_ours.encode_fast(text.as_str(), true).unwrap().get_ids(),
            ids,
            "{name}, written: {shown:?}"
        );
        let parts = ours.encode_parallel(text.as_bytes(), Special::Allowed);
        assert_eq!(ours.encode(&text, Special::Allowed), parts, "{name}: {shown:?}");
        // tokenizers gives U+FFFD for every byte of a run that is not UTF-8 as a whole.
        let decoded = String::from_utf8_lossy(&ours.decode(&ids).unwrap()).into_owned();
        let expected = theirs.decode(&ids, false).unwrap();
        assert!(decoded == expected || expected.contains('\u{FFFD}'), "{name}: {decoded:?} {expected:?}");
    }
}

#[test]
fn sentences_as_the_reference() {
    for (name, file, _) in families("sentence") {
        as_the_reference(&name, &file);
    }
}

#[test]
fn sentences_without_all_bytes() {
    let (name, mut file, _) = families("sentence").into_iter().find(|(name, ..)| name == "gemma").unwrap();
    let mut variants = Vec::new();
    for fuse in [true, false] {
        file["model"]["fuse_unk"] = fuse.into();
        variants.push(file.clone());
        // A character whose bytes are not all there is unknown; others still become bytes.
        let mut fewer = file.clone();
        fewer["model"]["vocab"].as_object_mut().unwrap().shift_remove("<0xE2>");
        variants.push(fewer.clone());
        fewer["model"]["unk_token"] = Value::Null;
        variants.push(fewer.clone());
        fewer["model"]["byte_fallback"] = false.into();
        fewer["model"]["unk_token"] = "<unk>".into();
        variants.push(fewer);
    }
    for (at, file) in variants.iter().enumerate() {
        as_the_reference(&format!("{name}, variant {at}"), file);
    }
}

#[test]
fn what_a_sentence_file_may_not_say_is_refused_by_name() {
    let (_, file, _) = families("sentence").into_iter().find(|(name, ..)| name == "llama-2").unwrap();
    let refused = |path: &str, value: Value, says: &[&str]| {
        let mut file = file.clone();
        *file.pointer_mut(path).unwrap() = value;
        let error = Tokenizer::from_json("some/tokenizer.json", file.to_string().as_bytes());
        let error = error.err().unwrap_or_else(|| panic!("{path} was accepted")).to_string();
        for word in ["some/tokenizer.json"].iter().chain(says) {
            assert!(error.contains(word), "{error:?} does not say {word:?}");
        }
    };
    refused(
        "/normalizer",
        json!({"type": "Strip", "strip_left": true, "strip_right": true}),
        &["normalizer", "Strip"],
    );
    refused("/normalizer", Value::Null, &["normalizer", "Replace of spaces"]);
    refused("/normalizer/normalizers/0/prepend", "x".into(), &["normalizer", "Prepend"]);
    refused("/normalizer/normalizers/1/content", "_".into(), &["normalizer", "Replace"]);
    refused("/pre_tokenizer", json!({"type": "Whitespace"}), &["pre_tokenizer", "Whitespace"]);
    let other = json!({"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"});
    refused("/pre_tokenizer", other, &["pre_tokenizer", "Metaspace"]);
    refused("/decoder", Value::Null, &["decoder", "ByteFallback"]);
    refused("/decoder/decoders/3/start", 2.into(), &["decoder", "Strip"]);
}

/// The time to merge grows with the length: a text without spaces is one word.
#[test]
fn a_long_text_without_spaces_is_merged() {
    let (_, file, _) = families("sentence").into_iter().find(|(name, ..)| name == "gemma").unwrap();
    let ours = Tokenizer::from_json("gemma", file.to_string().as_bytes()).unwrap();
    let theirs = Reference::from_bytes(file.to_string()).unwrap();
    for letters in ["the", "=", " ", "a\n", "漢字"] {
        let text = letters.repeat(30_000);
        let ids = theirs.encode_fast(text.as_str(), false).unwrap().get_ids().to_vec();
        assert!(ours.encode(&text, Special::Plain) == ids, "{letters:?}");
    }
}

/// A conversation is encoded part by part, but a space is put only where the whole text gets one.
#[test]
fn parts_of_a_conversation_are_the_whole() {
    use glass::tokens::chat::{Message, Template};
    let template = "{% for m in messages %}{% if m.role == 'user' %}<s>[{{ m.content }}] {% else %}{{ m.content }} </s>{% endif %}{% endfor %}";
    let template = Template::new(template, None, None).unwrap();
    let messages =
        [("user", "the model"), ("assistant", "weights and more"), ("user", "x"), ("assistant", "y")]
            .map(Message::from);
    for (name, file, _) in families("sentence") {
        let tokenizer = Tokenizer::from_json(&name, file.to_string().as_bytes()).unwrap();
        let theirs = Reference::from_bytes(file.to_string()).unwrap();
        let text = template.render(&messages, false).unwrap();
        let prompt = template.prompt(&messages, &tokenizer).unwrap();
        let whole = theirs.encode_fast(text.as_str(), false).unwrap().get_ids().to_vec();
        assert_eq!(prompt, whole, "{name}: {text:?}");
        let (ids, learned) = template.tokens(&messages, &tokenizer).unwrap();
        assert_eq!(tokenizer.decode(&ids).unwrap(), tokenizer.decode(&whole).unwrap(), "{name}");
        assert!(learned.contains(&true) && learned.contains(&false));
    }
}

/// Writes a GPT-2 of one block with this vocabulary.
pub fn write_gguf(path: &Path, tokenizer: &Tokenizer) -> glass::Result<()> {
    let config = glass::Config::gpt2(tokenizer.vocabulary_size(), 64, 4, 1, 1);
    let (_, plan) = glass::model::Gpt::plan(&config);
    let dtype = glass::weights::dtype::Dtype::F16;
    let what = glass::weights::save::Save {
        tokenizer: Some(tokenizer),
        end_of_text: None,
        ..crate::files::what(&config, &plan, dtype)
    };
    glass::weights::gguf::save(path, &what, glass::weights::gguf::Numbers::Dense(dtype), &|_, into| {
        into.fill(0.0);
        Ok(())
    })
}

/// Vocabularies come back from GGUF with the same ids, or are refused because llama.cpp would give others.
#[test]
fn written_as_gguf() {
    let refused = [
        ("nanochat", "splits texts by"),
        ("llama-2 of transformers 5", "Metaspace"),
        ("metaspace", "at spaces"),
        ("nfc", "Nfc"),
    ];
    let scratch = Scratch::new("gguf-families");
    let path = scratch.path().join("model.gguf");
    for (name, file, cases) in families("bytes").into_iter().chain(families("sentence")) {
        let tokenizer = Tokenizer::from_json(&name, file.to_string().as_bytes()).unwrap();
        let done = write_gguf(&path, &tokenizer);
        if let Some((_, why)) = refused.iter().find(|(refused, _)| *refused == name) {
            let error = done.err().unwrap_or_else(|| panic!("{name} was written")).to_string();
            assert!(error.contains(why), "{error}");
            continue;
        }
        done.unwrap();
        let again = open(&path);
        assert_eq!((again.start(), again.end()), (tokenizer.start(), tokenizer.end()), "{name}");
        for case in cases {
            // Normal forms are left out, as llama.cpp's converter leaves them out.
            let text: String = case[0].as_str().unwrap().replace("\u{30a}", "").replace('\u{301}', "");
            let ids = tokenizer.encode_whole(text.as_bytes(), Special::Allowed);
            assert_eq!(again.encode_whole(text.as_bytes(), Special::Allowed), ids, "{name}: {text:?}");
        }
    }
}

/// llama.cpp lets special tokens of models with this name take in the white space after them (llama-cpp-python 0.3.36).
#[test]
fn white_space_after_a_token_of_phi_3() {
    let scratch = Scratch::new("phi-3");
    let path = scratch.path().join("model.gguf");
    let mut file = std::fs::read(golden().join("sentence.gguf")).unwrap();
    // A field that says nothing becomes the name: two strings of the same lengths.
    let at = |file: &[u8], text: &[u8]| file.windows(text.len()).position(|found| found == text).unwrap();
    let (key, value) = (at(&file, b"tokenizer.ggml.pre"), at(&file, b"default"));
    assert_eq!(value, key + 18 + 12);
    let name =
        [b"\x0c\0\0\0\0\0\0\0general.name\x08\0\0\0\x0d\0\0\0\0\0\0\0".as_slice(), b"a phi-3 model"].concat();
    let before = key - 8;
    file.splice(before..value + 7, name);
    // The header is as long as before, since tensors have their places in the file.
    assert_eq!(file.len(), std::fs::metadata(golden().join("sentence.gguf")).unwrap().len() as usize);
    std::fs::write(&path, file).unwrap();
    let tokenizer = open(&path);
    for (text, ids) in [("x<s> y", [350, 1, 669, 752]), ("x</s>  y", [350, 2, 774, 752])] {
        assert_eq!(tokenizer.encode(text, Special::Allowed), ids);
    }
}
