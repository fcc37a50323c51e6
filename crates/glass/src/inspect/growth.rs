//! How a model grew: the same few numbers of every checkpoint of a run.

use serde::{Deserialize, Serialize};

use super::heads::{Head, heads, repeated};
use super::lens::{Reading, lens};
use super::{Inspector, Record};
use crate::Result;
use crate::backend::Backend;
use crate::probe::Site;

/// Tokens that are drawn at random and stand twice.
const REPEATED: usize = 48;

/// What a checkpoint is like.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Growth {
    /// Of a text, the loss of what each layer would say, nats per token, `[layers + 1]`; empty without a text.
    pub lens: Vec<f64>,
    /// The mean length of the residual stream's vectors, `[layers + 1]`, on tokens that stand twice.
    pub norms: Vec<f64>,
    /// What heads do on tokens that stand twice, `[layers][heads]`.
    pub heads: Vec<Vec<Head>>,
    /// The loss where those tokens stand for the first time, nats per token: nobody can know them.
    pub first: f64,
    /// The loss where they stand again: all can be known from before.
    pub again: f64,
}

/// Tokens that stand twice, as [`measure`] reads them.
pub fn twice(vocabulary: usize, context: usize) -> Vec<u32> {
    repeated(REPEATED.min(context / 2), vocabulary, 1)
}

/// Measures a model.
///
/// # Errors
/// It cannot read `text`.
pub fn measure<B: Backend>(inspector: &mut Inspector<'_, B>, text: Option<&[u32]>) -> Result<Growth> {
    let config = inspector.model().config().clone();
    let twice = twice(config.vocabulary, config.context);
    let loss = |readings: &[Reading]| {
        let nats: Vec<f64> = readings.iter().filter_map(|reading| Some(-reading.next?.logprob)).collect();
        nats.iter().sum::<f64>() / nats.len().max(1) as f64
    };
    let heads = heads(inspector, &twice)?;
    let sites: Vec<Site> = (0..=config.layers).map(|layer| Site::residual(layer, config.layers)).collect();
    let mut record = Record::of(sites.iter().copied());
    inspector.run(&[&twice], &mut record)?;
    let norm = |site: &Site| {
        let rows = record[*site].values.chunks_exact(config.width);
        let length = |row: &[f32]| row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        rows.map(length).sum::<f64>() / twice.len() as f64
    };
    let norms = sites.iter().map(norm).collect();
    let last = super::lens::read(inspector, &record[Site::Residual].values, &twice, 1)?;
    let (first, again) = last.split_at(twice.len() / 2);
    let lens = match text {
        Some(text) => lens(inspector, text, 1)?.iter().map(|readings| loss(readings)).collect(),
        None => Vec::new(),
    };
    Ok(Growth { lens, norms, heads, first: loss(first), again: loss(again) })
}
