//! The logit lens: what the model would say if the residual stream of a layer were its last (nostalgebraist 2020).

use super::Inspector;
use crate::backend::Backend;
use crate::next_token::{self, Drawn, Sampler, Sampling, Scored};
use crate::probe::Site;
use crate::{Error, Result};

/// What a vector says about the next token.
#[derive(Clone, PartialEq, Debug)]
pub struct Reading {
    /// The most probable tokens, most probable first.
    pub top: Vec<Drawn>,
    /// What it finds of the token that did come next; `None` after the last.
    pub next: Option<Scored>,
}

/// Every layer's reading of every position, `[layers + 1][positions]`: of the residual stream that enters each block, and of
/// what leaves the last, which is the model's own answer.
///
/// # Errors
/// The model cannot read `ids`, or its numbers are broken.
pub fn lens<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    ids: &[u32],
    top: usize,
) -> Result<Vec<Vec<Reading>>> {
    let layers = inspector.model().config().layers;
    let sites: Vec<Site> = (0..=layers).map(|layer| Site::residual(layer, layers)).collect();
    let mut record = inspector.record(sites.iter().copied());
    inspector.run(&[ids], &mut record)?;
    sites.iter().map(|&site| read(inspector, &record.get(site)?.values, ids, top)).collect()
}

/// What residual streams, `[rows, width]`, say after the tokens of `ids`.
///
/// # Errors
/// As for [`lens`].
pub fn read<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    residual: &[f32],
    ids: &[u32],
    top: usize,
) -> Result<Vec<Reading>> {
    let config = inspector.model().config();
    let mut sampler = Sampler::new(&Sampling::default(), config.vocabulary, 0)?;
    inspector.resume(config.layers, residual, &[ids.len()], ())?;
    let mut readings = Vec::with_capacity(ids.len());
    let mut failed: Option<Error> = None;
    inspector.logits(&mut |row, logits| {
        let next = ids.get(row + 1).map(|&id| next_token::score(logits, id)).transpose();
        match next.and_then(|next| Ok(Reading { top: sampler.top(logits, top)?.to_vec(), next })) {
            Ok(reading) => readings.push(reading),
            Err(error) => failed = failed.take().or(Some(error)),
        }
    });
    failed.map_or(Ok(readings), Err)
}
