//! A conversation in a small context: what is dropped, what is refused, and that a refusal changes nothing.

use glass::conversation::Conversation;
use glass::tokens::Tokenizer;
use glass::tokens::chat::{DEFAULT_SPECIALS, Template, default_template};

const CONTEXT: usize = 120;
const ROOM: usize = 30;

fn parts() -> (Template, Tokenizer) {
    let template = Template::new(default_template(), None, None).unwrap();
    (template, Tokenizer::gpt2().with_specials(&DEFAULT_SPECIALS).unwrap())
}

#[test]
fn the_oldest_turns_go_first_and_the_system_prompt_stays() {
    let (template, tokenizer) = parts();
    let mut conversation = Conversation::new(Some("You are Ada."));
    let mut dropped = 0;
    for turn in 0..12 {
        conversation.ask(&format!("Question number {turn}?"));
        let prompt = conversation.prompt(&template, &tokenizer, CONTEXT, ROOM).unwrap();
        assert!(prompt.ids.len() + ROOM <= CONTEXT);
        let text = String::from_utf8(tokenizer.decode(&prompt.ids).unwrap()).unwrap();
        assert!(text.contains("You are Ada.") && text.contains(&format!("number {turn}?")), "{text}");
        assert!(prompt.dropped >= dropped && prompt.dropped.is_multiple_of(2), "whole turns, and never back");
        dropped = prompt.dropped;
        conversation.answered(&format!("Answer number {turn}."));
    }
    assert!(dropped > 0);
    assert_eq!(conversation.messages().len(), 1 + 24, "what the model no longer reads is still known");
}

#[test]
fn what_is_refused_changes_nothing() {
    let (template, tokenizer) = parts();
    let mut conversation = Conversation::new(None);
    conversation.ask("Short?");
    conversation.answered("Yes.");
    conversation.ask(&"much too long ".repeat(60));
    let refused = conversation.prompt(&template, &tokenizer, CONTEXT, ROOM).unwrap_err().to_string();
    assert!(refused.starts_with("question:"), "{refused}");
    conversation.take_back();
    conversation.ask("Still there?");
    let prompt = conversation.prompt(&template, &tokenizer, CONTEXT, ROOM).unwrap();
    assert_eq!(prompt.dropped, 0);
}

#[test]
fn a_system_prompt_that_alone_is_too_long_is_refused() {
    let (template, tokenizer) = parts();
    let mut conversation = Conversation::new(Some(&"be brief ".repeat(80)));
    conversation.ask("Why?");
    let refused = conversation.prompt(&template, &tokenizer, CONTEXT, ROOM).unwrap_err().to_string();
    assert!(refused.starts_with("system prompt:"), "{refused}");
}
