//! One request's answers while they are generated: what happens next, or why it ends early.

use std::sync::Arc;
use std::time::{Duration, Instant};

use glass::scheduler::{Event, Request};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::watch;
use tokio::time::{Instant as Deadline, sleep_until};

use super::engine::{Happened, gone};
use super::error::{Answered, Refusal};
use super::log::Record;
use super::state::{Busy, Phase, Shared};

/// Answers that are being generated.
pub struct Running {
    service: Shared,
    events: UnboundedReceiver<Happened>,
    phase: watch::Receiver<Phase>,
    /// When each answer's last token came.
    last: Vec<Option<Instant>>,
    /// Answers that have not ended.
    left: usize,
    began: Instant,
    deadline: Deadline,
    record: Arc<Record>,
    _busy: Busy,
}

/// What is next.
pub enum Next {
    /// Something happened to one of the answers.
    Event(usize, Event),
    /// Nothing happened for a while.
    Quiet,
    /// All have ended.
    Done,
}

impl Running {
    /// Hands a request's answers to the engine.
    pub async fn start(service: &Shared, record: &Arc<Record>, requests: Vec<Request>) -> Answered<Running> {
        let began = record.began;
        let left = requests.len();
        let busy = service.busy();
        let phase = service.phase.subscribe();
        let deadline = Deadline::from_std(began) + service.timeout;
        let events = service.engine.submit(requests).await?;
        let (service, record) = (service.clone(), record.clone());
        Ok(Running {
            service,
            events,
            phase,
            last: vec![None; left],
            left,
            began,
            deadline,
            record,
            _busy: busy,
        })
    }

    /// Waits for what is next; `quiet` is how long nothing may happen before that is told.
    pub async fn next(&mut self, quiet: Option<Duration>) -> Answered<Next> {
        if self.left == 0 {
            return Ok(Next::Done);
        }
        let quiet = Deadline::now() + quiet.unwrap_or(self.service.timeout);
        let happened = tokio::select! {
            biased;
            happened = self.events.recv() => happened,
            _ = self.phase.wait_for(|phase| *phase == Phase::Ending) => return Err(Refusal::stopping()),
            () = sleep_until(quiet.min(self.deadline)) => match Deadline::now() >= self.deadline {
                true => return Err(Refusal::too_long(self.service.timeout.as_secs())),
                false => return Ok(Next::Quiet),
            },
        };
        self.note(happened.ok_or_else(gone)?)
    }

    /// Whether all answers have ended.
    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    /// What has happened already, without waiting.
    pub fn ready(&mut self) -> Option<Answered<Next>> {
        if self.left == 0 {
            return None;
        }
        match self.events.try_recv() {
            Ok(happened) => Some(self.note(happened)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(gone())),
        }
    }

    fn note(&mut self, (choice, event, at): Happened) -> Answered<Next> {
        match &event {
            Event::Begun { cached } if choice == 0 => self.record.cached(*cached),
            Event::Token { .. } => {
                self.record.token();
                let metrics = &self.service.metrics;
                match self.last[choice].replace(at) {
                    None => metrics.first_token.observe((at - self.began).as_secs_f64()),
                    Some(before) => metrics.between_tokens.observe((at - before).as_secs_f64()),
                }
            }
            Event::Ended { .. } => self.left -= 1,
            _ => {}
        }
        match event {
            Event::Failed(error) => Err(failed(error)),
            event => Ok(Next::Event(choice, event)),
        }
    }
}

/// What went wrong in the middle of an answer is seldom a wrong field, but may be.
fn failed(error: glass::Error) -> Refusal {
    error.into()
}
