//! Watches a run and shows it: on a display or in lines, in `curve.svg`, in TensorBoard's events.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use glass::atomic_write::replace;
use glass::backend::Cpu;
use glass::generate::{GenerateOptions, Runner, generate};
use glass::next_token::Sampling;
use glass::tokens::Tokenizer;
use glass::train::learner::Learner;
use glass::train::log;
use glass::train::settings::{Change, Settings};
use glass::train::watch::{Event, Watch};
use glass::{Result, reason};

use super::display::Display;
use super::looks::Looks;
use super::ranks::resumes;
use super::samples;
use super::seen::Seen;
use super::subject::Subject;
use super::tensorboard::Events;
use super::work::Work;
use crate::args::TrainArgs;
use crate::draw::curve;
use crate::draw::history::History;
use crate::fail::{Fail, say};
use crate::layout::fit;
use crate::out::{Out, count, number};
use crate::printable;
use crate::progress::ProgressLine;
use crate::screen::columns_of_errors;

/// Tokens of a sample.
pub const SAMPLE: usize = 80;
/// How many remarks stay on the terminal when a display ends.
const REMARKS: usize = 12;

/// Watches a run.
pub struct Progress<'a> {
    subject: &'a Subject,
    /// The run's own folder, `DIR/train`.
    folder: PathBuf,
    work: Work,
    peak: f64,
    /// The contents of `config.toml`.
    options: String,
    /// Of each rank, the machine it is on.
    hosts: &'a [String],
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    display: Option<Display>,
    line: ProgressLine,
    events: Option<Events>,
    looks: Option<Looks>,
    json: Option<Out>,
    /// The result of writing to standard output.
    written: std::result::Result<(), Fail>,
}

impl<'a> Progress<'a> {
    /// For a run with these settings, in which learning a token takes this work, on a machine with this peak.
    pub fn new(
        args: &TrainArgs,
        subject: &'a Subject,
        settings: &Settings,
        validates: bool,
        work: Work,
        peak: f64,
        options: String,
        stop: Arc<AtomicBool>,
        hosts: &'a [String],
    ) -> Progress<'a> {
        let seen = Seen::new(args.out.display().to_string(), settings, validates, work, args.run.minutes);
        let seen = Arc::new(Mutex::new(seen));
        let display = Display::is_wanted(&args.run).then(|| Display::start(seen.clone(), stop.clone()));
        Progress {
            subject,
            folder: args.out.join("train"),
            work,
            peak,
            options,
            hosts,
            stop,
            seen,
            display,
            line: if args.run.plain { ProgressLine::plain() } else { ProgressLine::default() },
            events: None,
            looks: None,
            json: args.run.json.then(Out::new),
            written: Ok(()),
        }
    }

    /// Also measures every checkpoint.
    pub fn look(&mut self, looks: Looks) {
        self.looks = Some(looks);
    }

    /// Ends the display; its last remarks stay as lines.
    pub fn end(mut self) -> std::result::Result<(), Fail> {
        self.line.end();
        if let Some(mut display) = self.display.take() {
            display.end();
            let seen = self.seen();
            let skipped = seen.remarks.len().saturating_sub(REMARKS);
            seen.remarks.iter().skip(skipped).for_each(|remark| say(remark));
            if let Some((step, text)) = &seen.sample {
                says(*step, text);
            }
            let _ = writeln!(std::io::stderr(), "{}", seen.text_within(columns_of_errors()));
        }
        self.written
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remark(&mut self, text: &str) {
        self.seen().remark(text);
        if self.display.is_none() {
            self.line.end();
            say(text);
        }
    }

    fn begin(&mut self, step: u64, steps: u64, resumed: bool) {
        let written = self.write_options();
        self.noted("config.toml", written);
        let samples = samples::begin(&self.folder, step);
        self.noted("samples.jsonl", samples);
        // The log was already cut off at this step.
        let history = History::read(&self.folder.join("log.jsonl"));
        self.seen().begin(step, history);
        if step > 0 {
            self.can_resume(step);
        }
        let events = Events::open(&self.folder, step);
        self.events = self.noted("events for TensorBoard", events);
        self.look_with(|looks| looks.begin(step));
        match (resumed, step < steps) {
            (false, _) => {}
            (true, true) => self.remark(&format!("continuing after step {}", number(step))),
            (true, false) => self.remark(&format!(
                "this run has taken all its {}; to continue, give a larger --steps, or --minutes",
                count(steps as usize, "step")
            )),
        }
    }

    /// Notes how the run can be resumed.
    fn can_resume(&self, step: u64) {
        let out = self.folder.parent().unwrap_or(&self.folder).display();
        resumes(format!("glass train --out {out} --resume continues after step {}", number(step)));
    }

    /// Options are written after the run has locked its folder.
    fn write_options(&self) -> std::io::Result<()> {
        replace(&self.folder.join("config.toml"), self.options.as_bytes())
    }

    fn changed(&mut self, changes: &[Change], step: u64, then: f32, now: f32) {
        let one = |change: &Change| format!("--{} {} instead of {}", change.name, change.now, change.then);
        let all: Vec<String> = changes.iter().map(one).collect();
        let rate = match then == now {
            true => format!("the learning rate of step {step} is {now:.2e} as before"),
            false => format!("the learning rate of step {step} is {now:.2e} instead of {then:.2e}"),
        };
        self.remark(&format!("changed from here on: {}; {rate}", all.join(", ")));
    }

    fn step(&mut self, line: &log::LoggedStep, epochs: f64) {
        let (text, now) = {
            let mut seen = self.seen();
            seen.step(line, epochs);
            // The last column of a line that is rewritten stays free.
            let columns = columns_of_errors().map(|columns| columns.saturating_sub(1));
            (seen.text_within(columns), line.step == seen.steps || seen.taken() == 1)
        };
        self.write(line);
        self.add_event(|events| events.step(line));
        match (&self.display, now) {
            (Some(_), _) => {}
            (None, true) => self.line.now(&text),
            (None, false) => self.line.show(&text),
        }
        if self.work.grows_at(line.step + 1) {
            self.remark(&format!(
                "step {}: all blocks are learned from the next step on, which takes longer",
                line.step
            ));
        }
    }

    fn write(&mut self, line: &log::LoggedStep) {
        if let Some(out) = &mut self.json {
            let written = out.json(line).and_then(|()| out.show());
            // If standard output is closed, the run stops with a checkpoint.
            if written.is_err() {
                self.written = written;
                self.json = None;
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Pictures are drawn when checkpoints are saved.
    fn saved(&mut self) {
        self.add_event(|events| events.sync());
        let history = self.seen().history.clone();
        let drawn = curve::write(&self.folder.join("curve.svg"), &history);
        self.noted("curve.svg", drawn);
    }

    /// Measures checkpoints, as long as that succeeds.
    fn look_with(&mut self, look: impl FnOnce(&mut Looks) -> std::result::Result<(), Fail>) {
        if let Some(Err(fail)) = self.looks.as_mut().map(look) {
            self.looks = None;
            self.remark(&format!("{fail}; the run continues, without --look"));
        }
    }

    /// Adds to the events, as long as that succeeds.
    fn add_event(&mut self, add: impl FnOnce(&mut Events) -> std::io::Result<()>) {
        if let Some(added) = self.events.as_mut().map(add)
            && self.noted("events for TensorBoard", added).is_none()
        {
            self.events = None;
        }
    }

    /// A run continues without its pictures.
    fn noted<T>(&mut self, what: &str, done: std::io::Result<T>) -> Option<T> {
        let failed = |folder: &Path, error: std::io::Error| {
            format!("{}: the {what} cannot be written: {}; the run goes on", folder.display(), reason(&error))
        };
        done.map_err(|error| self.remark(&failed(&self.folder.clone(), error))).ok()
    }
}

/// Shows a sample, wrapped at words on a terminal.
fn says(step: u64, text: &str) {
    let text = format!("step {step} says: {text}");
    let shown = columns_of_errors().map(|columns| fit(&text, columns));
    let _ = writeln!(std::io::stderr(), "{}", shown.unwrap_or(text));
}

impl Watch<Cpu> for Progress<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Started { step, steps, resumed } => self.begin(step, steps, resumed),
            Event::Changed { changes, step, then, now } => self.changed(changes, step, then, now),
            Event::Step { line, epochs } => self.step(line, epochs),
            Event::Spike { step, loss, usual } => {
                self.remark(&format!("step {step}: the loss is {loss:.4}; the recent median is {usual:.4}"));
            }
            Event::Slow { step, rank, times } => self.remark(&format!(
                "step {step}: rank {rank} on {} computes {times:.1} times as long as the median rank, and the others wait for it",
                self.hosts[rank]
            )),
            Event::Evaluated { step, loss, details, bits_per_byte, parts, best } => {
                let ordered = details.accuracy.map(|share| format!("; {:.1} % of pairs ordered", 100.0 * share));
                let bits =
                    bits_per_byte.map(|bits| format!(" ({bits:.4} bits per byte)")).unwrap_or_default();
                let best = if best { ", the best so far" } else { "" };
                let parts = parts.iter().map(|(name, loss)| format!("; {loss:.4} on {name}"));
                let parts: String = ordered.into_iter().chain(parts).collect();
                self.remark(&format!("step {step}: validation loss {loss:.4}{bits}{best}{parts}"));
            }
            Event::Saved { step, path } => {
                self.can_resume(step);
                self.saved();
                self.look_with(|looks| looks.look(step, &path));
                self.seen().saved(step);
            }
            Event::Sampling { .. } | Event::Stopped { .. } => {}
        }
    }

    fn seconds(&mut self) -> Option<f64> {
        Some(self.seen().seconds())
    }

    fn is_over(&mut self) -> bool {
        self.seen().is_over()
    }

    fn utilisation(&mut self, tokens_per_second: f64) -> Option<f64> {
        // Of the step that is not seen yet.
        let step = self.seen().at_step() + 1;
        Some(tokens_per_second * self.work.at(step) as f64 / self.peak)
    }

    fn sample(&mut self, learner: &mut Learner<Cpu>, step: u64) -> Result<()> {
        let backend = learner.backend().clone();
        let mut runner = Runner::new(&*backend, learner.model().0, learner.running())?;
        let end = self.subject.end_of_text();
        let start = self.subject.tokenizer.as_ref().map(Tokenizer::start).filter(|start| !start.is_empty());
        runner.feed(start.unwrap_or(&[end.unwrap_or(0)]))?;
        let sampling = Sampling { temperature: 0.8, seed: step, ..Sampling::default() };
        let options = GenerateOptions {
            tokens: SAMPLE,
            sampling,
            ends: end.into_iter().collect(),
            ..GenerateOptions::default()
        };
        let tokenizer = self.subject.tokenizer.as_ref();
        let said = generate(&mut runner, tokenizer, &options, 0, &mut |_| ControlFlow::Continue(()))?;
        let text = if tokenizer.is_some() { said.text } else { format!("{:?}", said.ids) };
        self.add_event(|events| events.sample(step, &text));
        let added = samples::add(&self.folder, step, &text);
        self.noted("samples.jsonl", added);
        // A model's text must not steer the terminal.
        let text = printable::lines(&text);
        if self.display.is_none() {
            self.line.end();
            says(step, &text);
        }
        self.seen().sample = Some((step, text));
        Ok(())
    }
}
