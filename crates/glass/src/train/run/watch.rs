//! What happens in a run, and who is told.

use std::path::PathBuf;

use crate::Result;
use crate::backend::Backend;
use crate::train::learner::Learner;
use crate::train::learner::settings::Change;
use crate::train::run::log::Line;

/// What happens in a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// It begins, or goes on, after step `step`.
    Started {
        /// Steps already taken.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// Whether it goes on.
        resumed: bool,
    },
    /// The run goes on with other settings than it began with.
    Changed {
        /// Those that are others.
        changes: &'a [Change],
        /// The next step.
        step: u64,
        /// The rate it would have had.
        then: f32,
        /// The rate it has.
        now: f32,
    },
    /// A step was taken.
    Step {
        /// As in the log.
        line: &'a Line,
        /// Epochs seen so far.
        epochs: f64,
    },
    /// A loss stands out from the recent ones ([`crate::train::learner::spikes::Spikes`] says how far).
    Spike {
        /// At this step.
        step: u64,
        /// The loss.
        loss: f64,
        /// The median of the recent ones.
        usual: f64,
    },
    /// The validation set was evaluated.
    Evaluated {
        /// After this step.
        step: u64,
        /// Mean nats per token.
        loss: f64,
        /// The same in bits per byte of text, where the bytes are known.
        bits_per_byte: Option<f64>,
        /// Whether it is the best so far.
        best: bool,
    },
    /// It is time for a sample of text: the watch's `sample` is called next.
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
    /// All steps are taken.
    Done,
    /// It was told to stop, and can be resumed.
    Asked,
    /// Its time is over ([`Watch::is_over`]); it can be resumed.
    Time,
    /// No better evaluation for as long as `patience` says.
    Patience,
}

/// Who watches a run, and does for it what the library does not: time, pictures, text.
pub trait Watch<B: Backend> {
    /// Something happened.
    fn event(&mut self, event: Event<'_>) {
        let _ = event;
    }

    /// Seconds since any fixed moment; `None` where there is no clock.
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

    /// Shows what the model says by now. It must leave the learner's weights and moments as they are.
    fn sample(&mut self, learner: &mut Learner<B>, step: u64) -> Result<()> {
        let _ = (learner, step);
        Ok(())
    }
}
