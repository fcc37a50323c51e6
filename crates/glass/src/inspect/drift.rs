//! How a word's vector takes in its context: the same word in two texts, layer by layer, and what moved it.

use super::attribute::{Attribution, along, dot, sites};
use std::ops::Range;

use super::{Edits, Inspector, Matrix};
use crate::backend::Backend;
use crate::probe::{Part, Site};
use crate::{Error, Result};

/// A word of a text: one token or more.
#[derive(Clone, Debug)]
pub struct Word<'a> {
    /// The text.
    pub ids: &'a [u32],
    /// The positions of the word's tokens. Of several, the word's vector is the mean.
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

    /// The mean of its tokens' vectors in a recorded stream.
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
    /// The cosine between its two vectors, `[layers + 1]`: where they enter each block, and after the last.
    pub cosine: Vec<f64>,
    /// How far apart they are in the end. The first text's parts less the second's, and less the two rests, add up to it.
    pub distance: f64,
    /// The first text's parts.
    pub first: Attribution,
    /// The second text's parts, along the same direction.
    pub second: Attribution,
}

/// How far the two vectors of a word are apart, both texts read with the same changes.
///
/// # Errors
/// The model cannot read one of the texts.
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
        let mut record = inspector.record(sites(layers).into_iter().chain(residuals));
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
    // Twice the same vector has no direction.
    direction.iter_mut().for_each(|x| *x /= if distance > 0.0 { distance } else { 1.0 });
    let of = |at: usize| -> Result<Attribution> {
        let along = |position| along(inspector, &records[at], position, &direction);
        Ok(Attribution::mean(&words[at].positions.clone().map(along).collect::<Result<Vec<_>>>()?))
    };
    Ok(Drift { cosine: angles, distance, first: of(0)?, second: of(1)? })
}

/// What a head carries from one position to another.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Carried {
    /// The head's block.
    pub layer: usize,
    /// Its number in the block.
    pub head: usize,
    /// The position that it is taken from.
    pub from: usize,
    /// The position that it is added to.
    pub to: usize,
    /// The share of the head's attention that goes there.
    pub share: f64,
    /// The length of what is added: the value through both halves, times the share.
    pub length: f64,
    /// The same, as a part of the length of the residual stream that it is added to.
    pub part: f64,
}

/// What heads carry into positions from earlier ones, the longest first.
///
/// # Errors
/// The model cannot read `ids`, or has no such positions.
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
    let parts = [Part::Residual, Part::Value, Part::Pattern];
    let sites = (0..config.layers).flat_map(|layer| parts.map(|part| Site::Block(layer, part)));
    let mut record = inspector.record(sites);
    inspector.run(&[ids], &mut record)?;
    let (heads, mut found) = (config.heads, Vec::new());
    for layer in 0..config.layers {
        let at = |part| record.get(Site::Block(layer, part));
        let (streams, patterns, all) = (at(Part::Residual)?, at(Part::Pattern)?, at(Part::Value)?);
        let value_up = inspector.parameter(&format!("block.{layer}.attention.value_up.weight"))?;
        for to in to.clone() {
            let stream = length(streams.row(to).iter().map(|&x| f64::from(x)));
            for head in 0..heads.query {
                let values = head / (heads.query / heads.key) * heads.size;
                for &from in from.iter().filter(|&&from| from <= to) {
                    let share = f64::from(patterns.row(head * ids.len() + to)[from]);
                    let value = &all.row(from)[values..values + heads.size];
                    let value: Vec<f64> = value.iter().map(|&x| f64::from(x) * share).collect();
                    let added = value_up.values.chunks_exact(value_up.cols);
                    let length =
                        length(added.map(|row| dot(&row[head * heads.size..][..heads.size], &value)));
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
