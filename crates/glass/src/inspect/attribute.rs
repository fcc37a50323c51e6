//! Direct attribution: how much each part of the model moves a vector of the residual stream along a direction. The
//! stream is a sum, so the parts add up to the whole. This also holds for a logit: given the scale of the last
//! norm, it is a direction (Elhage et al. 2021; TransformerLens calls this direct logit attribution).

use super::linear_norm::{Behind, LinearNorm};
use super::{Inspector, Matrix, Record};
use crate::backend::Backend;
use crate::config::{Config, Positions};
use crate::probe::{Part, Site};
use crate::{Error, Result};

/// How much attention's output can differ from the sum of its heads and bias through rounding, as a share of their
/// length.
const CHANGED: f64 = 0.1;

/// A component that adds to the residual stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Component {
    /// The token's own vector.
    Token,
    /// The position's vector.
    Position,
    /// A head.
    Head {
        /// Its block.
        layer: usize,
        /// Its number in the block.
        head: usize,
    },
    /// The bias of a block's value-up half (W_O), which belongs to no head.
    AttentionBias(usize),
    /// The difference between a block's changed attention and the sum of its heads and bias: if the attention was
    /// silenced, the negative of that sum.
    AttentionChange(usize),
    /// A block's MLP, including its bias.
    Mlp(usize),
    /// The bias of the last norm.
    NormBias,
    /// The bias of the logits.
    LogitBias,
    /// What the cap on the logits takes away: all other parts add up to the logit before it.
    Cap,
}

/// The attribution of a vector along a direction.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Attribution {
    /// The vector along the direction, as computed; for a logit, the logit.
    pub whole: f64,
    /// By component, in the order of the flow. With [`rest`](Attribution::rest), their sum is `whole`.
    pub parts: Vec<(Component, f64)>,
    /// What heads add from each position, `[layers × heads][positions]`; their sum is the head's part, except for
    /// rounding.
    pub sources: Vec<Vec<f64>>,
    /// By neuron, `[layers][MLP width]`; with the bias of the MLP, their sum is the MLP's part, except for
    /// rounding.
    pub neurons: Vec<Vec<f64>>,
}

impl Attribution {
    /// By position: what all heads add from there; for the last position, including its own token and position
    /// vectors.
    pub fn by_position(&self) -> Vec<f64> {
        let positions = self.sources.first().map_or(1, Vec::len);
        let mut sums = vec![0.0; positions];
        for source in &self.sources {
            sums.iter_mut().zip(source).for_each(|(sum, source)| *sum += source);
        }
        let own = |component: &Component| matches!(component, Component::Token | Component::Position);
        sums[positions - 1] +=
            self.parts.iter().filter(|(component, _)| own(component)).map(|(_, value)| value).sum::<f64>();
        sums
    }

    /// What is added after the residual stream.
    fn after_the_stream(&self) -> f64 {
        let is_after = |part: &Component| matches!(part, Component::NormBias | Component::LogitBias);
        self.parts.iter().filter(|(part, _)| is_after(part)).map(|(_, value)| value).sum()
    }

    /// The sum of the parts.
    pub fn sum(&self) -> f64 {
        self.parts.iter().map(|(_, value)| value).sum()
    }

    /// The difference between `whole` and the sum of the parts: rounding, including that of inputs to quantised
    /// products; and changes after the last block.
    pub fn rest(&self) -> f64 {
        self.whole - self.sum()
    }

    /// The mean of several positions' attributions along the same direction.
    pub(super) fn mean(all: &[Attribution]) -> Attribution {
        let share = 1.0 / all.len().max(1) as f64;
        let mean = |of: &dyn Fn(&Attribution) -> f64| share * all.iter().map(of).sum::<f64>();
        let means = |of: &dyn Fn(&Attribution) -> &[f64]| -> Vec<f64> {
            let long = all.iter().map(|one| of(one).len()).max().unwrap_or(0);
            (0..long).map(|at| mean(&|one| of(one).get(at).copied().unwrap_or(0.0))).collect()
        };
        let Some(first) = all.first() else { return Attribution::default() };
        let parts = first.parts.iter().enumerate();
        Attribution {
            whole: mean(&|one| one.whole),
            parts: parts.map(|(at, (part, _))| (*part, mean(&|one| one.parts[at].1))).collect(),
            sources: (0..first.sources.len()).map(|head| means(&|one| &one.sources[head])).collect(),
            neurons: (0..first.neurons.len()).map(|layer| means(&|one| &one.neurons[layer])).collect(),
        }
    }
}

/// The sites that an attribution needs.
pub fn sites(config: &Config) -> Vec<Site> {
    let parts = [
        Part::Value,
        Part::Pattern,
        Part::Contribution,
        Part::AttentionUnnormed,
        Part::AttentionOut,
        Part::Active,
        Part::MlpUnnormed,
        Part::MlpOut,
    ];
    let blocks = (0..config.layers).flat_map(|layer| parts.map(|part| Site::Block(layer, part)));
    let all = entering(config).into_iter().map(|(_, site)| site).chain([Site::Residual]).chain(blocks);
    all.filter(|site| site.is_in(config)).collect()
}

/// What enters the first block, and where it is seen: a norm on the embedding is not a sum over token and position.
fn entering(config: &Config) -> Vec<(Component, Site)> {
    match config.positions == Positions::Learned && !config.embedding_norm {
        true => vec![(Component::Token, Site::Token), (Component::Position, Site::Position)],
        false => vec![(Component::Token, Site::Embedding)],
    }
}

/// The attribution of the logit of `token` after the last of `ids`; with `against`, of its difference from that
/// token's logit.
///
/// # Errors
/// If the model cannot read `ids`, or has no such token.
pub fn of_logit<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    ids: &[u32],
    token: u32,
    against: Option<u32>,
) -> Result<Attribution> {
    let mut record = inspector.record(sites(inspector.model().config()));
    inspector.run(&[ids], &mut record)?;
    let logits = inspector.next_logits();
    trace(inspector, &record, ids.len() - 1, &logits, token, against)
}

/// The same after a position of a pass that was recorded at all [`sites`], edited or not, given the logits there.
///
/// # Errors
/// If the model has no such token, or the record lacks one of the sites or the position.
pub fn trace<B: Backend>(
    inspector: &Inspector<'_, B>,
    record: &Record,
    position: usize,
    logits: &[f32],
    token: u32,
    against: Option<u32>,
) -> Result<Attribution> {
    let config = inspector.model().config();
    let reads = answer(inspector, token, against)?;
    if logits.len() != config.vocabulary {
        let why = format!("{} logits for a vocabulary of {}", logits.len(), config.vocabulary);
        return Err(Error::invalid_argument("logits", why));
    }
    // logit = Σ read × (gain × (x − mean) / deviation + bias): a direction, once the deviation is known.
    let last = record.row(Site::Residual, 0, 1, position)?;
    let (norm, factor) = (LinearNorm::of(inspector, "norm")?, f64::from(config.factors.logits));
    let reads: Vec<f64> = reads.iter().map(|&read| f64::from(read) * factor).collect();
    let direction = norm.before(&reads, last);
    let mut found = along(inspector, record, position, &direction)?;
    if config.bias.norm {
        found.parts.push((Component::NormBias, norm.bias_along(&reads)));
    }
    if config.bias.unembedding {
        let bias = inspector.parameter("unembedding.bias")?.values;
        let bias = |id: u32| factor * f64::from(bias[id as usize]);
        found.parts.push((Component::LogitBias, bias(token) - against.map_or(0.0, bias)));
    }
    // The logit itself, as shown everywhere else.
    let logit = |id: u32| f64::from(logits[id as usize]);
    let uncapped = dot(last, &direction) + found.after_the_stream();
    found.whole = logit(token) - against.map_or(0.0, logit);
    if config.factors.logit_cap.is_some() {
        found.parts.push((Component::Cap, found.whole - uncapped));
    }
    Ok(found)
}

/// The vector whose product with a normalised vector is the logit of `token`, minus that of `against`: rows of the
/// unembedding.
///
/// # Errors
/// If the model has no such token.
pub(super) fn answer<B: Backend>(
    inspector: &Inspector<'_, B>,
    token: u32,
    against: Option<u32>,
) -> Result<Vec<f32>> {
    let config = inspector.model().config();
    let outside = |id: &u32| *id as usize >= config.vocabulary;
    if let Some(id) = [Some(token), against].into_iter().flatten().find(outside) {
        let why = format!("{id} is not in the model's vocabulary of {} tokens", config.vocabulary);
        return Err(Error::invalid_argument("token", why));
    }
    let table = if config.tied { "embedding.token.weight" } else { "unembedding.weight" };
    let mut reads = inspector.rows(table, &[token])?.values;
    if let Some(against) = against {
        let other = inspector.rows(table, &[against])?.values;
        reads.iter_mut().zip(other).for_each(|(read, other)| *read -= other);
    }
    Ok(reads)
}

/// The attribution of the residual stream after the last block, at a position, along a direction, from a pass that
/// was recorded at all [`sites`].
///
/// # Errors
/// If the record lacks one of the sites or the position, the direction has the wrong length, or there is too little
/// memory.
pub fn along<B: Backend>(
    inspector: &Inspector<'_, B>,
    record: &Record,
    position: usize,
    direction: &[f64],
) -> Result<Attribution> {
    let config = inspector.model().config();
    let (width, heads) = (config.width, config.heads);
    if direction.len() != width {
        let why = format!("{} numbers; the model's vectors have {width}", direction.len());
        return Err(Error::invalid_argument("direction", why));
    }
    let dot = |vector: &[f32]| dot(vector, direction);
    let here = |site| record.row(site, 0, 1, position);
    let mut parts = Vec::new();
    for (component, site) in entering(config) {
        parts.push((component, dot(here(site)?)));
    }
    let (mut sources, mut neurons) = (Vec::new(), Vec::new());
    for layer in 0..config.layers {
        let site = |part| Site::Block(layer, part);
        let contributions = here(site(Part::Contribution))?;
        let values = record.get(Site::value(config, layer))?;
        let value_up = inspector.parameter(&format!("block.{layer}.attention.value_up.weight"))?;
        let unnormed = || here(site(Part::AttentionUnnormed));
        let behind = Behind::of(inspector, &format!("block.{layer}.attention"), unnormed)?;
        let (before, bias_behind) = (behind.before(direction), behind.bias_along(direction));
        let read = transposed(&value_up, &before);
        for (head, contribution) in contributions.chunks_exact(width).enumerate() {
            parts.push((Component::Head { layer, head }, dot(contribution)));
            let read = &read[head * heads.size..(head + 1) * heads.size];
            let at = (head / (heads.query / heads.key)) * heads.size;
            let pattern = record.row(site(Part::Pattern), head, heads.query, position)?;
            let source = |key: usize| {
                let value = &values.row(key)[at..at + heads.size];
                f64::from(pattern[key]) * self::dot(value, read)
            };
            let window = config.attention_of(layer).window.unwrap_or(usize::MAX);
            let seen = |key: usize| if position - key < window { source(key) } else { 0.0 };
            sources.push((0..=position).map(seen).collect());
        }
        let mut bias = bias_behind;
        if config.bias.value_up {
            let own = inspector.parameter(&format!("block.{layer}.attention.value_up.bias"))?.values;
            bias += self::dot(&own, &before);
        }
        if config.bias.value_up || bias_behind != 0.0 {
            parts.push((Component::AttentionBias(layer), bias));
        }
        // The difference is rounding, or much larger if attention was silenced or replaced.
        let mut added: Vec<f32> = here(site(Part::AttentionOut))?.to_vec();
        let length = |vector: &[f32]| vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        for contribution in contributions.chunks_exact(width) {
            added.iter_mut().zip(contribution).for_each(|(rest, x)| *rest -= x);
        }
        if config.bias.value_up && !config.placement.is_after() {
            let own = inspector.parameter(&format!("block.{layer}.attention.value_up.bias"))?.values;
            let factor = config.factors.branch;
            added.iter_mut().zip(&own).for_each(|(rest, x)| *rest -= factor * x);
        }
        let is_changed = length(&added) > CHANGED * CHANGED * length(contributions);
        if is_changed && !(config.placement.is_after() && bias != 0.0) {
            parts.push((Component::AttentionChange(layer), dot(&added)));
        }
        parts.push((Component::Mlp(layer), dot(here(site(Part::MlpOut))?)));
        let down = inspector.parameter(&format!("block.{layer}.mlp.down.weight"))?;
        let behind = Behind::of(inspector, &format!("block.{layer}.mlp"), || here(site(Part::MlpUnnormed)))?;
        let read = transposed(&down, &behind.before(direction));
        let active = here(site(Part::Active))?;
        neurons.push(active.iter().zip(read).map(|(active, read)| f64::from(*active) * read).collect());
    }
    Ok(Attribution { whole: dot(here(Site::Residual)?), parts, sources, neurons })
}

pub(super) fn dot(vector: &[f32], direction: &[f64]) -> f64 {
    vector.iter().zip(direction).map(|(x, along)| f64::from(*x) * along).sum()
}

/// `Wᵀ direction`: how each input of a matrix moves its output along the direction.
fn transposed(matrix: &Matrix, direction: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; matrix.cols];
    for (row, along) in matrix.values.chunks_exact(matrix.cols).zip(direction) {
        sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += f64::from(*weight) * along);
    }
    sums
}

/// A component's name, as in `block.3.attention.head.5`.
impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Component::Token => write!(f, "embedding.token"),
            Component::Position => write!(f, "embedding.position"),
            Component::Head { layer, head } => write!(f, "block.{layer}.attention.head.{head}"),
            Component::AttentionBias(layer) => write!(f, "block.{layer}.attention.value_up.bias"),
            Component::AttentionChange(layer) => write!(f, "block.{layer}.attention.changed"),
            Component::Mlp(layer) => write!(f, "block.{layer}.mlp"),
            Component::NormBias => write!(f, "norm.bias"),
            Component::LogitBias => write!(f, "unembedding.bias"),
            Component::Cap => write!(f, "logits.cap"),
        }
    }
}
