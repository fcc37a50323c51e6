//! What guesses from more than the last few tokens: it has a state for each sequence.

use std::sync::Arc;

use super::Candidate;
use super::table::MOST;
use super::tree::Tree;

/// Makes guesses for sequences.
pub trait Drafter<'a>: Send + Sync {
    /// Begins a sequence.
    ///
    /// # Errors
    /// If there is too little memory.
    fn begin(self: Arc<Self>) -> crate::Result<Box<dyn Drafting + 'a>>;
}

/// The most probable tokens at a temperature, most probable first; returns how many there are.
pub fn likeliest(logits: &[f32], temperature: f32, found: &mut [Candidate; MOST]) -> usize {
    let mut best = [(f32::NEG_INFINITY, 0); MOST];
    for (id, &logit) in (0..).zip(logits) {
        if logit > best[MOST - 1].0 {
            let place = best.iter().position(|(other, _)| logit > *other).expect("the last one is less");
            best[place..].rotate_right(1);
            best[place] = (logit, id);
        }
    }
    let (max, by) = (best[0].0, 1.0 / temperature);
    // What is far below the largest adds nothing.
    let far = max - 12.0 * temperature;
    let near = logits.iter().filter(|logit| **logit > far);
    let sum: f32 = near.map(|logit| ((logit - max) * by).exp()).sum();
    let mut count = 0;
    for (logit, id) in best.into_iter().filter(|(logit, _)| logit.is_finite()) {
        found[count] = Candidate { id, probability: ((logit - max) * by).exp() / sum };
        count += 1;
    }
    count
}

/// Guesses for one sequence.
pub trait Drafting: Send {
    /// The vector that the model drew the text's last token from.
    fn see(&mut self, vector: &[f32]);

    /// Tokens that may follow a node of the tree after `ids`, whose last one is node 0: most probable first. Returns how many.
    /// Nodes are asked for after those before them, each once.
    fn find(&mut self, ids: &[u32], tree: &Tree, node: usize, found: &mut [Candidate; MOST]) -> usize;

    /// The temperature of these probabilities.
    fn temperature(&self) -> f32;
}
