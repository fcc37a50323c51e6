//! The tokens whose vectors are nearest to a given vector.

use super::Inspector;
use super::drift::cosine;
use crate::backend::Backend;
use crate::{Error, Result};

/// Rows of the table that are read at once.
const ROWS: usize = 1024;

/// The `n` tokens whose embeddings have the greatest cosine with a vector, greatest first.
///
/// # Errors
/// If the vector has the wrong length, or there is too little memory.
pub fn nearest<B: Backend>(
    inspector: &Inspector<'_, B>,
    vector: &[f32],
    n: usize,
) -> Result<Vec<(u32, f64)>> {
    let config = inspector.model().config();
    if vector.len() != config.width {
        let why = format!("{} numbers; the model's vectors have {}", vector.len(), config.width);
        return Err(Error::invalid_argument("vector", why));
    }
    let vocabulary = config.vocabulary as u32;
    let mut found: Vec<(u32, f64)> = Vec::new();
    for first in (0..vocabulary).step_by(ROWS) {
        let ids: Vec<u32> = (first..vocabulary.min(first + ROWS as u32)).collect();
        let table = inspector.rows("embedding.token.weight", &ids)?;
        found.extend(
            ids.iter().zip(table.values.chunks_exact(table.cols)).map(|(&id, row)| (id, cosine(row, vector))),
        );
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.truncate(n);
    }
    Ok(found)
}
