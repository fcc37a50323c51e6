//! How a model develops: the same measurements for every checkpoint of a run.

use serde::{Deserialize, Serialize};

use super::Inspector;
use super::heads::{Head, heads, repeated};
use super::lens::{Reading, lens};
use crate::Result;
use crate::backend::Backend;
use crate::probe::Site;

/// The number of random tokens in the sequence that is repeated.
const REPEATED: usize = 48;

/// The measurements of a checkpoint.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Growth {
    /// The loss of each layer's logit lens on a text, in nats per token, `[layers + 1]`; empty without a text.
    pub lens: Vec<f64>,
    /// The mean length of the residual stream's vectors, `[layers + 1]`, on repeated random tokens.
    pub norms: Vec<f64>,
    /// Statistics of heads on repeated random tokens, `[layers][heads]`.
    pub heads: Vec<Vec<Head>>,
    /// The loss on the first occurrence of those tokens, in nats per token: they cannot be predicted.
    pub first: f64,
    /// The loss on their repetition: all of them can be predicted.
    pub again: f64,
}

/// Random tokens, repeated once, as used by [`measure`].
pub fn twice(vocabulary: usize, context: usize) -> Vec<u32> {
    repeated(REPEATED.min(context / 2), vocabulary, 1)
}

/// Measures a model.
///
/// # Errors
/// If it cannot read `text`.
pub fn measure<B: Backend>(inspector: &mut Inspector<'_, B>, text: Option<&[u32]>) -> Result<Growth> {
    let config = inspector.model().config().clone();
    let twice = twice(config.vocabulary, config.context);
    let loss = |readings: &[Reading]| {
        let nats: Vec<f64> = readings.iter().filter_map(|reading| Some(-reading.next?.logprob)).collect();
        nats.iter().sum::<f64>() / nats.len().max(1) as f64
    };
    let heads = heads(inspector, &twice)?;
    let sites: Vec<Site> = (0..=config.layers).map(|layer| Site::residual(layer, config.layers)).collect();
    let mut record = inspector.record(sites.iter().copied());
    inspector.run(&[&twice], &mut record)?;
    let norm = |site: &Site| {
        let rows = record.get(*site)?.values.chunks_exact(config.width);
        let length = |row: &[f32]| row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        Ok(rows.map(length).sum::<f64>() / twice.len() as f64)
    };
    let norms = sites.iter().map(norm).collect::<Result<_>>()?;
    let last = super::lens::read(inspector, &record.get(Site::Residual)?.values, &twice, 1)?;
    let (first, again) = last.split_at(twice.len() / 2);
    let lens = match text {
        Some(text) => lens(inspector, text, 1)?.iter().map(|readings| loss(readings)).collect(),
        None => Vec::new(),
    };
    Ok(Growth { lens, norms, heads, first: loss(first), again: loss(again) })
}
