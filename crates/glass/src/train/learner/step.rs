//! Gradients of a step: of each of its batches, added up over all of them and over all ranks.

mod in_turn;

use std::ops::Range;

use crate::backend::{Backend, Tensor, Write};
use crate::memory::Memory;
use crate::model::{Back, DropoutState, Gpt, Pass};
use crate::plan::Spec;
use crate::train::learner::objective::{Objective, Sums3};
use crate::train::learner::pairs::{factors, judged, log_probabilities};
use crate::train::learner::pieces::is_within;
use crate::train::learner::shared::{Arrival, Shared};
use crate::train::learner::sums::{Leaf, Sums};
use crate::train::learner::teacher::Teacher;
use crate::train::learner::{Batch, Learner, Outcome, Step, all};
use crate::train::ranks::enough;
use crate::{Error, Result};

/// What becomes of the gradients of a batch.
#[derive(Clone, Copy)]
enum Then<'a> {
    /// They are left in the arena of its leaf, and added to others as that says. With the last one of this rank, what other ranks own
    /// is sent to them as soon as it is complete.
    Add(&'a Leaf, &'a Sums),
    /// They are sent to those who own them, as this rank's in a round, and added up there as the leaves of the step say.
    Divide(usize, &'a [Leaf]),
}

/// A step, as each of its batches needs it.
struct Taken<'a> {
    parts: &'a [Batch],
    step: &'a Step,
    /// The tokens or pairs of all batches that are counted.
    counted: usize,
}

impl Taken<'_> {
    /// What the gradient of each loss is multiplied by.
    fn scale(&self) -> f32 {
        1.0 / self.counted as f32
    }

    /// What this step computes of a model.
    fn computed(&self, gpt: &Gpt) -> Gpt {
        gpt.first_blocks(self.step.blocks().unwrap_or(gpt.depth()))
    }

    fn dropout(&self, batch: usize) -> Option<DropoutState> {
        let Step { dropout: rate, seed, step, .. } = *self.step;
        let first_sample = self.parts[..batch].iter().map(|part| part.lengths.len() as u32).sum();
        Some(DropoutState { rate, seed, step, first_sample })
    }
}

impl<B: Backend> Learner<B> {
    /// One step over all `parts`: their gradients are summed (accumulation), and the mean is over all counted
    /// tokens of the step, or over all its pairs. All ranks give the same parts, and each learns from its own.
    ///
    /// # Errors
    /// If no token is counted, if the batches are not what the objective needs, if memory is missing for sums of gradients, or if
    /// another rank has ended.
    pub fn step(&mut self, parts: &[Batch], step: &Step) -> Result<Outcome> {
        let objective = step.objective;
        parts.iter().try_for_each(|part| part.suits(&objective))?;
        if matches!(objective, Objective::Distil(_)) && self.teacher.is_none() {
            return Err(Error::invalid_argument("teacher", "there is none to learn from; give one"));
        }
        if matches!(objective, Objective::Preference(_)) {
            self.has_all_weights()?;
        }
        let counted = parts.iter().map(|part| part.counted_by(&objective)).sum();
        if counted == 0 {
            return Err(Error::invalid("batch", "no token is counted; at least one target must be counted"));
        }
        enough(
            &*self.shared.ranks,
            parts.iter().map(|part| part.lengths.len()).max().unwrap_or(0),
            parts.len(),
        )?;
        let taken = Taken { parts, step, counted };
        let losses = match self.shared.divides_gradients() {
            true => self.divided_sums(&taken)?,
            false => self.sums(&taken)?,
        };
        let square = |spec: &Spec| match is_within(spec, step.blocks(), self.gpt.config.layers) {
            true => self.backend.square_sum(&self.arenas[0], spec.span.clone()),
            false => 0.0,
        };
        let squares: Vec<f64> = self.shared.pieces.own.iter().map(square).collect();
        let (losses, squares) = self.shared.gather(parts.len(), &losses, &squares)?;
        let norm = squares.iter().sum::<f64>().sqrt();
        let sums = [0, 1, 2].map(|which| losses.iter().map(|sums| sums[which]).sum());
        let (loss, details) = objective.means(sums, counted);
        let outcome = Outcome { loss, details, counted, norm };
        if outcome.finite() {
            self.update(step, norm);
            if !self.shared.is_alone() && !self.shared.divides_weights() {
                self.shared.exchange_pieces(&*self.backend, &mut self.weights.values)?;
            }
        }
        Ok(outcome)
    }

    /// Adds up the gradients of this rank's batches, and those of all ranks where they are owned. Returns what the objective measures
    /// of each of this rank's batches.
    fn sums(&mut self, taken: &Taken<'_>) -> Result<Vec<Sums3>> {
        let sums = self.shared.sums(taken.parts.len());
        self.make_arenas(sums.arenas())?;
        let mut told = Vec::with_capacity(sums.own.len());
        for leaf in &sums.own {
            told.push(self.gradients(taken, leaf.batch, Then::Add(leaf, &sums))?);
        }
        if !self.shared.is_alone() {
            for bucket in 0..self.shared.pieces.buckets.len() {
                self.shared.end_gradients(&*self.backend, &mut self.arenas, &sums, bucket)?;
            }
        }
        Ok(told)
    }

    /// The same where every rank keeps gradients of its own pieces only.
    fn divided_sums(&mut self, taken: &Taken<'_>) -> Result<Vec<Sums3>> {
        let (batches, size, rank) = (taken.parts.len(), self.shared.ranks.size(), self.shared.ranks.rank());
        let leaves = self.shared.leaves(batches);
        self.make_arenas(leaves.iter().map(|leaf| leaf.arena + 1).max().unwrap_or(1))?;
        if self.passing.is_none() {
            self.passing = Some(self.backend.arena(self.weights.plan.len())?);
        }
        let mut told = Vec::new();
        for round in 0..batches.div_ceil(size) {
            let batch = Some(round * size + rank).filter(|batch| *batch < batches);
            told.extend(match (batch, self.shared.divides_weights()) {
                (_, true) => self.gradients_in_turn(taken, batch, round, &leaves)?,
                (Some(batch), _) => Some(self.gradients(taken, batch, Then::Divide(round, &leaves))?),
                (None, _) => {
                    self.follow_gradients(round, &leaves)?;
                    None
                }
            });
        }
        let (mut arrival, shared) = self.arrival(&leaves);
        shared.arrive_all_but(0, &mut arrival)?;
        Ok(told)
    }

    /// Takes part in a round in which this rank has no batch.
    fn follow_gradients(&mut self, round: usize, leaves: &[Leaf]) -> Result<()> {
        let (mut arrival, shared) = self.arrival(leaves);
        (0..shared.pieces.buckets.len())
            .try_for_each(|bucket| shared.divide(&mut arrival, None, round, bucket))
    }

    fn make_arenas(&mut self, count: usize) -> Result<()> {
        while self.arenas.len() < count {
            self.arenas.push(self.backend.arena(self.weights.plan.len())?);
        }
        Ok(())
    }

    /// Where what other ranks send arrives.
    fn arrival<'a>(&'a mut self, leaves: &'a [Leaf]) -> (Arrival<'a, B>, &'a mut Shared) {
        let weights = Some(&mut self.weights.values).filter(|_| self.shared.divides_weights());
        let arrival = Arrival { backend: &*self.backend, sums: &mut self.arenas, leaves, weights };
        (arrival, &mut self.shared)
    }

    /// Forward and backward pass over one of a step's batches; `then` says what becomes of its gradients. Returns the sums of the
    /// objective.
    fn gradients(&mut self, taken: &Taken<'_>, batch: usize, then: Then<'_>) -> Result<Sums3> {
        let (part, dropout) = (&taken.parts[batch], taken.dropout(batch));
        let spans = part.spans();
        let (backend, gpt, shared) = (&*self.backend, &taken.computed(&self.gpt), &mut self.shared);
        let (memory, d, logits) = (&mut self.memory, &mut self.d, &mut self.logits);
        let weights = all(&self.base, &self.weights);
        let (below, grads) = match then {
            Then::Add(leaf, _) => {
                let (below, above) = self.arenas.split_at_mut(leaf.arena);
                (below, &mut above[0])
            }
            Then::Divide(..) => (&mut self.arenas[..], self.passing.as_mut().expect("made with the step")),
        };
        let adds = matches!(then, Then::Add(leaf, _) if leaf.adds);
        if matches!(then, Then::Add(..)) && !adds {
            // The gradients of hidden matrices from an earlier part are overwritten.
            for spec in self.weights.plan.specs.iter().filter(|spec| !spec.is_hidden_matrix) {
                backend.clear(grads, spec.span.clone());
            }
        }
        let gradient = if adds { Write::Add } else { Write::Set };
        let mut pass = Pass { backend, weights, spans: &spans, output_rows: None, dropout, probe: () };
        let mut back =
            Back { backend, weights, grads: Some(grads), gradient, spans: &spans, dropout, each: 1 };
        let mut done = Ok(());
        let mut complete = |bucket: usize, grads: &mut B::Buffer| match then {
            _ if done.is_err() => {}
            Then::Add(leaf, sums) => {
                merge(backend, &shared.pieces.spans(bucket), below, grads, leaf);
                if !shared.is_alone() && sums.own.last() == Some(leaf) {
                    let arena = |node: usize| below.get(node).unwrap_or(grads);
                    done = shared.begin_gradients(backend, &arena, sums, bucket);
                }
            }
            Then::Divide(round, leaves) => {
                let mut arrival = Arrival { backend, sums: &mut *below, leaves, weights: None };
                done = shared.divide(&mut arrival, Some(grads), round, bucket);
            }
        };
        self.cache.lay_out(&part.lengths);
        gpt.forward(&mut pass, &part.inputs, memory, &mut self.cache);
        let teacher = self.teacher.as_mut();
        let told = learn(gpt, &mut pass, &mut back, (&mut *memory, &mut *d, logits), teacher, part, taken);
        let layers = gpt.config.layers;
        gpt.backward(&mut back, &part.inputs, memory, &mut self.cache, d, &mut |layer, grads, _, _| {
            if let Some(grads) = grads {
                // Nothing is missing in the buckets of blocks that are left out either.
                let first = if layer == gpt.depth() { 0 } else { layers - layer };
                (first..=layers - layer).for_each(|bucket| complete(bucket, grads));
            }
        });
        if let Some(grads) = back.grads {
            complete(layers + 1, grads);
        }
        done.map(|()| told)
    }
}

/// What the objective measures of a batch that went forward; its gradient is left in the second memory.
fn learn<B: Backend>(
    gpt: &Gpt,
    pass: &mut Pass<'_, B, ()>,
    back: &mut Back<'_, B>,
    (memory, d, logits): (&mut Memory<B>, &mut Memory<B>, &mut Tensor<B>),
    teacher: Option<&mut Teacher<B>>,
    part: &Batch,
    taken: &Taken<'_>,
) -> Sums3 {
    let scale = taken.scale();
    match &taken.step.objective {
        Objective::NextToken => {
            let learn = Some((back, d, &(|_: usize| scale) as &dyn Fn(usize) -> f32));
            let loss = gpt.loss(pass, memory, &part.targets, logits, &mut |_, _| {}, learn);
            [loss, 0.0, 0.0]
        }
        Objective::Distil(distil) => {
            // There is one: the step was refused otherwise.
            let Some(teacher) = teacher else { return [f64::NAN; 3] };
            let (mut lesson, teaching) =
                (teacher.lesson(pass.backend, pass.spans, part, distil), distil.teaching());
            let learn = Some((back, d, scale));
            let sums = gpt.taught_loss(pass, memory, &part.targets, logits, &mut lesson, &teaching, learn);
            lesson.keep();
            distil.sums(sums)
        }
        Objective::Preference(preference) => {
            let probable = log_probabilities(gpt, pass, memory, part, logits);
            let (told, slopes) = judged(preference, part, &probable);
            let factors = factors(part, &slopes, scale);
            let learn = Some((back, d, &(|row: usize| factors[row]) as &dyn Fn(usize) -> f32));
            gpt.loss(pass, memory, &part.targets, logits, &mut |_, _| {}, learn);
            told
        }
    }
}

/// Adds spans of an arena to the one below it, that to the next below, and so on, as a leaf says.
fn merge<B: Backend>(
    backend: &B,
    spans: &[Range<usize>],
    below: &mut [B::Buffer],
    grads: &B::Buffer,
    leaf: &Leaf,
) {
    for merged in 0..leaf.merges {
        let (lower, upper) = below.split_at_mut(leaf.arena - merged);
        let from = upper.first().unwrap_or(grads);
        if let Some(into) = lower.last_mut() {
            spans.iter().for_each(|span| backend.add_span(into, from, span.clone()));
        }
    }
}
