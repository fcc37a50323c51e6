//! `GET /health` and `GET /metrics`.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::serve::body::json as body;
use crate::serve::error::{Answered, Refusal};
use crate::serve::state::{Phase, Shared};

/// How long the engine may take to answer: it does so between two passes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether a token can be generated.
#[utoipa::path(get, path = "/health", tag = "Operation", responses((status = 200, description = "It can"),
    (status = "4XX", body = crate::serve::error::ErrorBody), (status = 503, body = crate::serve::error::ErrorBody)))]
pub async fn health(State(service): State<Shared>) -> Answered<Response> {
    if service.phase() > Phase::Open {
        return Err(Refusal::stopping());
    }
    if !service.metrics.gauges.is_up() || !service.engine.answers(PATIENCE).await {
        let message = "the engine does not answer, so no token can be generated";
        return Err(Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message));
    }
    Ok(body(&json!({"status": "ok"})))
}

/// Counters in Prometheus's text format.
#[utoipa::path(get, path = "/metrics", tag = "Operation", responses((status = 200, description = "Counters", content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    (status = "4XX", body = crate::serve::error::ErrorBody)))]
pub async fn metrics(State(service): State<Shared>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], service.metrics.text()).into_response()
}
