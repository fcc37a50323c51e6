//! The memory that a run needs, whether it is available, and what would fit.

use glass::Config;
use glass::backend::Cpu;
use glass::memory::Keep;
use glass::model::footprint::Footprint;
use glass::model::parameter_count::ParameterCount;
use glass::train::needs::Needs;
use glass::train::ranks::Divided;
use glass::train::settings::Settings;
use glass::train::sums::Reduce;

use super::room;
use super::sets::Sets;
use super::watch::SAMPLE;
use super::work::Work;
use crate::args::TrainArgs;
use crate::fail::{Fail, say};
use crate::out::{bytes, number};

/// The memory of the program, if the system does not report it.
const PROGRAM: u64 = 32 << 20;

/// What a run will hold in memory at once.
#[derive(Clone)]
pub struct Requested {
    pub config: Config,
    pub keep: Keep,
    pub batch: usize,
    /// Samples of each: 2 of a pair.
    pub each: usize,
    pub accumulate: usize,
    /// The most sequences in a sample.
    pub sequences: usize,
    /// The processes that share a step, how they add up its gradients, and what they divide.
    pub ranks: usize,
    pub reduce: Reduce,
    pub divided: Divided,
    pub threads: usize,
    /// Whether the model generates samples during the run.
    pub samples: bool,
    /// The weights that are learned, if not all.
    pub learned: Option<u64>,
    /// The model that is learned from.
    pub teacher: Option<Config>,
}

impl Requested {
    /// The learner's memory.
    pub fn needs(&self) -> Needs {
        let samples = self.batch.saturating_mul(self.each);
        let (rows, sequences) =
            (samples.saturating_mul(self.config.context), self.batch.saturating_mul(self.sequences));
        let needs = Needs::of_rows::<Cpu>(&self.config, self.keep, rows, sequences);
        let needs = self.learned.map_or(needs, |weights| needs.of_learned(weights));
        needs.of_steps(self.reduce, self.divided, self.accumulate, self.ranks)
    }

    /// Tokens of one step.
    pub fn tokens_per_step(&self) -> u64 {
        let samples =
            (self.batch as u64).saturating_mul(self.accumulate as u64).saturating_mul(self.each as u64);
        samples.saturating_mul(self.config.context as u64)
    }

    /// Bytes besides the learner: the ids of a step and their targets; the working memory of each thread; the
    /// logits, keys and values of a sample.
    pub fn besides(&self) -> u64 {
        let Config { vocabulary, context, layers, heads, .. } = self.config;
        let threads = (self.threads * (300 * 1024 + 16 * context * (heads.size + 16))) as u64;
        let positions = context.min(SAMPLE + 1);
        let sample = 16 * vocabulary + 8 * layers * positions * heads.key * heads.size;
        // The model writes a sample with all weights that are learned.
        let learned = || self.learned.unwrap_or_else(|| ParameterCount::of(&self.config).stored);
        let whole = match self.divided {
            Divided::Weights if self.ranks > 1 => learned().saturating_mul(4),
            _ => 0,
        };
        let samples = if self.samples { whole.saturating_add(sample as u64) } else { 0 };
        // A teacher's weights are in memory already.
        let teacher = self.teacher.as_ref().map_or(0, |config| {
            let needs = Needs::of::<Cpu>(config, Keep::One, self.batch);
            needs.activations.saturating_add(needs.logits)
        });
        self.tokens_per_step()
            .saturating_mul(8)
            .saturating_add(threads)
            .saturating_add(samples)
            .saturating_add(teacher)
    }

    fn run(&self) -> u64 {
        self.needs().total().saturating_add(self.besides())
    }

    /// The same number of tokens per step in more and smaller batches, so that the run takes at most `most`; if necessary, with
    /// gradients added up in less memory.
    fn smaller(&self, most: u64) -> Option<Requested> {
        let fast = Requested { reduce: Reduce::Fast, ..self.clone() };
        self.in_batches(most).or_else(|| fast.in_batches(most))
    }

    /// The same steps, with more divided among ranks, so that the run takes at most `most`.
    fn more_divided(&self, most: u64) -> Option<Requested> {
        let more = [Divided::Gradients, Divided::Weights].into_iter();
        let more = more.filter(|divided| self.ranks > 1 && *divided > self.divided);
        more.map(|divided| Requested { divided, ..self.clone() }).find(|asked| asked.run() <= most)
    }

    fn in_batches(&self, most: u64) -> Option<Requested> {
        let samples = self.batch.checked_mul(self.accumulate)?;
        let roots = (1..).take_while(|n| n * n <= samples).filter(|n| samples.is_multiple_of(*n));
        let divisors = roots.flat_map(|n| [n, samples / n]).filter(|&batch| batch < self.batch);
        let with = |batch| Requested { batch, accumulate: samples / batch, ..self.clone() };
        divisors.map(with).filter(|asked| asked.run() <= most).max_by_key(|asked| asked.batch)
    }

    /// One batch per step, as large as possible.
    fn fewer(&self, most: u64) -> Option<Requested> {
        let with = |batch| Requested { batch, accumulate: 1, ..self.clone() };
        let (mut fits, mut too_many) = (0, self.batch);
        while too_many - fits > 1 {
            let middle = fits + (too_many - fits) / 2;
            *(if with(middle).run() <= most { &mut fits } else { &mut too_many }) = middle;
        }
        Some(with(fits)).filter(|_| fits > 0)
    }

    /// One sample at a time, shortened as far as necessary.
    fn shorter(&self, most: u64) -> Option<Requested> {
        let with = |context| Requested {
            batch: 1,
            accumulate: 1,
            config: Config { context, ..self.config.clone() },
            ..self.clone()
        };
        let contexts = (16..self.config.context).step_by(16).collect::<Vec<_>>();
        let fitting = contexts.partition_point(|&context| with(context).run() <= most);
        contexts[..fitting].last().map(|&context| with(context))
    }

    /// The options for this, and the memory it takes.
    fn options(&self, besides: u64) -> String {
        let recompute = if self.keep == Keep::Inputs { " --recompute" } else { "" };
        let reduce = if self.reduce == Reduce::Fast { " --reduce fast" } else { "" };
        let divide = match self.divided {
            Divided::Moments => "",
            Divided::Gradients => " --divide gradients",
            Divided::Weights => " --divide weights",
        };
        let (batch, accumulate) = (self.batch, self.accumulate);
        let takes = bytes(self.run().saturating_add(besides));
        format!("--batch {batch} --accumulate {accumulate}{recompute}{reduce}{divide} (takes {takes})")
    }
}

/// A run's memory.
pub struct Budget {
    pub asked: Requested,
    /// Weights.
    pub weights: u64,
    /// Floating-point operations to learn one token with all blocks.
    pub flops_to_learn: u64,
    /// Rows of a sample, on average.
    rows: usize,
    /// The program, its vocabulary and its data, as they are in memory now.
    pub present: u64,
    /// The maximum they have taken so far.
    pub peak: u64,
}

impl Budget {
    /// Computed before anything is allocated for the run, and after its data was read.
    pub fn of(config: &Config, args: &TrainArgs, threads: usize, ranks: usize, sets: &Sets) -> Budget {
        let (run, context) = (&args.run, config.context);
        let (present, peak) = room::held().unwrap_or((PROGRAM, PROGRAM));
        Budget {
            asked: Requested {
                config: config.clone(),
                keep: run.keep(),
                batch: run.batch,
                each: args.preference.samples(),
                accumulate: run.accumulate,
                sequences: sets.most_sequences(context),
                ranks,
                reduce: run.ranks.reduce.reduce(),
                divided: run.ranks.divide.divided(),
                threads,
                samples: run.sample_every > 0,
                learned: None,
                teacher: None,
            },
            weights: ParameterCount::of(config).stored,
            flops_to_learn: Footprint::of(config, sets.mean_rows(context)).flops_to_learn,
            rows: sets.mean_rows(context),
            present,
            peak,
        }
    }

    /// Only so many weights are learned, and the others are in memory already. A token then takes two thirds of the operations, since
    /// the others need no gradients, and what the learned ones add.
    pub fn learns_only(&mut self, weights: u64) {
        (self.weights, self.asked.learned) = (weights, Some(weights));
        self.flops_to_learn = self.flops_to_learn / 3 * 2 + 6 * weights;
    }

    /// A model is learned from, which reads every token too.
    pub fn is_taught_by(&mut self, config: &Config, kept: usize) {
        self.present += kept as u64;
        self.asked.teacher = Some(config.clone());
        self.flops_to_learn += Footprint::of(config, self.asked.config.context).flops_to_learn / 3;
    }

    /// What learning a token takes in every step.
    pub fn work(&self, settings: &Settings) -> Work {
        Work::of(settings, &self.asked.config, self.rows, self.flops_to_learn)
    }

    /// Bytes of the whole process at its peak.
    pub fn total(&self) -> u64 {
        self.asked.run().saturating_add(self.present).max(self.peak)
    }

    /// Refuses a run that does not fit in memory, before it starts; `sharing` of them share this machine.
    pub fn fits(&self, sharing: u64) -> Result<(), Fail> {
        let Some(most) = room::most().map(|most| most / sharing) else { return Ok(()) };
        if let Some(instead) = self.instead(most) {
            return Err(Fail::asked(format!(
                "memory: this run takes {}, but {} is available; {instead}",
                bytes(self.total()),
                bytes(most)
            )));
        }
        if let Some(free) = room::free().map(|free| free / sharing).filter(|free| self.asked.run() > *free) {
            let (takes, free) = (bytes(self.asked.run()), bytes(free));
            say(&format!(
                "the run will take {takes} more, but only {free} is free; it may be slow, or be killed"
            ));
        }
        Ok(())
    }

    /// A change that takes at most `most`, if this run does not.
    pub fn instead(&self, most: u64) -> Option<String> {
        if self.total() <= most {
            return None;
        }
        let (asked, room) = (&self.asked, most.saturating_sub(self.present));
        if let Some(divided) = asked.more_divided(room) {
            return Some(format!("give {} for the same steps", divided.options(self.present)));
        }
        let recomputed = Requested { keep: Keep::Inputs, ..asked.clone() };
        let smaller = asked.smaller(room);
        let same = Some(&recomputed).filter(|asked| asked.run() <= room);
        let both = recomputed.smaller(room);
        let options = |asked: &Requested| asked.options(self.present);
        Some(match (smaller.as_ref().map(options), same.map(options), both.as_ref().map(options)) {
            (Some(one), Some(other), _) => {
                format!("give {one} or {other} for the same number of tokens per step")
            }
            (Some(one), ..) | (_, Some(one), _) | (_, _, Some(one)) => {
                format!("give {one} for the same number of tokens per step")
            }
            _ => match asked.fewer(room).or_else(|| recomputed.shorter(room)) {
                Some(short) if short.config.context == asked.config.context => {
                    format!("give {}, which is fewer tokens per step", options(&short))
                }
                Some(short) => format!("give --context {} {}", short.config.context, options(&short)),
                None => format!(
                    "weights, gradients and moments alone take {}; {} is enough for a model of at most {} weights",
                    bytes(self.weights.saturating_mul(16)),
                    bytes(room),
                    number(room / 16)
                ),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(batch: usize, accumulate: usize) -> Budget {
        let config = Config::gpt2(50_257, 256, 768, 12, 12);
        let (keep, ranks, reduce) = (Keep::All, 1, Reduce::Exact);
        let (sequences, threads, samples, learned) = (1, 2, false, None);
        let asked = Requested {
            keep,
            batch,
            each: 1,
            accumulate,
            sequences,
            ranks,
            reduce,
            divided: Divided::Moments,
            threads,
            samples,
            learned,
            teacher: None,
            config,
        };
        let weights = ParameterCount::of(&asked.config).stored;
        Budget { asked, weights, flops_to_learn: 1, rows: 1, present: 20 << 20, peak: 20 << 20 }
    }

    #[test]
    fn what_fits_instead_does_fit() {
        let wide = budget(32, 1);
        assert_eq!(wide.instead(wide.total()), None);
        let cases = [
            (4 << 30, "give --batch 8 --accumulate 4 (takes 3.7 GiB)"),
            (4 << 30, " or --batch 32 --accumulate 1 --recompute (takes 2.9 GiB)"),
            (2400 << 20, "give --batch 2 --accumulate 16 --reduce fast (takes 2.1 GiB)"),
            (2050 << 20, "give --batch 2 --accumulate 16 --recompute --reduce fast (takes 2.0 GiB)"),
            (2000 << 20, "give --context "),
            (1800 << 20, "weights, gradients and moments alone take 1.8 GiB"),
        ];
        for (most, expected) in cases {
            let said = wide.instead(most).unwrap();
            assert!(said.contains(expected), "{most}: {said}");
        }
    }

    #[test]
    fn what_ranks_could_divide_is_said_first() {
        let mut among = budget(1, 8);
        among.asked.ranks = 8;
        for (less, expected) in [(1, "--divide gradients"), (500 << 20, "--divide weights")] {
            let said = among.instead(among.total() - less).unwrap();
            assert!(said.contains(expected) && said.ends_with("for the same steps"), "{less}: {said}");
        }
        among.asked.divided = Divided::Weights;
        assert!(!among.instead(among.total() - 1).unwrap().contains("same steps"));
    }

    #[test]
    fn a_step_keeps_its_samples() {
        let asked = budget(12, 5).asked;
        let less = asked.smaller(asked.run() - 1).unwrap();
        assert_eq!((less.batch, less.accumulate), (10, 6));
    }

    #[test]
    fn numbers_beyond_all_machines_are_refused_too() {
        let mut huge = budget(1 << 30, 1);
        huge.asked.config.context = 1 << 20;
        assert!(huge.instead(64 << 30).is_some());
    }
}
