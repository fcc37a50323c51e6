//! Estimates what a run needs: memory, arithmetic, time.

use std::io::Write as _;
use std::time::Instant;

use glass::backend::{Cpu, Precision};
use glass::train::set::Set;
use glass::train::settings::Settings;
use glass_kernels::{Cores, peak};
use serde_json::json;

use super::budget::{Budget, Requested};
use super::mixture;
use super::room;
use super::sets::{Sets, describe, similar};
use super::speed::Speed;
use crate::args::TrainArgs;
use crate::fail::Fail;
use crate::out::{Out, bytes, count, duration, number};

/// Columns up to the end of the numbers.
const NUMBERS: usize = 38;

/// Bursts of which the best counts: for a share of the peak, and for a remark.
const BURSTS: usize = 25;
const FEW_BURSTS: usize = 3;

/// The peak of mixed precision must exceed that of f32 by this factor. Machines have half or twice.
const LEAST_GAIN: f64 = 1.2;

/// Multiply-adds in registers on all threads, in FLOP/s, at the precision of the cores: the best of several bursts of some
/// milliseconds. Other load makes a burst slower, never faster.
fn peak(cores: &Cores, bursts: usize) -> f64 {
    let burst = || {
        let begun = Instant::now();
        let flops = peak::multiply_add(cores, 2_000_000);
        flops / begun.elapsed().as_secs_f64().max(1e-9)
    };
    (0..bursts).map(|_| burst()).fold(0.0, f64::max)
}

/// The same CPU at the requested precision, and its peak.
pub fn at(cpu: Cpu, precision: Precision) -> Result<(Cpu, f64), Fail> {
    let before = peak(cpu.cores(), BURSTS);
    if precision == Precision::F32 {
        return Ok((cpu, before));
    }
    let cpu = cpu.with_precision(precision)?;
    let peak = peak(cpu.cores(), BURSTS);
    if peak < LEAST_GAIN * before {
        return Err(Fail::asked(format!(
            "--precision: mixed was given, but this processor multiplies 16-bit numbers at {:.0} GFLOP/s and 32-bit ones at \
             {:.0}, so nothing would be gained; leave it at f32",
            peak / 1e9,
            before / 1e9
        )));
    }
    Ok((cpu, peak))
}

/// How many times the peak of f32 that of mixed precision is, if a run in f32 leaves so much unused.
pub fn unused(cpu: &Cpu, peak_of_f32: f64) -> Option<f64> {
    let cores = cpu.cores();
    if cores.precision() == Precision::Mixed || !Precision::Mixed.gains(cores.isa()) {
        return None;
    }
    let mixed = Cores::with(cores.isa(), cores.threads())?.with_precision(Precision::Mixed);
    Some(peak(&mixed, FEW_BURSTS) / peak_of_f32).filter(|times| *times >= LEAST_GAIN)
}

/// Tokens of one evaluation.
pub fn evaluated(settings: &Settings, validation: Option<&Set>, context: usize) -> f64 {
    validation.filter(|_| !settings.overfit).map_or(0.0, |set| {
        let (samples, most) =
            (set.samples_in(context) as f64, settings.eval_samples.unwrap_or(usize::MAX) as f64);
        set.tokens() as f64 * (most / samples).min(1.0)
    })
}

/// How long a run will take, in seconds.
struct Time {
    steps: f64,
    evaluations: u64,
    evaluating: f64,
    /// Every evaluation may be the best so far, which is then saved.
    checkpoints: u64,
    /// `None` if no checkpoint could be written to measure it.
    saving: Option<f64>,
}

impl Time {
    fn of(
        args: &TrainArgs,
        settings: &Settings,
        steps: f64,
        validation: Option<&Set>,
        speed: &Speed,
    ) -> Time {
        let every = |every: u64| settings.steps.checked_div(every).unwrap_or(0);
        let due = |every: u64| every > 0 && settings.steps.is_multiple_of(every);
        let validation = validation.filter(|_| !settings.overfit);
        let (eval, save) = (settings.eval_every, settings.checkpoint_every);
        let evaluations = validation.map_or(0, |_| every(eval) + u64::from(!due(eval)));
        let both = if evaluations > 0 && eval > 0 && save > 0 { every(lcm(eval, save)) } else { 0 };
        let regular = if evaluations > 0 { every(eval) } else { 0 };
        let checkpoints = every(save) + regular - both + u64::from(!(due(save) || regular > 0 && due(eval)));
        let tokens = evaluated(settings, validation, speed.context);
        // A checkpoint is three arenas; the model's own files come besides.
        let files = 1.0 + args.shape.dtype.dtype().bytes() as f64 / 12.0;
        Time {
            steps: speed.step * steps,
            evaluations,
            evaluating: speed.evaluate * tokens * evaluations as f64,
            checkpoints,
            saving: speed.save.map(|one| one * files * checkpoints as f64),
        }
    }

    fn total(&self) -> f64 {
        self.steps + self.evaluating + self.saving.unwrap_or(0.0)
    }
}

fn lcm(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    (a / x).saturating_mul(b)
}

/// Tokens per step: of full windows, or of conversations of average length.
pub fn tokens_per_step(asked: &Requested, set: &Set) -> u64 {
    let context = asked.config.context;
    let full = (asked.each * context) as f64;
    (asked.tokens_per_step() as f64 * set.mean_rows(context) / full) as u64
}

/// Prints the plan.
pub fn show(
    args: &TrainArgs,
    budget: &Budget,
    settings: &Settings,
    sets: &Sets,
    peak: f64,
    speed: &Speed,
) -> Result<(), Fail> {
    let per_step = tokens_per_step(&budget.asked, &sets.train);
    let step = budget.flops_to_learn as f64 * per_step as f64;
    // In steps with all blocks.
    let steps = budget.work(settings).of_steps(0..settings.steps);
    let (tokens, flops) = (per_step.saturating_mul(settings.steps), step * steps);
    let time = Time::of(args, settings, steps, sets.validation.as_ref(), speed);
    let early = settings.early().map(|early| (early, budget.work(settings).early()));
    let (needs, most) = (budget.asked.needs(), room::most());
    let instead = most.and_then(|most| budget.instead(most));
    let mut out = Out::new();
    if args.run.json {
        out.json(&json!({
            "weights": budget.weights,
            "memory_bytes": {"present": budget.present, "weights": needs.weights, "gradients": needs.gradients,
                             "moments": needs.moments, "activations": needs.activations, "working": needs.working,
                             "logits": needs.logits, "besides": budget.asked.besides(), "saving": needs.saving,
                             "total": budget.total()},
            "memory_limit": most, "fits": instead.is_none(), "instead": instead,
            "tokens_per_step": per_step, "steps": settings.steps, "tokens": tokens,
            "early": early.map(|(early, share)| json!({"steps": early.steps, "blocks": early.blocks, "work": share})),
            "flops_per_step": step, "flops": flops, "roof_flops": peak, "seconds_at_roof": flops / peak,
            "seconds_per_step": speed.step, "tokens_per_second": per_step as f64 / speed.step,
            "evaluations": time.evaluations, "seconds_evaluating": time.evaluating,
            "checkpoints": time.checkpoints, "seconds_saving": time.saving, "seconds": time.total(),
            "data": sets.card,
        }))?;
        return out.done();
    }
    out.prose(&describe(&sets.card))?;
    for said in similar(&sets.card).into_iter().chain(mixture::describe(&sets.train, speed.context, settings))
    {
        out.prose(&said)?;
    }
    writeln!(out, "{}", out.bold(&count(budget.weights as usize, "weight")))?;
    let rows = [
        ("program and data", budget.present),
        ("weights", needs.weights),
        ("gradients", needs.gradients),
        ("two moments", needs.moments),
        ("activations", needs.activations),
        ("their gradients", needs.working),
        ("logits of a chunk", needs.logits),
        ("ids, threads, samples", budget.asked.besides()),
        ("while saving", needs.saving),
        ("total memory", budget.total()),
    ];
    for (what, value) in rows {
        writeln!(out, "  {what:<24}{:>12}", bytes(value))?;
    }
    if let Some(most) = most {
        writeln!(out, "  {:<24}{:>12}", "available", bytes(most))?;
    }
    if let Some(instead) = instead {
        out.hanging(&format!("  it does not fit: {instead}"), 2)?;
    }
    writeln!(
        out,
        "{}",
        out.bold(&format!(
            "{} of {}",
            count(settings.steps as usize, "step"),
            count(per_step as usize, "token")
        ))
    )?;
    let arithmetic =
        format!("  {:<24}{flops:>12.3e} FLOPs, {:.1} GFLOPs a step", "arithmetic in all", step / 1e9);
    out.hanging(&arithmetic, NUMBERS + 1)?;
    if let Some((early, share)) = early {
        let (steps, blocks) = (number(early.steps), count(early.blocks, "block"));
        let early = format!(
            "  {:<24}{steps:>12} with {blocks}, {:.0} % of a later one each",
            "early steps",
            100.0 * share
        );
        out.hanging(&early, NUMBERS + 1)?;
    }
    let line = |what: &str, seconds: f64| format!("  {what:<24}{:>12}", duration(seconds));
    let (reached, speed_of) = (step / speed.step, per_step as f64 / speed.step);
    let steps = format!(
        "{}   {:.3} s a step, {} tokens/s, {:.0} GFLOP/s ({:.0} % of the FMA peak)",
        line("steps", time.steps),
        speed.step,
        number(speed_of as u64),
        reached / 1e9,
        100.0 * reached / peak
    );
    out.hanging(&steps, NUMBERS + 3)?;
    writeln!(out, "{}", line(&count(time.evaluations as usize, "evaluation"), time.evaluating))?;
    let checkpoints = format!("{} at most", count(time.checkpoints as usize, "checkpoint"));
    match time.saving {
        Some(saving) => writeln!(out, "{}", line(&checkpoints, saving))?,
        None => {
            let unknown = format!("  {checkpoints:<24}     unknown: none could be written to measure it");
            out.hanging(&unknown, NUMBERS + 3)?;
        }
    }
    let measured = speed.measured_on(&budget.asked);
    out.hanging(&format!("{}   measured on {measured}", line("total time", time.total())), NUMBERS + 3)?;
    out.done()
}
