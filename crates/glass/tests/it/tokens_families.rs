//! The byte-level tokenizers of other families: cut into the same words as `tokenizers` cuts, and written back so that it
//! reads them.

use glass::tokens::{Special, Tokenizer};
use serde_json::{Value, json};
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer as Reference};

use crate::tokens::{Dice, data, odd_text};

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const NANOCHAT: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
const CL100K: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The last one holds line ends as themselves, as DeepSeek's file does.
const DEEPSEEK: [&str; 3] = [
    r"\p{N}{1,3}",
    "[一-龥\u{3040}-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
];

fn byte_level(words: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": words})
}

/// Splits by expressions, one after another.
fn splits(expressions: &[&str], behavior: &str, invert: bool) -> Value {
    let one =
        |regex| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert});
    let mut parts: Vec<Value> = expressions.iter().map(one).collect();
    parts.push(byte_level(false));
    json!({"type": "Sequence", "pretokenizers": parts})
}

fn digits() -> Value {
    json!({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true}, byte_level(true)]})
}

/// Every family's pre-tokenizer.
fn families() -> Vec<(&'static str, Value)> {
    vec![
        ("GPT-2, GPT-NeoX", byte_level(true)),
        ("GPT-2 by its expression", splits(&[GPT2], "Isolated", false)),
        ("SmolLM2, StarCoder, Granite 3", digits()),
        ("Llama 3, SmolLM3", splits(&[LLAMA3], "Isolated", false)),
        ("OLMo 2", splits(&[LLAMA3], "Removed", true)),
        ("Qwen 2 and 3", splits(&[QWEN2], "Isolated", false)),
        ("nanochat", splits(&[NANOCHAT], "Isolated", false)),
        ("cl100k_base", splits(&[CL100K], "Isolated", false)),
        ("o200k_base, Phi-4-mini", splits(&[O200K], "Isolated", false)),
        ("Tekken", splits(&[TEKKEN], "Isolated", false)),
        ("DeepSeek-V3", splits(&DEEPSEEK, "Isolated", false)),
    ]
}

fn with(file: &Value, splitter: &Value) -> Value {
    let mut file = file.clone();
    file["pre_tokenizer"] = splitter.clone();
    file
}

/// A vocabulary of bytes alone, which is enough to see words.
fn bytes() -> Value {
    let mut file: Value = serde_json::from_str(&Tokenizer::gpt2().to_json()).unwrap();
    file["model"]["merges"] = json!([]);
    let vocab = file["model"]["vocab"].as_object_mut().unwrap();
    vocab.retain(|text, id| text.chars().count() == 1 && id.as_u64().unwrap() < 256);
    file["added_tokens"] = json!([]);
    file
}

/// The words of the reference, by their places in the text.
fn reference_words<'t>(reference: &Reference, text: &'t str) -> Vec<&'t str> {
    let mut words = PreTokenizedString::from(text);
    reference.get_pre_tokenizer().unwrap().pre_tokenize(&mut words).unwrap();
    let places = words
        .get_splits(OffsetReferential::Original, OffsetType::Byte)
        .into_iter()
        .map(|(_, place, _)| place);
    places.map(|(from, to)| &text[from..to]).collect()
}

/// Runs of letters in both cases and none, marks, digits, endings, signs, line ends, kana, and what no class holds.
pub fn text(dice: &mut Dice) -> String {
    const PARTS: [&str; 64] = [
        "a", "B", "ǅ", "ʰ", "漢", "字", "カ", "・", "ー", "゠", "\u{3040}", "ｶ", "é", "É", "\u{301}",
        "\u{489}", "א", "ا", "्", "न", "1", "22", "333", "4444", "٣", "½", "Ⅷ", " ", "  ", "\t", "\n", "\r\n",
        "\r", "\u{a0}", "\u{3000}", "\u{85}", "'", "'s", "'S", "'ſ", "'re", "'Re", "'LL", "'ve", "'d", "'x",
        "!", "!!", "/", "//", "_", "-", "—", "$", "€", "🦙", "\u{200d}", "\u{feff}", "\u{1}", "\u{7f}",
        "\u{e000}", "\u{378}", "ﬁ", "ß",
    ];
    let mut text = String::new();
    for _ in 0..dice.below(14) {
        match dice.below(9) {
            0 => text.push_str(&odd_text(dice)),
            _ => text.push_str(PARTS[dice.below(PARTS.len())]),
        }
    }
    text
}

#[test]
fn words_as_the_reference() {
    let base = bytes();
    for (family, splitter) in families() {
        let file = with(&base, &splitter).to_string();
        let (ours, theirs) =
            (Tokenizer::from_json(family, file.as_bytes()).unwrap(), Reference::from_bytes(&file).unwrap());
        let mut dice = Dice::new(19);
        for _ in 0..6_000 {
            let text = text(&mut dice);
            let words = ours.words(text.as_bytes(), Special::Plain);
            let words: Vec<&str> = words.iter().map(|word| std::str::from_utf8(word).unwrap()).collect();
            assert_eq!(words, reference_words(&theirs, &text), "{family}: {text:?}");
        }
        // Every character between others of several classes.
        // These are numbers since Unicode 17, which `Digits` knows and expressions do not yet.
        let new = ['\u{11DE0}'..='\u{11DE9}', '\u{16FF4}'..='\u{16FF6}'];
        let known = |c: &char| (*c as u32) < 0x3_2400 && !new.iter().any(|range| range.contains(c));
        let all: Vec<char> = ('\0'..=char::MAX).filter(known).collect();
        for some in all.chunks(1024) {
            let text: String =
                some.iter().flat_map(|c| ['a', *c, '1', *c, ' ', *c, 'B', '!', *c, *c, '\n']).collect();
            let same = ours
                .words(text.as_bytes(), Special::Plain)
                .iter()
                .map(Vec::as_slice)
                .eq(reference_words(&theirs, &text).into_iter().map(str::as_bytes));
            assert!(same, "{family}: somewhere in the characters from {:?}", some[0]);
        }
    }
}

#[test]
fn ids_as_the_reference_and_written_back() {
    let base: Value = serde_json::from_str(&Tokenizer::gpt2().to_json()).unwrap();
    for ((family, splitter), whole) in families().into_iter().zip([false, true].into_iter().cycle()) {
        let mut file = with(&base, &splitter);
        file["model"]["ignore_merges"] = whole.into();
        if family.starts_with("Qwen") {
            file["normalizer"] = json!({"type": "NFC"});
        }
        let ours = Tokenizer::from_json(family, file.to_string().as_bytes()).unwrap();
        let written = ours.to_json();
        let again = Tokenizer::from_json("again", written.as_bytes()).unwrap();
        let [theirs, of_ours] = [file.to_string(), written].map(|file| Reference::from_bytes(file).unwrap());
        let mut dice = Dice::new(23);
        let texts: Vec<String> = (0..700).map(|_| text(&mut dice)).collect();
        let real = ["text/sherlock_holmes.txt", "chat/gsm8k_test.jsonl"].map(data);
        let real = real.iter().flatten().map(|text| String::from_utf8_lossy(&text[..100_000]).into_owned());
        for text in texts.into_iter().chain(real) {
            let expected = theirs.encode_fast(text.as_str(), false).unwrap().get_ids().to_vec();
            let shown = text.get(..99).unwrap_or(&text);
            assert_eq!(ours.encode(&text, Special::Allowed), expected, "{family}: {shown:?}");
            assert_eq!(
                ours.encode_parallel(text.as_bytes(), Special::Allowed),
                expected,
                "{family}: {shown:?}"
            );
            assert_eq!(again.encode(&text, Special::Allowed), expected, "{family}, written: {shown:?}");
            assert_eq!(of_ours.encode_fast(text.as_str(), false).unwrap().get_ids(), expected, "{family}");
            let decoded = String::from_utf8(ours.decode(&expected).unwrap()).unwrap();
            assert_eq!(decoded, theirs.decode(&expected, false).unwrap(), "{family}: {shown:?}");
        }
    }
}

#[test]
fn a_long_text_is_cut_where_no_word_changes() {
    let base = bytes();
    for (family, splitter) in families() {
        let file = with(&base, &splitter).to_string();
        let tokenizer = Tokenizer::from_json(family, file.as_bytes()).unwrap();
        let mut dice = Dice::new(29);
        let mut long = String::new();
        while long.len() < 400_000 {
            long += &text(&mut dice);
        }
        let ids = tokenizer.encode(&long, Special::Plain);
        assert!(tokenizer.encode_parallel(long.as_bytes(), Special::Plain) == ids, "{family}");
    }
}

#[test]
fn any_bytes_are_cut_and_come_back() {
    let base = bytes();
    for (family, splitter) in families() {
        let tokenizer = Tokenizer::from_json(family, with(&base, &splitter).to_string().as_bytes()).unwrap();
        let mut dice = Dice::new(31);
        for _ in 0..1_000 {
            let mut bytes = text(&mut dice).into_bytes();
            for _ in 0..dice.below(8) {
                bytes.insert(dice.below(bytes.len() + 1), dice.below(256) as u8);
            }
            assert_eq!(tokenizer.words(&bytes, Special::Plain).concat(), bytes, "{family}");
            assert_eq!(
                tokenizer.decode(&tokenizer.encode_bytes(&bytes, Special::Plain)).unwrap(),
                bytes,
                "{family}"
            );
        }
    }
}
