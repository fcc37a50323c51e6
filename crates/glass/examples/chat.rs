//! Asks the built-in model two questions in one conversation.
//!
//! `cargo run --release --example chat`

use std::ops::ControlFlow;

use glass::backend::Cpu;
use glass::built_in;
use glass::conversation::Conversation;
use glass::generate::{GenerateOptions, generate};
use glass::text_model::TextModel;

/// The maximum number of tokens in an answer.
const ANSWER: usize = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = TextModel::new(Cpu::new(2), built_in::model().ok_or("no built-in model")??)?;
    let tokenizer = model.tokenizer.as_ref().ok_or("no tokenizer")?;
    let template = model.folder.template()?.ok_or("no chat template")?;
    let mut runner = model.runner()?;
    let mut conversation = Conversation::new(None);
    for question in ["Tell me a story about a dog and a lost ball.", "What did the dog find?"] {
        conversation.ask(question);
        // If the context is full, the oldest turns are left out.
        let prompt = conversation.prompt(&template, tokenizer, model.config().context, ANSWER)?;
        // The prefix that the prompt shares with the previous one is not computed again.
        runner.prompt(&prompt.ids)?;
        let options = GenerateOptions {
            tokens: ANSWER,
            ends: model.end_tokens(),
            stop: vec![template.closing()?],
            ..GenerateOptions::default()
        };
        let answer = generate(&mut runner, Some(tokenizer), &options, 0, &mut |_| ControlFlow::Continue(()))?;
        println!("> {question}\n{}\n", answer.text.trim());
        conversation.answered(&answer.text);
    }
    Ok(())
}
