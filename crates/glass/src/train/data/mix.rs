//! Mixtures: several sets, each with its share of what is learned.

use crate::train::data::set::Set;
use crate::{Error, Result};

/// How much of a mixture is to come from a set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// A share of the tokens in samples, read or learned; relative to the others' if all have one.
    Share(f64),
    /// How many times it is seen while a set without an amount is seen once.
    Times(f64),
}

impl Default for Amount {
    fn default() -> Self {
        Amount::Times(1.0)
    }
}

/// One of the sets of a mixture.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it is called in reports.
    pub name: String,
    /// Its samples.
    pub set: Set,
    /// Its share of the tokens in samples.
    pub share: f64,
    /// Its samples in one round of [`ROUND`].
    pub in_round: u32,
}

/// Several sets, whose samples alternate in a fixed round.
#[derive(Clone, Debug)]
pub struct Mix {
    parts: Vec<Part>,
    /// For every sample of a round, the part that it comes from, and how many of that part were before it in the round.
    round: Vec<(u16, u32)>,
    /// Samples of an epoch.
    epoch: u64,
}

/// The samples of a round: shares are met to this precision in every round, and approximately in every step.
pub const ROUND: u32 = 10_000;

/// The most sets of a mixture.
const MOST: usize = 1000;

impl Mix {
    /// Mixes named sets, for samples of at most `context` rows.
    ///
    /// The samples of each set are spread evenly over a round, so that every step has about the same mixture, and which sample
    /// a step sees depends on nothing but its number. An epoch has as many tokens as are in all sets, each as many times as its
    /// amount says; a share counts once.
    ///
    /// # Errors
    /// If an amount is not above 0 and finite, if shares leave nothing for the sets without one, or if a share is less than one
    /// sample of a round.
    pub fn new(sets: Vec<(String, Set, Amount)>, context: usize) -> Result<Mix> {
        if sets.is_empty() || sets.len() > MOST {
            let why = format!("{} sets were given, but a mixture has 1 to {MOST}", sets.len());
            return Err(Error::invalid_argument("mixture", why));
        }
        let shares = shares(&sets, context)?;
        // Of a set whose samples are shorter, more are needed for its share of the tokens.
        let samples: Vec<f64> =
            shares.iter().zip(&sets).map(|(share, (_, set, _))| share / set.mean_rows(context)).collect();
        let all: f64 = samples.iter().sum();
        let wanted: Vec<f64> = samples.iter().map(|samples| samples / all * f64::from(ROUND)).collect();
        // A set without a share is small beside the others; it gets one sample of a round.
        let is_refused = |(wanted, (.., amount)): (&f64, &(String, Set, Amount))| {
            *wanted < 0.5 && matches!(amount, Amount::Share(_))
        };
        if let Some(few) = wanted.iter().zip(&sets).position(is_refused) {
            let (name, share) = (&sets[few].0, shares[few]);
            let why = format!(
                "its share of the tokens is {share:.2e}, which is less than one of {ROUND} samples; give it more, or leave it out"
            );
            return Err(Error::invalid(name, why));
        }
        let counts = whole(&wanted);
        let epoch = sets.iter().map(|(_, set, amount)| {
            let times = if let Amount::Times(times) = amount { *times } else { 1.0 };
            times * set.samples_in(context) as f64
        });
        let epoch = (epoch.sum::<f64>().ceil() as u64).max(1);
        let parts = sets.into_iter().zip(shares).zip(&counts);
        let parts =
            parts.map(|(((name, set, _), share), &in_round)| Part { name, set, share, in_round }).collect();
        Ok(Mix { parts, round: spread(&counts), epoch })
    }

    /// The sets.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Samples of an epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The part that sample `index` of a run comes from, and which of the samples of that part it is.
    pub fn place(&self, index: u64) -> (usize, u64) {
        let (round, within) = (index / u64::from(ROUND), (index % u64::from(ROUND)) as usize);
        let (part, before) = self.round[within];
        let part = usize::from(part);
        (part, round * u64::from(self.parts[part].in_round) + u64::from(before))
    }

    /// How many of the first `samples` samples come from each part.
    pub fn counts(&self, samples: u64) -> Vec<u64> {
        let (rounds, rest) = (samples / u64::from(ROUND), (samples % u64::from(ROUND)) as usize);
        let mut counts: Vec<u64> = self.parts.iter().map(|part| rounds * u64::from(part.in_round)).collect();
        self.round[..rest].iter().for_each(|(part, _)| counts[usize::from(*part)] += 1);
        counts
    }
}

/// Each set's share of the tokens: shares as given, and what they leave is divided by the sizes of the other sets, times how
/// often they are seen. Where all are shares, their sum counts as 1.
fn shares(sets: &[(String, Set, Amount)], context: usize) -> Result<Vec<f64>> {
    for (name, _, amount) in sets {
        let (Amount::Share(number) | Amount::Times(number)) = *amount;
        if !(number > 0.0 && number.is_finite()) {
            let why = format!(
                "{number} of it was asked for, but a number above 0 is needed; to do without it, leave it out"
            );
            return Err(Error::invalid(name, why));
        }
    }
    let given: f64 = sets
        .iter()
        .filter_map(|(_, _, amount)| if let Amount::Share(share) = amount { Some(share) } else { None })
        .sum();
    let tokens = |set: &Set, times: f64| times * set.samples_in(context) as f64 * set.mean_rows(context);
    let others: f64 = sets
        .iter()
        .filter_map(
            |(_, set, amount)| {
                if let Amount::Times(times) = amount { Some(tokens(set, *times)) } else { None }
            },
        )
        .sum();
    let is_all = sets.iter().all(|(.., amount)| matches!(amount, Amount::Share(_)));
    if !is_all && given >= 1.0 {
        let why = format!(
            "the shares given are {given} together, so nothing is left for the data without one; let them be below 1 together, \
             or give every one a share"
        );
        return Err(Error::invalid_argument("mixture", why));
    }
    Ok(sets
        .iter()
        .map(|(_, set, amount)| match *amount {
            Amount::Share(share) if is_all => share / given,
            Amount::Share(share) => share,
            Amount::Times(times) => (1.0 - given) * tokens(set, times) / others.max(1.0),
        })
        .collect())
}

/// Whole numbers near these, at least 1, which add up to a round: by largest remainders.
fn whole(wanted: &[f64]) -> Vec<u32> {
    let mut counts: Vec<u32> = wanted.iter().map(|wanted| (*wanted as u32).max(1)).collect();
    while counts.iter().sum::<u32>() != ROUND {
        let sum = counts.iter().sum::<u32>();
        let missing = |index: &usize| wanted[*index] - f64::from(counts[*index]);
        let by_missing = |a: &usize, b: &usize| missing(a).total_cmp(&missing(b));
        let found = match sum < ROUND {
            true => (0..counts.len()).max_by(by_missing),
            false => (0..counts.len()).filter(|index| counts[*index] > 1).min_by(by_missing),
        };
        let Some(index) = found else { break };
        counts[index] = if sum < ROUND { counts[index] + 1 } else { counts[index] - 1 };
    }
    counts
}

/// A round in which the samples of each part are as far from each other as possible.
fn spread(counts: &[u32]) -> Vec<(u16, u32)> {
    let of_part = |(part, &count): (usize, &u32)| {
        (0..count).map(move |n| ((f64::from(n) + 0.5) / f64::from(count), part as u16, n))
    };
    let mut all: Vec<_> = counts.iter().enumerate().flat_map(of_part).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    all.into_iter().map(|(_, part, n)| (part, n)).collect()
}
