//! The body of an answer.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

/// A body as JSON.
pub fn json(value: &impl Serialize) -> Response {
    let text = serde_json::to_vec(value).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
