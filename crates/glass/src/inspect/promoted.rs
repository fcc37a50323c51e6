//! The tokens that a vector promotes: what it adds to every logit, if it is added to the residual stream after the last block
//! and the last norm's scale stays what it is (Geva et al. 2022; direct logit attribution of TransformerLens).

use super::Inspector;
use super::linear_norm::LinearNorm;
use crate::Result;
use crate::backend::{Backend, Dense, Tensor, Weight};
use crate::config::{Norm, NormKind};

/// Rows of the unembedding that are floats at once.
const ROWS: usize = 1024;

/// The tokens that a vector promotes most and least, strongest first.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Promoted {
    /// Tokens whose logits rise most.
    pub up: Vec<(u32, f32)>,
    /// Tokens whose logits fall most.
    pub down: Vec<(u32, f32)>,
}

/// What each of some vectors, `[vectors × width]`, adds to the logits at a position whose residual stream has this standard
/// deviation after the last block.
///
/// # Errors
/// If there is too little memory.
pub fn promoted<B: Backend>(
    inspector: &Inspector<'_, B>,
    vectors: &[f32],
    deviation: f64,
    n: usize,
) -> Result<Vec<Promoted>> {
    let (backend, config) = (inspector.model().backend(), inspector.model().config());
    let width = config.width;
    let (norm, factor) = (LinearNorm::of(inspector, "norm")?, f64::from(config.factors.logits));
    // The last norm, without its bias: a direction.
    let scaled: Vec<f32> = vectors
        .chunks_exact(width)
        .flat_map(|vector| {
            let vector: Vec<f64> = vector.iter().map(|&x| x.into()).collect();
            norm.part(&vector, deviation).into_iter().map(|x| (factor * x) as f32)
        })
        .collect();
    let count = scaled.len() / width;
    let mut x = Tensor::new(backend, count, width)?;
    backend.write(&mut x.data, 0, &scaled);
    let name = if config.tied { "embedding.token.weight" } else { "unembedding.weight" };
    let mut found = vec![Promoted::default(); count];
    for first in (0..config.vocabulary).step_by(ROWS) {
        let ids: Vec<u32> = (first as u32..config.vocabulary.min(first + ROWS) as u32).collect();
        let table = inspector.rows(name, &ids)?;
        let mut arena = backend.zeros(table.values.len())?;
        backend.write(&mut arena, 0, &table.values);
        let weight = Dense { arena: &arena, span: 0..table.values.len(), rows: ids.len(), cols: width };
        let mut y = Tensor::new(backend, count, ids.len())?;
        backend.linear(&mut y, &x, Weight::Dense(weight), None, None);
        let logits = backend.view(&y.data, 0..y.len());
        for (found, row) in found.iter_mut().zip(logits.chunks_exact(ids.len())) {
            for (&id, &value) in ids.iter().zip(row) {
                offer(&mut found.up, n, id, value, |a, b| a > b);
                offer(&mut found.down, n, id, value, |a, b| a < b);
            }
        }
    }
    Ok(found)
}

/// Keeps the `n` strongest; of equal ones the lower id.
fn offer(kept: &mut Vec<(u32, f32)>, n: usize, id: u32, value: f32, before: fn(f32, f32) -> bool) {
    if n == 0 || kept.len() == n && !before(value, kept[n - 1].1) {
        return;
    }
    let at = kept.partition_point(|&(_, other)| !before(value, other));
    kept.insert(at, (id, value));
    kept.truncate(n);
}

/// What the last norm divides by at a residual stream.
pub fn deviation(residual: &[f32], norm: Norm) -> f64 {
    let Norm { kind, epsilon, .. } = norm;
    let mean = match kind {
        NormKind::Layer => residual.iter().map(|&x| f64::from(x)).sum::<f64>() / residual.len() as f64,
        NormKind::Rms => 0.0,
    };
    let variance =
        residual.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / residual.len() as f64;
    (variance + f64::from(epsilon)).sqrt()
}
