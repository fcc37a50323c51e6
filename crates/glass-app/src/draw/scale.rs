//! Axes with round numbers.

use crate::out::number;

/// An axis: values from `low` to `high` are at coordinates from `from` to `to`.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The smallest value.
    pub low: f64,
    /// The largest value.
    pub high: f64,
    /// The coordinate of the smallest value.
    pub from: f64,
    /// The coordinate of the largest value.
    pub to: f64,
}

impl Scale {
    /// The coordinate of a value, outside the axis if the value is.
    pub fn at(&self, value: f64) -> f64 {
        let span = (self.high - self.low).max(f64::MIN_POSITIVE);
        self.from + (value - self.low) / span * (self.to - self.from)
    }

    /// At most `most` + 1 round values within the axis, and their labels.
    pub fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        let step = step(self.high - self.low, most);
        let first = (self.low / step - 1e-9).ceil();
        let count = ((self.high / step + 1e-9).floor() - first).max(-1.0) as usize + 1;
        let values = (0..count).map(|at| (first + at as f64) * step);
        values.map(|value| (value, short(value, step, self.high))).collect()
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that gives at most `most` ticks in a span.
fn step(span: f64, most: usize) -> f64 {
    let least = span.max(1e-12) / most.max(1) as f64;
    let power = 10f64.powf(least.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    round.into_iter().find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// `0.25`, `1,500`, `20k`, `1.5M`: in the unit for an axis that ends at `high`, with enough digits to distinguish
/// values that are `step` apart.
fn short(value: f64, step: f64, high: f64) -> String {
    let (size, name) = match high {
        1e12.. => (1e12, "T"),
        1e9.. => (1e9, "G"),
        1e6.. => (1e6, "M"),
        1e4.. => (1e3, "k"),
        _ => (1.0, ""),
    };
    let digits = (-(step / size).log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
    match value.abs() {
        0.0..0.5 if step >= 1.0 => "0".into(),
        1000.0.. if size == 1.0 && digits == 0 => number(value.round() as u64),
        _ => format!("{:.digits$}{name}", value / size),
    }
}

#[cfg(test)]
mod tests {
    use super::Scale;

    fn ticks(low: f64, high: f64, most: usize) -> String {
        let scale = Scale { low, high, from: 0.0, to: 1.0 };
        scale.ticks(most).into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(1.83, 8.4, 4), "2 4 6 8");
        assert_eq!(ticks(0.0, 5000.0, 5), "0 1,000 2,000 3,000 4,000 5,000");
        assert_eq!(ticks(2.91, 3.02, 3), "2.95 3.00");
        assert_eq!(ticks(0.0, 6.1e6, 3), "0 5M");
        assert_eq!(ticks(0.0, 60_000.0, 3), "0 20k 40k 60k");
        assert_eq!(ticks(0.0, 1.23e6, 4), "0 0.5M 1.0M");
        assert_eq!(ticks(0.0, 2.0, 2), "0 1 2");
    }
}
