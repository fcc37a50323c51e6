//! Guesses: whatever they are, the bits are those of a sequence without them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use glass::Config;
use glass::backend::{CacheType, Cpu};
use glass::config::LayerAttention;
use glass::generate::{GenerateOptions, Generated, Guesses, Token, generate};
use glass::guess::{Candidate, Draft, Drawn, Head, MOST, Table, Tree};
use glass::model::Gpt;
use glass::next_token::Sampling;
use glass::runtime::Model;
use glass::scheduler::{Chunk, Event, Request, Scheduler, Settings, block_bytes};
use glass::train;

use crate::tiny;

const CONTEXT: usize = 256;

/// Full layers, one with a window, and one that reads the keys of another.
fn configs() -> [Config; 2] {
    let plain = Config { context: CONTEXT, ..tiny::config() };
    let window = LayerAttention { window: Some(20), ..LayerAttention::default() };
    let reads = LayerAttention { keys_from: Some(1), ..LayerAttention::default() };
    let own = LayerAttention::default();
    let mixed = Config { layers: 3, attention: vec![window, own, reads], ..plain.clone() };
    [plain, mixed]
}

fn model(config: &Config, cache: CacheType) -> Model<Cpu> {
    let learner = tiny::learner(config, 1, 1);
    Model::new(Cpu::new(2), Gpt::plan(config).0, tiny::frozen(&learner), cache)
}

/// 0 ─ 1 ─ 2 ─ 4 ─ 7; 3 after 0; 5 after 1; 6 and 8 after 5.
fn tree() -> Tree {
    let mut tree = Tree::default();
    for (parent, id) in [(0, 10), (1, 20), (0, 30), (2, 4), (1, 5), (5, 6), (4, 7), (5, 8)] {
        tree.add(parent, id);
    }
    tree
}

/// The logits after every guess, and after more tokens once a guess was kept, are those of a sequence by itself.
#[test]
fn a_tree_is_read_as_its_paths_are() {
    for (config, cache) in
        configs().iter().flat_map(|config| [(config, CacheType::F32), (config, CacheType::Bf16)])
    {
        let model = model(config, cache);
        let (mut whole, mut batch) = (model.runner().unwrap(), model.batch(2, CONTEXT).unwrap());
        let (tree, rows) = (tree(), tree().rows());
        let (mut logits, more) = (vec![0.0; 31], [9, 3, 1]);
        for past in [1, 20, 58, 60, 61, 62, 63, 64, 126, 200] {
            let prompt = tiny::ids(past, 31, past as u32);
            let mut alone = |path: &[u32], more: &[u32]| {
                whole.truncate(0);
                whole.prompt(&[&prompt, path, more].concat()).unwrap();
                whole.logits().unwrap().to_vec()
            };
            for row in 0..rows.nodes.len() {
                batch.truncate(1, 0);
                if past > 1 {
                    batch.feed(&[(1, &prompt[..past - 1])], ()).unwrap();
                }
                batch.feed_tree(1, prompt[past - 1], &tree, &rows).unwrap();
                let path: Vec<u32> =
                    rows.path(row).into_iter().filter(|&node| node > 0).map(|node| tree.id(node)).collect();
                batch.logits(row, &mut logits).unwrap();
                assert!(logits == alone(&path, &[]), "{cache:?} past {past} row {row}");
                batch.keep(1, past, &tree, &rows, row);
                assert_eq!(batch.ids(1), [&prompt[..], &path].concat());
                batch.feed(&[(1, &more)], ()).unwrap();
                batch.logits(0, &mut logits).unwrap();
                assert!(logits == alone(&path, &more), "{cache:?} past {past} kept {row}");
            }
        }
    }
}

/// A draft that knows what the model says, and says wrong things before them as often.
fn draft(model: &Model<Cpu>) -> Draft {
    let mut texts = Vec::new();
    for sample in 0..40 {
        let sampling = Sampling { temperature: 0.7, ..Sampling::default() };
        let options = GenerateOptions { tokens: 100, sampling, ..GenerateOptions::default() };
        let mut runner = model.runner().unwrap();
        runner.prompt(&[1, 2, 3]).unwrap();
        let drawn =
            generate(&mut runner, None, &options, sample, &mut |_| ControlFlow::Continue(())).unwrap();
        texts.push(Drawn::new(drawn.ids, 0));
    }
    Draft::of(Some(Table::learn(&texts, 20_000, 31, 0.7)), None)
}

fn options(temperature: f32, top_p: f32, lookup: usize, draft: bool) -> GenerateOptions {
    let sampling = Sampling { temperature, top_p, frequency_penalty: 0.1, ..Sampling::default() };
    GenerateOptions { tokens: 80, sampling, lookup, draft, ..GenerateOptions::default() }
}

/// Generates with and without guesses and compares everything that is told; returns how many guesses were right, and all.
fn compared(model: &Model<Cpu>, lookup: usize, draft: bool) -> (usize, usize) {
    let run = |options: &GenerateOptions, sample: u64| {
        let mut runner = model.runner().unwrap();
        runner.prompt(&[1, 2, 3, 1, 2, 3, 1, 2]).unwrap();
        let mut heard = Vec::new();
        let mut each = |token: &Token<'_>| {
            heard.push((token.id, token.logprob().to_bits()));
            ControlFlow::Continue(())
        };
        let done = generate(&mut runner, None, options, sample, &mut each).unwrap();
        assert!(runner.ids().len() <= 8 + 80, "what was guessed wrong is forgotten");
        let guesses = done.guesses;
        ((Generated { guesses: Guesses::default(), ..done }, heard), guesses)
    };
    let (mut right, mut all) = (0, 0);
    for (temperature, top_p) in [(0.0, 1.0), (0.5, 1.0), (0.7, 0.9), (1.0, 1.0)] {
        for sample in 0..4 {
            let (plain, none) = run(&options(temperature, top_p, 0, false), sample);
            let (ahead, guesses) = run(&options(temperature, top_p, lookup, draft), sample);
            assert!(ahead == plain, "{lookup} {draft} {temperature}");
            assert!(guesses.right <= guesses.all && none == Guesses::default(), "{guesses:?}");
            (right, all) = (right + guesses.right, all + guesses.all);
        }
    }
    (right, all)
}

#[test]
fn guesses_of_any_source_change_no_bit() {
    for config in configs() {
        let mut model = model(&config, CacheType::Bf16);
        model.guess_from(Some(draft(&model))).unwrap();
        for (lookup, draft) in [(1, false), (8, false), (0, true), (4, true), (1000, true)] {
            let (right, all) = compared(&model, lookup, draft);
            assert!(right > 0 && right < all, "{right} of {all} with {lookup} {draft}");
        }
    }
}

/// A head that learned what the model draws, stored and read again.
#[test]
fn guesses_of_a_head_change_no_bit() {
    let mut model = model(&configs()[1], CacheType::F32);
    let sampling = Sampling { temperature: 0.7, ..Sampling::default() };
    let options = GenerateOptions { sampling, ..GenerateOptions::default() };
    let prompts: Vec<Vec<u32>> = (0..8).map(|at| vec![at, 2, 3]).collect();
    let enough = |tokens| if tokens < 3000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    let drawn = train::draft::draw(&model, &prompts, &options, &mut { enough }).unwrap();
    let width = model.config().width;
    let full = drawn.iter().filter(|text| !text.vectors.is_empty());
    assert!(full.clone().count() > 2);
    // A vector for every token; where an end token was drawn, one more.
    assert!(full.into_iter().all(|text| text.vectors.len() == (text.ids.len() - text.from) * width));
    let mut learner = train::draft::HeadLearner::new(&model, &drawn, 16, 0.7, 3e-3, 1).unwrap();
    (0..60).for_each(|step| _ = learner.learn(step as f32 / 60.0));
    let head = Draft::of(None, Some(learner.head()));
    let read = Draft::read(&head.bytes(31).unwrap(), "here", 31, width).unwrap();
    let stored = read.head().unwrap();
    let [a, b] = [&head, &read].map(|draft| draft.head().unwrap());
    assert_eq!((&a.tokens, a.hidden, a.chances), (&b.tokens, b.hidden, b.chances));
    let near = |(a, b): (&f32, &f32)| (a - b).abs() < 0.01 * (1.0 + a.abs());
    assert!(a.values.iter().zip(&stored.values).all(near));
    assert!(Draft::read(&head.bytes(31).unwrap(), "here", 31, width + 2).is_err());
    model.guess_from(Some(read)).unwrap();
    let (right, all) = compared(&model, 0, true);
    assert!(right > 0 && right < all, "{right} of {all}");
}

/// A matrix that is packed in several parts: two hidden numbers decide, wherever they are.
#[test]
fn a_large_head_guesses_the_same_wherever_its_weights_are() {
    let mut model = model(&configs()[0], CacheType::F32);
    let (width, hidden) = (model.config().width, 40_000);
    let mut guess = |first: usize| {
        let mut values = vec![0.0; hidden * 2 * width + 2 * width * width + width * hidden];
        for (unit, sign) in [(first, 1.0), (first + 1, -1.0)] {
            values[unit * 2 * width..][..2 * width].fill(sign);
            let down = hidden * 2 * width + 2 * width * width;
            (0..width).for_each(|row| values[down + row * hidden + unit] = (row * row % 7) as f32 - 3.0);
        }
        let (tokens, chances) = ((0..31).collect(), std::array::from_fn(|step| step as f32));
        let head = Head { values, width, hidden, tokens, temperature: 1.0, chances };
        model.guess_from(Some(Draft::of(None, Some(head)))).unwrap();
        let runner = model.runner().unwrap();
        let mut drafting = runner.drafter.clone().unwrap().begin().unwrap();
        let vector: Vec<f32> = (0..width).map(|at| at as f32 - 4.5).collect();
        drafting.see(&vector);
        let mut found = [Candidate { id: 0, probability: 0.0 }; MOST];
        assert_eq!(drafting.find(&[1, 2], &Tree::default(), 0, &mut found), MOST);
        found.map(|candidate| candidate.id)
    };
    let expected = guess(0);
    assert_eq!(guess(hidden - 2), expected);
    assert_eq!(guess(hidden / 2), expected);
}

/// The model itself knows best what it says; one with other weights does not.
#[test]
fn guesses_of_a_smaller_model_change_no_bit() {
    let [plain, mixed] = configs().map(|config| model(&config, CacheType::F32));
    let mut model = self::model(&configs()[0], CacheType::F32);
    model.guess_with(plain).unwrap();
    let (right, all) = compared(&model, 0, true);
    assert!(right > all / 3, "{right} of {all}");
    model.guess_with(mixed).unwrap();
    let (fewer, more) = compared(&model, 4, true);
    assert!(fewer * all < right * more, "{fewer} of {more}, {right} of {all}");
    let other = Config { vocabulary: 30, ..configs()[0].clone() };
    let why = model.guess_with(self::model(&other, CacheType::F32)).unwrap_err().to_string();
    assert!(why.contains("30 tokens") && why.contains("31"), "{why}");
}

/// In the service too, and with as many clients as there are slots guesses give way.
#[test]
fn guesses_change_no_bit_beside_others() {
    let mut model = model(&configs()[0], CacheType::F32);
    model.guess_from(Some(draft(&model))).unwrap();
    let run = |together: usize, lookup: usize, draft: bool| {
        let settings = Settings { slots: 8, cache_bytes: 60 * block_bytes(&model), chunk: Chunk::Rows(16) };
        let mut scheduler = Scheduler::new(&model, None, settings).unwrap();
        for number in 0..together {
            let prompt = tiny::ids(30 + 9 * number, 31, number as u32);
            let temperature = [0.0, 0.7][number % 2];
            scheduler
                .submit(Request {
                    prompt,
                    logprobs: true,
                    sample: number as u64,
                    options: options(temperature, 1.0, lookup, draft),
                    ..Request::default()
                })
                .unwrap();
        }
        let mut told = vec![Vec::new(); together];
        while scheduler.pass(&mut |ticket, event| match event {
            Event::Token { id, logprob, .. } => {
                told[ticket.0 as usize - 1].push((id, logprob.unwrap().to_bits()))
            }
            Event::Failed(error) => panic!("{error}"),
            _ => {}
        }) {}
        (told, scheduler.counters())
    };
    let mut shares = BTreeMap::new();
    for together in [1, 3, 8] {
        let (plain, before) = run(together, 0, false);
        for (lookup, draft) in [(8, false), (0, true), (8, true)] {
            let (told, counters) = run(together, lookup, draft);
            assert!(told == plain, "{together} {lookup} {draft}");
            assert!(counters.right > 0, "{counters:?}");
            assert!(together > 3 || counters.passes < before.passes, "{counters:?}");
            let share = counters.guessed as f64 / counters.drawn as f64;
            assert!(together < 8 || share < shares[&(lookup, draft)], "{counters:?}");
            shares.insert((lookup, draft), share);
        }
    }
}

#[test]
fn a_draft_is_stored_and_read() {
    let draft = draft(&model(&configs()[0], CacheType::F32));
    let bytes = draft.bytes(31).unwrap();
    let read = Draft::read(&bytes, "here", 31, 16).unwrap();
    assert_eq!(read.table(), draft.table());
    for (bytes, vocabulary, word) in
        [(&bytes[..], 32, "31 tokens"), (&bytes[..100], 31, "draft"), (&[][..], 31, "draft")]
    {
        let why = Draft::read(bytes, "here", vocabulary, 16).unwrap_err().to_string();
        assert!(why.contains(word) && why.contains("--draft-for"), "{why}");
    }
}
