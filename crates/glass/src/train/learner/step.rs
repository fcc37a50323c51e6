//! Gradients of a step: of each of its batches, added up over all of them and over all ranks.

use std::ops::Range;

use crate::backend::{Backend, Write};
use crate::model::{Back, DropoutState, Pass};
use crate::plan::Spec;
use crate::train::learner::objective::{Objective, Sums3};
use crate::train::learner::pairs::{factors, judged, log_probabilities};
use crate::train::learner::sums::{Leaf, Sums};
use crate::train::learner::{Batch, Learner, Outcome, Step, all};
use crate::train::ranks::enough;
use crate::{Error, Result};

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
        let counted = parts.iter().map(|part| part.counted_by(&objective)).sum();
        if counted == 0 {
            return Err(Error::invalid("batch", "no token is counted; at least one target must be counted"));
        }
        enough(
            &*self.shared.ranks,
            parts.iter().map(|part| part.lengths.len()).max().unwrap_or(0),
            parts.len(),
        )?;
        let sums = self.shared.sums(parts.len());
        while self.arenas.len() < sums.arenas() {
            self.arenas.push(self.backend.zeros(self.weights.plan.len())?);
        }
        let mut losses = Vec::with_capacity(sums.own.len());
        for leaf in &sums.own {
            let before = &parts[..leaf.batch];
            let first_sample = before.iter().map(|part| part.lengths.len() as u32).sum();
            let dropout = DropoutState { rate: step.dropout, seed: step.seed, step: step.step, first_sample };
            let scale = 1.0 / counted as f32;
            losses.push(self.gradients(&parts[leaf.batch], dropout, &objective, leaf, &sums, scale)?);
        }
        if !self.shared.is_alone() {
            for bucket in 0..self.shared.pieces.buckets.len() {
                self.shared.end_gradients(&*self.backend, &mut self.arenas, &sums, bucket)?;
            }
        }
        let square = |spec: &Spec| self.backend.square_sum(&self.arenas[0], spec.span.clone());
        let squares: Vec<f64> = self.shared.pieces.own.iter().map(square).collect();
        let (losses, squares) = self.shared.gather(parts.len(), &losses, &squares)?;
        let norm = squares.iter().sum::<f64>().sqrt();
        let sums = [0, 1, 2].map(|which| losses.iter().map(|sums| sums[which]).sum());
        let (loss, details) = objective.means(sums, counted);
        let outcome = Outcome { loss, details, counted, norm };
        if outcome.finite() {
            self.update(step, norm);
            if !self.shared.is_alone() {
                self.shared.exchange_pieces(&*self.backend, &mut self.weights.values)?;
            }
        }
        Ok(outcome)
    }

    /// Forward and backward pass over one part; its gradients are left in the arena of its leaf, and added to others as that
    /// says. With the last one, what other ranks own is sent to them as soon as it is complete. Returns the sums of the objective.
    fn gradients(
        &mut self,
        part: &Batch,
        dropout: DropoutState,
        objective: &Objective,
        leaf: &Leaf,
        sums: &Sums,
        scale: f32,
    ) -> Result<Sums3> {
        let spans = part.spans();
        let (backend, gpt, shared) = (&*self.backend, &self.gpt, &mut self.shared);
        let (memory, d, logits) = (&mut self.memory, &mut self.d, &mut self.logits);
        let dropout = Some(dropout);
        let weights = all(&self.base, &self.weights);
        let (below, above) = self.arenas.split_at_mut(leaf.arena);
        let grads = &mut above[0];
        if !leaf.adds {
            // The gradients of hidden matrices from an earlier part are overwritten.
            for spec in self.weights.plan.specs.iter().filter(|spec| !spec.is_hidden_matrix) {
                backend.clear(grads, spec.span.clone());
            }
        }
        let gradient = if leaf.adds { Write::Add } else { Write::Set };
        let mut pass = Pass { backend, weights, spans: &spans, output_rows: None, dropout, probe: () };
        let mut back =
            Back { backend, weights, grads: Some(grads), gradient, spans: &spans, dropout, each: 1 };
        let sends = !shared.is_alone() && sums.own.last() == Some(leaf);
        let mut done = Ok(());
        let mut complete = |bucket: usize, grads: &mut B::Buffer| {
            if done.is_ok() {
                merge(backend, &shared.pieces.spans(bucket), below, grads, leaf);
                let arena = |node: usize| below.get(node).unwrap_or(grads);
                if sends {
                    done = shared.begin_gradients(backend, &arena, sums, bucket);
                }
            }
        };
        self.cache.lay_out(&part.lengths);
        gpt.forward(&mut pass, &part.inputs, memory, &mut self.cache);
        let told = match objective {
            Objective::NextToken => {
                let learn = Some((&mut back, &mut *d, &(|_: usize| scale) as &dyn Fn(usize) -> f32));
                let loss = gpt.loss(&mut pass, memory, &part.targets, logits, &mut |_, _| {}, learn);
                [loss, 0.0, 0.0]
            }
            Objective::Distil(distil) => {
                // There is one: the step was refused otherwise.
                let Some(teacher) = &mut self.teacher else { return Ok([f64::NAN; 3]) };
                let (mut lesson, teaching) =
                    (teacher.lesson(backend, &spans, part, distil), distil.teaching());
                let learn = Some((&mut back, &mut *d, scale));
                let targets = &part.targets;
                let sums = gpt.taught_loss(&mut pass, memory, targets, logits, &mut lesson, &teaching, learn);
                lesson.keep();
                distil.sums(sums)
            }
            Objective::Preference(preference) => {
                let probable = log_probabilities(gpt, &mut pass, memory, part, logits);
                let (told, slopes) = judged(preference, part, &probable);
                let factors = factors(part, &slopes, scale);
                let learn = Some((&mut back, &mut *d, &(|row: usize| factors[row]) as &dyn Fn(usize) -> f32));
                gpt.loss(&mut pass, memory, &part.targets, logits, &mut |_, _| {}, learn);
                told
            }
        };
        let layers = gpt.config.layers;
        gpt.backward(&mut back, &part.inputs, memory, &mut self.cache, d, &mut |layer, grads, _, _| {
            if let Some(grads) = grads {
                complete(layers - layer, grads);
            }
        });
        if let Some(grads) = back.grads {
            complete(layers + 1, grads);
        }
        done.map(|()| told)
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
