//! `glass train`: from text to a model.

mod budget;
mod data;
mod data_format;
#[cfg(feature = "display")]
mod display;
#[cfg(not(feature = "display"))]
#[path = "train/no_display.rs"]
mod display;
mod draft;
mod kept;
mod looks;
mod lora;
mod mask;
mod mixture;
mod pace;
mod pairs;
mod plan;
mod ranks;
mod room;
mod samples;
#[cfg_attr(not(feature = "display"), allow(dead_code))]
mod seen;
mod sets;
mod signals;
mod speed;
mod subject;
mod switches;
mod tensorboard;
mod teacher;
mod text;
mod watch;
mod work;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use glass::Error;
use glass::backend::Cpu;
use glass::model::Gpt;
use glass::train::folder::{Folder, checkpoints};
use glass::train::learner::Learner;
use glass::train::order::Order;
use glass::train::ranks::enough;
use glass::train::run::{Run, Summary, run as learn};
use glass::train::settings::Settings;
use glass::train::watch::Why;
use glass::weights::adapter::file;
use serde_json::json;

use crate::args::{Dividing, NO_FOLDER, TrainArgs};
use crate::fail::{Fail, say};
use crate::model_arg;
use crate::out::{Out, count, number};
use budget::Budget;
use looks::Looks;
use lora::Lora;
use pace::{Pace, pace};
use ranks::{Bystander, Joined};
use sets::Sets;
use speed::Speed;
use subject::Subject;
use teacher::Teacher;
use watch::Progress;

/// Runs `glass train`.
pub fn run(args: &TrainArgs) -> Result<(), Fail> {
    let joined = ranks::join()?;
    let done = train(args, &joined);
    joined.leave(done)
}

fn train(args: &TrainArgs, joined: &Joined) -> Result<(), Fail> {
    if let Some(model) = &args.draft.draft_for {
        if joined.has_others() {
            return Err(Fail::asked(
                "--draft-for: a draft is made by one process; start it without mpirun or srun",
            ));
        }
        return draft::run(args, model);
    }
    if joined.has_others() && args.run.plan {
        return Err(Fail::asked("--plan: it plans for one process; start it without mpirun or srun"));
    }
    if joined.has_others() && args.run.show_mask.is_some() {
        return Err(Fail::asked("--show-mask: it is shown by one process; start it without mpirun or srun"));
    }
    let mut args = args.clone();
    if !args.run.resume && !args.options.is_typed("early-steps") {
        args.run.growth.suit(args.run.steps);
    }
    check(&args, joined)?;
    // A plan needs no folder: what it would keep there passes.
    let near = args.out.clone();
    let is_passing = args.run.only_shows() && !args.run.resume && near == Path::new(NO_FOLDER);
    let _without = is_passing.then(|| kept::TemporaryFolder::folder(&mut args.out));
    let _passing = kept::keep(&mut args, joined)?;
    let threads = joined.threads(Cpu::available_threads());
    args.machine.threads = args.machine.threads.or(threads);
    let args = &args;
    let cpu = model_arg::cpu(&args.machine);
    if let Some(count) = args.run.show_mask {
        let (subject, raw) = Subject::and_data(args)?;
        return mask::show(args, &subject, raw, count as usize);
    }
    // What rank 0 writes while it reads a large text, the others can use.
    let (subject, mut sets) = joined.first_then_others(|| {
        let (subject, raw) = Subject::and_data(args)?;
        let sets = Sets::new(raw, args, &subject)?;
        Ok((subject, sets))
    })?;
    let args = &with_growth(args, &subject)?;
    sets.train.check("training data", subject.config.context)?;
    let (cpu, peak) = plan::at(cpu, args.run.precision.precision())?;
    let cpu = Arc::new(cpu);
    joined.remark_other_instructions(&format!("{:?}", cpu.cores().isa()))?;
    let lora = match (&subject.from, &args.shape.from) {
        (Some(folder), Some(from)) => Lora::open(&args.lora, from, folder, &subject.config, &cpu)?,
        _ => None,
    };
    let teacher = Teacher::open(&subject, &cpu)?;
    let (lora, teacher) = (lora.as_ref(), teacher.as_ref());
    let sequences = sets.most_sequences(subject.config.context);
    let mut budget = Budget::of(&subject.config, args, cpu.cores().threads(), joined.ranks.size(), &sets);
    if let Some(lora) = lora {
        budget.learns_only(lora.adapter.plan.len() as u64);
    }
    if let Some(teacher) = teacher {
        budget.is_taught_by(teacher.config(), args.distil.kept());
    }
    if args.run.plan {
        let tokens = plan::tokens_per_step(&budget.asked, &sets.train);
        let speed = Speed::measured(&budget.asked, tokens, &args.run.settings(1), &cpu, peak, &near)?;
        let settings = settings(args, &subject, &sets, &|draft| {
            let evaluated = plan::evaluated(draft, sets.validation.as_ref(), subject.config.context);
            Ok(Pace {
                step: speed.step,
                early_step: speed.step * budget.work(draft).early(),
                early_steps: early_left(args)?,
                evaluation: speed.evaluate * evaluated,
                saving: speed.save.unwrap_or(0.0),
            })
        })?;
        settings.check()?;
        return plan::show(args, &budget, &settings, &sets, peak, &speed);
    }
    budget.fits(joined.here() as u64)?;
    enough(&*joined.ranks, args.run.batch, args.run.accumulate)?;
    let timed = |draft: &Settings| pace(args, &subject, &sets, (lora, teacher), draft, &cpu, joined);
    let settings = settings(args, &subject, &sets, &timed)?;
    let settings = args.settings(joined.number(settings.steps)?);
    settings.check()?;
    if !args.run.resume
        && !args.options.is_typed("precision")
        && let Some(times) = plan::unused(&cpu, peak)
    {
        say(&format!(
            "this processor multiplies 16-bit numbers {times:.1} times as fast as 32-bit ones: see --precision mixed"
        ));
    }
    say(&sets::describe(&sets.card));
    if let Some(said) = sets::similar(&sets.card) {
        say(&said);
    }
    if let Some(said) = mixture::describe(&sets.train, subject.config.context, &settings) {
        say(&said);
    }
    say(&format!(
        "{}{}; {} of {}",
        if lora.is_some() { "an adapter of " } else { "" },
        count(budget.weights as usize, "weight"),
        count(settings.steps as usize, "step"),
        count(budget.asked.tokens_per_step() as usize, "token")
    ));
    if joined.has_others() {
        say(&joined.describe(settings.accumulate));
    }
    let mut learner = learner(args, &subject, (lora, teacher), &settings, sequences, &cpu, joined)?;
    if settings.has_reference() {
        sets.refer(&mut learner, settings.batch)?;
    }
    if joined.is_first() && !args.run.resume {
        sets.card.write(&args.out)?;
    }
    // Of all weights, also where an adapter is learned.
    let (_, plan) = Gpt::plan(&subject.config);
    let stop = Arc::new(AtomicBool::new(false));
    signals::on_interrupt(stop.clone());
    let validation = sets.validation.as_ref().filter(|_| !settings.overfit);
    let run = Run {
        settings: &settings,
        train: &sets.train,
        validation,
        folder: &args.out,
        model: subject.save(&plan, args.shape.dtype.dtype()),
        adapter: lora.map(|lora| &lora.about),
        resume: args.run.resume,
        stop: &stop,
    };
    if !joined.is_first() {
        return learn(&mut learner, &run, &mut Bystander::new()).map(|_| ()).map_err(Fail::from);
    }
    let (validates, work) = (validation.is_some(), budget.work(&settings));
    let (options, peak) = (kept::options(args, &settings), peak * joined.ranks.size() as f64);
    let mut progress =
        Progress::new(args, &subject, &settings, validates, work, peak, options, stop.clone(), &joined.hosts);
    if args.run.look {
        progress.look(Looks::new(args, &subject.config, validation.unwrap_or(&sets.train)));
    }
    let done = learn(&mut learner, &run, &mut progress);
    progress.end()?;
    report(args, &settings, &done.map_err(|error| with_changed_files(args, error))?)
}

/// A refusal to go on with other data, and which files are newer than the run.
fn with_changed_files(args: &TrainArgs, error: Error) -> Fail {
    let of_data = matches!(&error, Error::InvalidArgument { what, .. } if what == "data" || what == "val");
    let modified = |path: &Path| std::fs::metadata(path).and_then(|about| about.modified()).ok();
    let begun = modified(&args.out.join("train/data.json")).filter(|_| of_data && args.run.resume);
    let data = &args.data;
    let named = data.data.iter().chain(&data.chat).map(|data| &data.path);
    let named = named.chain(&args.preference.preferences).chain(&data.val);
    let newer = named.filter(|path| path.is_file() && begun.is_some() && modified(path) > begun);
    let newer: Vec<String> = newer.map(|path| path.display().to_string()).collect();
    match (Fail::from(error), newer.is_empty()) {
        (Fail::Asked(why), false) => {
            Fail::asked(format!("{why}; changed since it began: {}", newer.join(", ")))
        }
        (fail, _) => fail,
    }
}

/// Checks everything that can be checked before reading data.
fn check(args: &TrainArgs, joined: &Joined) -> Result<(), Fail> {
    if joined.is_first() && !args.run.only_shows() && !args.run.resume {
        Folder::is_free(&args.out)?;
    }
    if args.run.resume {
        Folder::identity(&args.out)?;
        if let Some(steps) = args.run.steps.filter(|_| args.options.is_typed("steps")) {
            Folder::can_end(&args.out, steps)?;
        }
    }
    args.preference.check(&args.options)?;
    if args.preference.is_given() && args.run.ranks.divide == Dividing::Weights {
        return Err(Fail::asked(
            "--divide weights: a loss of preferences reads all weights at once; give --divide gradients",
        ));
    }
    // Where the number of steps is not known yet, there may be as many as are needed.
    let early = args.run.growth.early_steps.unwrap_or(0);
    args.settings(args.run.steps.unwrap_or(1000.max(early.saturating_add(1))).max(1)).check()?;
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
    (lora, teacher): (Option<&Lora>, Option<&Teacher>),
    settings: &Settings,
    sequences: usize,
    cpu: &Arc<Cpu>,
    joined: &Joined,
) -> Result<Learner<Cpu>, Fail> {
    let (config, batch, keep) = (&subject.config, settings.batch, args.run.keep());
    let rows = batch * args.preference.samples() * config.context;
    let sequences = batch * sequences;
    let learner = match lora {
        None => Learner::keeping(keep, cpu.clone(), config, rows, sequences)?,
        Some(Lora { base, adapter, .. }) => {
            let (gpt, _) = Gpt::plan(config);
            Learner::tuning(keep, cpu.clone(), gpt, base.clone(), adapter.clone(), rows, sequences)?
        }
    };
    let sharing = &args.run.ranks;
    let mut learner = learner.among(joined.ranks.clone(), sharing.reduce.reduce(), sharing.divide.divided());
    if let Some(teacher) = teacher {
        learner = teacher.teach(learner, rows, sequences, args.distil.kept())?;
    }
    match &subject.from {
        Some(folder) if lora.is_none() => {
            let (_, known) = Gpt::plan(folder.config());
            folder.check(&known)?;
            learner.load(&|spec, into| subject::read(folder, &known, spec, into))?;
        }
        _ => learner.initialise_early(settings.seed, settings.early()),
    }
    Ok(learner)
}

/// The settings, with the number of steps from whichever option gives it.
fn settings(
    args: &TrainArgs,
    subject: &Subject,
    sets: &Sets,
    pace: &dyn Fn(&Settings) -> Result<Pace, Fail>,
) -> Result<Settings, Fail> {
    let (run, context) = (&args.run, subject.config.context);
    let draft = args.settings(run.steps.unwrap_or(1000));
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
            // What is not measured, as samples of text, takes a share too.
            taken(args)? + pace(&draft)?.steps(minutes * 60.0 * 0.95, &draft)
        }
        _ => 1000,
    };
    Ok(args.settings(steps))
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

/// The arguments without early steps, if the model's blocks cannot begin with nothing.
fn with_growth(args: &TrainArgs, subject: &Subject) -> Result<TrainArgs, Fail> {
    let mut args = args.clone();
    if args.run.growth.early_blocks.is_some() && subject.config.placement.is_after() {
        if args.options.is_typed("early-blocks") {
            return Err(Fail::asked(
                "--early-blocks: this model has norms after attention and MLP, so that no block can begin with adding nothing; leave it out",
            ));
        }
        (args.run.growth.early_blocks, args.run.growth.early_steps) = (None, None);
        args.options.remove(&["early-blocks", "early-steps"]);
    }
    Ok(args)
}

/// How many of the early steps are still to come, if their number was given.
fn early_left(args: &TrainArgs) -> Result<Option<u64>, Fail> {
    let taken = taken(args)?;
    Ok(args.run.growth.early_steps.map(|early| early.saturating_sub(taken)))
}

fn report(args: &TrainArgs, settings: &Settings, summary: &Summary) -> Result<(), Fail> {
    let mut out = Out::new();
    let dir = args.out.display();
    let why = match summary.why {
        Why::Done => "done",
        Why::Interrupted => "interrupted",
        Why::Time => "time",
        Why::Patience => "patience",
    };
    if args.run.json {
        let best = summary.best.map(|best| json!({"step": best.step, "loss": best.loss}));
        out.json(&json!({"out": args.out, "step": summary.step, "tokens": summary.tokens, "best": best, "why": why}))?;
        return out.done();
    }
    let (steps, tokens) = (count(summary.step as usize, "step"), count(summary.tokens as usize, "token"));
    let best =
        summary.best.map(|best| format!(", best validation loss {:.4} at step {}", best.loss, best.step));
    out.prose(&format!("{dir}: {steps}, {tokens} seen{}", best.unwrap_or_default()))?;
    let continues = format!("glass train --out {dir} --resume continues");
    match summary.why {
        Why::Interrupted => out.prose(&format!("interrupted; {continues}"))?,
        Why::Time => {
            let minutes = args.run.minutes.unwrap_or_default();
            let minutes = if minutes == 1.0 { "1 minute".into() } else { format!("{minutes} minutes") };
            out.prose(&format!("stopped after {minutes}; {continues}"))?;
        }
        Why::Patience => writeln!(out, "stopped early: no better evaluation came")?,
        Why::Done => {}
    }
    if let Some(early) = settings.early().filter(|early| summary.step <= early.steps) {
        let (first, steps) = (early.blocks, number(early.steps));
        out.prose(&format!(
            "it ended in its early steps: the blocks after the first {first} are not learned before step {steps} is taken"
        ))?;
    }
    if let Some(best) = summary.best.filter(|best| best.step != summary.step) {
        out.prose(&format!("the model in {dir} is that of step {}, the best so far", number(best.step)))?;
    }
    if has_tokenizer(&args.out) {
        writeln!(out, "next: glass generate -m {dir} \"Once\"")?;
    }
    out.done()
}

fn has_tokenizer(dir: &Path) -> bool {
    dir.join("tokenizer.json").exists() || file::is_in(dir)
}
