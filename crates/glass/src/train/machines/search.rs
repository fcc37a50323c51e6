//! The fastest layout that fits, and what it takes in all.

use super::candidates::{candidates, devices, possible};
use super::{Asked, Cluster, Layout, Memory, Precision, Time, Training, Work};
use crate::error::{Error, Result};

/// How often the nodes are doubled to find out how many would do.
const DOUBLINGS: u32 = 12;

const HOUR: f64 = 3600.0;

/// A layout, and what it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The layout.
    pub layout: Layout,
    /// Layouts that were possible, and those of them that fit.
    pub seen: [usize; 2],
    /// The precision of products.
    pub precision: Precision,
    /// The work of a token.
    pub work: Work,
    /// Memory of the fullest device.
    pub memory: Memory,
    /// Bytes that a device has for it.
    pub memory_limit: f64,
    /// Seconds of a step.
    pub time: Time,
    /// All of the training.
    pub totals: Totals,
}

impl Plan {
    /// Bytes that a device has too few; 0 if the training fits.
    pub fn short(&self) -> f64 {
        (self.memory.total() - self.memory_limit).max(0.0)
    }
}

/// What a training takes in all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Totals {
    /// Steps.
    pub steps: f64,
    /// Tokens a second, of all devices.
    pub tokens_per_second: f64,
    /// Operations of the model, none twice.
    pub flops: f64,
    /// Their share of what the devices could do in this time (model FLOPs utilisation).
    pub mfu: f64,
    /// The same with the operations that are done twice or for masked entries (hardware FLOPs utilisation).
    pub hfu: f64,
    /// Seconds from the first step to the last, with the time in which training stands still.
    pub seconds: f64,
    /// Devices times hours.
    pub device_hours: f64,
    /// Kilowatt-hours, with the building's share.
    pub energy: f64,
    /// In the cluster's currency, if it has prices.
    pub money: Option<f64>,
}

/// The fastest layout that fits, within what is asked for.
///
/// # Errors
/// If the description or the training makes no sense, if what is asked for is impossible, or if nothing fits: then with what is short,
/// and what would make it fit. A complete layout (tensor, pipeline, micro-batch and recomputation) is planned even so; see [`Plan::short`].
pub fn plan(training: &Training, cluster: &Cluster, asked: &Asked) -> Result<Plan> {
    cluster.check()?;
    training.check()?;
    possible(training, cluster, asked)?;
    let work = work(training, cluster);
    let candidates = candidates(training, cluster, asked, &work);
    let limit = limit(cluster);
    let (mut best, mut smallest) = (None::<(f64, Layout)>, None::<(f64, Layout)>);
    let (mut fitting, possible) = (0, candidates.len());
    for layout in candidates {
        let memory = Memory::of(&work, training, cluster, &layout).total();
        if smallest.is_none_or(|(least, _)| memory < least) {
            smallest = Some((memory, layout));
        }
        if memory <= limit {
            fitting += 1;
            let time = Time::of(&work, training, cluster, &layout)?.total();
            if best.is_none_or(|(least, _)| time < least) {
                best = Some((time, layout));
            }
        }
    }
    let layout = match (best, smallest) {
        (Some((_, layout)), _) => layout,
        (None, Some((_, layout))) if asked.is_complete() => layout,
        (None, Some((needed, layout))) => {
            return Err(too_large(training, cluster, asked, &work, needed, &layout));
        }
        (None, None) => return Err(nothing(training, cluster, asked)),
    };
    Ok(Plan { seen: [possible, fitting], ..plan_of(training, cluster, layout)? })
}

/// What a layout takes.
///
/// # Errors
/// If the machines do not say how fast they are in the precision.
pub fn plan_of(training: &Training, cluster: &Cluster, layout: Layout) -> Result<Plan> {
    let work = work(training, cluster);
    let memory = Memory::of(&work, training, cluster, &layout);
    let time = Time::of(&work, training, cluster, &layout)?;
    let (step, devices) = (time.total(), layout.devices() as f64);
    let peak = cluster.peak(training.precision)? * devices * step;
    let flops = work.model_flops * training.tokens_a_step();
    let seconds = training.tokens / training.tokens_a_step() * step / cluster.available;
    let hours = devices * seconds / HOUR;
    let watts = cluster.device.watts + cluster.node.watts / cluster.device.per_node as f64;
    let totals = Totals {
        steps: (training.tokens / training.tokens_a_step()).ceil(),
        tokens_per_second: training.tokens_a_step() / step,
        flops: work.model_flops * training.tokens,
        mfu: flops / peak,
        hfu: time.flops / peak,
        seconds,
        device_hours: hours,
        energy: hours * watts * cluster.pue / 1000.0,
        money: cluster.device.price.map(|price| price * hours),
    };
    let precision = training.precision;
    Ok(Plan { layout, seen: [1, 1], precision, work, memory, memory_limit: limit(cluster), time, totals })
}

fn work(training: &Training, cluster: &Cluster) -> Work {
    let Cluster { software, .. } = cluster;
    Work::of(training, software.attention, software.dropout, cluster.bytes(training.precision).activations)
}

fn limit(cluster: &Cluster) -> f64 {
    cluster.device.memory - cluster.device.reserved
}

/// The error if no layout is possible at all.
fn nothing(training: &Training, cluster: &Cluster, asked: &Asked) -> Error {
    let (n, batch) = (devices(cluster, asked), training.batch);
    Error::invalid_argument(
        "layout",
        format!(
            "no layout of {n} devices divides {batch} samples as asked; leave out one of the options, or give another --batch"
        ),
    )
}

/// The error if none fits: how much is short where the least is, and what would do.
fn too_large(
    training: &Training,
    cluster: &Cluster,
    asked: &Asked,
    work: &Work,
    needed: f64,
    layout: &Layout,
) -> Error {
    let (limit, least) = (limit(cluster), Memory::of(work, training, cluster, layout));
    let parts = [
        ("weights", least.weights),
        ("gradients", least.gradients),
        ("the optimiser", least.optimiser),
        ("activations", least.activations),
        ("logits", least.logits),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, bytes)| *bytes > 0.0)
        .map(|(what, bytes)| format!("{what} {}", gigabytes(*bytes)))
        .collect();
    let fits = |cluster: &Cluster| {
        let asked = Asked { devices: None, ..*asked };
        candidates(training, cluster, &asked, work)
            .iter()
            .any(|layout| Memory::of(work, training, cluster, layout).total() <= self::limit(cluster))
    };
    let more = (1..=DOUBLINGS)
        .filter(|_| cluster.network.is_some())
        .map(|doubling| Cluster { nodes: cluster.nodes << doubling, ..cluster.clone() })
        .take_while(|cluster| cluster.devices() <= training.batch.saturating_mul(1 << 14))
        .find(fits);
    let remedy = match more {
        Some(more) => format!(
            "{} such nodes would do, or devices with {}",
            more.nodes,
            gigabytes(needed + cluster.device.reserved)
        ),
        None if cluster.network.is_none() => {
            format!(
                "devices with {} would do, or several nodes with a network",
                gigabytes(needed + cluster.device.reserved)
            )
        }
        None => format!(
            "devices with {} would do; more of these would not",
            gigabytes(needed + cluster.device.reserved)
        ),
    };
    let anything = Asked { devices: asked.devices, ..Asked::default() };
    let kind = if *asked == anything { "any layout" } else { "any layout as asked" };
    Error::invalid_argument(
        "memory",
        format!(
            "{kind} needs at least {} a device, but {} has {}, which is {} short (the least: data {}, tensor {}, pipeline {}, ZeRO {}; {}); \
             {remedy}",
            gigabytes(needed),
            cluster.name,
            gigabytes(limit),
            gigabytes(needed - limit),
            layout.data,
            layout.tensor,
            layout.pipeline,
            layout.zero,
            parts.join(", "),
        ),
    )
}

fn gigabytes(bytes: f64) -> String {
    let size = bytes / 1e9;
    if size < 10.0 { format!("{size:.1} GB") } else { format!("{size:.0} GB") }
}
