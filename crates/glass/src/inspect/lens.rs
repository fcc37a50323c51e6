//! The logit lens: what the model would predict if the residual stream at a layer were its output (nostalgebraist
//! 2020).

use super::Inspector;
use crate::backend::Backend;
use crate::next_token::{self, Drawn, Sampler, Sampling, Scored};
use crate::probe::Site;
use crate::{Error, Result};

/// What a vector predicts as the next token.
#[derive(Clone, PartialEq, Debug)]
pub struct Reading {
    /// The most probable tokens, most probable first.
    pub top: Vec<Drawn>,
    /// The score of the token that actually comes next; `None` after the last.
    pub next: Option<Scored>,
}

/// Readings of every layer at every position, `[layers + 1][positions]`: of the residual stream that enters each
/// block, and of the output of the last block, which is the model's own prediction.
///
/// # Errors
/// If the model cannot read `ids`, or its logits are not finite.
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

/// What residual streams, `[rows, width]`, predict after the tokens of `ids`.
///
/// # Errors
/// As for [`lens`].
pub fn read<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    residual: &[f32],
    ids: &[u32],
    top: usize,
) -> Result<Vec<Reading>> {
    each(inspector, residual, top, |row, logits, top| {
        let next = ids.get(row + 1).map(|&id| next_token::score(logits, id)).transpose()?;
        Ok(Reading { top, next })
    })
}

/// The most probable tokens after each of some residual streams, `[rows, width]`, which need not be of one sequence.
///
/// # Errors
/// As for [`lens`].
pub fn predict<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    residual: &[f32],
    top: usize,
) -> Result<Vec<Vec<Drawn>>> {
    each(inspector, residual, top, |_, _, top| Ok(top))
}

fn each<B: Backend, T>(
    inspector: &mut Inspector<'_, B>,
    residual: &[f32],
    top: usize,
    mut reading: impl FnMut(usize, &[f32], Vec<Drawn>) -> Result<T>,
) -> Result<Vec<T>> {
    let config = inspector.model().config();
    let rows = residual.len() / config.width;
    let mut sampler = Sampler::new(&Sampling::default(), config.vocabulary, 0)?;
    inspector.resume(config.layers, residual, &[rows], ())?;
    let mut readings = Vec::with_capacity(rows);
    let mut failed: Option<Error> = None;
    inspector.logits(&mut |row, logits| {
        let top = sampler.top(logits, top).map(<[Drawn]>::to_vec);
        match top.and_then(|top| reading(row, logits, top)) {
            Ok(reading) => readings.push(reading),
            Err(error) => failed = failed.take().or(Some(error)),
        }
    });
    failed.map_or(Ok(readings), Err)
}
