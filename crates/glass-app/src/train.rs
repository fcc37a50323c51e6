//! `glass train`: from text to a model.

mod budget;
mod data;
mod kept;
#[cfg(feature = "display")]
mod display;
#[cfg(not(feature = "display"))]
#[path = "train/no_display.rs"]
mod display;
mod looks;
mod plan;
mod room;
#[cfg_attr(not(feature = "display"), allow(dead_code))]
mod seen;
mod speed;
mod subject;
mod tensorboard;
mod text;
mod watch;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use glass::Error;
use glass::backend::Cpu;
use glass::model::Gpt;
use glass::train::folder::{Folder, checkpoints};
use glass::train::learner::Learner;
use glass::train::order::Order;
use glass::train::run::{Run, Summary, run as learn};
use glass::train::settings::Settings;
use glass::train::watch::Why;
use serde_json::json;

use crate::args::TrainArgs;
use crate::fail::{Fail, say};
use crate::model_arg;
use crate::out::{Out, count};
use budget::Budget;
use data::Sets;
use display::terminal;
use looks::Looks;
use speed::Speed;
use subject::Subject;
use watch::Progress;

/// Runs `glass train`.
pub fn run(args: &TrainArgs) -> Result<(), Fail> {
    check(args)?;
    let mut args = args.clone();
    let _passing = kept::keep(&mut args)?;
    let args = &args;
    let cpu = model_arg::cpu(&args.machine);
    let (subject, sets) = Subject::and_data(args)?;
    Gpt::plan(&subject.config).0.can_run()?;
    sets.train.check("training data", subject.config.context)?;
    let (cpu, peak) = plan::at(cpu, args.run.precision.precision())?;
    let cpu = Arc::new(cpu);
    let budget = Budget::of(&subject.config, args, cpu.cores().threads());
    if args.run.plan {
        let tokens = plan::tokens_per_step(&budget.asked, &sets.train);
        let speed = Speed::measured(&budget.asked, tokens, &args.run.settings(1), &cpu, peak, &args.out)?;
        let settings = settings(args, &subject, &sets, &|_| Ok(speed.step))?;
        settings.check()?;
        return plan::show(args, &budget, &settings, &sets, peak, &speed);
    }
    budget.fits()?;
    let timed = |draft: &Settings| seconds_per_step(args, &subject, &sets, draft, &cpu);
    let settings = settings(args, &subject, &sets, &timed)?;
    settings.check()?;
    say(&data::describe(&sets.card));
    say(&format!(
        "{}; {} of {}",
        count(budget.weights as usize, "weight"),
        count(settings.steps as usize, "step"),
        count(budget.asked.tokens_per_step() as usize, "token")
    ));
    let mut learner = learner(args, &subject, &settings, &cpu)?;
    if !args.run.resume {
        sets.card.write(&args.out)?;
    }
    let plan = learner.plan().clone();
    let stop = Arc::new(AtomicBool::new(false));
    on_interrupt(stop.clone());
    let validation = sets.validation.as_ref().filter(|_| !settings.overfit);
    let (validates, flops) = (validation.is_some(), budget.flops_to_learn);
    let options = options(args, &settings);
    let mut progress =
        Progress::new(args, &subject, &settings, validates, flops, peak, options, stop.clone());
    if args.run.look {
        progress.look(Looks::new(args, &subject.config, validation.unwrap_or(&sets.train)));
    }
    let run = Run {
        settings: &settings,
        train: &sets.train,
        validation,
        folder: &args.out,
        model: subject.save(&plan, args.shape.dtype.dtype()),
        resume: args.run.resume,
        stop: &stop,
    };
    let done = learn(&mut learner, &run, &mut progress);
    progress.end()?;
    report(args, &done?)
}

/// The options that repeat this run, as a file for `--config`.
fn options(args: &TrainArgs, settings: &Settings) -> String {
    let mut options = args.options.clone();
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    options.set("steps", whole(settings.steps), &["epochs"]);
    options.set("warmup", whole(settings.warmup), &[]);
    for (name, paths) in [("data", &args.data.data), ("chat", &args.data.chat), ("val", &args.data.val)] {
        let named = |path: &std::path::PathBuf| {
            std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
        };
        if !paths.is_empty() {
            options.set(name, paths.iter().map(named).collect::<Vec<_>>(), &[]);
        }
    }
    options.to_toml()
}

/// Checks everything that can be checked before reading data.
fn check(args: &TrainArgs) -> Result<(), Fail> {
    if !args.run.plan && !args.run.resume {
        Folder::is_free(&args.out)?;
    }
    if args.run.resume {
        Folder::identity(&args.out)?;
    }
    args.run.settings(args.run.steps.unwrap_or(1000).max(1)).check()?;
    for (option, value) in [("--epochs", args.run.epochs), ("--minutes", args.run.minutes)] {
        if value.is_some_and(|value| !(value > 0.0 && value.is_finite())) {
            let value = value.unwrap_or_default();
            return Err(Fail::asked(format!("{option}: {value} was given, but a number above 0 is needed")));
        }
    }
    Ok(())
}

fn learner(
    args: &TrainArgs,
    subject: &Subject,
    settings: &Settings,
    cpu: &Arc<Cpu>,
) -> Result<Learner<Cpu>, Fail> {
    let (config, batch) = (&subject.config, settings.batch);
    let mut learner = Learner::keeping(args.run.keep(), cpu.clone(), config, batch * config.context, batch)?;
    match &subject.from {
        Some(folder) => {
            let (_, known) = Gpt::plan(folder.config());
            folder.check(&known)?;
            learner.load(&|spec, into| subject::read(folder, &known, spec, into))?;
        }
        None => learner.initialise(settings.seed),
    }
    Ok(learner)
}

/// The settings, with the number of steps from whichever option gives it.
fn settings(
    args: &TrainArgs,
    subject: &Subject,
    sets: &Sets,
    seconds_per_step: &dyn Fn(&Settings) -> Result<f64, Fail>,
) -> Result<Settings, Fail> {
    let (run, context) = (&args.run, subject.config.context);
    let draft = run.settings(run.steps.unwrap_or(1000));
    let steps = run.steps.filter(|_| !is_longer(args).unwrap_or(false));
    let steps = match (steps, run.epochs, run.minutes) {
        (Some(steps), ..) => steps,
        (None, Some(epochs), _) => {
            let (s, train) = (&draft, &sets.train);
            Order::new(train, context, s.batch, s.accumulate, s.order, s.seed).steps(epochs)?
        }
        // A resumed run keeps its original number of steps.
        (None, None, Some(_)) if run.resume && !is_longer(args)? => {
            Folder::identity(&args.out)?.settings.steps
        }
        (None, None, Some(minutes)) => {
            let seconds = seconds_per_step(&draft)?;
            // Evaluations and checkpoints take some of the time too.
            taken(args)? + ((minutes * 60.0 * 0.95 / seconds) as u64).max(1)
        }
        _ => 1000,
    };
    Ok(run.settings(steps))
}

/// Whether a finished run is continued for some minutes.
fn is_longer(args: &TrainArgs) -> Result<bool, Fail> {
    let is_timed = args.options.is_typed("minutes")
        && !args.options.is_typed("steps")
        && !args.options.is_typed("epochs");
    Ok(args.run.resume && is_timed && taken(args)? >= Folder::identity(&args.out)?.settings.steps)
}

/// The number of steps that a run took before it is resumed.
fn taken(args: &TrainArgs) -> Result<u64, Fail> {
    match args.run.resume {
        true => Ok(checkpoints(&args.out)?.last().map_or(0, |(step, _)| *step)),
        false => Ok(0),
    }
}

/// Times a few steps of a temporary learner.
fn seconds_per_step(
    args: &TrainArgs,
    subject: &Subject,
    sets: &Sets,
    settings: &Settings,
    cpu: &Arc<Cpu>,
) -> Result<f64, Fail> {
    let mut learner = learner(args, subject, settings, cpu)?;
    let s = settings;
    let mut order = Order::new(&sets.train, subject.config.context, s.batch, s.accumulate, s.order, s.seed);
    learner.step(&order.parts(1), &settings.step(1))?;
    let begun = Instant::now();
    let mut steps = 0;
    while steps < 3 || (begun.elapsed().as_secs_f64() < 2.0 && steps < 20) {
        steps += 1;
        learner.step(&order.parts(steps), &settings.step(steps))?;
    }
    Ok(begun.elapsed().as_secs_f64() / steps as f64)
}

/// Ctrl-C stops the run after its step, with a checkpoint; a second one ends the program at once.
fn on_interrupt(stop: Arc<AtomicBool>) {
    on_termination(stop.clone());
    let handler = move || {
        if stop.swap(true, Ordering::Relaxed) {
            terminal::close();
            std::process::exit(130);
        }
        // A display shows this itself.
        if !terminal::is_on() {
            say("stopping after this step, with a checkpoint; Ctrl-C again stops at once");
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        say(&format!("Ctrl-C will stop the run without a checkpoint: {error}"));
    }
}

/// SIGTERM, as sent by `kill`, a container or a shutdown, does the same. SIGHUP is left alone, for `nohup`.
#[cfg(unix)]
fn on_termination(stop: Arc<AtomicBool>) {
    if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGTERM, stop) {
        say(&format!("SIGTERM will stop the run without a checkpoint: {error}"));
    }
}

#[cfg(not(unix))]
fn on_termination(_: Arc<AtomicBool>) {}

fn report(args: &TrainArgs, summary: &Summary) -> Result<(), Fail> {
    let mut out = Out::new();
    let dir = args.out.display();
    let why = match summary.why {
        Why::Done => "done",
        Why::Asked => "asked",
        Why::Patience => "patience",
    };
    if args.run.json {
        let best = summary.best.map(|best| json!({"step": best.step, "loss": best.loss}));
        out.json(&json!({"out": args.out, "step": summary.step, "tokens": summary.tokens, "best": best, "why": why}))?;
        return out.done();
    }
    let (steps, tokens) = (count(summary.step as usize, "step"), count(summary.tokens as usize, "token"));
    write!(out, "{dir}: {steps}, {tokens} seen")?;
    if let Some(best) = summary.best {
        write!(out, ", best validation loss {:.4} at step {}", best.loss, best.step)?;
    }
    writeln!(out)?;
    match summary.why {
        Why::Asked => writeln!(out, "stopped on request; glass train --out {dir} --resume continues")?,
        Why::Patience => writeln!(out, "stopped early: the validation loss no longer improved")?,
        Why::Done => {}
    }
    if has_tokenizer(&args.out) {
        writeln!(out, "next: glass generate -m {dir} \"Once\"")?;
    }
    out.done()
}

fn has_tokenizer(dir: &Path) -> bool {
    dir.join("tokenizer.json").exists()
}

/// An error of the system about a file.
fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = path.to_path_buf();
    move |error| Error::io("cannot read", &path, error)
}
