//! Streams of server-sent events.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream::unfold;
use glass::scheduler::{Event, Request};
use serde::Serialize;

use super::error::{Answered, Refusal};
use super::log::Record;
use super::running::{Next, Running};
use super::state::Shared;

/// How long a stream may be silent; proxies and clients give up on silent ones.
const QUIET: Duration = Duration::from_secs(15);

/// Bytes after which what is ready is sent.
const ENOUGH: usize = 16 << 10;

/// Writes the events of one kind of answer.
pub trait Writer: Send + 'static {
    /// What comes before everything else.
    fn begin(&mut self, _out: &mut Out) {}
    /// Something happened to an answer.
    fn event(&mut self, choice: usize, event: Event, out: &mut Out);
    /// All answers have ended.
    fn end(&mut self, out: &mut Out);
    /// It cannot go on.
    fn fail(&mut self, refusal: &Refusal, out: &mut Out) {
        out.data(&refusal.body());
    }
}

/// Events that are not sent yet.
#[derive(Default)]
pub struct Out(Vec<u8>);

impl Out {
    /// An event of JSON.
    pub fn data(&mut self, value: &impl Serialize) {
        self.0.extend_from_slice(b"data: ");
        let _ = serde_json::to_writer(&mut self.0, value);
        self.0.extend_from_slice(b"\n\n");
    }

    /// An event of JSON with a name.
    pub fn named(&mut self, name: &str, value: &impl Serialize) {
        self.0.extend_from_slice(format!("event: {name}\n").as_bytes());
        self.data(value);
    }

    /// The end, as OpenAI marks it.
    pub fn done(&mut self) {
        self.0.extend_from_slice(b"data: [DONE]\n\n");
    }
}

/// A stream's answer. What is wrong with the request is known before its head is sent.
pub async fn stream(
    service: &Shared,
    record: &Arc<Record>,
    requests: Vec<Request>,
    writer: impl Writer,
) -> Answered<Response> {
    let running = Running::start(service, record, requests).await?;
    let mut out = Out::default();
    let mut writer = writer;
    writer.begin(&mut out);
    let told = Told { running, writer, out, record: Left(Some(record.clone())), ended: false };
    let chunks = unfold(told, async |mut told| {
        let chunk = told.chunk().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), told))
    });
    let mut response = Response::new(Body::from_stream(Box::pin(chunks)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx would collect events otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// A stream that is being told.
struct Told<W> {
    running: Running,
    writer: W,
    out: Out,
    record: Left,
    ended: bool,
}

impl<W: Writer> Told<W> {
    /// The next bytes: at least one event, and all that are ready.
    async fn chunk(&mut self) -> Option<Bytes> {
        while !self.ended && self.out.0.is_empty() {
            let next = self.running.next(Some(QUIET)).await;
            self.tell(next);
        }
        while !self.ended && self.out.0.len() < ENOUGH {
            let Some(next) = self.running.ready() else { break };
            self.tell(next);
        }
        let bytes = std::mem::take(&mut self.out.0);
        (!bytes.is_empty()).then(|| bytes.into())
    }

    fn tell(&mut self, next: Answered<Next>) {
        match next {
            Ok(Next::Event(choice, event)) => {
                self.writer.event(choice, event, &mut self.out);
                if self.running.is_done() {
                    self.tell(Ok(Next::Done));
                }
            }
            Ok(Next::Quiet) => self.out.0.extend_from_slice(b":\n\n"),
            Ok(Next::Done) => {
                self.writer.end(&mut self.out);
                self.end(None);
            }
            Err(refusal) => {
                self.writer.fail(&refusal, &mut self.out);
                self.end(Some(refusal.status.as_u16()));
            }
        }
    }

    fn end(&mut self, failed: Option<u16>) {
        self.ended = true;
        if let (Some(record), Some(status)) = (self.record.0.take(), failed) {
            record.failed(status);
        }
    }
}

/// A stream whose client left before its end is recorded so.
struct Left(Option<Arc<Record>>);

impl Drop for Left {
    fn drop(&mut self) {
        if let Some(record) = &self.0 {
            record.left();
        }
    }
}
