//! Losses of pairs of answers to the same prompt, of which one is preferred.
//!
//! All of them are functions of how much more probable the model makes the chosen answer than the rejected one, most of them
//! compared with a reference, the model as it was before. They are those of `trl` 1.16: `DPOTrainer`, and for SimPO `CPOTrainer`
//! with a `cpo_alpha` of 0.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A loss of pairs. s(y) = log π(y|x) − log π_ref(y|x) of an answer y, n(y) its number of tokens; c is chosen, r rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreferenceLoss {
    /// −log σ(β (s(c) − s(r))): direct preference optimisation (Rafailov et al. 2023, equation 7). `trl`: `sigmoid`.
    #[default]
    Dpo,
    /// −log σ(β (s(c)/n(c) − s(r)/n(r))): the same per token (Lambert et al. 2024). `trl`: `sigmoid_norm`.
    DpoNorm,
    /// DPO where a share ε of the pairs is expected to be the wrong way round, without the bias that this brings:
    /// ((1 − ε) f(z) − ε f(−z)) / (1 − 2 ε) with f(z) = −log σ(z), z as in DPO (Chowdhury et al. 2024). `trl`: `robust`.
    Robust,
    /// (s(c)/n(c) − s(r)/n(r) − 1/(2β))² (Azar et al. 2023, equation 17; per token, as `trl` and the authors compute it).
    /// `trl`: `ipo`.
    Ipo,
    /// (1 − ε) f(z) + ε f(−z) with z = β (log π(c|x)/n(c) − log π(r|x)/n(r)) − γ: no reference (Meng et al. 2024, equation 6).
    /// `trl`: `simpo`.
    Simpo,
}

/// A loss of pairs and its constants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Preference {
    /// The loss.
    #[serde(rename = "preference-loss")]
    pub loss: PreferenceLoss,
    /// β: how little the model may move away from the reference.
    pub beta: f32,
    /// SimPO's γ: by how much the chosen answer should be ahead.
    pub gamma: f32,
    /// ε: the share of pairs that are expected to be the wrong way round.
    pub label_smoothing: f32,
}

/// An answer as the model and the reference see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// The sum of its tokens' log-probabilities, in nats.
    pub log_probability: f64,
    /// The same by the reference.
    pub reference: f64,
    /// Its number of tokens.
    pub tokens: usize,
}

/// What a loss says of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// The loss.
    pub loss: f64,
    /// Its derivative with respect to the log-probability of the chosen and of the rejected answer.
    pub slopes: [f64; 2],
    /// The rewards of the chosen and of the rejected answer, as `trl` reports them: β s(y); of SimPO β log π(y|x)/n(y).
    pub rewards: [f64; 2],
}

impl PreferenceLoss {
    /// Whether answers are compared with how probable the reference finds them.
    pub fn has_reference(self) -> bool {
        self != PreferenceLoss::Simpo
    }

    /// Whether log-probabilities are divided by the number of tokens.
    fn is_per_token(self) -> bool {
        matches!(self, PreferenceLoss::DpoNorm | PreferenceLoss::Ipo | PreferenceLoss::Simpo)
    }

    /// Whether it knows of pairs that are the wrong way round.
    fn is_smoothed(self) -> bool {
        matches!(self, PreferenceLoss::Robust | PreferenceLoss::Simpo)
    }
}

impl Preference {
    /// A loss with its usual constants: β 0.1, as in `trl`; per token β 5 (Lambert et al. 2024); SimPO β 2 and γ 0.5 (Meng et al.
    /// 2024).
    pub fn usual(loss: PreferenceLoss) -> Preference {
        let beta = match loss {
            PreferenceLoss::Dpo | PreferenceLoss::Robust | PreferenceLoss::Ipo => 0.1,
            PreferenceLoss::DpoNorm => 5.0,
            PreferenceLoss::Simpo => 2.0,
        };
        let gamma = if loss == PreferenceLoss::Simpo { 0.5 } else { 0.0 };
        Preference { loss, beta, gamma, label_smoothing: 0.0 }
    }

    /// Refuses impossible constants, and those that the loss would ignore.
    pub fn check(&self) -> Result<()> {
        let Preference { loss, beta, gamma, label_smoothing } = *self;
        let wrong: [(bool, &str, f32, &str); 5] = [
            (!(beta > 0.0 && beta.is_finite()), "beta", beta, "a number above 0 is needed"),
            (!(gamma >= 0.0 && gamma.is_finite()), "gamma", gamma, "at least 0 is needed"),
            (
                gamma != 0.0 && loss != PreferenceLoss::Simpo,
                "gamma",
                gamma,
                "only the loss simpo has one; leave it out, or choose that loss",
            ),
            (
                !(0.0..0.5).contains(&label_smoothing),
                "label_smoothing",
                label_smoothing,
                "a number of at least 0 and below 0.5 is needed",
            ),
            (
                label_smoothing != 0.0 && !loss.is_smoothed(),
                "label_smoothing",
                label_smoothing,
                "only the losses robust and simpo have one; leave it out, or choose one of them",
            ),
        ];
        match wrong.into_iter().find(|(wrong, ..)| *wrong) {
            Some((_, name, value, why)) => {
                Err(Error::invalid_argument(name, format!("{value} was given, but {why}")))
            }
            None => Ok(()),
        }
    }

    /// The loss of a pair, its slopes and rewards.
    pub fn judge(&self, chosen: Answer, rejected: Answer) -> Judgement {
        let [beta, gamma, wrong] = [self.beta, self.gamma, self.label_smoothing].map(f64::from);
        let answers = [chosen, rejected];
        let per = answers.map(|answer| match self.loss.is_per_token() {
            true => 1.0 / answer.tokens.max(1) as f64,
            false => 1.0,
        });
        let scores = answers.map(|answer| match self.loss.has_reference() {
            true => answer.log_probability - answer.reference,
            false => answer.log_probability,
        });
        let ahead = scores[0] * per[0] - scores[1] * per[1];
        let z = beta * ahead - gamma;
        // The loss, and its derivative with respect to `ahead`.
        let (loss, slope) = match self.loss {
            PreferenceLoss::Dpo | PreferenceLoss::DpoNorm => (softplus(-z), -beta * sigmoid(-z)),
            PreferenceLoss::Robust => {
                let unbiased = 1.0 / (1.0 - 2.0 * wrong);
                let loss = (1.0 - wrong) * softplus(-z) - wrong * softplus(z);
                let slope = -(1.0 - wrong) * sigmoid(-z) - wrong * sigmoid(z);
                (loss * unbiased, beta * slope * unbiased)
            }
            PreferenceLoss::Ipo => {
                let away = ahead - 1.0 / (2.0 * beta);
                (away * away, 2.0 * away)
            }
            PreferenceLoss::Simpo => {
                let loss = (1.0 - wrong) * softplus(-z) + wrong * softplus(z);
                (loss, beta * (-(1.0 - wrong) * sigmoid(-z) + wrong * sigmoid(z)))
            }
        };
        let rewarded = if self.loss.has_reference() { [1.0; 2] } else { per };
        Judgement {
            loss,
            slopes: [slope * per[0], -slope * per[1]],
            rewards: [0, 1].map(|side| beta * scores[side] * rewarded[side]),
        }
    }
}

/// 1 / (1 + e^−x).
fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// log(1 + e^x) = −log σ(−x), without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOSSES: [PreferenceLoss; 5] = [
        PreferenceLoss::Dpo,
        PreferenceLoss::DpoNorm,
        PreferenceLoss::Robust,
        PreferenceLoss::Ipo,
        PreferenceLoss::Simpo,
    ];

    #[test]
    fn slopes_are_those_of_the_loss() {
        for loss in LOSSES {
            let label_smoothing = if loss.is_smoothed() { 0.1 } else { 0.0 };
            let preference = Preference { label_smoothing, ..Preference::usual(loss) };
            preference.check().unwrap();
            for [chosen, rejected] in [[-3.0, -4.5], [-40.0, -20.0], [-20.0, -45.0]] {
                let answer = |log_probability, tokens| Answer { log_probability, reference: -9.0, tokens };
                let of = |c: f64, r: f64| preference.judge(answer(c, 4), answer(r, 7));
                let (judged, h) = (of(chosen, rejected), 1e-5);
                let slopes = [
                    (of(chosen + h, rejected).loss - of(chosen - h, rejected).loss) / (2.0 * h),
                    (of(chosen, rejected + h).loss - of(chosen, rejected - h).loss) / (2.0 * h),
                ];
                for (slope, expected) in judged.slopes.iter().zip(slopes) {
                    assert!((slope - expected).abs() < 1e-7, "{loss:?}: {slope} but {expected}");
                }
            }
        }
    }

    #[test]
    fn a_model_as_the_reference_knows_nothing_yet() {
        let same = Answer { log_probability: -7.0, reference: -7.0, tokens: 3 };
        let judged = Preference::usual(PreferenceLoss::Dpo).judge(same, same);
        assert!((judged.loss - std::f64::consts::LN_2).abs() < 1e-15 && judged.rewards == [0.0; 2]);
        let judged = Preference::usual(PreferenceLoss::Ipo).judge(same, same);
        assert!((judged.loss - 25.0).abs() < 1e-5, "{judged:?}");
    }

    #[test]
    fn far_apart_is_finite() {
        for loss in LOSSES {
            let answer = |log_probability| Answer { log_probability, reference: 0.0, tokens: 1 };
            for [chosen, rejected] in [[-1e6, -1.0], [-1.0, -1e6]] {
                let Judgement { loss, slopes, .. } =
                    Preference::usual(loss).judge(answer(chosen), answer(rejected));
                assert!(loss.is_finite() && slopes.iter().all(|slope| slope.is_finite()));
            }
        }
    }

    #[test]
    fn constants_that_would_be_ignored_are_refused() {
        let usual = Preference::usual(PreferenceLoss::Dpo);
        for (wrong, name) in [
            (Preference { beta: 0.0, ..usual }, "beta"),
            (Preference { beta: f32::NAN, ..usual }, "beta"),
            (Preference { gamma: 1.0, ..usual }, "gamma"),
            (Preference { label_smoothing: 0.1, ..usual }, "label_smoothing"),
            (
                Preference { label_smoothing: 0.5, ..Preference::usual(PreferenceLoss::Robust) },
                "label_smoothing",
            ),
        ] {
            let error = wrong.check().unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
