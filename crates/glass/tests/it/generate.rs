//! Generating: why it ends, and that samples of one prompt differ but repeat.

use std::ops::ControlFlow;

use glass::generate::{Finish, Generated, Runner, Wish, generate};
use glass::next_token::Sampling;
use glass::tokens::Tokenizer;
use glass::weights::Weights;

use crate::tiny;

fn run(wish: &Wish, prompt: usize, sample: u64) -> Generated {
    let learner = tiny::learner(&tiny::config(), 1, 1);
    let (gpt, weights) = learner.model();
    let mut runner = Runner::new(&**learner.backend(), gpt, Weights::Trainable(weights)).unwrap();
    runner.prompt(&tiny::ids(prompt, 31, 1)).unwrap();
    // Ids below 31 are single bytes of GPT-2's vocabulary, `!` to `?`.
    generate(&mut runner, Some(&Tokenizer::gpt2()), wish, sample, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn it_ends_at_the_length_or_where_the_context_is_full() {
    let wish = |tokens| Wish { tokens, ..Wish::default() };
    let done = run(&wish(5), 4, 0);
    assert_eq!((done.ids.len(), done.finish), (5, Finish::Length));
    // 24 positions: the last token drawn needs none.
    assert_eq!((run(&wish(3), 22, 0).ids.len(), run(&wish(3), 22, 0).finish), (3, Finish::Length));
    let full = run(&wish(100), 22, 0);
    assert_eq!((full.ids.len(), full.finish), (3, Finish::Context));
    assert_eq!(run(&wish(1), 24, 0).finish, Finish::Length);
}

#[test]
fn it_ends_at_an_end_token_or_a_stop_text_which_are_not_part_of_it() {
    let free = run(&Wish { tokens: 12, ..Wish::default() }, 4, 0);
    assert_eq!(free.text.len(), 12);
    let stop = free.text[6..8].to_string();
    let first = free.text.find(&stop).unwrap();
    let stopped = run(&Wish { tokens: 12, stop: vec![stop], ..Wish::default() }, 4, 0);
    assert_eq!((stopped.text.as_str(), stopped.finish), (&free.text[..first], Finish::Stop));
    let end = free.ids[3];
    let first = free.ids.iter().position(|&id| id == end).unwrap();
    let ended = run(&Wish { tokens: 12, ends: vec![end], ..Wish::default() }, 4, 0);
    assert_eq!((&ended.ids[..], ended.finish), (&free.ids[..first], Finish::End));
}

#[test]
fn samples_differ_and_a_seed_repeats() {
    let wish =
        |seed| Wish { tokens: 12, sampling: Sampling { seed, ..Sampling::default() }, ..Wish::default() };
    assert_eq!(run(&wish(5), 4, 0), run(&wish(5), 4, 0));
    assert_ne!(run(&wish(5), 4, 0).ids, run(&wish(5), 4, 1).ids);
    assert_ne!(run(&wish(5), 4, 0).ids, run(&wish(6), 4, 0).ids);
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
    let wish = Wish { tokens: 1, sampling, before: vec![0xc3], ..Wish::default() };
    let done = generate(&mut runner, Some(&gpt2), &wish, 0, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(done.text, "é");
}
