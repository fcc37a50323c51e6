//! Tokens: the same ids as the reference, for any text.

use std::path::PathBuf;

use glass::tokens::{END_OF_TEXT, Special, Tokenizer};
use tokenizers::Tokenizer as Reference;

/// A small seeded generator, good enough to mix characters.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize * n) >> 31
    }
}

/// A data file next to the repository; `None`, with a message, if it is missing.
pub fn data(name: &str) -> Option<Vec<u8>> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("GLASS_DATA").map_or_else(beside, PathBuf::from).join(name);
    let found = std::fs::read(&path).ok();
    if found.is_none() {
        eprintln!("skipped: there is no {}", path.display());
    }
    found
}

/// The reference: Hugging Face's own implementation on the file that Glass writes.
pub fn reference(tokenizer: &Tokenizer) -> Reference {
    Reference::from_bytes(tokenizer.to_json()).expect("what we write is a tokenizer.json")
}

pub fn reference_ids(reference: &Reference, text: &str) -> Vec<u32> {
    reference.encode_fast(text, false).expect("byte-level BPE never fails").get_ids().to_vec()
}

#[test]
fn known_ids() {
    let gpt2 = Tokenizer::gpt2();
    assert_eq!(gpt2.vocabulary_size(), 50_257);
    assert_eq!(gpt2.end_of_text(), Some(50_256));
    for (text, ids) in [
        ("", &[][..]),
        ("Hello world", &[15496, 995]),
        ("hello world", &[31373, 995]),
        ("00000000000000000", &[8269, 10535, 830]),
        (" this is 🦙.cpp", &[428, 318, 12520, 99, 247, 13, 20322]),
        ("\n\n\n", &[628, 198]),
        ("w048 7tuijk dsdfhu", &[86, 47202, 767, 28047, 45961, 288, 82, 7568, 13415]),
    ] {
        assert_eq!(gpt2.encode(text, Special::Plain), ids, "{text:?}");
    }
    let text = "hello <|endoftext|>";
    assert_eq!(gpt2.encode(text, Special::Allowed), [31373, 220, 50256]);
    let plain = gpt2.encode(text, Special::Plain);
    assert!(!plain.contains(&50256));
    assert_eq!(gpt2.decode(&plain).unwrap(), text.as_bytes());
    assert_eq!(gpt2.token(50256), Some(END_OF_TEXT.as_bytes()));
    assert!(gpt2.is_special(50256) && !gpt2.is_special(50255));
}

#[test]
fn published_vectors() {
    is_published(&Tokenizer::gpt2());
}

/// Checks the ids that tiktoken and llama.cpp publish for GPT-2.
pub fn is_published(gpt2: &Tokenizer) {
    if let Some(file) = data("tokenizer/vectors_tiktoken_gpt2.json") {
        let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
        for (list, special) in [("vectors", Special::Plain), ("with_allowed_special", Special::Allowed)] {
            for vector in file[list].as_array().unwrap() {
                let ids: Vec<u32> = serde_json::from_value(vector[1].clone()).unwrap();
                assert_eq!(gpt2.encode(vector[0].as_str().unwrap(), special), ids, "{vector}");
            }
        }
    }
    let files = ["inp", "out"].map(|end| data(&format!("tokenizer/vectors_llamacpp_gpt2.{end}")));
    if let [Some(inputs), Some(outputs)] = files {
        let (inputs, outputs) = (String::from_utf8(inputs).unwrap(), String::from_utf8(outputs).unwrap());
        // The mark ends every input, including the last one.
        let inputs = inputs.strip_suffix("\n__ggml_vocab_test__\n").unwrap();
        let inputs: Vec<&str> = inputs.split("\n__ggml_vocab_test__\n").collect();
        let outputs: Vec<&str> = outputs.lines().collect();
        assert_eq!(inputs.len(), outputs.len());
        for (input, output) in inputs.iter().zip(outputs) {
            let ids: Vec<u32> = output.split_whitespace().map(|id| id.parse().unwrap()).collect();
            assert_eq!(gpt2.encode(input, Special::Plain), ids, "{input:?}");
        }
    }
}

/// Texts of everything that is difficult for a pre-split, a few characters at a time.
pub fn odd_text(dice: &mut Dice) -> String {
    const ODD: [&str; 42] = [
        " ",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "\u{a0}",
        "\u{3000}",
        "\u{2003}",
        "\u{85}",
        "\u{200b}",
        "\u{feff}",
        "\u{1c}",
        "'",
        "'s",
        "'S",
        "'re",
        "'ll",
        "'l",
        "don't",
        "a",
        "Z",
        "the",
        "é",
        "e\u{301}",
        "ß",
        "İ",
        "ﬁ",
        "٣",
        "७",
        "½",
        "Ⅷ",
        "²",
        "7",
        "42",
        "漢字",
        "ไทย",
        "\u{1F469}\u{200d}\u{1F680}",
        "🦙",
        "!?",
        "_",
        "ʰ",
    ];
    let mut text = String::new();
    for _ in 0..dice.below(24) {
        match dice.below(8) {
            0 => text.extend(char::from_u32(dice.below(0x11_0000) as u32)),
            1 => text.extend(char::from_u32(dice.below(0x3000) as u32)),
            2 => text.push(char::from(dice.below(128) as u8)),
            3 => text += &"ab ".repeat(dice.below(20)),
            _ => text += ODD[dice.below(ODD.len())],
        }
    }
    text
}

#[test]
fn random_unicode_as_the_reference() {
    let gpt2 = Tokenizer::gpt2();
    let reference = reference(&gpt2);
    let mut dice = Dice::new(7);
    for _ in 0..10_000 {
        let text = odd_text(&mut dice);
        let ids = gpt2.encode(&text, Special::Allowed);
        assert_eq!(ids, reference_ids(&reference, &text), "{text:?}");
        assert_eq!(gpt2.decode(&ids).unwrap(), text.as_bytes());
    }
}

/// Every character between a letter, a number and a space, so that its class shows in the cuts.
#[test]
fn every_character_as_the_reference() {
    let gpt2 = Tokenizer::gpt2();
    let reference = reference(&gpt2);
    let all: Vec<char> =
        ('\0'..=char::MAX).filter(|c| (*c as u32) < 0x3_2400 || (*c as u32) > 0xE_0000).collect();
    for some in all.chunks(4096).filter(|some| (some[0] as u32) < 0xF_1000) {
        let text: String = some.iter().flat_map(|c| ['a', *c, '1', *c, ' ', *c, '!', *c]).collect();
        let same = gpt2.encode(&text, Special::Plain) == reference_ids(&reference, &text);
        assert!(same, "somewhere in the characters from {:?}", some[0]);
    }
}

#[test]
fn real_text_as_the_reference() {
    let gpt2 = Tokenizer::gpt2();
    let reference = reference(&gpt2);
    for (name, size) in [
        ("text/sherlock_holmes.txt", 200_000),
        ("tinystories/tinystories_10k_lines.txt", 100_000),
        ("chat/gsm8k_test.jsonl", 100_000),
    ] {
        let Some(text) = data(name) else { continue };
        let text = String::from_utf8_lossy(&text[..size]);
        let ids = gpt2.encode(&text, Special::Allowed);
        assert_eq!(ids, reference_ids(&reference, &text), "{name}");
        assert_eq!(ids, gpt2.encode_parallel(text.as_bytes(), Special::Allowed), "{name}");
    }
}

#[test]
fn any_bytes_come_back() {
    let gpt2 = Tokenizer::gpt2();
    let mut dice = Dice::new(3);
    for _ in 0..2_000 {
        let mut bytes = odd_text(&mut dice).into_bytes();
        for _ in 0..dice.below(8) {
            let at = dice.below(bytes.len() + 1);
            bytes.insert(at, dice.below(256) as u8);
        }
        for special in [Special::Plain, Special::Allowed] {
            assert_eq!(gpt2.decode(&gpt2.encode_bytes(&bytes, special)).unwrap(), bytes);
            assert_eq!(gpt2.words(&bytes, special).concat(), bytes);
        }
    }
}
