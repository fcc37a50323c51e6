//! What the ranks of a run agree on: that they do the same, when to stop, what an evaluation found, who is slow.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::backend::Backend;
use crate::train::checkpoint::State;
use crate::train::data::order::evaluation;
use crate::train::data::set::Set;
use crate::train::learner::settings::{Identity, Settings};
use crate::train::learner::{Arena, Learner};
use crate::train::ranks::{Ranks, as_first, gather_numbers};
use crate::{Error, Result};

/// After so many steps the weights of all ranks are compared, and their times.
const COMPARED: u64 = 100;

/// Steps over which the time of a rank is added up.
const STEPS: u64 = 20;

/// A rank is slow from this many times the median on.
const SLOW: f64 = 1.5;

/// Refuses ranks that would not learn the same from the same.
pub(super) fn same(ranks: &dyn Ranks, identity: &Identity) -> Result<()> {
    let failed = |error| Error::invalid("settings", error);
    let told = ranks.gather(&serde_json::to_vec(identity).map_err(failed)?)?;
    let all: Vec<Value> = told
        .iter()
        .map(|told| serde_json::from_slice(told))
        .collect::<std::result::Result<_, _>>()
        .map_err(failed)?;
    for (rank, other) in all.iter().enumerate() {
        let Some((what, here, there)) = differing("", &all[0], other) else { continue };
        let (what, advice) = match what.as_str() {
            "data" => ("training data".into(), "give all ranks the same files"),
            "validation" => ("validation data".into(), "give all ranks the same files"),
            "start" => ("initial weights".into(), "give all ranks the same model to start from"),
            _ => (what, "start all ranks with the same options"),
        };
        let why = format!("it has other {what} than rank 0: {there}, and there {here}; {advice}");
        return Err(Error::invalid(format!("rank {rank}"), why));
    }
    Ok(())
}

/// The first field in which two values differ: its path, and both values.
fn differing(path: &str, one: &Value, other: &Value) -> Option<(String, String, String)> {
    if let (Some(one), Some(other)) = (one.as_object(), other.as_object()) {
        let none = Value::Null;
        return one.keys().chain(other.keys()).find_map(|name| {
            let place = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            differing(&place, one.get(name).unwrap_or(&none), other.get(name).unwrap_or(&none))
        });
    }
    (one != other).then(|| (path.to_string(), one.to_string(), other.to_string()))
}

/// The last checkpoint and the state of the run, which rank 0 knows.
pub(super) fn known(ranks: &dyn Ranks, mine: &(Option<u64>, State)) -> Result<(Option<u64>, State)> {
    let failed = |error| Error::invalid("state", error);
    let told = as_first(ranks, &serde_json::to_vec(mine).map_err(failed)?)?;
    serde_json::from_slice(&told).map_err(failed)
}

/// Whether rank 0 says so.
pub(super) fn first_says(ranks: &dyn Ranks, says: impl FnOnce() -> bool) -> Result<bool> {
    if ranks.size() == 1 {
        return Ok(says());
    }
    let says = ranks.rank() == 0 && says();
    Ok(as_first(ranks, &[u8::from(says)])? == [1])
}

/// Refuses to go on with ranks whose weights differ.
pub(super) fn same_weights<B: Backend>(learner: &Learner<B>, step: u64) -> Result<()> {
    let ranks = learner.ranks();
    // Of divided weights there is only one of each.
    if ranks.size() == 1 || learner.divides_weights() {
        return Ok(());
    }
    let all = ranks.gather(&print(learner)?.to_le_bytes())?;
    let Some(rank) = all.iter().position(|print| *print != all[0]) else { return Ok(()) };
    let why = format!(
        "its weights after step {step} differ from those of rank 0, although they were sent to it: memory or the network is \
         damaged, so the run ends"
    );
    Err(Error::invalid(format!("rank {rank}"), why))
}

/// Whether the weights are compared after this step.
pub(super) fn compares(step: u64) -> bool {
    step.is_multiple_of(COMPARED)
}

/// A hash of the weights: eight chains side by side, which is faster than one.
fn print<B: Backend>(learner: &Learner<B>) -> Result<u64> {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x0100_0000_01b3);
    let mut sums = [START; 8];
    learner.arena_parts(Arena::Weights, &mut |part| {
        for values in part.chunks(8) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = mix(*sum, u64::from(value.to_bits()));
            }
        }
        Ok(())
    })?;
    Ok(sums.into_iter().fold(START, mix))
}

/// The sums of what the objective measures over a validation set, or `most` samples of it, and how many tokens or pairs are counted.
/// Ranks take batches in turn; the sums are added in the order of batches.
pub(super) fn evaluate<B: Backend>(
    learner: &mut Learner<B>,
    set: &Set,
    settings: &Settings,
    most: Option<usize>,
) -> Result<([f64; 3], usize)> {
    let ranks = learner.ranks().clone();
    let (context, size) = (learner.config().context, ranks.size());
    let batches = evaluation(set, context, settings.batch, most);
    let count = batches.size_hint().0;
    let mut batches = batches.skip(ranks.rank()).step_by(size);
    let mut told = Vec::new();
    for _ in 0..count.div_ceil(size) {
        let batch = batches.next();
        let (sums, counted) = match (settings.preference, &batch) {
            (Some(preference), Some(batch)) => {
                (learner.evaluate_pairs(batch, &preference), batch.pairs.len())
            }
            (Some(_), None) => continue,
            (None, batch) => match learner.evaluate_among(batch.as_ref())? {
                Some((nats, tokens)) => ([nats, 0.0, 0.0], tokens),
                None => continue,
            },
        };
        told.extend(sums.into_iter().chain([counted as f64]));
    }
    let counts: Vec<usize> = (0..size).map(|rank| 4 * (count + size - 1 - rank).div_euclid(size)).collect();
    let told = gather_numbers(&*ranks, &told, &counts)?;
    let mut sums = [0.0; 4];
    for batch in 0..count {
        let of = &told[batch % size][4 * (batch / size)..];
        sums.iter_mut().zip(of).for_each(|(sum, more)| *sum += more);
    }
    let [loss, first, second, counted] = sums;
    Ok(([loss, first, second], counted as usize))
}

/// How long the ranks compute.
#[derive(Default)]
pub(super) struct Times {
    steps: u64,
    seconds: Vec<f64>,
    /// Ranks that were already named.
    named: BTreeSet<usize>,
}

impl Times {
    /// Whether any rank was told to stop, and a rank that has been slow lately, with how many times the median it takes.
    /// `seconds` is the time of this rank's last step without waiting, if there is a clock.
    pub fn meet(
        &mut self,
        ranks: &dyn Ranks,
        stop: bool,
        seconds: Option<f64>,
    ) -> Result<(bool, Option<(usize, f64)>)> {
        if ranks.size() == 1 {
            return Ok((stop, None));
        }
        let told = [f64::from(u8::from(stop)), seconds.unwrap_or(f64::NAN)];
        let all = gather_numbers(ranks, &told, &vec![2; ranks.size()])?;
        let stop = all.iter().any(|told| told[0] != 0.0);
        Ok((stop, self.slow(all.iter().map(|told| told[1]))))
    }

    fn slow(&mut self, seconds: impl ExactSizeIterator<Item = f64>) -> Option<(usize, f64)> {
        self.seconds.resize(seconds.len(), 0.0);
        self.seconds.iter_mut().zip(seconds).for_each(|(sum, seconds)| *sum += seconds);
        self.steps += 1;
        if self.steps < STEPS {
            return None;
        }
        self.steps = 0;
        let sums = std::mem::take(&mut self.seconds);
        let mut sorted = sums.clone();
        sorted.sort_by(f64::total_cmp);
        let times = |sum: f64| sum / sorted[(sorted.len() - 1) / 2];
        let slow = (0..sums.len()).find(|rank| times(sums[*rank]) > SLOW && !self.named.contains(rank))?;
        self.named.insert(slow);
        Some((slow, times(sums[slow])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_rank_is_named_once() {
        let mut times = Times::default();
        let mut found = Vec::new();
        for step in 1..=100 {
            let seconds = [1.0, 1.1, if step > 20 { 2.0 } else { 1.2 }, 1.0];
            found.extend(times.slow(seconds.into_iter()).map(|(rank, times)| (step, rank, times)));
        }
        assert_eq!(found.len(), 1);
        let (step, rank, times) = found[0];
        assert!(step == 40 && rank == 2 && (times - 2.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn without_a_clock_no_rank_is_slow() {
        let mut times = Times::default();
        assert!((0..50).all(|_| times.slow([f64::NAN, f64::NAN].into_iter()).is_none()));
    }
}
