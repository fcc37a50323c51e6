//! The training loop and its folder: stopped, killed, damaged, and still the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use glass::Error;
use glass::backend::Cpu;
use glass::train::folder::Folder;
use glass::train::ids::Ids;
use glass::train::learner::{Arena, Learner};
use glass::train::log::LoggedStep;
use glass::train::run::{Run, Summary, run};
use glass::train::set::{Chat, Samples, Set};
use glass::train::settings::Settings;
use glass::train::spikes::Spikes;
use glass::train::watch::{Event, Watch, Why};
use glass::weights;
use glass::weights::dtype::Dtype;
use glass::weights::save::Save;

use crate::scratch::Scratch;
use crate::tiny;

pub fn set(len: u32, start: u32) -> Set {
    let ids = (start..start + len).map(|n| (n * n / 7 % 29) as u16).collect();
    Set::of_ids(Ids::Short(ids), Some(&|_| 2))
}

pub fn settings() -> Settings {
    Settings {
        steps: 24,
        batch: 2,
        accumulate: 2,
        lr: 3e-3,
        warmup: 3,
        dropout: 0.1,
        eval_every: 4,
        eval_samples: Some(3),
        checkpoint_every: 5,
        keep: 2,
        ..Settings::default()
    }
}

/// Notes what happens; stops after a step, ends by time after a step, spoils the weights after a step.
#[derive(Default)]
pub struct Actions {
    stop_after: Option<u64>,
    over_after: Option<u64>,
    step: u64,
    spoil_after: Option<u64>,
    pub stop: Arc<AtomicBool>,
    seen: Vec<String>,
}

impl Watch<Cpu> for Actions {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Step { line, .. } => {
                self.step = line.step;
                self.stop.store(self.stop_after == Some(line.step), Ordering::Relaxed);
            }
            Event::Saved { step, .. } => self.seen.push(format!("saved {step}")),
            Event::Evaluated { step, best, .. } => self.seen.push(format!("evaluated {step} {best}")),
            Event::Stopped { step, why } => self.seen.push(format!("stopped {step} {why:?}")),
            Event::Started { step, .. } => self.seen.push(format!("started {step}")),
            Event::Changed { changes, step, then, now } => {
                let names: Vec<_> = changes.iter().map(|change| change.name.as_str()).collect();
                self.seen.push(format!("changed {} at {step}: {then:e} to {now:e}", names.join(",")));
            }
            Event::Spike { .. } | Event::Slow { .. } | Event::Sampling { .. } => {}
        }
    }

    fn is_over(&mut self) -> bool {
        // Asked before the step is told of.
        self.over_after.is_some_and(|last| self.step + 1 >= last)
    }

    fn sample(&mut self, learner: &mut Learner<Cpu>, step: u64) -> glass::Result<()> {
        if self.spoil_after == Some(step) {
            let mut weights = learner.arena(Arena::Weights);
            weights[3] = f32::NAN;
            learner.set_arena(Arena::Weights, &weights);
        }
        Ok(())
    }
}

fn go(folder: &Path, settings: &Settings, resume: bool, actions: &mut Actions) -> glass::Result<Summary> {
    go_threads(folder, settings, resume, actions, 1)
}

fn go_threads(
    folder: &Path,
    settings: &Settings,
    resume: bool,
    actions: &mut Actions,
    threads: usize,
) -> glass::Result<Summary> {
    go_on(folder, settings, resume, actions, threads, &set(400, 0), Some(&set(120, 1000)))
}

pub fn go_on(
    folder: &Path,
    settings: &Settings,
    resume: bool,
    actions: &mut Actions,
    threads: usize,
    train: &Set,
    validation: Option<&Set>,
) -> glass::Result<Summary> {
    let config = tiny::config();
    let rows = settings.batch * config.context;
    let sequences = settings.batch * train.most_sequences(config.context);
    let mut learner = Learner::new(Arc::new(Cpu::new(threads)), &config, rows, sequences)?;
    learner.initialise(5);
    let (stop, plan) = (&*actions.stop.clone(), learner.plan().clone());
    let model = Save {
        config: &config,
        plan: &plan,
        dtype: Dtype::F32,
        tokenizer: None,
        template: None,
        end_of_text: None,
        generation: None,
    };
    run(
        &mut learner,
        &Run { settings, train, validation, folder, model, adapter: None, resume, stop },
        actions,
    )
}

pub fn stopping(step: u64) -> Actions {
    Actions { stop_after: Some(step), ..Actions::default() }
}

/// Every file below a folder, by its name.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            found.insert(name, fs::read(path).unwrap());
        }
    }
    found
}

/// The weights of the model in a folder, as a checkpoint holds them.
fn weights(folder: &Path) -> Vec<u8> {
    let model = weights::folder::Folder::open(folder).unwrap();
    assert_eq!(model.config(), &tiny::config());
    let (_, plan) = glass::model::Gpt::plan(model.config());
    let mut values = vec![0.0; plan.len()];
    for spec in &plan.specs {
        model.read(spec, &mut values[spec.span.clone()]).unwrap();
    }
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub fn assert_same(left: &Path, right: &Path) {
    let (left, right) = (files(left), files(right));
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
    for (name, bytes) in &left {
        assert!(bytes == &right[name], "{name} differs");
    }
}

/// The run that never stopped.
fn whole() -> (Scratch, Actions) {
    let folder = Scratch::new("whole");
    let mut actions = Actions::default();
    let summary = go(folder.path(), &settings(), false, &mut actions).unwrap();
    assert_eq!((summary.step, summary.why), (24, Why::Done));
    (folder, actions)
}

#[test]
fn stopped_and_resumed_is_never_stopped() {
    let (whole, _) = whole();
    for stops in [&[1, 2, 3][..], &[5], &[4, 13], &[23], &[24]] {
        let folder = Scratch::new("stopped");
        for (number, &stop) in stops.iter().enumerate() {
            let summary = go_threads(folder.path(), &settings(), number > 0, &mut stopping(stop), 2).unwrap();
            assert_eq!(summary.step, stop);
        }
        let mut actions = Actions::default();
        go(folder.path(), &settings(), true, &mut actions).unwrap();
        assert_eq!(actions.seen[0], format!("started {}", stops[stops.len() - 1]));
        assert_same(whole.path(), folder.path());
    }
}

#[test]
fn stopped_before_the_first_step_it_begins_when_resumed() {
    let folder = Scratch::new("before");
    let mut actions = Actions::default();
    actions.stop.store(true, Ordering::Relaxed);
    assert_eq!(go(folder.path(), &settings(), false, &mut actions).unwrap().step, 0);
    go(folder.path(), &settings(), true, &mut Actions::default()).unwrap();
    assert_same(whole().0.path(), folder.path());
}

#[test]
fn conversations_without_validation_give_the_last_model() {
    let chat = |n: u32| {
        let ids: Vec<u32> = (0..3 + n % 22).map(|place| (n + place) % 31).collect();
        Chat { learned: (0..ids.len()).map(|place| place > 1).collect(), ids }
    };
    let chats = Set { samples: Samples::Chats((0..20).map(chat).collect()), documents: 20, bytes: None };
    let (whole, stopped) = (Scratch::new("chats"), Scratch::new("chats-stopped"));
    go_on(whole.path(), &settings(), false, &mut Actions::default(), 1, &chats, None).unwrap();
    go_on(stopped.path(), &settings(), false, &mut stopping(7), 1, &chats, None).unwrap();
    go_on(stopped.path(), &settings(), true, &mut Actions::default(), 1, &chats, None).unwrap();
    assert_same(whole.path(), stopped.path());
    let files = files(whole.path());
    assert!(weights(whole.path()) == files["train/step-00000024/weights.f32"]);
    let log = String::from_utf8_lossy(&files["train/log.jsonl"]).into_owned();
    assert!(log.lines().all(|line| line.contains("\"val_loss\":null")));
}

#[test]
fn data_that_does_not_fit_the_model_is_refused() {
    let folder = Scratch::new("unfit");
    let refused = |train: &Set, validation: &Set| {
        let mut actions = Actions::default();
        let result = go_on(folder.path(), &settings(), false, &mut actions, 1, train, Some(validation));
        result.unwrap_err().to_string()
    };
    let ids = |ids: Vec<u16>| Set::of_ids(Ids::Short(ids), None);
    let short = refused(&set(20, 0), &set(20, 0));
    assert!(short.starts_with("training data: 20 tokens, but one window is 25"), "{short}");
    let unknown = refused(&ids(vec![31; 40]), &set(20, 0));
    assert!(
        unknown.starts_with("training data: id 31, but the model's vocabulary has 31 tokens"),
        "{unknown}"
    );
    let single = refused(&set(40, 0), &set(1, 0));
    assert!(single.starts_with("validation data: nothing in it"), "{single}");
    assert!(files(folder.path()).is_empty());
}

#[test]
fn the_last_and_the_best_are_kept() {
    let (whole, actions) = whole();
    let best = actions.seen.iter().rfind(|seen| seen.ends_with("true")).unwrap();
    let best: u64 = best.split(' ').nth(1).unwrap().parse().unwrap();
    let mut expected = vec![best, 20, 24];
    expected.sort_unstable();
    expected.dedup();
    let identity = Folder::identity(whole.path()).unwrap();
    assert_eq!(identity.settings, settings());
    assert_eq!(Folder::open(whole.path(), &identity).unwrap().steps().unwrap(), expected);
    let files = files(whole.path());
    assert!(
        weights(whole.path()) == files[&format!("train/step-{best:08}/weights.f32")],
        "the model is the best one"
    );

    let lines: Vec<LoggedStep> = String::from_utf8_lossy(&files["train/log.jsonl"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.iter().map(|line| line.step).collect::<Vec<_>>(), (1..=24).collect::<Vec<_>>());
    assert!(lines[23].loss < lines[0].loss - 0.1, "{} to {}", lines[0].loss, lines[23].loss);
    let (loss, bits) = (lines[23].val_loss.unwrap(), lines[23].bits_per_byte.unwrap());
    assert!((bits - loss / 2f64.ln() * 119.0 / 240.0).abs() < 1e-12, "{bits} of {loss}");
    assert!(lines[22].val_loss.is_none() && lines[0].seconds.is_none());
}

#[test]
fn leftovers_of_every_stage_are_no_hindrance() {
    let (whole, _) = whole();
    let folder = Scratch::new("leftovers");
    go(folder.path(), &settings(), false, &mut stopping(12)).unwrap();
    let train = folder.path().join("train");
    for part in ["step-00000015.part", "step-00000010.gone.part", "model.part"] {
        fs::create_dir(train.join(part)).unwrap();
        fs::write(train.join(part).join("weights.f32"), [1, 2, 3]).unwrap();
    }
    fs::write(train.join("run.json.part"), "{").unwrap();
    let log = train.join("log.jsonl");
    let mut lines = fs::read_to_string(&log).unwrap();
    let later = lines.lines().last().unwrap().replace("\"step\":12", "\"step\":13");
    lines.push_str(&later);
    lines.push_str("\n{\"step\":14,\"lo");
    fs::write(&log, lines).unwrap();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    go(folder.path(), &settings(), true, &mut Actions::default()).unwrap();
    assert_same(whole.path(), folder.path());
}

#[test]
fn what_may_not_be_resumed_is_refused_by_name() {
    let folder = Scratch::new("refused");
    let refused = |settings: &Settings, resume| {
        let error = go(folder.path(), settings, resume, &mut Actions::default()).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
        error.to_string()
    };
    let none = refused(&settings(), true);
    assert!(none.contains("holds no run to resume"), "{none}");
    go(folder.path(), &settings(), false, &mut stopping(2)).unwrap();
    let second = refused(&settings(), false);
    assert!(second.contains("already holds a run; add `resume`"), "{second}");
    let batch = refused(&Settings { batch: 3, ..settings() }, true);
    assert!(batch.starts_with("batch: this run began with 2; 3 would change its result"), "{batch}");
    let decay = refused(&Settings { weight_decay: 0.2, ..settings() }, true);
    assert!(decay.starts_with("weight_decay: "), "{decay}");

    let identity = Folder::identity(folder.path()).unwrap();
    let held = Folder::open(folder.path(), &identity).unwrap();
    let locked = refused(&settings(), true);
    assert!(locked.contains("another run is using this folder"), "{locked}");
    drop(held);
    let mut other = identity.clone();
    other.data = "0".into();
    assert!(Folder::open(folder.path(), &other).err().unwrap().to_string().starts_with("data: "));
    other = identity.clone();
    other.model["n_embd"] = 48.into();
    let shape = Folder::open(folder.path(), &other).err().unwrap().to_string();
    assert!(shape.starts_with("width: this run began with 24; 48 would"), "{shape}");
    other = identity.clone();
    other.precision = "mixed".into();
    let precision = Folder::open(folder.path(), &other).err().unwrap().to_string();
    assert!(precision.starts_with("precision: this run began with f32; mixed would"), "{precision}");
    // The initial weights matter as long as there is no checkpoint.
    other = identity.clone();
    other.start = "0".into();
    drop(Folder::open(folder.path(), &other).unwrap());
    assert_eq!(Folder::identity(folder.path()).unwrap(), identity);
    fs::remove_dir_all(folder.path().join("train/step-00000002")).unwrap();
    assert!(Folder::open(folder.path(), &other).err().unwrap().to_string().starts_with("from: "));

    go(folder.path(), &Settings { keep: 9, ..settings() }, true, &mut stopping(3)).unwrap();
    fs::remove_dir_all(folder.path().join("train")).unwrap();
    let model = refused(&settings(), false);
    assert!(model.contains("already holds a model"), "{model}");
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings();
        change(&mut settings);
        settings.check().unwrap_err().to_string()
    };
    settings().check().unwrap();
    assert!(refused(&|s| s.batch = 0).starts_with("batch: 0 was given"));
    assert!(refused(&|s| s.warmup = 25).starts_with("warmup: 25"));
    assert!(refused(&|s| s.lr = f32::NAN).starts_with("lr: NaN"));
    assert!(refused(&|s| s.min_lr = 1.0).starts_with("min_lr: 1"));
    assert!(refused(&|s| s.dropout = 1.0).starts_with("dropout: 1"));
    assert!(refused(&|s| s.clip = -1.0).starts_with("clip: -1"));
    assert!(refused(&|s| s.batch = usize::MAX).starts_with("batch: "));
}

#[test]
fn a_damaged_checkpoint_is_refused_by_name() {
    let folder = Scratch::new("damaged");
    go(folder.path(), &settings(), false, &mut stopping(12)).unwrap();
    let first = folder.path().join("train/step-00000012/first.f32");
    let mut bytes = fs::read(&first).unwrap();
    bytes[100] ^= 1;
    let resume = || go(folder.path(), &settings(), true, &mut Actions::default()).map_err(|e| e.to_string());
    fs::write(&first, &bytes).unwrap();
    let flipped = resume().unwrap_err();
    assert!(
        flipped.contains("first.f32: its fingerprint is") && flipped.contains("step-00000012"),
        "{flipped}"
    );
    fs::write(&first, &bytes[..99]).unwrap();
    let short = resume().unwrap_err();
    assert!(short.contains("first.f32: 99 bytes, but the model's"), "{short}");
    fs::write(first.with_file_name("state.json"), "{\"step\":").unwrap();
    let json = resume().unwrap_err();
    assert!(json.contains("state.json: damaged"), "{json}");
    fs::remove_dir_all(first.parent().unwrap()).unwrap();
    resume().unwrap();
    assert_same(whole().0.path(), folder.path());
}

#[test]
fn what_is_not_finite_ends_the_run_and_names_the_step() {
    let folder = Scratch::new("spoiled");
    let mut actions = Actions { spoil_after: Some(6), ..Actions::default() };
    let spoiled = Settings { sample_every: 3, ..settings() };
    let error = go(folder.path(), &spoiled, false, &mut actions).unwrap_err().to_string();
    assert!(error.starts_with("step 7: the loss is NaN") && error.contains("step-00000005"), "{error}");
    // The advice is followed.
    let advice = "step-00000005; continue from there with `resume` and a lower learning rate: `lr` 0.00075";
    assert!(error.ends_with(advice), "{error}");
    let mut lower = Actions::default();
    let then = spoiled.rates().at(6);
    let lowered = Settings { lr: 0.00075, ..spoiled };
    let now = lowered.rates().at(6);
    assert!(now < 0.3 * then);
    let summary = go(folder.path(), &lowered, true, &mut lower).unwrap();
    assert_eq!((summary.step, &*lower.seen[0]), (24, "started 5"));
    assert_eq!(lower.seen[1], format!("changed lr at 6: {then:e} to {now:e}"));
}

#[test]
fn a_run_without_a_checkpoint_begins_again_with_another_rate() {
    let folder = Scratch::new("again");
    let mut actions = Actions { spoil_after: Some(2), ..Actions::default() };
    let spoiled = Settings { sample_every: 2, ..settings() };
    let error = go(folder.path(), &spoiled, false, &mut actions).unwrap_err().to_string();
    let advice =
        "there is no checkpoint yet; start again with `resume` and a lower learning rate: `lr` 0.00075";
    assert!(error.ends_with(advice), "{error}");
    let lower = Settings { lr: 0.00075, ..settings() };
    go(folder.path(), &lower, true, &mut Actions::default()).unwrap();
    let fresh = Scratch::new("fresh");
    go(fresh.path(), &lower, false, &mut Actions::default()).unwrap();
    assert_same(fresh.path(), folder.path());
}

#[test]
fn a_finished_run_goes_on_when_it_is_given_more_steps() {
    let folder = Scratch::new("longer");
    go(folder.path(), &settings(), false, &mut Actions::default()).unwrap();
    let mut nothing = Actions::default();
    assert_eq!(go(folder.path(), &settings(), true, &mut nothing).unwrap().step, 24);
    assert_eq!(nothing.seen, ["started 24", "stopped 24 Done"]);
    let longer = Settings { steps: 30, ..settings() };
    let mut more = Actions::default();
    let summary = go(folder.path(), &longer, true, &mut more).unwrap();
    assert_eq!((summary.step, summary.why), (30, Why::Done));
    let [then, now] = [settings(), longer.clone()].map(|settings| settings.rates().at(25));
    assert!(now > 2.0 * then);
    assert_eq!(
        more.seen[..2],
        ["started 24".to_string(), format!("changed steps at 25: {then:e} to {now:e}")]
    );
    let log = fs::read_to_string(folder.path().join("train/log.jsonl")).unwrap();
    let rates: Vec<f32> =
        log.lines().map(|line| serde_json::from_str::<LoggedStep>(line).unwrap().lr).collect();
    assert_eq!((rates.len(), rates[24]), (30, now));
    assert_eq!(Folder::identity(folder.path()).unwrap().settings, longer);
}

#[test]
fn weights_that_are_not_finite_are_not_saved() {
    let folder = Scratch::new("overflown");
    // Spoiled after the fifth step, when a checkpoint is due.
    let mut actions = Actions { spoil_after: Some(5), ..Actions::default() };
    let spoiled = Settings { sample_every: 5, ..settings() };
    let error = go(folder.path(), &spoiled, false, &mut actions).unwrap_err().to_string();
    assert!(error.starts_with("step 5: it left ") && error.contains("step-00000004"), "{error}");
    assert!(!folder.path().join("train/step-00000005").exists());
    go(folder.path(), &settings(), true, &mut Actions::default()).unwrap();
    assert_same(whole().0.path(), folder.path());
}

#[test]
fn what_cannot_be_written_ends_the_run_and_the_last_checkpoint_stays() {
    let folder = Scratch::new("unwritten");
    go(folder.path(), &settings(), false, &mut stopping(7)).unwrap();
    // A folder in place of the model's file; root would ignore a file's permissions.
    let file = folder.path().join("model.safetensors");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    fs::write(file.join("in the way"), "").unwrap();
    let error = go(folder.path(), &settings(), true, &mut Actions::default()).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot replace ") && error.contains("step-00000008; free some space"),
        "{error}"
    );
    fs::remove_dir_all(&file).unwrap();
    go(folder.path(), &settings(), true, &mut Actions::default()).unwrap();
    assert_same(whole().0.path(), folder.path());
}

#[test]
fn a_run_whose_time_is_over_ends_as_one_that_took_all_its_steps() {
    let folder = Scratch::new("over");
    let mut actions = Actions { over_after: Some(7), ..Actions::default() };
    let summary = go(folder.path(), &settings(), false, &mut actions).unwrap();
    assert_eq!((summary.step, summary.why), (7, Why::Time));
    let of_the_end = ["evaluated 7 true", "saved 7", "stopped 7 Time"];
    assert_eq!(actions.seen[actions.seen.len() - 3..], of_the_end);
    assert_eq!(summary.best.unwrap().step, 7);
    let saved = files(folder.path());
    assert!(weights(folder.path()) == saved["train/step-00000007/weights.f32"], "those of its last step");
    let log = String::from_utf8_lossy(&saved["train/log.jsonl"]).into_owned();
    let last: LoggedStep = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert!(last.step == 7 && last.val_loss.is_some(), "{log}");
    // At its last step it is done, and not only over.
    let done =
        go(folder.path(), &settings(), true, &mut Actions { over_after: Some(24), ..Actions::default() });
    assert_eq!(done.unwrap().why, Why::Done);
    let now = files(folder.path());
    let never_stopped = files(whole().0.path());
    let last = "train/step-00000024/weights.f32";
    assert!(now[last] == never_stopped[last], "resumed, it learns the same");
}

#[test]
fn fewer_steps_than_were_taken_are_refused_and_nothing_is_changed() {
    let folder = Scratch::new("fewer");
    go(folder.path(), &settings(), false, &mut stopping(9)).unwrap();
    let before = files(folder.path());
    for steps in [3, 9] {
        let fewer = Settings { steps, ..settings() };
        let error = go(folder.path(), &fewer, true, &mut Actions::default()).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
        assert_eq!(error.to_string(), "steps: 9 steps were already taken; give more than 9");
    }
    assert!(files(folder.path()) == before);
    let more = Settings { steps: 10, ..settings() };
    assert_eq!(go(folder.path(), &more, true, &mut Actions::default()).unwrap().step, 10);
}

#[test]
fn a_rate_that_was_far_too_high_is_advised_down_to_the_usual_one() {
    let folder = Scratch::new("far");
    let high = Settings { lr: 1e30, min_lr: 1e29, sample_every: 1, ..settings() };
    let mut actions = Actions { spoil_after: Some(2), ..Actions::default() };
    let error = go(folder.path(), &high, false, &mut actions).unwrap_err().to_string();
    assert!(error.contains("with `resume` and a lower learning rate: `lr` 0.001"), "{error}");
    assert!(error.contains("so the run ends"), "{error}");
    // A floor that was given itself must come down too.
    let other = Scratch::new("floor");
    let floor = Settings { min_lr: 1.0, ..high };
    let mut actions = Actions { spoil_after: Some(2), ..Actions::default() };
    let error = go(other.path(), &floor, false, &mut actions).unwrap_err().to_string();
    assert!(error.contains("`lr` 0.001 and `min_lr` 0.0001"), "{error}");
}

#[test]
fn patience_ends_a_run_that_gets_no_better() {
    let folder = Scratch::new("patience");
    let still = Settings { lr: 1e-30, min_lr: 0.0, weight_decay: 0.0, patience: 2, ..settings() };
    let mut actions = stopping(9);
    assert_eq!(go(folder.path(), &still, false, &mut actions).unwrap().why, Why::Interrupted);
    let summary = go(folder.path(), &still, true, &mut Actions::default()).unwrap();
    assert_eq!((summary.step, summary.why, summary.best.unwrap().step), (12, Why::Patience, 4));
}

#[test]
fn one_batch_again_and_again_is_learned_by_heart() {
    let folder = Scratch::new("overfit");
    let overfit = Settings { overfit: true, steps: 60, lr: 1e-2, dropout: 0.0, ..settings() };
    go(folder.path(), &overfit, false, &mut Actions::default()).unwrap();
    let log = fs::read_to_string(folder.path().join("train/log.jsonl")).unwrap();
    let last: LoggedStep = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert!(last.loss < 0.5, "{}", last.loss);
}

#[test]
fn spikes_stand_out_from_the_recent_spread() {
    let mut spikes = Spikes::default();
    let usual = |n: u64| 3.0 - 0.001 * n as f64 + 0.05 * ((n * 7 % 5) as f64 - 2.0);
    assert!((0..100).all(|n| spikes.see(usual(n)).is_none()));
    assert!(spikes.see(4.5).is_some_and(|usual| (usual - 2.93).abs() < 0.1));
    assert_eq!(spikes.see(usual(100)), None);
    assert_eq!(Spikes::default().see(1e9), None);
}

/// Not a test by itself: the process that the next test kills. Without a folder it does nothing.
#[test]
fn child() {
    if let Some(folder) = std::env::var_os("GLASS_TEST_RUN") {
        let folder = Path::new(&folder);
        let resume = folder.join("train/run.json").exists();
        go(folder, &settings(), resume, &mut Actions::default()).unwrap();
    }
}

#[test]
fn killed_at_any_moment_it_resumes_to_the_same_bytes() {
    let (whole, _) = whole();
    let folder = Scratch::new("killed");
    let mut kills = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "train_run::child"])
            .env("GLASS_TEST_RUN", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Killed later each time, in uneven steps, so that it finishes even on a slow machine.
        std::thread::sleep(Duration::from_millis(3 + 13 * kills % 17 + 4 * kills));
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        match ended {
            Some(status) => break assert!(status.success()),
            None => kills += 1,
        }
    }
    assert!(kills > 0);
    assert_same(whole.path(), folder.path());
}

#[test]
fn what_is_usual_is_the_median() {
    let mut spikes = Spikes::default();
    for n in 0..41 {
        assert_eq!(spikes.see(2.0 + 0.001 * f64::from(n)), None);
    }
    assert_eq!(spikes.see(9.0), Some(2.0 + 0.001 * 20.0));
}
