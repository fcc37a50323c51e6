//! A lens as a file: a matrix for every block, under the name of the site it reads, and what it was fitted on.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::{Inspector, Matrix};
use super::{About, JacobianLens};
use crate::atomic_write;
use crate::backend::Backend;
use crate::probe::{Part, Site};
use crate::stored::Bytes;
use crate::weights::dtype::Dtype;
use crate::weights::folder::Folder;
use crate::weights::{safetensors, source};
use crate::{Error, Result};

/// The name of the file beside a model's weights.
pub const FILE: &str = "jacobian_lens.safetensors";

/// The text in its header.
const ABOUT: &str = "jacobian_lens";

/// What the header says.
#[derive(Serialize, Deserialize)]
struct Header {
    texts: u64,
    positions: u64,
    skipped: usize,
    model: String,
}

impl JacobianLens {
    /// Writes it to a safetensors file: `block.1.residual`, `block.2.residual`, … in this dtype.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path, dtype: Dtype) -> Result<()> {
        let About { texts, positions, skipped, model } = self.about.clone();
        let about = serde_json::to_string(&Header { texts, positions, skipped, model });
        let about = about.map_err(|error| Error::invalid(path.display(), error))?;
        let stored = safetensors::written(dtype);
        let info = |(at, matrix): (usize, &Matrix)| (name(at + 1), vec![matrix.rows, matrix.cols], stored);
        let infos: Vec<_> = self.matrices.iter().enumerate().map(info).collect();
        let mut bytes = safetensors::header_of(&infos, (ABOUT, &about), 8)?;
        self.matrices.iter().for_each(|matrix| dtype.narrow(&mut bytes, &matrix.values));
        atomic_write::replace(path, &bytes).map_err(|error| Error::io("cannot write", path, error))
    }

    /// Reads a file that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// If it cannot be read, is not a lens, or is the lens of another model.
    pub fn open<B: Backend>(path: &Path, inspector: &Inspector<'_, B>) -> Result<JacobianLens> {
        of_bytes(&path.display().to_string(), &source::map(path)?, inspector)
    }

    /// The lens beside a model's weights, if there is one.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn beside<B: Backend>(folder: &Folder, inspector: &Inspector<'_, B>) -> Result<Option<JacobianLens>> {
        let found = folder.beside_weights(FILE)?;
        found.map(|(name, bytes)| of_bytes(&name, &bytes, inspector)).transpose()
    }
}

fn name(layer: usize) -> String {
    Site::Block(layer, Part::Residual).to_string()
}

fn of_bytes<B: Backend>(what: &str, file: &Bytes, inspector: &Inspector<'_, B>) -> Result<JacobianLens> {
    let tensors = safetensors::header(what, file)?;
    let about = safetensors::text(file, ABOUT).and_then(|text| serde_json::from_str::<Header>(&text).ok());
    let Some(Header { texts, positions, skipped, model }) = about else {
        return Err(Error::invalid(what, "is not a Jacobian lens of glass look --fit-lens"));
    };
    let mut matrices = Vec::with_capacity(tensors.len());
    for layer in 1..=tensors.len() {
        let name = name(layer);
        let found = tensors.iter().find(|(found, _)| *found == name);
        let wrong = |why: &str| Error::invalid(what, format!("tensor {name} {why}"));
        let (_, tensor) = found.ok_or_else(|| wrong("is missing"))?;
        let &[rows, cols] = &tensor.shape[..] else { return Err(wrong("is not a matrix")) };
        let width = matrices.first().map_or(rows, |first: &Matrix| first.rows);
        if rows != width || cols != width || width == 0 {
            return Err(wrong(&format!("is {rows} × {cols}; all are square and of one size")));
        }
        let dtype = tensor.dtype.clone().map_err(|dtype| wrong(&format!("is {dtype}, not floats")))?;
        let mut values = vec![0.0; rows * cols];
        dtype.widen(&mut values, &file[tensor.bytes.clone()]);
        if !values.iter().all(|value| value.is_finite()) {
            return Err(wrong("has numbers that are not finite"));
        }
        matrices.push(Matrix { rows, cols, values });
    }
    if matrices.is_empty() {
        return Err(Error::invalid(
            what,
            "holds no matrix; a Jacobian lens has one for each block but the first",
        ));
    }
    let lens = JacobianLens { about: About { texts, positions, skipped, model }, matrices };
    lens.fits(what, inspector)?;
    Ok(lens)
}
