//! From logits to the next token: the whole vocabulary, always, in one fixed order.
//!
//! logit bias → repetition, presence, frequency penalties → temperature → top-k → top-p → min-p → draw.
//!
//! - *Logit bias* adds to the logits of the tokens it names.
//! - The *repetition* penalty divides positive logits and multiplies negative ones, of every token seen, in the prompt or
//!   generated (Keskar et al. 2019, as in `transformers`). *Presence* subtracts once from every token already generated,
//!   *frequency* once for each time it was; neither counts the prompt (as OpenAI defines them).
//! - *Suppressed* tokens are not drawn: never, or not among the first tokens that are generated (as `transformers` has
//!   `suppress_tokens`, `begin_suppress_tokens` and `min_new_tokens`). No bias and no penalty changes that.
//! - *Temperature* divides the logits; 0 takes the most probable token.
//! - *Top-k* keeps the k most probable tokens; *top-p* of these the fewest that together hold at least p (Holtzman et al.
//!   2019); *min-p* of these the ones at least p times as probable as the most probable one.
//!
//! Wherever two tokens are equally probable, the lower id counts as the more probable.

mod probability;
mod random;
mod sampling;
mod select;

pub use probability::{Scored, divergence, logprob, most_probable, score};
pub use random::uniform;
pub use sampling::Sampling;

use crate::{Error, Result};
use probability::log_sum_exp;
use select::{id_of, key, score_of};

/// A token, and the logarithm of its probability (nats) in the raw logits: before any bias, penalty or temperature.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Drawn {
    /// The token.
    pub id: u32,
    /// Its raw log-probability, the same as [`score`] gives.
    pub logprob: f64,
}

/// Draws the tokens of one sequence. All memory is allocated in [`Sampler::new`]; drawing allocates none.
///
/// A draw depends only on the logits, the tokens seen, the seed, the number of the sample and the position in the
/// sequence: a sequence alone, in a batch, or resumed gets the same tokens.
pub struct Sampler {
    sampling: Sampling,
    sample: u64,
    /// The number of tokens before the next one.
    position: u64,
    /// For each token: whether it was seen, and how often it was generated.
    seen: Vec<bool>,
    generated: Vec<u32>,
    /// How many tokens were generated.
    drawn: usize,
    /// The distinct tokens seen, in the order of their first appearance.
    distinct: Vec<u32>,
    /// Logits after bias, penalties and suppression.
    scores: Vec<f32>,
    /// Unnormalised probabilities.
    weights: Vec<f64>,
    /// Tokens ordered by score, as `select` packs them.
    keys: Vec<u64>,
    likely: Vec<Drawn>,
}

impl Sampler {
    /// A sampler for the sequence number `sample` of a request.
    pub fn new(sampling: &Sampling, vocabulary: usize, sample: u64) -> Result<Sampler> {
        sampling.check(vocabulary)?;
        Ok(Sampler {
            sampling: sampling.clone(),
            sample,
            position: 0,
            seen: vec![false; vocabulary],
            generated: vec![0; vocabulary],
            drawn: 0,
            distinct: Vec::with_capacity(vocabulary),
            scores: vec![0.0; vocabulary],
            weights: vec![0.0; vocabulary],
            keys: Vec::with_capacity(2 * vocabulary),
            likely: Vec::with_capacity(vocabulary),
        })
    }

    /// How it draws, the number of its sequence, and the position of the next token.
    pub fn next_draw(&self) -> (&Sampling, u64, u64) {
        (&self.sampling, self.sample, self.position)
    }

    /// Adds tokens that were not drawn, such as the prompt. An id outside the vocabulary only counts as a position.
    pub fn see(&mut self, ids: &[u32]) {
        ids.iter().for_each(|&id| self.note(id));
    }

    /// Draws the next token and adds it to the sequence. logits: `[vocabulary]`.
    ///
    /// # Errors
    /// If a logit is NaN or infinitely high, or no token can be drawn.
    pub fn next(&mut self, logits: &[f32]) -> Result<Drawn> {
        let id = self.draw(logits, None)?;
        Ok(Drawn { id, logprob: logprob(logits, id) })
    }

    /// The same without its probability, which takes a pass over all logits; with `allowed`, `[vocabulary]`, among these
    /// tokens alone.
    ///
    /// # Errors
    /// As for [`next`](Self::next).
    pub fn draw(&mut self, logits: &[f32], allowed: Option<&[bool]>) -> Result<u32> {
        let Candidates { kept, mass } = self.prepare(logits, allowed)?;
        let mark = mass * uniform(self.sampling.seed, self.sample, self.position);
        let id = match kept {
            None => probability::pick_of_all(&self.weights, mark) as u32,
            Some(kept) => {
                let weights = self.keys[..kept].iter().map(|&key| self.weights[id_of(key) as usize]);
                id_of(self.keys[probability::pick(weights, mark)])
            }
        };
        self.note(id);
        self.drawn += 1;
        self.generated[id as usize] = self.generated[id as usize].saturating_add(1);
        Ok(id)
    }

    /// The tokens that [`Sampler::next`] would draw from, with their probabilities; draws nothing.
    pub fn probabilities(&mut self, logits: &[f32]) -> Result<Vec<(u32, f64)>> {
        let Candidates { kept, mass } = self.prepare(logits, None)?;
        let of = |id: u32| (id, self.weights[id as usize] / mass);
        let possible = |&(_, probability): &(u32, f64)| probability > 0.0;
        Ok(match kept {
            None => (0..self.weights.len() as u32).map(of).filter(possible).collect(),
            Some(kept) => self.keys[..kept].iter().map(|&key| of(id_of(key))).filter(possible).collect(),
        })
    }

    /// The `n` most probable tokens by the raw logits, most probable first.
    pub fn top(&mut self, logits: &[f32], n: usize) -> Result<&[Drawn]> {
        let peak = probability::peak(logits, self.scores.len())?;
        let sum = log_sum_exp(logits, peak);
        select::largest(logits, n, &mut self.keys);
        self.keys.sort_unstable_by(|a, b| b.cmp(a));
        self.likely.clear();
        let drawn = |&key: &u64| Drawn { id: id_of(key), logprob: f64::from(score_of(key)) - sum };
        self.likely.extend(self.keys.iter().map(drawn));
        Ok(&self.likely)
    }

    fn note(&mut self, id: u32) {
        self.position += 1;
        if let Some(seen) = self.seen.get_mut(id as usize)
            && !std::mem::replace(seen, true)
        {
            self.distinct.push(id);
        }
    }

    /// Everything before the draw: computes `weights` and the first of `keys` from the logits.
    fn prepare(&mut self, logits: &[f32], allowed: Option<&[bool]>) -> Result<Candidates> {
        let vocabulary = self.scores.len();
        let raw_peak = probability::peak(logits, vocabulary)?;
        let mut raw = self.adjust(logits);
        if let Some(allowed) = allowed {
            let masked = self.scores.iter_mut().zip(allowed).filter(|(_, allowed)| !**allowed);
            masked.for_each(|(score, _)| *score = f32::NEG_INFINITY);
            raw = false;
        }
        let peak =
            if raw { raw_peak } else { probability::peak(&self.scores, vocabulary).map_err(adjusted)? };
        if self.sampling.temperature == 0.0 {
            let id = self.scores.iter().position(|&score| score == peak).unwrap_or_default();
            self.weights[id] = 1.0;
            self.keys.clear();
            self.keys.push(key(peak, id as u32));
            return Ok(Candidates { kept: Some(1), mass: 1.0 });
        }
        let inverse = 1.0 / f64::from(self.sampling.temperature);
        let all = probability::weigh(&self.scores, peak, inverse, &mut self.weights);
        let (kept, mass) = self.keep(all);
        Ok(Candidates { kept, mass })
    }

    /// Sets `scores` to the logits after bias, penalties and suppression; returns whether they equal the raw
    /// logits.
    fn adjust(&mut self, logits: &[f32]) -> bool {
        let Sampling { repetition_penalty, presence_penalty, frequency_penalty, .. } = self.sampling;
        let penalised = repetition_penalty != 1.0 || presence_penalty != 0.0 || frequency_penalty != 0.0;
        self.scores.copy_from_slice(logits);
        for &(id, bias) in &self.sampling.logit_bias {
            self.scores[id as usize] += bias;
        }
        for &id in self.distinct.iter().filter(|_| penalised) {
            let score = &mut self.scores[id as usize];
            *score = if *score < 0.0 { *score * repetition_penalty } else { *score / repetition_penalty };
            let times = self.generated[id as usize];
            if times > 0 {
                *score -= presence_penalty + frequency_penalty * times as f32;
            }
        }
        let mut raw = !penalised && self.sampling.logit_bias.is_empty();
        for &(id, _) in self.sampling.suppressed.iter().filter(|(_, until)| self.drawn < *until) {
            self.scores[id as usize] = f32::NEG_INFINITY;
            raw = false;
        }
        raw
    }

    /// Top-k, top-p and min-p: how many of `keys` they keep (`None` if all tokens stay), and the sum of their
    /// weights. `all` is the sum of all weights.
    fn keep(&mut self, all: f64) -> (Option<usize>, f64) {
        let vocabulary = self.scores.len();
        let (top_p, min_p) = (f64::from(self.sampling.top_p), f64::from(self.sampling.min_p));
        let top_k = if self.sampling.top_k == 0 { vocabulary } else { self.sampling.top_k };
        if top_k >= vocabulary && top_p == 1.0 && min_p == 0.0 {
            return (None, all);
        }
        let mut mass = all;
        if top_k < vocabulary {
            select::largest(&self.scores, top_k, &mut self.keys);
            self.keys.sort_unstable_by(|a, b| b.cmp(a)); // so that the sum has one order
            mass = self.keys.iter().map(|&key| self.weights[id_of(key) as usize]).sum();
        } else {
            // Tokens below this weight hold together less than 1 − p, so none of them is among the fewest that hold
            // p. The most probable token has weight 1, so none far below min-p is kept either.
            let floor = (0.5 * min_p).max((1.0 - top_p) * all / (2 * vocabulary) as f64);
            let heavy =
                self.weights.iter().zip(&self.scores).zip(0..).filter(|((weight, _), _)| **weight >= floor);
            self.keys.clear();
            self.keys.extend(heavy.map(|((_, &score), id)| key(score, id)));
        }
        let enough = if top_p == 1.0 { f64::INFINITY } else { top_p * mass };
        let (kept, mass) = select::nucleus(&mut self.keys, &self.weights, enough, min_p);
        (Some(kept), mass)
    }
}

/// The tokens that the next one is drawn from.
struct Candidates {
    /// How many of the sampler's keys; `None` means the whole vocabulary.
    kept: Option<usize>,
    /// The sum of their weights.
    mass: f64,
}

fn adjusted(_: Error) -> Error {
    Error::invalid(
        "logits",
        "after bias, penalties and suppressed tokens no token is left that can be drawn; use milder ones",
    )
}
