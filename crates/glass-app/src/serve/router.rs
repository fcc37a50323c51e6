//! Which request goes where, and what every request passes first.

use std::any::Any;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::error::Refusal;
use super::gate::guarded;
use super::log::recorded;
use super::routes::{chat, completions, embeddings, explain, health, look, models, responses, tokens};
use super::state::Shared;
use super::{openapi, page};

/// All endpoints.
pub fn router(service: Shared, body: usize) -> Router {
    let origins = service.guard.origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            HeaderName::from_static("x-request-id"),
        ])
        .expose_headers([HeaderName::from_static("x-request-id"), header::RETRY_AFTER]);
    Router::new()
        .route("/health", get(health::health))
        .route("/v1/health", get(health::health))
        .route("/metrics", get(health::metrics))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::one))
        .route("/v1/chat/completions", post(chat::complete))
        .route("/v1/completions", post(completions::complete))
        .route("/v1/embeddings", post(embeddings::embed))
        .route("/v1/look", post(look::look))
        .route("/v1/explain", post(explain::explain))
        .route("/tokenize", post(tokens::tokenize))
        .route("/detokenize", post(tokens::detokenize))
        .route("/v1/responses", post(responses::respond))
        .route("/openapi.json", get(openapi::description))
        .fallback(other)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(body))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(service.clone(), guarded))
        .layer(cors)
        .layer(from_fn_with_state(service.clone(), recorded))
        .with_state(service)
}

/// A file of the page, or nothing.
async fn other(method: Method, uri: axum::http::Uri) -> Response {
    match page::file(uri.path()) {
        Some(file) if method == Method::GET || method == Method::HEAD => page::send(&file),
        Some(_) => not_allowed(method, uri).await.into_response(),
        None => not_found(method, uri).into_response(),
    }
}

fn not_found(method: Method, uri: axum::http::Uri) -> Refusal {
    let path: String = uri.path().chars().take(200).collect();
    let message = format!("there is no {method} {path} here; /docs lists what there is");
    Refusal::status(StatusCode::NOT_FOUND, "not_found", message)
}

async fn not_allowed(method: Method, uri: axum::http::Uri) -> Refusal {
    let message = format!("{} does not take {method}; see /docs", uri.path());
    Refusal::status(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    Refusal::fault("a bug in the program ended this request; please report it").into_response()
}
