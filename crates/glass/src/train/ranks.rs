//! The ranks of a training: several processes that learn one model together, each from its own batches of every step.
//!
//! A rank owns some pieces of the model (`learner/pieces.rs`). Everything that ranks tell each
//! other goes through [`Ranks`], so the library knows neither a network nor MPI. All ranks call the same functions in the same
//! order.

mod together;

use std::ops::Range;

use crate::{Error, Result};

pub use together::{Together, together};

/// What ranks divide among them, so that each has only its own pieces (ZeRO; Rajbhandari et al. 2020, section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Divided {
    /// The optimiser's moments: stage 1.
    #[default]
    Moments,
    /// Gradients too: stage 2.
    Gradients,
    /// Weights too: stage 3.
    Weights,
}

/// Numbers that a rank sends to some others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parcel {
    /// To these ranks, never to itself.
    pub to: Vec<usize>,
    /// The numbers.
    pub values: Vec<f32>,
}

/// What a rank sends and receives at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exchange {
    /// What it sends.
    pub sends: Vec<Parcel>,
    /// From which ranks it receives, at most once from each; each vector is as long as what the other rank sends, and is filled.
    pub receives: Vec<(usize, Vec<f32>)>,
}

/// Several processes that learn together, seen from one of them.
///
/// Every function but the first two fails if another rank has ended.
pub trait Ranks: Send + Sync {
    /// The number of this rank, from 0.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn size(&self) -> usize;

    /// Begins an exchange, which goes on while this rank computes. Exchanges are ended in the order in which they began.
    fn begin(&self, exchange: Exchange) -> Result<()>;

    /// Waits until the earliest exchange that was begun is complete, and returns it with what was received.
    fn end(&self) -> Result<Exchange>;

    /// Tells all ranks a few bytes, and returns what each rank told, in the order of ranks.
    fn gather(&self, told: &[u8]) -> Result<Vec<Vec<u8>>>;

    /// The seconds that this rank waited for others since this was last asked; `None` without a clock.
    fn waited(&self) -> Option<f64> {
        None
    }
}

/// A single process.
pub struct Alone;

impl Ranks for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn begin(&self, _: Exchange) -> Result<()> {
        Ok(())
    }

    fn end(&self) -> Result<Exchange> {
        Ok(Exchange::default())
    }

    fn gather(&self, told: &[u8]) -> Result<Vec<Vec<u8>>> {
        Ok(vec![told.to_vec()])
    }
}

/// What rank 0 tells all, whatever the others would say.
pub fn as_first(ranks: &dyn Ranks, told: &[u8]) -> Result<Vec<u8>> {
    let mine = if ranks.rank() == 0 { told } else { &[] };
    Ok(ranks.gather(mine)?.swap_remove(0))
}

/// Tells all ranks some numbers, and returns those of each rank, of which there must be `counts`.
///
/// # Errors
/// If a rank told another count: it is at another place of the run.
pub(crate) fn gather_numbers(ranks: &dyn Ranks, told: &[f64], counts: &[usize]) -> Result<Vec<Vec<f64>>> {
    let bytes: Vec<u8> = told.iter().flat_map(|number| number.to_bits().to_le_bytes()).collect();
    let all = ranks.gather(&bytes)?;
    let numbers = |(rank, bytes): (usize, Vec<u8>)| {
        if bytes.len() != 8 * counts[rank] {
            let why = format!(
                "it told {} bytes where {} were expected: it is not at the same step",
                bytes.len(),
                8 * counts[rank]
            );
            return Err(Error::invalid(format!("rank {rank}"), why));
        }
        let number = |word: &[u8]| {
            f64::from_bits(word.iter().rev().fold(0, |bits, &byte| bits << 8 | u64::from(byte)))
        };
        Ok(bytes.chunks_exact(8).map(number).collect())
    };
    all.into_iter().enumerate().map(numbers).collect()
}

/// The batches of a step that are this rank's, of `count` in all: neighbours, equally many for every rank or one more.
pub fn share(count: usize, rank: usize, size: usize) -> Range<usize> {
    let (each, more) = (count / size, count % size);
    let start = |rank: usize| rank * each + rank.min(more);
    start(rank)..start(rank + 1)
}

/// Refuses a step of too few batches to be shared.
///
/// # Errors
/// Names the settings that learn from as many samples a step.
pub fn enough(ranks: &dyn Ranks, batch: usize, accumulate: usize) -> Result<()> {
    let size = ranks.size();
    if accumulate >= size {
        return Ok(());
    }
    let samples = batch * accumulate;
    let advice = match (size..=samples).find(|parts| samples.is_multiple_of(*parts)) {
        Some(parts) => {
            format!("give `batch` {} and `accumulate` {parts} for as many samples a step", samples / parts)
        }
        None => format!("start at most {samples}, or give a larger `batch` or `accumulate`"),
    };
    let batches = if accumulate == 1 { "1 batch".into() } else { format!("{accumulate} batches") };
    let why = format!("{size} ranks share the batches of a step, but it has {batches}; {advice}");
    Err(Error::invalid_argument("accumulate", why))
}
