//! Streams of bytes and parts of texts: nothing is lost.

use glass::tokens::{Special, TextStream, Tokenizer};

use crate::tokens::{Dice, odd_text};

#[test]
fn a_stream_gives_the_text_whatever_the_cuts() {
    let mut dice = Dice::new(21);
    for round in 0..2_000 {
        let mut bytes = odd_text(&mut dice).into_bytes();
        // Every other text is invalid UTF-8.
        for _ in 0..(round % 2) * dice.below(5) {
            let at = dice.below(bytes.len() + 1);
            bytes.insert(at, dice.below(256) as u8);
        }
        let (mut stream, mut text, mut rest) = (TextStream::default(), String::new(), &bytes[..]);
        while !rest.is_empty() {
            let (part, after) = rest.split_at(1 + dice.below(rest.len().min(3)));
            text += stream.push(part);
            assert!(stream.held().len() < 4);
            // Returned text is final, and held bytes may still become a character.
            assert!(
                std::str::from_utf8(stream.held()).is_err_and(|error| error.error_len().is_none())
                    || stream.held().is_empty()
            );
            rest = after;
        }
        text += stream.finish();
        assert_eq!(text, String::from_utf8_lossy(&bytes), "{bytes:?}");
    }
}

#[test]
fn tokens_that_end_within_a_character() {
    let gpt2 = Tokenizer::gpt2();
    let mut stream = TextStream::default();
    let ids = gpt2.encode("🦙", Special::Plain);
    let parts: Vec<String> = ids.iter().map(|id| stream.push(gpt2.token(*id).unwrap()).to_string()).collect();
    assert_eq!(parts, ["", "", "🦙"]);
    assert_eq!(stream.finish(), "");
}

#[test]
fn parts_on_threads_are_the_whole() {
    let gpt2 = Tokenizer::gpt2();
    let mut dice = Dice::new(4);
    let mut text = String::new();
    while text.len() < 600_000 {
        match dice.below(40) {
            0 => text += &"a".repeat(dice.below(90_000)),
            1 => text += &" ".repeat(dice.below(9_000)),
            2 => text += "<|endoftext|>",
            _ => text += &odd_text(&mut dice),
        }
    }
    for special in [Special::Plain, Special::Allowed] {
        let ids = gpt2.encode(&text, special);
        assert_eq!(gpt2.encode_parallel(text.as_bytes(), special), ids);
        assert_eq!(gpt2.encode_all(&[&text, "", &text], special), [ids.clone(), vec![], ids]);
    }
}

#[test]
fn unknown_ids_are_refused() {
    let gpt2 = Tokenizer::gpt2();
    let error = gpt2.decode(&[15496, 50_257]).unwrap_err().to_string();
    assert!(error.contains("50257") && error.contains("50256"), "{error}");
    assert_eq!(gpt2.token(u32::MAX), None);
}

#[test]
fn how_a_word_is_put_together() {
    let gpt2 = Tokenizer::gpt2();
    let steps = gpt2.merges(b" hello");
    let text = |id: &u32| String::from_utf8_lossy(gpt2.token(*id).unwrap()).into_owned();
    let shown: Vec<String> =
        steps.iter().map(|step| step.tokens.iter().map(text).collect::<Vec<_>>().join("|")).collect();
    assert_eq!(shown.first().unwrap(), " |h|e|l|l|o");
    assert_eq!(shown.last().unwrap(), " hello");
    assert_eq!(shown.len(), 6);
    // The second line of GPT-2's merges is " a", the third "he".
    assert_eq!((shown[1].as_str(), steps[1].joined), (" |he|l|l|o", Some((1, 2))));
}
