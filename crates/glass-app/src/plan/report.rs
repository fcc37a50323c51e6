//! A plan as text and as JSON.

use std::io::Write as _;

use glass::train::machines::{Cluster, Equation, Plan, Training};
use serde_json::json;

use crate::fail::Fail;
use crate::out::{Out, count, number, percent};

/// The widths of a label and of its number.
const LABEL: usize = 34;
const NUMBER: usize = 12;

const DAY: f64 = 86_400.0;

/// A plan, and what it is of.
pub struct Report<'a> {
    pub name: &'a str,
    pub training: &'a Training<'a>,
    pub cluster: &'a Cluster,
    pub plan: &'a Plan,
    pub equations: &'a [Equation],
}

impl Report<'_> {
    /// One document.
    pub fn json(&self) -> Result<(), Fail> {
        let Report { training, cluster, plan, .. } = self;
        let (layout, memory, time, totals) = (plan.layout, plan.memory, plan.time, plan.totals);
        let equations: Vec<_> = self
            .equations
            .iter()
            .map(|one| json!({"what": one.what, "formula": one.formula, "numbers": one.numbers, "source": one.source}))
            .collect();
        let mut out = Out::new();
        out.json(&json!({
            "model": self.name, "machines": cluster.name, "weights": plan.work.weights as u64, "tokens": training.tokens,
            "batch": training.batch, "context": training.context, "precision": training.precision.name(),
            "layout": {"devices": layout.devices(), "data": layout.data, "tensor": layout.tensor, "pipeline": layout.pipeline,
                       "interleave": layout.interleave, "zero": layout.zero, "micro_batch": layout.micro_batch,
                       "micro_batches": layout.micro_batches(training.batch), "recompute": layout.recompute.name()},
            "layouts": plan.seen[0], "fitting": plan.seen[1],
            "memory_bytes": {"weights": memory.weights, "gradients": memory.gradients, "optimiser": memory.optimiser,
                             "activations": memory.activations, "logits": memory.logits, "total": memory.total(),
                             "limit": plan.memory_limit, "short": plan.short()},
            "seconds": {"products": time.products, "between": time.between, "tensor": time.tensor, "stages": time.stages,
                        "bubble": time.bubble, "data": time.data, "hidden": time.hidden, "optimiser": time.optimiser,
                        "step": time.total(), "all": totals.seconds},
            "flops_per_token": plan.work.model_flops, "flops": totals.flops, "mfu": totals.mfu, "hfu": totals.hfu,
            "tokens_per_second": totals.tokens_per_second, "steps": totals.steps, "days": totals.seconds / DAY,
            "device_hours": totals.device_hours, "kwh": totals.energy, "money": totals.money, "currency": cluster.currency,
            "equations": equations,
        }))?;
        out.done()
    }

    /// For reading.
    pub fn show(&self, with_equations: bool) -> Result<(), Fail> {
        let mut out = Out::new();
        self.choice(&mut out)?;
        self.memory(&mut out)?;
        self.time(&mut out)?;
        self.totals(&mut out)?;
        if with_equations {
            self.equations(&mut out)?;
        } else {
            out.hanging("--equations shows every equation with its numbers, and where it is from", 0)?;
        }
        out.done()
    }

    fn choice(&self, out: &mut Out) -> Result<(), Fail> {
        let Report { training, cluster, plan, .. } = self;
        let layout = plan.layout;
        let (weights, tokens) = (short(plan.work.weights), short(training.tokens));
        out.prose(&format!(
            "{}: {weights} weights, {tokens} tokens, steps of {} samples of {} tokens; {} (products in {})",
            self.name,
            number(training.batch as u64),
            number(training.context as u64),
            cluster.name,
            training.precision.name(),
        ))?;
        writeln!(out)?;
        let used = layout.devices();
        let all = cluster.devices();
        let rows = [
            ("data parallel", count(layout.data, "device")),
            ("tensor parallel", count(layout.tensor, "device")),
            ("pipeline", stages(layout.pipeline, layout.interleave)),
            ("ZeRO", zero(layout.zero).into()),
            (
                "micro-batches",
                format!(
                    "{} of {}",
                    number(layout.micro_batches(training.batch) as u64),
                    count(layout.micro_batch, "sample")
                ),
            ),
            ("computed again", again(layout.recompute.name()).into()),
        ];
        let devices = match used == all {
            true => format!("{} devices", number(used as u64)),
            false => format!("{} of {} devices", number(used as u64), number(all as u64)),
        };
        writeln!(out, "{}", out.bold(&format!("layout of {devices}")))?;
        for (what, value) in rows {
            writeln!(out, "  {what:<20}{value}")?;
        }
        let [possible, fitting] = plan.seen;
        let why = match (possible, plan.short()) {
            (_, missing) if missing > 0.0 => {
                format!("  as asked, though it does not fit: {} a device are short", gigabytes(missing))
            }
            (1, _) => "  the only layout as asked".into(),
            _ => format!(
                "  the fastest of {} layouts that fit, of {}",
                number(fitting as u64),
                number(possible as u64)
            ),
        };
        out.hanging(&why, 2)?;
        Ok(writeln!(out)?)
    }

    fn memory(&self, out: &mut Out) -> Result<(), Fail> {
        let memory = self.plan.memory;
        writeln!(out, "{}", out.bold("memory of the fullest device"))?;
        for (what, bytes) in [
            ("weights", memory.weights),
            ("gradients", memory.gradients),
            ("optimiser", memory.optimiser),
            ("activations", memory.activations),
            ("logits and their gradients", memory.logits),
            ("total", memory.total()),
            ("available", self.plan.memory_limit),
        ] {
            line(out, what, &gigabytes(bytes), "")?;
        }
        Ok(writeln!(out)?)
    }

    fn time(&self, out: &mut Out) -> Result<(), Fail> {
        let time = self.plan.time;
        let step = time.total();
        writeln!(out, "{}", out.bold("time of a step"))?;
        for (what, part) in [
            ("products of matrices", time.products),
            ("between them (memory)", time.between),
            ("sums, tensor parallel", time.tensor),
            ("from stage to stage", time.stages),
            ("pipeline bubble", time.bubble),
            ("exchange, data parallel", time.data),
            ("  of it during passes", -time.hidden),
            ("optimiser", time.optimiser),
        ] {
            if part != 0.0 {
                line(out, what, &seconds(part), &percent(part / step, 1))?;
            }
        }
        line(out, "total", &seconds(step), &percent(1.0, 1))?;
        Ok(writeln!(out)?)
    }

    fn totals(&self, out: &mut Out) -> Result<(), Fail> {
        let Report { cluster, plan, .. } = self;
        let totals = plan.totals;
        let devices = plan.layout.devices() as f64;
        writeln!(out, "{}", out.bold("in all"))?;
        line(out, "operations", &format!("{:.3e}", totals.flops), "")?;
        line(out, "steps", &number(totals.steps as u64), "")?;
        line(out, "tokens a second", &rounded(totals.tokens_per_second), "")?;
        line(out, "  of a device", &rounded(totals.tokens_per_second / devices), "")?;
        let reached = plan.work.model_flops * totals.tokens_per_second / devices;
        let (unit, size) = if reached < 1e12 { ("GFLOP/s", 1e9) } else { ("TFLOP/s", 1e12) };
        line(out, &format!("{unit} of a device"), &format!("{:.1}", reached / size), "")?;
        line(out, "share of the peak (MFU)", &percent(totals.mfu, 1), "")?;
        line(out, "  with what is done twice (HFU)", &percent(totals.hfu, 1), "")?;
        let days = totals.seconds / DAY;
        let time = if days < 1.0 { format!("{:.1} h", 24.0 * days) } else { format!("{days:.1} days") };
        line(out, "time", &time, "")?;
        line(out, "device-hours", &rounded(totals.device_hours), "")?;
        if totals.energy > 0.0 {
            line(out, "energy, kWh", &rounded(totals.energy), "")?;
        }
        if let Some(money) = totals.money {
            line(out, &format!("money, {}", cluster.currency), &rounded(money), "")?;
        }
        Ok(writeln!(out)?)
    }

    fn equations(&self, out: &mut Out) -> Result<(), Fail> {
        writeln!(out, "{}", out.bold("equations"))?;
        for Equation { what, formula, numbers, source } in self.equations {
            out.hanging(&format!("  {what}: {formula}"), 4)?;
            out.hanging(&format!("    {numbers}"), 6)?;
            if !source.is_empty() {
                let source = out.dim(&format!("    [{source}]"));
                out.hanging(&source, 6)?;
            }
        }
        writeln!(out)?;
        out.hanging(
            "B samples a step, b of a micro-batch, s tokens a sample, h width, a heads, F operations of a layer and a token forward; d, t, \
             p devices: data, tensor, pipeline; v chunks, m micro-batches, Ψ weights of a device, w, g, o bytes of a weight, its gradient \
             and what the optimiser keeps",
            0,
        )
    }
}

fn line(out: &mut Out, what: &str, value: &str, share: &str) -> Result<(), Fail> {
    let row = format!("  {what:<LABEL$}{value:>NUMBER$}{share:>10}");
    Ok(writeln!(out, "{}", row.trim_end())?)
}

fn stages(pipeline: usize, interleave: usize) -> String {
    match interleave {
        1 => count(pipeline, "stage"),
        _ => format!("{}, each of {interleave} chunks", count(pipeline, "stage")),
    }
}

fn zero(stage: u8) -> &'static str {
    match stage {
        0 => "none: every device has all",
        1 => "1: the optimiser's numbers are divided",
        2 => "2: gradients are divided too",
        _ => "3: weights are divided too",
    }
}

fn again(recompute: &str) -> &'static str {
    match recompute {
        "none" => "nothing",
        "selective" => "the pattern of attention",
        _ => "all activations of a layer",
    }
}

/// `175 billion`, `11.2 million`.
fn short(value: f64) -> String {
    let (size, unit) = match value {
        1e12.. => (value / 1e12, " trillion"),
        1e9.. => (value / 1e9, " billion"),
        1e6.. => (value / 1e6, " million"),
        _ => return number(value as u64),
    };
    let digits = if size < 10.0 {
        2
    } else if size < 100.0 {
        1
    } else {
        0
    };
    format!("{size:.digits$}{unit}")
}

fn rounded(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { number(value.round() as u64) }
}

fn gigabytes(bytes: f64) -> String {
    if bytes >= 1e8 { format!("{:.1} GB", bytes / 1e9) } else { format!("{:.1} MB", bytes / 1e6) }
}

fn seconds(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.1} s"),
        0.1.. => format!("{value:.3} s"),
        _ => format!("{:.2} ms", 1000.0 * value),
    }
}
