//! The layouts that are possible.

use super::{Cluster, Layout, Recompute, Training, Work};
use crate::error::{Error, Result};

/// The most samples of a micro-batch that are tried.
const MOST_MICRO_BATCH: usize = 64;

/// The most chunks of a stage that are tried.
const MOST_CHUNKS: usize = 16;

/// What of a layout is given; the rest is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Devices to use at most; all by default.
    pub devices: Option<usize>,
    /// As in [`Layout`], like all that follow.
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
    pub(super) fn is_complete(&self) -> bool {
        self.tensor.is_some()
            && self.pipeline.is_some()
            && self.micro_batch.is_some()
            && self.recompute.is_some()
    }
}

/// Devices that may be used.
pub fn devices(cluster: &Cluster, asked: &Asked) -> usize {
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
pub fn possible(training: &Training, cluster: &Cluster, asked: &Asked) -> Result<()> {
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

/// All layouts within what is asked for. Fewer devices than there are may be faster, so halves of them are tried too.
pub fn candidates(training: &Training, cluster: &Cluster, asked: &Asked, work: &Work) -> Vec<Layout> {
    let software = &cluster.software;
    let n = devices(cluster, asked);
    let one_or = |given: Option<usize>, able: bool, most: usize| match given {
        Some(given) => given..=given,
        None => 1..=if able { most } else { 1 },
    };
    let divisors: Vec<usize> =
        (1..=n.min(training.batch)).filter(|&d| training.batch.is_multiple_of(d)).collect();
    let mut found = Vec::new();
    for tensor in one_or(asked.tensor, software.tensor, cluster.device.per_node.min(n)) {
        if !divides(training, tensor) {
            continue;
        }
        for pipeline in one_or(asked.pipeline, software.pipeline, work.layers.min(n / tensor)) {
            let layers = work.layers.div_ceil(pipeline);
            let chunks = one_or(asked.interleave, software.interleave && pipeline > 1, MOST_CHUNKS);
            for data in shares(&divisors, n / tensor / pipeline, asked.data) {
                for micro_batch in micro_batches(training.batch / data, asked.micro_batch) {
                    let layout = Layout {
                        data,
                        tensor,
                        pipeline,
                        interleave: 1,
                        zero: 0,
                        micro_batch,
                        recompute: Recompute::None,
                    };
                    let m = layout.micro_batches(training.batch);
                    // The interleaved schedule goes round the stages with as many micro-batches as there are stages (Narayanan et al.
                    // 2021, section 2.2).
                    let is_possible = |v: usize| {
                        v == 1 || pipeline > 1 && layers.is_multiple_of(v) && m.is_multiple_of(pipeline)
                    };
                    for interleave in chunks.clone().filter(|&v| is_possible(v)) {
                        found.extend(kinds(cluster, asked, work, Layout { interleave, ..layout }));
                    }
                }
            }
        }
    }
    found
}

/// Numbers of data-parallel devices: the largest divisor of a batch that there is room for, that in half of the room, and so on.
fn shares(divisors: &[usize], room: usize, asked: Option<usize>) -> Vec<usize> {
    if let Some(asked) = asked {
        return if asked <= room { vec![asked] } else { vec![] };
    }
    let rooms = (0..usize::BITS).map(|half| room >> half).take_while(|&room| room > 0);
    let mut found: Vec<usize> =
        rooms.filter_map(|room| divisors.iter().rev().find(|&&d| d <= room).copied()).collect();
    found.dedup();
    found
}

/// Samples of a micro-batch: powers of two that divide those of a device.
fn micro_batches(samples: usize, asked: Option<usize>) -> Vec<usize> {
    let powers = (0..).map(|power| 1 << power).take_while(|&b| b <= MOST_MICRO_BATCH);
    let sizes: Vec<usize> = asked.map_or_else(|| powers.collect(), |b| vec![b]);
    sizes.into_iter().filter(|&b| samples.is_multiple_of(b)).collect()
}

/// The layout with each stage of ZeRO and each kind of recomputation that the program has.
fn kinds(cluster: &Cluster, asked: &Asked, work: &Work, layout: Layout) -> Vec<Layout> {
    let software = &cluster.software;
    let stages = software.zero.iter().copied().filter(|&zero| match asked.zero {
        Some(asked) => zero == asked,
        // Alone there is nothing to share; stages 2 and 3 exchange in every micro-batch, which pipelines are not combined with.
        None => {
            (zero < 2 || layout.pipeline == 1)
                && (zero == 0 || layout.data > 1 || !software.zero.contains(&0))
        }
    });
    let recompute = |kind: &Recompute| match asked.recompute {
        Some(asked) => *kind == asked,
        None => *kind != Recompute::Selective || work.pattern > 0.0,
    };
    let all = stages.flat_map(|zero| {
        let kinds = software.recompute.iter().copied().filter(recompute);
        kinds.map(move |recompute| Layout { zero, recompute, ..layout })
    });
    all.collect()
}
