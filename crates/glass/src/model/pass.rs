//! The context of a forward and of a backward pass.

use std::ops::Range;

use crate::backend::{Activation, Backend, Dense, Dropout, Grads, Span, Tensor, Weight, Write};
use crate::plan::Param;
use crate::probe::{Did, Probe, Site, View, Want};
use crate::weights::Weights;
use crate::weights::adapter::{AdapterRef, Adapters};

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

    /// Of a matrix's inputs, as an adapter sees them.
    fn of_inputs<B: Backend>(
        dropout: Option<DropoutState>,
        adapter: AdapterRef<'_, B>,
        param: Param,
    ) -> Option<Dropout> {
        let rate = adapter.plan.dropout;
        Self::at(dropout.map(|state| DropoutState { rate, ..state }), ADAPTERS + param.index() as u64)
    }
}

/// Dropout sites of the model itself have smaller numbers than those of adapters.
const ADAPTERS: u64 = 1 << 32;

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

    /// Whether an adapter changes a matrix for some row.
    pub fn is_adapted(&self, param: Param) -> bool {
        match self.weights {
            Weights::Adapted(_, Adapters::One(adapter)) => adapter.of(param).is_some(),
            Weights::Adapted(_, Adapters::BySlot(adapters)) => {
                let changes = |span: &Span| adapters[span.slot].as_ref()?.lend().of(param);
                self.spans.iter().any(|span| changes(span).is_some())
            }
            _ => false,
        }
    }

    /// Adds to the product of a matrix what adapters change, and then applies the activation. Of every row of the pass, x and y have
    /// `each`.
    pub fn adapt(
        &self,
        y: &mut Tensor<B>,
        x: &Tensor<B>,
        param: Param,
        activation: Option<Activation>,
        each: usize,
    ) {
        match self.weights {
            Weights::Adapted(_, Adapters::One(adapter)) => {
                let dropout =
                    DropoutState::of_inputs(self.dropout, adapter, param).map(|drop| (drop, self.spans));
                if let Some(change) = adapter.of(param) {
                    self.backend.low_rank(y, x, 0..x.rows, change, dropout);
                }
            }
            Weights::Adapted(_, Adapters::BySlot(adapters)) => {
                for Span { rows, slot, .. } in self.spans {
                    let change = adapters[*slot].as_ref().and_then(|adapter| adapter.lend().of(param));
                    if let Some(change) = change {
                        self.backend.low_rank(y, x, rows.start * each..rows.end * each, change, None);
                    }
                }
            }
            _ => {}
        }
        if let Some(kind) = activation {
            self.backend.activate_in_place(y, kind);
        }
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
    pub weights: Weights<'a, B>,
    /// Gradients of what is trained, all weights or one adapter; `None` if only those of activations are wanted.
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
        let (backend, weights) = (self.backend, self.weights);
        Pass { backend, weights, spans: self.spans, output_rows: None, dropout: self.dropout, probe: () }
    }

    /// A parameter's numbers.
    pub fn weight(&self, param: Param) -> Weight<'a, B> {
        self.weights.get(param)
    }

    /// The numbers of a matrix through which many gradients of a row flow.
    ///
    /// # Panics
    /// If weights are packed.
    pub fn dense(&self, param: Param) -> Dense<'a, B> {
        match self.weights {
            Weights::Trainable(weights) => weights.get(param),
            _ => panic!("many gradients of a row flow through floats only"),
        }
    }

    /// Where the gradients of a weight and its bias are written, if they are wanted.
    pub fn grads(&mut self, weight: Param, bias: Option<Param>) -> Option<Grads<'_, B>> {
        let Weights::Trainable(weights) = self.weights else { return None };
        let span = |param: Param| weights.plan.spec(param).span.clone();
        self.grads.as_deref_mut().map(|arena| Grads { arena, weight: span(weight), bias: bias.map(span) })
    }

    /// The gradients of what an adapter changes in a matrix, and what flows back through it: dy → dx (added to).
    pub fn adapt(&mut self, dx: &mut Tensor<B>, dy: &Tensor<B>, x: &Tensor<B>, param: Param) {
        let Weights::Adapted(_, Adapters::One(adapter)) = self.weights else { return };
        let Some(change) = adapter.of(param) else { return };
        let dropout = DropoutState::of_inputs(self.dropout, adapter, param).map(|drop| (drop, self.spans));
        if let Some(grads) = self.grads.as_deref_mut() {
            self.backend.low_rank_backward(dx, (grads, self.gradient), dy, x, change, dropout);
        }
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
