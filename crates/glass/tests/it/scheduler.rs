//! The scheduler: requests beside others, what they share, and what is seen inside them.

use std::collections::BTreeMap;

use glass::Config;
use glass::backend::{CacheType, Cpu};
use glass::generate::{Finish, GenerateOptions};
use glass::inspect::attribute::of_logit;
use glass::inspect::lens::lens;
use glass::inspect::{Edit, Edits, Inspector};
use glass::model::Gpt;
use glass::next_token::{Sampling, most_probable, score};
use glass::probe::Site;
use glass::runtime::Model;
use glass::scheduler::{
    Attribute, Chunk, Constraint, Counters, Event, Request, Scheduler, Seen, Settings, Ticket, Watch,
    block_bytes,
};

use crate::tiny;

const CONTEXT: usize = 256;

fn model(cache: CacheType) -> Model<Cpu> {
    let config = Config { context: CONTEXT, ..tiny::config() };
    let learner = tiny::learner(&config, 1, 1);
    Model::new(Cpu::new(2), Gpt::plan(&config).0, tiny::frozen(&learner), cache)
}

fn settings(model: &Model<Cpu>, slots: usize, blocks: u64) -> Settings {
    Settings { slots, cache_bytes: blocks * block_bytes(model), chunk: Chunk::Rows(16) }
}

fn scheduler(model: &Model<Cpu>) -> Scheduler<'_, Cpu> {
    Scheduler::new(model, None, settings(model, 8, 40)).unwrap()
}

fn ids(len: usize, seed: u32) -> Vec<u32> {
    tiny::ids(len, 31, seed)
}

fn request(prompt: Vec<u32>, tokens: usize) -> Request {
    let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
    Request {
        logprobs: true,
        prompt,
        options: GenerateOptions { tokens, sampling, ..GenerateOptions::default() },
        ..Request::default()
    }
}

/// What a request was told.
#[derive(Default, Debug)]
struct Told {
    cached: Option<usize>,
    drawn: Vec<(u32, u64)>,
    scored: Vec<(u32, Option<(u64, usize)>)>,
    finish: Option<Finish>,
    failed: Option<String>,
    seen: Option<Box<Seen>>,
    /// The number of the pass in which its first token came.
    first: u64,
}

/// Runs until nothing is left to do.
fn run(scheduler: &mut Scheduler<'_, Cpu>) -> BTreeMap<Ticket, Told> {
    let mut all = BTreeMap::new();
    let mut passes = 0;
    while scheduler.pass(&mut |ticket, event| note(&mut all, passes, ticket, event)) {
        passes += 1;
        assert!(passes < 10_000, "it ends");
    }
    assert!(scheduler.is_idle());
    all
}

fn note(all: &mut BTreeMap<Ticket, Told>, pass: u64, ticket: Ticket, event: Event) {
    let told = all.entry(ticket).or_default();
    assert!(told.finish.is_none() && told.failed.is_none(), "nothing comes after the end");
    match event {
        Event::Begun { cached } => assert_eq!(told.cached.replace(cached), None),
        Event::Scored { id, scored, .. } => {
            told.scored.push((id, scored.map(|scored| (scored.logprob.to_bits(), scored.rank))));
        }
        Event::Token { id, logprob, .. } => {
            if told.drawn.is_empty() {
                told.first = pass;
            }
            told.drawn.push((id, logprob.unwrap().to_bits()));
        }
        Event::Ended { finish, seen, .. } => (told.finish, told.seen) = (Some(finish), seen),
        Event::Failed(error) => told.failed = Some(error.to_string()),
    }
}

/// A request by itself in a new scheduler.
fn alone(model: &Model<Cpu>, request: Request) -> Told {
    let mut scheduler = scheduler(model);
    let ticket = scheduler.submit(request).unwrap();
    run(&mut scheduler).remove(&ticket).unwrap()
}

fn since(after: Counters, before: Counters) -> [u64; 2] {
    [after.prompt - before.prompt, after.cached - before.cached]
}

#[test]
fn requests_that_begin_alike_compute_it_once_even_if_they_come_together() {
    let model = model(CacheType::Bf16);
    let shared = ids(130, 1);
    let request_of = |end: u32| request([shared.clone(), ids(10, end)].concat(), 4);
    let expected: Vec<Told> = (2..10).map(|end| alone(&model, request_of(end))).collect();
    let mut scheduler = scheduler(&model);
    for round in 0..2 {
        let before = scheduler.counters();
        let tickets: Vec<Ticket> = (2..10).map(|end| scheduler.submit(request_of(end)).unwrap()).collect();
        let told = run(&mut scheduler);
        for (ticket, expected) in tickets.iter().zip(&expected) {
            assert_eq!(told[ticket].drawn, expected.drawn);
            assert_eq!(told[ticket].finish, Some(Finish::Length));
        }
        let computers = if round == 0 { 7 } else { 8 };
        let cached = 128 * computers;
        assert_eq!(since(scheduler.counters(), before), [8 * 140 - cached, cached], "round {round}");
    }
    let blocks = scheduler.counters().blocks;
    assert_eq!(blocks[0], 0, "nobody uses a block");
    scheduler.forget();
    assert_eq!(scheduler.counters().blocks[1], 0);
}

#[test]
fn a_salt_keeps_prefixes_apart() {
    let model = model(CacheType::F32);
    let mut scheduler = scheduler(&model);
    let mut cached = |salt: Option<&str>| {
        let salted = Request { salt: salt.map(str::to_string), ..request(ids(140, 1), 2) };
        let ticket = scheduler.submit(salted).unwrap();
        let told = &run(&mut scheduler)[&ticket];
        (told.cached.unwrap(), told.drawn.clone())
    };
    let (none, first) = cached(None);
    assert_eq!(none, 0);
    for (salt, expected) in [(Some("a"), 0), (Some("b"), 0), (Some("a"), 128), (None, 128)] {
        assert_eq!(cached(salt), (expected, first.clone()), "{salt:?}");
    }
}

#[test]
fn a_long_prompt_holds_nobody_up_and_is_not_held_up() {
    let model = model(CacheType::F32);
    let mut scheduler = scheduler(&model);
    let speaking = scheduler.submit(request(ids(4, 1), 60)).unwrap();
    scheduler.pass(&mut |_, _| {});
    let long = scheduler.submit(request(ids(240, 2), 1)).unwrap();
    let mut told = BTreeMap::new();
    let mut shorts = Vec::new();
    // Short ones keep coming.
    for pass in 0..40 {
        shorts.push(scheduler.submit(request(ids(12, 3 + pass as u32), 1)).unwrap());
        let before = scheduler.counters();
        scheduler.pass(&mut |ticket, event| note(&mut told, pass, ticket, event));
        let rows = scheduler.counters().rows - before.rows;
        assert!(rows <= 16 + 8, "{rows} rows: a chunk, and one of each sequence");
        let spoken = told.get(&speaking).map_or(0, |told| told.drawn.len());
        assert_eq!(spoken as u64, pass + 1, "a token in every pass");
    }
    let first = told[&shorts[0]].first;
    assert!(first < 4, "a short prompt is read before the long one is done: pass {first}");
    // Sixteen rows a pass, of which the short ones took twelve: 160 of 240 are read.
    assert!(!told.contains_key(&long));
    let mut left = 0;
    while !told.contains_key(&long) {
        scheduler.pass(&mut |ticket, event| note(&mut told, 40 + left, ticket, event));
        left += 1;
    }
    assert!((4..=8).contains(&left), "{left} passes for the rest of it");
}

#[test]
fn who_leaves_is_missed_by_nobody() {
    let model = model(CacheType::F32);
    let expected = alone(&model, request(ids(100, 1), 20));
    for left_after in [0, 1, 3, 8, 12] {
        let mut scheduler = scheduler(&model);
        let stays = scheduler.submit(request(ids(100, 1), 20)).unwrap();
        let leaves: Vec<Ticket> =
            (0..9).map(|n| scheduler.submit(request(ids(70 + n, 1), 30)).unwrap()).collect();
        let mut told = BTreeMap::new();
        for pass in 0..left_after {
            scheduler.pass(&mut |ticket, event| note(&mut told, pass, ticket, event));
        }
        leaves.iter().for_each(|&ticket| scheduler.cancel(ticket));
        let counters = scheduler.counters();
        assert_eq!(counters.waiting + counters.running, 1);
        let mut pass = left_after;
        while scheduler.pass(&mut |ticket, event| {
            assert_eq!(ticket, stays);
            note(&mut told, pass, ticket, event);
        }) {
            pass += 1;
        }
        assert_eq!(told[&stays].drawn, expected.drawn, "after {left_after} passes");
        assert_eq!(scheduler.counters().blocks[0], 0);
    }
}

#[test]
fn little_memory_is_used_again_and_again() {
    let model = model(CacheType::Bf16);
    // Two sequences of the whole context at most.
    let mut scheduler = Scheduler::new(&model, None, settings(&model, 8, 8)).unwrap();
    let of = |number: u32| request(ids(60 + number as usize % 150, number % 7), 5);
    let tickets: Vec<Ticket> = (0..60).map(|number| scheduler.submit(of(number)).unwrap()).collect();
    let told = run(&mut scheduler);
    for (number, ticket) in tickets.iter().enumerate() {
        assert_eq!(told[ticket].drawn, alone(&model, of(number as u32)).drawn, "request {number}");
    }
    let counters = scheduler.counters();
    assert!(counters.blocks[3] > 20, "{} blocks were dropped to make room", counters.blocks[3]);
    assert!(counters.cached > 0, "and some were found");
}

#[test]
fn a_prompt_is_scored_as_it_is_without_a_scheduler() {
    let model = model(CacheType::F32);
    let prompt = ids(150, 4);
    let mut expected = vec![(prompt[0], None)];
    let mut each = |row: usize, logits: &[f32]| {
        if let Some(&id) = prompt.get(row + 1) {
            let scored = score(logits, id).unwrap();
            expected.push((id, Some((scored.logprob.to_bits(), scored.rank))));
        }
    };
    model.runner().unwrap().feed_each(&prompt, &mut each).unwrap();
    let mut scheduler = scheduler(&model);
    for tokens in [0, 1, 3] {
        let wanted = Request { score_prompt: true, top: 2, ..request(prompt.clone(), tokens) };
        let ticket = scheduler.submit(wanted).unwrap();
        scheduler.submit(request(ids(90, 5), 30)).unwrap();
        let told = run(&mut scheduler).remove(&ticket).unwrap();
        assert_eq!(told.scored, expected, "{tokens} tokens");
        assert_eq!((told.drawn.len(), told.cached), (tokens, Some(0)));
    }
    let one = alone(&model, Request { score_prompt: true, ..request(vec![3], 0) });
    assert_eq!((one.scored, one.finish), (vec![(3, None)], Some(Finish::Length)));
}

/// The numbers of all sites at some positions, behind a prefix from the cache, in chunks and beside others, are those that an
/// inspector sees.
#[test]
fn what_is_seen_is_what_an_inspector_sees() {
    let model = model(CacheType::Bf16);
    let prompt = ids(140, 6);
    let sites = Site::all(model.config());
    let mut inspector = Inspector::new(&model, 140, 1).unwrap();
    let mut record = inspector.record(sites.iter().copied());
    inspector.run(&[&prompt], &mut record).unwrap();
    let tops = lens(&mut inspector, &prompt, 3).unwrap();
    let next = most_probable(&inspector.next_logits());
    let whole = of_logit(&mut inspector, &prompt, next, None).unwrap();

    let mut scheduler = scheduler(&model);
    scheduler.submit(request(prompt.clone(), 1)).unwrap();
    run(&mut scheduler);
    for (from, cached) in [(139, 128), (100, 64), (5, 0), (0, 0)] {
        let attribution = (from == 0).then_some(Attribute::Likeliest);
        let watch =
            Watch { sites: sites.clone(), positions: from..140, lens: 3, attribution, ..Watch::default() };
        let watched = Request { watch: Some(watch), ..request(prompt.clone(), 3) };
        let ticket = scheduler.submit(watched).unwrap();
        for seed in 20..25 {
            scheduler.submit(request(ids(50, seed), 12)).unwrap();
        }
        let told = run(&mut scheduler).remove(&ticket).unwrap();
        assert_eq!(told.cached, Some(cached), "from {from}");
        let seen = told.seen.unwrap();
        assert_eq!(seen.rows.len(), sites.len() * (140 - from));
        for row in &seen.rows {
            let heads = if row.site.is_square() { model.config().heads.query } else { 1 };
            let expected: Vec<f32> = (0..heads)
                .flat_map(|head| &record.row(row.site, head, heads, row.position).unwrap()[..row.shape[1]])
                .copied()
                .collect();
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&row.values), bits(&expected), "{} at {}", row.site, row.position);
            assert_eq!(row.shape[0] * row.shape[1], row.values.len());
        }
        assert_eq!(seen.lens.len(), (model.config().layers + 1) * (140 - from));
        for row in &seen.lens {
            assert_eq!(row.top, tops[row.layer][row.position].top, "layer {} at {}", row.layer, row.position);
        }
        assert_eq!(seen.attribution, attribution.map(|_| (next, whole.clone())));
    }
    assert_eq!(scheduler.counters().blocks[0], 0);
}

#[test]
fn edits_change_one_request_and_nothing_that_others_read() {
    let model = model(CacheType::F32);
    let prompt = ids(140, 7);
    let plain = alone(&model, request(prompt.clone(), 6));
    let width = model.config().width;
    let edits = vec![
        Edit::steer(1, (0..width).map(|i| i as f32).collect()).at(70..90),
        Edit::silence_head(model.config(), 0, 1).at(100..140),
        Edit::cut(1, 139..140, 3),
    ];
    let mut inspector = Inspector::new(&model, 140, 1).unwrap();
    inspector.run(&[&prompt], Edits::new(edits.clone())).unwrap();
    let logits = inspector.next_logits();
    let first = (most_probable(&logits), score(&logits, most_probable(&logits)).unwrap().logprob.to_bits());

    let mut scheduler = scheduler(&model);
    for round in 0..2 {
        let watch = Watch { edits: edits.clone(), ..Watch::default() };
        let edited = Request { watch: Some(watch), ..request(prompt.clone(), 6) };
        let edited = scheduler.submit(edited).unwrap();
        let told = run(&mut scheduler);
        assert_eq!(told[&edited].drawn[0], first, "round {round}");
        assert_ne!(told[&edited].drawn, plain.drawn);
        // Position 70 is the first that changes, so the first block may come from the cache, once it is there.
        assert_eq!(told[&edited].cached, Some(64 * round));
        let after = scheduler.submit(request(prompt.clone(), 6)).unwrap();
        let told = run(&mut scheduler);
        assert_eq!(told[&after].drawn, plain.drawn, "what was edited was not kept");
        assert_eq!(told[&after].cached, Some(128 * round));
    }
}

/// Only even tokens, and at most `left` of them.
struct Even {
    left: usize,
}

impl Constraint for Even {
    fn allow(&mut self, allowed: &mut [bool]) -> glass::Result<()> {
        match self.left {
            0 => Err(glass::Error::invalid("the grammar", "nothing may follow")),
            _ => {
                allowed.iter_mut().step_by(2).for_each(|allowed| *allowed = true);
                Ok(())
            }
        }
    }

    fn take(&mut self, id: u32) -> glass::Result<bool> {
        assert!(id.is_multiple_of(2));
        self.left -= 1;
        Ok(self.left == 0)
    }
}

#[test]
fn a_constraint_is_kept_and_ends_the_text() {
    let model = model(CacheType::F32);
    let plain = alone(&model, request(ids(20, 8), 20));
    assert!(plain.drawn.iter().any(|(id, _)| id % 2 == 1));
    let mut scheduler = scheduler(&model);
    let constrained = |left: usize, lookup: usize| {
        let mut request = Request { constraint: Some(Box::new(Even { left })), ..request(ids(20, 8), 20) };
        request.options.lookup = lookup;
        request
    };
    let tickets = [(5, 0), (30, 0), (30, 8), (0, 0)]
        .map(|(left, lookup)| scheduler.submit(constrained(left, lookup)).unwrap());
    let other = scheduler.submit(request(ids(20, 8), 20)).unwrap();
    let told = run(&mut scheduler);
    assert_eq!((told[&tickets[0]].drawn.len(), told[&tickets[0]].finish), (5, Some(Finish::Stop)));
    assert_eq!((told[&tickets[1]].drawn.len(), told[&tickets[1]].finish), (20, Some(Finish::Length)));
    assert_eq!(told[&tickets[2]].drawn, told[&tickets[1]].drawn);
    assert_eq!(told[&tickets[0]].drawn, told[&tickets[1]].drawn[..5]);
    let failed = told[&tickets[3]].failed.as_ref().unwrap();
    assert!(failed.contains("nothing may follow"), "{failed}");
    assert_eq!(told[&other].drawn, plain.drawn);
}

#[test]
fn what_cannot_be_run_is_refused_by_name() {
    let model = model(CacheType::F32);
    let mut scheduler = scheduler(&model);
    let watched = |watch: Watch| Request { watch: Some(watch), ..request(ids(10, 1), 3) };
    let all = Watch { sites: vec![Site::Residual], positions: 0..10, ..Watch::default() };
    let far = Edit::silence_head(model.config(), 0, 0).at(20..30);
    let sampling = |sampling: Sampling| Request {
        options: GenerateOptions { sampling, ..GenerateOptions::default() },
        ..request(ids(10, 1), 3)
    };
    let cases: Vec<(Request, &[&str])> = vec![
        (request(vec![], 1), &["prompt", "empty"]),
        (request(vec![1, 31], 1), &["prompt", "31", "vocabulary"]),
        (request(ids(257, 1), 1), &["prompt", "257", "256"]),
        (sampling(Sampling { temperature: 3.0, ..Sampling::default() }), &["temperature", "3"]),
        (Request { top: 32, ..request(ids(10, 1), 3) }, &["top", "32", "31"]),
        (watched(Watch { sites: vec!["block.7.residual".parse().unwrap()], ..all.clone() }), &["block.7"]),
        (watched(Watch { positions: 10..12, ..all.clone() }), &["positions", "10"]),
        (watched(Watch { positions: 3..3, ..all.clone() }), &["positions", "3..3"]),
        (watched(Watch { edits: vec![far], ..Watch::default() }), &["attention.z", "20..30"]),
        (watched(Watch { attribution: Some(Attribute::Token(40)), ..Watch::default() }), &["token", "40"]),
        (watched(Watch { lens: 40, ..all }), &["lens", "40"]),
    ];
    for (request, words) in cases {
        let why = scheduler.submit(request).unwrap_err().to_string();
        assert!(words.iter().all(|word| why.contains(word)), "{why}");
    }
    assert!(scheduler.is_idle() && !scheduler.pass(&mut |_, _| panic!("nothing runs")));
    let why = Scheduler::new(&model, None, settings(&model, 8, 3)).err().unwrap().to_string();
    assert!(why.contains("one sequence of 256 tokens"), "{why}");
}

#[test]
fn the_context_ends_what_was_to_be_longer() {
    let model = model(CacheType::F32);
    let told = alone(&model, request(ids(250, 1), 100));
    assert_eq!((told.drawn.len(), told.finish), (7, Some(Finish::Context)));
    let told = alone(&model, request(ids(256, 1), 100));
    assert_eq!((told.drawn.len(), told.finish), (1, Some(Finish::Context)));
    let told = alone(&model, request(ids(256, 1), 0));
    assert_eq!((told.drawn.len(), told.finish), (0, Some(Finish::Length)));
}
