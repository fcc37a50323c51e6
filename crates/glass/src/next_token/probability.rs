//! Logits as probabilities, in f64: the exponentials, their sum, and what is read off them.

use crate::{Error, Result};

/// Sums are kept in this many lanes, which a compiler can hold in vector registers; they are joined in order.
const LANES: usize = 8;

/// The probability and rank of a token.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scored {
    /// The logarithm of its probability, in nats.
    pub logprob: f64,
    /// Its rank: 1 is the most probable token. Among equally probable tokens, the lower id comes first.
    pub rank: usize,
}

/// The log-probability of a token in a row of raw logits: the same as [`score`] gives, for logits that were checked.
pub fn logprob(logits: &[f32], id: u32) -> f64 {
    let peak = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(logits[id as usize]) - log_sum_exp(logits, peak)
}

/// The log-probability and rank of the token `target` in a row of raw logits.
pub fn score(logits: &[f32], target: u32) -> Result<Scored> {
    let peak = peak(logits, logits.len())?;
    let Some(&own) = logits.get(target as usize) else {
        let why = format!("token {target} is not in the vocabulary of {} tokens", logits.len());
        return Err(Error::invalid_argument("target", why));
    };
    let higher = logits.iter().filter(|&&logit| logit > own).count();
    let ties = logits[..target as usize].iter().filter(|&&logit| logit == own).count();
    Ok(Scored { logprob: f64::from(own) - log_sum_exp(logits, peak), rank: 1 + higher + ties })
}

/// The most probable token; of equally probable ones the lowest id.
pub fn most_probable(logits: &[f32]) -> u32 {
    let higher = |best: usize, id: usize| if logits[id] > logits[best] { id } else { best };
    (0..logits.len()).fold(0, higher) as u32
}

/// `Σ p ln(p / q)` in nats, over the probabilities p and q given by two rows of raw logits.
pub fn divergence(p: &[f32], q: &[f32]) -> Result<f64> {
    let sums = [log_sum_exp(p, peak(p, p.len())?), log_sum_exp(q, peak(q, p.len())?)];
    let terms = p.iter().zip(q).map(|(&p, &q)| {
        let [p, q] = [f64::from(p) - sums[0], f64::from(q) - sums[1]];
        let probability = exp(p);
        // An impossible token adds nothing.
        if probability > 0.0 { probability * (p - q) } else { 0.0 }
    });
    Ok(terms.sum())
}

/// The highest logit, which must be finite; a NaN anywhere is refused.
pub(super) fn peak(logits: &[f32], vocabulary: usize) -> Result<f32> {
    if logits.len() != vocabulary {
        return Err(Error::invalid(
            "logits",
            format!("{} logits for a vocabulary of {vocabulary}", logits.len()),
        ));
    }
    let (rows, rest) = logits.as_chunks::<LANES>();
    let mut highest = [f32::NEG_INFINITY; LANES];
    let mut broken = rest.iter().any(|logit| logit.is_nan());
    for row in rows {
        for (highest, &logit) in highest.iter_mut().zip(row) {
            *highest = if logit > *highest { logit } else { *highest };
            broken |= logit.is_nan();
        }
    }
    let peak = highest.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
    match (broken, peak) {
        (true, _) => {
            let at = logits.iter().position(|logit| logit.is_nan()).unwrap_or_default();
            Err(Error::invalid(
                "logits",
                format!("the logit of token {at} is NaN: the model's weights or activations are invalid"),
            ))
        }
        (_, f32::INFINITY) => Err(Error::invalid(
            "logits",
            "a logit is infinite: the model's weights or activations are invalid",
        )),
        (_, f32::NEG_INFINITY) => Err(Error::invalid("logits", "no token is possible: every logit is -inf")),
        _ => Ok(peak),
    }
}

/// `ln Σ exp(logit)`, given the highest logit.
pub(super) fn log_sum_exp(logits: &[f32], peak: f32) -> f64 {
    let (rows, rest) = logits.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for row in rows {
        for (sum, &logit) in sums.iter_mut().zip(row) {
            *sum += exp(f64::from(logit) - f64::from(peak));
        }
    }
    let rest: f64 = rest.iter().map(|&logit| exp(f64::from(logit) - f64::from(peak))).sum();
    f64::from(peak) + (sums.iter().sum::<f64>() + rest).ln()
}

/// `weights = exp((scores − peak) × inverse)`, and their sum.
pub(super) fn weigh(scores: &[f32], peak: f32, inverse: f64, weights: &mut [f64]) -> f64 {
    for (weight, &score) in weights.iter_mut().zip(scores) {
        *weight = exp((f64::from(score) - f64::from(peak)) * inverse);
    }
    let (rows, rest) = weights.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight);
    }
    // In the order of `log_sum_exp`, so that a token's probability has the same bits by either.
    sums.iter().sum::<f64>() + rest.iter().sum::<f64>()
}

/// Where the running sum of `weights` exceeds `mark`; if rounding leaves it short, the last one with a weight above
/// 0.
pub(super) fn pick(weights: impl Iterator<Item = f64>, mark: f64) -> usize {
    let mut sum = 0.0;
    let mut last = 0;
    for (i, weight) in weights.enumerate() {
        sum += weight;
        if weight > 0.0 {
            last = i;
            if sum > mark {
                break;
            }
        }
    }
    last
}

/// [`pick`] over a whole vocabulary: whole blocks are skipped by their sums.
pub(super) fn pick_of_all(weights: &[f64], mark: f64) -> usize {
    const BLOCK: usize = 16 * LANES;
    let mut before = 0.0;
    let (mut block, mut left) = (0, mark);
    for (i, weights) in weights.chunks(BLOCK).enumerate() {
        let mut sums = [0.0; LANES];
        for row in weights.chunks(LANES) {
            sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight);
        }
        let sum: f64 = sums.iter().sum();
        if sum > 0.0 {
            (block, left) = (i * BLOCK, mark - before);
            before += sum;
            if before > mark {
                break;
            }
        }
    }
    block + pick(weights[block..].iter().take(BLOCK).copied(), left)
}

/// `e^x` for `x ≤ 0`, with a relative error within 1e-11, as plain arithmetic without branches, so that a loop over
/// it is vectorised. Below −700 it is 0.
///
/// x = k ln 2 + r with |r| ≤ ln 2 / 2; `e^r` is its Taylor polynomial, and 2^k is built from its bits.
#[inline(always)]
fn exp(x: f64) -> f64 {
    /// Adding 1.5 × 2⁵² leaves the nearest whole number in the low bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    /// ln 2 in two parts, the first short enough for k × it to be exact.
    const LN_2: (f64, f64) = (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10);
    const INVERSE_FACTORIALS: [f64; 10] = [
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let inside = if x > -700.0 { x } else { -700.0 };
    let rounded = inside * std::f64::consts::LOG2_E + ROUND;
    let k = rounded - ROUND;
    let r = (inside - k * LN_2.0) - k * LN_2.1;
    let power = f64::from_bits(rounded.to_bits().wrapping_add(1023) << 52);
    let mut polynomial = INVERSE_FACTORIALS[0];
    for coefficient in &INVERSE_FACTORIALS[1..] {
        polynomial = polynomial * r + coefficient;
    }
    if x > -700.0 { polynomial * power } else { 0.0 }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_mark_at_a_sum_belongs_to_the_token_after_it() {
        let pick = |mark| super::pick([0.5, 0.0, 0.25, 0.25].into_iter(), mark);
        assert_eq!([0.0, 0.49, 0.5, 0.74, 0.75, 1.0].map(pick), [0, 0, 2, 2, 3, 3]);
    }

    #[test]
    fn a_pick_of_all_is_a_pick() {
        let weights: Vec<f64> = (0..1000).map(|i| if i % 3 == 1 { 0.0 } else { f64::from(i % 7) }).collect();
        let all: f64 = weights.iter().sum();
        for mark in 0..=all as usize + 1 {
            let mark = mark as f64;
            assert_eq!(super::pick_of_all(&weights, mark), super::pick(weights.iter().copied(), mark));
        }
    }

    #[test]
    fn exp_is_the_exponential() {
        for i in 0..200_000 {
            let x = -f64::from(i) * 0.0035;
            let (ours, exact) = (super::exp(x), if x > -700.0 { x.exp() } else { 0.0 });
            assert!((ours - exact).abs() <= 1e-11 * exact, "e^{x}: {ours}, not {exact}");
        }
        assert_eq!(super::exp(0.0), 1.0);
        assert_eq!(super::exp(f64::NEG_INFINITY), 0.0);
        assert_eq!(super::exp(-1e300), 0.0);
    }
}
