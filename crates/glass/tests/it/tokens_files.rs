//! Other files that hold a vocabulary: GPT-2's pair, and tiktoken's ranks. They are made from the built-in
//! vocabulary.

use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use glass::tokens::{Special, Tokenizer};
use serde_json::Value;

use crate::scratch::Scratch;
use crate::tokens::{data, is_published};

/// Every token of a vocabulary with its id, as tiktoken writes them, except the last one, which is special.
fn ranks(tokenizer: &Tokenizer) -> String {
    let line = |id: u32| format!("{} {id}\n", BASE64_STANDARD.encode(tokenizer.token(id).unwrap()));
    (0..tokenizer.vocabulary_size() as u32 - 1).map(line).collect()
}

/// The vocabulary of a file, or the error.
fn open(name: &str, text: &str) -> glass::Result<Tokenizer> {
    let scratch = Scratch::new("vocabulary");
    fs::write(scratch.path().join(name), text).unwrap();
    Tokenizer::open(&scratch.path().join(name))
}

fn refused(name: &str, text: &str, named: &str) {
    let error = open(name, text).err().unwrap_or_else(|| panic!("{text:?} was accepted")).to_string();
    assert!(
        error.contains("/glass-vocabulary-") && error.contains(named),
        "{error:?} does not say {named:?}"
    );
}

/// The same merges in the same order, so the same tokens for every text.
#[test]
fn merges_come_back_from_ranks() {
    let gpt2 = Tokenizer::gpt2();
    assert_eq!(open("r50k_base.tiktoken", &ranks(&gpt2)).unwrap().to_json(), gpt2.to_json());
}

#[test]
fn a_pair_of_files_is_the_vocabulary() {
    let gpt2 = Tokenizer::gpt2();
    let file: Value = serde_json::from_str(&gpt2.to_json()).unwrap();
    let merges: Vec<&str> =
        file["model"]["merges"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for (names, head) in
        [(["vocab.json", "merges.txt"], ""), (["encoder.json", "vocab.bpe"], "#version: 0.2\n")]
    {
        let scratch = Scratch::new("pair");
        let paths = names.map(|name| scratch.path().join(name));
        fs::write(&paths[0], file["model"]["vocab"].to_string()).unwrap();
        assert!(Tokenizer::open(scratch.path()).is_err(), "one of two is none");
        fs::write(&paths[1], format!("{head}{}\n", merges.join("\n"))).unwrap();
        for path in [scratch.path(), &paths[0], &paths[1]] {
            assert_eq!(Tokenizer::open(path).unwrap().to_json(), gpt2.to_json(), "{path:?}");
        }
        fs::write(&paths[1], "Ġ t\nlonely\n").unwrap();
        let error = Tokenizer::open(scratch.path()).unwrap_err().to_string();
        assert!(error.contains(names[1]) && error.contains("merges[1] is \"lonely\""), "{error}");
    }
}

/// The published files give the published ids.
#[test]
fn the_files_that_others_publish() {
    let files = ["encoder.json", "vocab.bpe"].map(|name| (name, data(&format!("tokenizer/gpt2_{name}"))));
    if let [(first, Some(vocabulary)), (second, Some(merges))] = files {
        let scratch = Scratch::new("published");
        fs::write(scratch.path().join(first), vocabulary).unwrap();
        fs::write(scratch.path().join(second), merges).unwrap();
        is_published(&Tokenizer::open(scratch.path()).unwrap());
    }
    if let Some(ranks) = data("tokenizer/r50k_base.tiktoken") {
        let tokenizer = open("r50k_base.tiktoken", std::str::from_utf8(&ranks).unwrap()).unwrap();
        is_published(&tokenizer);
        assert_eq!(tokenizer.to_json(), Tokenizer::gpt2().to_json());
    }
}

/// A small vocabulary with words that no merge leads to, and ranks that leave an id free, as in p50k_base.
#[test]
fn ranks_that_merges_do_not_lead_to() {
    let bytes: String =
        (0..=255u8).map(|byte| format!("{} {byte}\n", BASE64_STANDARD.encode([byte]))).collect();
    let with = |tokens: &[(&str, u32)]| {
        let lines = tokens.iter().map(|(token, rank)| format!("{} {rank}\n", BASE64_STANDARD.encode(token)));
        bytes.clone() + &lines.collect::<String>()
    };
    let tokenizer =
        open("own.tiktoken", &with(&[("ab", 256), ("zebra", 258), ("cd", 259), ("abcd", 260)])).unwrap();
    let ids = |text: &str| tokenizer.encode(text, Special::Allowed);
    assert_eq!(ids("zebra"), [258], "a whole word is looked up");
    assert_eq!(ids("zebras").len(), 6);
    assert_eq!(ids("abcd"), [260]);
    assert_eq!(ids("<|endoftext|>"), [257]);
    assert_eq!(tokenizer.vocabulary_size(), 261);
    refused("own.tiktoken", &with(&[("ab", 255)]), "rank 255");
    refused("own.tiktoken", &with(&[("a", 256)]), "repeats a token");
    refused("own.tiktoken", &with(&[("ab", u32::MAX)]), "rank 4294967295");
    refused("own.tiktoken", &with(&[("; \n\n", 256)]), "GPT-2's splitting");
    refused("own.tiktoken", &with(&[(&"a".repeat(513), 256)]), "513 bytes");
    refused("own.tiktoken", &bytes[..200], "line 27");
    refused("own.tiktoken", "YQ== 0\n", "byte 0 has no rank");
    refused("own.tiktoken", "", "byte 0 has no rank");
    refused("merges.txt", "Ġ t", "vocab.json");
}
