//! How the vector of a word takes in its context: the same word in two texts, layer by layer, and which parts moved
//! it.

use std::ops::Range;

use super::attribute::{Attribution, along, dot, sites};
use super::linear_norm::Behind;
use super::{Edits, Inspector, Matrix};
use crate::backend::Backend;
use crate::probe::{Part, Site};
use crate::{Error, Result};

/// A word in a text: one or more tokens.
#[derive(Clone, Debug)]
pub struct Word<'a> {
    /// The text.
    pub ids: &'a [u32],
    /// The positions of the word's tokens. The vector of several tokens is their mean.
    pub positions: Range<usize>,
}

impl Word<'_> {
    fn check(&self) -> Result<()> {
        let Range { start, end } = self.positions;
        if start < end && end <= self.ids.len() {
            return Ok(());
        }
        let why =
            format!("positions {start}..{end} are not among the text's {}, counted from 0", self.ids.len());
        Err(Error::invalid_argument("word", why))
    }

    /// The mean of its tokens' vectors in a recorded residual stream.
    pub fn vector(&self, stream: &Matrix) -> Vec<f32> {
        let mut mean = vec![0.0f32; stream.cols];
        for position in self.positions.clone() {
            mean.iter_mut().zip(stream.row(position)).for_each(|(mean, x)| *mean += x);
        }
        let share = 1.0 / self.positions.len() as f32;
        mean.iter_mut().for_each(|mean| *mean *= share);
        mean
    }
}

/// The same word in two texts.
#[derive(Clone, PartialEq, Debug)]
pub struct Drift {
    /// The cosine between its two vectors, `[layers + 1]`: at the input of each block, and after the last.
    pub cosine: Vec<f64>,
    /// The distance between the two vectors at the end. It equals the sum of the first text's parts and rest minus
    /// those of the second.
    pub distance: f64,
    /// The attribution in the first text.
    pub first: Attribution,
    /// The attribution in the second text, along the same direction.
    pub second: Attribution,
}

/// The drift between the two vectors of a word, with both texts read under the same changes.
///
/// # Errors
/// If the model cannot read one of the texts.
pub fn drift<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    first: Word<'_>,
    second: Word<'_>,
    changes: &Edits,
) -> Result<Drift> {
    let layers = inspector.model().config().layers;
    let mut records = Vec::new();
    let words = [first, second];
    for word in &words {
        word.check()?;
        let residuals = (0..=layers).map(|layer| Site::residual(layer, layers));
        let mut record = inspector.record(sites(inspector.model().config()).into_iter().chain(residuals));
        inspector.run(&[word.ids], (changes.clone(), &mut record))?;
        records.push(record);
    }
    let vectors = |layer: usize| -> Result<[Vec<f32>; 2]> {
        let site = Site::residual(layer, layers);
        Ok([words[0].vector(records[0].get(site)?), words[1].vector(records[1].get(site)?)])
    };
    let mut angles = Vec::with_capacity(layers + 1);
    for layer in 0..=layers {
        let [one, other] = vectors(layer)?;
        angles.push(cosine(&one, &other));
    }
    let [one, other] = vectors(layers)?;
    let mut direction: Vec<f64> =
        one.iter().zip(&other).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
    let distance = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
    // The difference of two equal vectors has no direction.
    direction.iter_mut().for_each(|x| *x /= if distance > 0.0 { distance } else { 1.0 });
    let of = |at: usize| -> Result<Attribution> {
        let along = |position| along(inspector, &records[at], position, &direction);
        Ok(Attribution::mean(&words[at].positions.clone().map(along).collect::<Result<Vec<_>>>()?))
    };
    Ok(Drift { cosine: angles, distance, first: of(0)?, second: of(1)? })
}

/// What a head moves from one position to another.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Carried {
    /// The head's block.
    pub layer: usize,
    /// Its number in the block.
    pub head: usize,
    /// The source position.
    pub from: usize,
    /// The destination position.
    pub to: usize,
    /// The share of the head's attention to the source.
    pub share: f64,
    /// The length of what is added: the value through `value_up`, times the share; where a norm or a factor stands behind
    /// attention, as it leaves it.
    pub length: f64,
    /// The same, relative to the length of the residual stream that it is added to.
    pub part: f64,
}

/// What heads move from earlier positions into the positions `to`, longest first.
///
/// # Errors
/// If the model cannot read `ids`, or has no such positions.
pub fn carried<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    ids: &[u32],
    from: &[usize],
    to: Range<usize>,
) -> Result<Vec<Carried>> {
    Word { ids, positions: to.clone() }.check()?;
    if let Some(position) = from.iter().find(|&&from| from >= ids.len()) {
        let why = format!("position {position} is not among the text's {}, counted from 0", ids.len());
        return Err(Error::invalid_argument("from", why));
    }
    let config = inspector.model().config().clone();
    let parts = [Part::Residual, Part::Value, Part::Pattern, Part::AttentionUnnormed];
    let sites = (0..config.layers).flat_map(|layer| parts.map(|part| Site::Block(layer, part)));
    let sites = sites.filter(|site| site.is_in(&config));
    let mut record = inspector.record(sites);
    inspector.run(&[ids], &mut record)?;
    let (heads, mut found) = (config.heads, Vec::new());
    for layer in 0..config.layers {
        let at = |part| record.get(Site::Block(layer, part));
        let (streams, patterns) = (at(Part::Residual)?, at(Part::Pattern)?);
        let all = record.get(Site::value(&config, layer))?;
        let value_up = inspector.parameter(&format!("block.{layer}.attention.value_up.weight"))?;
        for to in to.clone() {
            let stream = length(streams.row(to).iter().map(|&x| f64::from(x)));
            let unnormed = || Ok(at(Part::AttentionUnnormed)?.row(to));
            let behind = Behind::of(inspector, &format!("block.{layer}.attention"), unnormed)?;
            for head in 0..heads.query {
                let values = head / (heads.query / heads.key) * heads.size;
                for &from in from.iter().filter(|&&from| from <= to) {
                    let share = f64::from(patterns.row(head * ids.len() + to)[from]);
                    let value = &all.row(from)[values..values + heads.size];
                    let value: Vec<f64> = value.iter().map(|&x| f64::from(x) * share).collect();
                    let added = value_up.values.chunks_exact(value_up.cols);
                    let added = added.map(|row| dot(&row[head * heads.size..][..heads.size], &value));
                    let length = length(behind.added(&added.collect::<Vec<_>>()).into_iter());
                    found.push(Carried { layer, head, from, to, share, length, part: length / stream });
                }
            }
        }
    }
    found.sort_by(|a, b| b.length.total_cmp(&a.length));
    Ok(found)
}

fn length(vector: impl Iterator<Item = f64>) -> f64 {
    vector.map(|x| x * x).sum::<f64>().sqrt()
}

/// The cosine of the angle between two vectors.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
