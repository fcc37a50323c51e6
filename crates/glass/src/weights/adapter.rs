//! Low-rank adapters (Hu et al. 2021, "LoRA"): a change `scale · B A` of chosen matrices, learned while the model itself stays as
//! it is.

pub mod file;

use std::sync::Arc;

use super::Trainable;
use crate::Result;
use crate::backend::{Backend, Dense, LowRank};
use crate::plan::{Param, Plan, Spec, Start};

/// The change of one matrix: its two parameters in the adapter's plan, and what their product is multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// A, `[rank, inputs]`.
    pub a: Param,
    /// B transposed, `[rank, outputs]`.
    pub b: Param,
    /// What the product is multiplied by.
    pub scale: f32,
}

/// Which matrices an adapter changes, and the plan of its own parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterPlan {
    /// The adapter's parameters, `….lora_a` and `….lora_b` of every matrix that it changes.
    pub plan: Arc<Plan>,
    /// By the index of the model's parameter.
    pairs: Vec<Option<Pair>>,
    /// The share of a matrix's inputs that A does not see, while training.
    pub dropout: f32,
}

impl AdapterPlan {
    /// For the matrices of `model` for which `choose` gives a rank and a scale.
    pub fn new(
        model: &Plan,
        dropout: f32,
        mut choose: impl FnMut(&Spec) -> Option<(usize, f32)>,
    ) -> AdapterPlan {
        let mut plan = Plan::default();
        let mut pair = |spec: &Spec| {
            let (rank, scale) = choose(spec).filter(|_| spec.is_hidden_matrix)?;
            let layer = spec.name.strip_suffix(".weight").unwrap_or(&spec.name);
            Some(plan.within(layer, |p| Pair {
                a: p.matrix("lora_a", rank, spec.cols, Start::Uniform),
                b: p.matrix("lora_b", rank, spec.rows, Start::Zero),
                scale,
            }))
        };
        let pairs = model.specs.iter().map(&mut pair).collect();
        AdapterPlan { plan: Arc::new(plan), pairs, dropout }
    }

    /// The change of parameter number `index` of the model, if it changes that.
    pub fn pair(&self, index: usize) -> Option<Pair> {
        self.pairs.get(index).copied().flatten()
    }

    /// The indices of the model's parameters that it changes.
    pub fn changed(&self) -> impl Iterator<Item = usize> {
        self.pairs.iter().enumerate().filter(|(_, pair)| pair.is_some()).map(|(index, _)| index)
    }
}

/// An adapter.
pub struct Adapter<B: Backend> {
    /// Its plan.
    pub plan: AdapterPlan,
    /// Its numbers.
    pub weights: Trainable<B>,
}

impl<B: Backend> Adapter<B> {
    /// An adapter that changes nothing yet.
    ///
    /// # Errors
    /// If there is too little memory.
    pub fn zeros(backend: &B, plan: AdapterPlan) -> Result<Self> {
        Ok(Adapter { weights: Trainable::zeros(backend, plan.plan.clone())?, plan })
    }

    /// One that was read.
    ///
    /// # Errors
    /// If there is too little memory.
    pub fn load(backend: &B, stored: &file::Stored) -> Result<Self> {
        let mut adapter = Adapter::zeros(backend, stored.plan.clone())?;
        backend.write(&mut adapter.weights.values, 0, &stored.values);
        Ok(adapter)
    }

    /// As passes take it.
    pub fn lend(&self) -> AdapterRef<'_, B> {
        AdapterRef { plan: &self.plan, weights: &self.weights }
    }
}

/// An adapter as a pass reads it.
pub struct AdapterRef<'a, B: Backend> {
    /// Its plan.
    pub plan: &'a AdapterPlan,
    /// Its numbers.
    pub weights: &'a Trainable<B>,
}

impl<B: Backend> Clone for AdapterRef<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for AdapterRef<'_, B> {}

impl<'a, B: Backend> AdapterRef<'a, B> {
    /// The change of a parameter of the model, if it changes that.
    pub fn of(&self, param: Param) -> Option<LowRank<'a, B>> {
        let Pair { a, b, scale } = self.plan.pair(param.index())?;
        let [a, b]: [Dense<'a, B>; 2] = [a, b].map(|param| self.weights.get(param));
        Some(LowRank { a, b, scale })
    }
}

/// The adapters of a pass.
pub enum Adapters<'a, B: Backend> {
    /// The same for all rows.
    One(AdapterRef<'a, B>),
    /// For each slot its own, or none.
    BySlot(&'a [Option<Arc<Adapter<B>>>]),
}

impl<B: Backend> Clone for Adapters<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Adapters<'_, B> {}
