//! Several ranks learn what one learns, to the bit.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use glass::backend::Cpu;
use glass::memory::Keep;
use glass::model::Gpt;
use glass::train::learner::{Arena, Learner};
use glass::train::optimiser::Optimiser;
use glass::train::ranks::{Divided, Ranks, together};
use glass::train::run::{Run, Summary, run};
use glass::train::set::{Chat, Samples, Set};
use glass::train::settings::Settings;
use glass::train::sums::Reduce;
use glass::weights::dtype::Dtype;
use glass::weights::save::Save;
use glass::{Config, Result};

use crate::scratch::Scratch;
use crate::tiny;
use crate::train_run::{Actions, assert_same, files, set, settings, stopping};

/// A run that several ranks share.
#[derive(Clone)]
struct Shared {
    config: Config,
    settings: Settings,
    train: Set,
    validation: Option<Set>,
    ranks: usize,
    threads: usize,
    keep: Keep,
    reduce: Reduce,
    divided: Divided,
    resume: bool,
    /// Rank 0 is told to stop after this step.
    stop_after: Option<u64>,
    /// Seed of the initial weights of the last rank.
    last_seed: u64,
}

fn shared(ranks: usize, accumulate: usize) -> Shared {
    Shared {
        config: tiny::config(),
        settings: Settings { steps: 8, accumulate, checkpoint_every: 3, ..settings() },
        train: set(400, 0),
        validation: Some(set(150, 1000)),
        ranks,
        threads: 1,
        keep: Keep::All,
        reduce: Reduce::Exact,
        divided: Divided::Moments,
        resume: false,
        stop_after: None,
        last_seed: 5,
    }
}

impl Shared {
    /// What each rank returns. Only rank 0 is given a folder that exists.
    fn go(&self, folder: &Path) -> Vec<Result<Summary>> {
        let ranks = together(self.ranks);
        thread::scope(|scope| {
            let go = |ranks| scope.spawn(move || self.rank(folder, Arc::new(ranks)));
            let threads: Vec<_> = ranks.into_iter().map(go).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    fn rank(&self, folder: &Path, ranks: Arc<dyn Ranks>) -> Result<Summary> {
        let (config, settings, rank) = (&self.config, &self.settings, ranks.rank());
        let (cpu, rows) = (Arc::new(Cpu::new(self.threads)), settings.batch * config.context);
        let sequences = settings.batch * self.train.most_sequences(config.context);
        let learner = Learner::keeping(self.keep, cpu, config, rows, sequences)?;
        let mut learner = learner.among(ranks, self.reduce, self.divided);
        let seed = if rank + 1 == self.ranks { self.last_seed } else { 5 };
        learner.initialise_early(seed, settings.early());
        let mut actions = self.stop_after.filter(|_| rank == 0).map_or_else(Actions::default, stopping);
        let (stop, plan) = (actions.stop.clone(), learner.plan().clone());
        let model = Save {
            config,
            plan: &plan,
            dtype: Dtype::F32,
            tokenizer: None,
            template: None,
            end_of_text: None,
            generation: None,
        };
        let folder = if rank == 0 { folder } else { Path::new("/nowhere") };
        let (train, validation, resume) = (&self.train, self.validation.as_ref(), self.resume);
        run(
            &mut learner,
            &Run { settings, train, validation, folder, model, adapter: None, resume, stop: &stop },
            &mut actions,
        )
    }

    /// A folder with what they wrote.
    fn done(&self) -> Scratch {
        let folder = Scratch::new("ranks");
        self.on(&folder);
        folder
    }

    fn on(&self, folder: &Scratch) {
        let all: Vec<Summary> = self.go(folder.path()).into_iter().map(Result::unwrap).collect();
        assert!(all.iter().all(|summary| *summary == all[0]), "{all:?}");
    }

    /// The error of rank 0.
    fn refused(&self) -> String {
        let folder = Scratch::new("ranks-refused");
        let mut all = self.go(folder.path());
        assert!(all.iter().all(Result::is_err));
        all.swap_remove(0).unwrap_err().to_string()
    }
}

#[test]
fn any_number_of_ranks_writes_the_same_bytes() {
    for optimiser in [Optimiser::AdamW, Optimiser::Muon] {
        for accumulate in [4, 5] {
            let mut one = shared(1, accumulate);
            one.settings.optimiser = optimiser;
            one.settings.muon_every = 2;
            let alone = one.done();
            assert!(files(alone.path()).contains_key("train/step-00000008/second.f32"));
            for (ranks, threads) in [(1, 2), (2, 1), (2, 2), (3, 1), (4, 2)] {
                let several = Shared { ranks, threads, ..one.clone() };
                assert_same(alone.path(), several.done().path());
            }
        }
    }
}

#[test]
fn what_ranks_divide_changes_no_byte() {
    for (optimiser, accumulate) in [(Optimiser::AdamW, 4), (Optimiser::AdamW, 5), (Optimiser::Muon, 5)] {
        let mut one = shared(1, accumulate);
        one.settings.optimiser = optimiser;
        one.settings.muon_every = 2;
        one.settings.dropout = 0.1;
        one.settings.sample_every = 3;
        let alone = one.done();
        for divided in [Divided::Gradients, Divided::Weights] {
            for (ranks, threads) in [(2, 2), (3, 1), (4, 1)] {
                let several = Shared { ranks, threads, divided, ..one.clone() };
                assert_same(alone.path(), several.done().path());
            }
        }
    }
}

#[test]
fn other_shapes_are_shared_too() {
    let heads = glass::backend::Heads::new(6, 2, 8);
    let llama = Config::llama(31, 24, 48, 3, heads, 64);
    let heads = glass::backend::Heads::new(6, 2, 8);
    let mut sharing = Config::llama(31, 24, 48, 3, heads, 64);
    sharing.attention = crate::switches::reading();
    // A table that is cut into several pieces.
    let wide = Config::gpt2(45_000, 24, 24, 1, 3);
    for (config, keep) in [(llama, Keep::Inputs), (sharing, Keep::All), (wide, Keep::All)] {
        let mut one = shared(1, 3);
        one.settings.steps = 3;
        let one = Shared { config, keep, ..one };
        let alone = one.done();
        for divided in [Divided::Moments, Divided::Gradients, Divided::Weights] {
            let three = Shared { ranks: 3, divided, ..one.clone() };
            assert_same(alone.path(), three.done().path());
        }
    }
}

#[test]
fn conversations_of_unequal_lengths_are_shared() {
    let chat = |n: u32| {
        let ids: Vec<u32> = (0..3 + n % 22).map(|place| (n + place) % 31).collect();
        Chat { learned: (0..ids.len()).map(|place| place > n as usize % 3).collect(), ids }
    };
    let chats = Set { samples: Samples::Chats((0..20).map(chat).collect()), documents: 20, bytes: None };
    for train in [chats.clone(), chats.packed(24, 1)] {
        let one = Shared { train, validation: None, ..shared(1, 5) };
        let alone = one.done();
        for (ranks, divided) in
            [(2, Divided::Moments), (3, Divided::Moments), (5, Divided::Moments), (3, Divided::Weights)]
        {
            assert_same(alone.path(), Shared { ranks, divided, ..one.clone() }.done().path());
        }
    }
}

#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    let whole = shared(1, 4).done();
    let (moments, gradients, weights) = (Divided::Moments, Divided::Gradients, Divided::Weights);
    for (before, after) in [
        ((2, moments), (3, moments)),
        ((1, moments), (4, weights)),
        ((4, weights), (1, moments)),
        ((3, gradients), (2, weights)),
    ] {
        let folder = Scratch::new("ranks-resumed");
        let with = |(ranks, divided)| Shared { divided, ..shared(ranks, 4) };
        Shared { stop_after: Some(4), ..with(before) }.on(&folder);
        assert!(!folder.path().join("train/step-00000008").exists());
        Shared { resume: true, ..with(after) }.on(&folder);
        assert_same(whole.path(), folder.path());
    }
}

#[test]
fn early_steps_are_shared_too() {
    for optimiser in [Optimiser::AdamW, Optimiser::Muon] {
        let mut one = shared(1, 4);
        one.config.layers = 3;
        one.settings = Settings { optimiser, early_blocks: Some(1), early_steps: 5, ..one.settings };
        let whole = one.done();
        let (moments, gradients, weights) = (Divided::Moments, Divided::Gradients, Divided::Weights);
        for (ranks, divided) in [(1, moments), (2, moments), (3, gradients), (3, weights)] {
            assert_same(whole.path(), Shared { ranks, divided, ..one.clone() }.done().path());
        }
        // Stopped before the other blocks are learned, and after.
        for stop in [4, 6] {
            let folder = Scratch::new("ranks-early");
            Shared { stop_after: Some(stop), ranks: 2, divided: weights, ..one.clone() }.on(&folder);
            Shared { resume: true, ranks: 3, ..one.clone() }.on(&folder);
            assert_same(whole.path(), folder.path());
        }
    }
}

#[test]
fn a_fast_sum_is_close() {
    let weights = |reduce, ranks, divided| {
        let mut shared = Shared { reduce, divided, ..shared(ranks, 5) };
        shared.settings = Settings { steps: 1, warmup: 0, ..shared.settings };
        let bytes = files(shared.done().path()).remove("train/step-00000001/first.f32").unwrap();
        bytes.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect::<Vec<_>>()
    };
    let exact = weights(Reduce::Exact, 1, Divided::Moments);
    let largest = exact.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    for (ranks, divided) in [1, 2, 3]
        .into_iter()
        .flat_map(|ranks| [Divided::Moments, Divided::Gradients].map(|divided| (ranks, divided)))
    {
        let fast = weights(Reduce::Fast, ranks, divided);
        let apart = exact.iter().zip(&fast).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / largest;
        assert!(apart > 0.0 && apart < 1e-5, "{ranks} ranks, {divided:?}: {apart}");
    }
}

#[test]
fn a_step_that_cannot_be_shared_is_refused_with_one_that_can() {
    let said = shared(3, 2).refused();
    assert!(said.contains("3 ranks share the batches of a step, but it has 2 batches"), "{said}");
    assert!(said.contains("give `batch` 1 and `accumulate` 4 for as many samples a step"), "{said}");
    let said = shared(5, 2).refused();
    assert!(said.contains("start at most 4"), "{said}");
}

#[test]
fn ranks_that_differ_are_named_before_the_first_step() {
    let other = Shared { last_seed: 6, ..shared(3, 4) }.refused();
    assert!(other.contains("rank 2: it has other initial weights than rank 0"), "{other}");
    assert!(other.contains("give all ranks the same model"), "{other}");

    let data = "rank 1: it has other training data than rank 0";
    refused_apart(data, |rank, one| {
        if rank == 1 {
            one.train = set(401, 0);
        }
    });
    let divide = "rank 1: it was started with another `reduce` or `divide` than rank 0";
    refused_apart(divide, |rank, one| {
        if rank == 1 {
            one.divided = Divided::Gradients;
        }
    });
}

/// Two ranks, of which `differ` changes one, refuse each other with the same words.
fn refused_apart(expected: &str, differ: impl Fn(usize, &mut Shared)) {
    let folder = Scratch::new("ranks-differ");
    let ranks = together(2);
    let told = thread::scope(|scope| {
        let go = |(rank, ranks)| {
            let mut one = shared(2, 4);
            differ(rank, &mut one);
            let folder = folder.path();
            scope.spawn(move || one.rank(folder, Arc::new(ranks)).unwrap_err().to_string())
        };
        let threads: Vec<_> = ranks.into_iter().enumerate().map(go).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(told[0].contains(expected), "{}", told[0]);
    assert_eq!(told[0], told[1]);
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_rank_that_ends_ends_the_others() {
    let folder = Scratch::new("ranks-ended");
    let mut ranks = together(3);
    drop(ranks.pop());
    let one = shared(3, 4);
    let all = thread::scope(|scope| {
        let go = |ranks| scope.spawn(|| one.rank(folder.path(), Arc::new(ranks)).unwrap_err().to_string());
        let threads: Vec<_> = ranks.into_iter().map(go).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(all.iter().all(|said| said.contains("it has ended, so this one ends too")), "{all:?}");
}

#[test]
fn a_rank_has_its_own_pieces_only() {
    let config = tiny::config();
    let (_, plan) = Gpt::plan(&config);
    let parts: Vec<_> = (0..4).map(|seed| tiny::batch(&[24, 10], 31, seed)).collect();
    let (config, parts) = (&config, &parts);
    for (divided, arena) in [(Divided::Moments, Arena::Second), (Divided::Weights, Arena::Weights)] {
        let all: Vec<Vec<f32>> = thread::scope(|scope| {
            let go = |ranks| {
                scope.spawn(move || {
                    let learner = Learner::new(Arc::new(Cpu::new(1)), config, 96, 8).unwrap();
                    let mut learner = learner.among(Arc::new(ranks), Reduce::Exact, divided);
                    learner.initialise(1);
                    learner.step(parts, &tiny::step(1)).unwrap();
                    learner.arena(arena)
                })
            };
            let threads: Vec<_> = together(3).into_iter().map(go).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for spec in &plan.specs {
            let owners = all.iter().filter(|numbers| numbers[spec.span.clone()].iter().any(|&x| x != 0.0));
            assert_eq!(owners.count(), 1, "{divided:?} {}", spec.name);
        }
        let held: Vec<usize> = all.iter().map(|all| all.iter().filter(|&&x| x != 0.0).count()).collect();
        assert!(
            held.iter().all(|held| held.abs_diff(plan.len() / 3) < plan.len() / 10),
            "{divided:?}: {held:?} of {}",
            plan.len()
        );
    }
}
