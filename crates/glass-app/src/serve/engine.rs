//! The model's thread. It owns the model and the scheduler; requests reach it as orders and hear from it over a channel of
//! their own.
//!
//! The channel of a request has no bound, so a slow reader never makes the engine wait. It cannot grow without limit: a
//! request has at most one event for every token of its prompt and of its answer, both at most the context's length, and the
//! number of requests is bounded by `--batch` and `--queue`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use glass::backend::Cpu;
use glass::generate::GenerateOptions;
use glass::next_token::Sampling;
use glass::scheduler::{Event, Request, Scheduler, Settings, Ticket};
use glass::weights::adapter::Adapter;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::error::{Answered, Refusal};
use super::metrics::Gauges;
use crate::fail::Fail;
use crate::model_arg::NamedModel;

/// What happened to one of a request's answers, and when.
pub type Happened = (usize, Event, Instant);

/// Something for the model's thread to do.
enum Order {
    Take(Box<Taken>),
    Ping(oneshot::Sender<()>),
}

/// A request on its way to the scheduler.
struct Taken {
    request: Request,
    accepted: oneshot::Sender<glass::Result<()>>,
    waits: Waits,
}

/// Who waits for an answer. Its place is free once this is dropped.
struct Waits {
    choice: usize,
    to: UnboundedSender<Happened>,
    _place: OwnedSemaphorePermit,
}

/// The way to the model's thread.
pub struct Engine {
    orders: Sender<Order>,
    places: Arc<Semaphore>,
    /// How many answers may run and wait.
    pub all: usize,
}

impl Engine {
    /// Starts the thread. It has drawn a token before this returns.
    pub fn start(
        model: Arc<NamedModel>,
        settings: Settings,
        queue: usize,
        gauges: Arc<Gauges>,
        adapters: Vec<Arc<Adapter<Cpu>>>,
    ) -> Result<Engine, Fail> {
        let (orders, inbox) = channel();
        let (ready, started) = channel();
        let thread = Builder::new().name("engine".into()).spawn(move || {
            let run = AssertUnwindSafe(|| run(&model, settings, adapters, &inbox, &gauges, &ready));
            if catch_unwind(run).is_err() {
                tracing::error!("the engine stopped by a bug; the service cannot answer any more");
            }
            gauges.set_up(false);
        });
        thread.map_err(|error| Fail::failed(format!("cannot start a thread: {error}")))?;
        match started.recv() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.into()),
            Err(RecvError) => return Err(Fail::failed("the model could not draw a first token")),
        }
        let all = settings.slots + queue;
        Ok(Engine { orders, places: Arc::new(Semaphore::new(all)), all })
    }

    /// Hands in the answers of one request; what happens to them arrives in the channel. Dropping the channel cancels them.
    pub async fn submit(&self, requests: Vec<Request>) -> Answered<UnboundedReceiver<Happened>> {
        let count = requests.len();
        if count > self.all {
            let all = self.all;
            return Err(Refusal::request(format!(
                "the request asks for {count} answers, and this service holds {all}; ask for fewer at a time"
            )));
        }
        let mut places = self.places.clone().try_acquire_many_owned(count as u32).map_err(|_| {
            let message = "too many requests are waiting; try again in a moment";
            Refusal::busy(axum::http::StatusCode::TOO_MANY_REQUESTS, "queue_full", message)
        })?;
        let (to, events) = unbounded_channel();
        let mut answers = Vec::with_capacity(count);
        for (choice, request) in requests.into_iter().enumerate() {
            let place = places.split(1).expect("as many places as requests");
            let (accepted, answer) = oneshot::channel();
            let waits = Waits { choice, to: to.clone(), _place: place };
            let taken = Taken { request, accepted, waits };
            self.orders.send(Order::Take(Box::new(taken))).map_err(|_| gone())?;
            answers.push(answer);
        }
        for answer in answers {
            answer.await.map_err(|_| gone())??;
        }
        Ok(events)
    }

    /// Whether the thread answers between two passes.
    pub async fn answers(&self, within: Duration) -> bool {
        let (ping, answer) = oneshot::channel();
        let sent = self.orders.send(Order::Ping(ping)).is_ok();
        sent && matches!(tokio::time::timeout(within, answer).await, Ok(Ok(())))
    }
}

/// The thread ended.
pub fn gone() -> Refusal {
    Refusal::fault("the engine stopped by a bug in the program; the service must be restarted")
}

fn run(
    model: &NamedModel,
    settings: Settings,
    adapters: Vec<Arc<Adapter<Cpu>>>,
    inbox: &Receiver<Order>,
    gauges: &Gauges,
    ready: &Sender<glass::Result<()>>,
) {
    let mut scheduler =
        match Scheduler::new(model, model.tokenizer.as_ref(), settings).and_then(|mut scheduler| {
            scheduler.adapters(adapters)?;
            first_token(model, &mut scheduler)?;
            Ok(scheduler)
        }) {
            Ok(scheduler) => scheduler,
            Err(error) => return drop(ready.send(Err(error))),
        };
    gauges.set_up(true);
    if ready.send(Ok(())).is_err() {
        return;
    }
    let mut waiting: Vec<(Ticket, Waits)> = Vec::new();
    while take_orders(&mut scheduler, inbox, &mut waiting, gauges) {
        waiting.retain(|(ticket, waits)| {
            let left = waits.to.is_closed();
            if left {
                scheduler.cancel(*ticket);
            }
            !left
        });
        scheduler.pass(&mut |ticket, event| {
            let Some(at) = waiting.iter().position(|(other, _)| *other == ticket) else { return };
            let ended = matches!(event, Event::Ended { .. } | Event::Failed(_));
            let (_, waits) = &waiting[at];
            // A client that left is noticed before the next pass.
            let _ = waits.to.send((waits.choice, event, Instant::now()));
            if ended {
                waiting.swap_remove(at);
            }
        });
        gauges.update(&scheduler.counters());
    }
}

/// Takes every order that is there; sleeps if there is nothing else to do. false: no more orders will come.
fn take_orders(
    scheduler: &mut Scheduler<'_, Cpu>,
    inbox: &Receiver<Order>,
    waiting: &mut Vec<(Ticket, Waits)>,
    gauges: &Gauges,
) -> bool {
    loop {
        let order = match inbox.try_recv() {
            Ok(order) => order,
            Err(TryRecvError::Disconnected) => return false,
            Err(TryRecvError::Empty) if !waiting.is_empty() => return true,
            Err(TryRecvError::Empty) => match inbox.recv() {
                Ok(order) => order,
                Err(RecvError) => return false,
            },
        };
        match order {
            Order::Ping(answer) => drop(answer.send(())),
            Order::Take(taken) => {
                let Taken { request, accepted, waits } = *taken;
                if waits.to.is_closed() {
                    continue;
                }
                let ticket = scheduler.submit(request);
                let told = accepted.send(ticket.as_ref().map(|_| ()).map_err(copy));
                match (ticket, told) {
                    (Ok(ticket), Ok(())) => waiting.push((ticket, waits)),
                    (Ok(ticket), Err(_)) => scheduler.cancel(ticket),
                    (Err(_), _) => {}
                }
                gauges.update(&scheduler.counters());
            }
        }
    }
}

/// An error for the client: its words.
fn copy(error: &glass::Error) -> glass::Error {
    match error {
        glass::Error::InvalidArgument { what, why } => glass::Error::invalid_argument(what, why),
        other => glass::Error::invalid("the request could not be taken", other),
    }
}

/// Draws one token: a model that cannot is not ready.
fn first_token(model: &NamedModel, scheduler: &mut Scheduler<'_, Cpu>) -> glass::Result<()> {
    let options = GenerateOptions {
        tokens: 1,
        sampling: Sampling { temperature: 0.0, ..Sampling::default() },
        ..GenerateOptions::default()
    };
    scheduler.submit(Request { prompt: vec![model.start().unwrap_or(0)], options, ..Request::default() })?;
    let mut failed = None;
    while scheduler.pass(&mut |_, event| {
        if let Event::Failed(error) = event {
            failed = Some(error);
        }
    }) {}
    failed.map_or(Ok(()), Err)
}
