//! What a pass forward and a pass backward carry with them.

use std::ops::Range;

use crate::backend::{Backend, Dense, Dropout, Span, Tensor, Weight, Write};
use crate::plan::Param;
use crate::probe::{Did, Probe, Site, View, Want};
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
    /// Where only what follows the last row of each span is wanted: those rows alone, as spans of one row each. Behind the last
    /// block's keys and values nothing is computed of the others, and the pass goes on with these as its spans.
    pub ends: Option<&'a [Span]>,
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

    /// The most that the probe wants of a site, of any sequence.
    #[inline(always)]
    pub fn wants(&self, site: Site) -> Want {
        if P::ACTIVE { self.most_wanted(site) } else { Want::No }
    }

    fn most_wanted(&self, site: Site) -> Want {
        let wants = |span: &Span| self.probe.wants(site, span.slot);
        let most = |most: Want, want: Want| match (most, want) {
            (Want::Edit, _) | (_, Want::No) => most,
            _ => want,
        };
        self.spans.iter().map(wants).fold(Want::No, most)
    }

    /// Shows the rows of a site to the probe, where it wants them.
    #[inline(always)]
    pub fn at(&mut self, site: Site, tensor: &mut Tensor<B>) {
        if self.wants(site) != Want::No {
            for span in self.spans {
                self.show(site, tensor, span.slot, span.past, span.rows.clone());
            }
        }
    }

    /// Shows rows of logits, each `row` of the pass.
    #[inline(always)]
    pub fn at_rows(&mut self, site: Site, tensor: &mut Tensor<B>, rows: &[u32]) {
        if self.wants(site) != Want::No {
            let mut at = 0;
            for span in self.spans {
                let inside = |row: &&u32| span.rows.contains(&(**row as usize));
                let count = rows[at..].iter().take_while(inside).count();
                if count > 0 {
                    let position = span.past + rows[at] as usize - span.rows.start;
                    self.show(site, tensor, span.slot, position, at..at + count);
                }
                at += count;
            }
        }
    }

    /// Rows of one sequence. Whether they were changed.
    fn show(&mut self, site: Site, tensor: &mut Tensor<B>, slot: usize, position: usize, rows: Range<usize>) {
        let view = View { site, slot, position, rows: rows.len(), cols: tensor.cols };
        let span = rows.start * tensor.cols..rows.end * tensor.cols;
        self.show_values(view, &mut tensor.data, span);
    }

    /// Numbers of one sequence, wherever they stand. Whether they were changed.
    pub fn show_values(&mut self, view: View, buffer: &mut B::Buffer, span: Range<usize>) -> Did {
        match self.probe.wants(view.site, view.slot) {
            Want::No => Did::Looked,
            Want::Look => {
                self.probe.look(view, &self.backend.view(buffer, span));
                Did::Looked
            }
            Want::Edit => {
                let mut values = self.backend.view(buffer, span.clone()).into_owned();
                let did = self.probe.edit(view, &mut values);
                if did == Did::Edited {
                    self.backend.write(buffer, span.start, &values);
                }
                did
            }
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
        Pass { backend, weights, spans: self.spans, ends: None, chance: self.chance, probe: () }
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
