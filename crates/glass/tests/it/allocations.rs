//! Decoding allocates nothing after the first token.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use std::ops::ControlFlow;
use std::sync::Arc;

use glass::Config;
use glass::backend::{Cpu, Heads};
use glass::config::{LayerAttention, NormOver, QueryKeyNorm};
use glass::generate::{GenerateOptions, Runner, generate};
use glass::memory::Keep;
use glass::next_token::{Sampler, Sampling};
use glass::tokens::Tokenizer;
use glass::train::learner::{Arena, Learner};
use glass::train::needs::Needs;
use glass::weights::Weights;

use crate::tiny;

/// The system's allocator, counting each thread's allocations.
struct Counting;

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        LARGEST.set(LARGEST.get().max(layout.size()));
        HELD.set(HELD.get() + layout.size() as isize);
        PEAK.set(PEAK.get().max(HELD.get()));
        // SAFETY: the caller's guarantee is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size() as isize);
        // SAFETY: the caller's guarantee is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The result of `work`, and the size of its largest allocation on this thread.
pub fn largest_during<T>(work: impl FnOnce() -> T) -> (T, usize) {
    LARGEST.set(0);
    let done = work();
    (done, LARGEST.get())
}

/// The result of `work`, and the most bytes that it held on this thread at any time.
pub fn peak_during<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let done = work();
    (done, (PEAK.get() - before) as usize)
}

#[test]
fn a_learner_takes_what_was_counted() {
    let odd = Heads::new(6, 2, 8);
    let shapes = [Config::gpt2(3000, 40, 48, 3, 6), Config { heads: odd, ..Config::gpt2(300, 70, 48, 2, 6) }];
    for (config, keep) in shapes.iter().flat_map(|config| [(config, Keep::All), (config, Keep::Inputs)]) {
        // Full samples, and many short ones in as many rows.
        let rows = 7 * config.context;
        for samples in [7, 60] {
            let cpu = Arc::new(Cpu::new(1));
            let before = HELD.get();
            let learner = Learner::keeping(keep, cpu, config, rows, samples).unwrap();
            let taken = (HELD.get() - before) as u64;
            let needs = Needs::of_rows::<Cpu>(config, keep, rows, samples);
            assert!(samples > 7 || needs == Needs::of::<Cpu>(config, keep, samples));
            // Weights, gradients and moments are pages of the system, which are not counted here.
            let last = learner.plan().specs.last().unwrap().clone();
            learner.read_gradient(&last, &mut vec![0.0; last.span.len()]);
            // Reading to the end fails where an arena is shorter.
            let held =
                [Arena::Weights, Arena::First, Arena::Second].map(|arena| 4 * learner.arena(arena).len());
            assert_eq!(held.map(|bytes| bytes as u64), [needs.weights, needs.moments / 2, needs.moments / 2]);
            assert_eq!(needs.gradients, 4 * last.span.end as u64);
            let counted = needs.activations + needs.working + needs.logits;
            // Allocated in addition: the plan's names, positions, places of rows.
            assert!(
                taken >= counted && taken < counted + 40_000,
                "{keep:?}: {taken}, but {counted} were counted"
            );
            drop(learner);
        }
    }
}

#[test]
fn decoding_allocates_nothing_after_the_first_token() {
    let heads = Heads::new(6, 2, 8);
    let mut windowed = Config::llama(31, 24, 48, 2, heads, 64);
    windowed.attention.push(LayerAttention::new(Some(3), None));
    windowed.query_key_norm = Some(QueryKeyNorm { over: NormOver::Head, after_rotation: false });
    for config in [tiny::config(), Config::llama(31, 24, 48, 2, heads, 64), windowed] {
        decodes_without_allocating(&config);
    }
}

fn decodes_without_allocating(config: &Config) {
    // One thread, so that everything happens on the thread that counts.
    let learner = tiny::learner(config, 1, 1);
    let frozen = tiny::frozen(&learner);
    let (gpt, _) = learner.model();
    let mut runner = Runner::new(&**learner.backend(), gpt, Weights::Frozen(&frozen)).unwrap();
    let sampling =
        Sampling { temperature: 0.8, top_k: 5, top_p: 0.9, repetition_penalty: 1.1, ..Sampling::default() };
    let mut sampler = Sampler::new(&sampling, 31, 0).unwrap();
    runner.prompt(&tiny::ids(5, 31, 1)).unwrap();
    let mut one = || {
        let before = ASKED.get();
        let drawn = sampler.next(runner.logits().unwrap()).unwrap();
        runner.feed(&[drawn.id]).unwrap();
        ASKED.get() - before
    };
    one();
    assert_eq!((0..15).map(|_| one()).sum::<usize>(), 0);
}

#[test]
fn generating_allocates_nothing_after_the_first_token() {
    let learner = tiny::learner(&tiny::config(), 1, 1);
    let frozen = tiny::frozen(&learner);
    let (gpt, _) = learner.model();
    let mut runner = Runner::new(&**learner.backend(), gpt, Weights::Frozen(&frozen)).unwrap();
    runner.prompt(&tiny::ids(4, 31, 1)).unwrap();
    let tokenizer = Tokenizer::gpt2();
    let options =
        GenerateOptions { tokens: 18, stop: vec!["no such text".into()], ..GenerateOptions::default() };
    let mut counts = [0; 18];
    let mut heard = 0;
    generate(&mut runner, Some(&tokenizer), &options, 0, &mut |_| {
        counts[heard] = ASKED.get();
        heard += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(heard, 18);
    assert_eq!(counts[17], counts[1]);
}
