//! What a pass forward and a pass backward carry with them.

use std::ops::Range;

use crate::backend::{Backend, Dense, Dropout, Span, Tensor, Weight, Write};
use crate::plan::Param;
use crate::probe::{Did, Probe, Site, Want};
use crate::weights::{Trainable, Weights};

/// Dropout in one step: every site draws its own masks from it.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    /// The share that is dropped.
    pub rate: f32,
    /// The run's seed.
    pub seed: u64,
    /// The step.
    pub step: u64,
    /// The step's number of the sample in slot 0.
    pub first_sample: u32,
}

impl Chance {
    fn at(chance: Option<Chance>, site: u64) -> Option<Dropout> {
        let c = chance.filter(|c| c.rate > 0.0)?;
        Some(Dropout { rate: c.rate, key: Dropout::key(c.seed, c.step, site), first_sample: c.first_sample })
    }
}

/// A pass forward: the machine, the numbers, whose rows they are, and who looks.
pub struct Pass<'a, B: Backend, P> {
    /// The machine.
    pub backend: &'a B,
    /// The numbers.
    pub weights: Weights<'a, B>,
    /// Which rows are whose.
    pub spans: &'a [Span],
    /// Dropout, while learning.
    pub chance: Option<Chance>,
    /// Who looks; `()` for nobody.
    pub probe: P,
}

impl<'a, B: Backend, P: Probe> Pass<'a, B, P> {
    /// A parameter's numbers.
    pub fn weight(&self, param: Param) -> Weight<'a, B> {
        self.weights.get(param)
    }

    /// What the probe wants of a site.
    #[inline(always)]
    pub fn wants(&self, site: Site) -> Want {
        if P::ACTIVE { self.probe.wants(site) } else { Want::No }
    }

    /// Shows a site to the probe, where it wants it.
    #[inline(always)]
    pub fn at(&mut self, site: Site, tensor: &mut Tensor<B>) {
        if self.wants(site) != Want::No {
            self.show(site, tensor);
        }
    }

    fn show(&mut self, site: Site, tensor: &mut Tensor<B>) {
        let mut host = vec![0.0; tensor.len()];
        self.backend.read(&tensor.data, 0, &mut host);
        let did = self.probe.at(site, tensor.rows, tensor.cols, &mut host);
        if did == Did::Edited && self.wants(site) == Want::Edit {
            self.backend.write(&mut tensor.data, 0, &host);
        }
    }

    /// The dropout of a site, while learning.
    pub fn dropout(&self, site: u64) -> Option<Dropout> {
        Chance::at(self.chance, site)
    }

    /// Drops entries of a branch, while learning.
    pub fn drop(&self, branch: &mut Tensor<B>, site: u64) {
        if let Some(dropout) = self.dropout(site) {
            self.backend.dropout(branch, self.spans, dropout);
        }
    }
}

/// A pass backward: the trainable weights, and where their gradients go.
pub struct Back<'a, B: Backend> {
    /// The machine.
    pub backend: &'a B,
    /// The weights the forward used.
    pub weights: &'a Trainable<B>,
    /// Their gradients.
    pub grads: &'a mut B::Buffer,
    /// Whether the gradients of hidden matrices replace what is there, as in the first part of a step; all others are
    /// added to it.
    pub gradient: Write,
    /// Which rows are whose.
    pub spans: &'a [Span],
    /// The forward's dropout.
    pub chance: Option<Chance>,
}

impl<'a, B: Backend> Back<'a, B> {
    /// A pass forward over the same rows, with the same weights and dropout: what was not kept is made anew.
    pub fn pass(&self) -> Pass<'a, B, ()> {
        let (backend, weights) = (self.backend, Weights::Trainable(self.weights));
        Pass { backend, weights, spans: self.spans, chance: self.chance, probe: () }
    }

    /// A parameter's numbers.
    pub fn weight(&self, param: Param) -> Dense<'a, B> {
        self.weights.get(param)
    }

    /// A parameter's place in the arenas.
    pub fn span(&self, param: Param) -> Range<usize> {
        self.weights.plan.spec(param).span.clone()
    }

    /// The forward's dropout at a site.
    pub fn dropout(&self, site: u64) -> Option<Dropout> {
        Chance::at(self.chance, site)
    }

    /// Drops the entries of a gradient that the forward dropped.
    pub fn drop(&self, d: &mut Tensor<B>, site: u64) {
        if let Some(dropout) = self.dropout(site) {
            self.backend.dropout(d, self.spans, dropout);
        }
    }
}
