//! Distillation: its gradients are slopes, its ends are plain training, and runs write the same bytes however they are cut.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use glass::backend::{Cpu, Packing};
use glass::memory::Keep;
use glass::model::Gpt;
use glass::plan::Spec;
use glass::train::learner::{Arena, Learner, Step};
use glass::train::log::LoggedStep;
use glass::train::objective::Objective;
use glass::train::ranks::{Divided, Ranks, together};
use glass::train::run::{Run, Summary, run};
use glass::train::settings::Settings;
use glass::train::sums::Reduce;
use glass::train::teacher::Distil;
use glass::weights::Frozen;
use glass::weights::adapter::AdapterPlan;
use glass::weights::dtype::Dtype;
use glass::weights::save::Save;
use glass::{Config, Result};

use crate::scratch::Scratch;
use crate::switches::{self, signs};
use crate::tiny;
use crate::train_run::{Actions, assert_same, set, settings, stopping};

/// A model of this seed, packed.
fn frozen(config: &Config, seed: u64, packing: Packing) -> Arc<Frozen<Cpu>> {
    let mut learner = Learner::new(Arc::new(Cpu::new(1)), config, 1, 1).unwrap();
    learner.initialise(seed);
    // At first all tokens are about equally probable; a teacher knows more.
    let sharper: Vec<f32> = learner.arena(Arena::Weights).iter().map(|weight| 4.0 * weight).collect();
    learner.set_arena(Arena::Weights, &sharper);
    let read = |spec: &Spec, into: &mut [f32]| {
        learner.read(spec, into);
        Ok(())
    };
    Arc::new(Frozen::load(&**learner.backend(), learner.plan(), packing, &read).unwrap())
}

/// Wider than the models that learn.
fn teaching() -> Config {
    Config::gpt2(31, 40, 48, 2, 3)
}

fn taught(learner: Learner<Cpu>, rows: usize, samples: usize) -> Learner<Cpu> {
    let (gpt, _) = Gpt::plan(&teaching());
    learner.taught_by(gpt, frozen(&teaching(), 9, Packing::Bf16), rows, samples).unwrap()
}

fn learner(threads: usize) -> Learner<Cpu> {
    taught(tiny::learner(&tiny::config(), threads, 1), 96, 8)
}

fn distil(share: f32, temperature: f32, top: usize) -> Objective {
    Objective::Distil(Distil { share, temperature, top })
}

#[test]
fn gradients_are_the_slope_of_the_loss_with_every_switch() {
    let batch = tiny::batch(&[13, 24, 5], 31, 3);
    for (at, (name, config)) in switches::all().into_iter().enumerate() {
        let objective = [distil(0.7, 1.0, 0), distil(0.4, 3.0, 5)][at % 2];
        let mut learner = taught(tiny::learner(&config, 2, 1), 96, 8);
        let still = Step { objective, rate: 0.0, decay: 0.0, ..tiny::step(1) };
        let start = learner.arena(Arena::Weights);
        let outcome = learner.step(std::slice::from_ref(&batch), &still).unwrap();
        let (Some(entropy), Some(divergence)) = (outcome.details.cross_entropy, outcome.details.divergence)
        else {
            panic!()
        };
        let Objective::Distil(Distil { share, temperature, .. }) = objective else { panic!() };
        let [share, t] = [share, temperature].map(f64::from);
        let expected = (1.0 - share) * entropy + share * t * t * divergence;
        assert!(divergence > 0.01 && (outcome.loss - expected).abs() < 1e-12, "{name}: {outcome:?}");
        let (nats, counted) = learner.evaluate(&batch);
        assert!((nats / counted as f64 - entropy).abs() < 1e-7, "{name}: an evaluation is without a teacher");
        let mut slope = vec![0.0; start.len()];
        for spec in &learner.plan().clone().specs {
            learner.read_gradient(spec, &mut slope[spec.span.clone()]);
        }
        let norm = slope.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        let direction = signs(slope.len(), 1);
        let step = 2e-3 / (slope.len() as f64).sqrt();
        let mut loss_at = |by: f64| {
            let moved: Vec<f32> =
                start.iter().zip(&direction).map(|(w, sign)| w + (by * sign) as f32).collect();
            learner.set_arena(Arena::Weights, &moved);
            learner.step(std::slice::from_ref(&batch), &still).unwrap().loss
        };
        let measured = (loss_at(step) - loss_at(-step)) / (2.0 * step);
        let expected = slope.iter().zip(&direction).map(|(&g, sign)| f64::from(g) * sign).sum::<f64>();
        let error = (measured - expected).abs();
        assert!(error < 0.02 * norm + 5e-4, "{name}: {measured} but {expected} (norm {norm})");
    }
}

/// The weights after three steps.
fn learned(mut learner: Learner<Cpu>, objective: Objective) -> Vec<u32> {
    for number in 1..=3 {
        let step = Step { objective, dropout: 0.1, rate: 1e-2, ..tiny::step(number) };
        let parts = [[24, 9].as_slice(), &[17]].map(|lengths| tiny::batch(lengths, 31, number as u32));
        learner.step(&parts, &step).unwrap();
    }
    learner.arena(Arena::Weights).iter().map(|x| x.to_bits()).collect()
}

#[test]
fn what_a_teacher_said_is_kept_without_another_bit() {
    let learned = |objective: Objective, bytes: usize, threads: usize| {
        let mut learner = learner(threads).keeping_lessons(bytes);
        // Samples that come again, in other batches; one of them also with another mask.
        let (first, second) = (tiny::batch(&[24, 9], 31, 1), tiny::batch(&[7, 17], 31, 2));
        let mut masked = first.clone();
        masked.targets[..4].fill(glass_kernels::loss::IGNORE);
        let steps =
            [vec![first.clone()], vec![second.clone(), first.clone()], vec![masked], vec![second, first]];
        for (number, parts) in (1..).zip(steps) {
            let step = Step { objective, dropout: 0.1, rate: 1e-2, ..tiny::step(number) };
            learner.step(&parts, &step).unwrap();
        }
        let weights: Vec<u32> = learner.arena(Arena::Weights).iter().map(|x| x.to_bits()).collect();
        (weights, learner.kept_lessons())
    };
    let top = distil(0.6, 2.0, 5);
    let (plain, none) = learned(top, 0, 1);
    assert_eq!(none, 0);
    for threads in 1..=2 {
        assert!(
            learned(top, 1 << 20, threads) == (plain.clone(), 5),
            "four samples, and one of them with another mask"
        );
    }
    // Only the first has room: 24 rows of 5 logits, each of 8 bytes.
    assert!(learned(top, 24 * 5 * 8, 1) == (plain, 1));
    assert_eq!(learned(distil(0.6, 2.0, 0), 1 << 20, 1).1, 0, "whole distributions are not kept");
}

#[test]
fn without_a_share_it_is_plain_training_and_the_top_of_all_is_all() {
    let plain = learned(tiny::learner(&tiny::config(), 1, 1), Objective::NextToken);
    assert!(learned(learner(1), Objective::NextToken) == plain);
    assert!(learned(learner(2), distil(0.0, 2.0, 0)) == plain);
    let whole = learned(learner(1), distil(0.6, 2.0, 0));
    assert!(learned(learner(2), distil(0.6, 2.0, 31)) == whole, "as many as there are tokens");
    assert!(learned(learner(1), distil(0.6, 2.0, 30)) != whole && whole != plain);
}

#[test]
fn rows_are_taken_in_chunks() {
    // Of more rows than logits are kept of.
    let config = tiny::config();
    let outcome = |lengths: &[&[usize]]| {
        let mut learner = Learner::new(Arc::new(Cpu::new(2)), &config, 13 * 24, 13).unwrap();
        learner.initialise(1);
        let mut learner = taught(learner, 13 * 24, 13);
        let all = tiny::batch(&[24; 13], 31, 3);
        let mut first = 0;
        let parts: Vec<_> = lengths
            .iter()
            .map(|lengths| {
                let rows = first..first + lengths.iter().sum::<usize>();
                first = rows.end;
                let (inputs, targets) = (all.inputs[rows.clone()].to_vec(), all.targets[rows].to_vec());
                glass::train::learner::Batch {
                    inputs,
                    targets,
                    lengths: lengths.to_vec(),
                    ..Default::default()
                }
            })
            .collect();
        learner.step(&parts, &Step { objective: distil(0.5, 2.0, 7), ..tiny::step(1) }).unwrap()
    };
    let (whole, apart) = (outcome(&[&[24; 13]]), outcome(&[&[24; 6], &[24; 7]]));
    assert_eq!(whole.counted, 13 * 24 - 1);
    assert!((whole.loss - apart.loss).abs() < 1e-6 && (whole.norm - apart.norm).abs() < 1e-5 * whole.norm);
}

#[test]
fn an_adapter_learns_from_a_teacher_too() {
    let (config, objective) = (tiny::config(), distil(0.8, 1.0, 0));
    let of = |threads| {
        let (gpt, plan) = Gpt::plan(&config);
        let adapter = AdapterPlan::new(&plan, 0.0, |_| Some((3, 2.0)));
        let (cpu, base) = (Arc::new(Cpu::new(threads)), frozen(&config, 3, Packing::Q8));
        let mut learner = Learner::tuning(Keep::All, cpu, gpt, base, adapter, 96, 8).unwrap();
        learner.initialise(1);
        taught(learner, 96, 8)
    };
    assert!(learned(of(1), objective) == learned(of(2), objective));
    let (mut learner, batch) = (of(1), tiny::batch(&[24, 24], 31, 3));
    let mut divergences = vec![];
    for number in 1..=40 {
        let step = Step { objective, rate: 2e-2, decay: 0.0, ..tiny::step(number) };
        let outcome = learner.step(std::slice::from_ref(&batch), &step).unwrap();
        divergences.push(outcome.details.divergence.unwrap());
    }
    assert!(divergences[39] < 0.7 * divergences[0], "{divergences:?}");
}

#[test]
fn a_teacher_that_does_not_fit_is_refused() {
    let refused = |config: Config| {
        let (gpt, _) = Gpt::plan(&config);
        let weights = frozen(&config, 1, Packing::F32);
        let learner = tiny::learner(&tiny::config(), 1, 1);
        learner.taught_by(gpt, weights, 96, 8).err().unwrap().to_string()
    };
    let said = refused(Config::gpt2(32, 40, 48, 2, 3));
    assert!(said.starts_with("teacher: its vocabulary has 32 tokens, but the model's has 31;"), "{said}");
    let said = refused(Config::gpt2(31, 20, 48, 2, 3));
    assert!(
        said.starts_with("teacher: its context is 20, but the model's is 24; give `context` 20"),
        "{said}"
    );
    let mut learner = tiny::learner(&tiny::config(), 1, 1);
    let step = Step { objective: distil(0.5, 1.0, 0), ..tiny::step(1) };
    let said = learner.step(&[tiny::batch(&[5], 31, 1)], &step).unwrap_err().to_string();
    assert!(said.starts_with("teacher: there is none"), "{said}");
    for (wrong, name) in [
        (Distil { share: 1.5, ..Distil::default() }, "distil_share"),
        (Distil { temperature: 0.0, ..Distil::default() }, "distil_temperature"),
    ] {
        let settings = Settings { distil: Some(wrong), ..settings() };
        let said = settings.check().unwrap_err().to_string();
        assert!(said.starts_with(name), "{said}");
    }
}

/// A run with a teacher.
#[derive(Clone)]
struct Of {
    ranks: usize,
    threads: usize,
    divided: Divided,
    teacher: u64,
    distil: Option<Distil>,
    stop_after: Option<u64>,
    resume: bool,
}

fn of() -> Of {
    let distil = Some(Distil { share: 0.6, temperature: 2.0, top: 9 });
    Of {
        ranks: 1,
        threads: 1,
        divided: Divided::Moments,
        teacher: 9,
        distil,
        stop_after: None,
        resume: false,
    }
}

impl Of {
    fn go(&self, folder: &Path) -> Vec<Result<Summary>> {
        thread::scope(|scope| {
            let go = |ranks| scope.spawn(move || self.rank(folder, Arc::new(ranks)));
            let threads: Vec<_> = together(self.ranks).into_iter().map(go).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    fn rank(&self, folder: &Path, ranks: Arc<dyn Ranks>) -> Result<Summary> {
        let settings = Settings { steps: 12, accumulate: 3, distil: self.distil, ..settings() };
        let (config, is_first) = (tiny::config(), ranks.rank() == 0);
        let (rows, cpu) = (settings.batch * config.context, Arc::new(Cpu::new(self.threads)));
        let learner = Learner::new(cpu, &config, rows, settings.batch)?;
        let mut learner = learner.among(ranks, Reduce::Exact, self.divided);
        learner.initialise(5);
        if self.distil.is_some() {
            let (gpt, _) = Gpt::plan(&teaching());
            let weights = frozen(&teaching(), self.teacher, Packing::F32);
            learner = learner.taught_by(gpt, weights, rows, settings.batch)?;
        }
        let mut actions = self.stop_after.filter(|_| is_first).map_or_else(Actions::default, stopping);
        let (stop, plan) = (actions.stop.clone(), learner.plan().clone());
        let model = Save {
            config: &config,
            plan: &plan,
            dtype: Dtype::F32,
            tokenizer: None,
            template: None,
            end_of_text: None,
            generation: None,
        };
        let folder = if is_first { folder } else { Path::new("/nowhere") };
        let (train, validation) = (&set(400, 0), Some(&set(150, 1000)));
        let (settings, resume) = (&settings, self.resume);
        let of = Run { settings, train, validation, folder, model, adapter: None, resume, stop: &stop };
        run(&mut learner, &of, &mut actions)
    }

    fn done(&self) -> Scratch {
        let folder = Scratch::new("distil");
        self.go(folder.path()).into_iter().for_each(|done| _ = done.unwrap());
        folder
    }
}

#[test]
fn threads_ranks_and_a_stop_change_no_byte() {
    let whole = of().done();
    assert_same(whole.path(), Of { ranks: 2, threads: 2, ..of() }.done().path());
    assert_same(whole.path(), Of { ranks: 3, ..of() }.done().path());
    assert_same(whole.path(), Of { ranks: 2, divided: Divided::Weights, ..of() }.done().path());
    let stopped = Of { stop_after: Some(5), ..of() }.done();
    let refused = |of: Of| of.go(stopped.path()).swap_remove(0).unwrap_err().to_string();
    let other = refused(Of { resume: true, teacher: 8, ..of() });
    assert!(other.starts_with("teacher: this run began with \"weights "), "{other}");
    let none = refused(Of { resume: true, distil: None, ..of() });
    assert!(none.starts_with("distil_share: this run began with 0.6; none would change"), "{none}");
    let rest = Of { resume: true, threads: 2, ..of() };
    rest.go(stopped.path()).into_iter().for_each(|done| _ = done.unwrap());
    assert_same(whole.path(), stopped.path());
    let log = fs::read_to_string(whole.path().join("train/log.jsonl")).unwrap();
    let log: Vec<LoggedStep> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let divergence = |line: &LoggedStep| line.details.divergence.unwrap();
    assert!(divergence(&log[11]) < divergence(&log[0]), "{:?} after {:?}", log[11], log[0]);
    let plain = Of { distil: None, ..of() }.done();
    let told = fs::read_to_string(plain.path().join("train/log.jsonl")).unwrap();
    assert!(!told.contains("divergence") && !told.contains("accuracy"));
}
