//! `tokenizer.json`: written for other programs, read from other programs, refused if it is of another kind.

use glass::tokens::{Learn, Special, Tokenizer, learn};
use serde_json::{Value, json};

use crate::tokens::{Dice, data, odd_text, reference, reference_ids};

/// A small learned vocabulary as JSON.
fn small() -> Value {
    let settings = Learn { vocabulary: 300, ..Learn::default() };
    let tokenizer =
        learn([Ok("the cat and the hat and the bat ".repeat(9))], &settings, &mut |_| {}).unwrap();
    serde_json::from_str(&tokenizer.to_json()).unwrap()
}

fn read(file: &Value) -> glass::Result<Tokenizer> {
    Tokenizer::from_json("some/tokenizer.json", file.to_string().as_bytes())
}

#[test]
fn there_and_back() {
    for tokenizer in [Tokenizer::gpt2(), read(&small()).unwrap()] {
        let again = Tokenizer::from_json("again", tokenizer.to_json().as_bytes()).unwrap();
        assert_eq!(again.to_json(), tokenizer.to_json());
        assert_eq!(again.vocabulary_size(), tokenizer.vocabulary_size());
        assert_eq!(again.end_of_text(), tokenizer.end_of_text());
        let text = "the cat's hat, ünd <|endoftext|> 漢字";
        assert_eq!(again.encode(text, Special::Allowed), tokenizer.encode(text, Special::Allowed));
    }
}

#[test]
fn the_file_that_others_publish() {
    let Some(file) = data("tokenizer/gpt2_tokenizer.json") else { return };
    let (theirs, ours) = (Tokenizer::from_json("gpt2", &file).unwrap(), Tokenizer::gpt2());
    // Theirs searches for <|endoftext|> in the normalised text; there is no normalizer.
    assert_eq!(theirs.to_json().replace("\"normalized\": true", "\"normalized\": false"), ours.to_json());
}

#[test]
fn small_vocabularies_as_the_reference() {
    let mut file = small();
    let mut dice = Dice::new(5);
    let mut check = |file: &Value| {
        let tokenizer = read(file).unwrap();
        let reference = reference(&tokenizer);
        for _ in 0..1_000 {
            let text = format!("{}the hat<|endoftext|> and{}", odd_text(&mut dice), odd_text(&mut dice));
            let ids = tokenizer.encode(&text, Special::Allowed);
            assert_eq!(ids, reference_ids(&reference, &text), "{text:?}");
            assert_eq!(ids, tokenizer.encode_parallel(text.as_bytes(), Special::Allowed));
            assert_eq!(tokenizer.decode(&ids).unwrap(), text.as_bytes());
        }
    };
    check(&file);
    // Merges as pairs, as in newer files.
    for merge in file["model"]["merges"].as_array_mut().unwrap() {
        *merge = merge.as_str().unwrap().split(' ').collect();
    }
    check(&file);
    // Whole words that no merge leads to; text that is not split; an added token that is not special.
    file["model"]["ignore_merges"] = true.into();
    file["model"]["vocab"]["Ġzebra"] = 301.into();
    check(&file);
    file["pre_tokenizer"]["use_regex"] = false.into();
    check(&file);
    assert!(
        read(&file).unwrap().encode("<|endoftext|>", Special::Plain).len() > 1,
        "plain text is spelled out"
    );
    file["added_tokens"]
        .as_array_mut()
        .unwrap()
        .push(json!({"id": 400, "content": " and", "special": false}));
    // tokenizers gives the next free id to an added token that is not in the vocabulary, whatever the file says.
    let next = file["model"]["vocab"].as_object().unwrap().len();
    let error = read(&file).err().unwrap().to_string();
    assert!(error.contains("\" and\" has id 400") && error.contains(&format!("give it {next}")), "{error}");
    file["model"]["vocab"][" and"] = 400.into();
    let tokenizer = read(&file).unwrap();
    assert_eq!(tokenizer.encode("x and", Special::Plain).last(), Some(&400));
    assert_eq!(
        (tokenizer.vocabulary_size(), tokenizer.token(350), tokenizer.is_special(400)),
        (401, None, false)
    );
}

#[test]
fn special_tokens_at_the_end() {
    let (user, answer) = ("<|user|>", "<|user|>answer");
    let tokenizer = Tokenizer::gpt2().with_specials(&[user, answer, user]).unwrap();
    assert_eq!(tokenizer.vocabulary_size(), 50_259);
    assert_eq!([tokenizer.special(user), tokenizer.special(answer)], [Some(50_257), Some(50_258)]);
    let text = "hi<|user|>answer<|user|>there<|endoftext|>";
    let ids = tokenizer.encode(text, Special::Allowed);
    // The longest of those that begin at the same place.
    assert_eq!(ids, [5303, 50_258, 50_257, 8117, 50_256]);
    assert_eq!(ids, reference_ids(&reference(&tokenizer), text));
    assert!(tokenizer.encode(text, Special::Plain).iter().all(|id| *id < 50_256));
    assert!(Tokenizer::gpt2().with_specials(&[""]).is_err());
}

#[test]
fn another_kind_is_refused_by_name() {
    let refused = |path: &str, value: Value, says: &[&str]| {
        let mut file = small();
        *file.pointer_mut(path).unwrap() = value;
        let error = read(&file).err().unwrap_or_else(|| panic!("{path} was accepted")).to_string();
        for word in ["some/tokenizer.json"].iter().chain(says) {
            assert!(error.contains(word), "{error:?} does not say {word:?}");
        }
    };
    refused("/model", json!({"type": "Unigram", "vocab": [["a", -1.0]]}), &["model.type", "Unigram"]);
    refused("/model", json!({"type": "WordPiece", "vocab": {}}), &["WordPiece"]);
    refused("/normalizer", json!({"type": "StripAccents"}), &["normalizer", "StripAccents"]);
    refused("/pre_tokenizer", json!({"type": "Whitespace"}), &["pre_tokenizer", "Whitespace"]);
    refused("/pre_tokenizer", Value::Null, &["pre_tokenizer", "missing"]);
    let split =
        json!({"type": "Split", "pattern": {"Regex": "a|b"}, "behavior": "Isolated", "invert": false});
    refused("/pre_tokenizer", split, &["pre_tokenizer", "a|b"]);
    refused("/post_processor", json!({"type": "TemplateProcessing"}), &["post_processor.single", "missing"]);
    refused("/post_processor", json!({"type": "Other"}), &["post_processor", "Other"]);
    refused("/model/unk_token", "[UNK]".into(), &["unk_token", "[UNK]"]);
    refused("/decoder", json!({"type": "WordPiece"}), &["decoder"]);
    refused("/model/dropout", 0.1.into(), &["dropout", "0.1"]);
    refused("/model/end_of_word_suffix", "</w>".into(), &["end_of_word_suffix", "</w>"]);
    refused("/model/continuing_subword_prefix", "##".into(), &["continuing_subword_prefix", "##"]);
    refused("/model/byte_fallback", true.into(), &["byte_fallback"]);
    refused("/model/merges/0", "xyz".into(), &["merges[0]", "xyz"]);
    refused("/model/merges/1", json!(["x", "漢"]), &["merges[1]", "漢"]);
    refused("/model/merges/1", json!(["a", "b", "c"]), &["a merge has two tokens"]);
    refused("/model/merges/1", 7.into(), &["the two tokens of a merge"]);
    refused("/model/vocab/Ġ", "x".into(), &["invalid type", "u32"]);
    refused("/model/vocab", json!([]), &["tokens and their ids"]);
    refused("/model/vocab/Ġ", 77.into(), &["77"]);
    refused("/model/vocab/Ġ", 4_000_000_000u32.into(), &["4000000000"]);
    refused("/added_tokens/0/id", 12.into(), &["endoftext"]);
    refused("/added_tokens/0/single_word", true.into(), &["endoftext", "single_word"]);
    refused("/added_tokens/0/content", "".into(), &["empty"]);
}

#[test]
fn the_same_text_however_it_is_written() {
    let file = small().to_string();
    let read = |file: &str| Tokenizer::from_json("file", file.as_bytes()).unwrap().to_json();
    let escaped = file.replace('Ġ', "\\u0120");
    assert_ne!(escaped, file);
    assert_eq!(read(&escaped), read(&file));
    // Of a token that is there twice, the last id counts.
    let twice = file.replacen("\"vocab\":{", "\"vocab\":{\"Ġ\":7,", 1);
    assert_ne!(twice, file);
    assert_eq!(read(&twice), read(&file));
}

#[test]
fn what_is_refused_first_is_the_same_each_time() {
    let mut file = small();
    let vocab = file["model"]["vocab"].as_object_mut().unwrap();
    let names: Vec<String> = vocab.keys().cloned().collect();
    for pair in names[100..200].chunks(2) {
        vocab[&pair[1]] = vocab[&pair[0]].clone();
    }
    let says = format!("token {:?} is empty or shares its id", names[101]);
    for _ in 0..9 {
        let error = read(&file).err().unwrap().to_string();
        assert!(error.contains(&says), "{error}");
    }
}

#[test]
fn mutated_files_never_panic() {
    let whole = small().to_string().into_bytes();
    let mut dice = Dice::new(9);
    let mut refused = 0;
    for _ in 0..3_000 {
        let mut file = whole.clone();
        match dice.below(3) {
            0 => file.truncate(dice.below(whole.len())),
            1 => file[dice.below(whole.len())] = dice.below(256) as u8,
            _ => drop(file.splice(dice.below(whole.len() / 2)..whole.len() / 2 + dice.below(99), *b"9")),
        }
        refused += usize::from(Tokenizer::from_json("mutated", &file).is_err());
    }
    assert!(refused > 2_000);
}
