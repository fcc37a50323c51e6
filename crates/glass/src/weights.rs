//! The weights in memory, and the files they are read from.

pub mod adapter;
mod checkpoint;
mod copy;
pub mod dtype;
mod fit;
pub mod folder;
pub mod generation;
pub mod gguf;
pub mod initialise;
mod llm_c;
mod members;
pub mod names;
mod nanogpt;
pub mod packed;
mod pickle;
pub mod place;
pub mod safetensors;
pub mod save;
pub(crate) mod source;
mod template;
pub mod tensors;
mod torch;
pub mod vocabulary;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use glass_kernels::packing::Quants;

use crate::Result;
use crate::backend::{Backend, Dense, Packing, Weight};
use crate::plan::{Param, Plan, Spec};
use adapter::Adapters;
use folder::{Folder, Form};

/// Reads one parameter, or [some](Spec::some) rows of one, row-major, from wherever it is stored.
pub type Read<'a> = dyn Fn(&Spec, &mut [f32]) -> Result<()> + 'a;

/// Weights for training: one flat f32 arena with the plan's names.
pub struct Trainable<B: Backend> {
    /// The plan of these weights.
    pub plan: Arc<Plan>,
    /// The arena.
    pub values: B::Buffer,
}

impl<B: Backend> Trainable<B> {
    /// All zeros.
    pub fn zeros(backend: &B, plan: Arc<Plan>) -> Result<Self> {
        Ok(Trainable { values: backend.arena(plan.len())?, plan })
    }

    /// A parameter as an operand.
    pub fn get(&self, param: Param) -> Dense<'_, B> {
        let spec = self.plan.spec(param);
        Dense { arena: &self.values, span: spec.span.clone(), rows: spec.rows, cols: spec.cols }
    }
}

/// How many weights are read from a mapped file before its memory is released.
const FORGET: usize = 2 << 20;

/// Weights for running: every parameter in the back end's own layout.
pub struct Frozen<B: Backend> {
    params: Vec<B::Packed>,
}

impl<B: Backend> Frozen<B> {
    /// Packs every parameter of `plan`, one after another.
    pub fn load(backend: &B, plan: &Plan, packing: Packing, read: &Read<'_>) -> Result<Self> {
        let pack = |spec: &Spec| {
            let read = |rows: Range<usize>, into: &mut [f32]| read(&spec.some(rows), into);
            backend.pack(&read, spec.rows, spec.cols, packed::layout(spec, packing))
        };
        Ok(Frozen { params: plan.specs.iter().map(pack).collect::<Result<_>>()? })
    }

    /// Opens a model's parameters with as many bits as its files have, without the change of an adapter; `folder` must have been
    /// checked against `plan`.
    pub fn open(backend: &B, plan: &Plan, folder: &Folder) -> Result<Self> {
        // What was read of a mapped file is released now and then: otherwise a large matrix would be in memory twice.
        let read = AtomicUsize::new(0);
        let passed = |weights: usize| {
            let before = read.fetch_add(weights, Relaxed);
            if before / FORGET < (before + weights) / FORGET {
                folder.forget();
            }
        };
        let open = |spec: &Spec| match folder.form(spec)? {
            Form::Stored(layout) => backend.adopt(folder.stored(spec)?, spec.rows, spec.cols, layout),
            Form::Quants(packing) => {
                let quants = folder.quants(spec)?;
                let quants = |row: usize, into: &mut [Quants]| {
                    quants(row, into);
                    passed(spec.cols);
                };
                backend.pack_quants(&quants, spec.rows, spec.cols, packing)
            }
            Form::Floats(layout) => {
                let read = |rows: Range<usize>, into: &mut [f32]| {
                    folder.read_own(&spec.some(rows), into)?;
                    passed(into.len());
                    Ok(())
                };
                backend.pack(&read, spec.rows, spec.cols, layout)
            }
        };
        Ok(Frozen { params: plan.specs.iter().map(open).collect::<Result<_>>()? })
    }

    /// The number of parameters.
    pub fn len(&self) -> usize {
        self.params.len()
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// A parameter in its layout.
    pub fn get(&self, index: usize) -> &B::Packed {
        &self.params[index]
    }
}

/// Either kind, as the forward pass takes it.
pub enum Weights<'a, B: Backend> {
    /// For training.
    Trainable(&'a Trainable<B>),
    /// For running.
    Frozen(&'a Frozen<B>),
    /// The same, with changes of some matrices.
    Adapted(&'a Frozen<B>, Adapters<'a, B>),
}

impl<B: Backend> Clone for Weights<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Weights<'_, B> {}

impl<'a, B: Backend> Weights<'a, B> {
    /// A parameter as an operand.
    pub fn get(&self, param: Param) -> Weight<'a, B> {
        match *self {
            Weights::Trainable(weights) => Weight::Dense(weights.get(param)),
            Weights::Frozen(weights) | Weights::Adapted(weights, _) => {
                Weight::Packed(weights.get(param.index()))
            }
        }
    }
}
