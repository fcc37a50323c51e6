//! What a run takes: memory, arithmetic, time at best.

use std::io::Write as _;
use std::time::Instant;

use glass::Config;
use glass::backend::Cpu;
use glass::train::card::Card;
use glass::train::learner::LOGIT_ROWS;
use glass::train::settings::Settings;
use glass::weights::census::Census;
use glass::weights::footprint::Footprint;
use glass_kernels::roof;
use serde_json::json;

use super::data::describe;
use crate::args::{RunArgs, TrainArgs};
use crate::fail::Fail;
use crate::out::{Out, bytes, duration, number};

/// Bursts of which the best counts.
const BURSTS: usize = 25;

/// A run's needs.
pub struct Budget {
    /// Weights.
    pub weights: u64,
    /// Tokens of one step.
    pub tokens_per_step: u64,
    /// Floating-point operations to learn one token.
    pub flops_to_learn: u64,
    activations: u64,
    /// The gradients of one layer's activations, its keys and values, and one branch.
    working: u64,
    logits: u64,
}

impl Budget {
    /// From the plan; nothing is allocated.
    pub fn of(config: &Config, run: &RunArgs) -> Budget {
        let footprint = Footprint::of(config, config.context);
        let (batch, accumulate) = (run.batch as u64, run.accumulate as u64);
        Budget {
            weights: Census::of(config).stored,
            tokens_per_step: batch.saturating_mul(accumulate).saturating_mul(config.context as u64),
            flops_to_learn: footprint.flops_to_learn,
            activations: footprint.activation_bytes.saturating_mul(batch),
            working: working(config).saturating_mul(batch),
            logits: 4
                * (LOGIT_ROWS as u64).min(batch.saturating_mul(config.context as u64))
                * config.vocabulary as u64,
        }
    }

    /// Bytes: weights, gradients, two moments and the copy of one that a checkpoint takes; activations; logits.
    fn total(&self) -> u64 {
        let passing = self.activations.saturating_add(self.working).saturating_add(self.logits);
        (20 * self.weights).saturating_add(passing)
    }

    /// Refuses what this machine cannot hold, before it is tried.
    pub fn fits(&self) -> Result<(), Fail> {
        match memory() {
            Some(has) if self.total() > has => Err(Fail::asked(format!(
                "memory: this run takes {} and the machine has {}; give a smaller --batch (with --accumulate), a smaller \
                 --context or a smaller model",
                bytes(self.total()),
                bytes(has)
            ))),
            _ => Ok(()),
        }
    }
}

/// Bytes of what one sample's backward works in, besides the activations: the gradients of the residual, one branch and
/// one layer (normalised twice, query, key, value, mixed, hidden before and after, the norms' two numbers), that layer's
/// keys and values, and a branch of the forward.
fn working(config: &Config) -> u64 {
    let (width, hidden) = (config.width as u64, config.hidden as u64);
    let (queries, keys) =
        ((config.heads.query * config.heads.size) as u64, (config.heads.key * config.heads.size) as u64);
    let gradients = 5 * width + 2 * queries + 2 * keys + 2 * hidden + 6;
    4 * config.context as u64 * (gradients + 2 * keys + width)
}

/// The machine's memory, where it tells.
fn memory() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Multiply-adds in registers on all threads, in FLOP/s: the best of several bursts of some milliseconds. A busy machine
/// makes a burst slower, never faster.
pub fn roof(cpu: &Cpu) -> f64 {
    let burst = || {
        let begun = Instant::now();
        let flops = roof::multiply_add(cpu.cores(), 2_000_000);
        flops / begun.elapsed().as_secs_f64().max(1e-9)
    };
    (0..BURSTS).map(|_| burst()).fold(0.0, f64::max)
}

/// Shows it.
pub fn show(
    args: &TrainArgs,
    budget: &Budget,
    settings: &Settings,
    roof: f64,
    card: &Card,
) -> Result<(), Fail> {
    let step = budget.flops_to_learn as f64 * budget.tokens_per_step as f64;
    let (tokens, flops) =
        (budget.tokens_per_step.saturating_mul(settings.steps), step * settings.steps as f64);
    let mut out = Out::new();
    let weights = 4 * budget.weights;
    if args.run.json {
        out.json(&json!({
            "weights": budget.weights,
            "memory_bytes": {"weights": weights, "gradients": weights, "moments": 2 * weights,
                             "activations": budget.activations, "working": budget.working, "checkpoint": weights, "logits": budget.logits, "total": budget.total()},
            "tokens_per_step": budget.tokens_per_step, "steps": settings.steps, "tokens": tokens,
            "flops_per_step": step, "flops": flops, "roof_flops": roof, "seconds_at_roof": flops / roof,
            "data": card,
        }))?;
        return out.done();
    }
    writeln!(out, "{}", describe(card))?;
    writeln!(out, "{}", out.bold(&format!("{} weights", number(budget.weights))))?;
    let rows = [
        ("weights", weights),
        ("gradients", weights),
        ("two moments", 2 * weights),
        ("activations of a batch", budget.activations),
        ("working memory", budget.working),
        ("logits of a chunk", budget.logits),
        ("a checkpoint's copy", weights),
        ("memory in all", budget.total()),
    ];
    for (what, value) in rows {
        writeln!(out, "  {what:<24}{:>12}", bytes(value))?;
    }
    writeln!(out, "{} steps of {} tokens", number(settings.steps), number(budget.tokens_per_step))?;
    writeln!(out, "  {:<24}{:>12.3e} FLOPs, {:.1} GFLOPs a step", "arithmetic in all", flops, step / 1e9)?;
    let best = duration(flops / roof);
    writeln!(
        out,
        "  {:<24}{best:>12} at this machine's {:.0} GFLOP/s of multiply-adds, which no run reaches",
        "time at best",
        roof / 1e9
    )?;
    out.done()
}
