//! Generating: why it ends, and that samples of one prompt differ but are reproducible.

use std::collections::HashSet;
use std::ops::ControlFlow;

use glass::backend::CacheType;
use glass::generate::{
    Batch, Finish, GenerateOptions, Generated, Guesses, Room, Runner, Token, generate, generate_together,
};
use glass::next_token::Sampling;
use glass::tokens::Tokenizer;
use glass::weights::Weights;

use crate::tiny;

fn run(options: &GenerateOptions, prompt: usize, sample: u64) -> Generated {
    let learner = tiny::learner(&tiny::config(), 1, 1);
    let (gpt, weights) = learner.model();
    let mut runner = Runner::new(&**learner.backend(), gpt, Weights::Trainable(weights)).unwrap();
    runner.prompt(&tiny::ids(prompt, 31, 1)).unwrap();
    // Ids below 31 are single bytes of GPT-2's vocabulary, `!` to `?`.
    generate(&mut runner, Some(&Tokenizer::gpt2()), options, sample, &mut |_| ControlFlow::Continue(()))
        .unwrap()
}

#[test]
fn it_ends_at_the_length_or_where_the_context_is_full() {
    let options = |tokens| GenerateOptions { tokens, ..GenerateOptions::default() };
    let done = run(&options(5), 4, 0);
    assert_eq!((done.ids.len(), done.finish), (5, Finish::Length));
    // There are 24 positions: the last token drawn needs none.
    assert_eq!((run(&options(3), 22, 0).ids.len(), run(&options(3), 22, 0).finish), (3, Finish::Length));
    let full = run(&options(100), 22, 0);
    assert_eq!((full.ids.len(), full.finish), (3, Finish::Context));
    assert_eq!(run(&options(1), 24, 0).finish, Finish::Length);
}

#[test]
fn it_ends_at_an_end_token_or_a_stop_text_which_are_not_part_of_it() {
    let free = run(&GenerateOptions { tokens: 12, ..GenerateOptions::default() }, 4, 0);
    assert_eq!(free.text.len(), 12);
    let stop = free.text[6..8].to_string();
    let first = free.text.find(&stop).unwrap();
    let stopped = run(&GenerateOptions { tokens: 12, stop: vec![stop], ..GenerateOptions::default() }, 4, 0);
    assert_eq!((stopped.text.as_str(), stopped.finish), (&free.text[..first], Finish::Stop));
    let end = free.ids[3];
    let first = free.ids.iter().position(|&id| id == end).unwrap();
    let ended = run(&GenerateOptions { tokens: 12, ends: vec![end], ..GenerateOptions::default() }, 4, 0);
    assert_eq!((&ended.ids[..], ended.finish), (&free.ids[..first], Finish::End));
}

#[test]
fn samples_differ_and_a_seed_repeats() {
    let options = |seed| GenerateOptions {
        tokens: 12,
        sampling: Sampling { seed, ..Sampling::default() },
        ..GenerateOptions::default()
    };
    assert_eq!(run(&options(5), 4, 0), run(&options(5), 4, 0));
    assert_ne!(run(&options(5), 4, 0).ids, run(&options(5), 4, 1).ids);
    assert_ne!(run(&options(5), 4, 0).ids, run(&options(6), 4, 0).ids);
}

#[test]
fn a_character_begun_in_the_prompt_is_completed() {
    // Every single byte is a token below 256.
    let config = glass::Config { vocabulary: 256, ..tiny::config() };
    let learner = tiny::learner(&config, 1, 1);
    let (gpt, weights) = learner.model();
    let mut runner = Runner::new(&**learner.backend(), gpt, Weights::Trainable(weights)).unwrap();
    let gpt2 = Tokenizer::gpt2();
    let byte = gpt2.encode_bytes(&[0xa9], glass::tokens::Special::Plain)[0];
    runner.prompt(&gpt2.encode_bytes(&[0xc3], glass::tokens::Special::Plain)).unwrap();
    let sampling = Sampling { logit_bias: vec![(byte, 100.0)], ..Sampling::default() };
    let options = GenerateOptions { tokens: 1, sampling, before: vec![0xc3], ..GenerateOptions::default() };
    let done = generate(&mut runner, Some(&gpt2), &options, 0, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(done.text, "é");
}

/// Sixteen samples that end at different places, and each by itself.
#[test]
fn together_and_alone_give_the_same_texts() {
    let learner = tiny::learner(&tiny::config(), 1, 1);
    let (gpt, weights) = learner.model();
    let gpt2 = Tokenizer::gpt2();
    let prompts: Vec<Vec<u32>> = (0..16).map(|slot| tiny::ids(1 + slot, 31, slot as u32)).collect();
    let options =
        GenerateOptions { tokens: 14, ends: vec![7], stop: vec!["*".into()], ..GenerateOptions::default() };
    let mut batch = Batch::new(
        &**learner.backend(),
        gpt,
        Weights::Trainable(weights),
        Room { slots: 16, positions: 24, cache: CacheType::F32 },
    )
    .unwrap();
    let parts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
    let mut heard = vec![Vec::new(); 16];
    let mut each = |slot: usize, token: &Token<'_>| {
        heard[slot].push(token.id);
        ControlFlow::Continue(())
    };
    let together = generate_together(&mut batch, Some(&gpt2), &options, 0, &parts, &mut each).unwrap();
    let mut ends = HashSet::new();
    for (slot, (prompt, together)) in prompts.iter().zip(&together).enumerate() {
        let mut runner = Runner::new(&**learner.backend(), gpt, Weights::Trainable(weights)).unwrap();
        runner.prompt(prompt).unwrap();
        let alone =
            generate(&mut runner, Some(&gpt2), &options, slot as u64, &mut |_| ControlFlow::Continue(()))
                .unwrap();
        assert_eq!(*together, alone, "slot {slot}");
        assert_eq!(heard[slot], alone.ids);
        ends.insert(format!("{:?}", alone.finish));
    }
    assert!(ends.len() >= 3, "{ends:?}");
    assert!(batch.feed(&[(0, &[1]), (3, &[])], ()).is_err());
    let before = batch.ids(0).len();
    assert!(batch.feed(&[(0, &[1]), (3, &[31])], ()).is_err());
    assert_eq!(batch.ids(0).len(), before, "nothing is read where one cannot be");
}

#[test]
fn guessing_ahead_changes_no_bit() {
    let learner = tiny::learner(&tiny::config(), 1, 1);
    let (gpt, weights) = learner.model();
    let run = |lookup: usize, temperature: f32, sample: u64| {
        let mut runner = Runner::new(&**learner.backend(), gpt, Weights::Trainable(weights)).unwrap();
        runner.prompt(&[1, 2, 3, 1, 2, 3, 1, 2]).unwrap();
        let sampling = Sampling { temperature, frequency_penalty: 0.1, ..Sampling::default() };
        let options = GenerateOptions { tokens: 40, sampling, lookup, ..GenerateOptions::default() };
        let mut heard = Vec::new();
        let mut each = |token: &Token<'_>| {
            heard.push((token.id, token.logprob().to_bits(), token.logits.to_vec()));
            ControlFlow::Continue(())
        };
        let done = generate(&mut runner, None, &options, sample, &mut each).unwrap();
        assert_eq!(runner.ids().len(), 24, "what was guessed wrong is forgotten");
        let guesses = done.guesses;
        ((Generated { guesses: Guesses::default(), ..done }, heard), guesses)
    };
    let mut right = 0;
    for lookup in [1, 3, 8, 63, 1000] {
        for (temperature, samples) in [(0.0, 1), (0.5, 8), (1.0, 8)] {
            for sample in 0..samples {
                let ((ahead, guesses), (plain, none)) =
                    (run(lookup, temperature, sample), run(0, temperature, sample));
                assert!(ahead == plain, "{lookup} {temperature}");
                assert!(guesses.right <= guesses.all.min(40) && none == Guesses::default(), "{guesses:?}");
                right += guesses.right;
            }
        }
    }
    assert!(right > 0, "nothing was ever guessed right");
}
