//! Conversations, line by line.

use crate::cases::LONG;
use crate::program::{Scratch, glass, put_model};

#[test]
fn slash_commands_do_what_they_say() {
    let scratch = Scratch::new("chat");
    put_model(&scratch.0, "m");
    let lines = "Hi\n/temperature 9\n/temperature 0.5\n/retry\n/save talk.jsonl\n/save talk.jsonl\n/what\n/system\n/help\n/quit\nnever\n";
    let done = glass(
        &scratch.0,
        &["chat", "-m", "m", "--system", "Be", "--tokens", "4", "--seed", "1"],
        lines.as_bytes(),
    );
    assert_eq!(done.status, 0, "{}", done.stderr);
    for said in [
        "/temperature: it is 9",
        "/what is not a command",
        "glass: Be",
        "/retry ",
        "3 messages written",
        "talk.jsonl exists already",
    ] {
        assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
    }
    assert_eq!(done.stderr.matches("of 48 tokens (").count(), 2, "one answer and one retry: {}", done.stderr);
    let saved = std::fs::read_to_string(scratch.0.join("talk.jsonl")).unwrap();
    let saved: serde_json::Value = serde_json::from_str(&saved).unwrap();
    assert_eq!(saved["messages"][0]["role"], "system");
    assert_eq!(saved["messages"][1]["content"], "Hi");
}

#[test]
fn the_oldest_turns_are_left_out_and_it_is_said() {
    let scratch = Scratch::new("turns");
    put_model(&scratch.0, "m");
    let lines = format!("Hi\nHi\nHi\nHi\n{LONG}\nHi\n");
    let done = glass(&scratch.0, &["chat", "-m", "m", "--tokens", "4", "--seed", "1"], lines.as_bytes());
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert!(done.stderr.contains("left out from here on: \"Hi\""), "{}", done.stderr);
    // A question that is too long is refused, and the chat continues.
    assert!(done.stderr.contains("glass: question: "), "{}", done.stderr);
    assert_eq!(done.stderr.matches("of 48 tokens (").count(), 5, "{}", done.stderr);
}

#[test]
fn one_question_one_answer() {
    let scratch = Scratch::new("once");
    put_model(&scratch.0, "m");
    let arguments = ["chat", "-m", "m", "--once", "-", "--seed", "3", "--tokens", "6", "--json"];
    let json = glass(&scratch.0, &arguments, "Where?\n".as_bytes()).json();
    assert_eq!((json["seed"].as_u64(), json["context"].as_u64()), (Some(3), Some(48)));
    assert!(json["ids"].as_array().unwrap().len() <= 6);
    let plain = glass(&scratch.0, &arguments[..9], "Where?".as_bytes());
    assert_eq!(plain.stdout, format!("{}\n", json["answer"].as_str().unwrap()));
}
