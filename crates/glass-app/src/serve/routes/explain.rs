//! `POST /v1/explain`: what the page asks about the inside of the model.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::unfold;

use crate::serve::error::{Answered, Refusal};
use crate::serve::explain::Line;
use crate::serve::state::Shared;

/// Explains: the page's own questions, as `{"ask": …}`. The last line is the answer; a question that takes long has lines before
/// it.
#[utoipa::path(post, path = "/v1/explain", tag = "Inside", request_body = serde_json::Value,
    responses((status = 200, description = "Lines of JSON: {\"frame\"} …, then {\"answer\"} or {\"error\"}", content_type = "application/x-ndjson"),
              (status = "4XX", body = crate::serve::error::ErrorBody), (status = "5XX", body = crate::serve::error::ErrorBody)))]
pub async fn explain(State(service): State<Shared>, body: Bytes) -> Answered<Response> {
    let question = glass_page::read(&body)?;
    let mut lines = service.explainer.ask(question)?;
    let Some(first) = lines.recv().await else { return Err(crate::serve::engine::gone()) };
    // A question that is refused at once has a status that says so.
    if let Line::Refused(refusal) = first {
        return Err::<Response, Refusal>(refusal);
    }
    let stream = unfold((Some(first), lines), |(line, mut lines)| async move {
        let line = match line {
            Some(line) => line,
            None => lines.recv().await?,
        };
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(line.text())), (None, lines)))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response())
}
