//! Anything that a pass does not have is refused by name, before anything is computed; and changes count in every
//! list.

use std::ops::ControlFlow;

use glass::backend::{CacheType, Cpu, Packing};
use glass::generate::{GenerateOptions, generate, generate_together};
use glass::inspect::attribute::{Component, of_logit, sites, trace};
use glass::inspect::drift::{Word, carried, drift};
use glass::inspect::edit::Change;
use glass::inspect::neurons::Firings;
use glass::inspect::{Edit, Edits, Inspector, Record, lens, nearest};
use glass::next_token::{Sampler, Sampling, score};
use glass::probe::{Names, Part, Site};
use glass::runtime::Model;

use crate::tiny;

fn model(packing: Packing) -> Model<Cpu> {
    Model::random(Cpu::new(2), &tiny::config(), packing, 3).unwrap()
}

fn refused<T>(done: glass::Result<T>, named: &[&str]) {
    let Err(error) = done else { panic!("not refused: {named:?}") };
    let error = error.to_string();
    assert!(named.iter().all(|name| error.contains(name)) && !error.contains("--"), "{error}");
}

#[test]
fn an_edit_of_what_is_not_there_is_refused() {
    let (model, config, ids) = (model(Packing::F32), tiny::config(), tiny::ids(9, 31, 1));
    let mut inspector = Inspector::new(&model, 18, 2).unwrap();
    let z = Site::Block(1, Part::Z);
    let edits: Vec<(Edit, &[&str])> = vec![
        (Edit::silence_head(&config, 0, 3), &["block.0.attention.z", "24"]),
        (Edit::silence_head(&config, 2, 0), &["block.2.attention.z", "2 blocks"]),
        (Edit::silence_neuron(0, 96), &["block.0.mlp.active", "96"]),
        (Edit::silence_attention(7), &["block.7", "2 blocks"]),
        (Edit::steer(1, vec![1.0; 23]), &["block.1.residual", "23", "24"]),
        (Edit::replace(z, vec![0.0; 25]), &["25"]),
        (Edit::replace(z, vec![0.0; 48]).at(2..5), &["48", "24 for each of 3"]),
        (Edit::of(z, Change::ReplaceAll(vec![0.0; 8 * 24])), &["192", "216"]),
        (Edit::of(Site::Logits, Change::ReplaceAll(vec![0.0; 31])), &["logits", "279"]),
        (Edit::swap_embedding(9, vec![0.0; 24]), &["embedding.token", "9"]),
        (Edit::cut(0, 3..10, 1), &["10"]),
        (Edit::cut(0, 3..5, 9), &["key 9"]),
        (Edit::cut(0, 0..1, 0), &["position 0"]),
        (Edit::of(z, Change::Cut(0)), &["attention.masked"]),
        (Edit::of(Site::Block(0, Part::Contribution), Change::Silence), &["attention.z"]),
        (Edit::of(Site::Block(0, Part::Pattern), Change::Silence).columns(2..4), &["heads", "3"]),
        #[allow(clippy::reversed_empty_ranges)]
        (Edit::of(z, Change::Silence).at(4..4), &["4..4"]),
    ];
    for (edit, named) in edits {
        refused(inspector.run(&[&ids], &mut Edits::new([edit])), named);
        assert!(inspector.next_logits().is_empty(), "no pass, no logits");
    }
    // All keys of a query, one by one.
    let all = (0..3).map(|key| Edit::cut(1, 2..3, key));
    refused(inspector.run(&[&ids], &mut Edits::new(all)), &["position 2", "block.1"]);
    refused(inspector.run(&[&ids], &mut Edits(vec![(1, Edit::silence_mlp(0))])), &["sequence 1"]);
    // A pass that begins later computes nothing of earlier blocks.
    let stream = vec![0.5; 9 * 24];
    refused(
        inspector.resume(1, &stream, &[9], &mut Edits::new([Edit::silence_mlp(0)])),
        &["begins with block 1"],
    );
    refused(inspector.resume(3, &stream, &[9], ()), &["block 3"]);
    refused(inspector.resume(1, &stream[1..], &[9], ()), &["residual", "215"]);
    // The same while reading further; an edit of an existing head is not refused.
    let mut runner = model.runner().unwrap();
    refused(
        runner.feed_watched(&ids, &mut Edits::new([Edit::silence_head(&config, 0, 3)])),
        &["block.0.attention.z"],
    );
    assert!(runner.ids().is_empty());
    inspector.run(&[&ids], &mut Edits::new([Edit::silence_head(&config, 0, 2)])).unwrap();
}

#[test]
fn a_record_has_what_was_recorded_and_says_what_was_not() {
    let (model, ids) = (model(Packing::F32), tiny::ids(9, 31, 1));
    let mut inspector = Inspector::new(&model, 9, 1).unwrap();
    let mut record = Record::of([Site::Norm]);
    refused(record.get(Site::Norm), &["norm", "not recorded"]);
    inspector.run(&[&ids], &mut record).unwrap();
    refused(record.get(Site::Residual), &["residual", "not recorded"]);
    refused(trace(&inspector, &record, 8, &[0.0; 31], 1, None), &["not recorded"]);
    refused(inspector.run(&[&ids], &mut Record::of([Site::Block(2, Part::Z)])), &["block.2.attention.z"]);
    refused(inspector.run(&[&ids], &mut Record::of([Site::Norm]).in_slot(1)), &["sequence 1"]);
    let mut all = Record::of(sites(&tiny::config()));
    inspector.run(&[&ids], &mut all).unwrap();
    let logits = inspector.next_logits();
    refused(trace(&inspector, &all, 9, &logits, 1, None), &["position 9"]);
    refused(trace(&inspector, &all, 8, &logits, 31, None), &["31"]);
    // A pass from a later block leaves nothing of an earlier pass in a record.
    let stream = all.get(Site::Residual).unwrap().values.to_vec();
    refused(inspector.resume(1, &stream, &[9], &mut all), &["embedding.token"]);
    let mut firings = Firings::new(0, 96, 3);
    refused(firings.read(&mut inspector, &ids), &["neuron 96"]);
    refused(Firings::new(5, 0, 3).read(&mut inspector, &ids), &["block.5"]);
    refused(nearest::nearest(&inspector, &[0.0; 3], 1), &["3", "24"]);
    refused(inspector.rows("norm.weight", &[1]), &["norm.weight", "row 1"]);
    refused(carried(&mut inspector, &ids, &[0], 8..10), &["8..10"]);
    refused(carried(&mut inspector, &ids, &[9], 8..9), &["position 9"]);
    let word = |positions| Word { ids: &ids, positions };
    refused(drift(&mut inspector, word(1..2), word(4..4), &Edits::default()), &["4..4"]);
}

#[test]
fn logits_are_those_after_what_was_read_or_refused() {
    let (model, ids) = (model(Packing::F32), tiny::ids(9, 31, 1));
    let mut runner = model.runner().unwrap();
    refused(runner.logits(), &["prompt", "nothing was read"]);
    let options = GenerateOptions { tokens: 2, ..GenerateOptions::default() };
    refused(generate(&mut runner, None, &options, 0, &mut |_| ControlFlow::Continue(())), &["prompt"]);
    runner.prompt(&ids).unwrap();
    let after = runner.logits().unwrap().to_vec();
    runner.truncate(9);
    assert_eq!(runner.logits().unwrap(), after, "nothing was forgotten");
    runner.truncate(8);
    refused(runner.logits(), &["logits", "truncated"]);
    runner.feed(&ids[8..]).unwrap();
    assert_eq!(runner.logits().unwrap(), after);
    refused(runner.logits_after(1), &["row 1"]);
    refused(runner.prompt(&[]), &["prompt"]);

    let mut batch = model.batch(2, 12).unwrap();
    let mut next = vec![0.0; 31];
    refused(batch.logits(0, &mut next), &["logits"]);
    refused(batch.feed(&[(0, &ids), (2, &ids)], ()), &["slot 2", "2"]);
    refused(batch.feed(&[(0, &ids), (0, &ids[..1])], ()), &["slot 0", "twice"]);
    let part = |slot| glass::generate::Part { slot, ids: &ids, guesses: None, wanted: 1, seen: false };
    refused(batch.read(&[part(0), part(1)], (), &mut |_, _, _| {}), &["18 ids", "12"]);
    refused(batch.feed_every(0, &[1; 65]), &["65", "64"]);
    batch.feed(&[(1, &ids)], ()).unwrap();
    refused(batch.logits(1, &mut next), &["row 1"]);
    refused(batch.logits(0, &mut next[1..]), &["30", "31"]);
    batch.logits(0, &mut next).unwrap();
    assert_eq!(next, after);
    batch.truncate(1, 3);
    refused(batch.logits(0, &mut next), &["truncated"]);
    let prompts = [&ids[..], &ids, &ids];
    refused(
        generate_together(&mut batch, None, &options, 0, &prompts, &mut |_, _| ControlFlow::Continue(())),
        &["3", "2 slots"],
    );
}

/// Quantised weights and a 16-bit cache: every command gives the same number.
#[test]
fn one_pass_one_number() {
    for packing in Packing::ALL {
        let (model, ids) = (model(packing), tiny::ids(23, 31, 5));
        let mut runner = model.runner().unwrap();
        let mut read = Vec::new();
        runner.feed_each(&ids, &mut |_, logits| read.push(logits.to_vec())).unwrap();
        let mut inspector = Inspector::new(&model, 23, 1).unwrap();
        let mut record = Record::of(sites(&tiny::config()).into_iter().chain([Site::Logits]));
        inspector.run(&[&ids], &mut record).unwrap();
        assert_eq!(record.get(Site::Logits).unwrap().values[..], read.concat(), "{packing:?}");
        assert_eq!(inspector.next_logits(), read[22]);
        let mut drawn = Sampler::new(&Sampling::default(), 31, 0).unwrap();
        let mut shown = Sampler::new(&Sampling::default(), 31, 0).unwrap();
        let top = lens::lens(&mut inspector, &ids, 31).unwrap();
        for (row, logits) in read.iter().enumerate() {
            let token = drawn.next(logits).unwrap();
            let scored = score(logits, token.id).unwrap().logprob;
            let of = |list: &[glass::next_token::Drawn]| {
                list.iter().find(|other| other.id == token.id).unwrap().logprob
            };
            let all = [token.logprob, of(shown.top(logits, 31).unwrap()), of(&top[2][row].top)];
            assert_eq!(all, [scored; 3], "{packing:?}, row {row}");
        }
        // The parts, and the rest, are the logit.
        let found = of_logit(&mut inspector, &ids, 7, Some(3)).unwrap();
        assert_eq!(found.whole, f64::from(read[22][7]) - f64::from(read[22][3]));
        let rest = found.rest().abs();
        if packing == Packing::F32 {
            assert!(rest < 1e-5 && model.cache == CacheType::F32, "{rest}");
        } else {
            assert!(
                rest < 0.1 * found.whole.abs().max(1.0) && model.cache == CacheType::Bf16,
                "{packing:?}: {rest}"
            );
        }
        assert!(
            found.parts.iter().all(|(part, _)| !matches!(part, Component::AttentionChange(_))),
            "{packing:?}"
        );
    }
}

/// More positions than logits held at once.
#[test]
fn logits_that_are_changed_count() {
    let config = glass::Config::gpt2(31, 100, 24, 2, 3);
    let model = Model::random(Cpu::new(2), &config, Packing::F32, 3).unwrap();
    let [ids, other] = [1, 2].map(|seed| tiny::ids(90, 31, seed));
    let mut inspector = Inspector::new(&model, 180, 2).unwrap();
    let mut from = Record::of([Site::Logits]);
    inspector.run(&[&other], &mut from).unwrap();
    let answer = inspector.next_logits();
    inspector.run(&[&ids], ()).unwrap();
    let own = inspector.next_logits();
    let all = Edit::of(Site::Logits, Change::ReplaceAll(from.get(Site::Logits).unwrap().values.to_vec()));
    inspector.run(&[&ids, &ids], &mut Edits(vec![(1, all)])).unwrap();
    assert_eq!(inspector.next_logits(), [&own[..], &answer].concat());
    let mut rows = Vec::new();
    inspector.logits(&mut |_, logits| rows.extend_from_slice(logits));
    assert_eq!((rows.len(), &rows[89 * 31..90 * 31]), (180 * 31, &own[..]));
    assert_eq!(rows[90 * 31..], from.get(Site::Logits).unwrap().values[..]);
    let last = Edit::of(Site::Logits, Change::Add(vec![2.0; 31])).at(89..90);
    inspector.run(&[&ids], &mut Edits::new([last])).unwrap();
    let more: Vec<f32> = own.iter().map(|logit| logit + 2.0).collect();
    assert_eq!(inspector.next_logits(), more);
    inspector.run(&[&ids], ()).unwrap();
    assert_eq!(inspector.next_logits(), own, "a change does not outlive its pass");
}

#[test]
fn sites_have_the_names_of_transformer_lens_too() {
    let name = |site: Site| site.name(Names::TransformerLens, 12);
    for site in Site::all(&glass::Config { layers: 12, ..tiny::config() }) {
        assert_eq!(Site::named(&name(site), 12).unwrap(), site, "{}", name(site));
        assert_eq!(Site::named(&site.to_string(), 12).unwrap(), site);
    }
    assert_eq!(name(Site::Block(3, Part::Pattern)), "blocks.3.attn.hook_pattern");
    assert_eq!(name(Site::Residual), "blocks.11.hook_resid_post");
    assert_eq!(Site::named("blocks.3.hook_resid_post", 12).unwrap(), Site::Block(4, Part::Residual));
    // TransformerLens has no names for these.
    assert_eq!(name(Site::Block(0, Part::Scores)), "block.0.attention.scores");
    for wrong in
        ["blocks.12.attn.hook_z", "block.12.mlp", "blocks.12.hook_resid_post", "blocks.x.hook_z", "hook_z"]
    {
        refused(Site::named(wrong, 12), &[wrong]);
    }
}
