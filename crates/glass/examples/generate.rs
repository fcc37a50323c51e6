//! Continues a text with the built-in model, token by token.
//!
//! `cargo run --release --example generate ["Once upon a time"]`

use std::io::Write as _;
use std::ops::ControlFlow;

use glass::backend::Cpu;
use glass::built_in;
use glass::generate::{GenerateOptions, generate};
use glass::next_token::Sampling;
use glass::text_model::TextModel;
use glass::tokens::Special;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = std::env::args().nth(1).unwrap_or("Once upon a time".into());
    let model = TextModel::new(Cpu::new(2), built_in::model().ok_or("no built-in model")??)?;
    let tokenizer = model.tokenizer.as_ref().ok_or("no tokenizer")?;

    // This model's documents begin with a start token.
    let mut ids: Vec<u32> = model.start().into_iter().collect();
    ids.extend(tokenizer.encode(&text, Special::Plain));
    let mut runner = model.runner()?;
    runner.prompt(&ids)?;

    print!("{text}");
    let sampling = Sampling { temperature: 0.8, top_p: 0.95, seed: 1, ..Sampling::default() };
    let options =
        GenerateOptions { tokens: 120, sampling, ends: model.end_tokens(), ..GenerateOptions::default() };
    let done = generate(&mut runner, Some(tokenizer), &options, 0, &mut |token| {
        print!("{}", token.text);
        let _ = std::io::stdout().flush();
        ControlFlow::Continue(())
    })?;
    println!("\n{} tokens, {:?}", done.ids.len(), done.finish);
    Ok(())
}
