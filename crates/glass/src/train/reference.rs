//! How probable the reference finds the answers of pairs: the model as it is before it learns from them.

use crate::Result;
use crate::backend::Backend;
use crate::train::data::order::evaluation;
use crate::train::data::set::{Samples, Set};
use crate::train::learner::Learner;
use crate::train::ranks::gather_numbers;

/// Gives every pair of `set` the log-probabilities of its answers by the current weights of `learner`, in batches of at most
/// `batch` pairs. Ranks share the batches, and all of them get all numbers. A set without pairs stays as it is.
///
/// # Errors
/// If another rank has ended, or ranks divide the weights.
pub fn refer<B: Backend>(learner: &mut Learner<B>, set: &mut Set, batch: usize) -> Result<()> {
    if !matches!(set.samples, Samples::Pairs(_)) {
        return Ok(());
    }
    learner.has_all_weights()?;
    let ranks = learner.ranks().clone();
    let (size, context) = (ranks.size(), learner.config().context);
    let (mut told, mut lengths) = (Vec::new(), Vec::new());
    for (number, batch) in evaluation(set, context, batch, None).enumerate() {
        lengths.push(batch.lengths.len());
        if number % size == ranks.rank() {
            told.extend(learner.log_probabilities(&batch));
        }
    }
    let counts: Vec<usize> = (0..size).map(|rank| lengths.iter().skip(rank).step_by(size).sum()).collect();
    let told = gather_numbers(&*ranks, &told, &counts)?;
    let mut told: Vec<_> = told.iter().map(|told| told.iter().copied()).collect();
    let numbers = lengths.iter().enumerate();
    let numbers =
        numbers.flat_map(|(number, &len)| told[number % size].by_ref().take(len).collect::<Vec<_>>());
    let numbers: Vec<f64> = numbers.collect();
    if let Samples::Pairs(pairs) = &mut set.samples {
        pairs.iter_mut().zip(numbers.as_chunks().0).for_each(|(pair, two)| pair.reference = *two);
    }
    Ok(())
}
