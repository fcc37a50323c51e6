//! Training: from files to a model.
//!
//! ```text
//! files ─ data ─▶ documents ─ corpus ─▶ parts ─ prepare ─▶ token ids ─ order ─▶ batches ─ learner ─▶ weights ─ folder ─▶ checkpoints, model
//! ```
//!
//! Everything here is a function of the data, the settings and the number of the step: a run that was stopped and
//! resumed writes the same bytes as one that never stopped.
//!
//! In one call, with settings that suit a small text:
//!
//! ```no_run
//! let summary = glass::train::train(&["book.txt".into()], "my-model".as_ref())?;
//! println!("{:?}", summary.best);
//! # Ok::<(), glass::Error>(())
//! ```
//!
//! [`Recipe`] holds these settings, so that some can be changed. Step by step:
//!
//! ```no_run
//! use std::{path::Path, sync::Arc, sync::atomic::AtomicBool};
//!
//! use glass::backend::Cpu;
//! use glass::tokens::Tokenizer;
//! use glass::train::{corpus, files, learner::Learner, prepare, run, settings::Settings, watch::Watch};
//! use glass::weights::{dtype::Dtype, save::Save};
//!
//! struct Quiet;
//! impl Watch<Cpu> for Quiet {}
//!
//! # fn main() -> glass::Result<()> {
//! let (files, _remarks) = files::find(&["stories".into()], &["txt", "jsonl"])?;
//! let corpus = corpus::Corpus::open(corpus::Source { fraction: 0.1, ..corpus::Source::of(files) })?;
//! let parts = corpus.parts(&mut |_progress| {})?;
//!
//! let tokenizer = Tokenizer::gpt2();
//! let (vocabulary, end) = (tokenizer.vocabulary_size(), tokenizer.end_of_text());
//! let by = prepare::Encoding { tokenizer: &tokenizer, vocabulary };
//! let prepared = prepare::in_memory(&corpus, &parts, by, &mut |_progress| {})?;
//!
//! let settings = Settings { steps: 500, ..Settings::default() };
//! let config = glass::Config::gpt2(vocabulary, 128, 192, 4, 6);
//! let rows = settings.batch * config.context;
//! let mut learner = Learner::new(Arc::new(Cpu::new(2)), &config, rows, settings.batch)?;
//! learner.initialise(settings.seed);
//!
//! let plan = learner.plan().clone();
//! let model = Save {
//!     config: &config,
//!     plan: &plan,
//!     dtype: Dtype::F32,
//!     tokenizer: Some(&tokenizer),
//!     template: None,
//!     end_of_text: end,
//!     generation: None,
//! };
//! let run = run::Run {
//!     settings: &settings,
//!     train: &prepared.train,
//!     validation: Some(&prepared.validation),
//!     folder: Path::new("my-model"),
//!     model,
//!     adapter: None,
//!     resume: false,
//!     stop: &AtomicBool::new(false),
//! };
//! let summary = run::run(&mut learner, &run, &mut Quiet)?;
//! assert_eq!(summary.step, 500);
//! # Ok(())
//! # }
//! ```

// The steps of a training work anywhere; its files, and the threads that read them, not in WebAssembly.
pub mod ranks;
pub mod machines;
pub mod learner;
#[cfg(not(target_family = "wasm"))]
pub mod data;
#[cfg(not(target_family = "wasm"))]
pub mod checkpoint;
#[cfg(not(target_family = "wasm"))]
pub mod reference;
#[cfg(not(target_family = "wasm"))]
pub mod run;
#[cfg(not(target_family = "wasm"))]
pub mod draft;
#[cfg(not(target_family = "wasm"))]
mod recipe;
#[cfg(not(target_family = "wasm"))]
mod content;
#[cfg(not(target_family = "wasm"))]
mod json;

#[cfg(not(target_family = "wasm"))]
pub use checkpoint::folder;
#[cfg(not(target_family = "wasm"))]
pub use data::{
    card, chats, corpus, files, ids, llm_c, mix, near, order, pack, pairs, pieces, prepare, set, shards,
};
pub use learner::{needs, objective, optimiser, preference, schedule, settings, spikes, sums, teacher};
#[cfg(not(target_family = "wasm"))]
pub use recipe::{Recipe, train};
#[cfg(not(target_family = "wasm"))]
pub use run::{log, watch};
