//! Learning a vocabulary: the same merges as the reference, for any number of threads.

use std::collections::HashMap;

use glass::tokens::{END_OF_TEXT, Learn, Progress, Special, Tokenizer, learn};

use crate::tokens::{Dice, data};

fn learned(texts: &[&[u8]], settings: &Learn) -> Tokenizer {
    learn(texts.iter().map(Ok), settings, &mut |_| {}).unwrap()
}

fn settings(vocabulary: usize) -> Learn {
    Learn { vocabulary, ..Learn::default() }
}

/// The merges as in the reference file, in GPT-2's alphabet.
fn merges(tokenizer: &Tokenizer) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_str(&tokenizer.to_json()).unwrap();
    serde_json::from_value(json["model"]["merges"].clone()).unwrap()
}

#[test]
fn merges_of_the_reference() {
    let files = ["cs336_train_bpe_corpus.en", "cs336_train_bpe_reference_merges.txt"];
    let [Some(text), Some(reference)] = files.map(|name| data(&format!("tokenizer/{name}"))) else { return };
    let tokenizer = learned(&[&text], &settings(500));
    assert_eq!(tokenizer.vocabulary_size(), 500);
    assert_eq!(tokenizer.end_of_text(), Some(499));
    let reference = String::from_utf8(reference).unwrap();
    assert_eq!(merges(&tokenizer), reference.lines().collect::<Vec<_>>());
}

/// The definition, literally: count every pair again before each merge.
fn naive(texts: &[&[u8]], most: usize) -> Vec<Vec<u8>> {
    let bytes = Tokenizer::gpt2();
    let mut words = HashMap::<Vec<Vec<u8>>, u64>::new();
    for word in texts.iter().flat_map(|text| bytes.words(text, Special::Allowed)) {
        if word != END_OF_TEXT.as_bytes() {
            *words.entry(word.chunks(1).map(<[u8]>::to_vec).collect()).or_default() += 1;
        }
    }
    let mut tokens = Vec::new();
    while tokens.len() < most {
        let mut pairs = HashMap::<(Vec<u8>, Vec<u8>), u64>::new();
        for (word, count) in &words {
            word.windows(2)
                .for_each(|pair| *pairs.entry((pair[0].clone(), pair[1].clone())).or_default() += count);
        }
        let Some((_, pair)) = pairs.into_iter().map(|(pair, count)| (count, pair)).max() else { break };
        let joined = [pair.0.clone(), pair.1.clone()].concat();
        if !tokens.contains(&joined) {
            tokens.push(joined.clone());
        }
        words = words.into_iter().map(|(word, count)| (join(&word, &pair, &joined), count)).collect();
    }
    tokens
}

fn join(word: &[Vec<u8>], pair: &(Vec<u8>, Vec<u8>), joined: &[u8]) -> Vec<Vec<u8>> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < word.len() {
        let found = at + 1 < word.len() && word[at] == pair.0 && word[at + 1] == pair.1;
        out.push(if found { joined.to_vec() } else { word[at].clone() });
        at += 1 + usize::from(found);
    }
    out
}

#[test]
fn as_counting_anew_every_time() {
    let mut dice = Dice::new(11);
    for round in 0..30 {
        let letters = 1 + round % 4;
        let mut text: String = (0..300).map(|_| ['a', 'b', 'c', 'ß', ' '][dice.below(letters + 1)]).collect();
        text += END_OF_TEXT;
        text += &" aaaa abab".repeat(dice.below(9));
        let texts = [text.as_bytes(), b"a <|endoftext|>bab"];
        let tokenizer = learned(&texts, &settings(257 + 60));
        let tokens: Vec<&[u8]> =
            (256..tokenizer.vocabulary_size() as u32 - 1).map(|id| tokenizer.token(id).unwrap()).collect();
        assert_eq!(tokens, naive(&texts, 60), "{text:?}");
    }
}

#[test]
fn threads_and_cuts_change_nothing() {
    let Some(text) = data("text/tinyshakespeare.txt") else { return };
    let text = &text[..300_000];
    let by = |threads: usize, texts: &[&[u8]], memory: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| merges(&learned(texts, &Learn { memory, ..settings(600) })))
    };
    let one = by(1, &[text], 1 << 28);
    assert_eq!(one.len(), 600 - 257);
    assert_eq!(by(3, &[text], 1 << 28), one);
    // Cut between words: the same words.
    let cut = text.windows(2).position(|pair| pair == b"t ").unwrap() + 1;
    assert_eq!(by(2, &[&text[..cut], &text[cut..]], 1 << 24), one);
    // Which rare words are dropped depends on the text alone.
    assert_eq!(by(1, &[text], 1 << 20), by(4, &[text], 1 << 20));
}

#[test]
fn memory_is_bounded_and_forgetting_is_said() {
    let word =
        |n: usize| n.to_string().bytes().map(|digit| char::from(digit + b'a' - b'0')).collect::<String>();
    let mut text: String = (0..40_000).map(|n| format!(" {}", word(n))).collect();
    text += &" common".repeat(2_000);
    let mut forgot = 0;
    let settings = Learn { memory: 1 << 20, ..settings(300) };
    let mut note = |progress| {
        if let Progress::Forgot { words, seen } = progress {
            assert!(words > 0 && seen > 0);
            forgot += words;
        }
    };
    let tokenizer = learn([Ok(text.as_bytes())], &settings, &mut note).unwrap();
    assert!(forgot > 10_000);
    assert_eq!(tokenizer.encode(" common", Special::Plain).len(), 1);
}

#[test]
fn wrong_wishes_and_thin_texts() {
    let ask =
        |settings: &Learn| learn([Ok(b"some text")], settings, &mut |_| {}).map(|t| t.vocabulary_size());
    assert_eq!(ask(&settings(257)).unwrap(), 257);
    assert!(ask(&settings(300)).unwrap() < 300, "the text has fewer pairs");
    assert!(ask(&settings(256)).unwrap_err().to_string().contains("257 are needed"));
    assert!(ask(&settings(1 << 21)).is_err());
    assert!(ask(&Learn { memory: 9, ..settings(300) }).is_err());
    let twice = vec![END_OF_TEXT.to_string(), END_OF_TEXT.to_string()];
    assert!(ask(&Learn { specials: twice, ..settings(300) }).is_err());
    assert_eq!(learned(&[], &settings(300)).vocabulary_size(), 257);
}
