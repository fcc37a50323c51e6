//! A packed model's directory: the same files, but that `model.safetensors` holds every matrix in the panels it is computed
//! with, under its own name (`block.3.attention.query.weight`), as `U32` of shape `[panels, lines, lanes]`
//! ([`glass_kernels::packing`] tells what they are). It is mapped and run as it lies: nothing is read at the start.
//!
//! Vectors and the positions, of which a pass reads a few rows, stay `F32`. `config.json` says how matrices are packed:
//! `"quantization_config": {"packed_by": "glass", "packing": "q8"}`. Since it names no `quant_method`, `transformers` refuses
//! the folder; with a method that it does not know it would open the model with random weights (5.24).

use std::path::Path;

use glass_kernels::packing;
use serde_json::json;

use super::atomic_write::AtomicWrite;
use super::folder::Folder;
use super::save::{self, Save};
use super::{Frozen, safetensors, tensors};
use crate::backend::{Backend, Layout, Packing};
use crate::config::object::short;
use crate::plan::{Plan, Spec};
use crate::stored::Stored;
use crate::{Error, Result};

/// How a parameter lies in a model of this packing. With 4 bits, the table of tokens has 8: it is read row by row as well
/// as multiplied by, and errs in every word.
pub fn layout(spec: &Spec, packing: Packing) -> Layout {
    if spec.is_vector() || spec.name == "embedding.position.weight" {
        return Layout::Rows;
    }
    match (packing, spec.is_hidden_matrix) {
        (Packing::Q4, false) => Layout::Panels(Packing::Q8),
        _ => Layout::Panels(packing),
    }
}

/// Writes a packed model's directory, as [`save::save`] a dense one's.
pub fn save<B: Backend>(
    dir: &Path,
    what: &Save<'_>,
    packing: Packing,
    backend: &B,
    weights: &Frozen<B>,
) -> Result<()> {
    let mut aside = AtomicWrite::new(dir)?;
    aside.write(tensors::FILE, |put| {
        // Panels first: they start and end with whole cache lines.
        let mut order: Vec<usize> = (0..what.plan.specs.len()).collect();
        order.sort_by_key(|&i| layout(&what.plan.specs[i], packing) == Layout::Rows);
        let infos = order.iter().map(|&i| {
            let spec = &what.plan.specs[i];
            let layout = layout(spec, packing);
            (spec.name.clone(), shape(spec, layout), dtype(layout))
        });
        put(&safetensors::header_of(&infos.collect::<Vec<_>>(), "glass", 64)?)?;
        order.iter().try_for_each(|&i| put(backend.bytes(weights.get(i))))
    })?;
    let quantised = json!({"packed_by": "glass", "packing": packing.name()});
    save::write_texts(&mut aside, what, Some(quantised))?;
    aside.commit()
}

/// A parameter's shape in the file.
fn shape(spec: &Spec, layout: Layout) -> Vec<usize> {
    match layout {
        Layout::Rows if spec.is_vector() => vec![spec.cols],
        Layout::Rows => vec![spec.rows, spec.cols],
        Layout::Panels(packing) => packing.shape(spec.rows, spec.cols).to_vec(),
    }
}

/// What a parameter's numbers are in the file.
fn dtype(layout: Layout) -> ::safetensors::Dtype {
    match layout {
        Layout::Rows => ::safetensors::Dtype::F32,
        Layout::Panels(_) => ::safetensors::Dtype::U32,
    }
}

/// The block that a packed tensor is in.
pub(super) fn layer(name: &str) -> Option<usize> {
    name.strip_prefix("block.")?.split('.').next()?.parse().ok()
}

impl Folder {
    /// Refuses a file that does not hold exactly the parameters of `plan`, packed.
    pub(super) fn check_packed(&self, plan: &Plan, packing: Packing) -> Result<()> {
        for spec in &plan.specs {
            let layout = layout(spec, packing);
            let wrong = |why: String| Err(Error::invalid(self.tensors.file(), why));
            let Some(found) = self.tensors.get(&spec.name) else {
                return wrong(format!("tensor {:?} is missing; config.json promises it", spec.name));
            };
            let (expected, dtype) = (shape(spec, layout), dtype(layout).to_string());
            if found.tensor.shape != expected {
                let shape = short(&format!("{:?}", found.tensor.shape));
                let why = format!("tensor {:?} has shape {shape}; config.json makes it", spec.name);
                return wrong(format!("{why} {expected:?}"));
            }
            if found.tensor.dtype_name() != dtype {
                let has = found.tensor.dtype_name();
                return wrong(format!("tensor {:?} has dtype {has}; {dtype} was expected", spec.name));
            }
        }
        let known = |name: &&str| plan.specs.iter().any(|spec| spec.name == **name);
        match self.tensors.names().into_iter().find(|name| !known(name)) {
            Some(name) => {
                let why = format!("tensor {} is not known in a model of this shape", short(name));
                Err(Error::invalid(self.tensors.file(), why + "; are files mixed up?"))
            }
            None => Ok(()),
        }
    }

    /// A packed model's parameter as it stands.
    pub(super) fn stored(&self, spec: &Spec) -> Result<Stored> {
        self.tensors
            .stored(&spec.name)
            .ok_or_else(|| Error::invalid(self.tensors.file(), format!("tensor {:?} is missing", spec.name)))
    }

    /// A packed model's parameter, or some of its rows, as floats.
    pub(super) fn read_packed(&self, spec: &Spec, packing: Packing, into: &mut [f32]) -> Result<()> {
        let (stored, mut copy) = (self.stored(spec)?, Vec::new());
        let lanes = packing::lanes(&stored).unwrap_or_else(|| {
            copy.resize(stored.len() / 4, 0.0);
            packing::copy_lanes(&mut copy, &stored);
            &copy
        });
        match layout(spec, packing) {
            Layout::Rows => into.copy_from_slice(&lanes[spec.first * spec.cols..][..into.len()]),
            Layout::Panels(packing) => packing::unpack(into, lanes, packing, spec.cols, spec.first),
        }
        Ok(())
    }
}
