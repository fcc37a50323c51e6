//! Means over tasks, with standard errors.

use std::io::Write as _;

use serde_json::{Value, json};

use super::judge::Verdict;
use crate::fail::Fail;
use crate::out::{Out, count};

/// A mean and its standard error: the sample's standard deviation / √n.
#[derive(Default)]
struct Mean {
    items: u64,
    sum: f64,
    squares: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.items += 1;
        self.sum += value;
        self.squares += value * value;
    }

    fn mean(&self) -> f64 {
        self.sum / self.items as f64
    }

    fn error(&self) -> Option<f64> {
        let items = self.items as f64;
        let variance = (self.squares - self.sum * self.mean()).max(0.0) / (items - 1.0);
        (self.items > 1).then(|| (variance / items).sqrt())
    }
}

/// The results of each kind of task.
#[derive(Default)]
pub struct Tally {
    choice: Mean,
    choice_by_length: Mean,
    context: Mean,
    last_word: Mean,
    nats: Mean,
}

impl Tally {
    /// Adds a result.
    pub fn add(&mut self, verdict: &Verdict) {
        let one = |right: bool| f64::from(u8::from(right));
        match *verdict {
            Verdict::Choice { right, right_by_length: Some(by_length), .. } => {
                self.choice.add(one(right));
                self.choice_by_length.add(one(by_length));
            }
            Verdict::Choice { right, .. } => self.context.add(one(right)),
            Verdict::LastWord { logprob, right } => {
                self.last_word.add(one(right));
                self.nats.add(-logprob);
            }
        }
    }

    /// Writes the means of every kind that occurred.
    pub fn report(&self, out: &mut Out, json: bool, cut: usize) -> Result<(), Fail> {
        let Tally { choice, choice_by_length, context, last_word, nats } = self;
        // Perplexity is e to the mean; its error is that of the mean times the derivative, which is again e to the
        // mean.
        let perplexity = nats.mean().exp();
        let perplexity_error = nats.error().map(|error| error * perplexity);
        if json {
            let some = |mean: &Mean, value: Value| if mean.items > 0 { value } else { Value::Null };
            return out.json(&json!({
                "choice": some(choice, json!({
                    "items": choice.items, "acc": choice.mean(), "acc_stderr": choice.error(),
                    "acc_norm": choice_by_length.mean(), "acc_norm_stderr": choice_by_length.error(),
                })),
                "context": some(context, json!({
                    "items": context.items, "acc": context.mean(), "acc_stderr": context.error(),
                })),
                "last_word": some(last_word, json!({
                    "items": last_word.items, "acc": last_word.mean(), "acc_stderr": last_word.error(),
                    "perplexity": perplexity, "perplexity_stderr": perplexity_error,
                })),
                "cut": cut,
            }));
        }
        if choice.items > 0 {
            let (items, right, by_length) =
                (count(choice.items as usize, "choice"), percent(choice), percent(choice_by_length));
            writeln!(out, "{items}: {right} right, {by_length} by length")?;
        }
        if context.items > 0 {
            let items = count(context.items as usize, "context");
            writeln!(out, "{items} to choose from: {} right", percent(context))?;
        }
        if last_word.items > 0 {
            let (items, right) = (count(last_word.items as usize, "last word"), percent(last_word));
            let error = perplexity_error.map(|error| format!(" (± {error:.2})")).unwrap_or_default();
            writeln!(out, "{items}: {right} right, perplexity {perplexity:.2}{error}")?;
        }
        Ok(())
    }
}

/// `31.2 % (± 1.5)`.
fn percent(mean: &Mean) -> String {
    let error = mean.error().map(|error| format!(" (± {:.1})", 100.0 * error)).unwrap_or_default();
    format!("{:.1} %{error}", 100.0 * mean.mean())
}

#[cfg(test)]
mod tests {
    use super::Mean;

    #[test]
    fn the_standard_error_of_shares_is_that_of_the_binomial() {
        let mut mean = Mean::default();
        assert_eq!(mean.error(), None);
        (0..10).for_each(|item| mean.add(f64::from(item % 5 == 0)));
        assert!((mean.mean() - 0.2).abs() < 1e-12);
        assert!((mean.error().unwrap() - (0.2f64 * 0.8 / 9.0).sqrt()).abs() < 1e-12);
    }
}
