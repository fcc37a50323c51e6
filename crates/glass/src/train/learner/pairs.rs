//! Pairs of answers: how probable they are, and what their loss makes of it.

use std::iter::repeat_n;

use crate::backend::{Backend, Tensor};
use crate::memory::Memory;
use crate::model::{Gpt, Pass};
use crate::train::learner::objective::{Objective, Sums3};
use crate::train::learner::preference::{Answer, Preference};
use crate::train::learner::{Batch, IGNORE, Learner};
use crate::{Error, Result};

impl Batch {
    /// Refuses pairs where none are needed, and the other way round.
    pub(super) fn suits(&self, objective: &Objective) -> Result<()> {
        let needed = matches!(objective, Objective::Preference(_));
        if needed && (2 * self.pairs.len() != self.lengths.len() || self.pairs.is_empty()) {
            let why = "a loss of preferences needs pairs, each of two samples and their reference";
            return Err(Error::invalid("batch", why));
        }
        if !needed && !self.pairs.is_empty() {
            let why = "it holds pairs, but there is no loss of preferences; choose one";
            return Err(Error::invalid("batch", why));
        }
        Ok(())
    }

    /// What the mean of an objective is taken over.
    pub(super) fn counted_by(&self, objective: &Objective) -> usize {
        match objective {
            Objective::Preference(_) => self.pairs.len(),
            Objective::NextToken | Objective::Distil(_) => self.counted(),
        }
    }

    /// The counted tokens of each sample.
    fn counted_each(&self) -> Vec<usize> {
        let mut targets = self.targets.iter();
        let counted = |&rows: &usize| targets.by_ref().take(rows).filter(|&&target| target != IGNORE).count();
        self.lengths.iter().map(counted).collect()
    }
}

/// Of each sample, the sum of the log-probabilities of its counted tokens, in nats. `pass` went forward.
pub(super) fn log_probabilities<B: Backend>(
    gpt: &Gpt,
    pass: &mut Pass<'_, B, ()>,
    memory: &mut Memory<B>,
    part: &Batch,
    logits: &mut Tensor<B>,
) -> Vec<f64> {
    let mut nats = vec![0.0; part.targets.len()];
    gpt.loss(pass, memory, &part.targets, logits, &mut |row, loss| nats[row] = f64::from(loss), None);
    let mut nats = nats.into_iter();
    part.lengths.iter().map(|&rows| -nats.by_ref().take(rows).sum::<f64>()).collect()
}

/// Sums over the pairs of a batch (the loss, the pairs that are ordered as preferred, by how much), and the derivative of the loss
/// with respect to each sample's log-probability.
pub(super) fn judged(preference: &Preference, part: &Batch, probable: &[f64]) -> (Sums3, Vec<f64>) {
    let counted = part.counted_each();
    let (mut sums, mut slopes) = ([0.0; 3], Vec::with_capacity(probable.len()));
    for (pair, reference) in part.pairs.iter().enumerate() {
        let [chosen, rejected] = [0, 1].map(|side| {
            let sample = 2 * pair + side;
            let (log_probability, reference) = (probable[sample], reference[side]);
            Answer { log_probability, reference, tokens: counted[sample] }
        });
        let judgement = preference.judge(chosen, rejected);
        let [better, worse] = judgement.rewards;
        let ordered = if better > worse { 1.0 } else { 0.0 };
        let of_pair = [judgement.loss, ordered, better - worse];
        sums.iter_mut().zip(of_pair).for_each(|(sum, more)| *sum += more);
        slopes.extend(judgement.slopes);
    }
    (sums, slopes)
}

/// What the gradient of each row's cross-entropy is multiplied by: log-probabilities are its negative.
pub(super) fn factors(part: &Batch, slopes: &[f64], scale: f32) -> Vec<f32> {
    let each = part.lengths.iter().zip(slopes);
    each.flat_map(|(&rows, slope)| repeat_n((-slope * f64::from(scale)) as f32, rows)).collect()
}

impl<B: Backend> Learner<B> {
    /// Of each sample of a batch, the sum of the log-probabilities of its counted tokens, in nats, by the current weights.
    pub fn log_probabilities(&mut self, batch: &Batch) -> Vec<f64> {
        let spans = batch.spans();
        let (mut pass, gpt, memory, cache, logits) = self.looking(&spans);
        gpt.forward(&mut pass, &batch.inputs, memory, cache);
        log_probabilities(gpt, &mut pass, memory, batch, logits)
    }

    /// Sums over the pairs of a batch by the current weights: of the loss, of pairs that are ordered as preferred, of margins.
    /// Nothing is learned.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn evaluate_pairs(&mut self, batch: &Batch, preference: &Preference) -> Sums3 {
        let probable = self.log_probabilities(batch);
        judged(preference, batch, &probable).0
    }
}
