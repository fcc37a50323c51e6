//! How a word's vector takes in its context: the same word in two texts, layer by layer, and what moved it.

use super::attribute::{Attribution, along, dot, sites};
use super::{Edits, Inspector, Record};
use crate::Result;
use crate::backend::Backend;
use crate::probe::{Part, Site};

/// A word at a position of a text.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    /// The text.
    pub ids: &'a [u32],
    /// The word's position.
    pub position: usize,
}

/// The same word in two texts.
#[derive(Clone, PartialEq, Debug)]
pub struct Drift {
    /// The cosine between its two vectors, `[layers + 1]`: where they enter each block, and behind the last.
    pub cosine: Vec<f64>,
    /// How far apart they are in the end; what every part of either pass added to it, the second's with the sign turned: all
    /// of both together are the distance.
    pub distance: f64,
    /// The first text's parts.
    pub first: Attribution,
    /// The second text's parts, along the same direction.
    pub second: Attribution,
}

/// Where the two vectors of a word part, both texts read with the same changes.
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
    for word in [first, second] {
        let residuals = (0..=layers).map(|layer| Site::residual(layer, layers));
        let mut record = Record::of(sites(layers).into_iter().chain(residuals));
        inspector.run(&[word.ids], (changes.clone(), &mut record))?;
        records.push(record);
    }
    let vector = |of: usize, layer: usize| {
        records[of][Site::residual(layer, layers)].row([first, second][of].position)
    };
    let cosine = (0..=layers).map(|layer| cosine(vector(0, layer), vector(1, layer))).collect();
    let apart = vector(0, layers).iter().zip(vector(1, layers)).map(|(a, b)| f64::from(*a) - f64::from(*b));
    let mut direction: Vec<f64> = apart.collect();
    let distance = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
    // Twice the same vector has no direction.
    direction.iter_mut().for_each(|x| *x /= if distance > 0.0 { distance } else { 1.0 });
    let of = |at: usize, word: Word<'_>| along(inspector, &records[at], word.position, &direction);
    Ok(Drift { cosine, distance, first: of(0, first)?, second: of(1, second)? })
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
    /// The share of the head's attention that goes there.
    pub share: f64,
    /// The length of what is added: the value through both halves, times the share.
    pub length: f64,
    /// The same, as a part of the length of the residual stream that it is added to.
    pub part: f64,
}

/// What heads carry into a position from others, the longest first.
///
/// # Errors
/// The model cannot read `ids`.
pub fn carried<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    ids: &[u32],
    from: &[usize],
    to: usize,
) -> Result<Vec<Carried>> {
    let config = inspector.model().config().clone();
    let parts = [Part::Residual, Part::Value, Part::Pattern];
    let sites = (0..config.layers).flat_map(|layer| parts.map(|part| Site::Block(layer, part)));
    let mut record = Record::of(sites);
    inspector.run(&[ids], &mut record)?;
    let (heads, mut found) = (config.heads, Vec::new());
    for layer in 0..config.layers {
        let at = |part| &record[Site::Block(layer, part)];
        let value_up = inspector.parameter(&format!("block.{layer}.attention.value_up.weight"))?;
        let stream = length(at(Part::Residual).row(to).iter().map(|&x| f64::from(x)));
        for head in 0..heads.query {
            let values = head / (heads.query / heads.key) * heads.size;
            for &from in from {
                let share = f64::from(at(Part::Pattern).row(head * ids.len() + to)[from]);
                let value: Vec<f64> = at(Part::Value).row(from)[values..values + heads.size]
                    .iter()
                    .map(|&x| f64::from(x) * share)
                    .collect();
                let added = value_up.values.chunks_exact(value_up.cols);
                let length = length(added.map(|row| dot(&row[head * heads.size..][..heads.size], &value)));
                found.push(Carried { layer, head, from, share, length, part: length / stream });
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
