//! How long the parts of a run take, measured before it begins.

use std::sync::Arc;
use std::time::Instant;

use glass::backend::Cpu;
use glass::train::checkpoint;
use glass::train::learner::{Early, Learner, Step};
use glass::train::order::{Order, evaluation};
use glass::train::set::Set;
use glass::train::settings::Settings;

use super::lora::Lora;
use super::ranks::Joined;
use super::sets::Sets;
use super::subject::Subject;
use super::teacher::Teacher;
use super::{early_left, learner, speed};
use crate::args::TrainArgs;
use crate::fail::Fail;

/// Seconds that parts of a run take.
pub struct Pace {
    /// A step with all blocks.
    pub step: f64,
    /// An early one.
    pub early_step: f64,
    /// How many are early; half of them if that is not said.
    pub early_steps: Option<u64>,
    /// 0 where nothing validates.
    pub evaluation: f64,
    pub saving: f64,
}

impl Pace {
    /// How many steps fit into a number of seconds, with their evaluations and checkpoints and the last ones.
    pub fn steps(&self, seconds: f64, settings: &Settings) -> u64 {
        let Pace { step, early_step, early_steps, evaluation, saving } = *self;
        let every = |number: u64| if number > 0 { 1.0 / number as f64 } else { 0.0 };
        // Every evaluation may be the best so far, and is then saved.
        let evaluated = if evaluation > 0.0 { evaluation + saving } else { 0.0 };
        let besides = evaluated * every(settings.eval_every) + saving * every(settings.checkpoint_every);
        let (each, early) = ((step + besides).max(1e-9), (early_step + besides).max(1e-9));
        let seconds = seconds - evaluation - saving;
        let steps = match early_steps.map(|early_steps| early_steps as f64) {
            None => seconds / ((each + early) / 2.0),
            Some(early_steps) if seconds < early_steps * early => seconds / early,
            Some(early_steps) => early_steps + (seconds - early_steps * early) / each,
        };
        (steps as u64).max(1)
    }
}

/// Times a few steps and evaluations of a learner that is then thrown away.
pub fn pace(
    args: &TrainArgs,
    subject: &Subject,
    sets: &Sets,
    (lora, teacher): (Option<&Lora>, Option<&Teacher>),
    settings: &Settings,
    cpu: &Arc<Cpu>,
    joined: &Joined,
) -> Result<Pace, Fail> {
    let sequences = sets.most_sequences(subject.config.context);
    let mut learner = learner(args, subject, (lora, teacher), settings, sequences, cpu, joined)?;
    let s = settings;
    let mut order = Order::new(&sets.train, subject.config.context, s.batch, s.accumulate, s.order, s.seed);
    let mut seconds_of = |early| -> Result<f64, Fail> {
        let constants = |step| Step { early, ..settings.step(step) };
        learner.step(&order.parts(1), &constants(1))?;
        let begun = Instant::now();
        let mut steps = 0;
        // All ranks take as many steps as rank 0 decides.
        while joined.number((steps < 3 || (begun.elapsed().as_secs_f64() < 2.0 && steps < 20)).into())? > 0 {
            steps += 1;
            learner.step(&order.parts(steps), &constants(steps))?;
        }
        Ok(begun.elapsed().as_secs_f64() / steps as f64)
    };
    let step = seconds_of(None)?;
    let early = s.early().map(|early| Early { steps: u64::MAX, ..early });
    let early_step = if early.is_some() { seconds_of(early)? } else { step };
    let early_steps = early_left(args)?;
    let saving = match joined.is_first() {
        true => speed::save(&learner, &args.out).unwrap_or(0.0),
        false => checkpoint::follow_writing(&learner).map(|()| 0.0)?,
    };
    let validation = sets.validation.as_ref().filter(|_| !settings.overfit);
    let seconds = |set| seconds_evaluating(&mut learner, set, settings, joined);
    let evaluation = validation.map(seconds).transpose()?.unwrap_or(0.0);
    let evaluation = evaluation / joined.ranks.size() as f64;
    Ok(Pace { step, early_step, early_steps, evaluation, saving })
}

/// Times some batches of an evaluation, and what all of them would take. All ranks take as many as rank 0 decides.
fn seconds_evaluating(
    learner: &mut Learner<Cpu>,
    set: &Set,
    settings: &Settings,
    joined: &Joined,
) -> Result<f64, Fail> {
    let context = learner.config().context;
    let all = || evaluation(set, context, settings.batch, settings.eval_samples);
    let (begun, mut batches) = (Instant::now(), 0);
    for batch in all() {
        learner.evaluate_among(Some(&batch))?;
        batches += 1;
        if joined.number((begun.elapsed().as_secs_f64() > 1.0).into())? > 0 {
            break;
        }
    }
    let count = all().size_hint().0.max(batches);
    Ok(begun.elapsed().as_secs_f64() * count as f64 / batches.max(1) as f64)
}
