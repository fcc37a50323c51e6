//! Training in one call, with settings that suit a small text and a small machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::data::corpus::{Corpus, Source, Subset};
use super::data::files;
use super::data::prepare::{Encoding, in_memory};
use super::learner::Learner;
use super::learner::settings::Settings;
use super::run::watch::Watch;
use super::run::{Run, Summary, run};
use crate::backend::Cpu;
use crate::tokens::{END_OF_TEXT, Learn, learn};
use crate::weights::dtype::Dtype;
use crate::weights::save::Save;
use crate::{Config, Result};

/// What to train, and how.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The size of the vocabulary, which is learned from the text.
    pub vocabulary: usize,
    /// Positions of the context.
    pub context: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads of a block.
    pub heads: usize,
    /// The fraction of the documents used for validation, if there are no separate files for it.
    pub validation: f64,
    /// The run's settings.
    pub settings: Settings,
    /// Threads; the result does not depend on their number.
    pub threads: usize,
}

impl Default for Recipe {
    /// About a million weights and 600 steps of 2,048 tokens: some minutes on two cores.
    fn default() -> Recipe {
        let settings = Settings {
            steps: 600,
            batch: 16,
            lr: 3e-3,
            min_lr: 3e-4,
            warmup: 60,
            eval_every: 100,
            checkpoint_every: 100,
            ..Settings::default()
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (vocabulary, context, width, layers, heads) = (1024, 128, 128, 4, 4);
        Recipe { vocabulary, context, width, layers, heads, validation: 0.1, settings, threads }
    }
}

/// Trains a small model on text files, JSON lines or folders of them with the settings of [`Recipe::default`], and
/// writes it into the folder `out`, where `glass` and `transformers` can open it.
///
/// # Errors
/// If the text cannot be read or is too short, or `out` already holds a run or a model.
pub fn train(paths: &[PathBuf], out: &Path) -> Result<Summary> {
    struct Quiet;
    impl Watch<Cpu> for Quiet {}
    Recipe::default().train(paths, out, &mut Quiet)
}

impl Recipe {
    /// Trains, and reports every step to `watch`.
    ///
    /// # Errors
    /// As for [`train`].
    pub fn train(&self, paths: &[PathBuf], out: &Path, watch: &mut dyn Watch<Cpu>) -> Result<Summary> {
        let (found, _) = files::find(paths, &["txt", "jsonl", "ndjson"])?;
        let roles = files::by_role(paths, found, false)?;
        let seed = self.settings.seed;
        let source = Source {
            validation: roles.validation,
            fraction: self.validation,
            seed,
            ..Source::of(roles.train)
        };
        let corpus = Corpus::open(source)?;
        let parts = corpus.parts(&mut |_| {})?;

        let texts = parts.pieces(Subset::Train, parts.sizes()).map(|piece| Ok(piece?.text));
        let specials = vec![END_OF_TEXT.to_string()];
        let how = Learn { vocabulary: self.vocabulary, specials, ..Learn::default() };
        let tokenizer = learn(texts, &how, &mut |_| {})?;
        let vocabulary = tokenizer.vocabulary_size();
        let by = Encoding { tokenizer: &tokenizer, vocabulary };
        let prepared = in_memory(&corpus, &parts, by, &mut |_| {})?;

        let config = Config::gpt2(vocabulary, self.context, self.width, self.layers, self.heads);
        let batch = self.settings.batch;
        let mut learner =
            Learner::new(Arc::new(Cpu::new(self.threads)), &config, batch * self.context, batch)?;
        learner.initialise_early(seed, self.settings.early());
        let plan = learner.plan().clone();
        let run_of = Run {
            settings: &self.settings,
            train: &prepared.train,
            validation: Some(&prepared.validation).filter(|set| set.learned() > 0),
            folder: out,
            model: Save {
                config: &config,
                plan: &plan,
                dtype: Dtype::F32,
                tokenizer: Some(&tokenizer),
                template: None,
                end_of_text: tokenizer.end_of_text(),
                generation: None,
            },
            adapter: None,
            resume: false,
            stop: &AtomicBool::new(false),
        };
        let summary = run(&mut learner, &run_of, watch)?;
        prepared.card.write(out)?;
        Ok(summary)
    }
}
