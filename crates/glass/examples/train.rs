//! Trains a small model on a text and lets it continue a sentence.
//!
//! `cargo run --release --example train [STEPS [FILE…]]`; without a file, trains on the stories that come with the
//! library.

use std::ops::ControlFlow;
use std::path::PathBuf;

use glass::backend::Cpu;
use glass::generate::{GenerateOptions, generate};
use glass::text_model::TextModel;
use glass::tokens::Special;
use glass::train::Recipe;
use glass::train::watch::{Event, Watch};

/// Prints every evaluation.
struct Printed;

impl Watch<Cpu> for Printed {
    fn event(&mut self, event: Event<'_>) {
        if let Event::Evaluated { step, loss, .. } = event {
            println!("step {step}: validation loss {loss:.3} nats per token");
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut recipe = Recipe::default();
    if let Some(steps) = arguments.next() {
        recipe.settings.steps = steps.parse()?;
        recipe.settings.warmup = recipe.settings.steps / 10;
        recipe.settings.eval_every = (recipe.settings.steps / 5).max(1);
    }
    let folder = std::env::temp_dir().join(format!("glass-example-{}", std::process::id()));
    let mut files: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    if files.is_empty() {
        std::fs::create_dir_all(&folder)?;
        files.push(folder.join("stories.txt"));
        std::fs::write(&files[0], glass::built_in::SAMPLE)?;
    }
    let out = folder.join("model");
    let summary = recipe.train(&files, &out, &mut Printed)?;
    println!("{} steps, {} tokens seen", summary.step, summary.tokens);

    let model = TextModel::open(Cpu::new(recipe.threads), &out)?;
    let tokenizer = model.tokenizer.as_ref().ok_or("the training wrote a tokenizer")?;
    let mut runner = model.runner()?;
    runner.prompt(&tokenizer.encode("Once upon a time", Special::Plain))?;
    let options = GenerateOptions { tokens: 60, ends: model.end_tokens(), ..GenerateOptions::default() };
    let story = generate(&mut runner, Some(tokenizer), &options, 0, &mut |_| ControlFlow::Continue(()))?;
    println!("Once upon a time{}", story.text);
    drop(runner);
    drop(model);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
