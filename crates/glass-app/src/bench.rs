//! `glass bench`: how fast a model runs, as a share of this machine's peak.

mod guessing;
mod products;
mod peak;
mod running;
mod timing;
mod training;

use std::io::Write as _;

use glass::Config;
use glass::backend::{Cpu, Packing};
use glass::model::footprint::Footprint;
use glass::model::parameter_count::ParameterCount;
use serde_json::{Value, json};

use crate::args::BenchArgs;
use crate::fail::Fail;
use crate::model_arg::{Loaded, Subject, guess};
use crate::out::{Out, bytes, count, number};
use guessing::Guessing;
use peak::Peak;
use products::Product;
use running::Running;

/// Positions left after a prompt, for the tokens that are decoded.
const DECODED: usize = 32;

/// Runs the command.
pub fn run(args: &BenchArgs) -> Result<(), Fail> {
    let subject = Subject::open(args.model.as_deref())?;
    let packings = subject.packings(&args.packings)?;
    let most = subject.config.context.saturating_sub(DECODED);
    if args.tokens == 0 || most == 0 {
        return Err(Fail::asked(format!(
            "--tokens: {} was given for a context of {}; a prompt has at least 1 token and leaves {DECODED} positions free",
            args.tokens, subject.config.context
        )));
    }
    let tokens = args.tokens.min(most);
    let threads = args.machine.threads.map_or_else(Cpu::available_threads, usize::from);
    let new = || Cpu::new(threads).with_input_scales(args.inputs.scales());
    let (cpu, mut out) = (new(), Out::new());
    let peak = Peak::measured(&cpu);
    if !args.json {
        about(&mut out, &subject, &cpu, &peak, tokens)?;
    }
    let mut documents = Vec::new();
    for packing in packings {
        let mut model = subject.load_whole(new(), packing)?;
        let running = Running::measured(&model, tokens)?;
        let guessing = guesses(&mut model, args)?;
        drop(model);
        let products = match packing {
            Some(packing) => products::measured(&cpu, &subject.config, packing, tokens)?,
            None => Vec::new(),
        };
        if args.json {
            documents.push(document(packing, &running, guessing.as_ref(), &products, &peak));
        } else {
            show(&mut out, &subject, packing, &running, &peak, tokens)?;
            guess_lines(&mut out, guessing.as_ref())?;
            product_lines(&mut out, &products, &peak)?;
            out.show()?;
        }
    }
    let train = if args.train { Some(training::measured(&subject.config, threads)?) } else { None };
    let room = cpu.cores().room();
    match (&train, args.json) {
        (_, true) => out.json(&json!({
            "model": subject.name, "threads": threads, "isa": format!("{:?}", cpu.cores().isa()),
            "cache": room.cache(), "block": [room.block().rows, room.block().depth],
            "peak": {"f32": peak.f32, "bf16": peak.bf16, "bytes": peak.bytes, "read": peak.read},
            "tokens": tokens, "packings": documents, "train": train.as_ref().map(|train| train.rate),
        }))?,
        (Some(train), false) => {
            let share =
                train.rate * Footprint::of(&subject.config, train.context).flops_to_learn as f64 / peak.f32;
            writeln!(
                out,
                "\ntraining, {} x {} tokens, f32: {:.0} tokens/s ({})",
                train.samples,
                train.context,
                train.rate,
                percent(share)
            )?;
        }
        (None, false) => {}
    }
    out.done()
}

/// What guesses bring. Random weights say nothing that could be guessed.
fn guesses(model: &mut Loaded, args: &BenchArgs) -> Result<Option<Guessing>, Fail> {
    match model {
        Loaded::Whole(model) if args.guess.is_on() => {
            guess(model, &args.guess)?;
            Guessing::measured(model, args.guess.lookup.into())
        }
        _ => Ok(None),
    }
}

fn about(out: &mut Out, subject: &Subject, cpu: &Cpu, peak: &Peak, tokens: usize) -> Result<(), Fail> {
    let (weights, threads) = (number(ParameterCount::of(&subject.config).stored), cpu.cores().threads());
    let (isa, room) = (cpu.cores().isa(), cpu.cores().room());
    writeln!(out, "{}: {weights} weights, {}, {isa:?}", out.bold(&subject.name), count(threads, "thread"))?;
    let (cache, block) = (bytes(room.cache() as u64), room.block());
    writeln!(out, "blocks of {} rows x {} in {cache} of L2 cache", block.rows, block.depth)?;
    let pairs = peak.bf16.map_or(String::new(), |rate| format!(", {:.0} in pairs of bf16", rate / 1e9));
    writeln!(
        out,
        "peak: {:.0} GFLOP/s in f32{pairs}, {:.0} Gop/s in bytes, {:.1} GB/s read",
        peak.f32 / 1e9,
        peak.bytes / 1e9,
        peak.read / 1e9
    )?;
    writeln!(out, "tokens per second, and the share of the peak; prompt of {}", count(tokens, "token"))?;
    out.show()
}

fn show(
    out: &mut Out,
    subject: &Subject,
    packing: Option<Packing>,
    running: &Running,
    peak: &Peak,
    tokens: usize,
) -> Result<(), Fail> {
    let name = packing.map_or("packed", Packing::name);
    writeln!(out, "\n{}, {}", out.bold(name), bytes(running.bytes as u64))?;
    let operations = to_read(&subject.config, tokens);
    let prefill = packing.map(|packing| percent(running.prefill * operations / peak.operations(packing)));
    let read = |rate: f64, cache: usize| percent(rate * (running.bytes + cache) as f64 / peak.read);
    let after = format!("decode after {tokens}");
    let mut lines = vec![
        ("prefill".to_string(), running.prefill, prefill.unwrap_or_default()),
        ("decode".to_string(), running.decode, read(running.decode, 0)),
        (after, running.decode_after, read(running.decode_after, running.cache)),
    ];
    for &(sequences, rate) in &running.batches {
        lines.push((format!("{sequences} together"), rate, String::new()));
    }
    for (what, rate, share) in lines {
        writeln!(out, "  {what:<20} {:>12} {share:>6}", decimals(rate))?;
    }
    Ok(())
}

/// Operations per token of a prompt, on average: a token sees half of the prompt, and only the last one needs logits.
fn to_read(config: &Config, tokens: usize) -> f64 {
    let all = Footprint::of(config, tokens).flops_to_learn as f64 / 3.0;
    let logits = 2.0 * (config.width * config.vocabulary) as f64;
    all - logits * (tokens - 1) as f64 / tokens as f64
}

fn product_lines(out: &mut Out, products: &[Product], peak: &Peak) -> Result<(), Fail> {
    for product in products {
        let Product { inputs, outputs, rows, .. } = product;
        let what = format!("[{inputs} → {outputs}] × {rows}");
        let rate = match rows {
            1 => format!("{:.1} GB/s", product.read() / 1e9),
            _ => format!("{:.0} G/s", product.operations() / 1e9),
        };
        writeln!(out, "  {what:<24} {rate:>12} {:>6}", percent(product.share(peak)))?;
    }
    Ok(())
}

fn guess_lines(out: &mut Out, guessing: Option<&Guessing>) -> Result<(), Fail> {
    let Some(found) = guessing else { return Ok(()) };
    let [without, with] = found.rates;
    let (texts, tokens) = (count(found.texts, "text"), count(found.tokens, "token"));
    writeln!(out, "  generated: {texts}, {tokens}")?;
    let times = format!("{:.2} x", with / without);
    let right = format!("{} of {}", found.guesses.right, found.guesses.all);
    for (what, number, share) in [
        ("without guesses", decimals(without), ""),
        ("with guesses", decimals(with), times.as_str()),
        ("tokens a pass", format!("{:.2}", found.tokens_a_pass()), ""),
        ("right guesses", right, ""),
    ] {
        writeln!(out, "    {what:<18} {number:>12} {share:>6}")?;
    }
    Ok(())
}

fn document(
    packing: Option<Packing>,
    running: &Running,
    guessing: Option<&Guessing>,
    products: &[Product],
    peak: &Peak,
) -> Value {
    let guesses = guessing.map(|found| {
        json!({"texts": found.texts, "tokens": found.tokens, "without": found.rates[0], "with": found.rates[1],
               "tokens_a_pass": found.tokens_a_pass(), "all": found.guesses.all, "right": found.guesses.right})
    });
    let batches =
        running.batches.iter().map(|(sequences, rate)| json!({"sequences": sequences, "rate": rate}));
    let products = products.iter().map(|product| {
        json!({"inputs": product.inputs, "outputs": product.outputs, "rows": product.rows,
               "rate": product.operations(), "share": product.share(peak)})
    });
    json!({"packing": packing.map(Packing::name), "bytes": running.bytes, "prefill": running.prefill,
           "decode": running.decode, "decode_after": running.decode_after,
           "batches": batches.collect::<Vec<_>>(), "guesses": guesses, "products": products.collect::<Vec<_>>()})
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn decimals(rate: f64) -> String {
    if rate < 100.0 { format!("{rate:.1}") } else { number(rate.round() as u64) }
}
