//! The context of a forward and of a backward pass.

use std::ops::Range;

use crate::backend::{Backend, Dense, Dropout, Grads, Span, Tensor, Weight, Write};
use crate::plan::Param;
use crate::probe::{Did, Probe, Site, View, Want};
use crate::weights::{Trainable, Weights};

/// The state of dropout in one step, from which every site computes its masks.
#[derive(Clone, Copy, Debug)]
pub struct DropoutState {
    /// The share that is dropped.
    pub rate: f32,
    /// The run's seed.
    pub seed: u64,
    /// The step.
    pub step: u64,
    /// Index, within the step, of the sample in slot 0.
    pub first_sample: u32,
}

impl DropoutState {
    pub(super) fn at(dropout: Option<DropoutState>, site: u64) -> Option<Dropout> {
        let c = dropout.filter(|c| c.rate > 0.0)?;
        Some(Dropout { rate: c.rate, key: Dropout::key(c.seed, c.step, site), first_sample: c.first_sample })
    }
}

/// A forward pass: the back end, the weights, the sequences that the rows belong to, and the probe.
pub struct Pass<'a, B: Backend, P> {
    /// The back end.
    pub backend: &'a B,
    /// The weights.
    pub weights: Weights<'a, B>,
    /// Which rows belong to which sequence.
    pub spans: &'a [Span],
    /// If only some of the last rows of each span are wanted: those rows, as spans, at least one row of each. In the last block,
    /// keys and values are computed for all rows; after that the pass continues with these rows only.
    pub output_rows: Option<&'a [Span]>,
    /// Dropout, while training.
    pub dropout: Option<DropoutState>,
    /// The probe; `()` for none.
    pub probe: P,
}

impl<'a, B: Backend, P: Probe> Pass<'a, B, P> {
    /// A parameter's numbers.
    pub fn weight(&self, param: Param) -> Weight<'a, B> {
        self.weights.get(param)
    }

    /// The most that the probe wants of a site, over all sequences.
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

    /// Shows the rows of a site to the probe if it wants them.
    #[inline(always)]
    pub fn at(&mut self, site: Site, tensor: &mut Tensor<B>) {
        if self.wants(site) != Want::No {
            for span in self.spans {
                self.show(site, tensor, span.slot, span.past, span.rows.clone());
            }
        }
    }

    /// Shows rows of logits; `rows` are their rows in the pass.
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

    /// Shows rows of one sequence.
    fn show(&mut self, site: Site, tensor: &mut Tensor<B>, slot: usize, position: usize, rows: Range<usize>) {
        let view = View { site, slot, position, rows: rows.len(), cols: tensor.cols };
        let span = rows.start * tensor.cols..rows.end * tensor.cols;
        self.show_values(view, &mut tensor.data, span);
    }

    /// Shows numbers of one sequence in any buffer, and returns whether the probe changed them.
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

    /// The dropout of a site, while training.
    pub fn dropout(&self, site: u64) -> Option<Dropout> {
        DropoutState::at(self.dropout, site)
    }

    /// Applies dropout to a branch, while training.
    pub fn drop(&self, branch: &mut Tensor<B>, site: u64) {
        if let Some(dropout) = self.dropout(site) {
            self.backend.dropout(branch, self.spans, dropout);
        }
    }
}

/// A backward pass: the weights, their gradients if they are wanted, and how many gradients every row has.
pub struct Back<'a, B: Backend> {
    /// The back end.
    pub backend: &'a B,
    /// The weights the forward used.
    pub weights: &'a Trainable<B>,
    /// Their gradients; `None` if only those of activations are wanted.
    pub grads: Option<&'a mut B::Buffer>,
    /// Whether the gradients of hidden matrices overwrite the buffer, as in the first part of a step. All others are added to
    /// it.
    pub gradient: Write,
    /// Which rows belong to which sequence.
    pub spans: &'a [Span],
    /// The forward's dropout.
    pub dropout: Option<DropoutState>,
    /// Gradients of every row: 1 in training. If there are more, those of a row are neighbours, the pass has one sequence
    /// and neither dropout nor gradients of weights, and the first rows of the sequence may have none.
    pub each: usize,
}

impl<'a, B: Backend> Back<'a, B> {
    /// A forward pass over the same rows, with the same weights and dropout, to recompute what was not kept.
    pub fn pass(&self) -> Pass<'a, B, ()> {
        let (backend, weights) = (self.backend, Weights::Trainable(self.weights));
        Pass { backend, weights, spans: self.spans, output_rows: None, dropout: self.dropout, probe: () }
    }

    /// A parameter's numbers.
    pub fn weight(&self, param: Param) -> Dense<'a, B> {
        self.weights.get(param)
    }

    /// A parameter's span in the arenas.
    pub fn span(&self, param: Param) -> Range<usize> {
        self.weights.plan.spec(param).span.clone()
    }

    /// Where the gradients of a weight and its bias are written, if they are wanted.
    pub fn grads(&mut self, weight: Param, bias: Option<Param>) -> Option<Grads<'_, B>> {
        let (weight, bias) = (self.span(weight), bias.map(|bias| self.span(bias)));
        self.grads.as_deref_mut().map(|arena| Grads { arena, weight, bias })
    }

    /// The forward's dropout at a site.
    pub fn dropout(&self, site: u64) -> Option<Dropout> {
        DropoutState::at(self.dropout, site)
    }

    /// Zeroes the entries of a gradient that the forward dropped.
    pub fn drop(&self, d: &mut Tensor<B>, site: u64) {
        if let Some(dropout) = self.dropout(site) {
            self.backend.dropout(d, self.spans, dropout);
        }
    }
}
