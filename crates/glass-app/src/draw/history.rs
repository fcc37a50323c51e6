//! The losses of a run in bounded memory: if there are many steps, neighbouring ones share a point.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use glass::train::log::LoggedStep;

/// The maximum number of points. A picture has fewer columns.
const MOST: usize = 2048;

/// Consecutive steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The last step.
    pub step: u64,
    /// Tokens seen at that step.
    pub tokens: u64,
    /// Their mean loss, nats per token.
    pub loss: f64,
    /// Their mean learning rate.
    pub rate: f64,
}

/// One evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// The step after which it was made.
    pub step: u64,
    /// Tokens seen at that step.
    pub tokens: u64,
    /// Nats per token.
    pub loss: f64,
    /// Bits per byte of text, if the bytes are known.
    pub bits_per_byte: Option<f64>,
}

/// The losses and evaluations of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// The number of steps per point.
    per: u64,
    /// The number of steps in the last point, at most `per`.
    filled: u64,
    points: Vec<Point>,
    evaluations: Vec<Evaluation>,
}

impl Default for History {
    fn default() -> History {
        History { per: 1, filled: 1, points: Vec::new(), evaluations: Vec::new() }
    }
}

impl History {
    /// Reads the history of a logged run, as far as the log is readable.
    pub fn read(log: &Path) -> History {
        let mut history = History::default();
        if let Ok(file) = File::open(log) {
            let lines = BufReader::new(file).lines().map_while(Result::ok);
            lines.map_while(|line| serde_json::from_str(&line).ok()).for_each(|line| history.add(&line));
        }
        history
    }

    /// Adds a step.
    pub fn add(&mut self, line: &LoggedStep) {
        let next = Point { step: line.step, tokens: line.tokens, loss: line.loss, rate: line.lr.into() };
        if let Some(loss) = line.val_loss {
            let LoggedStep { step, tokens, bits_per_byte, .. } = *line;
            self.evaluations.push(Evaluation { step, tokens, loss, bits_per_byte });
        }
        if self.filled == self.per && self.points.len() == MOST {
            self.halve();
        }
        match self.points.last_mut() {
            Some(last) if self.filled < self.per => {
                self.filled += 1;
                let share = 1.0 / self.filled as f64;
                *last = Point {
                    loss: last.loss + (next.loss - last.loss) * share,
                    rate: last.rate + (next.rate - last.rate) * share,
                    ..next
                };
            }
            _ => {
                self.filled = 1;
                self.points.push(next);
            }
        }
    }

    /// Joins each two points into one.
    fn halve(&mut self) {
        let join = |pair: &[Point]| Point {
            loss: (pair[0].loss + pair[1].loss) / 2.0,
            rate: (pair[0].rate + pair[1].rate) / 2.0,
            ..pair[1]
        };
        self.points = self.points.chunks_exact(2).map(join).collect();
        self.per *= 2;
        self.filled = self.per;
    }

    /// The points, in the order of the steps.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The evaluations, in the order of the steps.
    pub fn evaluations(&self) -> &[Evaluation] {
        &self.evaluations
    }

    /// Bits per byte of the validation text for each nat per token.
    pub fn bits_per_nat(&self) -> Option<f64> {
        self.evaluations.last().and_then(|last| Some(last.bits_per_byte? / last.loss))
    }

    /// The loss of every point, averaged over its neighbours: a thirtieth of all points on either side. Near the
    /// steep start, both sides are shortened to the distance from the start, so that the curve neither lags nor
    /// leads.
    pub fn smooth(&self) -> Vec<f64> {
        let count = self.points.len();
        let sums: Vec<f64> = std::iter::once(0.0)
            .chain(self.points.iter().scan(0.0, |sum, point| {
                *sum += point.loss;
                Some(*sum)
            }))
            .collect();
        let mean = |at: usize| {
            let reach = (count / 30).min(at);
            let (from, to) = (at - reach, (at + reach + 1).min(count));
            (sums[to] - sums[from]) / (to - from) as f64
        };
        (0..count).map(mean).collect()
    }

    /// The range of losses in a picture: all validation losses and the smooth curve, except the highest values at
    /// its start, which would flatten everything else.
    pub fn range(&self) -> (f64, f64) {
        let mut losses = self.smooth();
        losses.sort_by(f64::total_cmp);
        let least = losses.first().copied().unwrap_or(0.0);
        let most = losses.get((losses.len() * 49 / 50).saturating_sub(1)).copied().unwrap_or(1.0);
        let others = self.evaluations.iter().map(|evaluation| evaluation.loss);
        let (low, high) = others.fold((least, most), |(low, high), loss| (low.min(loss), high.max(loss)));
        let margin = ((high - low) * 0.06).max(0.01);
        ((low - margin).max(0.0), high + margin)
    }
}

#[cfg(test)]
mod tests {
    use glass::train::objective::Details;

    use super::*;

    fn line(step: u64) -> LoggedStep {
        LoggedStep {
            step,
            loss: 8.0 / step as f64,
            details: Details::default(),
            val_loss: step.is_multiple_of(1000).then_some(2.0),
            val_accuracy: None,
            bits_per_byte: None,
            val_losses: Default::default(),
            lr: 0.5,
            grad_norm: 1.0,
            tokens_per_second: None,
            mfu: None,
            tokens: 10 * step,
            seconds: None,
        }
    }

    #[test]
    fn many_steps_share_points_and_keep_their_mean() {
        let mut history = History::default();
        (1..=5000).for_each(|step| history.add(&line(step)));
        let points = history.points();
        assert_eq!((points.len(), history.per, history.evaluations().len()), (1250, 4, 5));
        let first: f64 = (1..=4).map(|step| line(step).loss).sum::<f64>() / 4.0;
        assert!((points[0].loss - first).abs() < 1e-12);
        assert_eq!((points[1249].step, points[1249].tokens), (5000, 50_000));
    }

    #[test]
    fn smoothing_keeps_a_straight_line() {
        let mut history = History::default();
        (1..=300).for_each(|step| history.add(&LoggedStep { loss: step as f64, ..line(step) }));
        let smooth = history.smooth();
        assert!(smooth.iter().zip(1..).take(290).all(|(loss, step)| (loss - f64::from(step)).abs() < 1e-9));
    }
}
