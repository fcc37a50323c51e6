//! How likely it is that a guess is right: what its source says, corrected by how often such guesses were right; and, where tokens
//! are drawn, by the number that the next one will be drawn with, which is known before.

use super::Candidate;
use crate::next_token::{Sampling, uniform};

/// Steps of probability.
const STEPS: usize = 10;

/// Sets of sources.
const SETS: usize = 8;

/// The source's own probability counts as much as this many guesses.
const PRIOR: f32 = 8.0;

/// Guesses after which earlier ones count half.
const MEMORY: f32 = 200.0;

/// How often guesses were right, by their sources and the probability that those gave.
#[derive(Clone, Debug)]
pub struct Chances {
    /// Right ones and all.
    counts: Vec<(f32, f32)>,
}

impl Default for Chances {
    fn default() -> Self {
        Chances { counts: vec![(0.0, 0.0); STEPS * SETS] }
    }
}

/// What earlier texts say counts as much as this many guesses of each kind.
const EARLIER: f32 = 12.0;

impl Chances {
    /// For the next text: what was right in earlier ones, which soon counts less than its own.
    pub fn of_earlier(&self) -> Chances {
        let fewer = |&(right, all): &(f32, f32)| {
            let by = if all > EARLIER { EARLIER / all } else { 1.0 };
            (right * by, all * by)
        };
        Chances { counts: self.counts.iter().map(fewer).collect() }
    }

    /// The kind of a guess.
    pub fn kind(sources: usize, probability: f32) -> usize {
        (sources % SETS) * STEPS + ((probability * STEPS as f32) as usize).min(STEPS - 1)
    }

    /// How likely a guess of this kind is right.
    pub fn of(&self, kind: usize, probability: f32) -> f32 {
        let (right, all) = self.counts[kind];
        ((right + PRIOR * probability) / (all + PRIOR)).min(1.0)
    }

    /// A guess of this kind was right or not.
    pub fn learn(&mut self, kind: usize, is_right: bool) {
        let (right, all) = &mut self.counts[kind];
        if *all >= MEMORY {
            (*right, *all) = (*right / 2.0, *all / 2.0);
        }
        *all += 1.0;
        *right += f32::from(u8::from(is_right));
    }
}

/// How the next tokens of a sequence will be drawn.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Outlook {
    temperature: f32,
    /// Whether a token is drawn from tokens in the order of their probability, not of their ids.
    by_probability: bool,
    seed: u64,
    sample: u64,
    /// Of the next token.
    position: u64,
    vocabulary: usize,
}

/// How far apart the cumulated probabilities of a source and of the model may lie.
const APART: f64 = 0.08;

impl Outlook {
    /// Of sequence `sample`, whose next token has this position.
    pub fn new(sampling: &Sampling, sample: u64, position: u64, vocabulary: usize) -> Outlook {
        let &Sampling { temperature, top_k, top_p, min_p, seed, .. } = sampling;
        let by_probability = top_k > 0 && top_k < vocabulary || top_p < 1.0 || min_p > 0.0;
        Outlook { temperature, by_probability, seed, sample, position, vocabulary }
    }

    /// Turns probabilities at a source's temperature, most probable first, into the chances that these tokens are drawn after
    /// `ahead` more.
    pub fn chances(&self, ahead: usize, temperature: f32, candidates: &mut [Candidate]) {
        if self.temperature == 0.0 {
            return;
        }
        let power = temperature / self.temperature;
        let known: f32 = candidates.iter().map(|candidate| candidate.probability).sum();
        let mut all = (1.0 - known).max(0.0).powf(power);
        for candidate in candidates.iter_mut() {
            candidate.probability = candidate.probability.powf(power);
            all += candidate.probability;
        }
        let unknown = ((1.0 - known).max(0.0).powf(power) / all) as f64;
        let mark = uniform(self.seed, self.sample, self.position + ahead as u64);
        let shares: Vec<(u32, f64)> = (candidates.iter())
            .map(|candidate| (candidate.id, f64::from(candidate.probability / all)))
            .collect();
        for (at, candidate) in candidates.iter_mut().enumerate() {
            let (id, share) = shares[at];
            let before = match self.by_probability {
                true => shares[..at].iter().map(|(_, share)| share).sum::<f64>(),
                // What is not known lies anywhere.
                false => {
                    let known: f64 = shares.iter().filter(|other| other.0 < id).map(|(_, share)| share).sum();
                    known + unknown * f64::from(id) / self.vocabulary.max(1) as f64
                }
            };
            let reached = |end: f64| {
                let logistic = |x: f64| 1.0 / (1.0 + (-x / APART).exp());
                // Where the mark is, as seen from an end that lies somewhere near: within 0 and 1.
                let (low, high) = (logistic(-mark), logistic(1.0 - mark));
                ((logistic(end - mark) - low) / (high - low)).clamp(0.0, 1.0)
            };
            candidate.probability = (reached(before + share) - reached(before)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_right_so_far_counts() {
        let (mut chances, kind) = (Chances::default(), Chances::kind(1, 0.55));
        assert_eq!(chances.of(kind, 0.55), 0.55);
        (0..100).for_each(|turn| chances.learn(kind, turn % 10 == 0));
        assert!((0.1..0.15).contains(&chances.of(kind, 0.55)), "{}", chances.of(kind, 0.55));
        assert_eq!(chances.of(Chances::kind(2, 0.55), 0.55), 0.55, "another source");
        assert_ne!(Chances::kind(1, 0.31), Chances::kind(1, 0.45));
        assert_eq!(Chances::kind(1, 1.0), Chances::kind(1, 0.95));
        // The next text begins with that, and goes on with its own.
        let mut next = chances.of_earlier();
        assert!((0.15..0.35).contains(&next.of(kind, 0.55)), "{}", next.of(kind, 0.55));
        (0..30).for_each(|_| next.learn(kind, true));
        assert!(next.of(kind, 0.55) > 0.6, "{}", next.of(kind, 0.55));
    }

    /// Over all marks, a token is drawn as often as its probability says.
    #[test]
    fn the_mark_says_what_will_be_drawn() {
        for top_p in [1.0, 0.95] {
            let sampling = Sampling { top_p, ..Sampling::default() };
            let (mut sums, draws) = ([0.0; 3], 20_000);
            for position in 0..draws {
                let given = [(7, 0.5), (3, 0.3), (9, 0.2)];
                let mut candidates = given.map(|(id, probability)| Candidate { id, probability });
                Outlook::new(&sampling, 0, position, 10).chances(0, 1.0, &mut candidates);
                let total: f32 = candidates.iter().map(|candidate| candidate.probability).sum();
                assert!((total - 1.0).abs() < 1e-3, "{total}");
                (0..3).for_each(|at| sums[at] += candidates[at].probability / draws as f32);
            }
            for (sum, expected) in sums.iter().zip([0.5, 0.3, 0.2]) {
                assert!((sum - expected).abs() < 0.05, "{sums:?}");
            }
        }
        // Greedily, nothing is drawn.
        let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
        let mut one = [Candidate { id: 1, probability: 0.4 }];
        Outlook::new(&greedy, 0, 0, 10).chances(0, 1.0, &mut one);
        assert_eq!(one[0].probability, 0.4);
    }
}
