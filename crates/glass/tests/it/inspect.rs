//! Looking inside changes nothing; an edit changes what it names and nothing else; parts add up to wholes.

use glass::backend::{Cpu, Packing};
use glass::inspect::attribute::{Component, of_logit, sites};
use glass::inspect::circuits::{Pair, circuits};
use glass::inspect::drift::{Word, drift};
use glass::inspect::edit::Change;
use glass::inspect::gradient::gradient_by_activation;
use glass::inspect::heads::{head, repeated};
use glass::inspect::neurons::Firings;
use glass::inspect::sweep::{hide_positions, patch_heads, patch_residual};
use glass::inspect::{Edit, Edits, Inspector, Record, lens, nearest};
use glass::model::Gpt;
use glass::next_token;
use glass::probe::{Did, Part, Probe, Site, View, Want};
use glass::runtime::{Model, cache_for};

use crate::tiny;

fn model(seed: u64) -> Model<Cpu> {
    let learner = tiny::learner(&tiny::config(), 2, seed);
    let (gpt, _) = Gpt::plan(&tiny::config());
    Model::new(Cpu::new(2), gpt, tiny::frozen(&learner), cache_for(Packing::F32))
}

fn everything() -> Vec<Site> {
    Site::all(&tiny::config())
}

/// Wants everything in the same way, for some slots, and answers edits as told.
struct Everything(Want, fn(usize) -> bool, Did, Vec<View>);

impl Probe for Everything {
    fn wants(&self, _: Site, slot: usize) -> Want {
        if self.1(slot) { self.0 } else { Want::No }
    }

    fn look(&mut self, view: View, values: &[f32]) {
        assert_eq!(values.len(), view.rows * view.cols, "{view:?}");
        assert!(
            values.iter().all(|v| v.is_finite() || view.site.to_string().ends_with("masked")),
            "{view:?}"
        );
        self.3.push(view);
    }

    fn edit(&mut self, view: View, values: &mut [f32]) -> Did {
        self.look(view, values);
        self.2
    }
}

/// The logits after sequences that are each read alone except for their last token, which they read together.
fn together<P: Probe>(model: &Model<Cpu>, sequences: &[Vec<u32>], probe: &mut P) -> Vec<Vec<f32>> {
    let mut batch = model.batch(sequences.len(), 24).unwrap();
    let mut last: Vec<(usize, &[u32])> = Vec::new();
    for (slot, ids) in sequences.iter().enumerate() {
        let (before, end) = ids.split_at(ids.len() - 1);
        batch.feed(&[(slot, before)], &mut *probe).unwrap();
        last.push((slot, end));
    }
    batch.feed(&last, probe).unwrap();
    let mut logits = vec![vec![0.0; 31]; sequences.len()];
    logits.iter_mut().enumerate().for_each(|(row, logits)| batch.logits(row, logits).unwrap());
    logits
}

#[test]
fn watched_is_unwatched_bit_for_bit_alone_and_among_others() {
    let model = model(1);
    let sequences: Vec<Vec<u32>> = (0..16).map(|n| tiny::ids(4 + n, 31, n as u32)).collect();
    for sequences in [&sequences[..], &sequences[9..10]] {
        let mut nobody = Everything(Want::No, |_| true, Did::Looked, vec![]);
        let unwatched = together(&model, sequences, &mut nobody);
        let all: fn(usize) -> bool = |_| true;
        for (want, whom, did) in [
            (Want::Look, all, Did::Looked),
            (Want::Look, |slot| slot == 3 || slot == 0, Did::Looked),
            // An edit that changes nothing is a look.
            (Want::Edit, all, Did::Looked),
        ] {
            let mut probe = Everything(want, whom, did, vec![]);
            assert!(together(&model, sequences, &mut probe) == unwatched, "{want:?}");
            let seen: Vec<Site> = probe
                .3
                .iter()
                .filter(|view| view.slot == 0 && view.position == 0)
                .map(|view| view.site)
                .collect();
            // The logits of a first half are those of its last position.
            let expected: Vec<Site> = everything().into_iter().filter(|site| *site != Site::Logits).collect();
            let mut seen: Vec<Site> = seen.into_iter().filter(|site| *site != Site::Logits).collect();
            seen.sort_unstable();
            assert_eq!(seen, expected);
        }
    }
}

#[test]
fn what_is_read_after_a_first_part_is_shown_at_its_own_positions() {
    let (model, ids) = (model(1), tiny::ids(9, 31, 4));
    let mut batch = model.batch(2, 24).unwrap();
    batch.feed(&[(0, &ids[..2]), (1, &ids[..5])], ()).unwrap();
    let mut probe = Everything(Want::Look, |_| true, Did::Looked, vec![]);
    batch.feed(&[(0, &ids[2..3]), (1, &ids[5..])], &mut probe).unwrap();
    for view in &probe.3 {
        let [first, last] = [[2, 2], [5, 8]][view.slot];
        // The only logits are those of the last position.
        assert_eq!(view.position, if view.site == Site::Logits { last } else { first }, "{view:?}");
    }
    let slots: Vec<usize> = probe.3.iter().filter(|v| v.site == Site::Logits).map(|v| v.slot).collect();
    assert_eq!(slots, [0, 1]);
}

#[test]
fn an_edit_is_felt_by_its_own_sequence_alone() {
    let model = model(1);
    let sequences: Vec<Vec<u32>> = (0..5).map(|n| tiny::ids(12, 31, n)).collect();
    let unwatched = together(&model, &sequences, &mut Edits::default());
    let config = tiny::config();
    let edits = [
        Edit::silence_head(&config, 0, 1),
        Edit::silence_neuron(1, 5),
        Edit::silence_attention(0),
        Edit::silence_mlp(1),
        Edit::cut(0, 3..12, 2),
        Edit::force(1, 0..12, 0),
        Edit::steer(1, vec![0.5; 24]),
        Edit::swap_embedding(1, vec![0.1; 24]),
        Edit::of(Site::Block(1, Part::Scores), Change::Silence),
        Edit::of(Site::Block(1, Part::Pattern), Change::Silence).columns(2..3),
    ];
    for edit in edits {
        let mut edits = Edits(vec![(2, edit.clone())]);
        let edited = together(&model, &sequences, &mut edits);
        for slot in 0..5 {
            assert_eq!(edited[slot] == unwatched[slot], slot != 2, "{edit:?} in slot {slot}");
        }
    }
}

#[test]
fn a_record_that_is_used_again_holds_the_last_pass() {
    let model = model(1);
    let mut inspector = Inspector::new(&model, 24, 1).unwrap();
    let mut again = Record::of(everything());
    for len in [20, 7, 13] {
        let ids = tiny::ids(len, 31, len as u32);
        let mut fresh = Record::of(everything());
        inspector.run(&[&ids], &mut fresh).unwrap();
        inspector.run(&[&ids], &mut again).unwrap();
        assert!(fresh.sites().eq(again.sites()), "{len}");
    }
}

#[test]
fn a_record_of_an_inspector_is_a_new_one_in_the_memory_of_the_last() {
    let model = model(1);
    let mut inspector = Inspector::new(&model, 24, 1).unwrap();
    let site = Site::Block(1, Part::Hidden);
    let mut memory = Vec::new();
    for len in [20, 7, 13] {
        let ids = tiny::ids(len, 31, len as u32);
        let (mut fresh, mut record) = (Record::of(everything()), inspector.record(everything()));
        inspector.run(&[&ids], &mut fresh).unwrap();
        assert!(record.sites().next().is_none() && record.get(site).is_err(), "nothing of the last one");
        inspector.run(&[&ids], &mut record).unwrap();
        assert!(fresh.sites().eq(record.sites()), "{len}");
        memory.push(record.get(site).unwrap().values.as_ptr());
        drop(record);
        // A small one in between does not take its place.
        let mut small = inspector.record([Site::Norm]);
        inspector.run(&[&ids], &mut small).unwrap();
        assert!(small.get(Site::Norm).is_ok() && small.get(site).is_err());
    }
    assert!(memory.iter().all(|at| *at == memory[0]));
    // Two at once have each their own.
    let ids = tiny::ids(9, 31, 9);
    let (mut one, mut two) = (inspector.record([site]), inspector.record([site]));
    inspector.run(&[&ids], (&mut one, &mut two)).unwrap();
    let [one, two] = [&one, &two].map(|record| record.get(site).unwrap());
    assert!(one == two && one.values.as_ptr() != two.values.as_ptr());
}

#[test]
fn silence_is_what_the_rest_of_the_model_says() {
    let model = model(3);
    let (ids, width) = (tiny::ids(10, 31, 2), 24);
    let mut inspector = Inspector::new(&model, 20, 2).unwrap();
    let mut record = Record::of(everything());
    inspector.run(&[&ids], &mut record).unwrap();
    // Without head 1, attention's output is smaller by that head's contribution.
    let mut without = Record::of(everything());
    let silence = Edits::new([Edit::silence_head(model.config(), 1, 1)]);
    inspector.run(&[&ids], (silence, &mut without)).unwrap();
    let at = |record: &Record, part| record.get(Site::Block(1, part)).unwrap().clone();
    let (out, contribution) = (at(&record, Part::AttentionOut), at(&record, Part::Contribution));
    for (row, edited) in at(&without, Part::AttentionOut).values.chunks_exact(width).enumerate() {
        let head = &contribution.row(row)[width..2 * width];
        for ((edited, whole), head) in edited.iter().zip(out.row(row)).zip(head) {
            assert!((edited - (whole - head)).abs() < 1e-4);
        }
    }
    // A cut key's share goes to the other keys; a forced key gets everything.
    let pattern = |edit: Edit| {
        let mut record = Record::of([Site::Block(0, Part::Pattern)]);
        let mut inspector = Inspector::new(&model, 20, 2).unwrap();
        inspector.run(&[&ids], (Edits::new([edit]), &mut record)).unwrap();
        record.get(Site::Block(0, Part::Pattern)).unwrap().clone()
    };
    let (cut, forced) = (pattern(Edit::cut(0, 5..8, 2)), pattern(Edit::force(0, 5..8, 2)));
    for (line, whole) in at_rows(&record.get(Site::Block(0, Part::Pattern)).unwrap().values, 10) {
        let here = (5..8).contains(&(line % 10));
        for (key, &whole_share) in whole.iter().enumerate() {
            let shared = if key == 2 { 0.0 } else { whole_share / (1.0 - whole[2]) };
            let expected = if here { shared } else { whole_share };
            assert!((cut.row(line)[key] - expected).abs() < 1e-5);
            let expected = if here { f32::from(u8::from(key == 2)) } else { whole_share };
            assert!((forced.row(line)[key] - expected).abs() < 1e-6);
        }
    }
}

fn at_rows(values: &[f32], cols: usize) -> impl Iterator<Item = (usize, &[f32])> {
    values.chunks_exact(cols).enumerate()
}

/// Every recorded number, recomputed in f64 from the weights and the numbers recorded before it.
#[test]
fn what_is_recorded_is_what_the_weights_make() {
    let model = model(5);
    let (ids, width, size) = (tiny::ids(9, 31, 6), 24, 8);
    let mut inspector = Inspector::new(&model, 9, 1).unwrap();
    let mut record = Record::of(everything());
    inspector.run(&[&ids], &mut record).unwrap();
    let parameter = |name: &str| inspector.parameter(name).unwrap();
    let close = |what: &str, got: f32, expected: f64| {
        assert!(
            (f64::from(got) - expected).abs() < 2e-4 * expected.abs().max(1.0),
            "{what}: {got}, {expected}"
        );
    };
    let linear = |from: Site, to: Site, name: &str| {
        let (weight, bias) = (parameter(&format!("{name}.weight")), parameter(&format!("{name}.bias")));
        for (row, x) in at_rows(&record.get(from).unwrap().values, record.get(from).unwrap().cols) {
            for (output, w) in at_rows(&weight.values, weight.cols) {
                let sum: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                close(name, record.get(to).unwrap().row(row)[output], sum + f64::from(bias.values[output]));
            }
        }
    };
    let norm = |from: Site, to: Site, name: &str| {
        let (gain, bias) = (parameter(&format!("{name}.weight")), parameter(&format!("{name}.bias")));
        for (row, x) in at_rows(&record.get(from).unwrap().values, width) {
            let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / width as f64;
            let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / width as f64;
            for (col, &x) in x.iter().enumerate() {
                let normal = (f64::from(x) - mean) / (variance + 1e-5).sqrt();
                let expected = normal * f64::from(gain.values[col]) + f64::from(bias.values[col]);
                close(name, record.get(to).unwrap().row(row)[col], expected);
            }
        }
    };
    let sum = |a: Site, b: Site, to: Site| {
        for ((a, b), sum) in record
            .get(a)
            .unwrap()
            .values
            .iter()
            .zip(&record.get(b).unwrap().values)
            .zip(&record.get(to).unwrap().values)
        {
            close("sum", *sum, f64::from(*a) + f64::from(*b));
        }
    };
    let tokens = parameter("embedding.token.weight");
    let places = parameter("embedding.position.weight");
    for (row, &id) in ids.iter().enumerate() {
        assert_eq!(record.get(Site::Token).unwrap().row(row), tokens.row(id as usize));
        assert_eq!(record.get(Site::Position).unwrap().row(row), places.row(row));
    }
    sum(Site::Token, Site::Position, Site::Embedding);
    assert_eq!(record.get(Site::Embedding).unwrap(), record.get(Site::Block(0, Part::Residual)).unwrap());
    for layer in 0..2 {
        let at = |part| Site::Block(layer, part);
        let name = |part: &str| format!("block.{layer}.{part}");
        norm(at(Part::Residual), at(Part::AttentionNorm), &name("attention.norm"));
        linear(at(Part::AttentionNorm), at(Part::Query), &name("attention.query"));
        linear(at(Part::AttentionNorm), at(Part::Key), &name("attention.key"));
        linear(at(Part::AttentionNorm), at(Part::Value), &name("attention.value_down"));
        for head in 0..3 {
            let of =
                |part, row: usize| &record.get(at(part)).unwrap().row(row)[head * size..(head + 1) * size];
            for query in 0..9 {
                let line = head * 9 + query;
                let dot = |key: usize| -> f64 {
                    let pairs = of(Part::Query, query).iter().zip(of(Part::Key, key));
                    pairs.map(|(q, k)| f64::from(*q) * f64::from(*k)).sum()
                };
                let scaled: Vec<f64> = (0..=query).map(|key| dot(key) / (size as f64).sqrt()).collect();
                let peak = scaled.iter().copied().fold(f64::MIN, f64::max);
                let all: f64 = scaled.iter().map(|s| (s - peak).exp()).sum();
                for key in 0..9usize {
                    let row = |part| record.get(at(part)).unwrap().row(line)[key];
                    close("scores", row(Part::Scores), dot(key));
                    let Some(scaled) = scaled.get(key) else {
                        assert_eq!((row(Part::Masked), row(Part::Pattern)), (f32::NEG_INFINITY, 0.0));
                        continue;
                    };
                    close("masked", row(Part::Masked), *scaled);
                    close("pattern", row(Part::Pattern), (scaled - peak).exp() / all);
                }
                for col in 0..size {
                    let pattern = record.get(at(Part::Pattern)).unwrap().row(line);
                    let mixed: f64 = (0..9)
                        .map(|key| f64::from(pattern[key]) * f64::from(of(Part::Value, key)[col]))
                        .sum();
                    close("mixed", of(Part::Z, query)[col], mixed);
                }
            }
        }
        linear(at(Part::Z), at(Part::AttentionOut), &name("attention.value_up"));
        sum(at(Part::Residual), at(Part::AttentionOut), at(Part::ResidualMiddle));
        norm(at(Part::ResidualMiddle), at(Part::MlpNorm), &name("mlp.norm"));
        linear(at(Part::MlpNorm), at(Part::Hidden), &name("mlp.up"));
        for (hidden, active) in record
            .get(at(Part::Hidden))
            .unwrap()
            .values
            .iter()
            .zip(&record.get(at(Part::Active)).unwrap().values)
        {
            let x = f64::from(*hidden);
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            close("gelu", *active, 0.5 * x * (1.0 + inner.tanh()));
        }
        linear(at(Part::Active), at(Part::MlpOut), &name("mlp.down"));
        sum(at(Part::ResidualMiddle), at(Part::MlpOut), Site::residual(layer + 1, 2));
    }
    norm(Site::Residual, Site::Norm, "norm");
}

#[test]
fn a_logit_is_the_sum_of_its_parts() {
    for seed in [1, 2] {
        let model = model(seed);
        let ids = tiny::ids(11, 31, seed as u32);
        let mut inspector = Inspector::new(&model, 11, 1).unwrap();
        inspector.run(&[&ids], ()).unwrap();
        let logits = inspector.next_logits();
        for (token, against) in [(7, None), (3, Some(30))] {
            let found = of_logit(&mut inspector, &ids, token, against).unwrap();
            let logit = logits[token as usize] - against.map_or(0.0, |against| logits[against as usize]);
            assert!((found.whole - f64::from(logit)).abs() < 1e-3, "{} {logit}", found.whole);
            assert!((found.sum() - found.whole).abs() < 1e-3, "{} {}", found.sum(), found.whole);
            let of = |component| found.parts.iter().find(|(part, _)| *part == component).unwrap().1;
            for layer in 0..2 {
                for head in 0..3 {
                    let sources: f64 = found.sources[3 * layer + head].iter().sum();
                    assert!((sources - of(Component::Head { layer, head })).abs() < 1e-4);
                }
                // Weights of the MLP's bias are zero at the start.
                let neurons: f64 = found.neurons[layer].iter().sum();
                assert!((neurons - of(Component::Mlp(layer))).abs() < 1e-3);
            }
        }
        assert!(of_logit(&mut inspector, &ids, 31, None).is_err());
    }
}

#[test]
fn the_lens_of_the_last_layer_is_the_models_answer() {
    let model = model(4);
    let ids = tiny::ids(13, 31, 8);
    let mut inspector = Inspector::new(&model, 13, 1).unwrap();
    let lens = lens::lens(&mut inspector, &ids, 4).unwrap();
    assert_eq!((lens.len(), lens[0].len()), (3, 13));
    let mut runner = model.runner().unwrap();
    for (position, reading) in lens[2].iter().enumerate() {
        runner.feed(&ids[position..=position]).unwrap();
        let next = ids.get(position + 1).map(|&id| next_token::score(runner.logits().unwrap(), id).unwrap());
        assert_eq!((reading.next, reading.top.len()), (next, 4));
        assert_eq!(reading.top[0].id, next_token::most_probable(runner.logits().unwrap()));
    }
    assert_ne!(lens[0], lens[2]);
}

/// A sweep does in few passes, from the edited layer on, what one full pass per place does.
#[test]
fn a_sweep_is_every_place_alone() {
    let model = model(6);
    let (clean, corrupted) = (tiny::ids(9, 31, 1), tiny::ids(9, 31, 2));
    let metric = |logits: &[f32]| f64::from(logits[4] - logits[5]);
    let mut one = Inspector::new(&model, 9, 1).unwrap();
    let mut record = Record::of(everything());
    one.run(&[&clean], &mut record).unwrap();
    let mut alone = |edit: Edit| {
        one.run(&[&corrupted], &mut Edits::new([edit])).unwrap();
        metric(&one.next_logits())
    };
    // Room for two and a half sequences: places are tried in pairs.
    let mut some = Inspector::new(&model, 23, 4).unwrap();
    let heads = patch_heads(&mut some, &clean, &corrupted, &metric).unwrap();
    let residual = patch_residual(&mut some, &clean, &corrupted, &metric).unwrap();
    for layer in 0..2 {
        let mixed = &record.get(Site::Block(layer, Part::Z)).unwrap();
        for head in 0..3 {
            let columns = 8 * head..8 * head + 8;
            let said = mixed.values.chunks_exact(24).flat_map(|row| row[columns.clone()].to_vec()).collect();
            let edit = Edit::replace(Site::Block(layer, Part::Z), said).columns(columns);
            assert_eq!(heads.after[layer][head], alone(edit.at(0..9)), "block {layer}, head {head}");
        }
        for position in 0..9 {
            let site = Site::Block(layer, Part::Residual);
            let edit = Edit::replace(site, record.get(site).unwrap().row(position).to_vec())
                .at(position..position + 1);
            assert_eq!(residual.after[layer][position], alone(edit), "block {layer}, position {position}");
        }
    }
    // Patching everything before the last block at its last position restores the prediction.
    assert_eq!((heads.before, heads.clean), (residual.before, residual.clean));
    assert_ne!(heads.before, heads.clean);
    let (before, hidden) = hide_positions(&mut some, &corrupted, &metric).unwrap();
    assert_eq!((before, hidden.len()), (heads.before, 8));
    assert!(patch_heads(&mut some, &clean, &corrupted[1..], &metric).is_err());
    assert!(patch_heads(&mut one, &tiny::ids(12, 31, 1), &tiny::ids(12, 31, 2), &metric).is_err());
}

#[test]
fn a_words_parts_add_up_to_how_far_it_drifted() {
    let model = model(7);
    let (mut a, mut b) = (tiny::ids(8, 31, 3), tiny::ids(12, 31, 4));
    (a[7], b[7]) = (9, 9);
    let mut inspector = Inspector::new(&model, 12, 1).unwrap();
    let words = [Word { ids: &a, positions: 7..8 }, Word { ids: &b, positions: 7..8 }];
    let found = drift(&mut inspector, words[0].clone(), words[1].clone(), &Edits::default()).unwrap();
    assert!((found.cosine[0] - 1.0).abs() < 1e-6, "the same token at the same position");
    assert!(found.cosine[2] < 0.999);
    let sum = found.first.sum() - found.second.sum();
    assert!((sum - found.distance).abs() < 1e-3, "{sum} {}", found.distance);
    let same = drift(&mut inspector, words[0].clone(), words[0].clone(), &Edits::default()).unwrap();
    assert!(same.distance == 0.0 && same.cosine.iter().all(|cosine| (cosine - 1.0).abs() < 1e-6));
    let table = inspector.parameter("embedding.token.weight").unwrap();
    let near = nearest::nearest(&inspector, table.row(9), 3).unwrap();
    assert!(near[0].0 == 9 && (near[0].1 - 1.0).abs() < 1e-6 && near.len() == 3);
    assert_eq!(sites(&tiny::config()).len(), 3 + 2 * 6);
}

#[test]
fn a_head_is_scored_by_where_it_looks() {
    let ids = [5, 6, 5, 6];
    let to = |keys: [usize; 4]| {
        let mut pattern = vec![0.0; 16];
        keys.iter().enumerate().for_each(|(query, key)| pattern[4 * query + key] = 1.0);
        head(&pattern, &ids)
    };
    let previous = to([0, 0, 1, 2]);
    assert_eq!((previous.previous, previous.entropy), (1.0, 0.0));
    let induction = to([0, 0, 1, 2]);
    assert_eq!((induction.induction, induction.duplicate), (1.0, 0.0));
    let duplicate = to([0, 1, 0, 1]);
    assert_eq!((duplicate.duplicate, duplicate.first), (1.0, 1.0 / 3.0));
    let even: Vec<f32> =
        (0..16).map(|at| if at % 4 <= at / 4 { 1.0 / (at / 4 + 1) as f32 } else { 0.0 }).collect();
    let nats: f64 = (1..=4).map(|n| f64::from(n).ln()).sum::<f64>() / 4.0;
    assert!((head(&even, &ids).entropy - nats).abs() < 1e-6);
    let twice = repeated(20, 31, 1);
    assert!(twice[..20] == twice[20..] && twice.iter().all(|&id| id < 31));
}

#[test]
fn sites_have_names() {
    for site in Site::all(&glass::Config { layers: 12, ..tiny::config() }) {
        assert_eq!(site.to_string().parse::<Site>().unwrap(), site);
    }
    assert_eq!("block.3.attention.pattern".parse::<Site>().unwrap(), Site::Block(3, Part::Pattern));
    let error = "block.3.attention.patern".parse::<Site>().unwrap_err().to_string();
    assert!(error.contains("attention.pattern"), "{error}");
}

/// To first order, a logit falls by gradient × activation; so a small step along the stream changes it by that
/// much.
#[test]
fn gradient_by_activation_is_the_slope_along_the_stream() {
    let model = model(8);
    let (ids, width, step) = (tiny::ids(7, 31, 5), 24, 1e-3f32);
    let mut inspector = Inspector::new(&model, 7, 1).unwrap();
    let found = gradient_by_activation(&mut inspector, &ids, 3, Some(9)).unwrap();
    let mut record = Record::of((0..=2).map(|layer| Site::residual(layer, 2)));
    inspector.run(&[&ids], &mut record).unwrap();
    for (layer, found) in found.iter().enumerate() {
        for (position, &found) in found.iter().enumerate() {
            let mut logit = |by: f32| {
                let mut stream = record.get(Site::residual(layer, 2)).unwrap().values.clone();
                stream[position * width..(position + 1) * width].iter_mut().for_each(|x| *x *= 1.0 + by);
                inspector.resume(layer, &stream, &[7], ()).unwrap();
                let logits = inspector.next_logits();
                f64::from(logits[3]) - f64::from(logits[9])
            };
            let slope = (logit(step) - logit(-step)) / f64::from(2.0 * step);
            assert!(
                (slope - found).abs() < 0.02 * slope.abs().max(1.0),
                "{layer} {position}: {slope} {found}"
            );
        }
    }
}

#[test]
fn circuits_are_what_a_head_does_with_two_tokens() {
    let model = model(9);
    let mut inspector = Inspector::new(&model, 2, 1).unwrap();
    let found = circuits(&mut inspector, 0, 1, 31 * 31).unwrap();
    assert_eq!((found.looks.len(), found.says.len()), (31 * 31, 31 * 31));
    assert!(found.looks.is_sorted_by(|a, b| a.strength >= b.strength));
    // Without positions, the first block's scores are exactly these.
    let no_position = || Edit::of(Site::Position, Change::Silence);
    let (gain, table) = (
        inspector.parameter("norm.weight").unwrap().values,
        inspector.parameter("embedding.token.weight").unwrap(),
    );
    for [from, to] in [[3, 17], [30, 2], [5, 5]] {
        let scores = Site::Block(0, Part::Masked);
        let contribution = Site::Block(0, Part::Contribution);
        let mut record = Record::of([scores, contribution]);
        inspector.run(&[&[to, from]], (Edits::new([no_position()]), &mut record)).unwrap();
        let of = |pairs: &[Pair]| {
            pairs
                .iter()
                .find(|pair| (pair.from, pair.to) == (from, to))
                .expect("every pair is there")
                .strength
        };
        let score = record.get(scores).unwrap().row(2 + 1)[0];
        assert!(
            (of(&found.looks) - score).abs() < 1e-3 * score.abs().max(1.0),
            "{} {score}",
            of(&found.looks)
        );
        // A single token attends only to itself, so its head's contribution is the one for that token.
        let mut alone = Record::of([contribution]);
        inspector.run(&[&[from]], (Edits::new([no_position()]), &mut alone)).unwrap();
        let said: f32 = alone.get(contribution).unwrap().row(0)[24..48]
            .iter()
            .zip(&gain)
            .zip(table.row(to as usize))
            .map(|((said, gain), read)| said * gain * read)
            .sum();
        assert!((of(&found.says) - said).abs() < 1e-3 * said.abs().max(1.0), "{} {said}", of(&found.says));
    }
    assert!(circuits(&mut inspector, 0, 3, 1).is_err());
}

#[test]
fn a_neuron_fires_where_its_record_is_highest() {
    let model = model(10);
    let mut inspector = Inspector::new(&model, 8, 1).unwrap();
    let texts: Vec<Vec<u32>> = (0..9).map(|n| tiny::ids(5 + 2 * n, 31, n as u32)).collect();
    let mut firings = Firings::new(1, 6, 3);
    let mut highest = Vec::new();
    for text in &texts {
        firings.read(&mut inspector, text).unwrap();
        let mut values = Vec::new();
        for part in text.chunks(8) {
            let mut record = Record::of([Site::Block(1, Part::Active)]);
            inspector.run(&[part], &mut record).unwrap();
            let active = &record.get(Site::Block(1, Part::Active)).unwrap();
            values.extend((0..part.len()).map(|row| active.row(row)[6]));
        }
        highest.push(values.iter().copied().fold(f32::MIN, f32::max));
    }
    highest.sort_by(|a, b| b.total_cmp(a));
    let found: Vec<f32> = firings.strongest().iter().map(|firing| firing.value).collect();
    assert_eq!(found, highest[..3]);
    for firing in firings.strongest() {
        assert_eq!(firing.ids.last(), Some(&texts[firing.text][firing.position]));
    }
}
