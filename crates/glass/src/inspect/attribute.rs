//! Direct attribution: how much each part of the model moves a vector of the residual stream along a direction. The stream is
//! a sum, so the parts add up to the whole; so does a logit, which the last norm's scale makes a direction of (Elhage et al.
//! 2021; TransformerLens calls it direct logit attribution).

use super::{Inspector, Matrix, Record};
use crate::backend::Backend;
use crate::config::Norm;
use crate::probe::{Part, Site};
use crate::{Error, Result};

/// Who adds to the residual stream.
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
    /// The bias of a block's value-up half, which is no head's.
    AttentionBias(usize),
    /// A block's MLP, its bias included.
    Mlp(usize),
    /// The bias of the last norm.
    NormBias,
}

/// What was added along a direction.
#[derive(Clone, PartialEq, Debug)]
pub struct Attribution {
    /// The vector along the direction, as it was computed: of a logit, the logit.
    pub whole: f64,
    /// By component, in the order of the flow. Together `whole`, but for rounding.
    pub parts: Vec<(Component, f64)>,
    /// What heads brought from each position, `[layers × heads][positions]`; of a head, together its part.
    pub sources: Vec<Vec<f64>>,
    /// By neuron, `[layers][hidden]`; with the bias of its MLP, together its part.
    pub neurons: Vec<Vec<f64>>,
}

impl Attribution {
    /// By position: what all heads brought from there, and at the last position what its own vectors are.
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

    /// The parts together.
    pub fn sum(&self) -> f64 {
        self.parts.iter().map(|(_, value)| value).sum()
    }
}

/// What is recorded to be attributed.
pub fn sites(layers: usize) -> Vec<Site> {
    let parts =
        [Part::Value, Part::Pattern, Part::Contribution, Part::AttentionOut, Part::Active, Part::MlpOut];
    let blocks = (0..layers).flat_map(|layer| parts.map(|part| Site::Block(layer, part)));
    [Site::Token, Site::Position, Site::Residual].into_iter().chain(blocks).collect()
}

/// The logit of `token` behind the last of `ids`; with `against`, how far it is above that token's.
///
/// # Errors
/// The model cannot read `ids`, or has no such token.
pub fn of_logit<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    ids: &[u32],
    token: u32,
    against: Option<u32>,
) -> Result<Attribution> {
    let mut record = Record::of(sites(inspector.model().config().layers));
    inspector.run(&[ids], &mut record)?;
    trace(inspector, &record, ids.len() - 1, token, against)
}

/// The same behind a position, of a pass that was recorded at all [`sites`], changed on its way or not.
///
/// # Errors
/// The model has no such token.
pub fn trace<B: Backend>(
    inspector: &Inspector<'_, B>,
    record: &Record,
    position: usize,
    token: u32,
    against: Option<u32>,
) -> Result<Attribution> {
    let config = inspector.model().config();
    let reads = answer(inspector, token, against)?;
    // logit = Σ read × (gain × (x − mean) / deviation + bias): a direction, once the deviation is known.
    let last = record[Site::Residual].row(position);
    let gain = inspector.parameter("norm.weight")?.values;
    let mut direction: Vec<f64> =
        reads.iter().zip(&gain).map(|(read, gain)| f64::from(*read) * f64::from(*gain)).collect();
    let mean = direction.iter().sum::<f64>() / direction.len() as f64;
    let deviation = deviation(last, config.norm);
    direction.iter_mut().for_each(|along| *along = (*along - mean) / deviation);
    let mut found = along(inspector, record, position, &direction)?;
    if config.bias {
        let bias = inspector.parameter("norm.bias")?.values;
        let bias = bias.iter().zip(&reads).map(|(bias, read)| f64::from(*bias) * f64::from(*read)).sum();
        found.parts.push((Component::NormBias, bias));
        found.whole += bias;
    }
    Ok(found)
}

/// What a normalised vector is multiplied by to give the logit of `token`, less that of `against`: rows of the unembedding.
///
/// # Errors
/// The model has no such token.
pub(super) fn answer<B: Backend>(
    inspector: &Inspector<'_, B>,
    token: u32,
    against: Option<u32>,
) -> Result<Vec<f32>> {
    let config = inspector.model().config();
    let outside = |id: &u32| *id as usize >= config.vocabulary;
    if let Some(id) = [Some(token), against].into_iter().flatten().find(outside) {
        let why = format!("{id} is not in the model's vocabulary of {} tokens", config.vocabulary);
        return Err(Error::asked("token", why));
    }
    let table = if config.tied { "embedding.token.weight" } else { "unembedding.weight" };
    let mut reads = inspector.rows(table, &[token])?.values;
    if let Some(against) = against {
        let other = inspector.rows(table, &[against])?.values;
        reads.iter_mut().zip(other).for_each(|(read, other)| *read -= other);
    }
    Ok(reads)
}

/// What moved the residual stream behind the last block, at a position, along a direction; of a pass that was recorded at all
/// [`sites`].
///
/// # Errors
/// There is too little memory.
pub fn along<B: Backend>(
    inspector: &Inspector<'_, B>,
    record: &Record,
    position: usize,
    direction: &[f64],
) -> Result<Attribution> {
    let config = inspector.model().config();
    let dot = |vector: &[f32]| dot(vector, direction);
    let (width, heads) = (config.width, config.heads);
    let mut parts = vec![
        (Component::Token, dot(record[Site::Token].row(position))),
        (Component::Position, dot(record[Site::Position].row(position))),
    ];
    let (mut sources, mut neurons) = (Vec::new(), Vec::new());
    for layer in 0..config.layers {
        let at = |part| &record[Site::Block(layer, part)];
        let contributions = at(Part::Contribution).row(position);
        let mut rest = dot(at(Part::AttentionOut).row(position));
        let value_up = inspector.parameter(&format!("block.{layer}.attention.value_up.weight"))?;
        let read = transposed(&value_up, direction);
        for (head, contribution) in contributions.chunks_exact(width).enumerate() {
            let value = dot(contribution);
            rest -= value;
            parts.push((Component::Head { layer, head }, value));
            let read = &read[head * heads.size..(head + 1) * heads.size];
            let values = (head / (heads.query / heads.key)) * heads.size;
            let rows = at(Part::Pattern).rows / heads.query;
            let pattern = at(Part::Pattern).row(head * rows + position);
            let source = |key: usize| {
                let value = &at(Part::Value).row(key)[values..values + heads.size];
                f64::from(pattern[key]) * self::dot(value, read)
            };
            sources.push((0..=position).map(source).collect());
        }
        if config.bias {
            parts.push((Component::AttentionBias(layer), rest));
        }
        parts.push((Component::Mlp(layer), dot(at(Part::MlpOut).row(position))));
        let down = inspector.parameter(&format!("block.{layer}.mlp.down.weight"))?;
        let read = transposed(&down, direction);
        let active = at(Part::Active).row(position);
        neurons.push(active.iter().zip(read).map(|(active, read)| f64::from(*active) * read).collect());
    }
    Ok(Attribution { whole: dot(record[Site::Residual].row(position)), parts, sources, neurons })
}

/// What the last norm divides by.
fn deviation(row: &[f32], norm: Norm) -> f64 {
    let Norm::Layer { epsilon } = norm;
    let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / row.len() as f64;
    let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / row.len() as f64;
    (variance + f64::from(epsilon)).sqrt()
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
            Component::Mlp(layer) => write!(f, "block.{layer}.mlp"),
            Component::NormBias => write!(f, "norm.bias"),
        }
    }
}
