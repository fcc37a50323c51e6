//! What is drawn with guesses is distributed as the model says: a hundred thousand draws are the same list with and without them,
//! and how often tokens come agrees with the probabilities that the logits give.

use std::ops::ControlFlow;

use glass::Config;
use glass::backend::{CacheType, Cpu};
use glass::generate::{GenerateOptions, Guesses, generate};
use glass::guess::{Draft, Drawn, Table};
use glass::model::Gpt;
use glass::next_token::{Sampler, Sampling};
use glass::runtime::Model;

use crate::tiny;

const VOCABULARY: usize = 31;

const PROMPT: [u32; 4] = [1, 2, 1, 2];

/// One block; a table learned from what the model draws at temperature 1.
fn model() -> Model<Cpu> {
    let config = Config::gpt2(VOCABULARY, 128, 24, 1, 3);
    let learner = tiny::learner(&config, 1, 3);
    let mut model = Model::new(Cpu::new(1), Gpt::plan(&config).0, tiny::frozen(&learner), CacheType::F32);
    let options = GenerateOptions { tokens: usize::MAX, ..GenerateOptions::default() };
    // Other seeds than those of the tests.
    let texts = draw(&model, &options, 1_000_000..1_000_040).0;
    let texts: Vec<Drawn> = texts.into_iter().map(|ids| Drawn::new(ids, 0)).collect();
    model.guess_from(Some(Draft::of(Some(Table::learn(&texts, 20_000, VOCABULARY, 1.0)), None))).unwrap();
    model
}

/// What is drawn after the prompt, in as many sequences as there are samples.
fn draw(
    model: &Model<Cpu>,
    options: &GenerateOptions,
    samples: std::ops::Range<u64>,
) -> (Vec<Vec<u32>>, Guesses) {
    let mut runner = model.runner().unwrap();
    let (mut texts, mut sum) = (Vec::new(), Guesses::default());
    for sample in samples {
        runner.prompt(&PROMPT).unwrap();
        let done = generate(&mut runner, None, options, sample, &mut |_| ControlFlow::Continue(())).unwrap();
        (sum.all, sum.right) = (sum.all + done.guesses.all, sum.right + done.guesses.right);
        texts.push(done.ids);
    }
    (texts, sum)
}

#[test]
fn a_hundred_thousand_draws_are_the_same_with_guesses() {
    let model = model();
    let plain = Sampling { seed: 5, ..Sampling::default() };
    let cut = Sampling { top_p: 0.9, ..plain.clone() };
    let bent = Sampling {
        repetition_penalty: 1.1,
        presence_penalty: 0.2,
        frequency_penalty: 0.05,
        logit_bias: vec![(3, 1.5), (7, -4.0)],
        ..plain.clone()
    };
    let mut draws = 0;
    for sampling in [plain, cut, bent] {
        let options = |lookup, draft| {
            let sampling = sampling.clone();
            // Until the context is full.
            GenerateOptions { tokens: usize::MAX, sampling, lookup, draft, ..GenerateOptions::default() }
        };
        let samples = 0..270;
        let (alone, none) = draw(&model, &options(0, false), samples.clone());
        assert_eq!(none, Guesses::default());
        draws += alone.iter().map(Vec::len).sum::<usize>();
        let (ahead, guesses) = draw(&model, &options(8, true), samples);
        assert!(ahead == alone, "{sampling:?}");
        assert!(guesses.right > 1_000 && guesses.right < guesses.all, "{guesses:?} with {sampling:?}");
    }
    assert!(draws >= 100_000, "{draws}");
}

/// The model's probabilities after the prompt and these tokens.
fn probabilities(model: &Model<Cpu>, more: &[u32], temperature: f32) -> Vec<f64> {
    let sampling = Sampling { temperature, ..Sampling::default() };
    let mut runner = model.runner().unwrap();
    runner.prompt(&[&PROMPT, more].concat()).unwrap();
    let mut all = vec![0.0; VOCABULARY];
    let of = Sampler::new(&sampling, VOCABULARY, 0).unwrap().probabilities(runner.logits().unwrap());
    of.unwrap().into_iter().for_each(|(id, probability)| all[id as usize] = probability);
    all
}

/// How far Pearson's chi-square lies above its mean, in standard deviations; rare outcomes count as one.
fn excess(counts: &[usize], probabilities: &[f64]) -> f64 {
    let draws = counts.iter().sum::<usize>() as f64;
    let (mut square, mut cells, mut rare) = (0.0, 0, (0.0, 0.0));
    let mut add = |seen: f64, expected: f64| {
        square += (seen - expected).powi(2) / expected;
        cells += 1;
    };
    for (&seen, probability) in counts.iter().zip(probabilities) {
        let (seen, expected) = (seen as f64, probability * draws);
        match expected < 5.0 {
            true => rare = (rare.0 + seen, rare.1 + expected),
            false => add(seen, expected),
        }
    }
    if rare.1 > 0.0 {
        add(rare.0, rare.1);
    }
    let freedom = f64::from(cells - 1);
    (square - freedom) / (2.0 * freedom).sqrt()
}

/// The first token follows the prompt; the second is drawn where the first was read together with a guess.
#[test]
fn tokens_come_as_often_as_the_model_says() {
    let model = model();
    let options = GenerateOptions { tokens: 3, lookup: 8, draft: true, ..GenerateOptions::default() };
    let (texts, guesses) = draw(&model, &options, 0..20_000);
    assert!(guesses.right > 2_000 && guesses.right < guesses.all, "{guesses:?}");
    let (mut firsts, mut pairs) = (vec![0; VOCABULARY], vec![0; VOCABULARY * VOCABULARY]);
    for text in &texts {
        firsts[text[0] as usize] += 1;
        pairs[text[0] as usize * VOCABULARY + text[1] as usize] += 1;
    }
    let of_pairs = |temperature: f32| -> Vec<f64> {
        let first = probabilities(&model, &[], temperature);
        let after = |id: usize| probabilities(&model, &[id as u32], temperature).into_iter();
        (0..VOCABULARY)
            .flat_map(|id| after(id).map(|second| first[id] * second).collect::<Vec<_>>())
            .collect()
    };
    let (first, pair) = (excess(&firsts, &probabilities(&model, &[], 1.0)), excess(&pairs, &of_pairs(1.0)));
    assert!(first < 3.0 && pair < 3.0, "{first} {pair}");
    // So many draws tell a temperature from one a little lower.
    let (first, pair) = (excess(&firsts, &probabilities(&model, &[], 0.9)), excess(&pairs, &of_pairs(0.9)));
    assert!(first > 6.0 && pair > 6.0, "{first} {pair}");
}
