//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::card::Card;
use super::engine::Engine;
use super::explain::Explainer;
use super::guard::Guard;
use super::json_schema::Grammars;
use super::metrics::Metrics;

/// What all requests share.
pub struct Service {
    /// The model's description.
    pub card: Card,
    /// The way to the model.
    pub engine: Engine,
    /// The way to the inside of the model.
    pub explainer: Explainer,
    /// Where schemas become grammars.
    pub grammars: Grammars,
    /// Counters.
    pub metrics: Metrics,
    /// Who may use the service.
    pub guard: Guard,
    /// When the service began, in seconds since 1970.
    pub created: u64,
    /// Longest time for one request.
    pub timeout: Duration,
    /// Tokens guessed ahead.
    pub lookup: usize,
    /// Whether prompts are logged.
    pub log_prompts: bool,
    /// How far the service is on its way to its end.
    pub phase: watch::Sender<Phase>,
    /// Answers that are being made and written.
    pub busy: Arc<AtomicUsize>,
}

/// A service's life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// It takes requests.
    Open,
    /// It takes no new requests; running ones go on.
    Draining,
    /// Running ones are ended.
    Ending,
}

/// How requests reach it.
pub type Shared = Arc<Service>;

impl Service {
    /// The present phase.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Counts an answer until the value is dropped.
    pub fn busy(&self) -> Busy {
        self.busy.fetch_add(1, Ordering::SeqCst);
        Busy(self.busy.clone())
    }
}

/// An answer that is being made or written.
pub struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
