//! Runs training steps, or a model, for every line on standard input, and answers with the seconds they took.
//! `bench/` uses this to take turns with other programs, so that a busy moment of the machine affects all of them.
//!
//! `cargo bench -p glass --bench turns -- train LAYERS HEADS WIDTH VOCABULARY CONTEXT SAMPLES THREADS [PRECISION]`:
//! training steps, as many as a line says; PRECISION is f32 or mixed. `… -- train PRESET CONTEXT SAMPLES THREADS [PRECISION]` trains
//! the shape of a preset.
//!
//! `… -- tune PRESET CONTEXT SAMPLES RANK PACKING THREADS [PRECISION]`: training steps of an adapter of this rank on all matrices of a
//! preset's shape, whose random weights are packed.
//!
//! `… -- run MODEL THREADS [PACKING [powers]]`: a model's folder or file as it is, or LAYERSxHEADSxWIDTHxVOCABULARYxCONTEXT
//! with random weights packed as PACKING (f32, bf16, q8, q4); with `powers`, inputs are scaled by powers of two. A
//! line says what to do: `prefill N` reads a prompt of N tokens in one pass, `decode N AFTER` generates N tokens one
//! after another after a context of AFTER tokens, which is read before the clock starts, `together N SLOTS`
//! generates N tokens of each of SLOTS sequences from empty contexts.
//!
//! `… -- look MODEL THREADS`: `plain N` reads N tokens with all their logits, nobody looking; `record N` the same with every site of a
//! pass recorded, but for what each head contributes, in a new record of the inspector, which has the memory of the one before;
//! `first N` that in memory that is all new; `again N` that with the record of the turn before; `heads N` patches every head from another text, one by one.
//!
//! `… -- jacobian MODEL THREADS IDS TOKENS SKIPPED`: a line N fits the Jacobian lens on the next N texts of the file IDS (32-bit ids), of
//! TOKENS tokens each; `save FILE` writes what the texts so far gave.
//!
//! `… -- encode TEXT FOLDER`: GPT-2's tokenizer.json and the text's ids (`ids.u32`) are written to FOLDER, for the
//! other programs; a line gives the length of the documents into which the file TEXT is cut, in bytes, 0 for one
//! document; on one thread.
//!
//! `… -- peak GFLOP THREADS`: this many billion floating-point operations in registers only, the peak of the
//! machine.

use std::fs;
use std::hint::black_box;
use std::io::{BufRead, stdin};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use glass::Config;
use glass::backend::{Cpu, InputScales, Packing, Precision};
use glass::config::preset::Preset;
use glass::generate::{Batch as Sequences, Runner};
use glass::inspect::jacobian::Fit;
use glass::inspect::sweep::patch_heads;
use glass::inspect::{Inspector, Record};
use glass::memory::Keep;
use glass::model::Gpt;
use glass::probe::{Part, Site};
use glass::runtime::Model;
use glass::text_model::TextModel;
use glass::tokens::{Special, Tokenizer};
use glass::train::learner::{Batch, Learner, Step};
use glass::train::objective::Objective;
use glass::train::optimiser::Optimiser;
use glass::weights::Frozen;
use glass::weights::adapter::AdapterPlan;
use glass::weights::dtype::Dtype;
use glass::weights::initialise::initialise;
use glass_kernels::{Cores, peak};

const USAGE: &str = "usage: train LAYERS HEADS WIDTH VOCABULARY CONTEXT SAMPLES THREADS [PRECISION], train PRESET CONTEXT SAMPLES THREADS [PRECISION], tune PRESET CONTEXT SAMPLES RANK PACKING THREADS [PRECISION], run MODEL THREADS [PACKING [powers]], \
                     look MODEL THREADS, jacobian MODEL THREADS IDS TOKENS SKIPPED, encode TEXT FOLDER, or peak GFLOP THREADS";

/// Positions of a sequence that runs: llama.cpp's process has as many.
const MOST_POSITIONS: usize = 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => println!("{USAGE}"),
        ["peak", gflop, threads] => multiply_add(&Cores::new(size(threads)), size(gflop)),
        ["run", model, threads] => {
            let engine = TextModel::open(Cpu::new(size(threads)), model.as_ref()).expect("a model");
            run(&engine);
        }
        ["run", shape, threads, packing, ref scales @ ..] => {
            let sizes: Vec<usize> = shape.split('x').map(size).collect();
            let [layers, heads, width, vocabulary, context] = sizes[..] else { panic!("{shape}: {USAGE}") };
            let config = Config::gpt2(vocabulary, context, width, layers, heads);
            let packing = Packing::ALL.into_iter().find(|known| known.name() == packing).expect(USAGE);
            let scales = if scales == ["powers"] { InputScales::PowersOfTwo } else { InputScales::Exact };
            let cpu = Cpu::new(size(threads)).with_input_scales(scales);
            run(&Model::random(cpu, &config, packing, 1).expect("memory"));
        }
        ["look", model, threads] => {
            look(&TextModel::open(Cpu::new(size(threads)), model.as_ref()).expect("a model"));
        }
        ["jacobian", model, threads, ids, tokens, skipped] => {
            let model = TextModel::open(Cpu::new(size(threads)), model.as_ref()).expect("a model");
            jacobian(&model, ids.as_ref(), size(tokens), size(skipped));
        }
        ["encode", text, folder] => encode(text.as_ref(), folder.as_ref()),
        ["train", ref sizes @ ..] => {
            let (sizes, precision) = match *sizes {
                [ref sizes @ .., last] if last.parse::<usize>().is_err() => (sizes, last),
                ref sizes => (sizes, "f32"),
            };
            let [ref shape @ .., context, samples, threads] = *sizes else { panic!("{USAGE}") };
            let config = Config { context: size(context), ..shaped(shape) };
            train(learner(&config, size(samples), size(threads), precision), size(samples));
        }
        ["tune", preset, context, samples, rank, packing, threads, ref precision @ ..] => {
            let config = Config { context: size(context), ..shaped(&[preset]) };
            let packing = Packing::ALL.into_iter().find(|known| known.name() == packing).expect(USAGE);
            let cpu = cpu(size(threads), precision.first().unwrap_or(&"f32"));
            train(tuner(&config, size(samples), size(rank), packing, cpu), size(samples));
        }
        _ => panic!("{USAGE}"),
    }
}

fn size(argument: &str) -> usize {
    argument.parse().expect(USAGE)
}

/// A preset, or a GPT-2 of LAYERS HEADS WIDTH VOCABULARY.
fn shaped(shape: &[&str]) -> Config {
    match *shape {
        [name] => Preset::named(name).expect(USAGE).config(),
        [layers, heads, width, vocabulary] => {
            Config::gpt2(size(vocabulary), 1, size(width), size(layers), size(heads))
        }
        _ => panic!("{USAGE}"),
    }
}

fn learner(config: &Config, samples: usize, threads: usize, precision: &str) -> Learner<Cpu> {
    let rows = samples * config.context;
    let mut learner = Learner::new(Arc::new(cpu(threads, precision)), config, rows, samples).expect("memory");
    learner.initialise(1);
    learner
}

fn cpu(threads: usize, precision: &str) -> Cpu {
    let precision = match precision {
        "f32" => Precision::F32,
        "mixed" => Precision::Mixed,
        other => panic!("{other}: {USAGE}"),
    };
    Cpu::new(threads).with_precision(precision).expect("a machine that gains by it")
}

/// A learner of an adapter of all matrices, with alpha twice the rank.
fn tuner(config: &Config, samples: usize, rank: usize, packing: Packing, cpu: Cpu) -> Learner<Cpu> {
    let (gpt, plan) = Gpt::plan(config);
    let weights = Frozen::load(&cpu, &plan, packing, &|spec, into| {
        let index = plan.specs.iter().position(|other| other.name == spec.name);
        initialise(spec, index.expect("a parameter of the plan"), config, 1, into);
        Ok(())
    });
    let (weights, cpu) = (Arc::new(weights.expect("memory")), Arc::new(cpu));
    let adapter = AdapterPlan::new(&plan, 0.0, |_| Some((rank, 2.0)));
    let rows = samples * config.context;
    let mut learner = Learner::tuning(Keep::All, cpu, gpt, weights, adapter, rows, samples).expect("memory");
    learner.initialise(1);
    learner
}

/// The peak: this many billion floating-point operations, in registers only.
fn multiply_add(cores: &Cores, gflop: usize) {
    let rounds = gflop as f64 * 1e9 / peak::multiply_add(cores, 1);
    each_turn(|| {
        black_box(peak::multiply_add(cores, rounds as usize));
    });
}

fn train(mut learner: Learner<Cpu>, samples: usize) {
    let Config { vocabulary, context, .. } = *learner.config();
    let token = |row: usize| (row * 7919 % vocabulary) as u32;
    let rows = samples * context;
    let batch = Batch {
        inputs: (0..rows).map(token).collect(),
        targets: (1..=rows).map(token).collect(),
        lengths: vec![context; samples],
        ..Batch::default()
    };
    let mut number = 0;
    each_turn(|| {
        number += 1;
        learner.step(std::slice::from_ref(&batch), &step(number)).expect("a step");
    });
}

fn step(number: u64) -> Step {
    Step {
        objective: Objective::NextToken,
        optimiser: Optimiser::AdamW,
        rate: 3e-4,
        matrix_rate: 3e-4,
        momentum: 0.95,
        muon_every: 1,
        early: None,
        beta1: 0.9,
        beta2: 0.95,
        epsilon: 1e-8,
        decay: 0.1,
        clip: 1.0,
        dropout: 0.0,
        seed: 1,
        step: number,
    }
}

/// Runs a model, as every line says.
fn run(model: &Model<Cpu>) {
    let config = model.config();
    let positions = config.context.min(MOST_POSITIONS);
    let mut runner = model.runner_within(positions).expect("memory");
    let mut together: Option<Sequences<'_, Cpu>> = None;
    let ids: Vec<u32> = (0..positions).map(|place| (place * 7919 % config.vocabulary) as u32).collect();
    for line in stdin().lock().lines() {
        let line = line.expect("a line");
        let words: Vec<&str> = line.split(' ').collect();
        let seconds = match words[..] {
            ["prefill", tokens] => {
                runner.truncate(0);
                timed(|| runner.feed(&ids[..size(tokens)]).expect("a prompt"))
            }
            ["decode", tokens, after] => decode(&mut runner, &ids, size(tokens), size(after)),
            ["together", tokens, slots] => {
                let slots = size(slots);
                if together.as_ref().is_none_or(|batch| batch.slots() != slots) {
                    together = Some(model.batch(slots, positions).expect("memory"));
                }
                decode_together(together.as_mut().expect("made above"), &ids, size(tokens))
            }
            _ => panic!("{line}: {USAGE}"),
        };
        println!("{seconds}");
    }
}

fn decode(runner: &mut Runner<'_, Cpu>, ids: &[u32], tokens: usize, after: usize) -> f64 {
    if after == 0 {
        runner.truncate(0);
    } else {
        runner.prompt(&ids[..after]).expect("a context");
    }
    timed(|| ids[after..after + tokens].iter().for_each(|&id| runner.feed(&[id]).expect("a token")))
}

fn decode_together(batch: &mut Sequences<'_, Cpu>, ids: &[u32], tokens: usize) -> f64 {
    let slots = 0..batch.slots();
    slots.clone().for_each(|slot| batch.truncate(slot, 0));
    timed(|| {
        for place in 0..tokens {
            let parts: Vec<(usize, &[u32])> = slots.clone().map(|slot| (slot, &ids[place..=place])).collect();
            batch.feed(&parts, ()).expect("a token of each");
        }
    })
}

fn look(model: &Model<Cpu>) {
    let config = model.config();
    let id = |place: usize| (place * 7919 % config.vocabulary) as u32;
    let mut inspector: Option<(usize, Inspector<'_, Cpu>)> = None;
    let everything = || {
        let beside = |site: &Site| !matches!(site, Site::Block(_, Part::Contribution));
        Site::all(config).into_iter().filter(beside)
    };
    let mut kept = Record::of(everything());
    for line in stdin().lock().lines() {
        let line = line.expect("a line");
        let Some((what, tokens)) = line.split_once(' ') else { panic!("{line}: {USAGE}") };
        let tokens = size(tokens);
        let [clean, corrupted] = [0, 1].map(|from| (0..tokens).map(|at| id(at + from)).collect::<Vec<u32>>());
        // Memory for the request, and no more: a sweep reads a text for every head of a block.
        let sequences = if what == "heads" { config.heads.query } else { 1 };
        if inspector.as_ref().is_none_or(|(room, _)| *room < sequences * tokens) {
            drop(inspector.take());
            let new = Inspector::new(model, sequences * tokens, sequences).expect("memory");
            inspector = Some((sequences * tokens, new));
        }
        let (_, inspector) = inspector.as_mut().expect("made above");
        let seconds = match what {
            "plain" => timed(|| {
                inspector.run(&[&clean], ()).expect("a text");
                inspector.logits(&mut |_, logits| _ = black_box(logits[0]));
            }),
            "first" | "record" => timed(|| {
                let mut record = match what {
                    "first" => Record::of(everything()),
                    _ => inspector.record(everything()),
                };
                inspector.run(&[&clean], &mut record).expect("a text");
                black_box(record.sites().count());
            }),
            "again" => timed(|| {
                inspector.run(&[&clean], &mut kept).expect("a text");
                black_box(kept.sites().count());
            }),
            "heads" => timed(|| {
                let metric = |logits: &[f32]| f64::from(logits[1]) - f64::from(logits[2]);
                black_box(patch_heads(inspector, &clean, &corrupted, &metric).expect("texts"));
            }),
            _ => panic!("{line}: {USAGE}"),
        };
        println!("{seconds}");
    }
}

/// Fits the Jacobian lens, a few texts at a time.
fn jacobian(model: &Model<Cpu>, ids: &Path, tokens: usize, skipped: usize) {
    let ids = fs::read(ids).expect("ids");
    let ids: Vec<u32> = ids.as_chunks().0.iter().map(|&id| u32::from_le_bytes(id)).collect();
    let mut texts = ids.chunks_exact(tokens).cycle();
    let mut fit = Fit::new(model, tokens, skipped).expect("memory");
    for line in stdin().lock().lines() {
        let line = line.expect("a line");
        println!(
            "{}",
            timed(|| match line.strip_prefix("save ") {
                Some(file) => {
                    fit.lens().expect("a text").save(file.as_ref(), Dtype::F32).expect("a file");
                }
                None => (0..size(&line)).for_each(|_| {
                    fit.read(texts.next().expect("a text")).expect("a text");
                }),
            })
        );
    }
}

fn encode(text: &Path, folder: &Path) {
    let text = fs::read(text).expect("a text");
    let gpt2 = Tokenizer::gpt2();
    fs::write(folder.join("tokenizer.json"), gpt2.to_json()).expect("a folder");
    let ids: Vec<u8> =
        gpt2.encode_bytes(&text, Special::Plain).iter().flat_map(|id| id.to_le_bytes()).collect();
    fs::write(folder.join("ids.u32"), ids).expect("a folder");
    for line in stdin().lock().lines() {
        let length = Some(size(&line.expect("a line"))).filter(|&length| length > 0).unwrap_or(text.len());
        let all =
            || text.chunks(length).for_each(|text| _ = black_box(gpt2.encode_bytes(text, Special::Plain)));
        println!("{}", timed(all));
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn each_turn(mut work: impl FnMut()) {
    for line in stdin().lock().lines() {
        let times = line.expect("a line").parse().unwrap_or(1);
        let start = Instant::now();
        (0..times).for_each(|_| work());
        println!("{}", start.elapsed().as_secs_f64());
    }
}
