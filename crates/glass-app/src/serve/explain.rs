//! What the page asks about the inside of the model. A thread of its own answers, with the weights and the threads of the engine:
//! their passes take turns operation by operation, so a question never holds up an answer for longer than one operation.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Builder;

use axum::http::StatusCode;
use glass_page::{Page, Question};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::error::{Answered, Refusal};
use crate::fail::Fail;
use crate::model_arg::NamedModel;

/// How many questions may wait.
const WAITING: usize = 32;

/// A line of an answer.
pub enum Line {
    /// An intermediate result.
    Frame(Value),
    /// The answer.
    Answer(Value),
    /// Why there is none.
    Refused(Refusal),
}

/// A question, and who waits for its answer.
struct Asked {
    question: Question,
    to: UnboundedSender<Line>,
}

/// The way to the thread.
pub struct Explainer(SyncSender<Asked>);

impl Explainer {
    /// Starts the thread, for a model under the name that clients know.
    pub fn start(model: Arc<NamedModel>, name: String, run: Option<PathBuf>) -> Result<Explainer, Fail> {
        let (questions, inbox) = sync_channel(WAITING);
        let thread = Builder::new().name("explain".into()).spawn(move || answer(&model, &name, run, &inbox));
        thread.map_err(|error| Fail::failed(format!("cannot start a thread: {error}")))?;
        Ok(Explainer(questions))
    }

    /// Asks. Dropping the receiver ends the question before its next frame.
    pub fn ask(&self, question: Question) -> Answered<UnboundedReceiver<Line>> {
        let (to, lines) = unbounded_channel();
        self.0.try_send(Asked { question, to }).map_err(|error| match error {
            TrySendError::Full(_) => Refusal::busy(
                StatusCode::TOO_MANY_REQUESTS,
                "queue_full",
                "too many questions are waiting; try again in a moment",
            ),
            TrySendError::Disconnected(_) => super::engine::gone(),
        })?;
        Ok(lines)
    }
}

fn answer(model: &NamedModel, name: &str, run: Option<PathBuf>, inbox: &Receiver<Asked>) {
    let begin = || Page::new(model, name).watching(run.clone());
    let mut page = begin();
    while let Ok(Asked { question, to }) = inbox.recv() {
        if to.is_closed() {
            continue;
        }
        let mut tell = |frame| match to.send(Line::Frame(frame)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        if model.adapter().is_some() {
            let why = "the page shows a model's own weights, and this one is changed by an adapter; merge it with glass convert and \
                       serve the result";
            let _ = to.send(Line::Refused(Refusal::request(why).code("adapter")));
            continue;
        }
        let answer = catch_unwind(AssertUnwindSafe(|| page.answer(&question, &mut tell)));
        let line = match answer {
            Ok(Ok(answer)) => Line::Answer(answer),
            Ok(Err(error)) => Line::Refused(error.into()),
            Err(_) => {
                page = begin();
                Line::Refused(Refusal::fault("a bug in the program ended this question; please report it"))
            }
        };
        let _ = to.send(line);
    }
}

impl Line {
    /// As a line of JSON.
    pub fn text(&self) -> Vec<u8> {
        let value = match self {
            Line::Frame(frame) => json!({"frame": frame}),
            Line::Answer(answer) => json!({"answer": answer}),
            Line::Refused(refusal) => json!({"error": refusal.error}),
        };
        let mut text = serde_json::to_vec(&value).unwrap_or_default();
        text.push(b'\n');
        text
    }
}
