//! The state of a run so far: everything that a display shows.

use std::collections::VecDeque;
use std::time::Instant;

use glass::train::log::LoggedStep;
use glass::train::settings::Settings;

use crate::draw::history::History;
use crate::out::{duration, number};
use crate::train::work::Work;

/// How many of the last steps the speed is a mean of.
const LATEST: usize = 16;

/// How many steps and remarks are remembered.
const RECENT: usize = 64;

/// The state of a run.
#[derive(Clone)]
pub struct Seen {
    /// The folder of the run.
    pub folder: String,
    /// The total number of steps.
    pub steps: u64,
    /// Losses since the run began.
    pub history: History,
    /// The most recent steps.
    pub recent: VecDeque<LoggedStep>,
    /// Epochs seen.
    pub epochs: f64,
    /// The most recent remarks.
    pub remarks: VecDeque<String>,
    /// The latest sample, and the step after which it was generated.
    pub sample: Option<(u64, String)>,
    /// Floating-point operations to learn one token, by the step.
    work: Work,
    minutes: Option<f64>,
    /// Events that happen every so many steps.
    every: [(&'static str, u64); 3],
    clock: Instant,
    /// The step and second at which this session began.
    begun: (u64, f64),
    /// The second of the last step.
    at: f64,
}

impl Seen {
    /// The initial state of a run with these settings, in which learning a token takes this work.
    pub fn new(
        folder: String,
        settings: &Settings,
        validates: bool,
        work: Work,
        minutes: Option<f64>,
    ) -> Seen {
        Seen {
            folder,
            steps: settings.steps,
            history: History::default(),
            recent: VecDeque::new(),
            epochs: 0.0,
            remarks: VecDeque::new(),
            sample: None,
            work,
            minutes,
            every: [
                ("evaluation", if validates { settings.eval_every } else { 0 }),
                ("checkpoint", settings.checkpoint_every),
                ("sample", settings.sample_every),
            ],
            clock: Instant::now(),
            begun: (0, 0.0),
            at: 0.0,
        }
    }

    /// The run begins, or continues, after `step`.
    pub fn begin(&mut self, step: u64, history: History) {
        self.history = history;
        self.at = self.seconds();
        self.begun = (step, self.at);
    }

    /// A step was taken.
    pub fn step(&mut self, line: &LoggedStep, epochs: f64) {
        self.history.add(line);
        self.epochs = epochs;
        self.at = self.seconds();
        push(&mut self.recent, line.clone());
    }

    /// Adds a remark.
    pub fn remark(&mut self, text: &str) {
        push(&mut self.remarks, text.into());
    }

    /// A checkpoint was saved, which is added to the remark about its step.
    pub fn saved(&mut self, step: u64) {
        let of_it = format!("step {step}: ");
        match self.remarks.back_mut().filter(|remark| remark.starts_with(&of_it)) {
            Some(remark) => remark.push_str("; checkpoint saved"),
            None => self.remark(&(of_it + "checkpoint saved")),
        }
    }

    /// Seconds since this session was started.
    pub fn seconds(&self) -> f64 {
        self.clock.elapsed().as_secs_f64()
    }

    /// Whether its minutes are over.
    pub fn is_over(&self) -> bool {
        self.minutes.is_some_and(|minutes| self.seconds() >= 60.0 * minutes)
    }

    /// The last step.
    pub fn line(&self) -> Option<&LoggedStep> {
        self.recent.back()
    }

    /// The number of the last step.
    pub fn at_step(&self) -> u64 {
        self.line().map_or(self.begun.0, |line| line.step)
    }

    /// Steps of this session.
    pub fn taken(&self) -> u64 {
        self.at_step() - self.begun.0
    }

    /// Seconds per step with all blocks, including everything between two steps.
    fn pace(&self) -> f64 {
        let taken = self.work.of_steps(self.begun.0..self.at_step());
        (self.at - self.begun.1) / if taken > 0.0 { taken } else { 1.0 }
    }

    /// Seconds until `steps` more are taken.
    fn until(&self, steps: u64) -> f64 {
        let step = self.at_step();
        (self.pace() * self.work.of_steps(step..step + steps) - (self.seconds() - self.at)).max(0.0)
    }

    /// Seconds until the end.
    pub fn left(&self) -> f64 {
        let left = self.until(self.steps.saturating_sub(self.at_step()));
        self.minutes.map_or(left, |minutes| left.min(60.0 * minutes - self.seconds()).max(0.0))
    }

    /// The next events, with the seconds until them; without the end.
    pub fn next(&self) -> Vec<(&'static str, f64)> {
        let step = self.at_step();
        let regular = self.every.iter().filter(|(_, every)| *every > 0);
        let next = regular.map(|(what, every)| (*what, every - step % every));
        let before_the_end = next.filter(|(_, steps)| step + steps < self.steps);
        before_the_end.map(|(what, steps)| (what, self.until(steps))).collect()
    }

    /// Tokens per second over the last steps.
    pub fn speed(&self) -> f64 {
        let speeds = self.recent.iter().rev().take(LATEST).filter_map(|line| line.tokens_per_second);
        let (count, slowness) =
            speeds.fold((0.0, 0.0), |(count, sum), speed| (count + 1.0, sum + 1.0 / speed));
        if count > 0.0 { count / slowness } else { 0.0 }
    }

    /// GFLOP/s at this speed.
    pub fn gflops(&self, speed: f64) -> f64 {
        // Of the same steps as the speed.
        let works: Vec<f64> =
            self.recent.iter().rev().take(LATEST).map(|line| self.work.at(line.step) as f64).collect();
        speed * works.iter().sum::<f64>() / works.len().max(1) as f64 / 1e9
    }

    /// The last step in a line, of at most so many columns: what is least needed is left out.
    pub fn text_within(&self, columns: Option<usize>) -> String {
        let Some(line) = self.line() else { return String::new() };
        let speed = line.tokens_per_second.unwrap_or_default();
        let share = 100.0 * line.mfu.unwrap_or_default();
        let mut parts = vec![
            (0, format!("step {} of {}", number(line.step), number(self.steps))),
            (3, format!("epoch {:.2}", self.epochs)),
            (1, format!("loss {:.4}", line.loss)),
            (3, line.details.divergence.map_or(String::new(), |nats| format!("divergence {nats:.4}"))),
            (
                3,
                line.details
                    .accuracy
                    .map_or(String::new(), |share| format!("ordered {:.0} %", 100.0 * share)),
            ),
            (4, format!("{} tokens/s", number(speed as u64))),
            (5, format!("{:.0} GFLOP/s ({share:.0} % of the FMA peak)", self.gflops(speed))),
            (2, format!("{} left", duration(self.left()))),
        ];
        parts.retain(|(_, part)| !part.is_empty());
        let text = |parts: &[(u8, String)]| {
            parts.iter().map(|(_, part)| part.as_str()).collect::<Vec<_>>().join("  ")
        };
        while parts.len() > 1 && columns.is_some_and(|columns| text(&parts).len() > columns) {
            let last = parts.iter().map(|(rank, _)| *rank).max();
            parts.retain(|(rank, _)| Some(*rank) != last);
        }
        text(&parts)
    }
}

fn push<T>(into: &mut VecDeque<T>, next: T) {
    if into.len() == RECENT {
        into.pop_front();
    }
    into.push_back(next);
}

#[cfg(test)]
mod tests {
    use glass::train::log::LoggedStep;
    use glass::train::objective::Details;
    use glass::train::settings::Settings;

    use super::{Seen, Work};

    #[test]
    fn a_step_fits_its_line() {
        let mut seen = Seen::new("r".into(), &Settings::default(), true, Work::even(1_000_000), None);
        let line = LoggedStep {
            step: 1000,
            loss: 3.25,
            details: Details::default(),
            val_loss: None,
            val_accuracy: None,
            bits_per_byte: None,
            val_losses: Default::default(),
            lr: 1e-3,
            grad_norm: 1.0,
            tokens_per_second: Some(12_345.0),
            mfu: Some(0.5),
            tokens: 1,
            seconds: None,
        };
        seen.step(&line, 1.5);
        let whole = seen.text_within(None);
        assert!(whole.len() > 80 && whole.contains("% of the FMA peak"), "{whole}");
        for columns in [59, 79] {
            let text = seen.text_within(Some(columns));
            assert!(text.len() <= columns && text.starts_with("step 1,000 of 1,000"), "{text}");
            assert!(text.contains("loss 3.2500") && text.ends_with(" left"), "{text}");
        }
        assert_eq!(seen.text_within(Some(1)), "step 1,000 of 1,000");
    }
}
