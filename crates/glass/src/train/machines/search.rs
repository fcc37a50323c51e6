//! The layouts that are possible, the fastest that fits, and what it takes in all.

use super::{Cluster, Layout, Memory, Precision, Recompute, Time, Training, Work};
use crate::error::{Error, Result};

/// The most samples of a micro-batch that are tried.
const MOST_MICRO_BATCH: usize = 64;

/// The most chunks of a stage that are tried.
const MOST_CHUNKS: usize = 16;

/// How often the nodes are doubled to find out how many would do.
const DOUBLINGS: u32 = 12;

const HOUR: f64 = 3600.0;

/// What of a layout is given; the rest is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Devices to use; all by default.
    pub devices: Option<usize>,
    /// As in [`Layout`].
    pub data: Option<usize>,
    /// As in [`Layout`].
    pub tensor: Option<usize>,
    /// As in [`Layout`].
    pub pipeline: Option<usize>,
    /// As in [`Layout`].
    pub interleave: Option<usize>,
    /// As in [`Layout`].
    pub zero: Option<u8>,
    /// As in [`Layout`].
    pub micro_batch: Option<usize>,
    /// As in [`Layout`].
    pub recompute: Option<Recompute>,
}

impl Asked {
    /// Whether all that decides about memory is given.
    fn is_complete(&self) -> bool {
        self.tensor.is_some()
            && self.pipeline.is_some()
            && self.micro_batch.is_some()
            && self.recompute.is_some()
    }
}

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

fn devices(cluster: &Cluster, asked: &Asked) -> usize {
    asked.devices.unwrap_or(cluster.devices())
}

/// Whether a model can be divided among so many tensor-parallel devices: heads and the MLP's width evenly, and keys evenly or copied.
fn divides(training: &Training, tensor: usize) -> bool {
    let config = training.config;
    let (query, key) = (config.heads.query, config.heads.key.max(1));
    query.is_multiple_of(tensor)
        && config.mlp_width.is_multiple_of(tensor)
        && (key.is_multiple_of(tensor) || tensor.is_multiple_of(key))
}

/// Refuses what is impossible for any choice of the rest.
fn possible(training: &Training, cluster: &Cluster, asked: &Asked) -> Result<()> {
    let (software, config) = (&cluster.software, training.config);
    let refuse = |what: &str, why: String| Err(Error::invalid_argument(what, why));
    let n = devices(cluster, asked);
    let counts = [
        ("devices", asked.devices),
        ("data", asked.data),
        ("tensor", asked.tensor),
        ("pipeline", asked.pipeline),
        ("interleave", asked.interleave),
        ("micro_batch", asked.micro_batch),
    ];
    for (what, given) in counts {
        if given == Some(0) {
            return refuse(what, "0 was given; give at least 1".into());
        }
    }
    if n > cluster.devices() {
        return refuse("devices", format!("{n} were given, but {} has {}", cluster.name, cluster.devices()));
    }
    let (t, p) = (asked.tensor.unwrap_or(1), asked.pipeline.unwrap_or(1));
    if t > 1 && !divides(training, t) {
        let (heads, mlp) = (config.heads.query, config.mlp_width);
        return refuse(
            "tensor",
            format!(
                "{t} devices cannot share {heads} heads and an MLP {mlp} wide evenly; give a divisor of both"
            ),
        );
    }
    if p > config.layers {
        return refuse(
            "pipeline",
            format!("{p} stages were given, but there are {} layers; give at most as many", config.layers),
        );
    }
    for (what, given, able) in [("tensor", t, software.tensor), ("pipeline", p, software.pipeline)] {
        if given > 1 && !able {
            return refuse(
                what,
                format!("{given} were given, but {} cannot do it (software.{what} = false)", software.name),
            );
        }
    }
    let all = asked.data.unwrap_or(1).checked_mul(t).and_then(|n| n.checked_mul(p));
    if all.is_none_or(|all| all > n) {
        return refuse("devices", format!("data × tensor × pipeline is more than the {n} devices"));
    }
    if let Some(d) = asked.data.filter(|&d| !training.batch.is_multiple_of(d)) {
        return refuse(
            "data",
            format!("{d} devices cannot share {} samples evenly; give a divisor of --batch", training.batch),
        );
    }
    if let Some(b) = asked.micro_batch.filter(|&b| !training.batch.is_multiple_of(b)) {
        return refuse(
            "micro_batch",
            format!("{} samples cannot be divided by {b}; give a divisor of --batch", training.batch),
        );
    }
    if let Some(v) = asked.interleave {
        let most = config.layers.div_ceil(p);
        if v > 1 && (!software.interleave || asked.pipeline == Some(1)) {
            return refuse(
                "interleave",
                format!("{v} chunks were given, but there is no interleaved pipeline here"),
            );
        }
        if v > most {
            return refuse(
                "interleave",
                format!("{v} chunks were given, but a stage has {most} layers; give at most as many"),
            );
        }
    }
    if let Some(zero) = asked.zero {
        if !software.zero.contains(&zero) {
            let known: Vec<String> = software.zero.iter().map(u8::to_string).collect();
            return refuse(
                "zero",
                format!("stage {zero} was given, but {} has {}", software.name, known.join(", ")),
            );
        }
        if zero > 1 && p > 1 {
            let why = "stages 2 and 3 exchange in every micro-batch, and are not combined with a pipeline; give --zero 1 or --pipeline 1";
            return refuse("zero", why.into());
        }
    }
    match asked.recompute {
        Some(asked) if !software.recompute.contains(&asked) => {
            let known: Vec<&str> = software.recompute.iter().map(|one| one.name()).collect();
            refuse(
                "recompute",
                format!("{} was given, but {} has {}", asked.name(), software.name, known.join(", ")),
            )
        }
        _ => Ok(()),
    }
}

/// All layouts within what is asked for. With any number of tensor-parallel devices and stages, as many devices as possible compute
/// different samples.
fn candidates(training: &Training, cluster: &Cluster, asked: &Asked, work: &Work) -> Vec<Layout> {
    let (software, batch) = (&cluster.software, training.batch);
    let n = devices(cluster, asked);
    let one_or = |given: Option<usize>, able: bool, most: usize| match given {
        Some(given) => given..=given,
        None => 1..=if able { most } else { 1 },
    };
    let divisors: Vec<usize> = (1..=n.min(batch)).filter(|&d| batch.is_multiple_of(d)).collect();
    let mut found = Vec::new();
    let most_tensor = cluster.device.per_node.min(n);
    for tensor in one_or(asked.tensor, software.tensor, most_tensor).filter(|&t| divides(training, t)) {
        for pipeline in one_or(asked.pipeline, software.pipeline, work.layers.min(n / tensor)) {
            let room = n / tensor / pipeline;
            let data = asked.data.or(divisors.iter().rev().find(|&&d| d <= room).copied());
            let Some(data) = data.filter(|&data| data <= room) else { continue };
            // Without a word about ZeRO and stages, one stage fewer is better than one that has no layer.
            let chunks = work.layers.div_ceil(pipeline);
            let interleaves = one_or(asked.interleave, software.interleave && pipeline > 1, MOST_CHUNKS)
                .filter(|&v| v == 1 || (pipeline > 1 && chunks.is_multiple_of(v)));
            for interleave in interleaves {
                let of_device = batch / data;
                let powers = (0..).map(|power| 1usize << power).take_while(|&b| b <= MOST_MICRO_BATCH);
                let sizes: Vec<usize> = asked.micro_batch.map_or_else(|| powers.collect(), |b| vec![b]);
                for micro_batch in sizes.into_iter().filter(|&b| of_device.is_multiple_of(b)) {
                    let stages = software.zero.iter().copied().filter(|&zero| match asked.zero {
                        Some(asked) => zero == asked,
                        None => {
                            (zero < 2 || pipeline == 1)
                                && (zero == 0 || data > 1 || !software.zero.contains(&0))
                        }
                    });
                    for zero in stages {
                        let kinds = software.recompute.iter().copied();
                        for recompute in
                            kinds.filter(|&kind| asked.recompute.is_none_or(|asked| asked == kind))
                        {
                            let is_useful = recompute != Recompute::Selective || work.pattern > 0.0;
                            if is_useful || asked.recompute.is_some() {
                                found.push(Layout {
                                    data,
                                    tensor,
                                    pipeline,
                                    interleave,
                                    zero,
                                    micro_batch,
                                    recompute,
                                });
                            }
                        }
                    }
                }
            }
        }
    }
    found
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
            "{kind} needs at least {} a device, but {} has {}: {} short. The least is data {}, tensor {}, pipeline {}, ZeRO {}: {}. {remedy}",
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
