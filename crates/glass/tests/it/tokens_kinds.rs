//! Every supported kind of byte-level tokenizer, compared with `tokenizers`: on the original file, and on the one
//! Glass writes.

use glass::tokens::{END_OF_TEXT, Learn, Special, Tokenizer, learn};
use serde_json::{Value, json};
use tokenizers::Tokenizer as Reference;

use crate::tokens::{Dice, odd_text};

/// A small learned vocabulary as JSON, with `<|endoftext|>` as its last token.
fn small() -> Value {
    let settings = Learn { vocabulary: 300, ..Learn::default() };
    let texts = "the cat and the hat and the bat 123 ".repeat(9);
    let tokenizer = learn([Ok(texts)], &settings, &mut |_| {}).unwrap();
    serde_json::from_str(&tokenizer.to_json()).unwrap()
}

/// Several alphabets, digits, composed and decomposed letters, added tokens, and odd characters.
fn text(dice: &mut Dice) -> String {
    let parts = [
        "the cat",
        " the hat",
        "and",
        " ",
        "  ",
        "\n",
        "\t ",
        "123",
        "4567",
        "٣٤",
        "²½Ⅷ",
        "e\u{301}",
        "é",
        "A\u{30a}",
        "ﬁ",
        "Ⅳ",
        "日本",
        "Привет",
        "שלום",
        "नमस्ते",
        "İ",
        "ẞ",
        "👍🏽",
        "<|endoftext|>",
        "<m>",
        " <m> ",
        "qzj",
        "zjwv",
        "qzjwv",
        "q",
        "zq",
        "it's",
        "don't",
        "x|y",
        "$5+3",
        "!?",
        "\u{a0}",
        "\u{2003}x",
    ];
    let mut text = String::new();
    for _ in 0..dice.below(7) {
        match dice.below(5) {
            0 => text.push_str(&odd_text(dice)),
            _ => text.push_str(parts[dice.below(parts.len())]),
        }
    }
    text
}

/// The file gives the same ids as `tokenizers`, with the tokens around a text, and so does the file written from
/// it.
fn as_the_reference(what: &str, file: &Value) {
    let tokenizer = Tokenizer::from_json(what, file.to_string().as_bytes()).unwrap();
    let written = tokenizer.to_json();
    let again = Tokenizer::from_json("again", written.as_bytes()).unwrap();
    let [theirs, of_ours] =
        [file.to_string(), written].map(|file| Reference::from_bytes(file).expect("a tokenizer.json"));
    let mut dice = Dice::new(11);
    for _ in 0..600 {
        let text = text(&mut dice);
        let ids = theirs.encode_fast(text.as_str(), true).unwrap().get_ids().to_vec();
        assert_eq!(tokenizer.encode_whole(text.as_bytes(), Special::Allowed), ids, "{what}: {text:?}");
        assert_eq!(again.encode_whole(text.as_bytes(), Special::Allowed), ids, "{what}, written: {text:?}");
        assert_eq!(
            of_ours.encode_fast(text.as_str(), true).unwrap().get_ids(),
            ids,
            "{what}, to others: {text:?}"
        );
    }
}

/// The number of tokens, which is the next id.
fn size(file: &Value) -> u32 {
    file["model"]["vocab"].as_object().unwrap().len() as u32
}

fn byte_level(space: bool, words: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": true, "use_regex": words})
}

fn split(pattern: &str, behavior: &str, invert: bool) -> Value {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert})
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const TIKTOKEN: &str = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s";

#[test]
fn pre_splits_however_they_are_spelled() {
    let digits = |each: bool| json!({"type": "Digits", "individual_digits": each});
    for (what, steps) in [
        ("a sequence of one", vec![byte_level(false, true)]),
        ("GPT-2's expression", vec![split(GPT2, "Isolated", false), byte_level(false, false)]),
        ("tiktoken's expression", vec![split(TIKTOKEN, "Removed", true), byte_level(false, false)]),
        ("digits one by one", vec![digits(true), byte_level(false, true)]),
        ("runs of digits", vec![digits(false), byte_level(false, true)]),
        ("numbers by an expression", vec![split(r"\p{N}", "Isolated", false), byte_level(false, true)]),
        ("a space before a text", vec![byte_level(true, true)]),
        ("a space before every word", vec![split(GPT2, "Isolated", false), byte_level(true, false)]),
        ("a space before what is between digits", vec![digits(true), byte_level(true, true)]),
        ("no words", vec![byte_level(true, false)]),
    ] {
        let mut file = small();
        file["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": steps});
        as_the_reference(what, &file);
    }
}

#[test]
fn normal_forms() {
    for normalizer in [
        json!({"type": "NFC"}),
        json!({"type": "NFD"}),
        json!({"type": "NFKC"}),
        json!({"type": "NFKD"}),
        json!({"type": "Lowercase"}),
        json!({"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]}),
        json!({"type": "Sequence", "normalizers": []}),
    ] {
        let mut file = small();
        file["normalizer"] = normalizer.clone();
        as_the_reference(&normalizer.to_string(), &file);
    }
    let mut file = small();
    file["normalizer"] = json!({"type": "NFC"});
    let tokenizer = Tokenizer::from_json("nfc", file.to_string().as_bytes()).unwrap();
    assert_eq!(tokenizer.encode("e\u{301}", Special::Plain), tokenizer.encode("é", Special::Plain));
    let long = "e\u{301}the cat ".repeat(20_000);
    assert_eq!(
        tokenizer.encode_parallel(long.as_bytes(), Special::Allowed),
        tokenizer.encode(&long, Special::Allowed)
    );
}

#[test]
fn tokens_around_a_text() {
    let end_of_text = size(&small()) - 1;
    let special = json!({"SpecialToken": {"id": END_OF_TEXT, "type_id": 0}});
    let of = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
    let template = |single: Vec<Value>| {
        json!({"type": "TemplateProcessing", "single": single, "pair": [of("A"), of("B")],
               "special_tokens": {END_OF_TEXT: {"id": END_OF_TEXT, "ids": [end_of_text], "tokens": [END_OF_TEXT]}}})
    };
    let pair = json!([END_OF_TEXT, end_of_text]);
    for (what, processor, start, end) in [
        ("a start token", template(vec![special.clone(), of("A")]), 1, 0),
        ("an empty template", template(vec![of("A")]), 0, 0),
        ("both", template(vec![special.clone(), special.clone(), of("A"), special.clone()]), 2, 1),
        (
            "RoBERTa's",
            json!({"type": "RobertaProcessing", "sep": pair, "cls": pair, "trim_offsets": true, "add_prefix_space": false}),
            1,
            1,
        ),
        (
            "a sequence",
            json!({"type": "Sequence", "processors": [byte_level(false, true), template(vec![special.clone(), of("A")])]}),
            1,
            0,
        ),
        ("none", Value::Null, 0, 0),
    ] {
        let mut file = small();
        file["post_processor"] = processor;
        as_the_reference(what, &file);
        let tokenizer = Tokenizer::from_json(what, file.to_string().as_bytes()).unwrap();
        assert_eq!(
            (tokenizer.start(), tokenizer.end()),
            (&[end_of_text; 2][..start], &[end_of_text; 1][..end]),
            "{what}"
        );
        assert_eq!(tokenizer.encode_prompt(b"", Special::Plain), &[end_of_text; 2][..start], "{what}");
    }
    let mut file = small();
    file["post_processor"] = template(vec![of("A"), of("A")]);
    let error = Tokenizer::from_json("twice", file.to_string().as_bytes()).err().unwrap().to_string();
    assert!(error.contains("post_processor.single is a list with 2 texts"), "{error}");
    file["post_processor"] = json!({"type": "BertProcessing", "sep": ["x", 5000], "cls": ["x", 5000]});
    let error = Tokenizer::from_json("beyond", file.to_string().as_bytes()).err().unwrap().to_string();
    assert!(error.contains("5000, which no token has"), "{error}");
}

#[test]
fn a_start_is_kept_in_the_file() {
    let gpt2 = Tokenizer::gpt2().with_start(&[50_256]).unwrap();
    let again = Tokenizer::from_json("again", gpt2.to_json().as_bytes()).unwrap();
    for tokenizer in [&gpt2, &again] {
        assert_eq!(tokenizer.encode_prompt(b"Hello world", Special::Plain), [50_256, 15_496, 995]);
        assert_eq!(tokenizer.encode("Hello world", Special::Plain), [15_496, 995]);
        // The end of the previous document is already the start.
        assert!(tokenizer.document_start().is_empty());
    }
    let reference = Reference::from_bytes(gpt2.to_json()).unwrap();
    assert_eq!(reference.encode_fast("Hello world", true).unwrap().get_ids(), [50_256, 15_496, 995]);
    let own = Tokenizer::gpt2().with_specials(&["<|startoftext|>"]).unwrap().with_start(&[50_257]).unwrap();
    assert_eq!(own.document_start(), [50_257]);
    assert!(Tokenizer::gpt2().with_start(&[50_257]).is_err());
}

#[test]
fn added_tokens_that_overlap_and_take_in_space() {
    let token = |id: u32, content: &str, flags: [bool; 3]| {
        let [normalized, lstrip, rstrip] = flags;
        json!({"id": id, "content": content, "single_word": false, "lstrip": lstrip, "rstrip": rstrip,
               "normalized": normalized, "special": false})
    };
    let mut file = small();
    let next = size(&file);
    let added = file["added_tokens"].as_array_mut().unwrap();
    added.push(token(next, "qzj", [true, false, false]));
    added.push(token(next + 1, "zjwv", [false, false, false]));
    added.push(token(next + 2, "<m>", [false, true, false]));
    as_the_reference("overlap, and space before", &file);
    let tokenizer = Tokenizer::from_json("overlap", file.to_string().as_bytes()).unwrap();
    // The token that is not normalised is found first.
    assert_eq!(tokenizer.encode("qzjwv", Special::Plain)[1..], [next + 1]);
    assert_eq!(tokenizer.encode(" \n\u{2003}<m>", Special::Plain), [next + 2]);
    file["added_tokens"][3] = token(next + 2, "<m>", [true, true, true]);
    as_the_reference("space on both sides", &file);
    file["normalizer"] = json!({"type": "Lowercase"});
    file["added_tokens"][1] = token(next, "QZJ", [true, false, false]);
    as_the_reference("a normalized token", &file);
    assert!(!tokenizer.cuts_at_words(), "space belongs to a token");
}

#[test]
fn vocabularies_without_all_bytes() {
    let mut file = small();
    for missing in ["q", "z", "ð", "Ł"] {
        file["model"]["vocab"].as_object_mut().unwrap().shift_remove(missing);
    }
    as_the_reference("dropped bytes", &file);
    let tokenizer = Tokenizer::from_json("partial", file.to_string().as_bytes()).unwrap();
    // Their neighbours become adjacent, as in tokenizers.
    assert_eq!(tokenizer.encode("tqhze", Special::Plain), tokenizer.encode("the", Special::Plain));
    assert_eq!(tokenizer.unknown_bytes(b"tqhze q<|endoftext|>", Special::Allowed), 3);
    assert_eq!(Tokenizer::gpt2().unknown_bytes(b"tqhze", Special::Plain), 0);
    for fuse in [false, true] {
        file["model"]["unk_token"] = "!".into();
        file["model"]["fuse_unk"] = fuse.into();
        as_the_reference(if fuse { "unknown bytes as one" } else { "unknown bytes" }, &file);
    }
}

#[test]
fn a_token_that_no_text_leads_to() {
    let mut file = small();
    file["model"]["vocab"]["日本"] = 300.into();
    as_the_reference("a raw token", &file);
    let tokenizer = Tokenizer::from_json("raw", file.to_string().as_bytes()).unwrap();
    assert_eq!(tokenizer.decode(&[300]).unwrap(), "日本".as_bytes());
}

#[test]
fn characters() {
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                  "vocab": {"\n": 0, " ": 1, "t": 2, "h": 3, "e": 4, "é": 5, "日": 6}, "merges": []}
    });
    as_the_reference("characters", &file);
    let tokenizer = Tokenizer::from_json("characters", file.to_string().as_bytes()).unwrap();
    let text = "the 日\né";
    let ids = tokenizer.encode(text, Special::Plain);
    assert_eq!(ids, [2, 3, 4, 1, 6, 0, 5]);
    assert_eq!(tokenizer.decode(&ids).unwrap(), text.as_bytes());
    assert_eq!(tokenizer.unknown_bytes("x日本".as_bytes(), Special::Plain), 4);
}
