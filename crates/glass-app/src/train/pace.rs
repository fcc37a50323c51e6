//! How long the parts of a run take, measured before it begins.

use std::sync::Arc;
use std::time::Instant;

use glass::backend::Cpu;
use glass::train::checkpoint;
use glass::train::learner::Learner;
use glass::train::order::{Order, evaluation};
use glass::train::set::Set;
use glass::train::settings::Settings;

use super::lora::Lora;
use super::ranks::Joined;
use super::sets::Sets;
use super::subject::Subject;
use super::teacher::Teacher;
use super::{learner, speed};
use crate::args::TrainArgs;
use crate::fail::Fail;

/// Seconds that parts of a run take.
pub struct Pace {
    pub step: f64,
    /// 0 where nothing validates.
    pub evaluation: f64,
    pub saving: f64,
}

impl Pace {
    /// How many steps fit into a number of seconds, with their evaluations and checkpoints and the last ones.
    pub fn steps(&self, seconds: f64, settings: &Settings) -> u64 {
        let Pace { step, evaluation, saving } = *self;
        let every = |number: u64| if number > 0 { 1.0 / number as f64 } else { 0.0 };
        // Every evaluation may be the best so far, and is then saved.
        let evaluated = if evaluation > 0.0 { evaluation + saving } else { 0.0 };
        let each = step + evaluated * every(settings.eval_every) + saving * every(settings.checkpoint_every);
        (((seconds - evaluation - saving) / each.max(1e-9)) as u64).max(1)
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
    learner.step(&order.parts(1), &settings.step(1))?;
    let begun = Instant::now();
    let mut steps = 0;
    // All ranks take as many steps as rank 0 decides.
    while joined.number((steps < 3 || (begun.elapsed().as_secs_f64() < 2.0 && steps < 20)).into())? > 0 {
        steps += 1;
        learner.step(&order.parts(steps), &settings.step(steps))?;
    }
    let step = begun.elapsed().as_secs_f64() / steps as f64;
    let saving = match joined.is_first() {
        true => speed::save(&learner, &args.out).unwrap_or(0.0),
        false => checkpoint::follow_writing(&learner).map(|()| 0.0)?,
    };
    let validation = sets.validation.as_ref().filter(|_| !settings.overfit);
    let seconds = |set| seconds_evaluating(&mut learner, set, settings, joined);
    let evaluation = validation.map(seconds).transpose()?.unwrap_or(0.0);
    Ok(Pace { step, evaluation: evaluation / joined.ranks.size() as f64, saving })
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
