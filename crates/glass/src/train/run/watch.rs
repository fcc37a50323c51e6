//! The events of a run, and the trait that receives them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::Result;
use crate::backend::Backend;
use crate::train::learner::Learner;
use crate::train::learner::objective::Details;
use crate::train::learner::settings::Change;
use crate::train::run::log::LoggedStep;

/// An event of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// It begins, or continues, after step `step`.
    Started {
        /// Steps already taken.
        step: u64,
        /// The total number of steps.
        steps: u64,
        /// Whether it continues a run.
        resumed: bool,
    },
    /// The run continues with settings that differ from its earlier ones.
    Changed {
        /// The settings that changed.
        changes: &'a [Change],
        /// The next step.
        step: u64,
        /// The learning rate without the change.
        then: f32,
        /// The learning rate with the change.
        now: f32,
    },
    /// A step was taken.
    Step {
        /// As in the log.
        line: &'a LoggedStep,
        /// Epochs seen so far.
        epochs: f64,
    },
    /// A loss is far above the recent ones (see [`crate::train::learner::spikes::Spikes`]).
    Spike {
        /// At this step.
        step: u64,
        /// The loss.
        loss: f64,
        /// The median of the recent ones.
        usual: f64,
    },
    /// A rank has been slow lately, and the others wait for it. Each is named once.
    Slow {
        /// After this step.
        step: u64,
        /// The rank.
        rank: usize,
        /// How many times as long as the median rank it computes.
        times: f64,
    },
    /// The validation set was evaluated.
    Evaluated {
        /// After this step.
        step: u64,
        /// Mean nats per token; of pairs, their mean loss.
        loss: f64,
        /// What else was measured.
        details: Details,
        /// The same in bits per byte of text, where the bytes are known.
        bits_per_byte: Option<f64>,
        /// Mean nats per token of each set of a mixture, by its name; otherwise empty.
        parts: &'a BTreeMap<String, f64>,
        /// Whether it is the best so far.
        best: bool,
    },
    /// A sample of text is due: the watch's `sample` is called next.
    Sampling {
        /// After this step.
        step: u64,
    },
    /// A checkpoint was saved.
    Saved {
        /// After this step.
        step: u64,
        /// Its folder.
        path: PathBuf,
    },
    /// The run ends.
    Stopped {
        /// After this step.
        step: u64,
        /// Why.
        why: Why,
    },
}

/// Why a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// All steps were taken.
    Done,
    /// It was told to stop, and can be resumed.
    Interrupted,
    /// Its time is over ([`Watch::is_over`]); it can be resumed.
    Time,
    /// No better evaluation for as long as `patience` says.
    Patience,
}

/// Watches a run, and provides what the library does not: time, pictures, text.
pub trait Watch<B: Backend> {
    /// Called for every event.
    fn event(&mut self, event: Event<'_>) {
        let _ = event;
    }

    /// Seconds since any fixed moment; `None` without a clock.
    fn seconds(&mut self) -> Option<f64> {
        None
    }

    /// Whether the run's time is over: the step that was just taken is then its last, and it ends as after all its steps,
    /// with an evaluation and a checkpoint.
    fn is_over(&mut self) -> bool {
        false
    }

    /// The share of the machine's arithmetic that this speed uses, where it is known.
    fn utilisation(&mut self, tokens_per_second: f64) -> Option<f64> {
        let _ = tokens_per_second;
        None
    }

    /// Shows what the model generates now. It must leave the learner's weights and moments unchanged.
    fn sample(&mut self, learner: &mut Learner<B>, step: u64) -> Result<()> {
        let _ = (learner, step);
        Ok(())
    }
}
