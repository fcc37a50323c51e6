//! What is seen of a run: a line of progress, and what the model says by now.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use glass::Result;
use glass::backend::Cpu;
use glass::generate::{Runner, Wish, generate};
use glass::next_token::Sampling;
use glass::train::learner::Learner;
use glass::train::watch::{Event, Watch};
use glass::weights::Weights;

use super::subject::Subject;
use crate::args::TrainArgs;
use crate::fail::{Fail, say};
use crate::out::{Out, duration, number};
use crate::progress::Line;

/// Tokens of a sample.
const SAMPLE: usize = 80;

/// Watches a run.
pub struct Progress<'a> {
    subject: &'a Subject,
    steps: u64,
    flops: u64,
    roof: f64,
    minutes: Option<f64>,
    stop: Arc<AtomicBool>,
    line: Line,
    /// Step and second at which this sitting began.
    begun: (u64, f64),
    json: Option<Out>,
    /// What became of standard output.
    written: std::result::Result<(), Fail>,
}

impl<'a> Progress<'a> {
    /// Of a run of `steps` steps, in which learning a token takes `flops`, on a machine with this roof.
    pub fn new(
        args: &TrainArgs,
        subject: &'a Subject,
        steps: u64,
        flops: u64,
        roof: f64,
        stop: Arc<AtomicBool>,
    ) -> Progress<'a> {
        Progress {
            subject,
            steps,
            flops,
            roof,
            minutes: args.run.minutes,
            stop,
            line: Line::default(),
            begun: (0, 0.0),
            json: args.run.json.then(Out::new),
            written: Ok(()),
        }
    }

    /// The end of the line.
    pub fn end(mut self) -> std::result::Result<(), Fail> {
        self.line.end();
        self.written
    }

    fn remark(&mut self, text: &str) {
        self.line.end();
        say(text);
    }

    fn step(&mut self, line: &glass::train::log::Line, epochs: f64) {
        let seconds = self.line.seconds();
        if self.minutes.is_some_and(|minutes| seconds >= 60.0 * minutes) {
            self.stop.store(true, Ordering::Relaxed);
        }
        if let Some(out) = &mut self.json {
            let written = out.json(line).and_then(|()| out.show());
            // Where nobody reads any more, the run stops, checkpoint first.
            if written.is_err() {
                self.written = written;
                self.json = None;
                self.stop.store(true, Ordering::Relaxed);
            }
        }
        let (first, since) = self.begun;
        let (done, left) = (line.step - first, self.steps - line.step);
        let left = (seconds - since) / done.max(1) as f64 * left as f64;
        let left = self.minutes.map_or(left, |minutes| left.min(60.0 * minutes - seconds));
        let speed = line.tokens_per_second.unwrap_or_default();
        let gflops = speed * self.flops as f64 / 1e9;
        let share = 100.0 * line.mfu.unwrap_or_default();
        let text = format!(
            "step {} of {}  epoch {epochs:.2}  loss {:.4}  {} tokens/s  {gflops:.0} GFLOP/s ({share:.0} % of the FMA roof)  {} left",
            number(line.step),
            number(self.steps),
            line.loss,
            number(speed as u64),
            duration(left)
        );
        match line.step == self.steps || done == 1 {
            true => self.line.now(&text),
            false => self.line.show(&text),
        }
    }
}

impl Watch<Cpu> for Progress<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Started { step, resumed, .. } => {
                self.begun = (step, self.line.seconds());
                if resumed {
                    self.remark(&format!("going on after step {}", number(step)));
                }
            }
            Event::Step { line, epochs } => self.step(line, epochs),
            Event::Spike { step, loss, usual } => {
                self.remark(&format!("step {step}: the loss is {loss:.4}, where {usual:.4} was usual"));
            }
            Event::Evaluated { step, loss, bits_per_byte, best } => {
                let bits =
                    bits_per_byte.map(|bits| format!(" ({bits:.4} bits per byte)")).unwrap_or_default();
                let best = if best { ", the best so far" } else { "" };
                self.remark(&format!("step {step}: validation loss {loss:.4}{bits}{best}"));
            }
            Event::Sampling { .. } | Event::Saved { .. } | Event::Stopped { .. } => {}
        }
    }

    fn seconds(&mut self) -> Option<f64> {
        Some(self.line.seconds())
    }

    fn utilisation(&mut self, tokens_per_second: f64) -> Option<f64> {
        Some(tokens_per_second * self.flops as f64 / self.roof)
    }

    fn sample(&mut self, learner: &mut Learner<Cpu>, step: u64) -> Result<()> {
        let backend = learner.backend().clone();
        let (gpt, weights) = learner.model();
        let mut runner = Runner::new(&*backend, gpt, Weights::Trainable(weights))?;
        let end = self.subject.end_of_text();
        runner.feed(&[end.unwrap_or(0)])?;
        let sampling = Sampling { temperature: 0.8, seed: step, ..Sampling::default() };
        let wish = Wish { tokens: SAMPLE, sampling, ends: end.into_iter().collect(), ..Wish::default() };
        let tokenizer = self.subject.tokenizer.as_ref();
        let said = generate(&mut runner, tokenizer, &wish, 0, &mut |_| ControlFlow::Continue(()))?;
        self.line.end();
        let text = if tokenizer.is_some() { said.text } else { format!("{:?}", said.ids) };
        let _ = writeln!(std::io::stderr(), "step {step} says: {text}");
        Ok(())
    }
}
