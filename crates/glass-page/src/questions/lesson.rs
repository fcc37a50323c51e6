//! A GPT of a few thousand weights learns a small task while the reader watches: the library's own training.

use std::sync::Arc;

use glass::backend::{CacheType, Cpu, Packing};
use glass::config::Config;
use glass::inspect::{Inspector, Record};
use glass::model::Gpt;
use glass::next_token::{most_probable, uniform};
use glass::probe::{Part, Site};
use glass::runtime::Model;
use glass::train::learner::{Batch, IGNORE, Learner};
use glass::train::settings::Settings;
use glass::weights::Frozen;
use glass::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Tell;
use crate::json::whole;

/// A training from random weights.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lesson {
    task: Task,
    #[serde(default = "steps")]
    steps: u64,
    #[serde(default = "every")]
    every: u64,
    #[serde(default = "one")]
    seed: u64,
}

/// What is learned.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// The same letters again.
    Copy,
    /// The letters backwards.
    Reverse,
    /// The letters in the order of the alphabet.
    Sort,
}

fn steps() -> u64 {
    600
}

fn every() -> u64 {
    20
}

fn one() -> u64 {
    1
}

/// Letters of a question.
const LETTERS: usize = 5;
/// Different letters.
const ALPHABET: u32 = 8;
/// The token between question and answer.
const EQUALS: u32 = ALPHABET;
/// Questions of a step, and those that accuracy is measured on, which are never learned from.
const BATCH: usize = 48;
const TESTED: usize = 64;
/// Most steps.
const MOST: u64 = 5_000;

impl Task {
    fn answer(self, question: &[u32]) -> Vec<u32> {
        let mut answer = question.to_vec();
        match self {
            Task::Copy => {}
            Task::Reverse => answer.reverse(),
            Task::Sort => answer.sort_unstable(),
        }
        answer
    }
}

/// Question number `number` of a seed. Those whose letters sum to a multiple of 5 are kept for tests.
fn question(seed: u64, number: u64, tested: bool) -> Vec<u32> {
    let draw = |at: u64| (uniform(seed, number, at) * f64::from(ALPHABET)) as u32;
    let mut tries = 0..;
    loop {
        let from = tries.next().unwrap_or_default() * LETTERS as u64;
        let letters: Vec<u32> = (0..LETTERS as u64).map(|at| draw(from + at)).collect();
        if letters.iter().sum::<u32>().is_multiple_of(5) == tested {
            return letters;
        }
    }
}

fn letters(ids: &[u32]) -> String {
    ids.iter().map(|&id| if id == EQUALS { '=' } else { char::from(b'a' + id as u8) }).collect()
}

impl Lesson {
    pub(crate) fn answer(&self, tell: &mut Tell<'_>) -> Result<Value> {
        if self.steps == 0 || self.steps > MOST || self.every == 0 {
            let why =
                format!("{} steps, told every {}; from 1 to {MOST} are possible", self.steps, self.every);
            return Err(Error::invalid_argument("steps", why));
        }
        let config = Config::gpt2(ALPHABET as usize + 1, 2 * LETTERS, 16, 2, 2);
        // As many threads as such small matrices can use.
        let backend = Arc::new(Cpu::new(1));
        let rows = 2 * LETTERS * BATCH;
        let mut learner = Learner::new(backend, &config, rows, BATCH)?;
        learner.initialise(self.seed);
        let settings = Settings {
            steps: self.steps,
            seed: self.seed,
            lr: 6e-3,
            min_lr: 6e-4,
            warmup: self.steps / 20,
            weight_decay: 0.01,
            ..Settings::default()
        };
        let weights = learner.plan().len();
        let mut curve = Vec::new();
        let mut loss = f64::NAN;
        for step in 0..=self.steps {
            if step > 0 {
                let batch = self.batch(step * BATCH as u64);
                loss = learner.step(&[batch], &settings.step(step))?.loss;
                curve.push(json!([step, loss]));
            }
            if step.is_multiple_of(self.every) || step == self.steps {
                let mut frame = self.tested(&learner, &config)?;
                frame["step"] = json!(step);
                frame["loss"] = json!(loss.is_finite().then_some(loss));
                frame["weights"] = json!(weights);
                if tell(frame).is_break() {
                    break;
                }
            }
        }
        Ok(json!({
            "weights": weights, "steps": self.steps, "loss": loss, "curve": curve,
            "config": {"layers": config.layers, "heads": config.heads.query, "width": config.width,
                       "context": config.context, "vocabulary": config.vocabulary},
        }))
    }

    /// A question and its answer as inputs and targets: only letters of the answer count.
    fn sample(&self, number: u64, tested: bool) -> (Vec<u32>, Vec<u32>) {
        let question = question(self.seed, number, tested);
        let answer = self.task.answer(&question);
        let all: Vec<u32> = question.iter().chain(&[EQUALS]).chain(&answer).copied().collect();
        let ignore = std::iter::repeat_n(IGNORE, LETTERS);
        (all[..all.len() - 1].to_vec(), ignore.chain(answer).collect())
    }

    fn batch(&self, first: u64) -> Batch {
        let mut batch = Batch::default();
        for number in first..first + BATCH as u64 {
            let (inputs, targets) = self.sample(number, false);
            batch.lengths.push(inputs.len());
            batch.inputs.extend(inputs);
            batch.targets.extend(targets);
        }
        batch
    }

    /// How many questions that were never learned from are answered right, letter by letter; one of them, and where its heads look.
    fn tested(&self, learner: &Learner<Cpu>, config: &Config) -> Result<Value> {
        let (gpt, plan) = Gpt::plan(config);
        let backend = Cpu::new(1);
        let read = |spec: &glass::plan::Spec, into: &mut [f32]| {
            learner.read(spec, into);
            Ok(())
        };
        let weights = Frozen::load(&backend, &plan, Packing::F32, &read)?;
        let model = Model::new(backend, gpt, weights, CacheType::F32);
        let length = 2 * LETTERS;
        let mut inspector = Inspector::new(&model, length * TESTED, TESTED)?;
        let samples: Vec<(Vec<u32>, Vec<u32>)> =
            (0..TESTED as u64).map(|number| self.sample(number, true)).collect();
        let patterns = (0..config.layers).map(|layer| Site::Block(layer, Part::Pattern));
        let mut record = Record::of(patterns);
        let sequences: Vec<&[u32]> = samples.iter().map(|(inputs, _)| &inputs[..]).collect();
        inspector.run(&sequences, &mut record)?;
        let mut said = Vec::with_capacity(length * TESTED);
        inspector.logits(&mut |_, logits| said.push(most_probable(logits)));
        let answers: Vec<&[u32]> = said.chunks_exact(length).map(|said| &said[LETTERS..]).collect();
        let right = |at: usize| answers[at] == &samples[at].1[LETTERS..];
        let accuracy = (0..TESTED).filter(|&at| right(at)).count() as f64 / TESTED as f64;
        let squares =
            (0..config.layers).map(|layer| Ok(whole(record.get(Site::Block(layer, Part::Pattern))?)));
        Ok(json!({
            "accuracy": accuracy,
            "sample": {"question": letters(&samples[0].0[..LETTERS]), "answer": letters(answers[0]),
                       "wanted": letters(&samples[0].1[LETTERS..]), "right": right(0), "tokens": letters(&samples[0].0)},
            "patterns": squares.collect::<Result<Vec<_>>>()?,
        }))
    }
}
