//! The Jacobian lens: how a vector of the residual stream changes, to first order and on average over texts, the
//! outputs of the last block at this and all later positions (Gurnee et al. 2026). Read through this matrix instead
//! of directly, early layers show what they lead to.

mod file;
mod fit;

pub use file::FILE;
pub use fit::{Fit, SKIPPED, TOKENS};

use super::lens::{self, Reading};
use super::{Inspector, Matrix, Record};
use crate::backend::{Backend, Dense, Tensor, Weight};
use crate::config::Config;
use crate::fingerprint::Fingerprint;
use crate::next_token::Drawn;
use crate::probe::Site;
use crate::runtime::Model;
use crate::{Error, Result};

/// What a lens was fitted on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct About {
    /// Texts.
    pub texts: u64,
    /// Positions whose vectors were taken into the average.
    pub positions: u64,
    /// Positions at the beginning of each text that were left out.
    pub skipped: usize,
    /// A fingerprint of the model: of the parameters of its norms, in 16 bits, since no packing changes them. Where its norms
    /// have none, of the last block, so that a lens fits one packing.
    pub model: String,
}

/// A fitted lens: for the input of every block but the first, `J`, `[width, width]`, which takes it to the output of
/// the last block.
#[derive(Clone, PartialEq, Debug)]
pub struct JacobianLens {
    about: About,
    /// Of blocks 1, 2, ….
    matrices: Vec<Matrix>,
}

impl JacobianLens {
    /// What it was fitted on.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The matrix of the residual stream that enters block `layer`; `None` for the first block, whose input is not
    /// fitted, and for the output of the last, which is what all others are taken to.
    pub fn matrix(&self, layer: usize) -> Option<&Matrix> {
        self.matrices.get(layer.checked_sub(1)?)
    }

    /// Residual streams `[rows, width]` that enter block `layer`, as the outputs of the last block that they lead to; those that
    /// are its outputs already stay as they are. `None` for the first block.
    ///
    /// # Errors
    /// If there is too little memory.
    pub fn apply<B: Backend>(&self, backend: &B, layer: usize, residual: &[f32]) -> Result<Option<Vec<f32>>> {
        if layer == self.matrices.len() + 1 {
            return Ok(Some(residual.to_vec()));
        }
        let Some(Matrix { rows: width, values, .. }) = self.matrix(layer) else { return Ok(None) };
        let rows = residual.len() / width;
        let (mut x, mut y) = (Tensor::new(backend, rows, *width)?, Tensor::new(backend, rows, *width)?);
        let mut arena = backend.zeros(values.len())?;
        backend.write(&mut arena, 0, values);
        backend.write(&mut x.data, 0, residual);
        let span = 0..values.len();
        let weight = Weight::Dense(Dense { arena: &arena, span, rows: *width, cols: *width });
        backend.linear(&mut y, &x, weight, None, None);
        Ok(Some(backend.view(&y.data, 0..y.len()).into_owned()))
    }

    /// Refuses a lens of another model; `what` names it.
    fn fits<B: Backend>(&self, what: &str, inspector: &Inspector<'_, B>) -> Result<()> {
        let Config { layers, width, .. } = *inspector.model().config();
        let (blocks, across) = (self.matrices.len() + 1, self.matrices[0].rows);
        if (blocks, across) != (layers, width) {
            let why = format!(
                "is the Jacobian lens of a model of {blocks} blocks with vectors of {across} numbers; this model has {layers} \
                 blocks and {width} numbers, so fit its own lens"
            );
            return Err(Error::invalid(what, why));
        }
        if self.about.model != fingerprint(inspector)? {
            let why = "is the Jacobian lens of another model of the same shape (its parameters differ); fit this model's \
                       own lens";
            return Err(Error::invalid(what, why));
        }
        Ok(())
    }
}

/// Readings through `lens` of every layer at every position, `[layers + 1][positions]`, as in [`lens::lens`]; empty for the
/// input of the first block.
///
/// # Errors
/// If the model cannot read `ids`, or its logits are not finite.
pub fn readings<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    lens: &JacobianLens,
    ids: &[u32],
    top: usize,
) -> Result<Vec<Vec<Reading>>> {
    let layers = inspector.model().config().layers;
    let sites: Vec<Site> = (0..=layers).map(|layer| Site::residual(layer, layers)).collect();
    let mut record = inspector.record(sites.iter().copied());
    inspector.run(&[ids], &mut record)?;
    let read = |(layer, &site): (usize, &Site)| match through(inspector, lens, layer, &record, site)? {
        Some(residual) => lens::read(inspector, &residual, ids, top),
        None => Ok(Vec::new()),
    };
    sites.iter().enumerate().map(read).collect()
}

fn through<B: Backend>(
    inspector: &Inspector<'_, B>,
    lens: &JacobianLens,
    layer: usize,
    record: &Record,
    site: Site,
) -> Result<Option<Vec<f32>>> {
    lens.apply(inspector.model().backend(), layer, &record.get(site)?.values)
}

/// The most probable tokens after each of some residual streams that enter block `layer`, `[rows, width]`, through
/// `lens`; `None` for the first block.
///
/// # Errors
/// As for [`readings`].
pub fn predict<B: Backend>(
    inspector: &mut Inspector<'_, B>,
    lens: &JacobianLens,
    layer: usize,
    residual: &[f32],
    top: usize,
) -> Result<Option<Vec<Vec<Drawn>>>> {
    let through = lens.apply(inspector.model().backend(), layer, residual)?;
    through.map(|residual| lens::predict(inspector, &residual, top)).transpose()
}

/// The fingerprint of a model.
fn fingerprint<B: Backend>(inspector: &Inspector<'_, B>) -> Result<String> {
    let (mut fingerprint, plan) = (Fingerprint::default(), &inspector.plan);
    let last = format!("block.{}.", inspector.model().config().layers - 1);
    let has_norms = plan.specs.iter().any(|spec| spec.name.contains("norm."));
    let tells = |name: &str| if has_norms { name.contains("norm.") } else { name.starts_with(&last) };
    for spec in plan.specs.iter().filter(|spec| tells(&spec.name)) {
        for value in inspector.parameter(&spec.name)?.values {
            fingerprint.add(glass_kernels::format::f32_to_bf16(value).into());
        }
    }
    Ok(fingerprint.to_string())
}

/// Refuses a model without a layer that could be fitted.
fn check<B: Backend>(model: &Model<B>) -> Result<()> {
    match model.config().layers {
        0 | 1 => Err(Error::invalid_argument(
            "model",
            "it has one block, whose output needs no lens; a Jacobian lens needs two blocks or more",
        )),
        _ => Ok(()),
    }
}
