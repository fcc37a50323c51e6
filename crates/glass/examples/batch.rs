//! Serves several texts together with the built-in model: each pass over the weights makes one token of each.
//!
//! `cargo run --release --example batch`

use std::ops::ControlFlow;

use glass::backend::Cpu;
use glass::built_in;
use glass::generate::{GenerateOptions, generate_together};
use glass::text_model::TextModel;
use glass::tokens::Special;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = TextModel::new(Cpu::new(2), built_in::model().ok_or("no built-in model")??)?;
    let tokenizer = model.tokenizer.as_ref().ok_or("no tokenizer")?;
    let texts = ["The cat", "One day, a boy", "The big red ball"];
    let prompt = |text: &&str| {
        let start = model.start().into_iter();
        start.chain(tokenizer.encode(text, Special::Plain)).collect::<Vec<u32>>()
    };
    let prompts: Vec<Vec<u32>> = texts.iter().map(prompt).collect();
    let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();

    // One slot per text; every text gets what it would get alone, to the bit.
    let mut batch = model.batch(texts.len(), 128)?;
    let options = GenerateOptions { tokens: 40, ends: model.end_tokens(), ..GenerateOptions::default() };
    let done = generate_together(&mut batch, Some(tokenizer), &options, 0, &prompts, &mut |_, _| {
        ControlFlow::Continue(())
    })?;
    for (text, one) in texts.iter().zip(done) {
        println!("{text}{}\n", one.text);
    }
    Ok(())
}
