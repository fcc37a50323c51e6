//! One line for every request, when its answer was written or its client left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use tracing_subscriber::fmt;

use super::random;
use super::state::Shared;
use crate::args::LogForm;
use crate::fail::say;

/// The status of a request whose client left before an answer, as nginx has it.
const LEFT: u16 = 499;

/// What is known of a request.
pub struct Record {
    /// When it came.
    pub began: Instant,
    /// Its id.
    pub id: String,
    service: Shared,
    method: String,
    path: String,
    endpoint: String,
    status: AtomicU16,
    prompt: AtomicU64,
    cached: AtomicU64,
    tokens: AtomicU64,
}

impl Record {
    /// The prompt has this many tokens.
    pub fn prompt(&self, tokens: usize) {
        self.prompt.fetch_add(tokens as u64, Ordering::Relaxed);
    }

    /// So many of them came from the cache.
    pub fn cached(&self, tokens: usize) {
        self.cached.store(tokens as u64, Ordering::Relaxed);
    }

    /// A token was generated.
    pub fn token(&self) {
        self.tokens.fetch_add(1, Ordering::Relaxed);
    }

    /// The client left before the answer's end.
    pub fn left(&self) {
        self.failed(LEFT);
    }

    /// The answer failed after its head was sent.
    pub fn failed(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }
}

/// The last one who holds it is the answer's body, or the handler of a client that left.
impl Drop for Record {
    fn drop(&mut self) {
        let (id, method, path) = (&self.id, &self.method, &self.path);
        let [prompt, cached, tokens] =
            [&self.prompt, &self.cached, &self.tokens].map(|number| number.load(Ordering::Relaxed));
        let (status, seconds) = (self.status.load(Ordering::Relaxed), self.began.elapsed().as_secs_f64());
        self.service.metrics.ended(&self.endpoint, status, seconds);
        let seconds = (seconds * 1e4).round() / 1e4;
        tracing::info!(
            id,
            method,
            path,
            status,
            prompt_tokens = prompt,
            cached_tokens = cached,
            tokens,
            seconds,
            "request"
        );
    }
}

/// Gives every request its id and its record.
pub async fn recorded(State(service): State<Shared>, mut request: Request, next: Next) -> Response {
    let header = request.headers().get("x-request-id").and_then(|id| id.to_str().ok());
    let sane = |id: &&str| {
        (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    };
    let id = header.filter(sane).map_or_else(|| format!("{:016x}", random::number()), str::to_string);
    let endpoint = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_string();
    let record = Arc::new(Record {
        began: Instant::now(),
        id: id.clone(),
        method: request.method().to_string(),
        path: request.uri().path().chars().take(200).collect(),
        endpoint,
        status: LEFT.into(),
        prompt: 0.into(),
        cached: 0.into(),
        tokens: 0.into(),
        service,
    });
    request.extensions_mut().insert(record.clone());
    let mut response = next.run(request).await;
    record.status.store(response.status().as_u16(), Ordering::Relaxed);
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// Begins to log.
pub fn begin(form: LogForm) {
    // A line that cannot be written, to a full disk or a closed pipe, is lost: its error has no other place to go.
    let lines = || fmt().with_writer(std::io::stderr).with_target(false).log_internal_errors(false);
    let begun = match form {
        LogForm::Off => return,
        LogForm::Text => {
            use std::io::IsTerminal as _;
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            tracing::subscriber::set_global_default(lines().with_ansi(colours).finish())
        }
        LogForm::Json => tracing::subscriber::set_global_default(lines().json().flatten_event(true).finish()),
    };
    // Only a second call could fail.
    let _ = begun;
}

/// From here on a panic ends the request that caused it, or the engine, and not the program.
pub fn panics() {
    std::panic::set_hook(Box::new(|panic| {
        let what = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        say(&format!("this is a bug in the program, not in your input ({what}, {place}); please report it"));
    }));
}
