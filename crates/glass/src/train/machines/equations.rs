//! The equations of a plan, with its numbers filled in, and where each is from.

use super::{Attention, Cluster, Plan, Recompute, Ring, Training};
use crate::error::Result;

/// An equation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equation {
    /// What it gives.
    pub what: &'static str,
    /// In symbols.
    pub formula: String,
    /// With its numbers, and the result.
    pub numbers: String,
    /// Where it is from.
    pub source: &'static str,
}

/// The equations behind a plan, in the order in which they are computed.
///
/// # Errors
/// If the machines do not say how fast they are in the precision.
pub fn equations(plan: &Plan, training: &Training, cluster: &Cluster) -> Result<Vec<Equation>> {
    let Plan { layout, work, memory, time, totals, .. } = plan;
    let (software, bytes) = (&cluster.software, cluster.bytes(training.precision));
    let (d, t, p, v) = (layout.data, layout.tensor, layout.pipeline, layout.interleave);
    let (b, s) = (layout.micro_batch, training.context);
    let rows = (b * s) as f64;
    let m = layout.micro_batches(training.batch);
    let [_, l, _] = layout.layers(work.layers);
    let peak = cluster.peak(training.precision)?;
    let forward = work.layer_products + work.layer_attention;
    let mut all = Vec::new();
    let mut add = |what, formula: String, numbers: String, source| {
        all.push(Equation { what, formula, numbers, source })
    };

    add(
        "operations of a token",
        "C = 3 (2 N_products + 4 · Σ seen · heads · size / 2)".into(),
        format!("N = {} weights, C = {}", exp(work.weights), exp(work.model_flops)),
        "Kaplan et al. 2020, table 1; PaLM, appendix B (a token sees half of the context)",
    );
    add(
        "micro-batches",
        "m = B / (d b)".into(),
        format!("{} / ({d} · {b}) = {m}", training.batch),
        "Narayanan et al. 2021, section 3.1",
    );
    let factor = match layout.recompute {
        Recompute::None => "3",
        Recompute::Selective => "3 + the pattern's share",
        Recompute::Full => "4",
    };
    add(
        "products of a stage",
        format!("m b s ({factor}) · layers · F / (t · efficiency · peak) + logits"),
        format!(
            "{m} · {} · {l} layers, F = {}, {t} · {} · {} → {}",
            exp(rows),
            exp(forward),
            software.efficiency,
            exp(peak),
            seconds(time.products)
        ),
        "Narayanan et al. 2021, eq. 3, for any sizes",
    );
    let kept = work.kept(bytes.activations, t as f64, software.sequence_parallel) + work.pattern / t as f64;
    let kept_formula = match (software.attention, software.sequence_parallel) {
        (Attention::Stored, true) => "s b h (34 + 5 a s / h) / t, for any sizes",
        (Attention::Stored, false) => "s b h (10 + 24/t + 5 a s / (h t)), for any sizes",
        (Attention::Fused, true) => "s b h · 34 / t, for any sizes",
        (Attention::Fused, false) => "s b h (10 + 24/t), for any sizes",
        (Attention::Glass, _) => "s b (6 width + MLP + heads) · 4",
    };
    add(
        "activations of a layer",
        kept_formula.into(),
        format!("{} tokens · {:.0} bytes = {}", exp(rows), kept, size(rows * kept)),
        "Korthikanti et al. 2022, eq. 1, 2 and 4",
    );
    add(
        "between the products",
        "m · layers · (5 or 7) · activations / memory bandwidth".into(),
        format!(
            "{m} · {l} · {} · {} / {} → {}",
            if layout.recompute == Recompute::Full { 7 } else { 5 },
            size(rows * kept),
            rate(cluster.memory_bandwidth(layout.devices())),
            seconds(time.between)
        ),
        "every kept number is written, read, read again, and its gradient written and read",
    );
    if t > 1 {
        let ring = Ring::of(cluster, t, 1);
        add(
            "sums over tensor-parallel devices",
            "m · layers · (4, or 6 if all is recomputed) · 2 (t−1)/t · b s h w / bandwidth".into(),
            format!(
                "{m} · {l} · 2 · {}/{t} · {} / {} → {}",
                t - 1,
                size(rows * work.width * bytes.activations),
                rate(ring.bandwidth),
                seconds(time.tensor)
            ),
            "Shoeybi et al. 2019, section 3; ring: Patarasuk & Yuan 2009",
        );
    }
    if p > 1 {
        add(
            "between stages",
            "m · 2 v · b s h w / (t · bandwidth)".into(),
            format!(
                "{m} · {} · {} / {t} → {}",
                2 * v,
                size(rows * work.width * bytes.activations),
                seconds(time.stages)
            ),
            "Narayanan et al. 2021, sections 3.2 and 4.1",
        );
        add(
            "bubble",
            "(p−1) / v · the time of a micro-batch; its share (p−1) / (v m)".into(),
            format!(
                "{} / ({v} · {m}) = {:.3} → {}",
                p - 1,
                (p - 1) as f64 / (v * m) as f64,
                seconds(time.bubble)
            ),
            "Narayanan et al. 2021, section 2.2",
        );
    }
    if d > 1 {
        let ring = Ring::of(cluster, d, t);
        let formula = match layout.zero {
            0 => "2 (d−1)/d · gradients / bandwidth",
            1 => "(d−1)/d · (gradients + weights) / bandwidth",
            2 => "(d−1)/d · (m · gradients + weights) / bandwidth",
            _ => "(d−1)/d · m (gradients + 2 weights) / bandwidth",
        };
        add(
            "exchange of data-parallel devices",
            formula.into(),
            format!(
                "{}/{d}, {} → {}, of which hidden {}",
                d - 1,
                rate(ring.bandwidth),
                seconds(time.data),
                seconds(time.hidden)
            ),
            "Rajbhandari et al. 2020, section 7",
        );
    }
    add(
        "the optimiser",
        "(2 (optimiser + weights) + gradients) / memory bandwidth".into(),
        seconds(time.optimiser),
        "each of its numbers is read and written, gradients are read",
    );
    add(
        "memory of weights, gradients, optimiser",
        match layout.zero {
            0 => "Ψ (w + g + o)",
            1 => "Ψ (w + g + o/d)",
            2 => "Ψ (w + (g + o)/d)",
            _ => "Ψ (w + g + o)/d, and a layer's",
        }
        .into(),
        format!(
            "w {}, g {}, o {} bytes → {}",
            bytes.weights,
            bytes.gradients,
            bytes.optimiser,
            size(memory.weights + memory.gradients + memory.optimiser)
        ),
        "Rajbhandari et al. 2020, section 3.1 and figure 1",
    );
    add(
        "tokens a second",
        "B s / step".into(),
        format!(
            "{} / {} = {:.0}",
            exp(training.tokens_a_step()),
            seconds(time.total()),
            totals.tokens_per_second
        ),
        "",
    );
    add(
        "share of the peak (MFU)",
        "C B s / (step · devices · peak)".into(),
        format!("{:.1} %; with what is done twice {:.1} %", 100.0 * totals.mfu, 100.0 * totals.hfu),
        "PaLM, appendix B; Korthikanti et al. 2022, section 6",
    );
    add(
        "energy",
        "device-hours · (watts of a device + of its share of a node) · PUE".into(),
        format!(
            "{} · ({} + {}/{}) W · {} = {:.0} kWh",
            exp(totals.device_hours),
            cluster.device.watts,
            cluster.node.watts,
            cluster.device.per_node,
            cluster.pue,
            totals.energy
        ),
        "as in Touvron et al. 2023, section 6",
    );
    Ok(all)
}

fn exp(value: f64) -> String {
    if (0.01..1e4).contains(&value) { format!("{value:.0}") } else { format!("{value:.3e}") }
}

fn seconds(value: f64) -> String {
    if value < 0.1 { format!("{:.2} ms", 1000.0 * value) } else { format!("{value:.3} s") }
}

fn size(bytes: f64) -> String {
    if bytes < 1e9 { format!("{:.1} MB", bytes / 1e6) } else { format!("{:.2} GB", bytes / 1e9) }
}

fn rate(bandwidth: f64) -> String {
    format!("{:.1} GB/s", bandwidth / 1e9)
}
