//! Adapters: what they learn, what they change, and their files.

use std::sync::Arc;
use std::thread;

use glass::Config;
use glass::backend::{CacheType, Cpu, Packing};
use glass::generate::{Batch, GenerateOptions, Room, Runner};
use glass::memory::Keep;
use glass::model::Gpt;
use glass::next_token::Sampling;
use glass::plan::{Plan, Spec};
use glass::runtime::Model;
use glass::scheduler::{Chunk, Event, Request, Scheduler, Settings, block_bytes};
use glass::train::learner::{Arena, Learner, Step};
use glass::train::ranks::{Divided, together};
use glass::train::sums::Reduce;
use glass::weights::adapter::file::{LoraConfig, Stored, open, save};
use glass::weights::adapter::{Adapter, AdapterPlan, AdapterRef, Adapters};
use glass::weights::dtype::Dtype;
use glass::weights::save::Save;
use glass::weights::{Frozen, Weights};

use crate::scratch::Scratch;
use crate::switches::signs;
use crate::{switches, tiny};

fn about() -> LoraConfig {
    LoraConfig { base: "base".into(), rank: 3, alpha: 6.0, dropout: 0.0 }
}

/// An adapter of all matrices, with numbers in both factors.
fn adapter_plan(config: &Config, dropout: f32) -> AdapterPlan {
    let (_, plan) = Gpt::plan(config);
    AdapterPlan::new(&plan, dropout, |_| Some((about().rank, about().scale())))
}

fn base(config: &Config, packing: Packing) -> Frozen<Cpu> {
    let learner = tiny::learner(config, 1, 1);
    let read = |spec: &Spec, into: &mut [f32]| {
        learner.read(spec, into);
        Ok(())
    };
    Frozen::load(&**learner.backend(), learner.plan(), packing, &read).unwrap()
}

fn tuning(config: &Config, packing: Packing, threads: usize, keep: Keep, dropout: f32) -> Learner<Cpu> {
    let (gpt, _) = Gpt::plan(config);
    let (cpu, weights) = (Arc::new(Cpu::new(threads)), Arc::new(base(config, packing)));
    let plan = adapter_plan(config, dropout);
    let mut learner = Learner::tuning(keep, cpu, gpt, weights, plan, 96, 8).unwrap();
    learner.initialise(1);
    learner
}

/// Both factors of every change get numbers.
fn fill(learner: &mut Learner<Cpu>) -> Vec<f32> {
    let values: Vec<f32> =
        tiny::ids(learner.plan().len(), 1 << 16, 5).iter().map(|&id| id as f32 / 65_536.0 - 0.5).collect();
    learner.set_arena(Arena::Weights, &values);
    values
}

fn logits(weights: Weights<'_, Cpu>, config: &Config) -> Vec<f32> {
    let (gpt, _) = Gpt::plan(config);
    let cpu = Cpu::new(1);
    let mut runner = Runner::new(&cpu, &gpt, weights).unwrap();
    runner.feed(&tiny::ids(17, 31, 2)).unwrap();
    runner.logits().unwrap().to_vec()
}

#[test]
fn gradients_of_an_adapter_are_the_slope_of_the_loss_with_every_switch() {
    for (name, config) in switches::all() {
        let mut learner = tuning(&config, Packing::F32, 2, Keep::All, 0.0);
        let batch = tiny::batch(&[13, 24, 5], 31, 3);
        let still = Step { rate: 0.0, decay: 0.0, ..tiny::step(1) };
        // Small changes, so that differences are slopes.
        let start: Vec<f32> = fill(&mut learner).iter().map(|value| 0.3 * value).collect();
        learner.set_arena(Arena::Weights, &start);
        learner.step(std::slice::from_ref(&batch), &still).unwrap();
        for spec in learner.plan().clone().specs.iter() {
            let mut slope = vec![0.0; spec.span.len()];
            learner.read_gradient(spec, &mut slope);
            let norm = slope.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            assert!(norm > 0.0, "{name}: {} has no gradient", spec.name);
            let direction = signs(slope.len(), 0);
            let step = 4e-3 / (slope.len() as f64).sqrt();
            let mut loss_at = |by: f64| {
                let mut moved = start.clone();
                for (weight, sign) in moved[spec.span.clone()].iter_mut().zip(&direction) {
                    *weight += (by * sign) as f32;
                }
                learner.set_arena(Arena::Weights, &moved);
                learner.step(std::slice::from_ref(&batch), &still).unwrap().loss
            };
            let measured = (loss_at(step) - loss_at(-step)) / (2.0 * step);
            let expected = slope.iter().zip(&direction).map(|(&g, sign)| f64::from(g) * sign).sum::<f64>();
            let error = (measured - expected).abs();
            assert!(
                error < 0.03 * norm + 5e-4,
                "{name}: {}: {measured} but {expected} (norm {norm})",
                spec.name
            );
        }
    }
}

#[test]
fn a_new_adapter_changes_no_bit_and_a_trained_one_is_the_sum_of_both() {
    for (name, config) in switches::all() {
        let mut learner = tuning(&config, Packing::F32, 1, Keep::All, 0.0);
        let own = base(&config, Packing::F32);
        assert!(logits(learner.running(), &config) == logits(Weights::Frozen(&own), &config), "{name}");
        let values = fill(&mut learner);
        let (model, adapter) = (Gpt::plan(&config).1, adapter_plan(&config, 0.0));
        let merged = Frozen::load(&Cpu::new(1), &model, Packing::F32, &|spec, into| {
            tiny::learner(&config, 1, 1).read(spec, into);
            let index = model.specs.iter().position(|other| other.name == spec.name).unwrap();
            if let Some(pair) = adapter.pair(index) {
                let [a, b] = [pair.a, pair.b].map(|param| adapter.plan.spec(param).clone());
                for (i, into) in into.iter_mut().enumerate() {
                    let (row, col) = (i / spec.cols, i % spec.cols);
                    let change: f32 = (0..a.rows)
                        .map(|k| {
                            values[b.span.start + k * b.cols + row] * values[a.span.start + k * a.cols + col]
                        })
                        .sum();
                    *into += pair.scale * change;
                }
            }
            Ok(())
        })
        .unwrap();
        let (apart, together) =
            (logits(learner.running(), &config), logits(Weights::Frozen(&merged), &config));
        let largest = together.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let distance = apart.iter().zip(&together).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(distance < 2e-4 * largest, "{name}: {distance} of {largest}");
    }
}

/// The adapter after three steps with dropout of both kinds.
fn learned(packing: Packing, threads: usize, keep: Keep) -> Vec<u32> {
    let mut learner = tuning(&tiny::config(), packing, threads, keep, 0.3);
    for number in 1..=3 {
        let step = Step { dropout: 0.1, rate: 1e-2, ..tiny::step(number) };
        let parts = [[24, 9].as_slice(), &[17]].map(|lengths| tiny::batch(lengths, 31, number as u32));
        learner.step(&parts, &step).unwrap();
    }
    learner.arena(Arena::Weights).iter().map(|x| x.to_bits()).collect()
}

#[test]
fn an_adapter_learns_the_same_bits_with_any_threads_and_memory() {
    for packing in [Packing::F32, Packing::Bf16, Packing::Q8, Packing::Q4] {
        let expected = learned(packing, 1, Keep::All);
        assert!(learned(packing, 3, Keep::All) == expected, "{packing:?}: threads");
        assert!(learned(packing, 2, Keep::Inputs) == expected, "{packing:?}: recomputed");
    }
}

#[test]
fn an_adapter_learns_on_packed_weights_what_it_learns_on_floats() {
    let config = tiny::config();
    for packing in [Packing::F32, Packing::Bf16, Packing::Q8, Packing::Q4] {
        let mut learner = tuning(&config, packing, 1, Keep::All, 0.0);
        let batch = [tiny::batch(&[24, 9, 17], 31, 3)];
        let step = |number| Step { rate: 2e-2, decay: 0.0, ..tiny::step(number) };
        let first = learner.step(&batch, &step(1)).unwrap().loss;
        let last = (2..60).map(|number| learner.step(&batch, &step(number)).unwrap().loss).last().unwrap();
        assert!(last < 0.5 * first, "{packing:?}: {first} → {last}");
    }
}

/// Configurations whose files join matrices, turn them, or order rows otherwise, each with its name.
fn in_files() -> Vec<(&'static str, Config)> {
    switches::all().into_iter().filter(|(_, config)| config.check().is_ok()).collect()
}

fn written(config: &Config, values: &[f32], folder: &Scratch) -> Stored {
    let (plan, adapter) = (Gpt::plan(config).1, adapter_plan(config, 0.0));
    let what = Save {
        config,
        plan: &plan,
        dtype: Dtype::F32,
        tokenizer: None,
        template: None,
        end_of_text: None,
        generation: None,
    };
    save(folder.path(), &what, &adapter, &about(), &|spec: &Spec, into: &mut [f32]| {
        into.copy_from_slice(&values[spec.span.clone()]);
        Ok(())
    })
    .unwrap();
    open(folder.path(), config, &plan).unwrap()
}

#[test]
fn an_adapter_comes_back_from_its_files() {
    for (name, config) in in_files() {
        let mut learner = tuning(&config, Packing::F32, 1, Keep::All, 0.0);
        let values = fill(&mut learner);
        let folder = Scratch::new("adapter");
        let stored = written(&config, &values, &folder);
        assert_eq!(stored.base, "base");
        assert!(stored.values == values, "{name}: the numbers");
        let cpu = Cpu::new(1);
        let (adapter, own) = (Adapter::load(&cpu, &stored).unwrap(), base(&config, Packing::F32));
        let read = logits(Weights::Adapted(&own, Adapters::One(adapter.lend())), &config);
        assert!(read == logits(learner.running(), &config), "{name}: the logits");
    }
}

#[test]
fn an_adapter_that_does_not_fit_is_refused() {
    let config = tiny::config();
    let mut learner = tuning(&config, Packing::F32, 1, Keep::All, 0.0);
    let values = fill(&mut learner);
    let folder = Scratch::new("adapter");
    written(&config, &values, &folder);
    let refused = |config: &Config| {
        let plan: Plan = Gpt::plan(config).1;
        open(folder.path(), config, &plan).unwrap_err().to_string()
    };
    let why = refused(&Config { width: 48, ..Config::gpt2(31, 24, 48, 2, 3) });
    assert!(why.contains("fits this model"), "{why}");
    let why = refused(&Config::gpt2(31, 24, 24, 1, 3));
    assert!(why.contains("changes no matrix"), "{why}");
    let path = folder.path().join("adapter_config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    for (from, to, expected) in [
        ("\"use_dora\": false", "\"use_dora\": true", "use_dora"),
        ("\"LORA\"", "\"IA3\"", "IA3"),
        ("\"lora_alpha\": 6.0", "\"lora_alpha\": \"six\"", "lora_alpha is not a number"),
        ("\"base\"", "\"\"", "base_model_name_or_path"),
        ("{", "[", "not JSON"),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let why = refused(&config);
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn ranks_learn_the_adapter_that_one_learns() {
    let config = tiny::config();
    let parts: Vec<_> = (0..4).map(|seed| tiny::batch(&[24, 10], 31, seed)).collect();
    let learned = |ranks: usize, divided: Divided| -> Vec<f32> {
        let (config, parts) = (&config, &parts);
        let all: Vec<Vec<f32>> = thread::scope(|scope| {
            let go = |ranks| {
                scope.spawn(move || {
                    let learner = tuning(config, Packing::Q8, 1, Keep::All, 0.1);
                    let mut learner = learner.among(Arc::new(ranks), Reduce::Exact, divided);
                    learner.initialise(1);
                    for step in 1..=3 {
                        learner.step(parts, &tiny::step(step)).unwrap();
                    }
                    learner.call_all().unwrap();
                    learner.arena(Arena::Weights)
                })
            };
            let threads: Vec<_> = together(ranks).into_iter().map(go).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        all.into_iter().next().unwrap()
    };
    let alone = learned(1, Divided::Moments);
    for ranks in [2, 3] {
        for divided in [Divided::Moments, Divided::Gradients, Divided::Weights] {
            assert!(learned(ranks, divided) == alone, "{ranks} ranks, {divided:?}");
        }
    }
}

#[test]
fn every_sequence_of_a_batch_has_its_own_adapter_and_the_bits_that_it_has_alone() {
    let config = tiny::config();
    let (gpt, _) = Gpt::plan(&config);
    let (cpu, own) = (Cpu::new(2), base(&config, Packing::Q8));
    let adapters: Vec<Arc<Adapter<Cpu>>> = [3u32, 4]
        .map(|seed| {
            let mut adapter = Adapter::zeros(&cpu, adapter_plan(&config, 0.0)).unwrap();
            let ids = tiny::ids(adapter.plan.plan.len(), 1 << 16, seed);
            let values: Vec<f32> = ids.iter().map(|&id| id as f32 / 65_536.0 - 0.5).collect();
            glass::backend::Device::write(&cpu, &mut adapter.weights.values, 0, &values);
            Arc::new(adapter)
        })
        .into();
    let of = [None, Some(adapters[0].clone()), Some(adapters[1].clone()), None];
    let texts: Vec<Vec<u32>> = (0..4).map(|seed| tiny::ids(9 + seed, 31, seed as u32)).collect();
    let room = Room { slots: 4, positions: 24, cache: CacheType::F32 };
    let mut batch = Batch::new(&cpu, &gpt, Weights::Frozen(&own), room).unwrap();
    for (slot, adapter) in of.iter().enumerate() {
        batch.adapt(slot, adapter.clone()).unwrap();
    }
    let parts: Vec<(usize, &[u32])> = texts.iter().map(Vec::as_slice).enumerate().collect();
    batch.feed(&parts, ()).unwrap();
    let mut together = vec![vec![0.0; 31]; 4];
    together.iter_mut().enumerate().for_each(|(slot, into)| batch.logits(slot, into).unwrap());
    assert!(together[0] != together[1] && together[1] != together[2]);
    for (slot, adapter) in of.iter().enumerate() {
        let weights = match adapter {
            None => Weights::Frozen(&own),
            Some(adapter) => {
                let adapter = AdapterRef { plan: &adapter.plan, weights: &adapter.weights };
                Weights::Adapted(&own, Adapters::One(adapter))
            }
        };
        let mut runner = Runner::new(&cpu, &gpt, weights).unwrap();
        runner.feed(&texts[slot]).unwrap();
        assert!(runner.logits().unwrap() == together[slot], "slot {slot}");
    }
}

#[test]
fn adapters_are_served_beside_their_model_and_share_no_prefix_with_it() {
    let config = Config { context: 256, ..tiny::config() };
    let plan = adapter_plan(&config, 0.0);
    let adapter = |seed: u32| {
        let cpu = Cpu::new(1);
        let mut adapter = Adapter::zeros(&cpu, plan.clone()).unwrap();
        let ids = tiny::ids(plan.plan.len(), 1 << 16, seed);
        let values: Vec<f32> = ids.iter().map(|&id| id as f32 / 65_536.0 - 0.5).collect();
        glass::backend::Device::write(&cpu, &mut adapter.weights.values, 0, &values);
        Arc::new(adapter)
    };
    let adapters = vec![adapter(3), adapter(4)];
    let model = || {
        let (gpt, _) = Gpt::plan(&config);
        Model::new(Cpu::new(2), gpt, base(&config, Packing::F32), CacheType::F32)
    };
    let shared = model();
    let settings = Settings { slots: 8, cache_bytes: 64 * block_bytes(&shared), chunk: Chunk::Rows(48) };
    let mut scheduler = Scheduler::new(&shared, None, settings).unwrap();
    scheduler.adapters(adapters.clone()).unwrap();
    let prompt = tiny::ids(150, 31, 8);
    let request = |adapter: Option<usize>, lookup: usize| {
        let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
        let options = GenerateOptions { tokens: 30, sampling, lookup, ..GenerateOptions::default() };
        Request { prompt: prompt.clone(), options, adapter, logprobs: true, ..Request::default() }
    };
    let told = |scheduler: &mut Scheduler<'_, Cpu>, asked: Vec<Request>| {
        let mut all: Vec<(usize, Vec<(u32, u64)>)> = vec![(0, vec![]); asked.len()];
        let tickets: Vec<_> = asked.into_iter().map(|request| scheduler.submit(request).unwrap()).collect();
        while scheduler.pass(&mut |ticket, event| {
            let at = tickets.iter().position(|other| *other == ticket).unwrap();
            match event {
                Event::Begun { cached } => all[at].0 = cached,
                Event::Token { id, logprob, .. } => all[at].1.push((id, logprob.unwrap().to_bits())),
                Event::Failed(error) => panic!("{error}"),
                _ => {}
            }
        }) {}
        all
    };
    let which = [None, Some(0), Some(1)];
    let asked = || [0, 4].iter().flat_map(|&lookup| which.map(|adapter| request(adapter, lookup))).collect();
    let first = told(&mut scheduler, asked());
    assert!(first[0].1 != first[1].1 && first[1].1 != first[2].1);
    let again = told(&mut scheduler, asked());
    for (at, adapter) in which.iter().chain(&which).enumerate() {
        assert!(again[at].0 >= 128, "{adapter:?}: the second time its own prefix is known");
        let mut alone = model();
        alone.adapt(adapter.map(|number| adapters[number].clone()));
        let mut own = Scheduler::new(&alone, None, settings).unwrap();
        let expected = told(&mut own, vec![request(None, 0)]).remove(0).1;
        assert!(first[at].1 == expected && again[at].1 == expected, "{adapter:?}, request {at}");
    }
    let why = scheduler.submit(request(Some(2), 0)).unwrap_err().to_string();
    assert!(why.contains("adapter"), "{why}");
}
