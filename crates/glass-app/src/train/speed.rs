//! Estimates the speed of a run: a few steps of a smaller model are measured and scaled by operation counts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use glass::Config;
use glass::backend::{Cpu, Heads};
use glass::model::footprint::Footprint;
use glass::model::parameter_count::ParameterCount;
use glass::train::checkpoint::{self, State};
use glass::train::learner::{Batch, Learner, Step};
use glass::train::settings::Settings;

use super::budget::Requested;
use crate::fail::Fail;

/// The seconds that a step of the smaller model may take at peak speed.
const STEP: f64 = 0.2;

/// The bytes that its arenas may take.
const ARENAS: u64 = 512 << 20;

/// Seconds of measuring after which no further round begins.
const ENOUGH: f64 = 1.2;

/// A smaller model and batch: fewer layers and a proportionally smaller vocabulary; if that is not enough, fewer
/// samples, then shorter ones, then narrower layers.
struct Proxy {
    config: Config,
    batch: usize,
}

impl Proxy {
    fn of(asked: &Requested, peak: f64) -> Proxy {
        let mut small = Proxy { config: asked.config.clone(), batch: asked.batch };
        let fits = |small: &Proxy| {
            small.flops() <= STEP * peak
                && ParameterCount::of(&small.config).stored.saturating_mul(16) <= ARENAS
        };
        while !fits(&small) && small.shrink(&asked.config) {}
        small
    }

    fn shrink(&mut self, whole: &Config) -> bool {
        let Config { context, layers, heads: Heads { query, key, .. }, .. } = self.config;
        let key = (key / 2).max(1);
        if layers > 1 {
            self.config.layers -= 1;
            self.config.vocabulary = (whole.vocabulary * self.config.layers / whole.layers).max(2);
        } else if self.batch > 1 && self.batch * context > 512 {
            self.batch = self.batch.div_ceil(2);
        } else if context > 64 {
            self.config.context = (context / 2).max(64);
        } else if query.is_multiple_of(2) && (query / 2).is_multiple_of(key) {
            (self.config.heads.query, self.config.heads.key) = (query / 2, key);
            self.config.width /= 2;
            self.config.mlp_width /= 2;
        } else {
            return false;
        }
        true
    }

    /// To learn one batch.
    fn flops(&self) -> f64 {
        flops(&self.config) * (self.batch * self.config.context) as f64
    }
}

/// To learn one token.
fn flops(config: &Config) -> f64 {
    Footprint::of(config, config.context).flops_to_learn as f64
}

/// The seconds that parts of a run take.
pub struct Speed {
    /// Positions of the full model's context.
    pub context: usize,
    /// What was measured.
    proxy: Proxy,
    /// A step.
    pub step: f64,
    /// Evaluating one token.
    pub evaluate: f64,
    /// A checkpoint, without the model's own files; `None` if none could be written.
    pub save: Option<f64>,
}

impl Speed {
    /// Measures the speed for steps of `tokens` tokens; checkpoints are written to the nearest existing folder to
    /// `out` and removed again.
    pub fn measured(
        asked: &Requested,
        tokens: u64,
        settings: &Settings,
        cpu: &Arc<Cpu>,
        peak: f64,
        out: &Path,
    ) -> Result<Speed, Fail> {
        let proxy = Proxy::of(asked, peak);
        let (config, rows) = (&proxy.config, proxy.batch * proxy.config.context);
        let mut learner = Learner::keeping(asked.keep, cpu.clone(), config, rows, proxy.batch)?;
        learner.initialise(1);
        let part = batch(config, proxy.batch);
        let (one, two) = ([part.clone()], [part.clone(), part.clone()]);
        let constants = Step { early: None, ..settings.step(1) };
        learner.step(&one, &constants)?;
        let (begun, mut singles, mut doubles) = (Instant::now(), vec![], vec![]);
        while singles.len() < 2 || (begun.elapsed().as_secs_f64() < ENOUGH && singles.len() < 50) {
            for (parts, times) in [(&one[..], &mut singles), (&two[..], &mut doubles)] {
                let begun = Instant::now();
                learner.step(parts, &constants)?;
                times.push(begun.elapsed().as_secs_f64());
            }
        }
        let begun = Instant::now();
        learner.evaluate(&part);
        let evaluate = begun.elapsed().as_secs_f64();
        let save = save(&learner, out);

        let (single, double) = (median(singles), median(doubles));
        let pass = (double - single).clamp(0.0, single);
        let more = flops(&asked.config) / flops(config);
        let larger =
            ParameterCount::of(&asked.config).stored as f64 / ParameterCount::of(config).stored as f64;
        let per_token = more / rows as f64;
        Ok(Speed {
            step: pass * per_token * tokens as f64 + (single - pass) * larger,
            evaluate: evaluate * per_token,
            save: save.map(|seconds| seconds * larger),
            context: asked.config.context,
            proxy,
        })
    }

    /// A description of what was measured.
    pub fn measured_on(&self, asked: &Requested) -> String {
        let (small, whole) = (&self.proxy.config, &asked.config);
        if (small, self.proxy.batch) == (whole, asked.batch) {
            return "a few of its steps".into();
        }
        let narrower = match small.width == whole.width {
            true => String::new(),
            false => format!(", {} wide", small.width),
        };
        format!(
            "{} of its {} layers{narrower}, {} x {} tokens",
            small.layers, whole.layers, self.proxy.batch, small.context
        )
    }
}

/// Samples of full context length, with pseudo-random ids.
fn batch(config: &Config, samples: usize) -> Batch {
    let rows = samples * config.context;
    let ids = |factor: usize| (0..rows).map(|row| (row * factor % config.vocabulary) as u32).collect();
    Batch {
        inputs: ids(7919),
        targets: ids(104_729),
        lengths: vec![config.context; samples],
        ..Batch::default()
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Writes a checkpoint near `out` and removes it: the seconds that it took.
pub fn save(learner: &Learner<Cpu>, out: &Path) -> Option<f64> {
    let whole: PathBuf = std::path::absolute(out).ok()?;
    let near = whole.ancestors().find(|folder| folder.is_dir())?;
    let folder = near.join(format!(".glass-plan-{}", std::process::id()));
    let begun = Instant::now();
    let written = checkpoint::write(&folder, learner, &State::default());
    let seconds = begun.elapsed().as_secs_f64();
    let _ = std::fs::remove_dir_all(&folder);
    written.ok().map(|()| seconds)
}

#[cfg(test)]
mod tests {
    use glass::memory::Keep;
    use glass::train::ranks::Divided;
    use glass::train::sums::Reduce;

    use super::*;

    fn proxy(config: Config, batch: usize) -> Proxy {
        let (keep, ranks, reduce) = (Keep::All, 1, Reduce::Exact);
        let (accumulate, sequences, threads, samples, learned) = (1, 1, 2, false, None);
        let asked = Requested {
            config,
            keep,
            batch,
            accumulate,
            sequences,
            ranks,
            reduce,
            divided: Divided::Moments,
            threads,
            samples,
            each: 1,
            learned,
            teacher: None,
        };
        Proxy::of(&asked, 2e11)
    }

    #[test]
    fn a_small_run_is_measured_whole_and_a_large_one_in_part() {
        let whole = proxy(Config::gpt2(65, 64, 128, 4, 4), 12);
        assert_eq!((whole.config.layers, whole.config.vocabulary, whole.batch), (4, 65, 12));
        let part = proxy(Config::gpt2(50_257, 1024, 768, 12, 12), 8);
        assert_eq!((part.config.layers, part.config.vocabulary, part.config.width), (1, 4188, 768));
        let huge = proxy(Config::gpt2(50_257, 2048, 12_288, 96, 96), 1 << 20);
        assert!(huge.flops() <= STEP * 2e11 && huge.config.width < 12_288);
    }
}
