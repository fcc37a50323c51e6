//! OpenAI's own vocabularies, cl100k_base and o200k_base: the ids of tiktoken.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use glass::tokens::{Special, Tokenizer};
use tiktoken_rs::CoreBPE;

use crate::scratch::Scratch;
use crate::tokens::{Dice, data};
use crate::tokens_families::text;

/// The rank file of a vocabulary whose tokens are the ids below `count`.
fn ranks(reference: &CoreBPE, count: u32) -> String {
    let mut file = String::new();
    for id in 0..count {
        let token = BASE64_STANDARD.encode(reference.decode_bytes(&[id]).unwrap());
        writeln!(file, "{token} {id}").unwrap();
    }
    file
}

/// Any characters of some scripts, in short runs; and any characters at all.
fn scripts(dice: &mut Dice) -> String {
    const RANGES: [[u32; 2]; 14] = [
        [0x20, 0x7f],
        [0xa0, 0x250],
        [0x300, 0x370],
        [0x370, 0x530],
        [0x590, 0x700],
        [0x900, 0xe00],
        [0x1100, 0x1200],
        [0x2000, 0x2c00],
        [0x3000, 0x3200],
        [0x4e00, 0xa000],
        [0xac00, 0xd7a4],
        [0xfe00, 0xfe10],
        [0x1f300, 0x1fb00],
        [0, 0x11_0000],
    ];
    let mut text = String::new();
    for _ in 0..dice.below(12) {
        let [from, to] = RANGES[dice.below(RANGES.len())];
        let any = (0..1 + dice.below(5)).map(|_| from + dice.below((to - from) as usize) as u32);
        text.extend(any.filter_map(char::from_u32));
        text.push_str(["", " ", "  ", "\n", "\n\n ", "\u{200d}", "'s", "'LL"][dice.below(8)]);
    }
    text
}

/// The README, source code, and real texts where they are.
fn real() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let own = ["README.md", "NOTEBOOK.md", "web/index.html", "crates/glass/src/plan.rs", "bench/README.md"];
    let own = own.map(|name| std::fs::read_to_string(root.join(name)).unwrap());
    let more = ["text/sherlock_holmes.txt", "chat/gsm8k_test.jsonl"].into_iter().filter_map(data);
    own.into_iter().chain(more.map(|text| String::from_utf8_lossy(&text[..100_000]).into_owned())).collect()
}

fn same_ids(name: &str, reference: &CoreBPE, count: u32, special: &[(&str, u32)]) {
    let scratch = Scratch::new("openai");
    let path = scratch.path().join(format!("{name}.tiktoken"));
    let file = ranks(reference, count);
    std::fs::write(&path, &file).unwrap();
    let ours = Tokenizer::open(&path).unwrap();
    let written = ours.to_json();
    let again = Tokenizer::from_json("again", written.as_bytes()).unwrap();

    let mut dice = Dice::new(37);
    let mut texts = real();
    texts.extend((0..4_000).flat_map(|_| [text(&mut dice), scripts(&mut dice)]));
    for text in &texts {
        let (expected, shown) = (reference.encode_ordinary(text), text.get(..99).unwrap_or(text));
        assert_eq!(ours.encode(text, Special::Plain), expected, "{name}: {shown:?}");
        assert_eq!(again.encode(text, Special::Plain), expected, "{name}, written: {shown:?}");
        assert_eq!(ours.decode(&expected).unwrap(), text.as_bytes(), "{name}: {shown:?}");
    }
    for (token, id) in special {
        let text = format!("one {token}\n\n{token}'s");
        let ids = ours.encode(&text, Special::Allowed);
        assert_eq!(ids, reference.encode_with_special_tokens(&text), "{name}: {text:?}");
        assert_eq!(ids.iter().filter(|found| *found == id).count(), 2, "{name}: {text:?}");
        assert_eq!(ours.encode(&text, Special::Plain), reference.encode_ordinary(&text), "{name}: {text:?}");
        assert!(ours.is_special(*id));
    }
    // The name says which split it is.
    let other = scratch.path().join("other.tiktoken");
    std::fs::write(&other, file).unwrap();
    let error = Tokenizer::open(&other).unwrap_err().to_string();
    assert!(error.contains("never one word of GPT-2's splitting"), "{error}");
}

#[test]
fn cl100k_base_is_tiktokens() {
    let special = [
        ("<|endoftext|>", 100_257),
        ("<|fim_prefix|>", 100_258),
        ("<|fim_middle|>", 100_259),
        ("<|fim_suffix|>", 100_260),
        ("<|endofprompt|>", 100_276),
    ];
    same_ids("cl100k_base", &tiktoken_rs::cl100k_base().unwrap(), 100_256, &special);
}

#[test]
fn o200k_base_is_tiktokens() {
    let special = [("<|endoftext|>", 199_999), ("<|endofprompt|>", 200_018)];
    same_ids("o200k_base", &tiktoken_rs::o200k_base().unwrap(), 199_998, &special);
}
