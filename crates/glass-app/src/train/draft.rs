//! `glass train --draft-for`: what a model says is learned, so that its tokens can be guessed.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use glass::atomic_write;
use glass::backend::Cpu;
use glass::generate::{GenerateOptions, Runner};
use glass::guess::Head;
use glass::guess::{Draft, Drawn, FILE, Table};
use glass::next_token::Sampling;
use glass::text_model::TextModel;
use glass::train::draft::{HeadLearner, Passes, RATE, beginnings, draw, passes};
use serde_json::json;

use super::sets::Sets;
use super::subject::Subject;
use crate::args::TrainArgs;
use crate::fail::{Fail, say};
use crate::model_arg::{clock, cpu};
use crate::out::{Out, count, number};

/// Minutes, if none are asked for.
const MINUTES: f64 = 10.0;

/// KB of the table, if nothing else is asked for.
const SIZE: usize = 1000;

/// Held-out beginnings that are continued to measure, and the tokens of each.
const MEASURED: usize = 24;
const TOKENS: usize = 150;

/// Of the time, the part in which the model draws; in the rest the head is learned.
const DRAWING: f64 = 0.5;

/// The temperature at which the model draws, if none is advised, and if it is advised to take the likeliest token.
const TEMPERATURE: f32 = 0.5;
const GREEDY: f32 = 0.2;

/// Bytes of a draft's file that are not in its tensors.
const HEADER: usize = 2000;

/// Makes the draft.
pub fn run(args: &TrainArgs, name: &str) -> Result<(), Fail> {
    let file = args.out.join(FILE);
    if file.exists() {
        let shown = file.display();
        return Err(Fail::asked(format!("--out: {shown} exists; remove it, or give another folder")));
    }
    let minutes = args.run.minutes.unwrap_or(MINUTES);
    if !(minutes > 0.0 && minutes.is_finite()) {
        return Err(Fail::asked(format!("--minutes: {minutes} was given, but a number above 0 is needed")));
    }
    let mut args = args.clone();
    args.shape.from = Some(name.to_string());
    let cpu = cpu(&args.machine);
    let (subject, raw) = Subject::and_data(&args)?;
    let sets = Sets::new(raw, &args, &subject)?;
    let folder = subject.from.as_ref().expect("it was named");
    let mut model =
        TextModel::new(cpu, glass::weights::folder::Folder::open(&crate::model_arg::located(name, false)?)?)?;
    model.clock = Some(clock);
    let (context, vocabulary) = (model.config().context, model.config().vocabulary);
    if subject.config.vocabulary != vocabulary {
        return Err(Fail::asked("--chat: the model has no chat template; give its texts with --data"));
    }
    let advised = folder.generation().sampling(vocabulary, Vec::new());
    let is_advised = folder.generation().temperature.is_some() || advised.temperature == 0.0;
    let temperature = args.draft.draft_temperature.unwrap_or(match advised.temperature {
        // Greedily, a beginning would always go on in the same way.
        0.0 => GREEDY,
        temperature if is_advised => temperature,
        _ => TEMPERATURE,
    });
    let sampling = Sampling { temperature, ..advised.clone() };
    let mut ends = model.end_tokens();
    if let (Some(template), Some(tokenizer)) = (&subject.template, &model.tokenizer) {
        ends.extend(tokenizer.special(&template.closing()?));
    }
    let (start, end) = (model.start_tokens(), subject.end_of_text());
    let prompts = beginnings(&sets.train, &start, end, context, args.run.seed);
    let held_out = sets.validation.as_ref().map(|set| beginnings(set, &start, end, context, args.run.seed));
    let held_out = held_out.unwrap_or_default();
    let size = args.draft.draft_size.map_or(SIZE, |size| size as usize);
    let options = GenerateOptions { sampling: sampling.clone(), ends, ..GenerateOptions::default() };
    say(&format!(
        "{}; the model continues them at temperature {} in half of {minutes} minutes; in the rest a head of {} numbers on its vectors learns \
         what it drew, and a table of {} KB",
        count(prompts.len(), "beginning"),
        sampling.temperature,
        number(5 * model.config().width.pow(2) as u64),
        number(size as u64),
    ));
    let (begun, mut told) = (Instant::now(), Duration::ZERO);
    let limit = Duration::from_secs_f64(60.0 * minutes * DRAWING);
    let drawn = draw(&model, &prompts, &options, &mut |tokens| {
        let passed = begun.elapsed();
        if passed >= told + Duration::from_secs(20) {
            told = passed;
            let rate = tokens as f64 / passed.as_secs_f64();
            let all = rate * limit.as_secs_f64();
            say(&format!(
                "{} of about {} tokens, {rate:.0} a second",
                number(tokens as u64),
                number(all as u64)
            ));
        }
        if passed < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let tokens: usize = drawn.iter().map(|text| text.ids.len() - text.from).sum();
    let entries = (size * 1000).saturating_sub(HEADER).max(400) / 4;
    let table = Table::learn(&drawn, entries, vocabulary, temperature);
    let rest = Duration::from_secs_f64(60.0 * minutes * (1.0 - DRAWING));
    let head = head(&model, &drawn, temperature, args.run.seed, rest)?;
    std::fs::create_dir_all(&args.out).map_err(|error| glass::Error::io("cannot make", &args.out, error))?;
    let write = |draft: &Draft| -> Result<(), Fail> {
        let bytes = draft.bytes(vocabulary)?;
        atomic_write::replace(&file, &bytes)
            .map_err(|error| glass::Error::io("cannot write", &file, error))?;
        say(&format!("{} has {} bytes", file.display(), number(bytes.len() as u64)));
        Ok(())
    };
    say(&format!("{} tokens drawn and learned", number(tokens as u64)));
    let drafts = [
        ("table and head", Draft::of(Some(table.clone()), Some(head))),
        ("table alone", Draft::of(Some(table), None)),
    ];
    write(&drafts[0].1)?;
    let options = GenerateOptions { sampling: advised, ..options };
    let held_out = &held_out[..held_out.len().min(MEASURED)];
    if held_out.is_empty() {
        say("no text was held out, so what the draft brings is not measured");
        return Ok(());
    }
    let mut found = Vec::new();
    for (name, draft) in &drafts {
        model.guess_from(Some(draft.clone()))?;
        found.push((*name, measured(&model, held_out, &options)?));
    }
    // A head takes time for every guess, which a small model's rows may not be worth.
    let [both, alone] = [0, 1].map(|at| found[at].1.iter().map(|way| way.times).sum::<f64>());
    if alone > both {
        write(&drafts[1].1)?;
    }
    report(&args, held_out.len(), &found, found[usize::from(alone > both)].0)
}

/// Learns a head for so long.
fn head(
    model: &TextModel<Cpu>,
    drawn: &[Drawn],
    temperature: f32,
    seed: u64,
    limit: Duration,
) -> Result<Head, Fail> {
    let mut learner = HeadLearner::new(model, drawn, model.config().width, temperature, RATE, seed)?;
    let (begun, mut told, mut step) = (Instant::now(), Duration::ZERO, 0);
    loop {
        let passed = begun.elapsed();
        let progress = passed.as_secs_f64() / limit.as_secs_f64();
        if progress >= 1.0 && step > 0 {
            return Ok(learner.head());
        }
        let losses = learner.learn(progress as f32);
        step += 1;
        if passed >= told + Duration::from_secs(20) {
            told = passed;
            let [first, second, third] = losses;
            say(&format!(
                "head: step {step}, {:.0} % of the time, cross-entropy {first:.2} {second:.2} {third:.2}",
                100.0 * progress
            ));
        }
    }
}

/// What a draft brings in one way of drawing.
struct Measured {
    way: &'static str,
    temperature: f32,
    passes: Passes,
    /// How many times as fast as without guesses.
    times: f64,
}

/// Tokens a pass and the time with guesses as a share of that without, on text that was not learned.
fn measured(
    model: &TextModel<Cpu>,
    held_out: &[Vec<u32>],
    options: &GenerateOptions,
) -> Result<Vec<Measured>, Fail> {
    let own = options.sampling.clone();
    let greedy = Sampling { temperature: 0.0, top_p: 1.0, ..own.clone() };
    let mut ways = vec![("greedy", greedy)];
    if own.temperature > 0.0 {
        ways.push(("as advised", own));
    }
    let (mut runner, mut all) = (model.runner()?, Vec::new());
    for (way, sampling) in ways {
        let temperature = sampling.temperature;
        let options = GenerateOptions { sampling, tokens: TOKENS, ..options.clone() };
        let (mut passes, mut seconds) = (Passes::default(), [0.0; 2]);
        for prompt in held_out {
            for draft in [false, true] {
                let options = GenerateOptions { draft, ..options.clone() };
                let (done, passed) = timed(&mut runner, prompt, &options)?;
                seconds[usize::from(draft)] += passed;
                if draft {
                    passes.tokens += done.tokens;
                    passes.passes += done.passes;
                    passes.guesses += done.guesses;
                }
            }
        }
        all.push(Measured { way, temperature, passes, times: seconds[0] / seconds[1] });
    }
    Ok(all)
}

/// Says what each draft brings, and which one is kept.
fn report(
    args: &TrainArgs,
    beginnings: usize,
    found: &[(&str, Vec<Measured>)],
    kept: &str,
) -> Result<(), Fail> {
    use std::io::Write as _;
    let mut out = Out::new();
    if args.run.json {
        let line = |(draft, ways): &(&str, Vec<Measured>)| {
            let way = |m: &Measured| {
                json!({"way": m.way, "temperature": m.temperature, "tokens": m.passes.tokens, "passes": m.passes.passes,
                       "guesses": m.passes.guesses, "times": m.times})
            };
            json!({"draft": draft, "ways": ways.iter().map(way).collect::<Vec<_>>()})
        };
        out.json(&json!({"held_out": found.iter().map(line).collect::<Vec<_>>(), "kept": kept}))?;
        return out.done();
    }
    writeln!(out, "held-out text, {}, and speed:", count(beginnings, "beginning"))?;
    for (draft, ways) in found {
        for Measured { way, passes, times, .. } in ways {
            let what = format!("{draft}, {way}");
            writeln!(out, "  {what:<28} {:>5.2} tokens a pass {times:>6.2} x", passes.rate())?;
        }
    }
    writeln!(out, "kept: {kept}")?;
    out.done()
}

fn timed(
    runner: &mut Runner<'_, Cpu>,
    prompt: &[u32],
    options: &GenerateOptions,
) -> Result<(Passes, f64), Fail> {
    // The prompt is read before the time is taken: it takes the same time either way.
    runner.truncate(0);
    runner.prompt(prompt)?;
    let begun = Instant::now();
    let done = passes(runner, prompt, options)?;
    Ok((done, begun.elapsed().as_secs_f64()))
}
