//! What guessing ahead brings: texts are generated with guesses and without, in turns.

use std::ops::ControlFlow;
use std::time::Instant;

use glass::backend::Cpu;
use glass::generate::{GenerateOptions, Generated, Guesses, Runner, generate};
use glass::text_model::TextModel;
use glass::tokens::chat::{Message, Template};
use glass::tokens::{Special, Tokenizer};

use crate::fail::Fail;

/// The most tokens that a text is continued by.
const TOKENS: usize = 64;

/// Seconds after which no further text begins.
const ENOUGH: f64 = 10.0;

/// What a model that chats is asked, and what others continue: some with more to guess and some with less.
const QUESTIONS: [&str; 4] = [
    "Tell me a story about a dog and a lost ball.",
    "Write a list of ten animals, and say what each of them eats.",
    "Say this again, word for word: the red ball rolled down the hill, and the dog ran after the red ball.",
    "Tell me a story about a girl who could not sleep.",
];
const BEGINNINGS: [&str; 4] = [
    "Once upon a time, there was a little dog who had lost a red ball.",
    "one two three four five, one two three four five, one two three",
    "The first steam engines pumped water out of mines. Later they",
    "def add(a, b):\n    return a + b\n\n\ndef subtract(a, b):\n",
];

/// The same texts with guesses and without.
pub struct Guessing {
    /// How many texts.
    pub texts: usize,
    /// Their tokens together.
    pub tokens: usize,
    /// Tokens per second without guesses, and with them.
    pub rates: [f64; 2],
    /// Tokens that were guessed.
    pub guesses: Guesses,
}

impl Guessing {
    /// With the sampling that the model's authors advise, guessing up to `lookup` tokens in a row from the text itself, and from the
    /// model's draft. `None` if the model has no tokenizer.
    pub fn measured(model: &TextModel<Cpu>, lookup: usize) -> Result<Option<Guessing>, Fail> {
        let Some(tokenizer) = &model.tokenizer else { return Ok(None) };
        let (prompts, stop) = prompts(model, tokenizer);
        let vocabulary = model.config().vocabulary;
        let options = |seed: u64, lookup: usize, draft: bool| {
            let mut sampling = model.folder.generation().sampling(vocabulary, Vec::new());
            sampling.seed = seed;
            let ends = model.end_tokens();
            GenerateOptions {
                tokens: TOKENS,
                sampling,
                stop: stop.clone(),
                ends,
                lookup,
                draft,
                ..GenerateOptions::default()
            }
        };
        let mut runner = model.runner()?;
        let mut one =
            |prompt: &[u32], options: &GenerateOptions| continued(&mut runner, tokenizer, prompt, options);
        // The first touch of memory is not measured.
        one(&prompts[0], &GenerateOptions { tokens: 4, ..options(0, 0, false) })?;
        let (begun, mut seconds) = (Instant::now(), [0.0; 2]);
        let mut found = Guessing { texts: 0, tokens: 0, rates: [0.0; 2], guesses: Guesses::default() };
        for (prompt, seed) in prompts.iter().zip(0..) {
            let mut both = Vec::with_capacity(2);
            // Which is first changes from text to text.
            for turn in [seed, seed + 1] {
                let guesses = turn % 2 == 1;
                let options = options(seed, if guesses { lookup } else { 0 }, guesses);
                let (done, taken) = one(prompt, &options)?;
                seconds[usize::from(guesses)] += taken;
                found.guesses.all += done.guesses.all;
                found.guesses.right += done.guesses.right;
                both.push(done);
            }
            if both[0].ids != both[1].ids {
                return Err(Fail::failed(
                    "a text with guesses differs from the same without; please report it, with the output of glass verify",
                ));
            }
            found.texts += 1;
            found.tokens += both[0].ids.len();
            if begun.elapsed().as_secs_f64() > ENOUGH {
                break;
            }
        }
        found.rates = seconds.map(|seconds| found.tokens as f64 / seconds.max(f64::MIN_POSITIVE));
        Ok((found.tokens > 0).then_some(found))
    }

    /// How many tokens a pass with guesses brought, on average.
    pub fn tokens_a_pass(&self) -> f64 {
        self.tokens as f64 / (self.tokens - self.guesses.right) as f64
    }
}

/// The ids of what is continued, and the texts that end what follows.
fn prompts(model: &TextModel<Cpu>, tokenizer: &Tokenizer) -> (Vec<Vec<u32>>, Vec<String>) {
    // A template that cannot ask these questions is none here.
    let template = model.folder.template().ok().flatten();
    let (mut prompts, stop) =
        template.and_then(|template| asked(&template, tokenizer).ok()).unwrap_or_else(|| {
            let ids = |text: &&str| tokenizer.encode_prompt(text.as_bytes(), Special::Plain);
            (BEGINNINGS.iter().map(ids).collect(), String::new())
        });
    // Of a short context a half stays free.
    let most = (model.config().context / 2).max(1);
    prompts.retain(|ids| !ids.is_empty());
    prompts.iter_mut().for_each(|ids| drop(ids.drain(..ids.len().saturating_sub(most))));
    if prompts.is_empty() {
        prompts.push(vec![model.start().unwrap_or(0)]);
    }
    (prompts, Some(stop).into_iter().filter(|text| !text.is_empty()).collect())
}

/// The questions, and what closes an answer.
fn asked(template: &Template, tokenizer: &Tokenizer) -> glass::Result<(Vec<Vec<u32>>, String)> {
    let ask = |text: &&str| template.prompt(&[Message::new("user", *text)], tokenizer);
    Ok((QUESTIONS.iter().map(ask).collect::<glass::Result<_>>()?, template.closing()?))
}

/// A text, and the seconds that it took after its prompt was read.
fn continued(
    runner: &mut Runner<'_, Cpu>,
    tokenizer: &Tokenizer,
    prompt: &[u32],
    options: &GenerateOptions,
) -> Result<(Generated, f64), Fail> {
    runner.truncate(0);
    runner.prompt(prompt)?;
    let begun = Instant::now();
    let done = generate(runner, Some(tokenizer), options, 0, &mut |_| ControlFlow::Continue(()))?;
    Ok((done, begun.elapsed().as_secs_f64()))
}
