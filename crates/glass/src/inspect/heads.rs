//! Describes a head in a few numbers: where its pattern points on a text (Olsson et al. 2022).

use serde::{Deserialize, Serialize};

use super::Inspector;
use crate::Result;
use crate::backend::Backend;
use crate::next_token::uniform;
use crate::probe::{Part, Site};

/// A head on a text: shares of its attention, averaged over the positions where the respective target exists.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Head {
    /// To the previous position.
    pub previous: f64,
    /// To the first position.
    pub first: f64,
    /// To earlier occurrences of the same token.
    pub duplicate: f64,
    /// To the tokens after earlier occurrences of the same token: the sign of an induction head.
    pub induction: f64,
    /// The entropy of its pattern, in nats.
    pub entropy: f64,
}

/// All heads of all layers on `ids`, `[layers][heads]`.
///
/// # Errors
/// If the model cannot read them.
pub fn heads<B: Backend>(inspector: &mut Inspector<'_, B>, ids: &[u32]) -> Result<Vec<Vec<Head>>> {
    let config = inspector.model().config().clone();
    let sites = (0..config.layers).map(|layer| Site::Block(layer, Part::Pattern));
    let mut record = inspector.record(sites);
    inspector.run(&[ids], &mut record)?;
    let layer = |layer: usize| {
        let squares =
            record.get(Site::Block(layer, Part::Pattern))?.values.chunks_exact(ids.len() * ids.len());
        Ok(squares.map(|square| head(square, ids)).collect())
    };
    (0..config.layers).map(layer).collect()
}

/// A head's numbers from its pattern, `[queries, keys]`.
pub fn head(pattern: &[f32], ids: &[u32]) -> Head {
    let at = |query: usize, key: usize| f64::from(pattern[query * ids.len() + key]);
    let queries = 0..ids.len();
    // For every query, the attention to some keys; averaged over the queries that have any.
    let mean = |keys: &dyn Fn(usize) -> Vec<usize>| {
        let shares = queries.clone().map(|query| (query, keys(query))).filter(|(_, keys)| !keys.is_empty());
        let shares: Vec<f64> =
            shares.map(|(query, keys)| keys.into_iter().map(|key| at(query, key)).sum()).collect();
        // The sum of an empty list is −0.
        0.0 + shares.iter().sum::<f64>() / shares.len().max(1) as f64
    };
    let same = |query: usize| (0..query).filter(move |&key| ids[key] == ids[query]);
    let nats = |query: usize| {
        let terms = (0..=query).map(|key| at(query, key)).filter(|&p| p > 0.0).map(|p| -p * p.ln());
        0.0 + terms.sum::<f64>()
    };
    Head {
        previous: mean(&|query| (1..=query).next_back().map(|query| query - 1).into_iter().collect()),
        first: mean(&|query| if query > 0 { vec![0] } else { vec![] }),
        duplicate: mean(&|query| same(query).collect()),
        induction: mean(&|query| same(query).map(|key| key + 1).collect()),
        entropy: queries.clone().map(nats).sum::<f64>() / ids.len().max(1) as f64,
    }
}

/// `len` uniformly random tokens, and then the same again: after the first token of the repetition, all can be
/// predicted.
pub fn repeated(len: usize, vocabulary: usize, seed: u64) -> Vec<u32> {
    let draw = |position: usize| (uniform(seed, 0, position as u64) * vocabulary as f64) as u32;
    let once: Vec<u32> = (0..len).map(draw).collect();
    [once.as_slice(), &once].concat()
}
