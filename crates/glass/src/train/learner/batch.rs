//! The batch of a training pass.

use glass_kernels::loss::IGNORE;

use crate::backend::Span;

/// Samples, one after another: sample i has `lengths[i]` rows. A target is [`IGNORE`] if it is not counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// A token for every row.
    pub inputs: Vec<u32>,
    /// The token that should come next, for every row.
    pub targets: Vec<u32>,
    /// Rows of each sample.
    pub lengths: Vec<usize>,
    /// Of pairs, samples 2i and 2i + 1 are the chosen and the rejected answer, each after its prompt, and this is how probable the
    /// reference finds them: the sums of the log-probabilities of the counted tokens, in nats. Empty if the samples are no pairs.
    pub pairs: Vec<[f64; 2]>,
}

impl Batch {
    /// Rows whose target is counted.
    pub fn counted(&self) -> usize {
        self.targets.iter().filter(|&&target| target != IGNORE).count()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let mut start = 0;
        let span = |(slot, &length): (usize, &usize)| {
            let rows = start..start + length;
            start = rows.end;
            Span { rows, slot, past: 0 }
        };
        self.lengths.iter().enumerate().map(span).collect()
    }
}
