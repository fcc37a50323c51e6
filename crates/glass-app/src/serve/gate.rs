//! What every request passes before it is read.

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::error::Refusal;
use super::guard::check_size;
use super::page;
use super::state::{Phase, Shared};

/// What needs no key: the page asks for one itself, and whoever watches the service has none.
const OPEN: [&str; 4] = ["/openapi.json", "/health", "/v1/health", "/favicon.ico"];

/// Lets through what may pass.
pub async fn guarded(State(service): State<Shared>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let checked =
        check_size(&request).and_then(|()| service.guard.check_page(request.headers())).and_then(|()| {
            let open =
                OPEN.contains(&path) || page::file(path).is_some() || request.method() == Method::OPTIONS;
            if open { Ok(()) } else { service.guard.check_key(request.headers()) }
        });
    let checked =
        checked.and_then(|()| match request.method() == Method::POST && service.phase() > Phase::Open {
            true => Err(Refusal::stopping()),
            false => Ok(()),
        });
    match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}
