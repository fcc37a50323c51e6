//! The training loop: steps, evaluations, samples and checkpoints, until it is done or told to stop.
//!
//! The model in `DIR` is the best one by validation loss; without validation it is the last one saved. It is
//! replaced whenever a checkpoint of the model it should hold is saved, so it can be opened during the run.
//!
//! Nothing here reads a clock, draws or prints: a [`Watch`] does. A run whose time is over ([`Watch::is_over`]) ends as
//! one that took all its steps: its last step is evaluated and saved. The flag that [`run`] was given interrupts it: it
//! then stops after the step it is in, checkpoint first. It does not evaluate for that: the evaluation would count for
//! `best` and `patience`, and the run, resumed, would not be the one that never stopped. The model in `DIR` is then the
//! best of the evaluations that were due.
//!
//! Where ranks share the work ([`Learner::among`]), every rank calls [`run`] with the same data and settings. Rank 0 alone has
//! the folder, and decides when the time is over; any rank may be told to stop.

mod among;
mod identity;
pub mod log;
pub mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::Backend;
use crate::plan::Spec;
use crate::train::checkpoint::folder::{Folder, step_folder};
use crate::train::checkpoint::{self, Best, State};
use crate::train::data::order::Order;
use crate::train::data::set::Set;
use crate::train::learner::objective::{Details, Objective};
use crate::train::learner::settings::{Identity, Settings, plain};
use crate::train::learner::{Arena, Learner, Outcome};
use crate::train::ranks::{Ranks, enough};
use crate::train::run::among::Times;
use crate::train::run::identity::{shape, start};
use crate::train::run::log::{Log, LoggedStep};
use crate::train::run::watch::{Event, Watch, Why};
use crate::weights::adapter::file::{self as adapter, LoraConfig};
use crate::weights::save::{Save, save};
use crate::{Error, Result, reason};

/// The parts of a run.
pub struct Run<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The training data.
    pub train: &'a Set,
    /// The validation data.
    pub validation: Option<&'a Set>,
    /// The folder it writes to.
    pub folder: &'a Path,
    /// The contents of the model's files apart from the weights.
    pub model: Save<'a>,
    /// How an adapter is made, if one is learned instead of all weights.
    pub adapter: Option<&'a LoraConfig>,
    /// Whether it continues the run in the folder.
    pub resume: bool,
    /// Stops the run after the current step when set.
    pub stop: &'a AtomicBool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The last step taken.
    pub step: u64,
    /// Tokens seen.
    pub tokens: u64,
    /// The best evaluation.
    pub best: Option<Best>,
    /// Why it ended.
    pub why: Why,
}

/// Runs the training. `learner` holds the initial weights (any weights if the run is resumed from a checkpoint),
/// and memory for a batch. Pairs have their reference ([`refer`](crate::train::reference::refer)); a resumed run that compares
/// with it must be given the initial weights again.
///
/// # Errors
/// If a loss or gradient, or at a checkpoint a weight, is not finite; the message names the step and the last
/// checkpoint. If a file cannot be written; the checkpoints saved before stay complete.
pub fn run<B: Backend>(learner: &mut Learner<B>, run: &Run<'_>, watch: &mut dyn Watch<B>) -> Result<Summary> {
    let context = learner.config().context;
    run.settings.check()?;
    let ranks = learner.ranks().clone();
    enough(&*ranks, run.settings.batch, run.settings.accumulate)?;
    learner.agree()?;
    run.train.check("training data", context)?;
    known("training data", run.train, learner.config().vocabulary)?;
    if let Some(validation) = run.validation {
        known("validation data", validation, learner.config().vocabulary)?;
        if validation.learned() == 0 {
            let why = "nothing in it can be predicted; give more of it, or set `val_fraction` to 0 to train without it";
            return Err(Error::invalid("validation data", why));
        }
    }
    let identity = Identity {
        settings: run.settings.clone(),
        precision: learner.backend().precision().name().into(),
        model: shape(learner, run.adapter)?,
        start: start(learner)?,
        data: run.train.fingerprint(),
        validation: run.validation.map(Set::fingerprint),
    };
    among::same(&*ranks, &identity)?;
    let open = if run.resume { Folder::open } else { Folder::create };
    let folder = (ranks.rank() == 0).then(|| open(run.folder, &identity)).transpose()?;
    let saved = folder.as_ref().map(Folder::steps).transpose()?.and_then(|steps| steps.last().copied());
    let (saved, _) = among::known(&*ranks, &(saved, State::default()))?;
    let state = match (saved, &folder) {
        (None, _) => State::default(),
        (Some(step), Some(folder)) => folder.load(learner, step)?,
        (Some(_), None) => checkpoint::follow_reading(learner)?,
    };
    let (saved, state) = among::known(&*ranks, &(saved, state))?;
    let log = folder.as_ref().map(|folder| Log::open(&folder.log(), state.step)).transpose()?;
    let (log, seconds) = log.map_or((None, 0.0), |(log, seconds)| (Some(log), seconds));
    let s = run.settings;
    let order = Order::new(run.train, context, s.batch, s.accumulate, s.order, s.seed);
    let times = Times::default();
    let mut going =
        ActiveRun { run, ranks, folder, log, state, saved, order, seconds, learner, watch, times };
    going.all()
}

fn known(what: &str, set: &Set, vocabulary: usize) -> Result<()> {
    match set.largest().filter(|&id| id as usize >= vocabulary) {
        Some(id) => {
            let why = format!(
                "id {id}, but the model's vocabulary has {vocabulary} tokens; use the model's own tokenizer"
            );
            Err(Error::invalid(what, why))
        }
        None => Ok(()),
    }
}

/// The state of a run.
struct ActiveRun<'a, B: Backend> {
    run: &'a Run<'a>,
    ranks: Arc<dyn Ranks>,
    /// Rank 0 has it alone, and the log.
    folder: Option<Folder>,
    log: Option<Log>,
    state: State,
    /// The last checkpoint.
    saved: Option<u64>,
    order: Order<'a>,
    /// The seconds that the run took before it was resumed.
    seconds: f64,
    learner: &'a mut Learner<B>,
    watch: &'a mut dyn Watch<B>,
    times: Times,
}

impl<B: Backend> ActiveRun<'_, B> {
    fn all(&mut self) -> Result<Summary> {
        let settings = self.run.settings;
        let begun = self.watch.seconds();
        let (step, steps) = (self.state.step, settings.steps);
        self.watch.event(Event::Started { step, steps, resumed: self.run.resume });
        if let Some((changes, before)) = self.folder.as_ref().and_then(Folder::changes) {
            let step = step + 1;
            let (then, now) = (before.rates().at(step), settings.rates().at(step));
            self.watch.event(Event::Changed { changes, step, then, now });
        }
        if self.saved.is_some() {
            // The run may have been stopped between a checkpoint and the work after it.
            self.after_saving()?;
        }
        let mut busy = None;
        let why = loop {
            if self.state.step >= steps {
                break Why::Done;
            }
            if settings.patience > 0 && self.state.waited >= settings.patience {
                break Why::Patience;
            }
            if self.meet(busy)? {
                break Why::Interrupted;
            }
            let is_last;
            (is_last, busy) = self.step(begun)?;
            if is_last {
                break if self.state.step >= steps { Why::Done } else { Why::Time };
            }
        };
        if self.saved != Some(self.state.step) && self.state.step > 0 {
            self.save()?;
        }
        let State { step, tokens, best, .. } = self.state;
        self.watch.event(Event::Stopped { step, why });
        Ok(Summary { step, tokens, best, why })
    }

    /// Meets the other ranks. Whether any of them was told to stop.
    fn meet(&mut self, busy: Option<f64>) -> Result<bool> {
        let stop = self.run.stop.load(Ordering::Relaxed);
        let (stop, slow) = self.times.meet(&*self.ranks, stop, busy)?;
        if let Some((rank, times)) = slow {
            self.watch.event(Event::Slow { step: self.state.step, rank, times });
        }
        Ok(stop)
    }

    /// Takes a step. Whether it was the last, by its number or because the time is over; and the seconds that this rank
    /// computed.
    fn step(&mut self, begun: Option<f64>) -> Result<(bool, Option<f64>)> {
        let settings = self.run.settings;
        let step = self.state.step + 1;
        let constants = settings.step(step);
        let parts = self.order.parts(if settings.overfit { 1 } else { step });
        self.ranks.waited();
        let before = self.watch.seconds();
        let outcome = self.learner.step(&parts, &constants)?;
        let after = self.watch.seconds();
        let waited = self.ranks.waited().unwrap_or(0.0);
        if !outcome.finite() {
            return Err(self.not_finite(step, &outcome));
        }
        let seen: usize = parts.iter().map(|part| part.inputs.len()).sum();
        self.state.step = step;
        self.state.tokens += seen as u64;
        if let Some(usual) = self.state.spikes.see(outcome.loss) {
            self.watch.event(Event::Spike { step, loss: outcome.loss, usual });
        }
        let watch = &mut self.watch;
        let is_last = step == settings.steps || among::first_says(&*self.ranks, || watch.is_over())?;
        let is_due = |every: u64| (every > 0 && step.is_multiple_of(every)) || is_last;
        let evaluated = match self.run.validation {
            Some(set) if is_due(settings.eval_every) => Some(self.evaluate(set)?),
            _ => None,
        };
        let taken = after.zip(before).map(|(after, before)| after - before).filter(|taken| *taken > 0.0);
        let tokens_per_second = taken.map(|taken| seen as f64 / taken);
        let line = LoggedStep {
            step,
            loss: outcome.loss,
            details: outcome.details,
            val_loss: evaluated.as_ref().map(|evaluated| evaluated.loss),
            val_accuracy: evaluated.as_ref().and_then(|evaluated| evaluated.details.accuracy),
            bits_per_byte: evaluated.as_ref().and_then(|evaluated| evaluated.bits_per_byte),
            val_losses: evaluated.as_ref().map(|evaluated| evaluated.parts.clone()).unwrap_or_default(),
            lr: constants.rate,
            grad_norm: outcome.norm,
            tokens_per_second,
            mfu: tokens_per_second.and_then(|speed| self.watch.utilisation(speed)),
            tokens: self.state.tokens,
            seconds: self.watch.seconds().zip(begun).map(|(now, begun)| self.seconds + now - begun),
        };
        let logged = self.log.as_mut().map_or(Ok(()), |log| log.add(&line));
        logged.map_err(|error| self.not_written(error))?;
        let epochs = if settings.overfit { 0.0 } else { self.order.epochs(step) };
        self.watch.event(Event::Step { line: &line, epochs });
        if let Some(Evaluated { loss, details, bits_per_byte, ref parts, best }) = evaluated {
            self.watch.event(Event::Evaluated { step, loss, details, bits_per_byte, parts, best });
        }
        if settings.sample_every > 0 && step.is_multiple_of(settings.sample_every) {
            self.watch.event(Event::Sampling { step });
            self.learner.call_all()?;
            if self.ranks.rank() == 0 {
                self.watch.sample(self.learner, step)?;
            }
            self.learner.forget_others();
        }
        if is_due(settings.checkpoint_every) || evaluated.as_ref().is_some_and(|evaluated| evaluated.best) {
            self.save()?;
        } else if among::compares(step) {
            among::same_weights(self.learner, step)?;
        }
        Ok((is_last, taken.map(|taken| taken - waited)))
    }

    fn evaluate(&mut self, set: &Set) -> Result<Evaluated> {
        let (mut sums, mut counted, mut parts) = ([0.0; 3], 0, BTreeMap::new());
        let (context, settings) = (self.learner.config().context, self.run.settings);
        let (sets, all) = (set.parts(), set.samples_in(context).max(1));
        for (name, part) in &sets {
            // Every set has its share of the samples, and at least one.
            let share = |most: usize| (most * part.samples_in(context)).div_ceil(all).max(1);
            let most = settings.eval_samples.map(share);
            let (more, tokens) = among::evaluate(self.learner, part, settings, most)?;
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            counted += tokens;
            if sets.len() > 1 {
                parts.insert(name.to_string(), more[0] / tokens.max(1) as f64);
            }
        }
        let objective = settings.preference.map_or(Objective::NextToken, Objective::Preference);
        let (loss, details) = objective.means(sums, counted);
        let step = self.state.step;
        if !loss.is_finite() {
            let why = format!("the validation loss is {loss}, so the run ends; {}", self.retry_advice());
            return Err(Error::invalid(format!("step {step}"), why));
        }
        let best = self.state.best.is_none_or(|best| loss < best.loss);
        if best {
            self.state.best = Some(Best { step, loss });
        }
        // That fewer blocks learn no more says nothing about all.
        let is_early = settings.early().is_some_and(|early| step <= early.steps);
        self.state.waited = if best || is_early { 0 } else { self.state.waited + 1 };
        Ok(Evaluated { loss, details, bits_per_byte: bits_per_byte(set, loss), parts, best })
    }

    fn save(&mut self) -> Result<()> {
        let step = self.state.step;
        if let Some(name) = self.first_non_finite() {
            let why = format!(
                "it left NaN or infinite numbers in {name}, so nothing is saved and the run ends; {}",
                self.retry_advice()
            );
            return Err(Error::invalid(format!("step {step}"), why));
        }
        among::same_weights(self.learner, step)?;
        let saved = match (&self.folder, &self.log) {
            (Some(folder), Some(log)) => log.sync().and_then(|()| folder.save(self.learner, &self.state)),
            _ => checkpoint::follow_writing(self.learner),
        };
        saved.map_err(|error| self.not_written(error))?;
        self.saved = Some(step);
        if let Some(folder) = &self.folder {
            self.watch.event(Event::Saved { step, path: folder.at(step) });
        }
        self.after_saving()
    }

    /// The work after a checkpoint: save the model if it is this one, and remove older checkpoints.
    fn after_saving(&mut self) -> Result<()> {
        let settings = self.run.settings;
        let Some(folder) = &self.folder else { return Ok(()) };
        if self.state.best.is_none_or(|best| best.step == self.state.step) {
            let stored = checkpoint::read_weights(&folder.at(self.state.step));
            let read = |spec: &Spec, into: &mut [f32]| {
                // Where ranks divide weights, this one has only its own.
                if self.learner.divides_weights() {
                    return stored(spec, into);
                }
                self.learner.read(spec, into);
                Ok(())
            };
            let (dir, model) = (self.run.folder, &self.run.model);
            let saved = match (self.learner.adapter(), self.run.adapter) {
                (Some((plan, _)), Some(about)) => adapter::save(dir, model, plan, about, &read),
                _ => save(dir, model, &read),
            };
            saved.map_err(|error| self.not_written(error))?;
        }
        let is_due = |step: u64| {
            (settings.checkpoint_every > 0 && step.is_multiple_of(settings.checkpoint_every))
                || step == settings.steps
        };
        folder.prune(&self.state, settings.keep, is_due)
    }

    /// The first parameter that is not finite: a step checks only loss and gradient before it updates the weights.
    fn first_non_finite(&self) -> Option<String> {
        let (mut at, mut found) = (0, None);
        let _ = self.learner.arena_parts(Arena::Weights, &mut |part| {
            let inside = part.iter().position(|value| !value.is_finite()).map(|place| at + place);
            found = found.or(inside);
            at += part.len();
            Ok(())
        });
        let place = found?;
        let spec = self.learner.plan().specs.iter().find(|spec| spec.span.contains(&place))?;
        Some(spec.name.clone())
    }

    fn not_finite(&self, step: u64, outcome: &Outcome) -> Error {
        let why = format!(
            "the loss is {} and the gradient's norm is {}, so the run ends before this step changes the weights; {}",
            outcome.loss,
            outcome.norm,
            self.retry_advice()
        );
        Error::invalid(format!("step {step}"), why)
    }

    fn not_written(&self, error: Error) -> Error {
        match error {
            Error::Io { doing, path, source } => {
                let why = format!(
                    "{}; the run ends; {}; free some space and add `resume`",
                    reason(&source),
                    self.last()
                );
                Error::invalid(format!("{doing} {}", path.display()), why)
            }
            other => other,
        }
    }

    fn retry_advice(&self) -> String {
        let Settings { lr, min_lr, .. } = *self.run.settings;
        // A rate that was far too high is still too high as a quarter.
        let lower = (lr / 4.0).min(Settings::default().lr);
        // The floor follows the rate unless it was given itself.
        let floor = match min_lr > lower && min_lr != lr / 10.0 {
            true => format!(" and `min_lr` {}", plain(f64::from(lower) / 10.0)),
            false => String::new(),
        };
        let how = if self.saved.is_some() { "continue from there" } else { "start again" };
        let lower = plain(lower.into());
        format!("{}; {how} with `resume` and a lower learning rate: `lr` {lower}{floor}", self.last())
    }

    fn last(&self) -> String {
        match self.saved {
            Some(step) => {
                format!("the last good checkpoint is {}", step_folder(self.run.folder, step).display())
            }
            None => "there is no checkpoint yet".into(),
        }
    }
}

/// The result of an evaluation.
struct Evaluated {
    loss: f64,
    details: Details,
    bits_per_byte: Option<f64>,
    /// Of each set of a mixture.
    parts: BTreeMap<String, f64>,
    best: bool,
}

/// Mean nats per token as bits per byte of text: exact if the whole set was evaluated; for a part of it, by the
/// whole set's bytes per token. End-of-text tokens add to the loss, but have no bytes.
pub fn bits_per_byte(set: &Set, loss: f64) -> Option<f64> {
    let bytes = set.bytes.filter(|bytes| *bytes > 0)?;
    Some(loss / std::f64::consts::LN_2 * set.learned() as f64 / bytes as f64)
}
